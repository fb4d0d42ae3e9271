"""How far the results of the ops of `fpgaflow.ir.ops_table` can reach, in the manner of `fpgaflow.sim.intervals`."""

from __future__ import annotations

from collections.abc import Callable

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.verify_table import piecewise_bounds
from fpgaflow.sim.fixed_point import limits
from fpgaflow.sim.kernels_table import element_types

Interval = tuple[int, int]  # lowest and highest integer


def _lookup(op: Lookup, graph: Graph, x: Interval) -> Interval:
    low = graph.type_of(op.inputs[0]).low
    entries = graph.constants[op.table][x[0] - low : x[1] - low + 1]
    return int(entries.min()), int(entries.max())


def _piecewise(op: Piecewise, graph: Graph, x: Interval) -> Interval:
    return piecewise_bounds(*x, *(graph.constants[name] for name in (op.knots, op.slopes, op.offsets)))


def _one_hot_max(op: OneHotMax, graph: Graph, x: Interval) -> Interval:
    return 0, 1


def _cast_each(op: CastEach, graph: Graph, x: Interval) -> Interval:
    """Before any element leaves its own type."""
    ends = [(0, 0), *(bounds for bounds, _ in element_bounds(op, graph, x))]
    return min(low for low, _ in ends), max(high for _, high in ends)


def element_bounds(op: CastEach, graph: Graph, x: Interval) -> list[tuple[Interval, Interval]]:
    """For each type among the elements: the rounded bounds, and those that the type keeps, in the output's units."""
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    found = []
    for type_, _ in element_types(graph.constants[op.types]):
        rounded, kept = rounded_bounds(*x, source.fraction - type_.fraction), limits(type_, op.overflow)
        up = target.fraction - type_.fraction
        found.append(((rounded[0] << up, rounded[1] << up), (kept[0] << up, kept[1] << up)))
    return found


TABLE_INTERVALS: dict[type[Op], Callable[..., Interval]] = {
    CastEach: _cast_each,
    Lookup: _lookup,
    OneHotMax: _one_hot_max,
    Piecewise: _piecewise,
}
