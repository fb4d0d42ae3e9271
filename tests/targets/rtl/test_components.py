"""Each component in Amaranth's simulator, its streams stalling at random, against the kernel of its op."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Op, PoolKind
from fpgaflow.ir.ops_merge import Elementwise, ElementwiseKind
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.targets.rtl.folding import Fold, fold_for
from fpgaflow.targets.rtl.layers import layer_of
from fpgaflow.targets.rtl.rom import divisors
from fpgaflow.targets.rtl.stream import Beat
from fpgaflow.targets.rtl.threshold import Search
from tests.graphs import fixed_types, one_op
from tests.targets.hls.hls_graphs import S6, U4, Net
from tests.targets.rtl.harness import as_beats, assert_layer, elements_of, expected, run_stage


def one(op: Op, source: FixedType, result: FixedType, shape: tuple[int, ...] = (6,), **constants: object) -> Graph:
    return one_op(op, source, shape, result, shape, **constants)


@settings(max_examples=40)
@given(fixed_types(1, 9, (-2, 9)), fixed_types(1, 9, (-2, 9)), st.sampled_from(Rounding), st.sampled_from(Overflow))
def test_casts(source: FixedType, result: FixedType, rounding: Rounding, overflow: Overflow) -> None:
    op = Cast("c", ("x",), "y", "c", rounding, overflow)
    graph = one(op, source, result, (24,))
    assert_layer(graph, Fold(8, 8, 3), [8])


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("signed", [False, True])
def test_a_cast_of_every_integer(rounding: Rounding, overflow: Overflow, signed: bool) -> None:
    source, result = FixedType(True, 6, 3), FixedType(signed, 3, 1)
    graph = one(Cast("c", ("x",), "y", "c", rounding, overflow), source, result, (64,))
    layer = layer_of(graph.ops[0], graph, Fold(64, 64, 1), [Beat(64, 6)], 1)
    codes = np.arange(-32, 32)
    (found,) = run_stage(layer, as_beats(codes.tolist(), Beat(64, 6)), 1, stall=0.0)
    want = [int(value) & 7 for value in expected(graph, codes[None]).ravel()]
    assert elements_of([found], layer.result) == want


def _linear(draw: st.DrawFn, net: Net, x: str) -> None:
    weights = draw(fixed_types(1, 5, (0, 5)))
    bias = draw(st.one_of(st.none(), fixed_types(2, 8, (0, 8))))
    accum = draw(st.one_of(st.none(), fixed_types(3, 9, (-1, 7))))
    net.dense(x, draw(st.integers(1, 6)), weights, bias, accum)


@settings(max_examples=40)
@given(st.data())
def test_dense_of_every_folding(data: st.DataObject) -> None:
    net = Net(np.random.default_rng(data.draw(st.integers(0, 99))))
    shape = data.draw(st.sampled_from([(6,), (8,), (2, 4), (1,), (12,)]))
    _linear(data.draw, net, net.input(shape, data.draw(fixed_types(1, 6, (0, 4)))))
    net.output(net.ops[-1].output)
    graph = net.graph()
    weights = graph.constants[net.ops[0].weights]
    simd, pe = (data.draw(st.sampled_from(divisors(size))) for size in weights.shape)
    assert_layer(graph, Fold(simd, pe, 1, simd), [data.draw(st.sampled_from(divisors(shape[-1])))])


CONVS = [
    {"shape": (4, 3, 3), "filters": 4, "kernel": (3, 3), "padding": ((1, 1), (1, 1))},
    {"shape": (6, 7, 2), "filters": 3, "kernel": (3, 2), "strides": (2, 3), "padding": ((1, 0), (0, 2))},
    {"shape": (7, 7, 2), "filters": 2, "kernel": (2, 3), "dilations": (3, 2)},
    {"shape": (4, 4, 4), "filters": 6, "kernel": (2, 2), "groups": 2},
    {"shape": (5, 4, 3), "filters": 3, "kernel": (3, 3), "groups": 3, "padding": ((1, 1), (1, 1))},
    {"shape": (4, 4, 2), "filters": 4, "kernel": (2, 2), "groups": 2, "strides": (2, 2)},
    {"shape": (9, 2), "filters": 3, "kernel": (3,), "padding": ((2, 1),), "strides": (2,)},
    {"shape": (8, 4), "filters": 4, "kernel": (3,), "groups": 4, "dilations": (2,)},
    {"shape": (3, 4, 4), "filters": 3, "kernel": (1, 1)},
    {"shape": (5, 1, 2), "filters": 2, "kernel": (3, 1)},
    {"shape": (4, 4, 2), "filters": 2, "kernel": (1, 1), "strides": (2, 2)},
]


@pytest.mark.parametrize(
    ("case", "interval"), [*((case, 40) for case in CONVS), (CONVS[3], 1), (CONVS[1], 1 << 20)], ids=str
)
def test_conv(case: dict[str, object], interval: int) -> None:
    net = Net()
    arguments = dict(case)
    net.output(net.conv(net.input(arguments.pop("shape"), S6), **arguments))
    graph = net.graph()
    assert_layer(graph, fold_for(graph, interval).folds["conv0"], samples=2)


POOLS = [
    {"shape": (6, 6, 4), "size": (2, 2)},
    {"shape": (5, 7, 2), "size": (3, 2), "strides": (1, 2)},
    {"shape": (9, 3), "size": (3,)},
    {"shape": (3, 3, 6), "size": (3, 3)},
]


@pytest.mark.parametrize("kind", PoolKind)
@pytest.mark.parametrize(("case", "interval"), [*zip(POOLS, (1, 1 << 20, 1, 20), strict=True)], ids=str)
def test_pool(kind: PoolKind, case: dict[str, object], interval: int) -> None:
    arguments = dict(case)
    shape, size = arguments.pop("shape"), arguments["size"]
    if kind is PoolKind.AVERAGE and prod(size) & (prod(size) - 1):
        kind = PoolKind.SUM
    net = Net()
    net.output(net.pool(net.input(shape, S6), kind, **arguments))
    graph = net.graph()
    assert_layer(graph, fold_for(graph, interval).folds["pool0"], samples=2)


def test_a_sum_pool_with_padding() -> None:
    net = Net()
    net.output(net.pool(net.input((4, 5, 2), S6), PoolKind.SUM, (3, 3), (2, 2), ((1, 1), (0, 1))))
    graph = net.graph()
    assert_layer(graph, fold_for(graph, 1).folds["pool0"])


@pytest.mark.parametrize("search", [False, True])
@pytest.mark.parametrize(
    ("levels", "shape", "axis", "signed"),
    [
        (1, (6,), 0, False),
        (3, (2, 2, 4), 2, True),
        (7, (2, 3, 4), 1, False),
        (10, (3, 4), 0, True),
        (10, (8,), 0, False),
        (0, (4,), 0, True),
    ],
)
def test_thresholds(search: bool, levels: int, shape: tuple[int, ...], axis: int, signed: bool) -> None:
    net = Net(np.random.default_rng(levels))
    source = FixedType(signed, 5, 1)
    rows = np.sort(net.rng.integers(-64, 64, (shape[axis] if levels != 3 else 1, levels)), axis=1)
    signs = None if levels == 7 else net.rng.choice([-1, 1], shape[axis])
    result = FixedType(True, 6, 0)
    net.output(net.threshold(net.input(shape, source), rows, result, axis, signs, -2 if levels == 10 else 1, 3))
    graph = net.graph()
    lanes = 2
    layer = assert_layer(graph, Fold(lanes, lanes, 1), [lanes], interval=100 if search else 1)
    (kind,) = (stage for name, stage in layer.stages if name == "levels")
    assert isinstance(kind, Search) == (search and levels > 1)


def test_relu() -> None:
    net = Net()
    net.output(net.relu(net.input((8,), S6)))
    assert_layer(net.graph(), Fold(4, 4, 2), [2])


@pytest.mark.parametrize("source", [FixedType(True, 4, 1), FixedType(False, 3, 0), FixedType(True, 1, 0)])
def test_lookup(source: FixedType) -> None:
    table = np.random.default_rng(0).integers(-16, 16, 1 << source.width)
    graph = one(Lookup("l", ("x",), "y", "l", "t"), source, FixedType(True, 5, 2), t=table)
    assert_layer(graph, Fold(3, 3, 2), [3], samples=20)


TRANSPOSES = [((2, 3, 4), (1, 2, 0)), ((3, 4, 4), (1, 0, 2)), ((4, 6), (1, 0)), ((2, 2, 3, 2), (3, 0, 2, 1))]


@pytest.mark.parametrize(("shape", "perm"), TRANSPOSES)
def test_transpose(shape: tuple[int, ...], perm: tuple[int, ...]) -> None:
    net = Net()
    net.output(net.transpose(net.input(shape, U4), perm))
    graph = net.graph()
    for interval in (1, 1 << 20):
        assert_layer(graph, fold_for(graph, interval).folds["transpose0"], samples=4)


@pytest.mark.parametrize("kind", [None, *ElementwiseKind])
def test_joins(kind: ElementwiseKind | None) -> None:
    net = Net()
    a, b = net.input((12,), FixedType(True, 5, 2)), net.input((12,), FixedType(False, 4, 3))
    net.output(net.add(a, b))
    if kind is not None:
        wide = FixedType(True, 10, 5 if kind is ElementwiseKind.MULTIPLY else 3 + (kind is ElementwiseKind.AVERAGE))
        net.ops[0] = Elementwise("add0", (a, b), "add0", "add0", kind)
        net.tensors["add0"] = type(net.tensors["add0"])("add0", (12,), wide)
    graph = net.graph()
    assert_layer(graph, Fold(3, 3, 4), [6, 2])
