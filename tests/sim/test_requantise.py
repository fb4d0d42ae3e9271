"""A line is given only where it rounds right for every sum, in float32 and with any float32 rounding added."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.sim.requantise import edges, fit


def assert_right(edge: np.ndarray, levels: range, low: np.ndarray, high: np.ndarray, gain: int) -> bool:
    """Gives whether there is a line."""
    line = fit(edge, levels, low, high, gain)
    if line is None:
        return False
    for channel, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        p = np.arange(first, last + 1)
        truth = levels.start - 1 + (p[:, None] >= edge[channel]).sum(axis=1)
        scaled = (p * gain + line.bias[channel]).astype(np.float32) * line.scale[channel]
        assert np.array_equal(np.clip(np.rint(scaled), levels.start - 1, levels.stop - 1), truth)
    return True


@given(
    st.integers(1, 3),
    st.integers(1, 20),
    st.integers(-9, 9),
    st.sampled_from([1, 2, 16]),
    st.sampled_from(["any", "even", "out of reach", "far apart"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=150)
def test_any_edges(channels: int, count: int, start: int, gain: int, kind: str, seed: int) -> None:
    random, levels = np.random.default_rng(seed), range(start, start + count)
    low = random.integers(-300, 1, channels)
    high = low + random.integers(0, 500, channels)
    if kind == "any":
        edge = np.sort(random.integers(-300, 400, (channels, count)), axis=1)
    else:
        pitch = (
            random.uniform(200, 300, (channels, 1)) if kind == "far apart" else random.uniform(0.3, 40, (channels, 1))
        )
        begin = high[:, None] if kind == "out of reach" else random.uniform(-200, 200, (channels, 1))
        edge = np.ceil(np.arange(count) * pitch + begin).astype(np.int64)
    edge = np.clip(edge, low[:, None], high[:, None] + 1)
    found = assert_right(edge, levels, low, high, gain)
    assert found or kind == "any" or gain < 16


@given(st.integers(0, 6), st.integers(-40, 40), st.integers(1, 9), st.sampled_from([2, 4]))
@settings(max_examples=60)
def test_edges_of_a_step_function(drop: int, offset: int, width: int, gain: int) -> None:
    low, high = np.array([-500, -7, 3]), np.array([500, 9, 3])
    shift = np.array([0, offset, -offset])[:, None]

    def step(x: np.ndarray) -> np.ndarray:
        return np.clip((x + shift) >> drop, -width, width)

    levels = range(1 - width, width + 1)
    found = edges(step, levels, low, high)
    for channel in range(3):
        every = np.arange(low[channel], high[channel] + 1)
        reached = step(np.tile(every, (3, 1)))[channel]
        expected = [
            next((int(x) for x, y in zip(every, reached, strict=True) if y >= k), high[channel] + 1) for k in levels
        ]
        assert found[channel].tolist() == expected
    assert assert_right(found, levels, low, high, gain)


def test_no_bias_where_none_may_be() -> None:
    levels, low, high = range(1, 4), np.array([-8]), np.array([8])
    ties_to_even = np.array([[3, 6, 11]])  # round(p / 4) >= k; 11 lies beyond
    assert fit(np.minimum(ties_to_even, 9), levels, low, high, 1, biased=False) is not None
    truncated = np.array([[4, 8, 9]])
    assert fit(truncated, levels, low, high, 1, biased=False) is None
    assert fit(truncated, levels, low, high, 2) is not None


def test_sums_that_float32_does_not_hold_have_no_line() -> None:
    levels, low = range(1, 3), np.array([0])
    for top, held in ((1 << 20, True), (1 << 25, False)):
        high = np.array([top])
        assert (fit(np.array([[top // 4 + 1, 3 * top // 4]]), levels, low, high, 1) is not None) == held
