"""How far each op's exact results can reach, by interval arithmetic from the model's inputs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from fpgaflow.ir.bounds import linear_bounds, rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach
from fpgaflow.ir.types import Overflow
from fpgaflow.sim.fixed_point import limits
from fpgaflow.sim.intervals_merge import MERGE_INTERVALS
from fpgaflow.sim.intervals_table import TABLE_INTERVALS, element_bounds
from fpgaflow.sim.kernels import CASTING, lift, overflow_of
from fpgaflow.sim.kernels_recurrent import state_bounds

Interval = tuple[int, int]  # lowest and highest integer


@dataclass(frozen=True)
class Result:
    """What an op can give, in integers of its output's type.

    Attributes:
        exact: before overflow handling; None where nothing is known of it.
        kept: the integers that overflow handling leaves alone.
        inside: whether a value on the way may leave a type of its own.
    """

    exact: Interval | None
    kept: Interval
    inside: bool = False

    @property
    def overflows(self) -> bool:
        """Whether a result, or a value on the way to it, may wrap or saturate."""
        return self.inside or self.exact is None or self.exact[0] < self.kept[0] or self.exact[1] > self.kept[1]


def results(graph: Graph) -> dict[str, Result]:
    """Each op's result, by its name."""
    known: dict[str, Interval] = {port.tensor: (port.low, port.high) for port in graph.inputs}
    found = {}
    for op in graph.ops:
        type_, fits = graph.type_of(op.output), type(op) in CASTING
        kept = limits(type_, overflow_of(op)) if fits else (type_.low, type_.high)
        rule = _RULES.get(type(op))
        exact = rule(op, graph, *(known[name] for name in op.inputs)) if rule is not None else None
        inside = type(op) in _INSIDE and _INSIDE[type(op)](op, graph, *(known[name] for name in op.inputs))
        found[op.name] = Result(exact, kept, inside)
        known[op.output] = _fitted(found[op.name], overflow_of(op))
    return found


def _fitted(result: Result, overflow: Overflow) -> Interval:
    """What is left after overflow handling."""
    if result.exact is None or (result.overflows and (result.inside or overflow is Overflow.WRAP)):
        return result.kept
    low, high = (min(max(end, result.kept[0]), result.kept[1]) for end in result.exact)
    zeroed = result.overflows and overflow is Overflow.SAT_ZERO
    return (min(low, 0), max(high, 0)) if zeroed else (low, high)


def _cast(op: Cast, graph: Graph, x: Interval) -> Interval:
    return rounded_bounds(*x, graph.type_of(op.inputs[0]).fraction - graph.type_of(op.output).fraction)


def _linear(op: Linear, graph: Graph, x: Interval) -> Interval:
    weights, up, bias, bias_up = graph.constants[op.weights], lift(op, graph), None, 0
    if op.bias is not None and op.bias_type is not None:
        bias, bias_up = graph.constants[op.bias], op.accum.fraction - op.bias_type.fraction
        bias = bias >> min(max(-bias_up, 0), 63)
    if up >= 0:
        return linear_bounds(weights, bias, max(bias_up, 0), x[0] << up, x[1] << up)
    # Truncation takes less than one unit from each product.
    low, high = linear_bounds(weights, bias, max(bias_up, 0) - up, *x)
    return (low >> -up) - prod(weights.shape[:-1]), high >> -up


def _pool(op: Pool, graph: Graph, x: Interval) -> Interval:
    if op.kind is PoolKind.MAX:
        return x
    padded = any(map(any, op.padding))
    low, high = (prod(op.size) * end for end in x)
    return (min(low, 0), max(high, 0)) if padded else (low, high)


def _add(op: Add, graph: Graph, *terms: Interval) -> Interval:
    shifts = [graph.type_of(op.output).fraction - graph.type_of(name).fraction for name in op.inputs]
    low, high = (sum(term[end] << up for term, up in zip(terms, shifts, strict=True)) for end in (0, 1))
    return low, high


def _relu(op: Relu, graph: Graph, x: Interval) -> Interval:
    return max(x[0], 0), max(x[1], 0)


def _threshold(op: Threshold, graph: Graph, x: Interval) -> Interval:
    ends = (op.offset, op.offset + op.step * graph.constants[op.thresholds].shape[1])
    return min(ends), max(ends)


def _recurrent(op: Recurrent, graph: Graph, *parts: Interval) -> Interval:
    """Every h, and the zeros or given states before the first."""
    ends = [*state_bounds(op, graph), 0]
    return min(ends), max(ends)


def _elements(op: CastEach, graph: Graph, x: Interval) -> bool:
    return any(low < kept[0] or high > kept[1] for (low, high), kept in element_bounds(op, graph, x))


def _any(op: Op, graph: Graph, *inputs: Interval) -> bool:
    return True


def _same(op: Op, graph: Graph, x: Interval) -> Interval:
    return x


# Ops that cast on the way into types of their own: whether a value may leave one.
_INSIDE: dict[type[Op], Callable[..., bool]] = {CastEach: _elements, Recurrent: _any}

# An op that is not here may give any integer of its type, and cast as it likes on the way.
_RULES: dict[type[Op], Callable[..., Interval | None]] = {
    Add: _add,
    Cast: _cast,
    Conv: _linear,
    Dense: _linear,
    Pool: _pool,
    Relu: _relu,
    Recurrent: _recurrent,
    Reshape: _same,
    Threshold: _threshold,
    Transpose: _same,
    **MERGE_INTERVALS,
    **TABLE_INTERVALS,
}
