"""`deploy`: everything that goes to the board, in one archive that is the same wherever and whenever it is made."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fpgaflow
from fpgaflow.boards import Interface
from fpgaflow.build_folder import FIRMWARE, manifest_of
from fpgaflow.deploy import c_driver
from fpgaflow.deploy.handoff import dma_base
from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic, zipped
from fpgaflow.targets.hls.firmware import BOARD_FOLDER, REPORTS_FOLDER
from fpgaflow.targets.hls.templates import render, templates
from fpgaflow.targets.interface import from_json

_LEFT_BY_RUNS = {BOARD_FOLDER, REPORTS_FOLDER, "logs", ".fpgaflow", "fpgaflow_prj", "project", "_x", ".Xil"}
_BUNDLE = ("model", "graph", "board", "part", "clock_mhz", "title", "family", "interface", "platform")
_MAX_BUFFER = (1 << 26) - 1  # what one transfer of the DMA carries


@dataclass(frozen=True)
class Archive:
    """The archive at `path`; `missing` are the files of the bitstream that it lacks, `why` says how to get them."""

    path: Path
    files: tuple[str, ...]
    missing: tuple[str, ...]
    why: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "archive": str(self.path),
            "files": list(self.files),
            "missing": list(self.missing),
            "why_no_bitstream": self.why,
        }


def deploy(build: Path, out: Path | None = None) -> Archive:
    """Writes the archive of a build, by default `BUILD/MODEL-BOARD.zip`.

    Raises:
        BadInput: no finished build, or one of a board that fpgaflow has no system around the network for.
    """
    manifest, _ = manifest_of(build)
    folder = build / FIRMWARE / BOARD_FOLDER
    if not manifest.get("firmware") or not (folder / "interface.json").is_file():
        raise BadInput(str(build), f"has nothing that goes to a board ({_reason(manifest)})", _advice(manifest))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    files.pop("board.json", None)  # of another run
    bundle = _bundle(folder / "bundle.json")
    dma = bundle["interface"] == Interface.AXI_STREAM_DMA
    wanted = _bitstream(bundle["interface"], manifest)
    missing = tuple(name for name in wanted if name not in files)
    why = None
    if missing:  # one without the other is of no use, and may be of another build
        for name in wanted:
            files.pop(name, None)
        files |= _plan(build / FIRMWARE)
        why = manifest.get("why_no_bitstream") or "the bitstream is gone: build again"
    base = None if not dma or missing else dma_base(folder / "fpgaflow.hwh")
    interface = from_json(files["interface.json"], str(folder / "interface.json"))
    vectors = _vectors(folder / "test_vectors.npz")
    samples = len(vectors["x"])
    if dma:
        sources = templates() / "c"
        files |= {f"c/{name}": (sources / name).read_bytes() for name in c_driver.STATIC}
        files["c/fpgaflow_model.h"] = c_driver.model_header(interface, bundle, base).encode()
        files["c/fpgaflow_vectors.h"] = c_driver.vectors_header(interface, vectors).encode()
    needed = samples * (interface.input.sample_bytes + interface.output.sample_bytes) + 64
    readme = {
        "bundle": bundle,
        "title": bundle["title"],
        "version": fpgaflow.__version__,
        "interface": bundle["interface"],
        "platform": bundle["platform"],
        "bitstream": not missing,
        "names": wanted,
        "samples": samples,
        "buffer_bytes": min(_MAX_BUFFER, -(-needed // 4096) * 4096),
        "dma_base": "the address that fpgaflow.hwh tells" if base is not None else "Vivado's usual address",
    }
    files["README.md"] = render("README.md.j2", readme).encode()
    path = out or build / f"{_plain(bundle['model'])}-{_plain(bundle['board'])}.zip"
    root = path.stem
    try:
        write_atomic(path, zipped({f"{root}/{name}": content for name, content in files.items()}))
    except OSError as error:
        raise BadInput(str(path), f"cannot be written ({error.strerror})", "Choose another --out") from None
    return Archive(path, tuple(sorted(files)), missing, why)


def _bitstream(interface: str, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The files that load the FPGA."""
    match interface:
        case Interface.XRT:
            return ("fpgaflow.xclbin",)
        case Interface.UART:
            return (Path(manifest.get("bitstream") or "fpgaflow.bit").name,)
    return ("fpgaflow.bit", "fpgaflow.hwh")


def _plan(firmware: Path) -> dict[str, bytes]:
    """What makes the bitstream on a machine that has the tools: the plan's own files, nothing that a run left."""
    found = {}
    for path in sorted(firmware.rglob("*")):
        name = path.relative_to(firmware)
        if path.is_file() and not path.is_symlink() and not _LEFT_BY_RUNS & set(name.parts):
            found[f"build/{name.as_posix()}"] = path.read_bytes()
    return found


def _reason(manifest: Mapping[str, Any]) -> str:
    return str(manifest.get("failure") or manifest.get("why_no_bitstream") or "the build made no firmware")


def _advice(manifest: Mapping[str, Any]) -> str:
    if manifest.get("failure"):
        return "Mend what the build says, and build again"
    return "Build for a Zynq board, an Alveo card, or a board of the open tools: fpgaflow boards"


def _bundle(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        return {key: content[key] for key in _BUNDLE}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(str(path), f"is damaged ({error})", "Build again") from None


def _vectors(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in ("x", "x_codes", "y_codes")}
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(str(path), f"is damaged ({error})", "Build again") from None


def _plain(name: str) -> str:
    """The model's name as part of a file's."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name).strip("-.")
    return kept[:64] or "model"
