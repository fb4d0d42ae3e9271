"""The components of the layers of one input, op by op."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeVar

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Dense, Op, Pool, Threshold, Transpose
from fpgaflow.ir.ops_merge import Embed, OrderedDense, OrderedSum, Pad, Patches, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.accumulate import Accumulate, TreeSum, cast_sum, order_decides, pool_start, pool_step
from fpgaflow.targets.rtl.blocks import Taking, keep_walk, pad_walk, taking_of
from fpgaflow.targets.rtl.elementwise import Function, Lanewise, Rows, Table, table_entries
from fpgaflow.targets.rtl.folding import Fold, accumulates, conv_geometry, pool_geometry
from fpgaflow.targets.rtl.maximum import FirstMaximum
from fpgaflow.targets.rtl.mvu import Matrix, MatrixVector, OrderedMatrixVector, matrix_of, ordered_matrix_of
from fpgaflow.targets.rtl.pool import Reduce
from fpgaflow.targets.rtl.reorder import Order, Reorder, patches, repeated, taken, transposed
from fpgaflow.targets.rtl.splice import Insert, Keep
from fpgaflow.targets.rtl.stream import Beat, Fifo, Stage, repack
from fpgaflow.targets.rtl.threshold import Search, comparators, levels_of, search_bits, threshold_walk
from fpgaflow.targets.rtl.varying import Varying
from fpgaflow.targets.rtl.window import Geometry, Window

Core = list[tuple[str, Stage]]  # the components of a layer, in order, by name
_AnyOp = TypeVar("_AnyOp", bound=Op)


Unit = Callable[[Matrix, FixedType, Fold], Stage]  # what multiplies: of a matrix and the type of its vectors


def folded_unit(matrix: Matrix, source: FixedType, fold: Fold) -> Stage:
    return MatrixVector(matrix, source, fold.pe, fold.simd)


def dense(op: Dense, graph: Graph, fold: Fold, interval: int, unit: Unit = folded_unit) -> Core:
    return [("matrix", unit(matrix_of(op, graph), graph.type_of(op.inputs[0]), fold))]


def conv(op: Conv, graph: Graph, fold: Fold, interval: int, unit: Unit = folded_unit) -> Core:
    source, shape = graph.type_of(op.inputs[0]), conv_geometry(op, graph)
    if shape.trivial and op.groups == 1:
        return [("matrix", unit(matrix_of(op, graph), source, fold))]
    groups = max(1, fold.lanes * op.groups // shape.channels)  # of one beat
    window = Window(shape, fold.lanes, source.width, groups)
    slices = window.slices if op.groups == 1 else 1  # of one sum
    total = shape.windows * prod(shape.kernel) * shape.channels
    # While the last windows of a sample are at work, the rows come in that the first window of the next one needs.
    ahead = (shape.span[0] - 1) * shape.image[1] * window.slices + 2
    folded = repack(window.result, fold.simd, total)
    return [
        ("ahead", Fifo(window.source, ahead)),
        ("window", window),
        *((f"folded_to_{stage.result.lanes}", stage) for stage in folded),
        ("matrix", unit(matrix_of(op, graph, op.groups, slices), source, fold)),
    ]


def pool(op: Pool, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result, shape = graph.type_of(op.inputs[0]), graph.type_of(op.output), pool_geometry(op, graph)
    if accumulates(shape):
        starts = [pool_start(op, graph)]
        return [("windows", Accumulate(shape, fold.lanes, source, result, pool_step(op.kind), starts))]
    window = Window(shape, fold.lanes, source.width, fold.lanes)
    return [("window", window), ("reduce", Reduce(op.kind, fold.lanes, prod(shape.kernel), source, result))]


def lanewise(make: Callable[[_AnyOp, Graph], Function]) -> Callable[[_AnyOp, Graph, Fold, int], Core]:
    def core(op: _AnyOp, graph: Graph, fold: Fold, interval: int) -> Core:
        source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
        return [("function", Lanewise(fold.lanes, source, result, make(op, graph)))]

    return core


def varying(make: Callable[[_AnyOp, Graph, int], Varying]) -> Callable[[_AnyOp, Graph, Fold, int], Core]:
    return lambda op, graph, fold, interval: [("function", make(op, graph, fold.lanes))]


def threshold(op: Threshold, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result, levels = graph.type_of(op.inputs[0]), graph.type_of(op.output), levels_of(op, graph)
    walk = threshold_walk(op, graph, levels, fold.lanes)
    # Few levels are compared at once; many one bit of the count after the other, where there is time for it.
    rare = fold.cycles * (search_bits(levels) + 1) <= interval
    kind = Search if rare and levels.rows.shape[1] > 1 else comparators
    return [("levels", kind(fold.lanes, source, result, levels, walk))]


def lookup(op: Lookup, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    entries = table_entries(graph.constants[op.table].tolist(), source)
    return [("table", Table(fold.lanes, source.width, entries, result.width))]


def embed(op: Embed, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    return [("rows", Rows(source.width, graph.constants[op.table], fold.pe, result.width))]


def _beat(op: Op, graph: Graph, fold: Fold) -> Beat:
    return Beat(fold.lanes, graph.type_of(op.inputs[0]).width)


def _reordered(op: Op, graph: Graph, fold: Fold, order: Order) -> Core:
    return [("reorder", Reorder(_beat(op, graph, fold), order))]


def transpose(op: Transpose, graph: Graph, fold: Fold, interval: int) -> Core:
    return _reordered(op, graph, fold, transposed(graph.tensors[op.inputs[0]].shape, op.perm, fold.lanes))


def patched(op: Patches, graph: Graph, fold: Fold, interval: int) -> Core:
    return _reordered(op, graph, fold, patches(graph.tensors[op.inputs[0]].shape, op.size, op.strides, fold.lanes))


def take(op: Take, graph: Graph, fold: Fold, interval: int) -> Core:
    shape, indices = graph.tensors[op.inputs[0]].shape, graph.constants[op.indices].tolist()
    match taking_of(indices, shape[op.axis]):
        case Taking.SOME:
            return [("keep", Keep(_beat(op, graph, fold), keep_walk(shape, op.axis, indices, fold.lanes)))]
        case Taking.REPEATED:
            times = len(indices) // shape[op.axis]
            return _reordered(op, graph, fold, repeated(prod(shape[op.axis + 1 :]) // fold.lanes, times))
    return _reordered(op, graph, fold, taken(shape, op.axis, indices, fold.lanes))


def pad(op: Pad, graph: Graph, fold: Fold, interval: int) -> Core:
    walk = pad_walk(graph.tensors[op.inputs[0]].shape, op.padding, fold.lanes)
    return [("insert", Insert(_beat(op, graph, fold), walk, op.value))]


def one_hot_max(op: OneHotMax, graph: Graph, fold: Fold, interval: int) -> Core:
    source, size = graph.type_of(op.inputs[0]), graph.tensors[op.inputs[0]].shape[-1]
    return [("maximum", FirstMaximum(size, fold.lanes, source, graph.type_of(op.output)))]


def ordered_sum(op: OrderedSum, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    *outer, taps, channels = graph.tensors[op.inputs[0]].shape
    add = cast_sum(op, source, result)
    if op.tree and order_decides(op, graph):
        return [("tree", TreeSum(channels, taps, source, result, add))]
    sums = Geometry((1, prod(outer) * taps), channels, (1, taps), (1, taps), (1, 1), ((0, 0), (0, 0)))
    starts = [0] if op.bias is None else graph.constants[op.bias].tolist()
    return [("sums", Accumulate(sums, fold.lanes, source, result, add, starts))]


def ordered_dense(op: OrderedDense, graph: Graph, fold: Fold, interval: int) -> Core:
    return [("matrix", OrderedMatrixVector(ordered_matrix_of(op, graph), op, graph, fold.pe))]
