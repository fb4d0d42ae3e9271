"""What follows a sum at once: its cast, relu and rounding, as a constant added to the sum and a few LUTs after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Shape, Value

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Op, Relu
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.targets.rtl.cast import fitted
from fpgaflow.targets.rtl.elementwise import Function, cast_function, relu_function


@dataclass(frozen=True)
class Activation:
    """f(x) as `after`(x + `constant`), x in integers of the sum; the low bits of the result are f's integer."""

    constant: int
    after: Callable[[Value], Value]


def activation_of(ops: Sequence[Op], graph: Graph, sum_type: FixedType, *, exact: bool) -> Activation:
    """The functions of some ops (casts and relus), one after the other, on integers of `sum_type`.

    Where the sum is not `exact`, it wraps around before they see it, and nothing can be added to it before.
    """
    if not ops:
        return Activation(0, lambda x: x)
    first, *rest = ops
    clipped = isinstance(first, Relu)
    if clipped and rest:
        first, *rest = rest
    constant = (
        _rounding_constant(first, graph, sum_type, clipped) if exact and isinstance(first, Cast) and not rest else None
    )
    if isinstance(first, Cast) and constant is not None:
        target = graph.type_of(first.output)
        drop = sum_type.fraction - target.fraction
        even = first.rounding is Rounding.RND_CONV
        return Activation(constant, lambda x: _fit(_shifted(x, drop, even=even), target, first.overflow, clipped))
    functions = [_function(op, graph) for op in ops]
    types = [graph.type_of(op.output) for op in ops]

    def after(x: Value) -> Value:
        for function, type_ in zip(functions, types, strict=True):
            bits = function(x) + Const(0, Shape(type_.width, type_.signed))
            x = bits[: type_.width].as_signed() if type_.signed else bits[: type_.width]
        return x

    return Activation(0, after)


def _function(op: Op, graph: Graph) -> Function:
    if isinstance(op, Cast):
        return cast_function(op, graph)
    if isinstance(op, Relu):
        return relu_function(op, graph)
    raise TypeError(f"{type(op).__name__} is neither a cast nor a relu")


def _rounding_constant(op: Cast, graph: Graph, source: FixedType, clipped: bool) -> int | None:
    """What to add before the fraction bits are cut off, where that is all that the rounding needs.

    With `clipped`, or a target without negative numbers that saturates, all below 0 becomes 0 however it is rounded.
    """
    target = graph.type_of(op.output)
    drop = source.fraction - target.fraction
    if drop <= 0:
        return 0
    half = 1 << (drop - 1)
    plain = {Rounding.TRN: 0, Rounding.RND: half, Rounding.RND_MIN_INF: half - 1, Rounding.RND_CONV: half}
    if op.rounding in plain:
        return plain[op.rounding]
    if clipped or (op.overflow in (Overflow.SAT, Overflow.SAT_SYM) and not target.signed):
        return {Rounding.TRN_ZERO: 0, Rounding.RND_ZERO: half - 1, Rounding.RND_INF: half}[op.rounding]
    return None


def _shifted(x: Value, drop: int, *, even: bool) -> Value:
    """floor(x / 2^drop); with `even`, less 1 where it is odd and nothing was cut off: half was added to a tie."""
    if drop <= 0:
        return x << -drop
    x = x + Const(0, Shape(drop + 1, x.shape().signed))
    floor = x >> drop
    if not even:
        return floor
    bits = Cat(floor[0] & x[:drop].any(), floor[1:])
    return bits.as_signed() if floor.shape().signed else bits


def _fit(x: Value, target: FixedType, overflow: Overflow, clipped: bool) -> Value:
    """`x`, clipped at 0 where that is asked for, brought into the range of `target`."""
    if not x.shape().signed:
        clipped = False  # nothing to clip
    top = target.width - target.signed
    if overflow in (Overflow.SAT, Overflow.SAT_SYM) and (clipped or not x.shape().signed or not target.signed):
        # Both ends by the bits above: no comparison with a carry chain.
        bits = x + Const(0, Shape(top + 1, x.shape().signed))
        above = bits[top:-1] if bits.shape().signed else bits[top:]
        held = bits[:top] | above.any().replicate(top)
        return Mux(bits[-1], 0, held) if bits.shape().signed else held
    return fitted(Mux(x < 0, 0, x) if clipped else x, target, overflow)
