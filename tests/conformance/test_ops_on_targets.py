"""Every op of the graph on the HLS target: its compiled C++ equals the reference bit by bit, or it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import OPS, Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
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
    Scale,
    Take,
)
from fpgaflow.ir.ops_recurrent import Cell, CellActivation, Recurrent
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type, patches_shape, scale_type
from fpgaflow.ir.verify_table import piecewise_type
from fpgaflow.targets.hls.check import check
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from tests.graphs import one_op
from tests.targets.hls.batches import PART, Batch
from tests.targets.hls.hls_graphs import S6, U4, Net, integers

S5, U5, WIDE = FixedType(True, 5, 2), FixedType(False, 5, 3), FixedType(True, 38, 11)


def cast(net: Net) -> None:
    for rounding, overflow in product((Rounding.TRN_ZERO, Rounding.RND_CONV), (Overflow.SAT_SYM, Overflow.WRAP)):
        net.output(net.cast(net.input((2, 3, 4), S6), FixedType(True, 4, 1), rounding, overflow))
    net.output(net.cast(net.input((3,), WIDE), FixedType(True, 20, 2)))


def dense(net: Net) -> None:
    for shape in ((4,), (3, 4), (2, 3, 4), (2, 2, 3, 4)):
        net.output(net.dense(net.input(shape, S6), 3))
    net.output(net.dense(net.input((4,), FixedType(True, 20, 3)), 2, wt=FixedType(True, 18, 9)))


def conv(net: Net) -> None:
    x = net.input((6, 5, 4), S6)
    net.output(net.conv(x, 3, (3, 3), strides=(2, 1), padding=((1, 0), (2, 1))))
    net.output(net.conv(x, 4, (2, 2), dilations=(2, 3), padding=((1, 1), (0, 2))))
    net.output(net.conv(x, 6, (2, 2), groups=2, padding=((1, 0), (0, 1))))
    net.output(net.conv(x, 8, (2, 2), groups=4))  # two filters to a channel
    net.output(net.conv(x, 4, (3, 3), groups=4, strides=(2, 2), dilations=(2, 1)))
    net.output(net.conv(x, 2, (1, 3), strides=(2, 2), padding=((1, 0), (1, 1))))  # rows are skipped
    net.output(net.conv(x, 4, (1, 2), groups=4, strides=(3, 1)))
    for fields in ({}, {"groups": 2}, {"dilations": (2,)}, {"strides": (3,), "padding": ((2, 1),)}):
        net.output(net.conv(net.input((9, 4), S6), 4, (3,), **fields))


def pool(net: Net) -> None:
    for kind, (size, strides) in product(PoolKind, (((2, 2), (2, 2)), ((2, 2), (1, 2)), ((2, 4), (2, 1)))):
        net.output(net.pool(net.input((6, 5, 3), S6), kind, size, strides))
    net.output(net.pool(net.input((7, 7, 2), S6), PoolKind.MAX, (3, 3), (2, 2)))
    net.output(net.pool(net.input((6, 6, 2), S6), PoolKind.SUM, (3, 3), (2, 2), ((1, 1), (1, 1))))
    net.output(net.pool(net.input((5, 4, 3), S6), PoolKind.SUM, (1, 2), (2, 1)))  # rows are skipped
    net.output(net.pool(net.input((7, 2), S6), PoolKind.MAX, (3,), (2,)))
    net.output(net.pool(net.input((6, 2), S6), PoolKind.SUM, (3,), (2,)))  # depthwise, beside some over images
    x = net.input((5, 4, 3), S6)  # what a padded max pooling is
    fields = {"padding": ((1, 1), (1, 2), (0, 0)), "value": S6.low}
    net.output(net.pool(net.op(Pad, [x], (7, 7, 3), S6, **fields), PoolKind.MAX, (3, 3), (2, 2)))


def add(net: Net) -> None:
    a, b = net.input((2, 3, 4), S5), net.input((2, 3, 4), U4)
    net.output(net.add(a, b))
    net.output(net.cast(net.add(a, net.dense(b, 4)), U4))  # a residual
    net.output(net.add(net.reshape(net.input((2, 3, 4), S6), (24,)), net.input((24,), S6)))


def relu(net: Net) -> None:
    net.output(net.relu(net.dense(net.input((2, 3, 4), S6), 3)))


def levels(net: Net, x: str, rows: int, count: int, signs: Ints | None = None, **rest: int) -> str:
    """A Threshold with random levels: equal ones, one below all inputs and one above them among them."""
    type_ = net.type(x)
    low, high = min(type_.low, -type_.high), max(type_.high, -type_.low)
    table = np.sort(net.rng.integers(low, high + 2, size=(rows, count)), axis=1)
    table[0, 0], table[-1, -1] = low - 5, high + 9
    offset, step = rest.get("offset", 0), rest.get("step", 1)
    result = type_for(*sorted((offset, offset + step * count)), 2)
    return net.threshold(x, table, result, signs=signs, **rest)


def signs(net: Net, count: int) -> Ints:
    return np.where(np.arange(count) % 3 == 1, 1, -1)


def threshold(net: Net) -> None:
    x = net.input((2, 3, 4), S6)
    for axis, size in enumerate((2, 3, 4)):
        for count in (1, 7, 40):
            net.output(levels(net, x, size, count, axis=axis))
            net.output(levels(net, x, size, count, signs(net, size), axis=axis, step=-2, offset=3))
    net.output(levels(net, x, 1, 15))
    net.output(levels(net, x, 1, 255))
    net.output(levels(net, x, 1, 6, signs(net, 4), offset=-3))
    net.output(levels(net, net.input((3, 1, 1), S6), 1, 4, np.array([-1]), axis=1))
    net.output(levels(net, net.input((5, 2), U5), 2, 3, signs(net, 2)))
    net.output(levels(net, net.input((5, 2), WIDE), 2, 20))
    flat = net.reshape(net.dense(net.input((2, 3, 4), S6), 4), (24,))
    net.output(net.dense(levels(net, flat, 24, 17), 2))


def threshold_without_levels(net: Net) -> None:
    """Beside a sum, as a constant alone proves nothing."""
    x = net.input((3, 4), S6)
    none = net.threshold(x, np.zeros((4, 0), dtype=np.int64), FixedType(True, 3, 0), offset=-2)
    net.output(net.add(none, x))


def reshape(net: Net) -> None:
    net.output(net.dense(net.reshape(net.input((2, 3, 4), S6), (24,)), 3))
    net.output(net.dense(net.reshape(net.input((2, 6), S6), (3, 4)), 2))  # no whole multiple of a beat
    net.output(net.conv(net.reshape(net.input((24,), S6), (3, 4, 2)), 2, (2, 2)))
    net.output(net.dense(net.reshape(net.dense(net.input((3, 4), S6), 4), (2, 6)), 2))


def transpose(net: Net) -> None:
    for perm in ((2, 0, 1), (1, 0, 2), (0, 2, 1)):
        net.output(net.transpose(net.input((2, 3, 4), S6), perm))
    net.output(net.dense(net.transpose(net.input((1, 3, 4), S6), (0, 2, 1)), 2))
    net.output(net.transpose(net.input((2, 3, 2, 2), S6), (3, 1, 0, 2)))
    net.output(net.transpose(net.input((3, 12, 18), S6), (1, 2, 0)))  # through a memory


def elementwise(net: Net) -> None:
    for kind, shape in product(ElementwiseKind, ((5,), (2, 3, 4))):
        a, b = net.input(shape, S5), net.input(shape, U4)
        result = net.op(Elementwise, [a, b], shape, elementwise_type(kind, S5, U4), kind=kind)
        net.output(result)
        net.output(net.cast(result, FixedType(True, 4, 1)))
        same = net.input(shape, S5)
        net.output(net.op(Elementwise, [a, same], shape, elementwise_type(kind, S5, S5), kind=kind))


def _scaled(net: Net, source: FixedType, shape: tuple[int, ...], axes: tuple[int, ...], bias: bool) -> str:
    weight_type, bias_type = FixedType(True, 6, 2), FixedType(True, 9, 7) if bias else None
    constants = {"weights": integers(net.rng, axes, weight_type)}
    if bias_type is not None:
        constants["bias"] = integers(net.rng, axes[-1:], bias_type)
    fields = {"weight_type": weight_type, "bias_type": bias_type} | ({} if bias else {"bias": None})
    type_ = scale_type(source, constants["weights"], weight_type, constants.get("bias"), bias_type)
    return net.op(Scale, [net.input(shape, source)], shape, type_, constants, **fields)


def scale(net: Net) -> None:
    for axes, bias in product(((1,), (4,), (3, 1), (2, 3, 4), (2, 1, 1)), (False, True)):
        net.output(_scaled(net, S6, (2, 3, 4), axes, bias))
    net.output(net.cast(_scaled(net, U5, (6,), (6,), True), FixedType(True, 6, 3)))
    net.output(_scaled(net, WIDE, (2, 3), (3,), True))
    wide = {"weights": [1 << 54, 3, -(1 << 52) - 1], "bias": [(1 << 53) - 1, -(1 << 58), 7]}  # what float64 holds
    types = FixedType(True, 56, 60), FixedType(True, 60, 58)
    arrays = [np.array(wide[key]) for key in wide]
    exact = scale_type(S6, arrays[0], types[0], arrays[1], types[1])
    x = net.op(Scale, [net.input((2, 3), S6)], (2, 3), exact, wide, weight_type=types[0], bias_type=types[1])
    net.output(net.cast(x, FixedType(True, 40, 32)))


def piecewise(net: Net) -> None:
    for source, pieces, axes in ((S6, 2, ()), (U5, 3, (4,)), (S6, 4, (2, 3, 4)), (WIDE, 2, (1, 4))):
        knots = np.sort(net.rng.integers(source.low, source.high, pieces - 1))
        arrays = [net.rng.integers(-9, 9, (*axes, pieces)) for _ in range(2)]
        type_ = piecewise_type(source, knots, *arrays, source.fraction + 1)
        constants = dict(zip(("knots", "slopes", "offsets"), (knots, *arrays), strict=True))
        result = net.op(Piecewise, [net.input((2, 3, 4), source)], (2, 3, 4), type_, constants)
        net.output(result)
        net.output(net.cast(result, FixedType(True, 5, 1)))


def concat(net: Net) -> None:
    for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), 2)):
        for count in (2, 3):
            wider = [(*shape[:axis], shape[axis] + i, *shape[axis + 1 :]) for i in range(count)]
            result = (*shape[:axis], sum(s[axis] for s in wider), *shape[axis + 1 :])
            net.output(net.op(Concat, [net.input(s, S6) for s in wider], result, S6, axis=axis))
    net.output(net.op(Concat, [net.input((2, 2, 3, 4), S6) for _ in range(2)], (2, 2, 6, 4), S6, axis=2))
    net.output(net.op(Concat, [net.input((2, 2, 3, 4), S6) for _ in range(2)], (2, 2, 3, 8), S6, axis=3))
    flat = [net.reshape(net.input((2, 3, 4), S6), (24,)) for _ in range(2)]
    net.output(net.dense(net.op(Concat, flat, (48,), S6, axis=0), 3))


def pad(net: Net) -> None:
    x = net.input((3, 4, 2), S6)
    net.output(net.op(Pad, [x], (6, 5, 2), S6, padding=((1, 2), (0, 1), (0, 0)), value=-3))
    net.output(net.op(Pad, [x], (3, 4, 5), S6, padding=((0, 0), (0, 0), (1, 2)), value=0))
    inner = net.op(Pad, [x], (5, 4, 2), S6, padding=((1, 1), (0, 0), (0, 0)), value=5)
    net.output(net.op(Pad, [inner], (5, 6, 2), S6, padding=((0, 0), (1, 1), (0, 0)), value=-5))
    net.output(net.conv(net.op(Pad, [x], (5, 4, 2), S6, padding=((1, 1), (0, 0), (0, 0)), value=1), 2, (2, 2)))


def taken(net: Net, x: str, axis: int, indices: object) -> str:
    indices = np.asarray(indices)
    shape = net.shape(x)
    result = (*shape[:axis], len(indices), *shape[axis + 1 :])
    return net.op(Take, [x], result, net.type(x), {"indices": indices}, axis=axis)


def take(net: Net) -> None:
    x = net.input((4, 3, 5), S6)
    net.output(taken(net, x, 0, range(1, 3)))  # a crop
    net.output(taken(net, x, 1, [2, 1, 0]))
    net.output(taken(net, x, 2, [4, 0, 0, 3]))
    net.output(taken(net, taken(net, x, 0, np.arange(8) // 2), 1, np.arange(6) // 2))  # nearest neighbours
    net.output(net.cast(taken(net, x, 2, [1]), FixedType(True, 4, 1)))
    net.output(taken(net, net.input((7,), U5), 0, [6, 2, 2]))
    net.output(net.dense(taken(net, net.transpose(x, (1, 2, 0)), 0, [1, 0]), 2))


def depth_to_space(net: Net) -> None:
    """As importers write it: reshape, transpose, reshape."""
    x = net.reshape(net.dense(net.input((2, 3, 4), S6), 8), (2, 3, 2, 2, 2))
    net.output(net.reshape(net.transpose(x, (0, 2, 1, 3, 4)), (4, 6, 2)))
    net.output(net.conv(net.reshape(net.transpose(x, (0, 2, 1, 3, 4)), (4, 6, 2)), 2, (3, 3)))


def patches(net: Net) -> None:
    for shape, size, strides in (((5, 4, 2), (2, 3), (2, 1)), ((7, 3), (3,), (2,))):
        result = patches_shape(shape, size, strides)
        net.output(net.op(Patches, [net.input(shape, S6)], result, S6, size=size, strides=strides))


def matmul(net: Net) -> None:
    for left, right in (((3, 4), (4, 2)), ((2, 3, 4), (2, 4, 5)), ((1, 1), (1, 3))):
        type_ = matmul_type(S6, U5, left[-1])
        result = net.op(MatMul, [net.input(left, S6), net.input(right, U5)], (*left[:-1], right[-1]), type_)
        net.output(result)
    net.output(net.cast(result, U4))
    x = net.dense(net.input((3, 4), S6), 4)  # x times its own transpose
    squares = matmul_type(net.type(x), net.type(x), 4)
    net.output(net.op(MatMul, [x, net.transpose(x, (1, 0))], (3, 3), squares))


def lookup(net: Net) -> None:
    for source, shape in ((S5, (2, 3, 4)), (U5, (6,)), (FixedType(True, 1, 0), (3, 2)), (FixedType(False, 9, 0), (5,))):
        table = net.rng.integers(-50, 90, 1 << source.width)
        result = net.op(Lookup, [net.input(shape, source)], shape, FixedType(True, 9, 4), {"table": table})
        net.output(result)
        net.output(net.cast(result, FixedType(True, 4, 1)))


def embed(net: Net) -> None:
    index = FixedType(False, 3, 0)
    for shape, columns in (((5,), 3), ((2, 3), 4), ((4,), 1)):
        table = net.rng.integers(-60, 60, (8, columns))
        net.output(net.op(Embed, [net.input(shape, index)], (*shape, columns), FixedType(True, 8, 3), {"table": table}))


def one_hot_max(net: Net) -> None:
    for shape, type_ in (((7,), FixedType(True, 3, 1)), ((3, 4), U4), ((2, 2, 3), S6)):
        net.output(net.op(OneHotMax, [net.input(shape, type_)], shape, FixedType(False, 1, 0)))
    first = net.op(OneHotMax, [net.dense(net.input((5,), S6), 6)], (6,), FixedType(True, 4, 1 - 1))
    net.output(net.dense(first, 1, wt=FixedType(False, 3, 0), bt=None))  # an index from it


CASES: dict[type[Op], tuple[Callable[[Net], None], ...]] = {
    Cast: (cast,),
    Dense: (dense,),
    Conv: (conv,),
    Pool: (pool,),
    Add: (add,),
    Relu: (relu,),
    Threshold: (threshold, threshold_without_levels),
    Reshape: (reshape,),
    Transpose: (transpose, depth_to_space),
    Elementwise: (elementwise,),
    Scale: (scale,),
    Piecewise: (piecewise,),
    Concat: (concat,),
    Pad: (pad,),
    Take: (take,),
    Patches: (patches,),
    MatMul: (matmul,),
    Lookup: (lookup,),
    Embed: (embed,),
    OneHotMax: (one_hot_max,),
}
NAMED = {case.__name__: case for cases in CASES.values() for case in cases}


@pytest.fixture(
    scope="module",
    params=[IOType.STREAM, pytest.param(IOType.PARALLEL, marks=pytest.mark.slow)],
    ids=lambda io: io.value,
)
def batch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    options = HlsOptions(PART, request.param, Strategy.LATENCY)
    yield Batch(NAMED, options, tmp_path_factory.mktemp("conformance"))


@pytest.mark.parametrize("name", NAMED)
def test_the_firmware_gives_the_references_bits(batch: Batch, name: str) -> None:
    batch.check(name)


def _divide() -> Graph:
    return one_op(Divide("op", ("x",), "y", "node", "d"), S6, (3,), S6, (3,), d=[3])


def _ordered_sum() -> Graph:
    op = OrderedSum("op", ("x",), "y", "node", None, False, Rounding.TRN, Overflow.SAT)
    return one_op(op, S6, (5, 3), S6, (3,))


def _ordered_dense() -> Graph:
    op = OrderedDense("op", ("x",), "y", "node", "w", S6, None, Rounding.TRN, Overflow.SAT)
    return one_op(op, S6, (3,), S6, (2,), w=np.ones((3, 2)))


def _recurrent() -> Graph:
    relu = CellActivation.RELU
    op = Recurrent(
        *("op", ("x",), "y", "node", Cell.GRU, True, False, "w", S6, "b", S6, 1, S6, Rounding.TRN, Overflow.WRAP),
        *(relu, None, relu, None, S6, Rounding.TRN, Overflow.WRAP),
    )
    return one_op(op, S6, (4, 6), S6, (4, 2), w=np.ones((2, 6)), b=np.zeros(6))


def _cast_each() -> Graph:
    op = CastEach("op", ("x",), "y", "node", "t", Rounding.TRN, Overflow.WRAP)
    return one_op(op, S6, (3,), S6, (3,), t=np.full((3, 3), [[1], [4], [2]]))


REFUSED: dict[type[Op], tuple[Callable[[], Graph], str]] = {
    Divide: (_divide, "no HLS layer divides"),
    OrderedSum: (_ordered_sum, "the order decides"),
    OrderedDense: (_ordered_dense, "the order decides"),
    Recurrent: (_recurrent, "recurrent"),
    CastEach: (_cast_each, "a type for each element"),
}


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_what_no_layer_computes_is_refused_by_name(kind: type[Op]) -> None:
    make, reason = REFUSED[kind]
    for io_type in IOType:
        (problem,) = check(make(), HlsOptions(PART, io_type))
        assert problem.where == f"{kind.__name__} 'op' (node 'node')"
        assert reason in problem.found and problem.fix


def test_every_op_of_the_graph_has_a_case_or_a_refusal() -> None:
    assert not CASES.keys() & REFUSED.keys()
    assert CASES.keys() | REFUSED.keys() == set(OPS)
