"""Place, route and pack: a proven design becomes a bitstream for an open board, at a clock that the router confirms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fpgaflow.boards import MIN_DIVISOR, Board
from fpgaflow.errors import CheckFailed, ToolFailed
from fpgaflow.targets.interface import Interface
from fpgaflow.targets.plan import BuildPlan, Command
from fpgaflow.targets.rtl.board.fit import fit_problem
from fpgaflow.targets.rtl.board.link import Timing
from fpgaflow.targets.rtl.board.platform import NAME, NETLIST, REPORT, pll_for, recipe
from fpgaflow.targets.rtl.board.top import LinkSettings, Pll
from fpgaflow.targets.rtl.families import Counts, fabric_of
from fpgaflow.targets.rtl.synth import Netlist
from fpgaflow.targets.rtl.yosys import run_yosys
from fpgaflow.targets.run import run_plan

ROUTE_FOLDER = "route"
UART = "uart"  # in the counts, the part that is not the network
_ATTEMPTS = 4


@dataclass(frozen=True)
class Routed:
    """What the router says: `utilisation` by its own names of cells, (used, available); and the bitstream's bytes."""

    clock_mhz: float
    fmax_mhz: float
    utilisation: Mapping[str, tuple[int, int]]
    uart: Counts
    bitstream: bytes
    suffix: str


def clocks_below(board: Board, mhz: float) -> list[float]:
    """Frequencies that a UART can work at, the fastest first: whole multiples of the baud rate up to `mhz`."""
    assert board.uart is not None
    step = board.uart.baud / 1e6
    return [round(step * count, 6) for count in range(math.floor(mhz / step + 1e-9), MIN_DIVISOR - 1, -1)]


def route(
    board: Board,
    interface: Interface,
    known: bytes,
    netlists: Mapping[str, Netlist],
    network: str,
    folder: Path,
    least_mhz: float | None,
    tell: Callable[[str], None] = lambda _: None,
) -> Routed:
    """A bitstream at the board's design clock, or, where the router misses it, at the fastest that it confirms.

    `least_mhz` is what the asked rate needs; None: any clock will do. `known` is what the board answers when asked who
    it is, `network` the Verilog of the top, `folder` where the files go.

    Raises:
        CheckFailed: it does not fit, or no clock that would do is met.
        MissingTool, ToolFailed: a program is not here, or failed.
    """
    wanted = board.clock.design_mhz
    for _ in range(_ATTEMPTS):
        routed = _routed(board, interface, known, netlists, network, folder, wanted, tell)
        if routed.fmax_mhz >= wanted:
            return routed
        lower = _clock_below(board, min(routed.fmax_mhz, wanted - 1e-3))
        if lower is None or (least_mhz is not None and lower < least_mhz):
            break
        wanted = lower
    found = f"the router reaches {routed.fmax_mhz:.1f} MHz, and the clock has to have {wanted:g}"
    if least_mhz is None:
        raise CheckFailed(f"clock of {board.name}", found, "Use fewer bits or layers, or choose a faster board")
    share = (lower or 0.0) / least_mhz
    raise CheckFailed(f"clock of {board.name}", found, f"Ask for {share:.0%} of the rate (--fps) at most")


def _clock_below(board: Board, mhz: float) -> float | None:
    """The fastest clock up to `mhz` that the board has or can make."""
    for found in clocks_below(board, mhz):
        if found == board.clock.pl_mhz or pll_for(board, found) is not None:
            return found
    return None


def _routed(
    board: Board,
    interface: Interface,
    known: bytes,
    netlists: Mapping[str, Netlist],
    network: str,
    folder: Path,
    mhz: float,
    tell: Callable[[str], None],
) -> Routed:
    assert board.uart is not None
    pll: Pll | None = None
    if mhz != board.clock.pl_mhz and (pll := pll_for(board, mhz)) is None:
        found = f"no PLL setting makes {mhz:g} MHz of {board.clock.pl_mhz:g} MHz"
        raise CheckFailed(f"clock of {board.name}", found, "Give the board file another design_mhz")
    settings = LinkSettings(interface, known, round(mhz * 1e6 / board.uart.baud), Timing.of(mhz * 1e6))
    made = recipe(board, settings, pll, network, mhz)
    tell(f"{mhz:g} MHz")
    place = folder / ROUTE_FOLDER
    place.mkdir(parents=True, exist_ok=True)
    files = {**made.files, NETLIST: "".join(netlists[name].rtlil.read_text(encoding="utf-8") for name in netlists)}
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    run_yosys(made.yosys, place, "yosys.log")
    cells = json.loads((place / "counts.json").read_text())["modules"][f"\\{NAME}"]["num_cells_by_type"]
    uart = fabric_of(board).counted(cells)
    if (problem := fit_problem({**{n: netlists[n].counts for n in netlists}, UART: uart}, board)) is not None:
        raise problem
    inputs = {f"{ROUTE_FOLDER}/{name}": (place / name).read_text(encoding="utf-8") for name in made.inputs}
    plan = BuildPlan(inputs, tuple(_inside(command) for command in made.commands))
    run_plan(plan, folder, lambda _, line: tell(line))
    fmax, utilisation = read_report(place / REPORT)
    result = place / made.bitstream
    return Routed(mhz, fmax, utilisation, uart, result.read_bytes(), result.suffix)


def _inside(command: Command) -> Command:
    """A command of the recipe's folder as one of the plan's."""
    outputs = tuple(f"{ROUTE_FOLDER}/{name}" for name in command.outputs)
    return Command(command.name, command.argv, command.tool, f"{ROUTE_FOLDER}/{command.log}", ROUTE_FOLDER, outputs)


def read_report(path: Path) -> tuple[float, dict[str, tuple[int, int]]]:
    """(Fmax in MHz of the slowest clock, used and available cells) of nextpnr's report.

    Raises:
        ToolFailed: it is no such report, or no clock was timed.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        fmax = min(float(clock["achieved"]) for clock in report["fmax"].values())
        cells = {name: (int(each["used"]), int(each["available"])) for name, each in report["utilization"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailed(str(path), f"is no report of nextpnr ({error})", "Report it with this file") from None
    return fmax, cells
