"""What a network would take, by the flow of the board."""

from __future__ import annotations

import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import CheckFailed
from fpgaflow.frontend.load import load
from fpgaflow.project import bundled_project
from fpgaflow.targets.flow import MAX_UTILISATION
from fpgaflow.targets.rtl.board.stage import LONGEST_INTERVAL
from fpgaflow.targets.rtl.cost import estimate
from fpgaflow.targets.rtl.folding import choose_folding
from fpgaflow.training.hardware import taken


def test_an_open_board_gets_our_own_hardware():
    graph, board = load(str(bundled_project().model)), load_board("ulx3s-85f")
    found = taken(graph, board, 50)
    rate = board.clock.design_mhz * 1e6 / LONGEST_INTERVAL
    cost = estimate(graph, choose_folding(graph, board, board.clock.design_mhz, rate, MAX_UTILISATION))
    assert (found.lut, found.ff, found.dsp, found.cycles) == (round(cost.lut), round(cost.ff), cost.dsp, cost.cycles)
    assert found.cycles <= LONGEST_INTERVAL
    with pytest.raises(CheckFailed, match="UART"):
        taken(graph, board, 10_000)


def test_other_boards_go_through_hls4ml():
    graph, board = load(str(bundled_project().model)), load_board("pynq-z2")
    slow, fast = taken(graph, board, 1000), taken(graph, board, 20_000)
    assert slow.cycles > fast.cycles and slow.lut < fast.lut
