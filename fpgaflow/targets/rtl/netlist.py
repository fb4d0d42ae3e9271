"""The synthesised netlist in the same bench as the Verilog."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from fpgaflow.boards import Board
from fpgaflow.files import write_atomic
from fpgaflow.targets.interface import Interface
from fpgaflow.targets.rtl import gates
from fpgaflow.targets.rtl.cells import cells_of
from fpgaflow.targets.rtl.simulate import BENCH, Bench
from fpgaflow.targets.rtl.synth import Netlist
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import find_yosys, run_yosys

RUNTIME = Path(__file__).with_name("gates.cpp")
_CLOCK = "aclk"
_JSON = "netlist.json"


def models_digest(board: Board) -> str:
    """Of all that decides how a board's cells are simulated: models, Yosys, and what works through the gates."""
    yosys, cells = find_yosys(), cells_of(board.family)
    state = hashlib.sha256(f"{yosys.name} {yosys.version} {cells.shipped}".encode())
    for path in (BENCH, RUNTIME, Path(gates.__file__), *cells.files):
        state.update(path.read_bytes())
    return state.hexdigest()


class NetlistSimulation(Bench):
    """The netlists of the top and of its layers, joined in `folder`, where the same ones are not joined again.

    Raises:
        MissingTool: no g++ or no Yosys.
        ToolFailed: one of them failed, or a cell is used in a way of which there is no model.
    """

    def __init__(self, netlists: Mapping[str, Netlist], board: Board, interface: Interface, folder: Path) -> None:
        super().__init__(interface, folder)
        sources = {name: netlists[name].rtlil.read_bytes() for name in sorted(netlists)}
        parts: list[str | bytes] = [models_digest(board), *sources.values()]
        if self.has(parts):
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sources.items():
            (folder / f"{name}.il").write_bytes(text)
        commands = [*(f"read_rtlil {name}.il" for name in sources), *cells_of(board.family).commands()]
        commands += [f"hierarchy -check -top {TOP}", *gates.TO_GATES, f"write_json {_JSON}"]
        run_yosys(commands, folder, "gates.log")
        modules = json.loads((folder / _JSON).read_text())["modules"]
        netlist = gates.flatten(modules, TOP, _CLOCK)
        (folder / _JSON).unlink()
        write_atomic(folder / gates.PROGRAM, gates.program_of(netlist))
        write_atomic(folder / "design.cpp", gates.design_of(netlist, _CLOCK, TOP, str(RUNTIME.resolve())))
        self.compile("-O2", parts)
