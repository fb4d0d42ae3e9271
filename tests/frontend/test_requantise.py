"""Multiply and shift against the rounding that it is proven equal to, integer by integer."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.frontend.exact.quantizer import QonnxRounding
from fpgaflow.frontend.exact.requantise import Line, proven

HALF = Fraction(1, 2)


def rounded(v: Fraction, mode: QonnxRounding) -> int:
    sign = (v > 0) - (v < 0)
    match mode:
        case QonnxRounding.CEIL:
            return ceil(v)
        case QonnxRounding.FLOOR:
            return floor(v)
        case QonnxRounding.UP:
            return sign * ceil(abs(v))
        case QonnxRounding.DOWN:
            return sign * floor(abs(v))
        case QonnxRounding.HALF_UP:
            return sign * floor(abs(v) + HALF)
        case QonnxRounding.HALF_DOWN:
            return sign * ceil(abs(v) - HALF)
    return round(v)


def check(line: Line, mode: QonnxRounding, step: int = 1) -> bool:
    """Whether a multiplication and a plain shift are found: then they are right."""
    found = proven(line, mode)
    if found is None:
        return False
    for x in range(line.first, line.last + 1, step):
        exact = min(max(rounded(Fraction(line.p * x + line.q, line.d), mode), line.low), line.high)
        assert min(max((x * found.m + found.b) >> found.s, line.low), line.high) == exact, f"{found} at {x}"
    return True


slopes = st.fractions(0, 40, max_denominator=4096) | st.sampled_from([Fraction(1, 2), Fraction(3, 4), Fraction(5, 8)])
starts = st.fractions(-300, 300, max_denominator=64)


@given(st.sampled_from(list(QonnxRounding)), slopes, starts, st.integers(-2000, 100), st.integers(0, 3000))
@settings(max_examples=100)
def test_every_integer(mode: QonnxRounding, slope: Fraction, start: Fraction, low: int, levels: int) -> None:
    d = slope.denominator * start.denominator
    found = check(Line(int(slope * d), int(start * d), d, low, low + levels, -700, 900), mode)
    assert found or mode not in (QonnxRounding.FLOOR, QonnxRounding.CEIL)  # the others do not go by one line alone


@pytest.mark.parametrize("mode", list(QonnxRounding))
@pytest.mark.parametrize(("p", "q", "d"), [(5, 2, 16), (3, 8, 64), (1, 0, 97)])
def test_ranges_beyond_looking_at_each_integer(mode: QonnxRounding, p: int, q: int, d: int) -> None:
    """By the steps of the quantiser, ties among them; of levels that are not negative every mode but half-even."""
    found = check(Line(p, q, d, 0, 5000, -(1 << 17), 1 << 17), mode, step=3)
    assert found or (mode.name in ("ROUND", "HALF_EVEN") and d % 2 == 0)


@pytest.mark.parametrize("mode", [QonnxRounding.FLOOR, QonnxRounding.CEIL, QonnxRounding.ROUND])
@pytest.mark.parametrize(("p", "q", "d"), [(10066330, 1, 16777213), (3, 1, 7), (1, 2, 5)])
def test_ranges_and_levels_beyond_looking_at_each(mode: QonnxRounding, p: int, q: int, d: int) -> None:
    """By an interval argument; no ties, as an odd denominator has none."""
    assert check(Line(p, q, d, -(1 << 20), 1 << 20, -(1 << 21), 1 << 21), mode, step=997)


def test_ties_that_an_interval_cannot_tell_apart() -> None:
    line = Line(1, 0, 2, -(1 << 20), 1 << 20, -(1 << 21), 1 << 21)
    assert proven(line, QonnxRounding.ROUND) is None
    assert proven(line, QonnxRounding.FLOOR) is not None


def test_a_slope_of_zero() -> None:
    for mode in QonnxRounding:
        assert check(Line(0, 5, 2, -9, 9, -4, 4), mode)
