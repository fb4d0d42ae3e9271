"""QONNX's channels-last operators: exact against the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from fpgaflow.ir.ops import Transpose
from tests.frontend.test_qonnx import normal
from tests.models import Net, assert_conforms

DOMAIN = "qonnx.custom_op.channels_last"


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("scale", [0.25, np.array([0.3, 0.5, 0.7, 0.9]).reshape(4, 1, 1, 1)])
def test_a_block(groups: int, scale: float | np.ndarray) -> None:
    net = Net(6, 5, 2)
    w = net.quant(normal(1, 4, 3, 2, 2 // groups), scale, 4)
    attributes = {"strides": [1, 1], "pads": [1, 0, 1, 0], "dilations": [1, 1], "kernel_shape": [3, 2], "group": groups}
    y = net.node("Conv", net.quant("x", 0.25, 4), w, net.const([0.5, -1, 0, 0.125]), domain=DOMAIN, **attributes)
    parameters = ([1.5, -0.5, 1, 2], [0.25, 0, 1, -1], [0, 1, 2, 0], [1, 4, 9, 2])
    y = net.node("BatchNormalization", y, *map(net.const, parameters), domain=DOMAIN, epsilon=1e-5, momentum=0.9)
    y = net.quant(net.node("Relu", y), 0.3, 4, signed=0)
    y = net.node("MaxPool", y, domain=DOMAIN, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    graph = assert_conforms(net.model(y))
    assert not any(isinstance(op, Transpose) for op in graph.ops)


def test_one_axis() -> None:
    net = Net(6, 2)
    w = net.quant(normal(1, 3, 3, 2), 0.25, 4)
    y = net.node("Conv", net.quant("x", 0.25, 4), w, domain=DOMAIN, kernel_shape=[3], strides=[1], pads=[1, 1])
    assert_conforms(net.model(net.node("Conv", y, net.const(normal(2, 2, 1, 3).round()), domain=DOMAIN)))
