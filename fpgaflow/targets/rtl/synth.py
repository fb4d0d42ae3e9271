"""The generated Verilog through Yosys, module by module: counts of LUT, FF, DSP and block RAM, and netlists.

Layers are separate modules, so each is synthesised by itself, several at a time, and an unchanged one is not run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fpgaflow.boards import Board
from fpgaflow.files import write_atomic
from fpgaflow.targets.rtl.families import Counts, Fabric, fabric_of
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import find_yosys, run_yosys

LOG = "synth.log"


@dataclass(frozen=True)
class Netlist:
    """A module as cells of the family: what they take, and the file of its RTLIL."""

    counts: Counts
    rtlil: Path


def synthesise(verilog: Mapping[str, str], board: Board, cache: Path, cpu_s: float | None) -> dict[str, Netlist] | None:
    """Netlists by module name, the top by itself among them; None where a layer took longer than `cpu_s`.

    Raises:
        MissingTool, ToolFailed: no Yosys, or it failed.
    """
    modules = {name.removesuffix(".v"): text for name, text in verilog.items() if name.endswith(".v")}
    fabric = fabric_of(board)
    tool = f"{find_yosys().name} {find_yosys().version}"

    def one(name: str) -> Netlist | None:
        return _synthesised(name, modules, fabric, tool, cache, cpu_s)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the work is in processes of their own
        found = dict(zip(modules, pool.map(one, modules), strict=True))
    whole = {name: netlist for name, netlist in found.items() if netlist is not None}
    return whole if len(whole) == len(found) else None


def _synthesised(
    name: str, modules: Mapping[str, str], fabric: Fabric, tool: str, cache: Path, cpu_s: float | None
) -> Netlist | None:
    known = modules if name == TOP else {name: modules[name]}
    text = "".join(known[key] for key in sorted(known))
    digest = hashlib.sha256("\0".join((fabric.synth, tool, name, text)).encode()).hexdigest()
    record, rtlil = cache / f"{digest}.json", cache / f"{digest}.il"
    if not (record.is_file() and rtlil.is_file()):
        with tempfile.TemporaryDirectory(prefix="fpgaflow-synth-") as scratch:
            folder = Path(scratch)
            for key, content in known.items():
                (folder / f"{key}.v").write_text(content, encoding="utf-8")
            boxes = [f"blackbox {key}" for key in known if key != name]  # the layers around which the top lies
            commands = [
                *(f"read_verilog {key}.v" for key in known),
                *boxes,
                f"{fabric.synth} -top {name}",
                "tee -q -o counts.json stat -json",
                f"delete {name}/t:$scopeinfo",
                "setattr -unset src */*",
                "write_rtlil -selected netlist.il",
            ]
            commands.insert(-1, f"select {name}")
            done = run_yosys(commands, folder, LOG, cpu_s)
            cache.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / LOG, cache / f"{name}.log")
            if not done:
                return None
            cells = json.loads((folder / "counts.json").read_text())["modules"][f"\\{name}"]["num_cells_by_type"]
            write_atomic(rtlil, (folder / "netlist.il").read_bytes())
        write_atomic(record, json.dumps(fabric.counted(cells)))
    counts: Counts = json.loads(record.read_text())
    return Netlist(counts, rtlil)
