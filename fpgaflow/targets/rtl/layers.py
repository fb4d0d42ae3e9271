"""One hardware layer for each op: what it takes, what it gives, and the components that it consists of.

Every layer ends in a FIFO of two beats, so that no chain of ready signals runs through more than one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Elementwise
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.targets.rtl.elementwise import (
    Function,
    Lanewise,
    Lanewise2,
    Table,
    cast_function,
    join_function,
    relu_function,
    table_entries,
)
from fpgaflow.targets.rtl.folding import Fold, conv_geometry, pool_geometry
from fpgaflow.targets.rtl.mvu import MatrixVector, matrix_of
from fpgaflow.targets.rtl.pool import Reduce
from fpgaflow.targets.rtl.reorder import Reorder, keeps_order
from fpgaflow.targets.rtl.stream import Beat, Chain, Fifo, Narrow, Stage, repack
from fpgaflow.targets.rtl.threshold import Comparators, Search, levels_of, search_bits, threshold_walk
from fpgaflow.targets.rtl.window import Window

Core = list[tuple[str, Stage]]  # the components of a layer, in order, by name


class Join(wiring.Component):
    """A layer of two inputs, `i_0` and `i_1`: each converted to the lanes of `core`, whose result goes to `o`."""

    def __init__(self, left: Chain, right: Chain, core: Lanewise2) -> None:
        self.inputs, self.core = (left, right), core
        self.sources, self.result = (left.source, right.source), core.result
        left_signature, right_signature = (source.signature for source in self.sources)
        super().__init__({"i_0": In(left_signature), "i_1": In(right_signature), "o": Out(core.result.signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.left, m.submodules.right = self.inputs
        m.submodules.core = self.core
        m.submodules.fifo = fifo = Fifo(self.result)
        wiring.connect(m, wiring.flipped(self.i_0), self.inputs[0].i)
        wiring.connect(m, wiring.flipped(self.i_1), self.inputs[1].i)
        wiring.connect(m, self.inputs[0].o, self.core.a)
        wiring.connect(m, self.inputs[1].o, self.core.b)
        wiring.connect(m, self.core.o, fifo.i)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m


Layer = Chain | Join


def is_free(op: Op, graph: Graph) -> bool:
    """Whether an op only renames its input's elements, in the same order: no hardware."""
    if isinstance(op, Transpose):
        return keeps_order(graph.tensors[op.inputs[0]].shape, op.perm)
    return isinstance(op, Reshape)


def layer_of(op: Op, graph: Graph, fold: Fold, sources: Sequence[Beat], interval: int) -> Layer:
    """The layer of an op whose inputs arrive as `sources`, for a sample every `interval` cycles."""
    if isinstance(op, Add | Elementwise):
        left, right, result = (graph.type_of(name) for name in (*op.inputs, op.output))
        ends = [
            Chain([*_converted(source, op, graph, fold.lanes), ("fifo", Fifo(Beat(fold.lanes, source.bits)))])
            for source in sources
        ]
        return Join(ends[0], ends[1], Lanewise2(fold.lanes, left, right, result, join_function(op, graph)))
    core = CORES[type(op)](op, graph, fold, interval)
    stages = [*_converted(sources[0], op, graph, core[0][1].source.lanes), *core]
    return Chain([*stages, ("fifo", Fifo(stages[-1][1].result))])


def _converted(source: Beat, op: Op, graph: Graph, lanes: int) -> Core:
    stages = repack(source, lanes, prod(graph.tensors[op.inputs[0]].shape))
    return [(f"{type(stage).__name__.lower()}_to_{stage.result.lanes}", stage) for stage in stages]


def _dense(op: Dense, graph: Graph, fold: Fold, interval: int) -> Core:
    return [("matrix", MatrixVector(matrix_of(op, graph), graph.type_of(op.inputs[0]), fold.pe, fold.simd))]


def _conv(op: Conv, graph: Graph, fold: Fold, interval: int) -> Core:
    source, shape = graph.type_of(op.inputs[0]), conv_geometry(op, graph)
    matrix = ("matrix", MatrixVector(matrix_of(op, graph, op.groups), source, fold.pe, fold.simd))
    if shape.trivial and op.groups == 1:
        return [matrix]
    groups = fold.lanes * op.groups // shape.channels  # of one beat
    window = Window(shape, fold.lanes, source.width, groups)
    total = shape.windows * prod(shape.kernel) * shape.channels
    # While the last windows of a sample are at work, the rows come in that the first window of the next one needs.
    ahead = (shape.span[0] - 1) * shape.image[1] * window.slices + 2
    return [
        ("ahead", Fifo(window.source, ahead)),
        ("window", window),
        *_folded(window.result, fold.simd, total),
        matrix,
    ]


def _folded(wide: Beat, lanes: int, total: int) -> Core:
    return [] if wide.lanes == lanes else [("folded", Narrow(wide, lanes, total))]


def _pool(op: Pool, graph: Graph, fold: Fold, interval: int) -> Core:
    source, shape = graph.type_of(op.inputs[0]), pool_geometry(op, graph)
    taps = prod(shape.kernel)
    window = Window(shape, fold.lanes, source.width, fold.lanes)
    return [("window", window), ("reduce", Reduce(op.kind, fold.lanes, taps, source, graph.type_of(op.output)))]


def _lanewise(make: Callable[..., Function]) -> Callable[..., Core]:
    def core(op: Op, graph: Graph, fold: Fold, interval: int) -> Core:
        source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
        return [("function", Lanewise(fold.lanes, source, result, make(op, graph)))]

    return core


def _threshold(op: Threshold, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result, levels = graph.type_of(op.inputs[0]), graph.type_of(op.output), levels_of(op, graph)
    walk = threshold_walk(op, graph, levels, fold.lanes)
    # Few levels are compared at once; many one bit of the count after the other, where there is time for it.
    rare = fold.cycles * (search_bits(levels) + 1) <= interval
    kind = Search if rare and levels.rows.shape[1] > 1 else Comparators
    return [("levels", kind(fold.lanes, source, result, levels, walk))]


def _lookup(op: Lookup, graph: Graph, fold: Fold, interval: int) -> Core:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    entries = table_entries(graph.constants[op.table].tolist(), source)
    return [("table", Table(fold.lanes, source.width, entries, result.width))]


def _transpose(op: Transpose, graph: Graph, fold: Fold, interval: int) -> Core:
    source = graph.tensors[op.inputs[0]]
    return [("reorder", Reorder(source.shape, op.perm, fold.lanes, source.type.width))]


# The ops of one input that have components; Add and Elementwise are joins, a Reshape is nothing.
CORES: Mapping[type[Op], Callable[..., Core]] = {
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Cast: _lanewise(cast_function),
    Relu: _lanewise(relu_function),
    Threshold: _threshold,
    Lookup: _lookup,
    Transpose: _transpose,
}
CARRIED: tuple[type[Op], ...] = (*CORES, Add, Elementwise, Reshape)
