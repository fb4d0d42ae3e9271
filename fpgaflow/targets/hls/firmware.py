"""The firmware around the network on a Zynq board: AXI4-Stream shell, block design, driver, self-test, notebook.

What a plan's folder then holds, beside the hls4ml project in `hls/`:

    hls/firmware/fpgaflow_axi.cpp, .h   the shell around hls4ml's top function
    hls/hls.tcl                         C synthesis, and an IP of the result
    vivado/block_design.tcl             processor, DMA and network to a bitstream
    vivado/fpgaflow_axi.v               instead of the IP: the shell around an RTL top
    board/                              what goes to the board
    reports/                            what the tools report
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import jinja2
import numpy as np

from fpgaflow import boards
from fpgaflow.boards import Board, Family
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.hls.layers import IOType
from fpgaflow.targets.interface import Interface, StreamPort, pack, to_json
from fpgaflow.targets.plan import Command

HLS_FOLDER, VIVADO_FOLDER, BOARD_FOLDER, REPORTS_FOLDER = "hls", "vivado", "board", "reports"
JOBS = 4  # parallel Vivado runs: each takes 2 to 4 GB
_DMA_BITS = (8, 16, 32, 64)  # stream widths of the AXI DMA (PG021) up to its 64-bit memory side
_HLS_PROJECT = "fpgaflow_prj"
_IP_FOLDER = f"{HLS_FOLDER}/{_HLS_PROJECT}/solution1/impl/ip"
_STATIC = ("fpgaflow_driver.py", "selftest.py", "fpgaflow.ipynb")

Files = dict[str, str | bytes]


class HlsTool(StrEnum):
    """The program that runs hls.tcl: AMD renamed it in 2023.2 and dropped the old name in 2025.1."""

    VITIS_HLS = "vitis_hls"
    VITIS_RUN = "vitis-run"


@dataclass(frozen=True)
class Vectors:
    """What the board checks itself with: x (N, ...) as the model takes it, the integers of x, the expected output's."""

    x: np.ndarray
    x_codes: np.ndarray
    y_codes: np.ndarray


def firmware_files(
    graph: Graph,
    board: Board,
    interface: Interface,
    *,
    project_name: str,
    io_type: IOType,
    clock_mhz: float,
    vectors: Vectors,
) -> Files:
    """Everything around an hls4ml project that lies in `hls/` and whose top function is `project_name`.

    Raises:
        BadInput: no Zynq board with board files, or vectors that do not fit the interface.
    """
    ports = {"input": interface.input, "output": interface.output}
    wrapper = {"project": project_name, "io_type": io_type.value, **ports}
    scripts = {
        "project": project_name,
        "part": board.part,
        "period_ns": f"{1000 / clock_mhz:.3f}",
        "hls_project": _HLS_PROJECT,
        "reports": f"../{REPORTS_FOLDER}",
    }
    return {
        f"{HLS_FOLDER}/firmware/fpgaflow_axi.h": _render("axi_wrapper.h.j2", wrapper),
        f"{HLS_FOLDER}/firmware/fpgaflow_axi.cpp": _render("axi_wrapper.cpp.j2", wrapper),
        f"{HLS_FOLDER}/hls.tcl": _render("hls.tcl.j2", scripts),
        f"{VIVADO_FOLDER}/block_design.tcl": _block_design(board, interface, clock_mhz, ()),
        **board_files(graph, board, interface, clock_mhz, vectors),
    }


def rtl_firmware_files(
    graph: Graph,
    board: Board,
    interface: Interface,
    *,
    sources: Sequence[str],
    clock_mhz: float,
    vectors: Vectors,
) -> Files:
    """Everything around the RTL top `fpgaflow_top` (docs/design.md) in `sources`, paths within the plan's folder.

    Raises:
        BadInput: as `firmware_files`.
    """
    shell = f"{VIVADO_FOLDER}/fpgaflow_axi.v"
    ports = {"input": interface.input, "output": interface.output}
    return {
        shell: _render("rtl_shell.v.j2", ports),
        f"{VIVADO_FOLDER}/block_design.tcl": _block_design(board, interface, clock_mhz, (shell, *sources)),
        **board_files(graph, board, interface, clock_mhz, vectors),
    }


def hls_command(tool: HlsTool = HlsTool.VITIS_HLS) -> Command:
    """C synthesis and export of the IP."""
    arguments = ("-f", "hls.tcl") if tool is HlsTool.VITIS_HLS else ("--mode", "hls", "--tcl", "hls.tcl")
    outputs = (f"{REPORTS_FOLDER}/csynth.xml", f"{_IP_FOLDER}/component.xml")
    return Command("C synthesis", (tool.value, *arguments), tool.value, "logs/hls.log", HLS_FOLDER, outputs)


def vivado_command() -> Command:
    """Block design to bitstream, with reports after routing."""
    argv = ("vivado", "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "block_design.tcl")
    results = tuple(f"{BOARD_FOLDER}/fpgaflow.{kind}" for kind in ("bit", "hwh"))
    names = ("clock.json", "utilization.rpt", "utilization_hierarchical.rpt", "timing.rpt", "power.rpt")
    reports = tuple(f"{REPORTS_FOLDER}/{name}" for name in names)
    return Command("bitstream", argv, "vivado", "logs/vivado.log", VIVADO_FOLDER, (*results, *reports))


def firmware_commands(tool: HlsTool = HlsTool.VITIS_HLS) -> tuple[Command, ...]:
    """What turns `firmware_files` and the hls4ml project into `board/fpgaflow.bit`."""
    return hls_command(tool), vivado_command()


def board_files(graph: Graph, board: Board, interface: Interface, clock_mhz: float, vectors: Vectors) -> Files:
    """The folder that goes to the board, without bitstream and handoff.

    Raises:
        BadInput: vectors that do not fit the interface.
    """
    bundle = {
        "model": graph.name,
        "graph": graph.digest,
        "board": board.name,
        "part": board.part,
        "clock_mhz": clock_mhz,
    }
    templates = _templates()
    return {
        f"{BOARD_FOLDER}/interface.json": to_json(interface),
        f"{BOARD_FOLDER}/bundle.json": json.dumps(bundle, indent=2) + "\n",
        f"{BOARD_FOLDER}/test_vectors.npz": _npz(vectors, interface),
        **{f"{BOARD_FOLDER}/{name}": (templates / name).read_text(encoding="utf-8") for name in _STATIC},
    }


def _npz(vectors: Vectors, interface: Interface) -> bytes:
    """The same bytes for the same vectors: numpy dates its zip entries 1980."""
    counts = {len(array) for array in vars(vectors).values()}
    shape = interface.input.shape
    if len(counts) != 1 or vectors.x.shape[1:] != shape:
        found = f"x {vectors.x.shape}, x_codes {vectors.x_codes.shape}, y_codes {vectors.y_codes.shape}"
        raise BadInput(
            "test vectors", f"have the shapes {found}", "Give as many samples of each, x in the input's shape"
        )
    pack(vectors.x_codes, interface.input)  # refuses integers that do not fit
    pack(vectors.y_codes, interface.output)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        x=vectors.x,
        x_codes=vectors.x_codes.astype(_smallest(interface.input)),
        y_codes=vectors.y_codes.astype(_smallest(interface.output)),
    )
    return buffer.getvalue()


def _smallest(port: StreamPort) -> np.dtype[np.generic]:
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= port.width)
    return np.dtype(f"<{'i' if port.signed else 'u'}{size}")


def _block_design(board: Board, interface: Interface, clock_mhz: float, rtl_sources: Sequence[str]) -> str:
    if board.family not in (Family.ZYNQ_7000, Family.ZYNQ_ULTRASCALE_PLUS):
        found = f"is of the family {board.family}, without the processor that the block design is built around"
        raise BadInput(f"board '{board.name}'", found, "Use a Zynq board: fpgaflow boards")
    if board.board_part is None or board.interface is not boards.Interface.AXI_STREAM_DMA:
        found = f"has board_part {board.board_part!r} and interface '{board.interface}'"
        raise BadInput(f"board '{board.name}'", found, "Give its TOML the Vivado board_part and 'axi-stream-dma'")
    for port in (interface.input, interface.output):
        if port.tdata_bits not in _DMA_BITS:
            found = f"has beats of {port.tdata_bits} bits"
            raise BadInput(f"stream '{port.name}'", found, f"The AXI DMA takes {', '.join(map(str, _DMA_BITS))}")
    return _render(
        "block_design.tcl.j2",
        {
            "title": board.title,
            "part": board.part,
            "board_part": board.board_part,
            "zynq_ultrascale": board.family is Family.ZYNQ_ULTRASCALE_PLUS,
            "clock_mhz": f"{clock_mhz:g}",
            "jobs": JOBS,
            "vivado_project": "project",
            "ip_repository": f"../{_IP_FOLDER}",
            "rtl_sources": [f"../{source}" for source in rtl_sources],
            "input_bits": interface.input.tdata_bits,
            "output_bits": interface.output.tdata_bits,
            "reports": f"../{REPORTS_FOLDER}",
            "results": f"../{BOARD_FOLDER}",
        },
    )


def _templates() -> Path:
    return data_dir("hls_templates") / "firmware"


def _render(name: str, values: Mapping[str, object]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # C++ and Tcl, not HTML
    )
    return environment.get_template(name).render(values)
