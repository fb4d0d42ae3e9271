"""A cast between fixed-point types as combinational logic, in every rounding and overflow mode of ap_fixed.

The same rules as `fpgaflow.sim.fixed_point`, on Amaranth values that are wide enough to lose nothing on the way.
"""

from __future__ import annotations

from amaranth.hdl import Const, Mux, Shape, Value

from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import limits


def number(bits: Value, type_: FixedType) -> Value:
    """The bits of an element as a number of its type's signedness."""
    return bits.as_signed() if type_.signed else bits.as_unsigned()


def wrapped(x: Value, type_: FixedType) -> Value:
    """An integer's low bits as a number of a type."""
    return number((x + Const(0, Shape(type_.width, x.shape().signed)))[: type_.width], type_)


def cast_value(x: Value, source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow) -> Value:
    """`x`, a number of type `source`, in type `target`: the low `target.width` bits of the result are its integer."""
    drop = source.fraction - target.fraction
    return fitted(_round_shift(x, source, drop, rounding) if drop > 0 else x << -drop, target, overflow)


def _round_shift(x: Value, source: FixedType, drop: int, rounding: Rounding) -> Value:
    """x / 2^drop, rounded to an integer."""
    # A number with no bit above `drop` is extended first, so that the slices below exist.
    x = x + Const(0, Shape(drop + 1, source.signed))
    floor = x >> drop
    rest, half = x[:drop], 1 << (drop - 1)
    negative = x[-1] if source.signed else Const(0)
    match rounding:
        case Rounding.TRN:
            return floor
        case Rounding.TRN_ZERO:
            up = (rest != 0) & negative
        case Rounding.RND:
            up = rest >= half
        case Rounding.RND_ZERO:
            up = (rest > half) | ((rest == half) & negative)
        case Rounding.RND_INF:
            up = (rest > half) | ((rest == half) & ~negative)
        case Rounding.RND_MIN_INF:
            up = rest > half
        case Rounding.RND_CONV:
            up = (rest > half) | ((rest == half) & floor[0])
    return floor + up


def fitted(x: Value, target: FixedType, overflow: Overflow) -> Value:
    """`x` brought into the range of `target`."""
    if overflow is Overflow.WRAP:
        return x
    low, high = limits(target, overflow)
    below, above = (0, 0) if overflow is Overflow.SAT_ZERO else (low, high)
    return Mux(x < low, below, Mux(x > high, above, x))
