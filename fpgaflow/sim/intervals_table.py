"""How far the results of the ops of `fpgaflow.ir.ops_table` can reach, in the manner of `fpgaflow.sim.intervals`."""

from __future__ import annotations

from collections.abc import Callable

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.verify_table import piecewise_bounds

Interval = tuple[int, int]  # lowest and highest integer


def _lookup(op: Lookup, graph: Graph, x: Interval) -> Interval:
    low = graph.type_of(op.inputs[0]).low
    entries = graph.constants[op.table][x[0] - low : x[1] - low + 1]
    return int(entries.min()), int(entries.max())


def _piecewise(op: Piecewise, graph: Graph, x: Interval) -> Interval:
    return piecewise_bounds(*x, *(graph.constants[name] for name in (op.knots, op.slopes, op.offsets)))


def _one_hot_max(op: OneHotMax, graph: Graph, x: Interval) -> Interval:
    return 0, 1


TABLE_INTERVALS: dict[type[Op], Callable[..., Interval]] = {
    Lookup: _lookup,
    OneHotMax: _one_hot_max,
    Piecewise: _piecewise,
}
