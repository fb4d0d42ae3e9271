"""A line is given only where it counts right for every integer; quantisers have one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.sim.lines import count_by_line, fit_line


def assert_right(thresholds: np.ndarray, low: int, high: int, *, found: bool | None = None) -> None:
    line = fit_line(thresholds, low, high)
    assert found is None or (line is not None) == found
    if line is not None:
        assert line.slope.dtype == line.intercept.dtype == np.float32
        every = np.arange(low, high + 1)
        counted = count_by_line(
            line, np.repeat(every[:, None], len(thresholds), axis=1).astype(np.float32), thresholds.shape[1]
        )
        truth = (every[:, None, None] >= thresholds[None]).sum(axis=2)
        assert np.array_equal(counted, truth)


@given(
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([6, 9, 12]),
    st.sampled_from(["any", "even", "nearly even", "far out"]),
)
@settings(max_examples=150)
def test_any_thresholds(channels: int, levels: int, seed: int, bits: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if kind == "any":
        table = random.integers(low - 3, high + 4, (channels, levels))
    else:
        step, start = random.uniform(0.2, 9, (channels, 1)), random.uniform(low, high, (channels, 1))
        table = np.ceil(start + step * np.arange(levels)).astype(np.int64)
        table = table + random.integers(-1, 2, table.shape) * (kind == "nearly even") + (kind == "far out") * 4 * high
    assert_right(np.sort(table, axis=1), low, high)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 1.7, 13.0])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("offset", [0.0, 0.37, -5.2])
def test_quantisers_have_a_line(scale: float, bits: int, offset: float) -> None:
    levels = np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1))
    table = np.ceil((levels - 0.5) * scale * 4 - offset).astype(np.int64)[None]
    assert_right(table, -(1 << 11), (1 << 11) - 1, found=True if offset == 0 else None)


def test_a_wide_quantiser_has_a_line() -> None:
    """Sums of 20 bits: the rounding of float32 itself decides at the outer thresholds."""
    table = np.ceil((np.arange(1, 256) - 0.5) * 1801.3).astype(np.int64)[None]
    assert_right(table, -(1 << 19), (1 << 19) - 1)


@pytest.mark.parametrize("step", [1801.3, 11363.7, 38580.7])
@pytest.mark.parametrize("start", [-4022448.6, -272326.0])
def test_a_line_that_only_float64_could_hold_is_not_given(step: float, start: float) -> None:
    """About 2^23 the product is rounded to whole numbers: a line is right at each threshold, or it is none."""
    table = np.ceil(start + step * np.arange(100)).astype(np.int64)[None]
    line = fit_line(table, -(1 << 23), (1 << 23) - 1)
    if line is not None:
        for points in (table, table - 1):
            counted = count_by_line(line, points.T.astype(np.float32), 100)
            assert np.array_equal(counted[:, 0], np.arange(100) + (points is table))
    exact = np.float64(1 / step) * table[0] + np.float64(1 - start / step + 1e-4)
    assert np.array_equal(np.floor(exact), np.arange(1, 101)), "in float64 there would be one"


@pytest.mark.parametrize(
    ("table", "low", "high", "found"),
    [
        ([[0, 1, 20]], -32, 31, False),  # uneven
        ([[5, 5, 5]], -32, 31, True),  # three levels at once: a steep one
        ([[5]], -32, 31, True),
        ([[-40, -40]], -32, 31, True),  # always there
        ([[40, 50]], -32, 31, True),  # never there
        ([[-40, 0, 40]], -32, 31, None),
        ([[0, 1, 2, 3]], 0, 3, True),
        ([[0, 4], [0, 1]], -32, 31, True),
        ([[0, 4, 8], [0, 1, 20]], -32, 31, False),  # one channel without a line
    ],
)
def test_corner_cases(table: list[list[int]], low: int, high: int, found: bool | None) -> None:
    assert_right(np.array(table), low, high, found=found)


def test_integers_that_float32_cannot_hold() -> None:
    assert fit_line(np.array([[0, 8]]), 0, (1 << 24) + 1) is None
