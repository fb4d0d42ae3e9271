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
from fpgaflow.targets.rtl.netlist_work import NETLIST_SAMPLES, why_long

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
    from fpgaflow.targets.rtl.proof import rtl_integers

    return rtl_integers(graph, folder, x), lambda _: None


def long_netlist(manifest: Mapping[str, Any]) -> str | None:
    """Why a build's netlist is not simulated unasked."""
    try:
        used = {name: manifest["resources"][name]["used"] for name in ("lut", "ff", "dsp")}
        latency, interval = (manifest["timing"][name]["value"] for name in ("latency_cycles", "interval_cycles"))
        why = why_long(used, latency, interval)
    except (KeyError, TypeError):  # a build that failed, which `run_netlist` says itself
        return None
    return None if why is None else f"netlist: {why}"


def run_netlist(
    folder: Path, graph: Graph, manifest: Mapping[str, Any], simulator: Simulator, x: Array, notify: Notify
) -> tuple[Outputs, Find]:
    """What the synthesised cells give on a few samples."""
    notify("netlist simulation")
    require_rtl("netlist")
    from fpgaflow.targets.rtl.proof import netlist_integers

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
