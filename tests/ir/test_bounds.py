"""Bounds against every sum that can be: each corner of the inputs, each subset of the terms."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.bounds import accumulator, linear_bounds, pool_sum_type, sum_type
from fpgaflow.ir.types import FixedType, type_for
from tests.graphs import fixed_types

small = st.integers(-9, 9)


@given(
    st.lists(st.lists(small, min_size=2, max_size=2), min_size=1, max_size=4),
    st.none() | st.lists(small, min_size=2, max_size=2),
    st.integers(0, 2),
    st.tuples(small, small).map(sorted),
)
@settings(max_examples=60)
def test_partial_sums(weights: list[list[int]], bias: list[int] | None, shift: int, ends: list[int]) -> None:
    low, high = ends
    array = np.array(weights)
    found = linear_bounds(array, None if bias is None else np.array(bias), shift, low, high)
    reached = {0}
    for filter_ in range(2):
        terms = [(w * low, w * high, 0) for w in array[:, filter_].tolist()]
        terms += [] if bias is None else [(bias[filter_] << shift,)]
        for count in range(len(terms) + 1):
            for chosen in combinations(terms, count):
                reached |= {sum(values) for values in product(*chosen)}
    assert found[0] <= min(reached) and max(reached) <= found[1]
    assert found == (min(reached), max(reached)), "tight: both ends are partial sums"


def test_sums_beyond_int64() -> None:
    weights = np.full((4, 1), 2**62)
    assert linear_bounds(weights, None, 0, -2, 1) == (-8 * 2**62, 4 * 2**62)
    assert linear_bounds(-weights, np.array([2**62]), 3, 0, 1) == (-4 * 2**62, 8 * 2**62)


@given(fixed_types(), fixed_types())
def test_sum_type(left: FixedType, right: FixedType) -> None:
    found = sum_type(left, right)
    fraction = max(left.fraction, right.fraction)
    lows, highs = ([end(t) << (fraction - t.fraction) for t in (left, right)] for end in (_low, _high))
    assert found == type_for(sum(lows), sum(highs), fraction)


def _low(type_: FixedType) -> int:
    return type_.low


def _high(type_: FixedType) -> int:
    return type_.high


@given(fixed_types(), st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_pool_sum_type(source: FixedType, window: int, padded: bool, extra: int) -> None:
    found = pool_sum_type(source, window, padded=padded, extra_fraction=extra)
    assert found == type_for(source.low * window, source.high * window, source.fraction + extra)


def test_accumulator_aligns_the_bias() -> None:
    source, weight = FixedType(False, 4, 2), FixedType(True, 3, 1)
    weights, bias = np.array([[3], [-4]]), np.array([5])
    assert accumulator(weights, weight, None, None, source) == type_for(-60, 45, 3)
    fine = accumulator(weights, weight, bias, FixedType(True, 4, 5), source)
    assert fine == type_for(-240, 185, 5)
    coarse = accumulator(weights, weight, bias, FixedType(True, 4, 1), source)
    assert coarse == type_for(-60, 65, 3)
