"""The ways of an RTL build to compute: its Verilog, and the netlist that synthesis made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.boards import load_board
from fpgaflow.doctor import require_rtl
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator

NETLIST_SAMPLES = 5  # cells run tens of times slower than Verilog
_MAX_NETLIST_WORK = 100_000_000  # cells times cycles

Array = np.ndarray
Notify = Callable[[str], None]
Outputs = dict[str, Array]
Find = Callable[[Outputs], str | None]  # the first layer that differs
Hardware = Callable[[Path, Graph, Mapping[str, Any], Simulator, Array, Notify], tuple[Outputs, Find]]


def run_rtl(
    folder: Path, graph: Graph, manifest: Mapping[str, Any], simulator: Simulator, x: Array, notify: Notify
) -> tuple[Outputs, Find]:
    """What the Verilog gives in a cycle-accurate run; of its layers nothing is known outside."""
    notify("RTL simulation")
    require_rtl("RTL")
    from fpgaflow.targets.rtl.stage import rtl_integers

    return rtl_integers(graph, folder, x), lambda _: None


def long_netlist(manifest: Mapping[str, Any]) -> str | None:
    """Why a netlist is not simulated unasked: cells times cycles beyond about a minute's work."""
    try:
        used = {name: manifest["resources"][name]["used"] for name in ("lut", "ff", "dsp")}
        latency, interval = (manifest["timing"][name]["value"] for name in ("latency_cycles", "interval_cycles"))
        cells, cycles = sum(used.values()), latency + NETLIST_SAMPLES * interval
    except (KeyError, TypeError):  # a build that failed, which `run_netlist` says itself
        return None
    # Yosys' model of a DSP takes as long as hundreds of LUTs.
    if (cells + 400 * used["dsp"]) * cycles <= _MAX_NETLIST_WORK:
        return None
    return f"netlist: {cells:,.0f} cells for {cycles:,.0f} cycles take minutes: ask for it by --netlist"


def run_netlist(
    folder: Path, graph: Graph, manifest: Mapping[str, Any], simulator: Simulator, x: Array, notify: Notify
) -> tuple[Outputs, Find]:
    """What the synthesised cells give on a few samples."""
    notify("netlist simulation")
    require_rtl("netlist")
    from fpgaflow.targets.rtl.stage import netlist_integers

    return netlist_integers(graph, folder, load_board(manifest["board"]), x[:NETLIST_SAMPLES]), lambda _: None


def write_waves(folder: Path, graph: Graph, x: Array, vcd: Path, *, is_rtl: bool) -> None:
    """The waveforms of the first samples through the Verilog.

    Raises:
        BadInput: a build without Verilog of fpgaflow's.
    """
    if not is_rtl:
        raise BadInput("--vcd", f"{folder} has no Verilog of fpgaflow's", "Build with --flow rtl")
    from fpgaflow.targets.rtl import waves

    waves.write_waves(graph, folder, x, vcd)
