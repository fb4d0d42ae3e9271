"""The functions of the public API; they import what they need when they are called: `import fpgaflow` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpgaflow.errors import Problem, UnsupportedModel
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.input_types import Given, refuse_types
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator

if TYPE_CHECKING:
    import numpy as np

    from fpgaflow.building import BuildResult, Progress


def check(model: Graph | str | Path, board: str | None = None, *, input_type: Given = None) -> tuple[Problem, ...]:
    """What of a model cannot be carried exactly; with `board`, what its hardware flow cannot carry either.

    `input_type` is the type of inputs that the model itself leaves real, as `load` takes it.

    Raises:
        BadInput: no such file or board, or a broken one.
    """
    if isinstance(model, Graph):
        refuse_types(input_type, "the graph")
    try:
        graph = model if isinstance(model, Graph) else load(model, input_type=input_type)
    except UnsupportedModel as refusal:
        return refusal.problems
    if board is None:
        return ()
    from fpgaflow.boards import load_board
    from fpgaflow.building import hardware_problems

    return hardware_problems(graph, load_board(board))


def simulate(model: Graph | str | Path | Any, x: Any) -> np.ndarray | list[np.ndarray]:
    """The model's exact outputs for x (N, ...); `Simulator(model)` is the same for more than one call."""
    return Simulator(model).predict(x)


def build(
    model: Graph | str | Path,
    board: str = "pynq-z2",
    out: str | Path = "build",
    flow: str | None = None,
    *,
    data: str | Path | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
    input_type: Given = None,
    latency_us: float | None = None,
    max_utilisation: float = 0.7,
) -> BuildResult:
    """Everything up to the firmware bundle, into the folder `out`: see `fpgaflow.building.build`."""
    from fpgaflow.building import build as build_all

    goal: dict[str, Any] = {"fps": fps, "latency_us": latency_us, "max_utilisation": max_utilisation}
    return build_all(model, board, out, flow, data=data, progress=progress, input_type=input_type, **goal)
