"""Quantisers of many levels: a multiplication and a shift, proven equal to the exact rounding over the whole range.

q(x) = round(A x + B), clamped, becomes (x m + b) >> s, clamped. Both rise with x (for A > 0), so they are equal
everywhere if they are equal at both sides of every step of q; m and b are found from those inequalities alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, gcd

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.quantizer import FIXED_POINT_ROUNDING, QonnxRounding, Quantizer, edge_of
from fpgaflow.frontend.exact.rescale import linear
from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Clamp, Step, Value
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH
from fpgaflow.sim.fixed_point import SAFE_BITS, boundary

MAX_POINTS = 1 << 16  # integers, or steps of the quantiser, that are looked at one by one


@dataclass(frozen=True)
class Line:
    """q = round((p x + q) / d) within [low, high], for x from `first` to `last`; p >= 0, d > 0."""

    p: int
    q: int
    d: int
    low: int
    high: int
    first: int
    last: int


@dataclass(frozen=True)
class MultiplyShift:
    """(x × m + b) >> s."""

    m: int
    b: int
    s: int


@dataclass(frozen=True)
class _Chain:
    """Pending steps of one channel as one: a x + b between `low` and `high`, either of which may be missing."""

    a: Fraction
    b: Fraction
    low: Fraction | None = None
    high: Fraction | None = None

    def then(self, step: Step, channel: int) -> _Chain | None:
        if isinstance(step, Affine):
            scale, offset = step.scale[channel % len(step.scale)], step.offset[channel % len(step.offset)]
            if scale == 0:
                return _Chain(scale, offset)
            ends = [None if end is None else end * scale + offset for end in (self.low, self.high)]
            return _Chain(self.a * scale, self.b * scale + offset, *(ends if scale > 0 else ends[::-1]))
        if isinstance(step, Clamp):

            def inside(end: Fraction) -> Fraction:
                end = end if step.low is None else max(end, step.low)
                return end if step.high is None else min(end, step.high)

            low = step.low if self.low is None else inside(self.low)
            return _Chain(self.a, self.b, low, step.high if self.high is None else inside(self.high))
        return None


def _chain(steps: tuple[Step, ...], channel: int) -> _Chain | None:
    chain: _Chain | None = _Chain(ONE, ZERO)
    for step in steps:
        chain = None if chain is None else chain.then(step, channel)
    return chain


def multiply_shift(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str:
    """The integers q - zero_point of a quantiser of many levels."""
    count = builder.shape(value.tensor)[value.axis] if value.per_channel else len(quantizer.scale)
    chains = [_chain(value.steps, channel) for channel in range(count)]
    ranges = {None if c is None else _range(c, quantizer, i) for i, c in enumerate(chains)}
    if None in ranges or len(ranges) > 1:  # clamps that are not alike in all channels become part of the graph
        value = linear(builder, value, f"node '{node}'", wish)
        count = max(count, builder.shape(value.tensor)[value.axis] if value.per_channel else 1)
        chains = [_chain(value.steps, channel) for channel in range(count)]
    else:
        low, high = next(entry for entry in ranges if entry is not None)
        quantizer = replace(quantizer, low=low, high=high)
    axis = value.axis if value.per_channel else quantizer.axis
    source = builder.type(value.tensor)
    ready = [chain for chain in chains if chain is not None]
    lines = [_line(chain, quantizer, channel, source) for channel, chain in enumerate(ready)]
    whole = quantizer.overflow if quantizer.zero_point == 0 else None
    # Another shift than plain truncation rounds around 0, so it wants levels that are counted from 0.
    own = FIXED_POINT_ROUNDING.get(quantizer.rounding, Rounding.TRN)
    shifts = [Rounding.TRN, own] if whole is not None or quantizer.low == quantizer.zero_point == 0 else [Rounding.TRN]
    for how in dict.fromkeys(shifts):
        found = [proven(line, quantizer.rounding, how) for line in lines]
        if None not in found:
            break
    else:
        refuse(
            f"node '{node}'",
            f"a {quantizer.width}-bit quantiser of the scale {float(quantizer.scale[0]):.9g}, that no "
            f"multiplication by {MAX_CONSTANT_WIDTH} bits equals over all {source.width} bits of its input",
            "Use 12 bits at most, rounding FLOOR, or power-of-two scales (Brevitas: RestrictValueType.POWER_OF_TWO)",
        )
    entries = [entry for entry in found if entry is not None]
    shift = max(entry.s for entry in entries)
    signs = [-1 if chain.a < 0 else 1 for chain in ready]
    weights = [sign * (entry.m << shift - entry.s) for sign, entry in zip(signs, entries, strict=True)]
    bias = [entry.b << shift - entry.s for entry in entries]
    target = quantizer.result_type
    low = 0 if whole is not None else quantizer.low  # of a range that is no type's own, the lowest becomes 0 meanwhile
    fraction = target.fraction + shift
    x = emit.scale(
        builder,
        value.tensor,
        weights[:1] if len(set(weights)) == 1 else weights,
        fraction - source.fraction,
        [b - (low << shift) for b in (bias[:1] if len(set(bias)) == 1 else bias)],
        fraction,
        axis,
        node,
        f"{wish}.scaled",
    )
    if whole is not None:
        return builder.cast(x, target, how, whole, node, wish)
    return _shifted_into(builder, x, quantizer, how, node, wish)


def _shifted_into(builder: Builder, x: str, quantizer: Quantizer, how: Rounding, node: str, wish: str) -> str:
    """The levels of a range that no saturation gives, of which x holds how far above the lowest they are."""
    levels, target = quantizer.high - quantizer.low, quantizer.result_type
    counted = FixedType(False, max(1, levels.bit_length()), target.fraction)
    count = builder.cast(x, counted, how, Overflow.SAT, node, f"{wish}.level")
    bottom, top = quantizer.low - quantizer.zero_point, quantizer.high - quantizer.zero_point
    if levels == counted.high:
        if bottom == 0:
            return count
        return emit.scale(builder, count, [1], 0, [bottom], target.fraction, 0, node, wish)
    down = emit.scale(builder, count, [-1], 0, [levels], target.fraction, 0, node, f"{wish}.down")
    left = builder.relu(down, node, f"{wish}.left")
    return emit.scale(builder, left, [-1], 0, [top], target.fraction, 0, node, wish)


def _range(chain: _Chain, quantizer: Quantizer, channel: int) -> tuple[int, int]:
    """The lowest and the highest level that the chain's bounds leave."""
    scale = quantizer.scale[channel % len(quantizer.scale)]

    def level(end: Fraction | None, none: int) -> int:
        if end is None:
            return none
        v = end / scale + quantizer.zero_point
        rounded = int(_rounded(np.array([v.numerator], dtype=object), v.denominator, quantizer.rounding)[0])
        return min(max(rounded, quantizer.low), quantizer.high)

    return level(chain.low, quantizer.low), level(chain.high, quantizer.high)


def _line(chain: _Chain, quantizer: Quantizer, channel: int, source: FixedType) -> Line:
    scale = quantizer.scale[channel % len(quantizer.scale)]
    slope = chain.a / scale * Fraction(2) ** -source.fraction
    start = chain.b / scale + quantizer.zero_point
    first, last = (source.low, source.high) if slope >= 0 else (-source.high, -source.low)
    slope = abs(slope)
    d = slope.denominator * start.denominator // gcd(slope.denominator, start.denominator)
    return Line(int(slope * d), int(start * d), d, quantizer.low, quantizer.high, first, last)


def proven(line: Line, rounding: QonnxRounding, how: Rounding = Rounding.TRN) -> MultiplyShift | None:
    """A multiplication and a shift, rounded by `how`, equal to the rounding for every integer; else None."""
    if line.p == 0:
        return MultiplyShift(0, int(_rounded(np.array([line.q], dtype=object), line.d, rounding)[0]), 0)
    if line.last - line.first < MAX_POINTS and line.high - line.low <= 4 * MAX_POINTS:
        x = np.array(range(line.first, line.last + 1), dtype=object)
    elif line.high - line.low <= MAX_POINTS:
        x = _sides(line, rounding)
    else:
        return _by_interval(line, rounding) if how is Rounding.TRN else None
    q = np.clip(_rounded(line.p * x + line.q, line.d, rounding), line.low, line.high)
    above, below = q > line.low, q < line.high
    # What m x + b has to reach, and to stay below: twice the edge of a level in units of the shift, and whether beyond.
    doubled, strict = _edges_of(line.low, line.high, how)
    rising, falling = ((x[part], doubled[at], strict[at]) for part, at in _edge_places(q, above, below, line.low))
    slope = Fraction(line.p, line.d)
    # Fewer bits than the levels have cannot tell them apart.
    least = max(1, (line.high - line.low).bit_length() - 2 - ceil(slope).bit_length())
    for s in range(least, MAX_CONSTANT_WIDTH):
        for m in dict.fromkeys((floor(slope * 2**s), ceil(slope * 2**s))):
            if m.bit_length() >= MAX_CONSTANT_WIDTH:
                return None
            rests = [_rests(*side, m, s) for side in (rising, falling)]
            at_least = int(rests[0].max()) if above.any() else None
            at_most = int(rests[1].min()) - 1 if below.any() else None
            if at_least is None or at_most is None or at_least <= at_most:
                b = at_least if at_least is not None else at_most or 0
                return MultiplyShift(m, b, s) if b.bit_length() + 2 < MAX_CONSTANT_WIDTH else None
    return None


def _edge_places(
    q: np.ndarray, above: np.ndarray, below: np.ndarray, low: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Of the points above the lowest level the places of their own edge, of those below the highest of the next one."""
    own = (q - low - 1).astype(np.int64)
    return (above, own[above]), (below, own[below] + 1)


def _rests(x: np.ndarray, doubled: np.ndarray, strict: np.ndarray, m: int, s: int) -> np.ndarray:
    """The least b for which m x + b, shifted by s, reaches the edge."""
    if not x.size:
        return x
    bits = [max(int(array.max()), -int(array.min())).bit_length() for array in (x, doubled)]
    held = np.int64 if max(bits[0] + m.bit_length(), bits[1] + s) < SAFE_BITS else object
    return (doubled.astype(held) << s - 1) + strict - m * x.astype(held)


def _rounded(numerator: np.ndarray, d: int, rounding: QonnxRounding) -> np.ndarray:
    """numerator / d rounded, of Python integers."""
    whole = numerator // d
    rest = 2 * (numerator - whole * d)
    match rounding:
        case QonnxRounding.FLOOR:
            up = rest < 0
        case QonnxRounding.CEIL:
            up = rest > 0
        case QonnxRounding.DOWN:
            up = (rest > 0) & (numerator < 0)
        case QonnxRounding.UP:
            up = (rest > 0) & (numerator > 0)
        case QonnxRounding.HALF_UP:
            up = (rest > d) | ((rest == d) & (numerator > 0))
        case QonnxRounding.HALF_DOWN:
            up = (rest > d) | ((rest == d) & (numerator < 0))
        case _:
            up = (rest > d) | ((rest == d) & (whole % 2 == 1))
    return whole + up.astype(np.int64)


@lru_cache(maxsize=8)
def _edges_of(low: int, high: int, rounding: QonnxRounding | Rounding) -> tuple[np.ndarray, np.ndarray]:
    """Twice the edge of each level above the lowest, and whether the edge itself is still below."""
    levels = range(low + 1, high + 1)
    if isinstance(rounding, Rounding):
        edges = [boundary(level, rounding) for level in levels]
    else:
        edges = [edge_of(level, rounding) for level in levels]
    return np.array([int(2 * place) for place, _ in edges], dtype=object), np.array([strict for _, strict in edges])


def _sides(line: Line, rounding: QonnxRounding) -> np.ndarray:
    """The integers on both sides of every step of the quantiser, and both ends."""
    doubled, strict = _edges_of(line.low, line.high, rounding)
    above, below = doubled * line.d - 2 * line.q, 2 * line.p
    firsts = np.where(strict, above // below + 1, -(-above // below))
    near = {x for first in set(firsts.tolist()) for x in (first - 1, first) if line.first <= x <= line.last}
    return np.array(sorted(near | {line.first, line.last}), dtype=object)


def _by_interval(line: Line, rounding: QonnxRounding) -> MultiplyShift | None:
    """By the fractional part: v = (p x + q) / d is a multiple of 1/d, so floor(v) is floor(v + e) for 0 <= e < 1/d."""
    p, q, d = line.p, line.q, line.d
    match rounding:
        case QonnxRounding.FLOOR:
            pass
        case QonnxRounding.DOWN if line.low >= 0:
            pass  # what is negative saturates
        case QonnxRounding.CEIL:
            q += d - 1
        case QonnxRounding.UP if line.low >= 0:
            q += d - 1
        case QonnxRounding.UP | QonnxRounding.DOWN:
            return None
        case _:
            if not (d - 2 * q) % gcd(2 * p, 2 * d):
                return None  # a tie may come, and be rounded either way
            p, q, d = 2 * p, 2 * q + d, 2 * d
    # Beyond the range of the levels both saturate.
    first = max(line.first, floor(Fraction((line.low - 2) * d - q, p)))
    last = min(line.last, ceil(Fraction((line.high + 2) * d - q, p)))
    for s in range(MAX_CONSTANT_WIDTH):
        for m in ((p << s) // d, (p << s) // d + 1):
            if m.bit_length() >= MAX_CONSTANT_WIDTH:
                return None
            ends = [Fraction(p * x + q, d) * 2**s - m * x for x in (first, last)]
            b = ceil(max(ends))
            if all(b - end < Fraction(2**s, d) for end in ends):
                return MultiplyShift(m, b, s) if b.bit_length() + 2 < MAX_CONSTANT_WIDTH else None
    return None
