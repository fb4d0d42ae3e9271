"""Exact fixed-point arithmetic on integer arrays: casts between types, and the quantisers at a model's inputs.

Arrays are int64, or Python integers (dtype object) where 64 bits do not suffice.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Input
from fpgaflow.ir.types import FixedType, Overflow, Rounding

SAFE_BITS = 62  # widest intermediate that int64 arithmetic is trusted with
_MAX_TABLE_LEVELS = 1 << 16


def cast(x: np.ndarray, source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow) -> np.ndarray:
    """Integers of type `source` as integers of type `target`, by AMD's ap_fixed rules (UG1399).

    >>> x = np.array([5, 6, 7, -5, -6, -7])                     # quarters
    >>> cast(x, FixedType(True, 8, 2), FixedType(True, 4, 0), Rounding.RND_CONV, Overflow.SAT)
    array([ 1,  2,  2, -1, -2, -2])
    """
    return fit(rescale(x, source, target, rounding), target, overflow)


def rescale(x: np.ndarray, source: FixedType, target: FixedType, rounding: Rounding) -> np.ndarray:
    """What `cast` gives before overflow handling: integers at the target's fraction, however wide."""
    drop = source.fraction - target.fraction
    if max(source.width + max(1, -drop), target.width) > SAFE_BITS:
        x = x.astype(object)
    return round_shift(x, drop, rounding) if drop > 0 else x << -drop


def cast_bits(source: FixedType, target: FixedType) -> int:
    """Width of the widest integer on the way of a cast."""
    return max(source.width, target.width) + abs(source.fraction - target.fraction)


def round_shift(x: np.ndarray, drop: int, rounding: Rounding) -> np.ndarray:
    """x / 2^drop (drop >= 1), rounded to an integer by `rounding`."""
    floor = x >> drop
    if rounding is Rounding.TRN:
        return floor
    rest = x - (floor << drop)
    half = 1 << (drop - 1)
    match rounding:
        case Rounding.TRN_ZERO:
            up = (rest > 0) & (x < 0)
        case Rounding.RND:
            up = rest >= half
        case Rounding.RND_ZERO:
            up = (rest > half) | ((rest == half) & (x < 0))
        case Rounding.RND_INF:
            up = (rest > half) | ((rest == half) & (x >= 0))
        case Rounding.RND_MIN_INF:
            up = rest > half
        case Rounding.RND_CONV:
            up = (rest > half) | ((rest == half) & (floor & 1 == 1))
    return floor + up.astype(floor.dtype)


def fit(x: np.ndarray, target: FixedType, overflow: Overflow) -> np.ndarray:
    """Integers brought into the range of `target` by `overflow`; int64 wherever the target's width allows it."""
    low, high = limits(target, overflow)
    match overflow:
        case Overflow.WRAP:
            fitted = wrap(x, target)
        case Overflow.SAT | Overflow.SAT_SYM:
            fitted = np.clip(x, low, high)
        case Overflow.SAT_ZERO:
            fitted = np.where((x < low) | (x > high), x - x, x)
    return fitted.astype(np.int64, copy=False) if target.width <= SAFE_BITS else fitted


def limits(target: FixedType, overflow: Overflow) -> tuple[int, int]:
    """The integers that `fit` leaves alone, from the lowest to the highest."""
    # Of one signed bit there is nothing symmetric: ap_fixed leaves -1 alone.
    symmetric = overflow is Overflow.SAT_SYM and target.signed and target.width > 1
    return -target.high if symmetric else target.low, target.high


def wrap(x: np.ndarray, target: FixedType) -> np.ndarray:
    """The low `width` bits of each integer, read in the target's signedness."""
    if x.dtype != object and target.width > SAFE_BITS:
        x = x.astype(object)
    low_bits = x & ((1 << target.width) - 1)
    if not target.signed:
        return low_bits
    sign = 1 << (target.width - 1)
    return (low_bits ^ sign) - sign


def boundary(level: int, rounding: Rounding) -> tuple[Fraction, bool]:
    """Where rounding starts to give `level` or more: (t, strict); round(v) >= level iff v > t (strict) or v >= t."""
    half = Fraction(2 * level - 1, 2)
    match rounding:
        case Rounding.TRN:
            return Fraction(level), False
        case Rounding.TRN_ZERO:
            return (Fraction(level), False) if level >= 1 else (Fraction(level - 1), True)
        case Rounding.RND:
            return half, False
        case Rounding.RND_MIN_INF:
            return half, True
        case Rounding.RND_ZERO:
            return half, level >= 1
        case Rounding.RND_INF:
            return half, level <= 0
        case Rounding.RND_CONV:
            return half, level % 2 == 1


def quantise(x: np.ndarray, port: Input, type_: FixedType) -> np.ndarray:
    """Real inputs (float32 or float64, any shape, finite) as the integers that the model's input quantiser gives.

    Exact: equal to overflow(round(x × gain + offset)) in rational arithmetic for every float.
    """
    if port.ap_int:
        whole = quantise(x, replace(port, ap_int=False), type_)
        return np.where((x < 0) & (x > -0.5), fit(np.ones_like(whole), type_, port.overflow), whole)
    if port.offset == 0 and power_of_two(port.gain):
        return _quantise_scaled(_scaled(x.astype(np.float64), float(port.gain)), port, type_)
    if port.overflow in (Overflow.WRAP, Overflow.SAT_ZERO) or port.high - port.low >= _MAX_TABLE_LEVELS:
        return _quantise_slowly(x, port, type_)
    edges = _edges(port)
    return port.low + np.searchsorted(edges, x.astype(np.float64), side="right").astype(np.int64)


def power_of_two(value: Fraction) -> bool:
    return (
        value > 0 and value.numerator & (value.numerator - 1) == 0 and value.denominator & (value.denominator - 1) == 0
    )


_FLOAT_ROUNDING = {Rounding.RND_CONV: np.rint, Rounding.TRN: np.floor, Rounding.TRN_ZERO: np.trunc}


def _scaled(x: np.ndarray, gain: float) -> np.ndarray:
    """x × 2^k. What leaves float64's range becomes infinite, or keeps its sign and rounds as any tiny number does."""
    with np.errstate(over="ignore", under="ignore"):
        v = x * gain
    return np.where(v == 0, x, v) if gain < 1 else v


def _quantise_scaled(v: np.ndarray, port: Input, type_: FixedType) -> np.ndarray:
    """Rounds and fits v = x × 2^k, which is exact in float64."""
    if port.rounding in _FLOAT_ROUNDING:
        rounded = _FLOAT_ROUNDING[port.rounding](v)
    else:
        # Floor and fraction of a magnitude are exact: those of a negative number just above -0.5 would not be.
        size = np.abs(v)
        whole = np.floor(size)
        with np.errstate(invalid="ignore"):  # infinity has no fraction
            rest = size - whole
        tie_grows = {
            Rounding.RND: v >= 0,
            Rounding.RND_MIN_INF: v < 0,
            Rounding.RND_ZERO: False,
            Rounding.RND_INF: True,
        }[port.rounding]
        rounded = np.copysign(whole + ((rest > 0.5) | ((rest == 0.5) & tie_grows)), v)
    if port.overflow is Overflow.WRAP:
        # fmod is exact, and leaves integers below 2^width; what is infinite here is a multiple of 2^width.
        wrapped = np.fmod(np.where(np.isfinite(rounded), rounded, 0), float(2**type_.width))
        return wrap(wrapped.astype(np.int64) if type_.width <= SAFE_BITS else _integers(wrapped), type_)
    wide = type_.width > 53  # then float64 does not hold the type's ends
    whole = _integers(np.clip(rounded, -(2.0**type_.width), 2.0**type_.width)) if wide else rounded
    if port.overflow is Overflow.SAT_ZERO:
        whole = np.where((whole < port.low) | (whole > port.high), 0, whole)
    fitted = np.clip(whole, port.low, port.high)
    return fitted if wide else fitted.astype(np.int64)


def _integers(v: np.ndarray) -> np.ndarray:
    result = np.empty(v.shape, dtype=object)
    result[...] = np.vectorize(int, otypes=[object])(v) if v.size else v
    return result


def _quantise_slowly(x: np.ndarray, port: Input, type_: FixedType) -> np.ndarray:
    """One rational at a time: for the rare quantisers that no table serves."""

    def one(value: float) -> int:
        scaled = Fraction(value) * port.gain + port.offset
        # round_shift is exact on the numerator when the denominator is a power of two; here it need not be.
        level = scaled.numerator // scaled.denominator
        edge, strict = boundary(level + 1, port.rounding)
        return level + int(scaled > edge if strict else scaled >= edge)

    levels = np.empty(x.shape, dtype=object)
    flat = levels.reshape(-1)
    flat[:] = [one(float(v)) for v in x.reshape(-1)]
    fitted = fit(levels, type_, port.overflow)
    if port.overflow is not Overflow.WRAP:
        fitted = np.clip(fitted, port.low, port.high)
    return fitted


def beyond(x: np.ndarray, port: Input) -> tuple[np.ndarray, np.ndarray]:
    """Where the rounded reals x fall below the quantiser's `low`, and where above its `high`, exactly."""
    values = x.astype(np.float64)
    return values < smallest_float(port.low, port), values >= smallest_float(port.high + 1, port)


@lru_cache(maxsize=64)
def _edges(port: Input) -> np.ndarray:
    """For each level above the lowest, the smallest float64 that the quantiser maps onto it or higher."""
    if port.gain <= 0:
        raise BadInput(f"input '{port.name}'", f"quantiser gain {port.gain} is not positive", "Use a positive scale")
    return np.array([smallest_float(level, port) for level in range(port.low + 1, port.high + 1)], dtype=np.float64)


def smallest_float(level: int, port: Input) -> float:
    """The smallest float64 that the quantiser rounds to `level` or higher."""
    edge, strict = boundary(level, port.rounding)
    exact = (edge - port.offset) / port.gain
    value = float(exact)
    while Fraction(value) < exact or (strict and Fraction(value) == exact):
        value = float(np.nextafter(value, np.inf))
    return value


def dequantise(q: np.ndarray, scale: tuple[Fraction, ...], offset: tuple[Fraction, ...], axis: int) -> np.ndarray:
    """Output integers (N, ...) as float64 values q × scale + offset.

    Exact where float64 holds them, as it does with scales that are powers of two; else each term is within 2^-52 of its
    size.
    """
    if len(scale) == len(offset) == 1 and offset[0] == 0:
        whole = np.asarray(q, dtype=np.float64) if q.dtype == object else q
        return np.multiply(whole, float(scale[0]), dtype=np.float64)
    shape = [1] * q.ndim
    shape[axis + 1] = -1
    scales = np.array([float(s) for s in scale]).reshape(shape if len(scale) > 1 else -1)
    offsets = np.array([float(o) for o in offset]).reshape(shape if len(offset) > 1 else -1)
    return np.asarray(q, dtype=np.float64) * scales + offsets
