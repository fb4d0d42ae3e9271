"""Which arithmetic an op is computed in: the one decision, which the engines follow and `Simulator.explain` tells.

Floats hold every integer up to a limit, so a sum is exact in them, in whatever order, while each partial sum stays
within it. How far an op's integers reach follows from its types and weights alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from fpgaflow.ir.bounds import linear_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.fixed_point import SAFE_BITS
from fpgaflow.sim.kernels import lift, widest
from fpgaflow.sim.lines import Line, fit_line

_EXACT32, _EXACT64 = 1 << 24, 1 << 53  # floats hold every integer up to here
_MAX_COMPARISONS = 16  # levels up to which thresholds without a line are compared one by one


class Arithmetic(Enum):
    INT8 = "int8"  # products of bytes, rounded in float32
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT64 = "int64"
    PYTHON = "Python integers"

    @property
    def limit(self) -> int | None:
        """The magnitude up to which this arithmetic is exact, as far as the engines trust it; None: there is none."""
        return _LIMITS[self]


_LIMITS = {
    Arithmetic.INT8: _EXACT32,
    Arithmetic.FLOAT32: _EXACT32,
    Arithmetic.FLOAT64: _EXACT64,
    Arithmetic.INT64: 1 << SAFE_BITS,
    Arithmetic.PYTHON: None,
}


@dataclass(frozen=True)
class Choice:
    """An arithmetic, and the largest magnitude that the op's integers and partial sums can reach in it."""

    arithmetic: Arithmetic
    reach: int


def choose(op: Op, graph: Graph) -> Choice:
    """The fastest arithmetic that is proven exact."""
    if (reach := float32_reach(op, graph)) is not None and reach <= _EXACT32:
        return Choice(Arithmetic.FLOAT32, reach)
    # Matrix products beyond float32 gain from float64's BLAS; nothing else gains from floats.
    if isinstance(op, Linear) and (reach := sum_reach(op, graph)) is not None and reach <= _EXACT64:
        return Choice(Arithmetic.FLOAT64, reach)
    return choose_integers(op, graph)


def choose_integers(op: Op, graph: Graph) -> Choice:
    """What the reference takes."""
    bits = widest(op, graph)
    return Choice(Arithmetic.INT64 if bits <= SAFE_BITS else Arithmetic.PYTHON, 1 << bits)


def fits_float32(op: Op, graph: Graph) -> bool:
    """Whether `fpgaflow.sim.float_graph` can carry the op exactly in float32."""
    return choose(op, graph).arithmetic is Arithmetic.FLOAT32


def float32_reach(op: Op, graph: Graph) -> int | None:
    """How far the op's integers reach in its float32 form; None where it has none."""
    if (inner := _REACHES.get(type(op), _no_form)(op, graph)) is None:
        return None
    return max(inner, *(_reach(graph.type_of(name)) for name in (*op.inputs, op.output)))


def sum_reach(op: Linear, graph: Graph) -> int | None:
    """The largest magnitude of any partial sum, in the accumulator's units.

    None where floats cannot follow: products or bias lose bits on the way, or a sum leaves the accumulator.
    """
    source, up = graph.type_of(op.inputs[0]), lift(op, graph)
    bias = None if op.bias is None else graph.constants[op.bias]
    bias_up = 0 if op.bias_type is None else op.accum.fraction - op.bias_type.fraction
    if min(up, bias_up) < 0:
        return None
    low, high = linear_bounds(graph.constants[op.weights], bias, bias_up, source.low << up, source.high << up)
    return max(-low, high) if op.accum.low <= low and high <= op.accum.high else None


def threshold_form(op: Threshold, graph: Graph) -> Line | int | None:
    """How thresholds run on floats: along a line, as this many comparisons, or not at all."""
    levels, source = graph.constants[op.thresholds], graph.type_of(op.inputs[0])
    if levels.shape[1] > 1 and op.signs is None and (line := fit_line(levels, source.low, source.high)) is not None:
        return line
    if not 0 < levels.shape[1] <= _MAX_COMPARISONS:
        return None
    return levels.shape[1] if max(-int(levels.min()), int(levels.max())) <= _EXACT32 else None


def _reach(type_: FixedType) -> int:
    return max(-type_.low, type_.high)


def _no_form(_op: Op, _graph: Graph) -> None:
    return None


def _ends(_op: Op, _graph: Graph) -> int:
    """Nothing on the way is larger than at the ends."""
    return 0


def _cast_reach(op: Cast, graph: Graph) -> int:
    source = graph.type_of(op.inputs[0])
    drop = source.fraction - graph.type_of(op.output).fraction
    return _reach(source) << -drop if drop < 0 else _reach(source) + (1 << drop)


def _add_reach(op: Add, graph: Graph) -> int:
    types = [graph.type_of(name) for name in op.inputs]
    return max(_reach(t) << (graph.type_of(op.output).fraction - t.fraction) for t in types)


def _threshold_reach(op: Threshold, graph: Graph) -> int | None:
    return None if threshold_form(op, graph) is None else 0


# How far each op's integers reach between its ends; an op that is not here has no float32 form.
_REACHES: dict[type[Op], Callable[..., int | None]] = {
    Add: _add_reach,
    Cast: _cast_reach,
    Conv: sum_reach,
    Dense: sum_reach,
    Pool: _ends,
    Relu: _ends,
    Reshape: _ends,
    Threshold: _threshold_reach,
    Transpose: _ends,
}
