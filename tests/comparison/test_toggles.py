"""Toggle rates, against a count bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.comparison.toggles import busy_shares, mean_activity, toggle_rate, toggle_rates
from fpgaflow.ir.store import load_graph
from fpgaflow.samples import load_samples


@given(st.data(), st.integers(1, 12), st.integers(1, 4), st.integers(2, 6))
def test_every_bit_that_changes_counts(data: st.DataObject, width: int, lanes: int, beats: int) -> None:
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    values = data.draw(st.lists(st.integers(low, high), min_size=lanes * beats, max_size=lanes * beats))
    changes = 0
    for before, after in zip(values, values[lanes:], strict=False):
        for bit in range(width):
            changes += (before >> bit & 1) != (after >> bit & 1)
    expected = changes / ((beats - 1) * lanes * width)
    assert toggle_rate(np.array(values), width, lanes) == pytest.approx(expected, abs=1e-12)


def test_what_does_not_move_does_not_toggle() -> None:
    assert toggle_rate(np.full((4, 8), -3), 8, 2) == 0
    assert toggle_rate(np.tile([0, -1], 50), 8, 1) == 1  # every wire at every beat
    assert toggle_rate(np.arange(4), 0, 1) == 0 and toggle_rate(np.array([7]), 3, 1) == 0


def test_activity_is_rate_times_busy_share_by_logic() -> None:
    rates, busy = {"a": 0.4, "b": 0.2}, busy_shares({"a": 50, "b": 400}, 200)
    assert busy == {"a": 0.25, "b": 1.0}
    assert mean_activity(rates, busy, {"a": 100, "b": 300}) == pytest.approx((0.4 * 0.25 * 100 + 0.2 * 300) / 400)
    assert mean_activity(rates, busy, {}) == pytest.approx((0.1 + 0.2) / 2)
    assert mean_activity(rates, busy, {"a": 0, "b": 0}) == 0


def test_rates_of_a_build(finished: Path) -> None:
    graph = load_graph(finished / "build" / "graph.json")
    rates = toggle_rates(graph, load_samples(finished / "data.npz").x, {})
    assert rates.keys() == {op.name for op in graph.ops}
    assert all(0 < rate < 1 for rate in rates.values())
