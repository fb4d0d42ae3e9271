"""The synthesised netlist in the same bench as the Verilog: cells of the 7 series with the models that Yosys ships.

Yosys has no model of what block RAM does, nor one of LUTs that compiles quickly: those are in `models/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fpgaflow.boards import Board, Family
from fpgaflow.targets.interface import Interface
from fpgaflow.targets.rtl.simulate import RtlSimulation
from fpgaflow.targets.rtl.synth import Netlist
from fpgaflow.targets.rtl.yosys import find_yosys

MODELS = Path(__file__).with_name("models")
_MODELLED = (Family.ZYNQ_7000, Family.ARTIX_7)


def has_models(board: Board) -> bool:
    """Whether the cells of a board's part can be simulated."""
    return board.family in _MODELLED


def netlist_simulation(netlists: Mapping[str, Netlist], interface: Interface, folder: Path) -> RtlSimulation:
    """The netlists of the top and of its layers, joined and compiled in `folder`.

    Raises:
        MissingTool, ToolFailed: as `RtlSimulation`.
    """
    sources = {f"{name}.il": netlist.rtlil.read_text(encoding="utf-8") for name, netlist in netlists.items()}
    # Unoptimised: over cells g++ takes four times as long to optimise, and they run for a few samples.
    return RtlSimulation(sources, interface, folder, cycles=0, models=_models())


def _models() -> tuple[str, ...]:
    texts = {name: (MODELS / f"{name}.v").resolve() for name in ("luts", "block_ram")}
    cells = find_yosys().share / "xilinx" / "cells_sim.v"
    return (
        f"techmap -map {texts['luts']}",
        f"read_verilog -overwrite {cells}",
        f"read_verilog -overwrite {texts['block_ram']}",
    )
