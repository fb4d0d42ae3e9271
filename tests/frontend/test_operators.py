"""Operators that choose, move, join, pool and reduce elements, against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from fpgaflow.compare_bits import float32_is_exact
from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.ops import Cast
from fpgaflow.sim.run import Simulator
from tests.models import Net, assert_conforms, graph_of

PENDING = ("nothing", "scale", "channels", "relu")


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def source(net: Net, *shape: int, pending: str = "nothing") -> str:
    """A quantised input, and what the next quantiser has still to close."""
    x = net.quant("x", 0.3 if pending != "nothing" else 0.25, 4)
    if pending == "channels":
        along = (shape[0], *(1,) * (len(shape) - 1))
        x = net.node("Mul", x, net.const(np.linspace(0.5, 2, shape[0]).reshape(along)))
        x = net.node("Add", x, net.const(np.linspace(-1, 1, shape[0]).reshape(along)))
    return net.node("Relu", net.node("Add", x, net.const(0.1))) if pending == "relu" else x


def conforms(net: Net, *outputs: str, opset: int = 17) -> None:
    quantised = [net.quant(y, 0.2, 5) for y in outputs]
    assert_conforms(net.model(*quantised, *outputs, opset=opset))


def ints(net: Net, *values: int) -> str:
    return net.const(values, np.int64)


# Choosing


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [1], [1]),
        ([0, -3], [2**62, -1], [2, 3], [2, 1]),
        ([-1], [-(2**62)], [1], [-1]),
        ([0, 1], [1, 4], [0, 3], [1, 2]),
    ],
)
def test_slice(pending: str, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    net = Net(4, 3, 5)
    x = source(net, 4, 3, 5, pending=pending)
    conforms(net, net.node("Slice", x, *(ints(net, *part) for part in (starts, ends, axes, steps))))


def test_slice_of_opset_9() -> None:
    net = Net(4, 5)
    conforms(net, net.node("Slice", source(net, 4, 5), starts=[1], ends=[3], axes=[1]), opset=9)


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("axis", [1, -1])
def test_split(pending: str, axis: int) -> None:
    net = Net(4, 6)
    parts = ["a", "b"]
    sizes = net.const([1, 3] if axis == 1 else [4, 2], np.int64)
    x = source(net, 4, 6, pending=pending)
    net.nodes.append(helper.make_node("Split", [x, sizes], parts, name="split", axis=axis))
    conforms(net, *parts)


@pytest.mark.parametrize(("opset", "attributes"), [(11, {"split": [1, 3]}), (11, {}), (18, {"num_outputs": 2})])
def test_split_of_other_opsets(opset: int, attributes: dict[str, Any]) -> None:
    net = Net(4, 3)
    net.nodes.append(helper.make_node("Split", [source(net, 4, 3)], ["a", "b"], name="split", axis=1, **attributes))
    conforms(net, "b", "a", opset=opset)


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize(("indices", "axis"), [([2, 0, -1], 1), (1, 1), ([[0, 1], [1, 2]], 2), (-2, -1)])
def test_gather(pending: str, indices: Any, axis: int) -> None:
    net = Net(4, 3, 3)
    x = source(net, 4, 3, 3, pending=pending)
    conforms(net, net.node("Gather", x, net.const(indices, np.int64), axis=axis))


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("pads", [[0, 0, 1, 2, 0, 0, 0, 1], [0, 1, 0, 1, 0, 2, 1, 0], [0, 0, -1, 1, 0, 0, 1, -1]])
@pytest.mark.parametrize("value", [None, 0.5, -3.0, 0.1, 1000.0])
def test_padding_with_a_constant(pending: str, pads: list[int], value: float | None) -> None:
    net = Net(3, 4, 4)
    x = source(net, 3, 4, 4, pending=pending)
    conforms(net, net.node("Pad", x, ints(net, *pads), *([] if value is None else [net.const(value)])))


@pytest.mark.parametrize("pending", ["nothing", "channels"])
@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [[0, 0, 1, 2, 0, 0, 0, 1], [0, 1, 0, 1, 0, 2, 1, 0]])
def test_padding_with_elements(pending: str, mode: str, pads: list[int]) -> None:
    net = Net(3, 4, 4)
    x = source(net, 3, 4, 4, pending=pending)
    conforms(net, net.node("Pad", x, ints(net, *pads), mode=mode), opset=19)


def test_padding_of_opset_2() -> None:
    net = Net(3, 4)
    conforms(net, net.node("Pad", source(net, 3, 4), pads=[0, 0, 1, 0, 1, 0], value=1.5, mode="constant"), opset=9)


def test_padding_before_a_convolution_lies_channels_last() -> None:
    net = Net(2, 4, 4)
    y = net.node("Conv", net.quant("x", 0.25, 4), net.quant(normal(1, 3, 2, 2, 2), 0.2, 3))
    y = net.node("Pad", net.quant(y, 0.3, 4), ints(net, 0, 0, 1, 1, 0, 0, 1, 1))
    y = net.node("Conv", net.node("Resize", y, "", net.const([1, 1, 2, 2])), net.quant(normal(2, 2, 3, 2, 2), 0.2, 3))
    graph = assert_conforms(net.model(net.quant(y, 0.5, 4)))
    assert [type(op).__name__ for op in graph.ops].count("Transpose") <= 2


# Moving


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(pending: str, mode: str) -> None:
    net = Net(8, 2, 3)
    conforms(net, net.node("DepthToSpace", source(net, 8, 2, 3, pending=pending), blocksize=2, mode=mode))


@pytest.mark.parametrize("pending", PENDING)
def test_space_to_depth(pending: str) -> None:
    net = Net(3, 4, 6)
    conforms(net, net.node("SpaceToDepth", source(net, 3, 4, 6, pending=pending), blocksize=2))


def test_pixel_shuffle_at_the_end() -> None:
    """As super-resolution models end: real channel scales and biases under a DepthToSpace."""
    net = Net(2, 3, 3)
    scale = (0.1 + 0.07 * np.arange(4)).reshape(4, 1, 1, 1)
    y = net.node("Conv", net.quant("x", 0.3, 4), net.quant(normal(1, 4, 2, 2, 2), scale, 3), net.const(normal(2, 4)))
    assert_conforms(net.model(net.node("DepthToSpace", y, blocksize=2)))


PLACES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("scales", [(2.0, 3.0), (0.6, 1.5)])
def test_resize(place: str, nearest: str, scales: tuple[float, float]) -> None:
    net = Net(2, 5, 4)
    x = source(net, 2, 5, 4, pending="channels")
    modes = {"coordinate_transformation_mode": place, "nearest_mode": nearest}
    conforms(net, net.node("Resize", x, "", net.const([1, 1, *scales]), mode="nearest", **modes), opset=19)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("scales", [(2.0, 3.0), (0.6, 1.5), (1.0, 1.0)])
@pytest.mark.parametrize("pending", PENDING)
def test_interpolation(place: str, scales: tuple[float, float], pending: str) -> None:
    net = Net(2, 5, 4)
    modes = {"coordinate_transformation_mode": place, "mode": "linear"}
    y = net.node("Resize", source(net, 2, 5, 4, pending=pending), "", net.const([1, 1, *scales]), **modes)
    conforms(net, y, opset=19)


def test_interpolation_across_its_channels() -> None:
    """Between channels with scales of their own, those are made one first."""
    net = Net(2, 3, 4)
    y = net.node("Mul", net.quant("x", 0.25, 4), net.const(np.array([0.5, 2]).reshape(2, 1, 1)))
    y = net.node("Resize", y, "", net.const([1, 2, 1, 1]), mode="linear")
    conforms(net, y, opset=19)


def test_bilinear_upsampling_as_torch_exports_it() -> None:
    """By 2, on powers of two: nothing but shifts, so that QONNX's executor has the same bits."""
    net = Net(2, 3, 4)
    x = net.quant("x", 0.25, 4)
    y = net.node("Resize", x, "", net.const([1, 1, 2, 2]), mode="linear", coordinate_transformation_mode="half_pixel")
    y = net.node("Conv", net.quant(y, 0.25, 4), net.quant(normal(1, 3, 2, 3, 3), 0.25, 3))
    model = net.model(net.quant(y, 0.5, 4), opset=17)
    graph = assert_conforms(model)
    assert float32_is_exact(graph)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mode": "cubic"}, "interpolates by mode 'cubic'"),
        ({"mode": "linear", "exclude_outside": 1}, "lies outside"),
        ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, "aligns the corners of 12.5 places"),
    ],
)
def test_interpolations_that_are_refused(attributes: dict[str, Any], message: str) -> None:
    net = Net(2, 5, 4)
    y = net.node("Resize", source(net, 2, 5, 4), "", net.const([1, 1, 2.5, 2]), **attributes)
    with pytest.raises(UnsupportedModel, match=message):
        graph_of(net.model(y, opset=19))


@pytest.mark.parametrize("sizes", [(7, 3), (1, 8), (5, 4)])
def test_resize_to_sizes(sizes: tuple[int, int]) -> None:
    net = Net(2, 5, 4)
    none = net.const(np.zeros(0))
    y = net.node("Resize", source(net, 2, 5, 4), none, none, ints(net, 1, 2, *sizes), mode="nearest")
    conforms(net, y, opset=11)


@pytest.mark.parametrize(("kind", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample_of_older_opsets(kind: str, opset: int, mode: str) -> None:
    net = Net(2, 3, 4)
    conforms(net, net.node(kind, source(net, 2, 3, 4), net.const([1, 1, 2, 2.5]), mode=mode), opset=opset)


# Pooling


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "pads": [1, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 3], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 0, 0]},
        {"kernel_shape": [2, 2], "dilations": [2, 1], "strides": [1, 2], "pads": [1, 0, 1, 0]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_pooling_windows(pending: str, kind: str, attributes: dict[str, Any]) -> None:
    net = Net(2, 5, 5)
    given = {k: v for k, v in attributes.items() if kind == "AveragePool" or k != "count_include_pad"}
    y = net.node(kind, source(net, 2, 5, 5, pending=pending), **given)
    assert_conforms(net.model(net.quant(y, 0.2, 5), net.quant(y, 0.01, 10), opset=19))


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize(("axes", "keepdims"), [([2, 3], 1), ([-1], 1), ([-2, -1], 0), ([1], 0), ([1, 3], 1)])
def test_reductions(pending: str, kind: str, axes: list[int], keepdims: int) -> None:
    net = Net(2, 3, 5)
    conforms(net, net.node(kind, source(net, 2, 3, 5, pending=pending), axes=axes, keepdims=keepdims), opset=11)


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax"])
def test_reductions_of_opset_18(kind: str) -> None:
    net = Net(2, 3, 5)
    conforms(net, net.node(kind, source(net, 2, 3, 5), ints(net, 1, 2)), opset=18)


# Indices


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("attributes", [{"axis": 1}, {"axis": 2, "keepdims": 0}, {"axis": -1, "select_last_index": 1}])
def test_places_of_extremes(pending: str, kind: str, attributes: dict[str, int]) -> None:
    """Of 4 bits, so that the greatest comes often more than once."""
    net = Net(5, 6)
    assert_conforms(net.model(net.node(kind, source(net, 5, 6, pending=pending), **attributes)))


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize(("k", "attributes"), [(1, {}), (3, {"axis": 1}), (4, {"largest": 0})])
def test_largest_entries(pending: str, k: int, attributes: dict[str, int]) -> None:
    net = Net(5, 6)
    x = source(net, 5, 6, pending=pending)
    net.nodes.append(helper.make_node("TopK", [x, ints(net, k)], ["values", "places"], name="top", **attributes))
    assert_conforms(net.model("values", "places"))


ONE_NUMBER: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "ArgMax": ((), {"axis": 1, "keepdims": 0}),
    "ArgMin": ((), {"axis": -1, "keepdims": 0}),
    "ReduceSum": ((1,), {"keepdims": 0}),
    "ReduceMax": ((), {"axes": [1], "keepdims": 0}),
}


@pytest.mark.parametrize("kind", ONE_NUMBER)
@pytest.mark.parametrize("pending", PENDING)
def test_one_number_a_sample(kind: str, pending: str) -> None:
    """The model's output has the shape (N,)."""
    net = Net(6)
    axes, attributes = ONE_NUMBER[kind]
    y = net.node(kind, source(net, 6, pending=pending), *([ints(net, *axes)] if axes else []), **attributes)
    graph = assert_conforms(net.model(y))
    assert Simulator(graph).predict(np.zeros((7, 6))).shape == (7,)


def test_one_number_that_gets_its_axis_back() -> None:
    net = Net(6)
    y = net.node("ReduceSum", source(net, 6), ints(net, 1), keepdims=0)
    y = net.node("MatMul", net.node("Reshape", y, ints(net, -1, 1)), net.quant(normal(1, 1, 2), 0.25, 3))
    z = net.node("Unsqueeze", net.node("Gather", source(net, 6), net.const(3, np.int64), axis=1), ints(net, 1))
    assert_conforms(net.model(y, z, net.node("Squeeze", z, ints(net, 1))))


def test_one_number_in_another_operator_is_refused() -> None:
    net = Net(6)
    y = net.node("Add", net.node("ReduceSum", source(net, 6), ints(net, 1), keepdims=0), net.const(0.5))
    with pytest.raises(UnsupportedModel, match=r"\(Add\): reads one number a sample"):
        graph_of(net.model(y))


# Products


@pytest.mark.parametrize("rank", [2, 3])
def test_product_of_two_activations(rank: int) -> None:
    net = Net(*(2, 3, 4)[3 - rank :])
    x = source(net, 3, 4)
    y = net.node("Transpose", net.quant(x, 0.3, 4), perm=[0, 2, 1] if rank == 2 else [0, 1, 3, 2])
    conforms(net, net.node("MatMul", x, y))


def test_product_with_a_repeated_axis() -> None:
    net = Net(2, 3, 4)
    x = source(net, 2, 3, 4)
    one = net.node("Slice", net.node("Transpose", x, perm=[0, 1, 3, 2]), *(ints(net, n) for n in (0, 1, 1)))
    conforms(net, net.node("MatMul", x, one))


@pytest.mark.parametrize("scale", [0.3, [[0.1], [0.2], [0.3]]])
def test_constants_on_the_left(scale: Any) -> None:
    net = Net(4, 5)
    conforms(net, net.node("MatMul", net.quant(normal(1, 3, 4), scale, 4), source(net, 4, 5)))


def test_matrices_with_leading_ones() -> None:
    net = Net(2, 4, 5)
    conforms(net, net.node("MatMul", source(net, 2, 4, 5), net.quant(normal(1, 1, 1, 5, 3), 0.3, 4)))


@pytest.mark.parametrize(
    ("shape", "weights", "attributes"),
    [
        ((3, 4, 5), (3, 2, 3, 2), {}),
        ((3, 4, 4), (3, 2, 2, 2), {"strides": [2, 2]}),
        ((3, 3, 4), (3, 2, 3, 3), {"strides": [2, 3], "pads": [1, 0, 2, 1], "output_padding": [1, 2]}),
        ((4, 3, 3), (4, 2, 3, 3), {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((2, 4, 4), (2, 3, 2, 2), {"dilations": [2, 1], "strides": [1, 2]}),
        ((2, 3, 3), (2, 2, 2, 2), {"strides": [3, 3]}),
        ((2, 5), (2, 3, 4), {"strides": [2], "pads": [3, 3]}),
    ],
)
@pytest.mark.parametrize("channels", [False, True])
def test_transposed_convolution(
    shape: tuple[int, ...], weights: tuple[int, ...], attributes: dict[str, Any], channels: bool
) -> None:
    net = Net(*shape)
    filters = weights[1] * attributes.get("group", 1)
    scale = (0.1 + 0.05 * np.arange(weights[1])).reshape(1, -1, *(1,) * (len(shape) - 1)) if channels else 0.3
    w = net.quant(normal(1, *weights), scale, 4)
    conforms(net, net.node("ConvTranspose", source(net, *shape), w, net.const(normal(2, filters)), **attributes))


# What stays refused


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "message"),
    [
        ("Slice", ([0], [1], [0], [2]), {}, "Leave the batch axis alone"),
        ("Slice", ([3], [3], [1]), {}, "leaves nothing over"),
        ("Slice", ([0], [1], [1], [0]), {}, "slices from"),
        ("Gather", ([9],), {"axis": 1}, r"indices \[9\] of 4 entries"),
        ("Gather", ([0],), {"axis": 0}, "Leave the batch axis alone"),
        ("Pad", ([0, 0, 9, 0, 0, 0],), {"mode": "reflect"}, "reflects more elements"),
        ("Pad", ([1, 0, 0, 0, 0, 0],), {}, "Leave the batch axis alone"),
        ("Pad", ([0, 0, 2**40, 0, 0, 0],), {}, "too large"),
        ("ReduceMean", (), {"axes": [0]}, "Leave the batch axis alone"),
        ("ReduceMean", (), {}, "reduces the batch"),
        ("TopK", ([9],), {}, "the 9 largest of 5"),
        ("Concat", (), {"axis": 0}, None),
    ],
)
def test_refusals(kind: str, inputs: tuple[Any, ...], attributes: dict[str, Any], message: str | None) -> None:
    net = Net(4, 5)
    x = source(net, 4, 5)
    y = net.node(kind, x, *(ints(net, *values) for values in inputs), **attributes)
    if message is None:
        assert_conforms(net.model(y))
        return
    with pytest.raises(UnsupportedModel, match=message):
        graph_of(net.model(y, opset=17))


@pytest.mark.parametrize("kind", ["Slice", "Sigmoid", "LeakyRelu"])
def test_what_reads_the_input_before_a_quantiser_is_refused(kind: str) -> None:
    net = Net(4)
    inputs = [ints(net, 0), ints(net, 2), ints(net, 1)] if kind == "Slice" else []
    with pytest.raises(UnsupportedModel, match=rf"\({kind}\).*Quantise the input first"):
        graph_of(net.model(net.quant(net.node(kind, "x", *inputs), 0.5, 4)))


# Elementwise


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("kind", ["Max", "Min"])
@pytest.mark.parametrize("bound", [0.3, [[0.3], [-0.1], [0.7]], [0.1, 0.2, 0.3, 0.4]])
def test_constant_bounds(pending: str, kind: str, bound: Any) -> None:
    net = Net(3, 4)
    x = source(net, 3, 4, pending=pending)
    if pending == "channels" and np.ndim(bound) == 1:
        with pytest.raises(UnsupportedModel, match="two different axes"):
            graph_of(net.model(net.node(kind, x, net.const(bound))))
        return
    conforms(net, net.node(kind, net.const(bound), x))


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-0.7, 0.3), (None, 1.1), (-1.0, None)])
def test_clip(pending: str, low: float | None, high: float | None) -> None:
    net = Net(3, 4)
    bounds = ["" if bound is None else net.const(bound) for bound in (low, high)]
    conforms(net, net.node("Clip", source(net, 3, 4, pending=pending), *bounds))
    net = Net(3, 4)
    attributes = {name: bound for name, bound in (("min", low), ("max", high)) if bound is not None}
    conforms(net, net.node("Clip", source(net, 3, 4, pending=pending), **attributes), opset=10)


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("Abs", {}),
        ("Neg", {}),
        ("HardSigmoid", {}),
        ("HardSigmoid", {"alpha": 0.25, "beta": 0.3}),
        ("HardSwish", {}),
        ("LeakyRelu", {}),
        ("LeakyRelu", {"alpha": 0.125}),
        ("LeakyRelu", {"alpha": -0.5}),
    ],
)
def test_exact_activations(pending: str, kind: str, attributes: dict[str, float]) -> None:
    net = Net(3, 4)
    y = net.node(kind, source(net, 3, 4, pending=pending), **attributes)
    if kind == "HardSwish" and pending == "channels":
        with pytest.raises(UnsupportedModel, match="more than 64 bits"):
            conforms(net, y, opset=19)
    else:
        conforms(net, y, opset=19)


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("slope", [0.3, [[0.1], [0.25], [0.0]], [[-1.5], [0.0], [2.0]]])
def test_prelu(pending: str, slope: Any) -> None:
    net = Net(3, 4)
    conforms(net, net.node("PRelu", source(net, 3, 4, pending=pending), net.const(slope)))


def test_activations_without_a_quantiser_go_into_the_next_convolution() -> None:
    """A leaky ReLU and a hard swish before a layer that needs integers."""
    net = Net(3, 4)
    x = net.node("LeakyRelu", source(net, 3, 4), alpha=0.125)
    y = net.node("MatMul", x, net.quant(normal(1, 4, 3), 0.2, 4))
    graph = assert_conforms(net.model(net.quant(y, 0.25, 5)))
    assert not any(isinstance(op, Cast) and op.node == "n.leakyrelu1" for op in graph.ops)


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4)])
def test_constants_along_several_axes(pending: str, kind: str, first: bool, shape: tuple[int, ...]) -> None:
    """As a position embedding: a quantised one, whose entries share a scale."""
    net = Net(3, 4)
    x, constant = source(net, 3, 4, pending=pending), net.quant(normal(5, *shape), 0.3, 5)
    conforms(net, net.node(kind, *([x, constant] if first else [constant, x])))
