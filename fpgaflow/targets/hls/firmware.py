"""The firmware around the network: AXI4-Stream shell, block design or XRT kernel, driver, self-test, notebook.

What a plan's folder then holds, beside the hls4ml project in `hls/`:

    hls/firmware/fpgaflow_axi.cpp, .h   the shell around hls4ml's top function
    hls/hls.tcl                         C synthesis, and an IP of the result
    vivado/block_design.tcl             processor, DMA and network to a bitstream
    vivado/fpgaflow_axi.v               instead of the IP: the shell around an RTL top
    hls/firmware/fpgaflow_kernel.cpp    on an Alveo card instead of all that: the shell as a kernel for XRT
    board/                              what goes to the board
    reports/                            what the tools report
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fpgaflow import boards
from fpgaflow.boards import Board, Family
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.hls.layers import IOType
from fpgaflow.targets.hls.templates import render, templates
from fpgaflow.targets.interface import Interface, StreamPort, pack, to_json
from fpgaflow.targets.plan import Command
from fpgaflow.vendor.tools import HlsTool, hls_argv

HLS_FOLDER, VIVADO_FOLDER, BOARD_FOLDER, REPORTS_FOLDER = "hls", "vivado", "board", "reports"
JOBS = 4  # parallel Vivado runs: each takes 2 to 4 GB
_DMA_BITS = (8, 16, 32, 64)  # stream widths of the AXI DMA (PG021) up to its 64-bit memory side
_HLS_PROJECT = "fpgaflow_prj"
_IP_FOLDER = f"{HLS_FOLDER}/{_HLS_PROJECT}/solution1/impl/ip"
_KERNEL = "fpgaflow_kernel"

Files = dict[str, str | bytes]


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
    wrapper = {"project": project_name, "io_type": io_type.value, "top": True, **ports}
    scripts = {
        "project": project_name,
        "part": board.part,
        "period_ns": f"{1000 / clock_mhz:.3f}",
        "hls_project": _HLS_PROJECT,
        "reports": f"../{REPORTS_FOLDER}",
    }
    return {
        f"{HLS_FOLDER}/firmware/fpgaflow_axi.h": render("axi_wrapper.h.j2", wrapper),
        f"{HLS_FOLDER}/firmware/fpgaflow_axi.cpp": render("axi_wrapper.cpp.j2", wrapper),
        f"{HLS_FOLDER}/hls.tcl": render("hls.tcl.j2", scripts),
        f"{VIVADO_FOLDER}/block_design.tcl": _block_design(board, interface, clock_mhz, ()),
        **board_files(graph, board, interface, clock_mhz, vectors),
    }


def kernel_files(
    graph: Graph,
    board: Board,
    interface: Interface,
    *,
    project_name: str,
    io_type: IOType,
    clock_mhz: float,
    vectors: Vectors,
) -> Files:
    """Everything around an hls4ml project that makes it a kernel for XRT.

    Raises:
        BadInput: a board without a Vitis platform, or vectors that do not fit the interface.
    """
    if board.platform is None:
        found = "has no Vitis platform"
        raise BadInput(f"board '{board.name}'", found, "Use one whose interface is 'xrt': fpgaflow boards")
    ports = {"input": interface.input, "output": interface.output}
    wrapper = {"project": project_name, "io_type": io_type.value, "top": False, **ports}
    return {
        f"{HLS_FOLDER}/firmware/fpgaflow_axi.h": render("axi_wrapper.h.j2", wrapper),
        f"{HLS_FOLDER}/firmware/fpgaflow_axi.cpp": render("axi_wrapper.cpp.j2", wrapper),
        f"{HLS_FOLDER}/firmware/{_KERNEL}.cpp": render("xrt_kernel.cpp.j2", ports),
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
        shell: render("rtl_shell.v.j2", ports),
        f"{VIVADO_FOLDER}/block_design.tcl": _block_design(board, interface, clock_mhz, (shell, *sources)),
        **board_files(graph, board, interface, clock_mhz, vectors),
    }


def hls_command(tool: HlsTool = HlsTool.VITIS_HLS) -> Command:
    """C synthesis and export of the IP."""
    outputs = (f"{REPORTS_FOLDER}/csynth.xml", f"{_IP_FOLDER}/component.xml")
    return Command("C synthesis", hls_argv(tool, "hls.tcl"), tool.value, "logs/hls.log", HLS_FOLDER, outputs)


def vivado_command() -> Command:
    """Block design to bitstream, with reports after routing."""
    argv = ("vivado", "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "block_design.tcl")
    results = tuple(f"{BOARD_FOLDER}/fpgaflow.{kind}" for kind in ("bit", "hwh"))
    names = ("clock.json", "utilization.rpt", "utilization_hierarchical.rpt", "timing.rpt", "power.rpt")
    reports = tuple(f"{REPORTS_FOLDER}/{name}" for name in names)
    return Command("bitstream", argv, "vivado", "logs/vivado.log", VIVADO_FOLDER, (*results, *reports))


def kernel_commands(board: Board, project_name: str, clock_mhz: float, frequency_option: str) -> tuple[Command, ...]:
    """What turns `kernel_files` and the hls4ml project into `board/fpgaflow.xclbin`; the option names the clock.

    v++ of 2023.2 and newer takes `--freqhz` (in Hz), older ones `--kernel_frequency` (in MHz): UG1393, UG1702.
    """
    hertz = frequency_option == "--freqhz"
    clock = f"{clock_mhz * 1e6:.0f}" if hertz else f"{clock_mhz:.0f}"
    common = ("v++", "-t", "hw", "--platform", str(board.platform), frequency_option, clock)
    sources = tuple(f"firmware/{name}.cpp" for name in (_KERNEL, "fpgaflow_axi", project_name))
    logs = f"../{REPORTS_FOLDER}"
    compile_ = (*common, "-c", "-k", _KERNEL, "-I", "firmware", "--report_dir", logs, "-o", f"{_KERNEL}.xo", *sources)
    link = (*common, "-l", "--report_dir", logs, "-o", f"../{BOARD_FOLDER}/fpgaflow.xclbin", f"{_KERNEL}.xo")
    return (
        Command("kernel", compile_, "v++", "logs/kernel.log", HLS_FOLDER, (f"{HLS_FOLDER}/{_KERNEL}.xo",)),
        Command("xclbin", link, "v++", "logs/xclbin.log", HLS_FOLDER, (f"{BOARD_FOLDER}/fpgaflow.xclbin",)),
    )


def firmware_commands(tool: HlsTool = HlsTool.VITIS_HLS) -> tuple[Command, ...]:
    """What turns `firmware_files` and the hls4ml project into `board/fpgaflow.bit`."""
    return hls_command(tool), vivado_command()


def board_files(
    graph: Graph,
    board: Board,
    interface: Interface,
    clock_mhz: float,
    vectors: Vectors,
    more: Mapping[str, object] = MappingProxyType({}),
) -> Files:
    """The folder that goes to the board, without bitstream and handoff; `more` is what else its driver has to know.

    Raises:
        BadInput: vectors that do not fit the interface.
    """
    bundle = {
        "model": graph.name,
        "graph": graph.digest,
        "board": board.name,
        "part": board.part,
        "clock_mhz": clock_mhz,
        # For `fpgaflow deploy`: the board may be one of the user's own.
        "title": board.title,
        "family": board.family.value,
        "interface": board.interface.value,
        "platform": board.platform,
        **more,
    }
    static = {name: (templates() / source).read_text(encoding="utf-8") for name, source in _static(board)}
    return {
        f"{BOARD_FOLDER}/interface.json": to_json(interface),
        f"{BOARD_FOLDER}/bundle.json": json.dumps(bundle, indent=2) + "\n",
        f"{BOARD_FOLDER}/test_vectors.npz": _npz(vectors, interface),
        **{f"{BOARD_FOLDER}/{name}": content for name, content in static.items()},
    }


def _static(board: Board) -> tuple[tuple[str, str], ...]:
    """The files that are the same for every model: name on the board, and template."""
    drivers = {boards.Interface.XRT: "fpgaflow_driver_xrt.py", boards.Interface.UART: "fpgaflow_driver_uart.py"}
    driver = drivers.get(board.interface, "fpgaflow_driver.py")
    notebook = ("fpgaflow.ipynb",) if board.interface is not boards.Interface.UART else ()
    others = ("fpgaflow_samples.py", "selftest.py", *notebook)
    return ("fpgaflow_driver.py", driver), *((name, name) for name in others)


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
    return render(
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
