"""QONNX's own executor, in float32, on models where float32 is exact: not one bit may differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from onnx import ModelProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from fpgaflow.sim.run import Simulator
from tests.frontend.test_qonnx import lenet, normal, weight_scale
from tests.models import Net, graph_of, inputs_of
from tests.networks import networks


def executed(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor that a node makes, (N, ...) float32, sample by sample."""
    wrapper = ModelWrapper(model).transform(InferShapes())
    samples = len(next(iter(feeds.values())))
    runs = [
        execute_onnx(wrapper, {name: array[i : i + 1] for name, array in feeds.items()}, return_full_exec_context=True)
        for i in range(samples)
    ]
    made = [name for node in model.graph.node for name in node.output]
    return {name: np.concatenate([run[name] for run in runs]) for name in made if np.shape(runs[0][name])[:1] == (1,)}


def assert_same_bits(model: ModelProto) -> None:
    feeds = inputs_of(model, 0)
    truth = executed(model, feeds)
    simulator = Simulator(graph_of(model))
    predicted = simulator.predict(feeds)
    for port, values in zip(model.graph.output, predicted if isinstance(predicted, list) else [predicted], strict=True):
        assert np.array_equal(values, truth[port.name].astype(np.float64)), port.name
    compared = 0
    for name, values in simulator.trace(feeds).items():
        if name in truth:
            assert np.array_equal(values, truth[name].astype(np.float64)), name
            compared += 1
    assert compared


@given(networks(binary=True))
@settings(max_examples=40)
def test_random_networks(model: ModelProto) -> None:
    assert_same_bits(model)


@pytest.mark.parametrize("mode", ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize("zero", [0, -3])
def test_rounding_modes(mode: str, zero: int) -> None:
    net = Net(4, 5)
    x = net.quant("x", 0.25, 6)
    assert_same_bits(net.model(net.quant(x, [[0.5], [1], [2], [0.25]], 3, zero=zero, mode=mode)))


def test_per_channel_powers_of_two() -> None:
    net = Net(2, 5, 5)
    weights = net.quant(normal(1, 4, 2, 3, 3), weight_scale("powers", 4, 1, 1, 1), 4)
    y = net.node("Conv", net.quant("x", 0.125, 4), weights, net.const(np.arange(4) / 16), strides=[2, 1])
    assert_same_bits(net.model(net.quant(net.node("Relu", y), 0.25, 3, signed=0), y))


def test_lenet_thresholds_agree() -> None:
    """Here float32 rounds in the batch norm, but no input lies so near to a threshold that it shows."""
    model = lenet().model("y")
    feeds = inputs_of(model, 0, 20)
    predicted = Simulator(graph_of(model)).predict(feeds)
    assert np.allclose(predicted, executed(model, feeds)["y"], rtol=1e-6, atol=1e-6)
