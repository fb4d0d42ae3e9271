"""How often values really leave their types over given samples: wrapped in an accumulator or cast, or saturated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_merge import OrderedDense, OrderedSum
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.fixed_point import beyond, limits
from fpgaflow.sim.intervals import results
from fpgaflow.sim.intervals_merge import MERGE_INTERVALS
from fpgaflow.sim.kernels import CASTING, EXACT, overflow_of
from fpgaflow.sim.kernels_merge import ordered_dense, ordered_sum
from fpgaflow.sim.kernels_recurrent import recurrent
from fpgaflow.sim.kernels_table import cast_each
from fpgaflow.sim.overflow import AnyCast, EachCast, counted
from fpgaflow.sim.overflow import OverflowCount as OverflowCount
from fpgaflow.sim.reference import chunk_samples

if TYPE_CHECKING:
    from fpgaflow.sim.run import Simulator

Array = np.ndarray


def count_overflows(
    simulator: Simulator, x: Any, progress: Callable[[int, int], None] | None = None
) -> dict[str, OverflowCount]:
    """Counts over x (N, ...), by the name of each op whose type might not hold its results, inputs first.

    An entry `input 'NAME'` counts the reals beyond the range of that input's quantiser. A sum counts once however
    often its partial sums wrapped, and only if it does not come out right in the end; where partial sums saturate, it
    counts once if any did. A recurrent cell counts every value that it casts at any step, each product of its matrix
    products where those saturate. The results before overflow handling are the reference's; ops that interval
    arithmetic clears are not computed again.

    Raises:
        BadInput: wrong shape or dtype, NaN or infinity.
    """
    graph = simulator.graph
    arrays = simulator.checked(x)
    reached = results(graph)
    fitted = [op for op in graph.ops if type(op) in CASTING]
    suspects = [op for op in fitted if reached[op.name].overflows]
    wanted = list(dict.fromkeys(name for op in suspects for name in op.inputs))
    samples, step = len(arrays[0]), chunk_samples(graph, suspects)
    counts = {f"input '{port.name}'": OverflowCount() for port in graph.inputs}
    for op in fitted:  # a cell counts its values itself
        whole = 0 if isinstance(op, Recurrent) else samples * prod(graph.tensors[op.output].shape)
        counts[op.name] = OverflowCount(values=whole)
    for start in range(0, samples, step):
        parts = [array[start : start + step] for array in arrays]
        for port, part in zip(graph.inputs, parts, strict=True):
            below, above = beyond(part, port)
            found = counted(below, above, port.overflow, graph.type_of(port.tensor))
            counts[f"input '{port.name}'"] += replace(found, values=part.size)
        integers = simulator.integers(simulator.by_name(parts), wanted)
        for op in suspects:
            counts[op.name] += _of_op(op, graph, *(integers[name] for name in op.inputs))
        if progress is not None:
            progress(min(start + step, samples), samples)
    return counts


def _of_op(op: Op, graph: Graph, *inputs: Array) -> OverflowCount:
    """Of one op that may overflow, over its input integers."""
    if (exact := EXACT.get(type(op))) is not None:
        return _against(exact(op, graph, *inputs), op, graph)
    return _COUNTS[type(op)](op, graph, *inputs)


def _against(exact: Array, op: Op, graph: Graph) -> OverflowCount:
    type_, overflow = graph.type_of(op.output), overflow_of(op)
    low, high = limits(type_, overflow)
    return counted(exact < low, exact > high, overflow, type_)


def _ordered(op: OrderedSum | OrderedDense, graph: Graph, x: Array) -> OverflowCount:
    kernel: Callable[..., Array] = ordered_sum if isinstance(op, OrderedSum) else ordered_dense
    if op.overflow is not Overflow.WRAP:
        steps = AnyCast()
        kernel(op, graph, x, by=steps)
        return counted(np.asarray(steps.below), np.asarray(steps.above), op.overflow, graph.type_of(op.output))
    source = graph.type_of(op.inputs[0])
    low, high = MERGE_INTERVALS[type(op)](op, graph, (source.low, source.high))
    wide = FixedType(True, max(-low, high).bit_length() + 2, graph.type_of(op.output).fraction)
    tensors = {**graph.tensors, op.output: replace(graph.tensors[op.output], type=wide)}
    return _against(kernel(op, replace(graph, tensors=tensors), x), op, graph)


def _each(op: CastEach, graph: Graph, x: Array) -> OverflowCount:
    each = EachCast()
    cast_each(op, graph, x, by=each)
    return replace(each.count, values=0)  # which all elements are, those of no width too


def _cell(op: Recurrent, graph: Graph, *inputs: Array) -> OverflowCount:
    each = EachCast()
    recurrent(op, graph, *inputs, by=each)
    return each.count


_COUNTS: dict[type[Op], Callable[..., OverflowCount]] = {
    CastEach: _each,
    OrderedDense: _ordered,
    OrderedSum: _ordered,
    Recurrent: _cell,
}
