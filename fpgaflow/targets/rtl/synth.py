"""LUT, FF, DSP and block RAM counts of the generated Verilog by Yosys, layer by layer, for AMD's 7 series.

Layers are separate modules, so each is synthesised by itself, several at a time, and an unchanged one is not run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fpgaflow.boards import Board, Family
from fpgaflow.files import write_atomic
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import run_yosys

_FAMILIES = {Family.ZYNQ_7000: "xc7", Family.ARTIX_7: "xc7"}  # of synth_xilinx

# What each primitive takes (AMD UG953; LUTs of memories: UG474, "Distributed RAM" and "Shift Registers").
_LUTS = {
    **{f"LUT{size}": 1 for size in range(1, 7)},
    **{"SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1, "INV": 1},
    **{"RAM16X1S": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4},
    **{"RAM16X1D": 2, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4},
}
_PRIMITIVES: dict[str, dict[str, float]] = {
    "lut": dict(_LUTS),
    "ff": dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "LDCE", "LDPE"), 1),
    "dsp": {"DSP48E1": 1},
    "bram36": {"RAMB36E1": 1, "RAMB18E1": 0.5},
}

Counts = dict[str, float]


def can_synthesise(board: Board) -> bool:
    return board.family in _FAMILIES


def synthesise(verilog: Mapping[str, str], board: Board, cache: Path, timeout_s: float) -> dict[str, Counts] | None:
    """Counts by module name, the top by itself among them; None where a layer took longer than `timeout_s`.

    Raises:
        MissingTool, ToolFailed: no Yosys, or it failed.
    """
    modules = {name.removesuffix(".v"): text for name, text in verilog.items() if name.endswith(".v")}

    def one(name: str) -> Counts | None:
        return _synthesised(name, modules, _FAMILIES[board.family], cache, timeout_s)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the work is in processes of their own
        counts = dict(zip(modules, pool.map(one, modules), strict=True))
    return {name: found for name, found in counts.items() if found is not None} if all(counts.values()) else None


def _synthesised(name: str, modules: Mapping[str, str], family: str, cache: Path, timeout_s: float) -> Counts | None:
    known = modules if name == TOP else {name: modules[name]}
    text = "".join(known[key] for key in sorted(known))
    digest = hashlib.sha256("\0".join((family, name, text)).encode()).hexdigest()
    record = cache / f"{digest}.json"
    if record.is_file():
        return _read(record)
    with tempfile.TemporaryDirectory(prefix="fpgaflow-synth-") as scratch:
        folder = Path(scratch)
        for key, content in known.items():
            (folder / f"{key}.v").write_text(content, encoding="utf-8")
        boxes = [f"blackbox {key}" for key in known if key != name]  # the layers around which the top lies
        commands = [
            *(f"read_verilog {key}.v" for key in known),
            *boxes,
            f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -top {name}",
            "tee -q -o counts.json stat -json",
        ]
        if not run_yosys(commands, folder, "synth.log", timeout_s):
            return None
        counts = _counted(json.loads((folder / "counts.json").read_text())["modules"][f"\\{name}"])
    cache.mkdir(parents=True, exist_ok=True)
    write_atomic(record, json.dumps(counts))
    return counts


def _read(record: Path) -> Counts:
    counts: Counts = json.loads(record.read_text())
    return counts


def _counted(module: Mapping[str, Mapping[str, int]]) -> Counts:
    cells = module["num_cells_by_type"]
    return {
        resource: sum(share * cells.get(name, 0) for name, share in primitives.items())
        for resource, primitives in _PRIMITIVES.items()
    }
