"""What `--latency-us` and `--max-utilisation` ask of the RTL flow's folding."""

from __future__ import annotations

import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.rtl.folding import choose_folding, estimate, fold_for, quick_folding, slowest
from tests.targets.hls.hls_graphs import U4, Net

BOARD, CLOCK_MHZ = load_board("pynq-z2"), 100.0


def graph() -> Graph:
    net = Net()
    x = net.cast(net.conv(net.input((8, 8, 2), U4), 4, (3, 3), bt=None), U4)
    net.output(net.dense(net.reshape(x, (144,)), 8, bt=None))
    return net.graph()


def test_a_shorter_latency_takes_more_hardware() -> None:
    made = graph()
    longest = estimate(made, fold_for(made, slowest(made))).latency / CLOCK_MHZ
    goals = [longest, 0.6 * longest, 0.3 * longest]
    found = [quick_folding(made, BOARD, CLOCK_MHZ, None, goal, 0.7) for goal in goals]
    assert found[0].interval == slowest(made) > found[1].interval > found[2].interval
    for folding, goal in zip(found, goals, strict=True):
        assert estimate(made, folding).latency <= goal * CLOCK_MHZ


def test_a_rate_is_kept_too() -> None:
    made = graph()
    folding = quick_folding(made, BOARD, CLOCK_MHZ, 100_000, 1e6, 0.7)
    assert folding.interval <= CLOCK_MHZ * 1e6 / 100_000


def test_what_no_folding_can_do_is_refused() -> None:
    with pytest.raises(CheckFailed, match=r"--latency-us 0.01: the samples alone take"):
        quick_folding(graph(), BOARD, CLOCK_MHZ, None, 0.01, 0.7)
    with pytest.raises(CheckFailed, match="above 0%"):
        choose_folding(graph(), BOARD, CLOCK_MHZ, None, 1e-4)
