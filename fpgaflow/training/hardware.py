"""What a trained network would take on a board, estimated: to compare networks, not to build one."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fpgaflow.boards import Board
from fpgaflow.cost.parts import Cost
from fpgaflow.doctor import require_rtl
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.training.export import export_qonnx


@dataclass(frozen=True)
class Taken:
    """First-order estimates (fpgaflow.cost) of a design folded for the rate; `cycles` is its interval."""

    lut: int
    ff: int
    dsp: int
    bram36: float
    cycles: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def graph_of(net: nn.Module, input_shape: tuple[int, ...]) -> Graph:
    """The integer graph of a quantised network."""
    with tempfile.TemporaryDirectory() as aside:
        path = Path(aside) / "model.onnx"
        export_qonnx(net, torch.zeros(1, *input_shape), path)
        return load(path)


def taken(graph: Graph, board: Board, fps: float) -> Taken:
    """The least hardware that takes `fps` samples per second at the board's clock: fpgaflow's own for a board of open
    tools, through hls4ml for another.

    Raises:
        CheckFailed: none does, or none fits the board.
        MissingTool: the packages of the RTL flow are not installed.
    """
    cost = _open(graph, board, fps) if board.toolchain.is_open else _through_hls4ml(graph, board, fps)
    return Taken(round(cost.lut), round(cost.ff), round(cost.dsp), round(cost.bram36, 1), round(cost.cycles))


def _through_hls4ml(graph: Graph, board: Board, fps: float) -> Cost:
    from fpgaflow.targets.hls.folding import Goal, choose_folding

    return choose_folding(graph, board, board.clock.design_mhz, Goal(fps=fps)).cost


def _open(graph: Graph, board: Board, fps: float) -> Cost:
    require_rtl(f"a design for {board.name}")
    from fpgaflow.targets.flow import MAX_UTILISATION
    from fpgaflow.targets.rtl.board.stage import fold
    from fpgaflow.targets.rtl.cost import estimate

    return estimate(graph, fold(graph, board, fps, MAX_UTILISATION))
