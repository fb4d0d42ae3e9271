"""TFLite's requantisation: its arithmetic, and fits that are tried on every sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.ir.ops import Cast, Threshold
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.sim.fixed_point import cast
from fpgaflow.targets.refused import Refused
from fpgaflow.targets.tpu.requantise import Multiplier, fit, multiplier, quantiser
from tests.graphs import one_op


def told(x: int, mantissa: int, exponent: int) -> int:
    """`MultiplyByQuantizedMultiplier` as the source has it: truncating division, then a shift with ties away."""
    left, right = max(exponent, 0), max(-exponent, 0)
    product = (x << left) * mantissa
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    high = abs(nudged) // (1 << 31) * (1 if nudged >= 0 else -1)
    mask = (1 << right) - 1
    return (high >> right) + int((high & mask) > (mask >> 1) + (high < 0))


@given(st.integers(-(1 << 30), 1 << 30), st.integers(1 << 30, (1 << 31) - 1), st.integers(-20, 0))
def test_the_arithmetic(x: int, mantissa: int, exponent: int) -> None:
    made = Multiplier(np.array([mantissa]), np.array([exponent]))
    assert made.apply(np.array([[x]]))[0, 0] == told(x, mantissa, exponent)


@given(st.floats(2.0**-20, 1.0, exclude_max=True))
def test_multipliers_are_the_numbers_themselves(real: float) -> None:
    made = multiplier(np.array([real]))
    assert 1 << 30 <= made.mantissa[0] < 1 << 31
    assert abs(float(made.mantissa[0]) * 2.0 ** (float(made.exponent[0]) - 31) - real) <= real * 2.0**-31


@given(
    st.sampled_from(list(Rounding)), st.integers(1, 7), st.integers(2, 8), st.booleans(), st.integers(0, 5), st.data()
)
def test_every_sum_of_a_cast(
    rounding: Rounding, drop: int, bits: int, signed: bool, spare: int, data: st.DataObject
) -> None:
    """What `fit` counts as wrong is what a search over all sums finds; with ties apart it finds nothing."""
    reach = data.draw(st.integers(1, 3000))
    source, target = type_for(-reach, reach, drop), FixedType(signed, bits, 0)
    graph = one_op(Cast("c", ("x",), "y", "c", rounding, Overflow.SAT), source, (2,), target, (2,))
    wanted = quantiser(graph, graph.ops, -reach, reach)  # type: ignore[arg-type]
    sums = np.arange(-reach, reach + 1)
    exact = cast(sums, source, target, rounding, Overflow.SAT)

    def found(quantiser_: object) -> np.ndarray:
        made = fit(quantiser_, 1, -reach, reach, spare)  # type: ignore[arg-type]
        scaled = multiplier(made.slope.astype(np.float64) * 2.0**-made.lift)
        return np.clip(scaled.apply(((sums << made.lift) + made.offset)[:, None])[:, 0], target.low, target.high)

    assert (not fit(wanted, 1, -reach, reach, spare).wrong) == np.array_equal(found(wanted), exact)
    if rounding is Rounding.RND_CONV and spare >= 2:
        three = wanted.without_ties()
        assert not any(fit(each, 1, -reach, reach, spare).wrong for each in three)
        up, down, half = (found(each) for each in three)
        assert np.array_equal(np.minimum(np.maximum(2 * half, down), up), exact)
    if rounding is Rounding.RND_CONV and drop > 1:
        four = wanted.with_ties_away()
        assert not any(fit(each, 1, -reach, reach, 0).wrong for each in four)
        same, lower, higher, half = (found(each) for each in four)
        down, up = np.maximum(lower, np.minimum(same, 0)), np.minimum(higher, np.maximum(same, 0))
        assert np.array_equal(np.minimum(np.maximum(2 * half, down), up), exact)


@given(st.floats(0.01, 0.4), st.floats(-3, 3), st.integers(2, 5))
def test_every_sum_of_thresholds(slope: float, intercept: float, bits: int) -> None:
    sums = np.arange(-300, 301)
    levels = (1 << bits) - 1
    edges = np.ceil((np.arange(1, levels + 1) - intercept) / slope).astype(np.int64)[None]
    source, target = FixedType(True, 10, 0), FixedType(False, bits, 0)
    op = Threshold("t", ("x",), "y", "t", "levels", None, 1, 0, 0)
    graph = one_op(op, source, (1,), target, (1,), levels=edges)
    try:
        wanted = quantiser(graph, graph.ops, -300, 300)  # type: ignore[arg-type]
    except Refused:  # rounded edges may lie on no line
        return
    made = fit(wanted, 1, -300, 300, 3)
    scaled = multiplier(made.slope.astype(np.float64) * 2.0**-made.lift)
    found = np.clip(scaled.apply(((sums << made.lift) + made.offset)[:, None])[:, 0], 0, levels)
    exact = (sums[:, None] >= edges).sum(axis=1)
    assert (not made.wrong) == np.array_equal(found, exact)


def test_what_has_more_than_8_bits_is_refused() -> None:
    source, target = FixedType(True, 16, 4), FixedType(True, 10, 0)
    graph = one_op(Cast("c", ("x",), "y", "c", Rounding.TRN, Overflow.SAT), source, (2,), target, (2,))
    with pytest.raises(Refused, match=r"its result of fixed<10,10> has more than 8 bits"):
        quantiser(graph, graph.ops, -100, 100)  # type: ignore[arg-type]
