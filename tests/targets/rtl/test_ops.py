"""Every op as a layer in Amaranth's simulator, its streams stalling at random, against the kernel of its op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.boards import load_board
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Op
from fpgaflow.ir.ops_merge import (
    Concat,
    Divide,
    Elementwise,
    ElementwiseKind,
    Embed,
    MatMul,
    OrderedDense,
    OrderedSum,
    Pad,
    Patches,
    Take,
)
from fpgaflow.ir.ops_table import CastEach, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type, patches_shape
from fpgaflow.ir.verify_table import piecewise_type
from fpgaflow.targets.rtl.accumulate import Accumulate, TreeSum
from fpgaflow.targets.rtl.folding import Fold
from fpgaflow.targets.rtl.generate import check_rtl
from fpgaflow.targets.rtl.layers import CARRIED, is_free
from fpgaflow.targets.rtl.limits import beyond
from fpgaflow.targets.rtl.reorder import Reorder
from fpgaflow.targets.rtl.splice import Keep
from tests.conformance.test_ops_on_targets import NAMED, REFUSED
from tests.frontend.hls4ml_layer_groups import GROUPS
from tests.frontend.hls4ml_nets import Net as Hls4mlNet
from tests.frontend.test_hls4ml_activations import branch, softmax
from tests.graphs import Maker
from tests.graphs_more import ADDERS
from tests.targets.hls.hls_graphs import S6, Net
from tests.targets.rtl.harness import assert_layer, assert_op, single_ops

S5, S7 = FixedType(True, 5, 2), FixedType(True, 7, 3)
INTERVALS = (1, 10, 100, 1 << 20)


def _only(maker: Maker) -> Graph:
    """A graph of the maker's only op."""
    (op,), graph = maker.ops, maker.graph(dead=True)
    inputs = tuple(port for port in graph.inputs if port.tensor in op.inputs)
    tensors = {name: graph.tensors[name] for name in (*op.inputs, op.output)}
    return replace(graph, inputs=inputs, tensors=tensors, outputs=(replace(graph.outputs[0], tensor=op.output),))


@pytest.mark.parametrize("add", ADDERS, ids=lambda add: add.__name__)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_random_ops(add: Callable[[Maker, str], None], data: st.DataObject) -> None:
    maker = Maker(data.draw, data.draw(st.sampled_from([(1, 8), (10, 26), (56, 70)])))
    add(maker, "x0")
    assert_op(_only(maker), data.draw(st.sampled_from(INTERVALS)), seed=data.draw(st.integers(0, 9)))


@pytest.mark.parametrize("name", NAMED)
def test_the_conformance_cases(name: str) -> None:
    net = Net()
    NAMED[name](net)
    for graph in single_ops(net.graph()):
        if not is_free(graph.ops[0], graph):
            assert_op(graph, 64, samples=2)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_what_hls_refuses_is_computed_here(kind: type[Op]) -> None:
    graph = REFUSED[kind][0]()
    assert not check_rtl(graph, load_board("pynq-z2"))
    assert_op(graph, 1)


def _softmaxes(net: Hls4mlNet, few: bool) -> None:
    for implementation in ("stable", "latency", "legacy", "argmax"):
        shape = (7,) if implementation == "legacy" else (2, 7)
        types = {"result": "ap_fixed<12,4>", "TableSize": 64}
        branch(net, implementation, "ap_fixed<8,3>", shape, softmax(implementation), types)


@pytest.mark.slow
@pytest.mark.parametrize("group", [*GROUPS, "softmax"])
def test_the_ops_of_hls4mls_layers(group: str, tmp_path: Path) -> None:
    net = Hls4mlNet("io_parallel")
    (GROUPS | {"softmax": _softmaxes})[group](net, True)
    for graph in single_ops(from_hls4ml(net.model(tmp_path))):
        (op,) = graph.ops
        assert isinstance(op, CARRIED) and not beyond(op, graph)
        if not is_free(op, graph) and sum(prod(tensor.shape) for tensor in graph.tensors.values()) < 800:
            assert_op(graph, 100, samples=2)


CONCATS = [([(4,), (2,)], 0), ([(2, 3, 4), (2, 3, 2)], 2), ([(2, 3, 4), (2, 1, 4)], 1), ([(1, 6), (3, 6), (2, 6)], 0)]


@pytest.mark.parametrize(("shapes", "axis"), CONCATS)
@pytest.mark.parametrize("interval", [1, 1 << 20])
def test_concat(shapes: Sequence[tuple[int, ...]], axis: int, interval: int) -> None:
    net = Net()
    inputs = [net.input(shape, S6) for shape in shapes]
    joined = tuple(sum(s[axis] for s in shapes) if n == axis else size for n, size in enumerate(shapes[0]))
    net.output(net.op(Concat, inputs, joined, S6, axis=axis))
    assert_op(net.graph(), interval)


@pytest.mark.parametrize(
    ("left", "right"), [((3, 4), (4, 6)), ((2, 2, 5), (2, 5, 3)), ((1, 1), (1, 1)), ((4, 1), (1, 4))]
)
@pytest.mark.parametrize("interval", INTERVALS)
def test_a_product_of_two_activations(left: tuple[int, ...], right: tuple[int, ...], interval: int) -> None:
    net = Net()
    a, b = net.input(left, S5), net.input(right, FixedType(False, 4, 3))
    result = matmul_type(net.type(a), net.type(b), left[-1])
    net.output(net.op(MatMul, [a, b], (*left[:-1], right[-1]), result))
    assert_op(net.graph(), interval, samples=4)


@pytest.mark.parametrize(
    ("shape", "axis", "indices", "kind"),
    [
        ((4, 6), 1, [1, 2, 3], Keep),
        ((2, 8), 1, [4, 5, 6, 7], Keep),
        ((6, 4), 0, [0, 2, 4], Keep),
        ((2, 3, 2), 1, [0, 0, 1, 1, 2, 2], Reorder),  # an image of twice the height
        ((3, 4), 1, [3, 2, 1, 0], Reorder),
        ((3, 4), 0, [2, 2, 0], Reorder),
    ],
)
@pytest.mark.parametrize("interval", [1, 1 << 20])
def test_take(shape: tuple[int, ...], axis: int, indices: list[int], kind: type, interval: int) -> None:
    net = Net()
    result = (*shape[:axis], len(indices), *shape[axis + 1 :])
    net.output(net.op(Take, [net.input(shape, S6)], result, S6, {"indices": indices}, axis=axis))
    graph = net.graph()
    fold = assert_op(graph, interval)
    layer = assert_layer(graph, fold)
    assert any(isinstance(stage, kind) for _, stage in layer.stages)


def test_neighbours_that_stay_together_travel_together() -> None:
    net = Net()
    net.output(net.op(Take, [net.input((2, 8), S6)], (2, 4), S6, {"indices": [4, 5, 6, 7]}, axis=1))
    assert assert_op(net.graph(), 1) == Fold(4, 4, 4)
    net = Net()
    padding = {"padding": ((0, 0), (4, 8)), "value": -3}
    net.output(net.op(Pad, [net.input((2, 4), S6)], (2, 16), S6, **padding))
    assert assert_op(net.graph(), 1) == Fold(4, 4, 8)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_embed(lanes: int) -> None:
    net = Net()
    table = net.rng.integers(-32, 32, (8, 6))
    net.output(net.op(Embed, [net.input((2, 2), FixedType(False, 3, 0))], (2, 2, 6), S6, {"table": table}))
    assert_layer(net.graph(), Fold(1, lanes, 1), lanes=[2])


MODES = [
    (Rounding.TRN, Overflow.WRAP),
    (Rounding.RND, Overflow.SAT),
    (Rounding.RND_CONV, Overflow.SAT_SYM),
    (Rounding.TRN_ZERO, Overflow.SAT_ZERO),
]


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
@pytest.mark.parametrize("shape", [(5, 4), (3, 1), (2, 7, 2)])
def test_sums_in_order(shape: tuple[int, ...], rounding: Rounding, overflow: Overflow) -> None:
    accum = FixedType(True, 6, 1)
    for bias in (None, np.arange(shape[-1]) - 2):
        net = Net()
        constants = {} if bias is None else {"bias": bias}
        fields = {"tree": False, "rounding": rounding, "overflow": overflow} | ({} if constants else {"bias": None})
        result = (*shape[:-2], shape[-1])
        net.output(net.op(OrderedSum, [net.input(shape, S7)], result, accum, constants, **fields))
        for interval in (1, 1 << 20):
            assert_op(net.graph(), interval)


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("taps", [1, 2, 7])
def test_sums_as_a_tree(taps: int, overflow: Overflow) -> None:
    fields = {"tree": True, "rounding": Rounding.TRN, "overflow": overflow, "bias": None}
    net = Net()
    net.output(net.op(OrderedSum, [net.input((2, taps, 3), S7)], (2, 3), S7, **fields))
    graph = net.graph()
    layer = assert_layer(graph, assert_op(graph, 1))
    never_clamped = overflow is Overflow.WRAP or (taps == 1 and overflow is not Overflow.SAT_SYM)
    kind = Accumulate if never_clamped else TreeSum
    assert any(isinstance(stage, kind) for _, stage in layer.stages)


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
@pytest.mark.parametrize(
    ("source", "weights", "bias"),
    [
        ((5,), (5, 4), (4,)),
        ((3, 5), (5, 4), (4,)),
        ((3, 2), (2, 4), (3, 4)),
        ((2, 3, 4), (2, 4, 2), (2,)),
        ((2, 3, 4), (2, 4, 2), (2, 1, 2)),
        ((2, 3, 4), (2, 4, 2), None),
    ],
)
def test_products_in_order(
    source: tuple[int, ...],
    weights: tuple[int, ...],
    bias: tuple[int, ...] | None,
    rounding: Rounding,
    overflow: Overflow,
) -> None:
    net = Net()
    accum, weight_type = FixedType(True, 7, 2), FixedType(True, 4, 3)
    constants = {"weights": net.rng.integers(-8, 8, weights)}
    fields = {"weight_type": weight_type, "rounding": rounding, "overflow": overflow, "bias": None}
    if bias is not None:
        constants["bias"] = net.rng.integers(-20, 20, bias)
        del fields["bias"]
    result = (*source[:-1], weights[-1])
    net.output(net.op(OrderedDense, [net.input(source, S5)], result, accum, constants, **fields))
    for interval in (1, 1 << 20):
        assert_op(net.graph(), interval, samples=2)


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
def test_a_type_for_each_element(rounding: Rounding, overflow: Overflow) -> None:
    net = Net()
    shape, result = (2, 6), FixedType(True, 9, 4)
    kinds = np.array([(1, 4, 2), (0, 3, 1), (1, 6, 4), (0, 0, 0), (1, 1, 0)]).T
    types = kinds[:, net.rng.integers(0, kinds.shape[1], shape)]
    fields = {"rounding": rounding, "overflow": overflow}
    net.output(net.op(CastEach, [net.input(shape, S7)], shape, result, {"types": types}, **fields))
    for interval in (1, 1 << 20):
        assert_op(net.graph(), interval, samples=5)


@pytest.mark.parametrize("type_", [FixedType(True, 1, 0), FixedType(False, 3, 0), FixedType(True, 6, 2)])
def test_every_quotient(type_: FixedType) -> None:
    """Every integer over divisors that are no powers of two, and some that are."""
    divisors = np.array([1, 2, 3, 7, 9, 25, 64, 1000])
    values = np.arange(type_.low, type_.high + 1)
    net = Net()
    shape = (len(values), len(divisors))
    net.output(net.op(Divide, [net.input(shape, type_)], shape, type_, {"divisors": divisors}))
    assert_op(net.graph(), 1, samples=2)


def test_a_prelu_of_each_channel() -> None:
    net = Net()
    slopes, offsets = np.stack([np.arange(-3, 3), np.full(6, 4)], axis=-1), np.zeros((6, 2), np.int64)
    result = piecewise_type(S6, np.array([0]), slopes, offsets, S6.fraction + 2)
    constants = {"knots": [0], "slopes": slopes, "offsets": offsets}
    net.output(net.op(Piecewise, [net.input((3, 6), S6)], (3, 6), result, constants))
    for interval in INTERVALS:
        assert_op(net.graph(), interval)


@pytest.mark.parametrize(("size", "lanes"), [(1, 1), (5, 1), (5, 5), (6, 1), (6, 2), (6, 3)])
def test_the_first_maximum(size: int, lanes: int) -> None:
    net = Net()
    net.output(net.op(OneHotMax, [net.input((4, size), FixedType(True, 2, 0))], (4, size), FixedType(False, 2, 0)))
    assert_layer(net.graph(), Fold(lanes, lanes, 1), samples=10)


def test_patches() -> None:
    net = Net()
    shape = patches_shape((4, 5, 4), (2, 3), (2, 1))
    net.output(net.op(Patches, [net.input((4, 5, 4), S6)], shape, S6, size=(2, 3), strides=(2, 1)))
    graph = net.graph()
    for interval in (prod(shape), prod(shape) // 4):
        assert assert_op(graph, interval).cycles == interval


@pytest.mark.parametrize("kind", ElementwiseKind)
def test_a_tensor_with_itself(kind: ElementwiseKind) -> None:
    net = Net()
    x = net.input((6,), S5)
    net.output(net.op(Elementwise, [x, x], (6,), elementwise_type(kind, S5, S5), kind=kind))
    assert_op(net.graph(), 1)
