"""Real functions in guaranteed arithmetic: two rational numbers that a value lies strictly between, as near as wanted.

That decides on which side of a rounding boundary a value is, however near. Exponentials and logarithms come from
`decimal`, which rounds them correctly; the error function is summed here with all rounding bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import isqrt

from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Clamp, Function, Leaky, Product, Step

DIGITS = (25, 60, 150, 400)  # tried one after the other
MAX_EXPONENT = 1 << 12  # largest argument of Exp


class UndecidedError(Exception):
    """More digits may decide it."""


@dataclass(frozen=True)
class Enclosure:
    """The value itself where low == high, else two numbers that it lies strictly between."""

    low: Fraction
    high: Fraction

    @property
    def exact(self) -> bool:
        return self.low == self.high


def exactly(value: Fraction) -> Enclosure:
    return Enclosure(value, value)


def evaluate(steps: tuple[Step, ...], channel: int, x: Enclosure, digits: int) -> Enclosure:
    """What the steps make of x.

    Raises:
        UndecidedError: these digits do not tell on which side of a clamp a value lies.
    """
    for step in steps:
        x = _step(step, channel, x, digits)
    return x


def _step(step: Step, channel: int, x: Enclosure, digits: int) -> Enclosure:
    match step:
        case Affine():
            scale, offset = step.scale[channel % len(step.scale)], step.offset[channel % len(step.offset)]
            ends = x.low * scale + offset, x.high * scale + offset
            return Enclosure(min(ends), max(ends))
        case Clamp():
            low = x if step.low is None else _bounded(x, step.low, below=True)
            return low if step.high is None else _bounded(low, step.high, below=False)
        case Leaky():
            slope = step.slope[channel % len(step.slope)]
            if x.low >= 0:
                return x
            if x.high > 0:
                raise UndecidedError
            ends = x.low * slope, x.high * slope
            return Enclosure(min(ends), max(ends))
        case Product():
            a, b = (evaluate(side, channel, x, digits) for side in (step.left, step.right))
            corners = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
            return Enclosure(min(corners), max(corners))
        case Function():
            return _applied(step, x, digits)


def _bounded(x: Enclosure, bound: Fraction, *, below: bool) -> Enclosure:
    """max(x, bound), or min."""
    if (x.high if below else -x.low) <= (bound if below else -bound):
        return exactly(bound)
    if (x.low if below else -x.high) >= (bound if below else -bound):
        return x
    raise UndecidedError


def _applied(step: Function, x: Enclosure, digits: int) -> Enclosure:
    if step.kind == "abs":
        if x.low < 0 < x.high:
            raise UndecidedError
        return Enclosure(*sorted((abs(x.low), abs(x.high))))
    function = RISING[step.kind]
    low = function(x.low, step.parameter, digits)
    return low if x.exact else Enclosure(low.low, function(x.high, step.parameter, digits).high)


@lru_cache(maxsize=1 << 14)
def _exp(x: Fraction, digits: int) -> Enclosure:
    """e^x for x <= 0, to so many digits behind the point at least."""
    if x == 0:
        return exactly(ONE)
    if x < -3 * (digits + 10):
        return Enclosure(ZERO, Fraction(1, 10 ** (digits + 10)))
    ends = []
    for rounding in (ROUND_FLOOR, ROUND_CEILING):
        with localcontext(Context(prec=digits + 10, rounding=rounding)) as context:
            found = (Decimal(x.numerator) / Decimal(x.denominator)).exp()
            ends.append(Fraction(context.next_minus(found) if rounding == ROUND_FLOOR else context.next_plus(found)))
    return Enclosure(ends[0], ends[1])


def _sigmoid(x: Fraction, _: Fraction, digits: int) -> Enclosure:
    e = _exp(-abs(x), digits)
    ends = (1 / (1 + e.high), 1 / (1 + e.low)) if x >= 0 else (e.low / (1 + e.low), e.high / (1 + e.high))
    return Enclosure(*ends)


def _tanh(x: Fraction, _: Fraction, digits: int) -> Enclosure:
    e = _exp(-2 * abs(x), digits)
    ends = (1 - e.high) / (1 + e.high), (1 - e.low) / (1 + e.low)
    return Enclosure(*ends) if x >= 0 else Enclosure(-ends[1], -ends[0])


def _exponential(x: Fraction, _: Fraction, digits: int) -> Enclosure:
    if x <= 0:
        return _exp(x, digits)
    if x > MAX_EXPONENT:
        raise UndecidedError
    e = _exp(-x, digits + int(x))
    return Enclosure(1 / e.high, 1 / e.low)


def _elu(x: Fraction, alpha: Fraction, digits: int) -> Enclosure:
    if x >= 0:
        return exactly(x)
    e = _exp(x, digits)
    return Enclosure(alpha * (e.low - 1), alpha * (e.high - 1))


def _softplus(x: Fraction, _: Fraction, digits: int) -> Enclosure:
    e = _exp(-abs(x), digits)
    positive = max(x, ZERO)  # ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
    if e.high < Fraction(1, 10 ** (digits // 2)):
        return Enclosure(positive + e.low - e.low**2 / 2, positive + e.high)
    with localcontext(Context(prec=digits + 10)) as context:
        low, high = (Decimal((1 + end).numerator) / Decimal((1 + end).denominator) for end in (e.low, e.high))
        low, high = context.next_minus(context.next_minus(low).ln()), context.next_plus(context.next_plus(high).ln())
    return Enclosure(positive + Fraction(low), positive + Fraction(high))


@lru_cache(maxsize=8)
def _pi(digits: int) -> tuple[Fraction, Fraction]:
    """Two numbers around pi, by Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239)."""
    one = 10 ** (digits + 20)

    def inverse_tangent(n: int) -> tuple[int, int]:
        total, term, k = 0, one // n, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term, k = term // (n * n), k + 1
        return total, 2 * k + 2  # each division drops less than one

    (a, a_error), (b, b_error) = inverse_tangent(5), inverse_tangent(239)
    error = 16 * a_error + 4 * b_error
    return Fraction(16 * a - 4 * b - error, one), Fraction(16 * a - 4 * b + error, one)


def _root(value: Fraction, digits: int) -> tuple[Fraction, Fraction]:
    one = 10 ** (digits + 20)
    found = isqrt(value.numerator * one * one // value.denominator)
    return Fraction(found, one), Fraction(found + 1, one)


@lru_cache(maxsize=1 << 14)
def _bell(x: Fraction, halves: int, digits: int) -> Enclosure:
    """The integral of a bell curve over [-x, x], x > 0: erf(x) for halves = 2, erf(x / sqrt(2)) for halves = 1.

    erf(x) = 2 / sqrt(pi) e^(-x^2) sum_n 2^n x^(2n + 1) / (2n + 1)!! (NIST DLMF 7.6.2), all of whose terms are positive.
    """
    square = x * x * halves  # twice the exponent
    if square > 6 * digits:  # 1 - erf(x) < e^(-x^2)
        return Enclosure(1 - _exp(-square / 2, digits).high, ONE)
    one = 10 ** (digits + 20)
    term, total, n = one * x.numerator // x.denominator, 0, 0
    while term or n == 0:
        total += term
        n += 1
        term = term * square.numerator // (square.denominator * (2 * n + 1))
    # Each of n floors loses less than one, and grows at most as the terms do: by e^(x^2) in all, taken back below.
    e, pi = _exp(-square / 2, digits + 20), _pi(digits)
    low = Fraction(total, one) * e.low
    high = Fraction(total, one) * e.high + Fraction(4 * n * n + 4, one)
    factors = _root(Fraction(2 * halves) / pi[1], digits)[0], _root(Fraction(2 * halves) / pi[0], digits)[1]
    return Enclosure(low * factors[0], min(high * factors[1], ONE))


def _erf(x: Fraction, halves: Fraction, digits: int) -> Enclosure:
    if x == 0:
        return exactly(ZERO)
    size = _bell(abs(x), int(halves), digits)
    return size if x > 0 else Enclosure(-size.high, -size.low)


# Rising functions of (x, parameter, digits).
RISING: dict[str, Callable[[Fraction, Fraction, int], Enclosure]] = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "exp": _exponential,
    "elu": _elu,
    "softplus": _softplus,
    "erf": lambda x, _, digits: _erf(x, Fraction(2), digits),
    "erf of halves": lambda x, _, digits: _erf(x, Fraction(1), digits),  # erf(x / sqrt(2))
}


def _float_elu(x: float, alpha: float) -> float:
    return x if x >= 0 else alpha * math.expm1(x)


_FLOATS: dict[str, Callable[[float, float], float]] = {
    "sigmoid": lambda x, _: 0.5 * math.tanh(x / 2) + 0.5,
    "tanh": lambda x, _: math.tanh(x),
    "exp": lambda x, _: math.exp(min(x, 700.0)),
    "elu": _float_elu,
    "softplus": lambda x, _: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "erf": lambda x, _: math.erf(x),
    "erf of halves": lambda x, _: math.erf(x / math.sqrt(2)),
    "abs": lambda x, _: abs(x),
}


def estimate(steps: tuple[Step, ...], channel: int, x: float) -> float:
    """About what the steps make of x: a guess, never a decision."""
    for step in steps:
        match step:
            case Affine():
                scale, offset = step.scale[channel % len(step.scale)], step.offset[channel % len(step.offset)]
                x = x * float(scale) + float(offset)
            case Clamp():
                x = x if step.low is None else max(x, float(step.low))
                x = x if step.high is None else min(x, float(step.high))
            case Leaky():
                x = x if x >= 0 else x * float(step.slope[channel % len(step.slope)])
            case Product():
                x = estimate(step.left, channel, x) * estimate(step.right, channel, x)
            case Function():
                x = _FLOATS[step.kind](x, float(step.parameter))
    return x
