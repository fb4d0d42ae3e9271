"""The work behind a comparison, in pieces that end in files: models of a sweep, and builds. Any worker can do one.

A piece that is done is recognised by what it left behind, so that a comparison that was killed goes on where it was.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fpgaflow
from fpgaflow.boards import load_board
from fpgaflow.build_folder import MANIFEST
from fpgaflow.doctor import has_rtl
from fpgaflow.errors import BadInput, Busy, FpgaflowError
from fpgaflow.files import write_atomic
from fpgaflow.samples import load_samples
from fpgaflow.stages import STATE, digest, file_digest
from fpgaflow.workers import crew

RECORD = "compare.json"
_LOCK_WAIT_S = 600.0
Notify = Callable[[str], None]


@dataclass(frozen=True)
class ModelTask:
    """A model of `bits` bits into `out`/model.onnx: by the recipe, or by quantising the float `model` with `data`."""

    model: str
    recipe: str | None
    data: str | None
    bits: int
    out: str

    @property
    def title(self) -> str:
        return f"model of {self.bits} bits"


@dataclass(frozen=True)
class BuildTask:
    """One build for a board into `out`. `flow` None: RTL where it carries the model and the board, else HLS."""

    model: str
    board: str
    data: str | None
    fps: float | None
    flow: str | None
    input_type: tuple[str, ...]
    out: str

    @property
    def title(self) -> str:
        return f"build {Path(self.out).parent.name}/{Path(self.out).name}"


Task = ModelTask | BuildTask
Follow = Callable[[Task], Sequence[Task]]


def run_task(task: Task) -> str | None:
    """Does the work; what went wrong, if something did, in a line. Never raises for bad input: others go on."""
    try:
        if isinstance(task, ModelTask):
            make_model(task)
        else:
            make_build(task)
    except FpgaflowError as error:
        return str(error)
    return None


def make_model(task: ModelTask) -> None:
    """Trains or quantises, unless the same was done before."""
    out = Path(task.out)
    source = Path(task.recipe or task.model)
    key = {
        "version": fpgaflow.__version__,
        "bits": task.bits,
        "source": file_digest(source) if source.is_file() else task.model,
        "data": None if task.data is None else load_samples(Path(task.data), None).digest,
    }
    if _done(out, key, "model.onnx"):
        return
    if task.recipe is not None:
        from fpgaflow.training.recipe import load_recipe
        from fpgaflow.training.trainer import train

        recipe = load_recipe(Path(task.recipe))
        train(replace(recipe, weight_bits=task.bits, activation_bits=task.bits), out, folder=Path(task.recipe).parent)
    else:
        if task.data is None:
            raise BadInput("sweep of bits", "needs samples to quantise with", "Give --data X.npz")
        from fpgaflow.quantize import quantize
        from fpgaflow.training.ptq import Ptq

        quantize(task.model, task.data, out / "model.onnx", Ptq(task.bits, task.bits))
    _mark(out, key)


def make_build(task: BuildTask) -> None:
    """Builds, unless the same build is there already; waits where another process is at it."""
    from fpgaflow.building import build
    from fpgaflow.targets.flow import waits_for_tools

    out = Path(task.out)
    key = {
        "version": fpgaflow.__version__,
        "model": file_digest(Path(task.model)) if Path(task.model).is_file() else task.model,
        "board": repr(load_board(task.board)),
        "data": None if task.data is None else load_samples(Path(task.data), None).digest,
        "fps": task.fps,
        "flow": task.flow,
        "input_type": list(task.input_type),
    }
    if (_done(out, key, MANIFEST) or _given(task, out)) and not waits_for_tools(out):
        return
    flow = task.flow or choose_flow(task)
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            types = list(task.input_type) or None
            result = build(task.model, task.board, out, flow, data=task.data, fps=task.fps, input_type=types)
            break
        except Busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
    if result.failure is None or result.failure.exit_code == 1:  # what does not fit will not fit the next time either
        _mark(out, key)


def choose_flow(task: BuildTask) -> str:
    """RTL where fpgaflow's generator carries the model to the board: its cycles can be simulated. Else HLS."""
    if not has_rtl():
        return "hls"
    from fpgaflow.frontend.load import load
    from fpgaflow.frontend.torch import to_qonnx
    from fpgaflow.targets.rtl.generate import check_rtl

    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        source = to_qonnx(task.model, Path(scratch) / "exported.onnx")
        graph = load(source, input_type=list(task.input_type) or None)
    return "hls" if check_rtl(graph, load_board(task.board)) else "rtl"


def _given(task: BuildTask, out: Path) -> bool:
    """Whether somebody else's finished build lies in the folder: of this model, board, flow, data and rate."""
    if (out / STATE / RECORD).is_file():
        return False  # one of ours, of other settings
    try:
        manifest = json.loads((out / MANIFEST).read_text())
        same = manifest["board"] == load_board(task.board).name and manifest["model"]["sha256"] == file_digest(
            Path(task.model)
        )
        data = None if task.data is None else str(Path(task.data).resolve())
        same = same and task.flow in (None, manifest["flow"]) and (data is None or manifest["data"] == data)
        rate = manifest["timing"]["samples_per_second"]["value"]
        return same and manifest["failure"] is None and (task.fps is None or rate >= task.fps)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _done(out: Path, key: dict[str, Any], product: str) -> bool:
    try:
        return (out / product).is_file() and json.loads((out / STATE / RECORD).read_text())["key"] == digest(key)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mark(out: Path, key: dict[str, Any]) -> None:
    write_atomic(out / STATE / RECORD, json.dumps({"key": digest(key)}) + "\n")


def run_all(
    tasks: Sequence[Task], workers: int, scheduler: str | None, notify: Notify, follow: Follow = lambda _: ()
) -> dict[Task, str]:
    """Does the tasks, several at a time, in processes here or on a Dask scheduler's workers that see the same files.

    Args:
        follow: what can be done once a task went well; it is done before the tasks that still wait.

    Returns:
        What went wrong, by task.

    Raises:
        BadInput, MissingTool, ToolFailed: as `crew` does.
    """
    failures: dict[Task, str] = {}
    waiting = deque(tasks)
    if not waiting:
        return failures
    notify(waiting[0].title)
    with crew(workers, scheduler) as calls:
        for done, (task, failure) in enumerate(calls(run_task, waiting), 1):
            if failure is not None:
                failures[task] = failure
            else:
                waiting.extendleft(reversed(follow(task)))
            notify(f"{waiting[0].title if waiting else 'what is still running'} ({done} done)")
    return failures
