"""The HLS target: a graph and a board become one build plan, complete up to the bitstream."""

from __future__ import annotations

from dataclasses import dataclass

from fpgaflow.boards import Board, Family, Interface
from fpgaflow.doctor import find_executable
from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.hls import firmware
from fpgaflow.targets.hls.check import check as check_layers
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.project import Project, make_project
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.plan import BuildPlan

PROJECT = "fpgaflow"


@dataclass(frozen=True)
class HlsBuild:
    """The plan's commands lead to the bitstream; there are none where no block design exists."""

    plan: BuildPlan
    project: Project


def options_for(
    part: str, reuse_factors: dict[str, int], clock_mhz: float, io_type: IOType, strategy: Strategy
) -> HlsOptions:
    """hls4ml's options for a part and a folding."""
    return HlsOptions(
        part=part,
        io_type=io_type,
        strategy=strategy,
        reuse_factors=reuse_factors,
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
    files |= firmware.firmware_files(
        graph,
        board,
        interface_for(graph),
        project_name=options.project_name,
        io_type=options.io_type,
        clock_mhz=clock_mhz,
        vectors=vectors,
    )
    return HlsBuild(BuildPlan(files, firmware.firmware_commands(hls_tool())), project)


def hls_tool() -> firmware.HlsTool:
    """The HLS program that is here; the older name where neither is."""
    newer, older = firmware.HlsTool.VITIS_RUN, firmware.HlsTool.VITIS_HLS
    return newer if find_executable(newer) and not find_executable(older) else older


def has_block_design(board: Board) -> bool:
    """Whether fpgaflow has the system around the network for this board."""
    zynq = board.family in (Family.ZYNQ_7000, Family.ZYNQ_ULTRASCALE_PLUS)
    return zynq and board.board_part is not None and board.interface is Interface.AXI_STREAM_DMA
