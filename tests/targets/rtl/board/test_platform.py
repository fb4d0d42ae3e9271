"""Open boards through Amaranth: pins, PLLs, and the commands that their toolchains get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed: pip install 'fpgaflow[openfpga]'")

from fpgaflow.boards import Board, list_boards, load_board
from fpgaflow.errors import BadInput, CheckFailed, MissingTool, ToolFailed
from fpgaflow.targets.interface import Interface, interface_for
from fpgaflow.targets.rtl.board.link import Timing, identity
from fpgaflow.targets.rtl.board.platform import Recipe, flow_programs, platform_of, pll_for, program, recipe
from fpgaflow.targets.rtl.board.route import clocks_below, read_report
from fpgaflow.targets.rtl.board.top import LinkSettings
from tests.builds import install, perceptron
from tests.models import graph_of

OPEN = [board.name for board in list_boards() if board.toolchain.is_open]
# What the boards' own documentation and schematics call their oscillator and serial port.
PINS = {
    "icebreaker": ("35", "6", "9"),
    "upduino": ("20", "15", "14"),
    "ulx3s-85f": ("G2", "M1", "L4"),
    "ulx3s-25f": ("G2", "M1", "L4"),
    "orangecrab": ("A9", "N17", "M18"),
    "tang-nano-9k": ("52", "18", "17"),
}


def interface() -> Interface:
    return interface_for(graph_of(perceptron()))


def made(board: Board, mhz: float) -> Recipe:
    assert board.uart is not None
    pll = None if mhz == board.clock.pl_mhz else pll_for(board, mhz)
    settings = LinkSettings(
        interface(), identity(interface(), "00" * 8), round(mhz * 1e6 / board.uart.baud), Timing.of(mhz * 1e6)
    )
    return recipe(board, settings, pll, "module fpgaflow_top(); endmodule\n", mhz)


def test_every_open_board_is_here() -> None:
    assert sorted(PINS) == OPEN


@pytest.mark.parametrize("name", OPEN)
def test_pins_and_programs(name: str) -> None:
    board = load_board(name)
    clock, rx, tx = PINS[name]
    for mhz in {board.clock.design_mhz, board.clock.pl_mhz}:
        assert mhz is not None
        plan = made(board, mhz)
        (pins,) = (text for file, text in plan.files.items() if file.endswith((".pcf", ".lpf", ".cst")))
        lines = [line for line in pins.splitlines() if line.startswith(("set_io", "LOCATE", "IO_LOC"))]
        places = {line.split()[-1].strip('";'): line for line in lines}
        assert clock in places and "clk" in places[clock]
        assert "rx" in places[rx] and "tx" in places[tx]
        assert len(places) == 3 + (name == "upduino")
        assert ("pll.v" in plan.files) == (mhz != board.clock.pl_mhz)
        place, pack = plan.commands
        assert "--seed" in place.argv and f"{mhz:g}" in place.argv and place.outputs[-1] == "report.json"
        assert (place.tool, pack.tool) == flow_programs(board)[:2]
        assert pack.outputs == (plan.bitstream,)


def test_a_program_on_path_goes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("icepack").endswith("icepack")
    install(tmp_path, "icepack", "true")
    install(tmp_path, "nextpnr-himbaechel", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program("icepack") == "icepack" and program("nextpnr-gowin") == "nextpnr-himbaechel"
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(MissingTool, match=r"nextpnr-ecp5: not found. Install it: pip install 'fpgaflow\[openfpga\]'"):
        program("nextpnr-ecp5")


@pytest.mark.parametrize(
    ("name", "mhz", "module"),
    [
        ("icebreaker", 24, "SB_PLL40_PAD"),  # its pin is the PLL's own
        ("upduino", 24, "SB_PLL40_CORE"),
        ("ulx3s-85f", 50, "EHXPLLL"),
        ("tang-nano-9k", 54, "rPLL"),
    ],
)
def test_plls(name: str, mhz: float, module: str) -> None:
    pll = pll_for(load_board(name), mhz)
    assert pll is not None and module in pll.verilog and f"{mhz}" in pll.verilog
    assert pll.source in pll.verilog and pll.result in pll.verilog and pll.at_pad == (name == "icebreaker")
    assert pll_for(load_board(name), 7.3) is None


@pytest.mark.parametrize("named", ["icebreaker.NoSuchPlatform", "nothere.Platform", "resources.UARTResource"])
def test_what_is_no_platform_is_refused(named: str) -> None:
    with pytest.raises(BadInput, match=f"board 'icebreaker': amaranth: '{named}' is no platform"):
        platform_of(replace(load_board("icebreaker"), amaranth=named))


def test_clocks_are_multiples_of_the_baud_rate() -> None:
    assert clocks_below(load_board("icebreaker"), 6.7) == [6, 5, 4]
    assert clocks_below(load_board("icebreaker"), 3.9) == [], "a bit has four clocks at least"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"fmax": {}, "utilization": {}}', '{"fmax": {"c": {}}, "utilization": {}}']
)
def test_a_report_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ToolFailed, match="no report of nextpnr"):
        read_report(tmp_path / "report.json")


def test_a_clock_that_no_pll_makes_is_refused_before_any_work(tmp_path: Path) -> None:
    from fpgaflow.targets.rtl.board.route import route

    board = load_board("icebreaker")
    board = replace(board, clock=replace(board.clock, design_mhz=5000.0))
    with pytest.raises(CheckFailed, match="no PLL setting makes 5000 MHz of 12 MHz"):
        route(board, interface(), b"", {}, "", tmp_path, None)
