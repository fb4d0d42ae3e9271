"""One hardware layer for each op: what it takes, what it gives, and the components that it consists of.

Every layer ends in a FIFO of two beats, so that no chain of ready signals runs through more than one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import (
    Concat,
    Divide,
    Elementwise,
    Embed,
    MatMul,
    OrderedDense,
    OrderedSum,
    Pad,
    Patches,
    Scale,
    Take,
)
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.targets.rtl.blocks import merge_walk
from fpgaflow.targets.rtl.cores import (
    Core,
    conv,
    dense,
    embed,
    lanewise,
    lookup,
    one_hot_max,
    ordered_dense,
    ordered_sum,
    pad,
    patched,
    pool,
    take,
    threshold,
    transpose,
    varying,
)
from fpgaflow.targets.rtl.dot import Dot
from fpgaflow.targets.rtl.elementwise import Lanewise2, cast_function, join_function, relu_function
from fpgaflow.targets.rtl.folding import Fold
from fpgaflow.targets.rtl.recurrent import RecurrentUnit, parts_in_order, states_in_order
from fpgaflow.targets.rtl.reorder import Order, Reorder, keeps_order, repeated
from fpgaflow.targets.rtl.splice import Merge
from fpgaflow.targets.rtl.stream import Beat, Chain, Fifo, Stage, repack
from fpgaflow.targets.rtl.varying import cast_each, divide, piecewise, scale

JoinCore = Lanewise2 | Merge | Dot | RecurrentUnit


class Join(wiring.Component):
    """A layer of inputs `i_0`, `i_1` ...: each goes through a chain of its own into `core`, and on to `o`.

    `behind` are stages between.
    """

    def __init__(self, inputs: Sequence[Chain], core: JoinCore, behind: Sequence[tuple[str, Stage]] = ()) -> None:
        self.inputs, self.core = tuple(inputs), core
        self.behind = Chain([*behind, ("fifo", Fifo(behind[-1][1].result if behind else core.result))])
        self.ports = tuple(f"i_{number}" for number in range(len(inputs)))
        self.result = self.behind.result
        sources = {port: In(chain.source.signature) for port, chain in zip(self.ports, inputs, strict=True)}
        super().__init__({**sources, "o": Out(self.result.signature)})

    def needed(self, beats: Sequence[int]) -> list[np.ndarray]:
        """As `Stage.needed`, of each input."""
        arrived = [chain.needed(count) for chain, count in zip(self.inputs, beats, strict=True)]
        needs = self.core.needed([len(found) for found in arrived])
        behind = self.behind.needed(len(needs[0])) - 1
        return [np.append(0, found)[need[behind]] for found, need in zip(arrived, needs, strict=True)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = self.core
        m.submodules.behind = self.behind
        for port, chain in zip(self.ports, self.inputs, strict=True):
            setattr(m.submodules, f"input_{port[2:]}", chain)
            wiring.connect(m, wiring.flipped(getattr(self, port)), chain.i)
            wiring.connect(m, chain.o, getattr(self.core, port))
        wiring.connect(m, self.core.o, self.behind.i)
        wiring.connect(m, self.behind.o, wiring.flipped(self.o))
        return m


Layer = Chain | Join


def ports_of(layer: Layer) -> tuple[str, ...]:
    """The names of a layer's input streams."""
    return layer.ports if isinstance(layer, Join) else ("i",)


def widest_beat(layer: Layer) -> Beat:
    chains = layer.inputs if isinstance(layer, Join) else (layer,)
    beats = [stage.source for chain in chains for _, stage in chain.stages]
    return max([*beats, layer.result], key=lambda beat: beat.width)


def is_free(op: Op, graph: Graph) -> bool:
    """Whether an op only renames its input's elements, in the same order: no hardware."""
    if isinstance(op, Transpose):
        return keeps_order(graph.tensors[op.inputs[0]].shape, op.perm)
    return isinstance(op, Reshape)


def layer_of(op: Op, graph: Graph, fold: Fold, sources: Sequence[Beat], interval: int) -> Layer:
    """The layer of an op whose inputs arrive as `sources`, for a sample every `interval` cycles."""
    if type(op) in JOINS:
        return JOINS[type(op)](op, graph, fold, sources)
    core = CORES[type(op)](op, graph, fold, interval)
    stages = [*converted(sources[0], op.inputs[0], graph, core[0][1].source.lanes), *core]
    return Chain([*stages, ("fifo", Fifo(stages[-1][1].result))])


def converted(source: Beat, tensor: str, graph: Graph, lanes: int) -> Core:
    """What brings a tensor's beats to so many lanes."""
    stages = repack(source, lanes, prod(graph.tensors[tensor].shape))
    return [(f"{type(stage).__name__.lower()}_to_{stage.result.lanes}", stage) for stage in stages]


def _input(source: Beat, tensor: str, graph: Graph, lanes: int, *more: Core) -> Chain:
    """What is in front of a join: the join's lanes, some more stages, a FIFO."""
    stages = [*converted(source, tensor, graph, lanes), *(stage for core in more for stage in core)]
    return Chain([*stages, ("fifo", Fifo(stages[-1][1].result if stages else Beat(lanes, source.bits)))])


def _side_by_side(op: Add | Elementwise, graph: Graph, fold: Fold, sources: Sequence[Beat]) -> Join:
    left, right, result = (graph.type_of(name) for name in (*op.inputs, op.output))
    inputs = [_input(*source, graph, fold.lanes) for source in zip(sources, op.inputs, strict=True)]
    return Join(inputs, Lanewise2(fold.lanes, left, right, result, join_function(op, graph)))


def _concat(op: Concat, graph: Graph, fold: Fold, sources: Sequence[Beat]) -> Join:
    inputs = [_input(*source, graph, fold.lanes) for source in zip(sources, op.inputs, strict=True)]
    walk = merge_walk([graph.tensors[name].shape for name in op.inputs], op.axis, fold.lanes)
    return Join(inputs, Merge(inputs[0].result, len(inputs), walk))


def _matmul(op: MatMul, graph: Graph, fold: Fold, sources: Sequence[Beat]) -> Join:
    """Each row of the left matrix again for each `pe` columns of the right one, and that one again for each row."""
    (*_, rows, terms), columns = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape[-1]
    left, right, result = (graph.type_of(name) for name in (*op.inputs, op.output))
    parts = columns // fold.pe
    down = Order(terms * parts, ((0,) * rows, range(parts), range(0, terms * parts, parts)))
    inputs = [
        _input(sources[0], op.inputs[0], graph, 1, [("again", Reorder(Beat(1, left.width), repeated(terms, parts)))]),
        _input(sources[1], op.inputs[1], graph, fold.pe, [("matrix", Reorder(Beat(fold.pe, right.width), down))]),
    ]
    return Join(inputs, Dot(fold.pe, terms, left, right, result))


def _recurrent(op: Recurrent, graph: Graph, fold: Fold, sources: Sequence[Beat]) -> Join:
    """The input parts in the cell's order, and the initial states."""
    more = [parts_in_order(op, graph, fold.pe), *([] for _ in op.inputs[1:])]
    inputs = [
        _input(source, name, graph, fold.pe, stages)
        for source, name, stages in zip(sources, op.inputs, more, strict=True)
    ]
    return Join(inputs, RecurrentUnit(op, graph, fold.pe), states_in_order(op, graph, fold.pe))


JOINS: Mapping[type[Op], Callable[..., Join]] = {
    Add: _side_by_side,
    Elementwise: _side_by_side,
    Concat: _concat,
    MatMul: _matmul,
    Recurrent: _recurrent,
}
# The ops of one input that have components; a Reshape is nothing.
CORES: Mapping[type[Op], Callable[..., Core]] = {
    Dense: dense,
    Conv: conv,
    Pool: pool,
    Cast: lanewise(cast_function),
    Relu: lanewise(relu_function),
    Threshold: threshold,
    Lookup: lookup,
    Transpose: transpose,
    Scale: varying(scale),
    Divide: varying(divide),
    Piecewise: varying(piecewise),
    CastEach: varying(cast_each),
    Pad: pad,
    Take: take,
    Patches: patched,
    Embed: embed,
    OrderedSum: ordered_sum,
    OrderedDense: ordered_dense,
    OneHotMax: one_hot_max,
}
CARRIED: tuple[type[Op], ...] = (*CORES, *JOINS, Reshape)
