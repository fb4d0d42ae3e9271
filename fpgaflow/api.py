"""The functions of the public API; they import what they need when they are called: `import fpgaflow` is quick."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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
    from fpgaflow.comparison.outcome import CompareResult


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


def compare(
    model: Graph | str | Path,
    targets: str | Sequence[str] = ("pynq-z2", "cpu", "gpu", "tpu"),
    out: str | Path = "compare",
    flow: str | None = None,
    *,
    data: str | Path | None = None,
    fps: float | None = None,
    sweep: Mapping[str, Sequence[float]] | None = None,
    recipe: str | Path | None = None,
    input_type: Given = None,
    board_results: Sequence[str | Path] = (),
    gpu_results: Sequence[str | Path] = (),
    costs: Mapping[str, float] | None = None,
    max_drop: float = 0.01,
    seconds: float = 1.0,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> CompareResult:
    """Builds what is missing for every target and writes one report into `out`, every figure with its provenance.

    Args:
        targets: boards (names, or paths of .toml files), "cpu", "gpu", "tpu", devices as "gpu:rtx-4090".
        flow: "hls" or "rtl"; None: RTL where it carries model and board, else HLS.
        fps: samples per second that each board has to reach.
        sweep: values of "bits" and "fps"; every combination is built.
        recipe: the fpgaflow.yaml that trains a sweep's models; without it a float model is quantised with `data`.
        board_results, gpu_results: files of measurements, or "TARGET=FILE".
        costs: your prices in dollars by target.
        max_drop: share of accuracy that a target may lose against the best.
        seconds: how long each measurement here runs.
        workers, scheduler: builds at a time here, or a Dask scheduler's address.
        progress: called with what is being done.

    Raises:
        FpgaflowError: bad input, or a model that cannot be carried. What one target refuses is in its row.
    """
    from fpgaflow.comparison.outcome import compared
    from fpgaflow.comparison.request import Request, type_texts
    from fpgaflow.comparison.specs import parse_targets, points_of

    if isinstance(model, Graph):
        refuse_types(input_type, "the graph")
    request = Request(
        model=str(_saved(model, Path(out)) if isinstance(model, Graph) else model),
        targets=parse_targets(targets),
        points=points_of(sweep or {}, fps),
        data=None if data is None else str(data),
        out=Path(out),
        recipe=None if recipe is None else str(recipe),
        flow=flow,
        input_type=type_texts(input_type),
        board_results=tuple(map(str, board_results)),
        gpu_results=tuple(map(str, gpu_results)),
        costs=costs or {},
        max_drop=float(max_drop),
        seconds=seconds,
        workers=workers,
        scheduler=scheduler,
    )
    return compared(request, progress or (lambda _: None))


def _saved(graph: Graph, out: Path) -> Path:
    """The graph as a file, which workers read."""
    from fpgaflow.ir.store import save_graph

    path = out / "models" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', graph.name) or 'graph'}.json"
    save_graph(graph, path)
    return path
