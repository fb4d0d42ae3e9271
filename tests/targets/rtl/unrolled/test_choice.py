"""When a build unrolls: by its rate, or where that is the fastest that fits, or the cheapest at the same pace."""

from __future__ import annotations

import pytest

from fpgaflow.boards import load_board
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.rtl.cost import estimate
from fpgaflow.targets.rtl.folding import choose_folding, fold_for
from fpgaflow.targets.rtl.unrolled.choice import unrolled_groups
from tests.targets.rtl.test_networks import jets

BOARD = load_board("pynq-z2")


def unrolled(graph: Graph, fps: float | None, most: float = 0.7) -> tuple[list[str], int]:
    folding = choose_folding(graph, BOARD, 100.0, fps, most)
    return list(unrolled_groups(graph, folding.folds)), folding.interval


def test_without_a_rate_a_small_network_is_unrolled_where_it_fits() -> None:
    dense = [op.name for op in jets().ops if type(op).__name__ == "Dense"]
    assert unrolled(jets(), None) == (dense, 4)  # the stream brings 16 inputs of 8 bits in 4 beats
    smaller = 0.6 * estimate(jets(), fold_for(jets(), 1)).lut / BOARD.resources.lut
    assert unrolled(jets(), None, smaller)[0] != dense


@pytest.mark.parametrize(("fps", "expected"), [(1e5, []), (1e4, [])])
def test_a_rate_that_folding_reaches_is_folded(fps: float, expected: list[str]) -> None:
    assert unrolled(jets(), fps)[0] == expected
