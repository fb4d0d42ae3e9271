"""TFLite's int8 requantisation: its arithmetic, the scales that come nearest to a quantiser, and where they differ.

TFLite multiplies an int32 sum by a 31-bit fraction and a power of two, and rounds twice
(`MultiplyByQuantizedMultiplier` in tensorflow/lite/kernels/internal/common.cc): the doubled high half of the product
with ties up, then its right shift with ties away from zero. That is monotone, so it equals a quantiser for every sum if
it does on both sides of each of the quantiser's thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Cast, Op, Relu, Threshold
from fpgaflow.ir.types import Overflow
from fpgaflow.sim.fixed_point import cast, limits, rescale
from fpgaflow.sim.lines import fit_line
from fpgaflow.targets.refused import Refused

_FRACTION = 31
_INT32 = 1 << 31
_SHARES = (1.0, 1 - 2.0**-23)  # of the slope: a little less makes no ties of halves in the first rounding
_NUDGES = np.arange(-4, 5)  # offsets tried, in units of the scaled sum


@dataclass(frozen=True)
class Multiplier:
    """`mantissa` × 2^(exponent - 31), each (filters,): what TFLite makes of a float64 in [0, 2^31)."""

    mantissa: Ints
    exponent: Ints

    def apply(self, x: Ints) -> Ints:
        """Rounded products with int32 x (..., filters)."""
        left, right = np.maximum(self.exponent, 0), np.maximum(-self.exponent, 0)
        product = (x << left) * self.mantissa
        high = np.where(product >= 0, product + (1 << 30), product + 1 - (1 << 30))
        high = np.where(high >= 0, high >> _FRACTION, -((-high) >> _FRACTION))
        mask = (1 << right) - 1
        rest, threshold = high & mask, (mask >> 1) + (high < 0)
        return (high >> right) + (rest > threshold)


def multiplier(real: np.ndarray) -> Multiplier:
    """As TFLite's `QuantizeMultiplier` of float64 (filters,)."""
    fraction, exponent = np.frexp(real)
    mantissa = np.rint(fraction * 2.0**_FRACTION).astype(np.int64)
    over = mantissa == _INT32
    return Multiplier(np.where(over, mantissa // 2, mantissa), exponent.astype(np.int64) + over)


@dataclass(frozen=True)
class Quantiser:
    """A monotone function of an integer sum onto [low, high]: Relu, then Cast or Threshold.

    `thresholds` (channels or 1, high - low) are the smallest sums that give low + 1 and so on; `slope` and `intercept`
    (channels or 1,) are a line whose floor comes near it; `ties` tells that it rounds ties to even.
    """

    low: int
    high: int
    thresholds: Ints
    slope: np.ndarray
    intercept: np.ndarray
    ties: bool

    def without_ties(self) -> tuple[Quantiser, Quantiser, Quantiser]:
        """Instead of ties to even: with ties up, with ties down, and the nearest in units twice as large."""
        up = self._ties_up()
        one, other = (replace(self, thresholds=up + by, ties=False) for by in (0, 1))
        return one, other, self._half(away=False)

    def with_ties_away(self) -> tuple[Quantiser, Quantiser, Quantiser, Quantiser]:
        """With ties away from zero; the same of sums one lower, and one higher; and nearest in units twice as large.

        Above zero the second one has ties down, below zero the third one has ties up.
        """
        positive = np.arange(self.low + 1, self.high + 1)[None] > 0
        away = np.where(positive, self._ties_up(), self._ties_up() + 1)
        lower, same, higher = (replace(self, thresholds=away + by, ties=False) for by in (1, 0, -1))
        return same, lower, higher, self._half(away=True)

    def _ties_up(self) -> Ints:
        even = np.arange(self.low + 1, self.high + 1)[None] % 2 == 0
        return np.where(even, self.thresholds, self.thresholds - 1)

    def _half(self, *, away: bool) -> Quantiser:
        """Its own ties lie at odd numbers of units, where any result will do."""
        low, high = -(-self.low // 2), (self.high + 1) // 2
        step = round(1 / float(self.slope[0]))
        levels = np.arange(low + 1, high + 1)[None]
        half = (2 * levels - 1) * step + (away & (levels <= 0))
        return Quantiser(low, high, half, self.slope / 2, self.intercept, False)


Quantising = Relu | Cast | Threshold


def keeps(graph: Graph, op: Cast, low: int, high: int) -> bool:
    """Whether a cast changes no value of the sums in [low, high]."""
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    up = target.fraction - source.fraction
    return up >= 0 and target.low <= low << up and high << up <= target.high


def quantiser(graph: Graph, ops: tuple[Quantising, ...], low: int, high: int) -> Quantiser:
    """Of sums in [low, high], as the ops give it: a ReLU and casts that keep values, then the quantiser itself.

    Raises:
        Refused: it is no growing function with at most 8 bits, or follows no line.
    """
    *before, last = ops
    relus = [op for op in before if isinstance(op, Relu)]
    up = sum(_lift(graph, op) for op in before)
    made = _quantiser(graph, last, bool(relus), low << up, high << up)
    # In the unit of the sums: the smallest of them that is not below.
    return replace(made, thresholds=-(-made.thresholds >> up), slope=made.slope * 2.0**up)


def _lift(graph: Graph, op: Op) -> int:
    return graph.type_of(op.output).fraction - graph.type_of(op.inputs[0]).fraction


def _quantiser(graph: Graph, last: Quantising, relus: bool, low: int, high: int) -> Quantiser:
    source, target = graph.type_of(last.inputs[0]), graph.type_of(last.output)
    if isinstance(last, Threshold):
        levels = graph.constants[last.thresholds]
        if last.signs is not None or last.step < 1:
            raise Refused("thresholds that fall", "Use positive scales")
        if last.step != 1 or levels.shape[1] > 255 or not levels.shape[1]:
            raise Refused(f"{levels.shape[1]} thresholds in steps of {last.step}", "Use 8 bits at most")
        line = fit_line(levels, source.low, source.high)
        if line is None:
            raise Refused("thresholds that lie on no straight line", "Use a uniform scale")
        if relus and bool((levels <= 0).any()):
            raise Refused("a ReLU between a sum and thresholds below zero", "Leave the ReLU to the quantiser")
        slope, intercept = line.slope.astype(np.float64), line.intercept.astype(np.float64) + last.offset
        return Quantiser(last.offset, last.offset + levels.shape[1], levels, slope, intercept, False)
    assert isinstance(last, Cast)
    drop = source.fraction - target.fraction
    small, large = limits(target, last.overflow)
    if large - small > 255:
        raise Refused(f"its result of {target} has more than 8 bits", "Quantise it to 8 bits")
    if last.overflow not in (Overflow.SAT, Overflow.SAT_SYM) and not _inside(graph, last, low, high):
        raise Refused(f"a cast that overflows by {last.overflow.value}", "Let it saturate")
    if relus:
        small = max(small, 0)
    edges = np.arange(small + 1, large + 1)
    # The smallest sum of each level, by halving: the cast grows with it.
    first, after = np.full(len(edges), -_INT32), np.full(len(edges), _INT32 - 1)
    for _ in range(33):
        middle = (first + after) >> 1
        reached = cast(middle, source, target, last.rounding, Overflow.SAT) >= edges
        first, after = np.where(reached, first, middle), np.where(reached, middle, after)
    centre = {"TRN": 0.0, "TRN_ZERO": 0.0}.get(last.rounding.value, 0.5)
    even = drop > 0 and last.rounding.value == "RND_CONV"
    return Quantiser(small, large, after[None], np.array([2.0**-drop]), np.array([centre]), even)


def _inside(graph: Graph, op: Cast, low: int, high: int) -> bool:
    """Whether a cast of sums of [low, high] overflows nowhere."""
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    ends = rescale(np.array([low, high]), source, target, op.rounding)
    return bool(ends[0] >= target.low and ends[1] <= target.high)


@dataclass(frozen=True)
class Fit:
    """How TFLite comes to a quantiser's results: each filter's sum is scaled by 2^`lift` and moved by `offset`.

    Attributes:
        slope: float32 (filters,): result per unit of the sum, before the lift.
        offset: int64 (filters,), in units of the lifted sum.
        wrong: thresholds, over all filters, next to which a possible sum gives another result.
    """

    lift: int
    slope: np.ndarray
    offset: Ints
    wrong: int


def fit(wanted: Quantiser, filters: int, low: int, high: int, most_lift: int) -> Fit:
    """The best scales for sums (filters,) within [low, high], weights having `most_lift` bits to spare."""
    reach = max(-low, high, 1)
    best: Fit | None = None
    for lift, share in product(range(most_lift, -1, -1), _SHARES):
        slope = np.broadcast_to((wanted.slope * share).astype(np.float32), (filters,))
        if reach << lift >= _INT32 // 2:
            continue
        made = multiplier(slope.astype(np.float64) * 2.0**-lift)
        if reach << lift + max(int(made.exponent.max()), 0) >= _INT32:
            continue
        # floor(x m + c) is the nearest of m (x + (c - 1/2) / m)
        centre = np.rint((wanted.intercept - 0.5) / wanted.slope * (1 << lift)).astype(np.int64)
        chosen, wrong = np.zeros(filters, dtype=np.int64), np.full(filters, np.iinfo(np.int64).max)
        for nudge in _NUDGES[np.argsort(np.abs(_NUDGES))]:
            offset = np.broadcast_to(centre + nudge, (filters,))
            count = _wrong(wanted, made, offset, lift, low, high)
            better = count < wrong
            chosen, wrong = np.where(better, offset, chosen), np.where(better, count, wrong)
        if best is None or wrong.sum() < best.wrong:
            best = Fit(lift, slope, chosen, int(wrong.sum()))
        if not best.wrong:
            break
    if best is None:
        raise Refused(f"its sums reach {reach}, beyond int32", "Use fewer bits")
    return best


def _wrong(wanted: Quantiser, made: Multiplier, offset: Ints, lift: int, low: int, high: int) -> Ints:
    """Thresholds (filters,) on whose sides a sum of [low, high] gives another result than the quantiser's."""
    edges = np.broadcast_to(wanted.thresholds, (len(offset), wanted.thresholds.shape[1])).T
    results = np.arange(wanted.low + 1, wanted.high + 1)[:, None]
    at, below = np.clip(edges, low, high), np.clip(edges - 1, low, high)
    reached = made.apply((at << lift) + offset) >= results
    short = made.apply((below << lift) + offset) < results
    right = (reached | (edges > high)) & (short | (edges - 1 < low))
    return (~right).sum(axis=0)
