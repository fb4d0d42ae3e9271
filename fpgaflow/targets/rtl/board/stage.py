"""The end of the RTL flow on an open board: a folding that its UART can feed, a bitstream, and the host's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fpgaflow.boards import Board
from fpgaflow.build_folder import FIRMWARE
from fpgaflow.errors import CheckFailed
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.report.firmware import Figure, Figures
from fpgaflow.samples import Samples
from fpgaflow.stages import Facts, Outcome
from fpgaflow.targets.flow import Made, board_vectors
from fpgaflow.targets.hls.firmware import BOARD_FOLDER, board_files
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.rtl.board.link import ID_BYTES, identity, samples_per_second
from fpgaflow.targets.rtl.board.platform import SEED, flow_programs
from fpgaflow.targets.rtl.board.route import route
from fpgaflow.targets.rtl.families import fabric_of
from fpgaflow.targets.rtl.folding import Folding, choose_folding
from fpgaflow.targets.rtl.synth import Netlist
from fpgaflow.targets.rtl.top import TOP

LONGEST_INTERVAL = 20_000
BITSTREAM = f"{FIRMWARE}/{BOARD_FOLDER}/fpgaflow"


def programs_of(board: Board) -> dict[str, str]:
    """The programs that lead to a bitstream, with the versions of those that are packages.

    Raises:
        MissingTool: one is not here.
    """
    return {name: _version(name) for name in flow_programs(board)}


def _version(name: str) -> str:
    try:
        return version("apycula" if name.startswith("gowin") else name)
    except PackageNotFoundError:
        return ""


def link_rate(graph: Graph, board: Board) -> float:
    """Samples per second that the board's UART carries."""
    assert board.uart is not None
    return samples_per_second(interface_for(graph, several=True), board.uart.baud)


def fold(graph: Graph, board: Board, fps: float | None, most: float) -> Folding:
    """The folding for a rate; without one, for what the UART can carry, or less where that does not fit.

    Where it fits, a sample takes no more than LONGEST_INTERVAL cycles all the same: the deep memories of slower
    foldings take Yosys many minutes to read.

    Raises:
        CheckFailed: the UART cannot carry that rate, no folding is as fast, or none fits.
    """
    assert board.uart is not None
    carried = link_rate(graph, board)
    if fps is not None and fps > carried:
        found = f"the UART of {board.name} carries {carried:,.0f} of them at {board.uart.baud:,} baud"
        raise CheckFailed(f"{fps:g} samples per second", found, f"Ask for {int(carried)} at most")
    clock_mhz = board.clock.design_mhz
    wanted = carried if fps is None else fps
    for rate in (max(wanted, clock_mhz * 1e6 / LONGEST_INTERVAL), wanted):
        try:
            return choose_folding(graph, board, clock_mhz, rate, most)
        except CheckFailed:
            if fps is not None and rate == fps:
                raise
    return choose_folding(graph, board, clock_mhz, None, most)


def make(
    graph: Graph,
    board: Board,
    verilog: Mapping[str, str],
    netlists: Mapping[str, Netlist],
    samples: Samples,
    folder: Path,
    least_mhz: float | None,
    tell: Callable[[str], None],
) -> Outcome:
    """Places, routes and packs; writes the host's folder with bitstream, driver and self-test.

    Raises:
        CheckFailed: it does not fit, or misses the clock that the asked rate needs, `least_mhz`.
        MissingTool, ToolFailed: a program is not here, or failed.
    """
    assert board.uart is not None
    interface = interface_for(graph)
    design = hashlib.sha256("\0".join((board.name, *(verilog[name] for name in sorted(verilog)))).encode()).hexdigest()
    design = design[: 2 * ID_BYTES]
    known = identity(interface, design)
    routed = route(board, interface, known, netlists, verilog[f"{TOP}.v"], folder / FIRMWARE, least_mhz, tell)
    more = {"design": design, "uart": {"baud": board.uart.baud}}
    vectors = board_vectors(graph, samples)
    files = board_files(graph, board, interface, routed.clock_mhz, vectors, more)
    written = {f"{FIRMWARE}/{name}": content for name, content in files.items()}
    written[f"{BITSTREAM}{routed.suffix}"] = routed.bitstream
    for name, content in written.items():
        write_atomic(folder / name, content)
    facts = {
        "clock_mhz": routed.clock_mhz,
        "asked_mhz": board.clock.design_mhz,
        "fmax_mhz": round(routed.fmax_mhz, 2),
        "seed": SEED,
        "utilisation": {name: list(pair) for name, pair in routed.utilisation.items() if pair[0]},
        "uart": routed.uart,
        "bitstream": f"{BITSTREAM}{routed.suffix}",
        "sha256": hashlib.sha256(routed.bitstream).hexdigest(),
    }
    return Outcome(facts, tuple(written))


def made(board: Board, facts: Mapping[str, Facts], figures: Figures, why: str | None, more: Mapping[str, Any]) -> Made:
    """The router's figures in place of the synthesised ones, as far as it tells them."""
    assert board.uart is not None
    rate = facts.get("fold", {}).get("link_samples_per_second")
    link = {"baud": board.uart.baud, "samples_per_second": {"value": rate, "source": "estimated"}}
    routed = facts.get("route")
    if routed is None:
        return Made(figures, None, None, why, {**more, "link": link})
    cells = {name: pair[0] for name, pair in routed["utilisation"].items()}
    placed = fabric_of(board).placed(cells)
    reported = {name: Figure(round(count, 3), "reported") for name, count in placed.items()}
    whole = {  # what the router does not tell: the network, and what the UART adds
        name: Figure(round((figure.value or 0) + routed["uart"][name], 3), figure.source)
        for name, figure in figures.used.items()
    }
    figures = replace(
        figures,
        used={**whole, **reported},
        clock_mhz=routed["clock_mhz"],
        fmax_mhz=Figure(routed["fmax_mhz"], "reported"),
    )
    router = {key: routed[key] for key in ("asked_mhz", "utilisation", "seed", "sha256")}
    router["source"] = "reported"
    return Made(figures, FIRMWARE, routed["bitstream"], None, {**more, "link": link, "router": router})
