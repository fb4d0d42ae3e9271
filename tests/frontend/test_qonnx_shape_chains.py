"""Shapes computed at run time: folded where the batch stays the first axis, refused where it goes elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from fpgaflow.errors import UnsupportedModel
from tests.models import Net, assert_conforms, graph_of


def size(net: Net, x: str, axis: int) -> str:
    """x.shape[axis], as a list of one entry."""
    dimension = net.node("Gather", net.node("Shape", x), net.const(axis, np.int64), axis=0)
    return net.node("Unsqueeze", dimension, net.const([0], np.int64))


def net_of(batch: int | str, *shape: int) -> tuple[Net, str]:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape]))
    return net, net.quant("x", 0.25, 4)


def joined(net: Net, *parts: str | int) -> str:
    names = [part if isinstance(part, str) else net.const([part], np.int64) for part in parts]
    return net.node("Concat", *names, axis=0)


@pytest.mark.parametrize("batch", [1, "N"])
def test_view_of_the_batch_and_the_rest(batch: int | str) -> None:
    """x.view(x.shape[0], -1)"""
    net, x = net_of(batch, 2, 3)
    y = net.node("Reshape", x, joined(net, size(net, x, 0), -1))
    feeds = {"x": np.arange(18).reshape(3, 2, 3).astype(np.float32)}
    assert_conforms(net.model(net.node("MatMul", y, net.const(np.ones((6, 1))))), feeds)


def test_view_of_sizes_times_sizes() -> None:
    """x.view(x.shape[0], x.shape[1] * x.shape[2])"""
    net, x = net_of("N", 2, 3)
    rest = net.node("Mul", size(net, x, 1), size(net, x, 2))
    graph = graph_of(net.model(net.node("Reshape", x, joined(net, size(net, x, 0), rest))))
    assert graph.tensors[graph.outputs[0].tensor].shape == (6,)


@pytest.mark.parametrize("batch", [1, "N", 4])
def test_the_batch_elsewhere_is_refused(batch: int | str) -> None:
    """x.view(1, x.shape[0], -1), which a batch of one would hide."""
    net, x = net_of(batch, 2, 3)
    with pytest.raises(UnsupportedModel, match="does not keep the batch as the first axis"):
        graph_of(net.model(net.node("Reshape", x, joined(net, 1, size(net, x, 0), -1))))


def test_the_batch_as_a_factor_is_refused() -> None:
    """x.view(x.shape[0] * x.shape[1], -1)"""
    net, x = net_of("N", 1, 3)
    rows = net.node("Mul", size(net, x, 0), size(net, x, 0))
    with pytest.raises(UnsupportedModel, match="does not keep the batch"):
        graph_of(net.model(net.node("Reshape", x, joined(net, rows, -1))))


def test_the_batch_in_a_value_is_refused() -> None:
    """x / x.shape[0]"""
    net, x = net_of("N", 2, 3)
    count = net.node("Cast", size(net, x, 0), to=TensorProto.FLOAT)
    with pytest.raises(UnsupportedModel, match="is computed from the batch size"):
        graph_of(net.model(net.node("Div", x, count)))


def test_other_sizes_in_a_value() -> None:
    """x / x.shape[1]"""
    net, x = net_of("N", 2, 3)
    count = net.node("Cast", size(net, x, 1), to=TensorProto.FLOAT)
    feeds = {"x": np.arange(18).reshape(3, 2, 3).astype(np.float32)}
    assert_conforms(net.model(net.node("Div", x, count)), feeds)


@pytest.mark.parametrize("target", [[8, 6], [8, -1], [0, 6], [-1, 6]])
def test_a_declared_batch(target: list[int]) -> None:
    net, x = net_of(8, 2, 3)
    graph = graph_of(net.model(net.shaped(x, *target)))
    assert graph.tensors[graph.outputs[0].tensor].shape == (6,)


@pytest.mark.parametrize("target", [[1, 48], [4, 12], [2, 4, 6], [48]])
def test_a_declared_batch_that_is_broken_up(target: list[int]) -> None:
    net, x = net_of(8, 2, 3)
    with pytest.raises(UnsupportedModel, match="does not keep the batch as the first axis"):
        graph_of(net.model(net.shaped(x, *target)))
