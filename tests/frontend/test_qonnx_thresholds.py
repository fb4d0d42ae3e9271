"""MultiThreshold and Trunc, by QONNX's definitions: exact against the oracle, and against QONNX's own executor."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.ir.ops import Cast, Threshold
from fpgaflow.ir.types import FixedType, Rounding
from fpgaflow.sim.run import Simulator
from tests.models import Net, assert_conforms, graph_of, inputs_of

DOMAINS = ("", "onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general")


def thresholds(net: Net, x: str, levels: Any, domain: str = DOMAINS[-1], **attributes: Any) -> str:
    return net.node("MultiThreshold", x, net.const(levels), domain=domain, out_dtype="INT8", **attributes)


def executor_agrees(net: Net, y: str, version: int = 1) -> None:
    """On values that float32 holds exactly; `version` is of QONNX's operators."""
    model = net.model(y)
    model.opset_import[1].version = version
    feeds = inputs_of(model, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(model.SerializeToString())
        theirs = run_qonnx(path, feeds)[y]
    assert np.array_equal(Simulator(graph_of(model)).predict(feeds), theirs.astype(np.float64))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("levels", "attributes"),
    [
        ([[0.0]], {"out_scale": 2.0, "out_bias": -1.0}),
        ([[-0.5, 0.25, 0.25, 1.75]], {}),
        ([[1.0, -1.0, 0.0]], {"out_scale": 0.5, "out_bias": -0.25}),
        ([[-0.7, 0.1, 0.3], [0.0, 0.0, 0.0], [5.0, 6.0, 7.0]], {"out_bias": -4.0}),
        ([[-0.7, 0.1, 0.3]] * 3, {"out_scale": 0.1, "out_bias": -0.3}),
        ([[-1.0, 1.0]], {"out_scale": -0.5, "out_bias": 1.0}),
    ],
)
def test_multithreshold(domain: str, levels: Any, attributes: dict[str, float]) -> None:
    net = Net(3, 2, 2)
    x = net.quant("x", 0.25, 5)
    assert_conforms(net.model(thresholds(net, x, levels, domain, data_layout="NCHW", **attributes)))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "", "NHCW"])
def test_the_channel_axis_of_multithreshold(layout: str) -> None:
    """All axes are as long, so that only the layout tells."""
    net = Net(3, 3, 3)
    x = net.quant("x", 0.25, 5)
    y = thresholds(net, x, [[-1, 0, 2], [0.5, 1, 1.5], [-3, -2, 3]], data_layout=layout)
    assert_conforms(net.model(y))
    executor_agrees(net, y)


def test_three_axes_are_channels_last_unless_said() -> None:
    """As QONNX guesses."""
    net = Net(2, 3)
    x = net.quant("x", 0.25, 5)
    y = thresholds(net, x, [[-1, 0, 2], [0.5, 1, 1.5], [-3, -2, 3]])
    assert_conforms(net.model(y))
    executor_agrees(net, y)


def test_multithreshold_behind_a_batch_norm_of_either_sign() -> None:
    net = Net(4)
    x = net.node("MatMul", net.quant("x", 0.25, 4), net.quant(np.arange(12).reshape(4, 3) - 5.0, 1, 5))
    bn = net.batch_norm(x, [1.5, -0.7, 0.0], [0.1, 0.2, 0.3], [1, 2, 3], [4, 5, 6])
    y = thresholds(net, bn, [[-1, 0, 2], [0.125, 1, 1.5], [-3, 0.3, 3]], out_scale=2.0, out_bias=-3.0)
    assert_conforms(net.model(net.node("MatMul", y, net.const([[1, 2], [-1, 1], [2, 0]]))))


@pytest.mark.parametrize(
    ("levels", "attributes"),
    [
        ([[0.0]], {"out_scale": 2.0, "out_bias": -1.0}),
        ([[-0.75, -0.25, 0.25, 0.75]], {}),
        ([[-0.75, -0.25, 0.25, 0.75]], {"out_bias": -2.0, "out_scale": 0.5}),
    ],
)
def test_multithreshold_as_the_input_s_quantiser(levels: Any, attributes: dict[str, float]) -> None:
    net = Net(3)
    x = net.node("Sub", net.node("Mul", "x", net.const(2)), net.const([0.5]))
    y = thresholds(net, x, levels, **attributes)
    assert_conforms(net.model(net.node("MatMul", y, net.const([[1, 2], [-1, 1], [2, 0]]))))
    executor_agrees(net, y)


@pytest.mark.parametrize(
    ("levels", "attributes", "message"),
    [
        ([0.0, 1.0], {}, r"thresholds \(2,\) for 3 channels"),
        ([[0.0], [1.0]], {}, r"thresholds \(2, 1\) for 3 channels"),
        ([[]], {}, r"thresholds \(1, 0\)"),
        ([[np.nan]], {}, "NaN"),
        ([np.arange(5000)], {}, "5000 thresholds a channel"),
        ([[0.0]], {"out_scale": 0.0}, "an out_scale of 0"),
        ([[0.0]], {"out_bias": np.inf}, "out_bias = inf"),
        ([[0.0]], {"data_layout": "NHWC"}, "data_layout 'NHWC' for a tensor of 2 axes"),
        ([[0.0]], {"data_layout": "CN"}, "data_layout 'CN'"),
    ],
)
def test_multithresholds_that_are_refused(levels: Any, attributes: dict[str, Any], message: str) -> None:
    net = Net(3)
    y = thresholds(net, net.quant("x", 0.25, 5), levels, **attributes)
    with pytest.raises(UnsupportedModel, match=message) as caught:
        graph_of(net.model(y))
    assert caught.value.problem.where == f"node 'n.{y}' (MultiThreshold)"


@pytest.mark.parametrize("levels", [[[0.0, 1.0, 3.0]], [[0.0], [1.0], [2.0]]])
def test_uneven_thresholds_on_the_input_are_refused(levels: Any) -> None:
    net = Net(3)
    with pytest.raises(UnsupportedModel, match="evenly spaced"):
        graph_of(net.model(thresholds(net, "x", levels)))


# Trunc

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def trunc(net: Net, x: str, *parameters: float, **attributes: Any) -> str:
    return net.node("Trunc", x, *map(net.const, parameters), domain=DOMAINS[-1], **attributes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zero", [0, 3])
def test_trunc_with_five_inputs(mode: str, zero: int) -> None:
    net = Net(6)
    x = net.quant("x", 0.125, 6)
    y = trunc(net, x, 0.125, zero, 6, 4, rounding_mode=mode)
    assert_conforms(net.model(y))
    executor_agrees(net, y)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("attributes", [{}, {"narrow": 1}, {"signed": 0}, {"signed": 0, "narrow": 1}])
@pytest.mark.parametrize("bits", [3, 5])
def test_trunc_with_six_inputs(mode: str, attributes: dict[str, int], bits: int) -> None:
    net = Net(6)
    x = net.quant("x", 0.125, 6)
    y = trunc(net, x, 0.125, 0, 6, 0.5, bits, rounding_mode=mode, **attributes)
    assert_conforms(net.model(y))
    executor_agrees(net, y, version=2)


def test_trunc_is_a_shift() -> None:
    net = Net(6)
    y = trunc(net, net.quant("x", 0.125, 6), 0.125, 0, 6, 0.5, 4)
    (op,) = graph_of(net.model(y)).ops
    assert isinstance(op, Cast) and op.rounding is Rounding.TRN
    net = Net(6)
    y = trunc(net, net.quant("x", 0.3, 6), 0.3, 0, 6, 4)
    graph = graph_of(net.model(y))
    (op,) = graph.ops
    assert isinstance(op, Cast) and graph.type_of(op.output) == FixedType(True, 4, -2)


@pytest.mark.parametrize(("scale", "zero"), [(0.3, 0), (0.25, 1), (0.0625, 0)])
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND"])
def test_trunc_of_a_pooled_sum(scale: float, zero: int, mode: str) -> None:
    """As Brevitas' TruncAvgPool2d is written, on its grid and off it."""
    net = Net(2, 4, 4)
    x = net.node("AveragePool", net.quant("x", 0.25, 4), kernel_shape=[2, 2], strides=[2, 2])
    y = trunc(net, net.node("Mul", x, net.const(4)), scale, zero, 6, 4, rounding_mode=mode)
    assert_conforms(net.model(y))


def test_trunc_behind_per_channel_scales_is_by_thresholds() -> None:
    net = Net(2, 3, 3)
    w = net.quant(np.array([1.0, -2.0, 3.0, 1.0]).reshape(2, 2, 1, 1), np.array([0.3, 0.7]).reshape(2, 1, 1, 1), 4)
    y = trunc(net, net.node("Conv", net.quant("x", 0.25, 4), w), 0.07, 0, 12, 0.28, 4)
    graph = assert_conforms(net.model(y))
    assert any(isinstance(op, Threshold) for op in graph.ops)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((-1.0, 0, 6, 4), "a scale that is zero, negative"),
        ((0.25, 0.5, 6, 4), "zero-point"),
        ((0.25, 0, 6.5, 4), "bit width 6.5"),
        ((0.25, 0, 6, 0), "bit width 0"),
        ((0.25, 0, 6, 0.75, 4), "not a power of two apart"),
        ((1e-7, 3, 32, 30), "levels"),
    ],
)
def test_truncs_that_are_refused(parameters: tuple[float, ...], message: str) -> None:
    net = Net(3)
    y = trunc(net, net.quant("x", 0.25, 5), *parameters)
    with pytest.raises(UnsupportedModel, match=message):
        graph_of(net.model(y))


def test_a_quantiser_of_any_domain_without_a_rounding_mode() -> None:
    """And bits behind a Ceil, as Brevitas leaves them."""
    for domain in DOMAINS:
        net = Net(3)
        bits = net.node("Ceil", net.node("Add", net.const(2.5), net.const(1.0)))
        inputs = ("x", net.const(0.5), net.const(0), bits)
        y = net.node("Quant", *inputs, domain=domain, signed=1, narrow=0)
        graph = assert_conforms(net.model(y))
        assert graph.type_of(graph.inputs[0].tensor).width == 4
