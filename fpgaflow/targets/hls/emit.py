"""The HLS target: a graph and a board become one build plan, complete up to the bitstream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fpgaflow.boards import Board, Family, Interface
from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.hls import firmware
from fpgaflow.targets.hls.check import check as check_layers
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.project import Project, make_project
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.plan import BuildPlan
from fpgaflow.vendor.tools import frequency_option, hls_tool, version_of

PROJECT = "fpgaflow"


@dataclass(frozen=True)
class HlsBuild:
    """The plan's commands lead to the bitstream; there are none where no block design exists."""

    plan: BuildPlan
    project: Project


def options_for(
    part: str,
    reuse_factors: dict[str, int],
    clock_mhz: float,
    io_type: IOType,
    strategy: Strategy,
    unrolled: Sequence[str] = (),
) -> HlsOptions:
    """hls4ml's options for a part and a folding; `unrolled` are ops whose weights become constants."""
    return HlsOptions(
        part=part,
        io_type=io_type,
        strategy=strategy,
        reuse_factors=reuse_factors,
        strategies=dict.fromkeys(unrolled, Strategy.LATENCY),
        clock_period_ns=1000 / clock_mhz,
        project_name=PROJECT,
    )


def check(graph: Graph, options: HlsOptions) -> tuple[Problem, ...]:
    """Every op that the HLS target would not carry bit for bit."""
    return check_layers(graph, options)


def emit(graph: Graph, board: Board, options: HlsOptions, vectors: firmware.Vectors, clock_mhz: float) -> HlsBuild:
    """The plan: the hls4ml project, the AXI4-Stream shell, the scripts, and what goes to the board.

    Raises:
        UnsupportedModel, CheckFailed: hls4ml cannot carry the graph, or changed it.
    """
    project = make_project(graph, options)
    files: firmware.Files = {f"{firmware.HLS_FOLDER}/{name}": text for name, text in project.files.items()}
    if not has_block_design(board):
        return HlsBuild(BuildPlan(files, ()), project)
    xrt = board.interface is Interface.XRT
    make = firmware.kernel_files if xrt else firmware.firmware_files
    files |= make(
        graph,
        board,
        interface_for(graph),
        project_name=options.project_name,
        io_type=options.io_type,
        clock_mhz=clock_mhz,
        vectors=vectors,
    )
    if xrt:
        commands = firmware.kernel_commands(board, options.project_name, clock_mhz, frequency_option(version_of("v++")))
    else:
        commands = firmware.firmware_commands(hls_tool())
    return HlsBuild(BuildPlan(files, commands), project)


def has_block_design(board: Board) -> bool:
    """Whether fpgaflow has the system around the network for this board."""
    zynq = board.family in (Family.ZYNQ_7000, Family.ZYNQ_ULTRASCALE_PLUS) and board.board_part is not None
    return board.interface is Interface.XRT or (zynq and board.interface is Interface.AXI_STREAM_DMA)
