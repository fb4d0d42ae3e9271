"""Rounding and overflow in float32 as `ap_fixed` does them, every step exact."""

from __future__ import annotations

from fractions import Fraction

from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import limits
from fpgaflow.targets.gpu.emitter import Emitter, in_int8, unit


def cast(
    e: Emitter,
    x: str,
    target: FixedType,
    rounding: Rounding | None,
    overflow: Overflow,
    reach: tuple[int, int],
    out: str,
    *,
    again: Fraction | None,
) -> None:
    """`out` = the value x in the type `target`.

    Args:
        rounding: None where x lies on the target's grid already.
        reach: bounds of x after rounding, in the target's units.
        again: the scale of the DequantizeLinear that x comes out of, if it does.
    """
    low, high = limits(target, overflow)
    one, inside = unit(target), reach[0] >= low and reach[1] <= high
    saturates = overflow in (Overflow.SAT, Overflow.SAT_SYM)
    if rounding is None and (inside or saturates):
        if inside:
            e.node("Identity", [x], out)
        else:
            e.node("Clip", [x, e.number(low * one, f"{out}.low"), e.number(high * one, f"{out}.high")], out)
        if again is not None:
            e.quantised[out] = again
    elif rounding is Rounding.RND_CONV and (inside or saturates) and in_int8(low, high) and again is None:
        # The bounds lie on the grid: clamping first and rounding then is the same, and QuantizeLinear does the latter.
        clamped = x if inside else clamp(e, x, low * one, high * one, out)
        e.quantise_as(clamped, one, out)
    else:
        whole = e.scaled(x, 1 / one, out)
        if rounding is not None:
            whole = round_(e, whole, rounding, out)
        if not inside:
            whole = wrapped(e, whole, target, overflow, out)
        e.node("Mul", [whole, e.number(one, f"{out}.unit")], out)


def clamp(e: Emitter, x: str, low: Fraction, high: Fraction, near: str) -> str:
    return e.step("Clip", [x, e.number(low, f"{near}.low"), e.number(high, f"{near}.high")], near)


def round_(e: Emitter, x: str, rounding: Rounding, near: str) -> str:
    """x rounded to an integer. No step adds a half to x, which float32 might round."""

    def toward_zero(kind: str) -> str:
        whole = e.step(kind, [e.step("Abs", [x], near)], near)
        return e.step("Mul", [whole, e.step("Sign", [x], near)], near)

    match rounding:
        case Rounding.RND_CONV:
            return e.step("Round", [x], near)
        case Rounding.TRN:
            return e.step("Floor", [x], near)
        case Rounding.TRN_ZERO:
            return toward_zero("Floor")
        case Rounding.RND:
            return _nearest(e, x, x, "GreaterOrEqual", near)
        case Rounding.RND_MIN_INF:
            # As RND of the negative: of a number just above -0.5 the rest is not exact, but never below a half.
            negative = e.step("Neg", [x], near)
            return e.step("Neg", [_nearest(e, negative, negative, "GreaterOrEqual", near)], near)
        case Rounding.RND_INF | Rounding.RND_ZERO:
            size = e.step("Abs", [x], near)
            kind = "GreaterOrEqual" if rounding is Rounding.RND_INF else "Greater"
            return e.step("Mul", [_nearest(e, size, size, kind, near), e.step("Sign", [x], near)], near)


def _nearest(e: Emitter, x: str, of: str, at_half: str, near: str) -> str:
    """floor(x), and one more where the rest exceeds (or reaches) a half.

    The rest is exact but for -0.5 < x < 0, where it may be rounded to a half, and has to be seen as one.
    """
    floor = e.step("Floor", [of], near)
    rest = e.step("Sub", [x, floor], near)
    up = e.step(at_half, [rest, e.number(0.5, f"{near}.half")], near)
    return e.step("Add", [floor, e.step("Cast", [up], near, to=1)], near)


def wrapped(e: Emitter, x: str, type_: FixedType, overflow: Overflow, near: str) -> str:
    """An integer-valued x brought into the type."""
    low, high = limits(type_, overflow)
    if overflow in (Overflow.SAT, Overflow.SAT_SYM):
        return clamp(e, x, Fraction(low), Fraction(high), near)
    if overflow is Overflow.SAT_ZERO:
        inside = e.step("Equal", [clamp(e, x, Fraction(low), Fraction(high), near), x], near)
        return e.step("Where", [inside, x, e.number(0.0, f"{near}.zero")], near)
    # x - 2^w floor((x - low) / 2^w), each step exact
    size = Fraction(1 << type_.width)
    above = e.step("Add", [x, e.number(Fraction(-low), f"{near}.above")], near)
    turns = e.step("Floor", [e.scaled(above, 1 / size, near)], near)
    return e.step("Sub", [x, e.scaled(turns, size, near)], near)
