"""Waveforms of a build's Verilog: every signal of every module under its own name, as a VCD file for any viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fpgaflow.build_folder import RTL
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import joined
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE
from fpgaflow.targets.interface import from_json
from fpgaflow.targets.rtl.simulate import RtlSimulation, Run, Traffic

SAMPLES = 3  # enough to see the steady state, in a file that a viewer still opens
STALLS = Traffic(seed=1, source_stall=20, sink_stall=30)
_COMPILED = f"{STATE}/rtl_waves"


def write_waves(graph: Graph, folder: Path, x: np.ndarray, vcd: Path) -> Run:
    """The first samples of x (N, ...) through the Verilog of a build folder, its streams stalling, into the file `vcd`.

    Raises:
        BadInput: the file's folder does not exist.
        MissingTool, ToolFailed, CheckFailed: as `RtlSimulation`.
    """
    if not vcd.absolute().parent.is_dir():
        raise BadInput(str(vcd), f"there is no folder {vcd.parent}", "Make it, or name another file")
    verilog = {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / RTL).glob("*.v"))}
    interface = from_json((folder / RTL / "interface.json").read_bytes())
    codes = joined(Simulator(graph).input_integers(x[:SAMPLES]))
    compiled = RtlSimulation(verilog, interface, folder / _COMPILED, cycles=0, waves=True)
    return compiled.run(codes, STALLS, vcd=vcd)
