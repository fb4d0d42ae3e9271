"""`build`: a model and a board become a directory with everything up to the firmware bundle. See docs/design.md for it.

Each stage is resumable (fpgaflow.stages); the manifest is written last, and whole.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fpgaflow
from fpgaflow.boards import Board, load_board
from fpgaflow.build_folder import GRAPH, MANIFEST, QONNX, keep_board, write_npz
from fpgaflow.compare_bits import Mismatches, count_different, difference, float32_is_exact, output_integers
from fpgaflow.doctor import require_rtl
from fpgaflow.errors import BadInput, CheckFailed, FpgaflowError, MissingTool, Problem, ToolFailed, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.qonnx.input_types import Given, parse_types, refuse_types, write_declared
from fpgaflow.frontend.qonnx.rounding import float_rounding
from fpgaflow.frontend.torch import to_qonnx
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph, save_graph
from fpgaflow.project import Flow
from fpgaflow.samples import Samples, accuracy, by_input, generated_samples, input_names, load_samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import Outcome, Stages, file_digest, locked
from fpgaflow.targets.flow import HERE, MAX_UTILISATION, HardwareFlow, Made, VendorTools
from fpgaflow.targets.hls.folding import Goal
from fpgaflow.targets.hls.stage import HlsFlow, hls_problems

QONNX_SAMPLES, ROUNDING_SAMPLES = 1000, 100

Progress = Callable[[str, str], None]  # stage, detail


@dataclass(frozen=True)
class BuildResult:
    """`ok` is False where something was checked and failed: then `failure` says what."""

    folder: Path
    manifest: Mapping[str, Any]
    failure: FpgaflowError | None

    @property
    def ok(self) -> bool:
        return self.failure is None


def build(
    model: Graph | str | Path,
    board: str = "pynq-z2",
    out: str | Path = "build",
    flow: Flow | str | None = None,
    *,
    data: str | Path | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
    input_type: Given = None,
    tools: VendorTools = HERE,
    latency_us: float | None = None,
    max_utilisation: float = MAX_UTILISATION,
) -> BuildResult:
    """Builds `model` for `board` into the folder `out`, resuming what an earlier run left there.

    Args:
        model: a Graph, a path that `fpgaflow.load` takes, FILE.py:FUNCTION, or a checkpoint of `fpgaflow train`.
        flow: None: the one that `flow_for` the board names.
        data: `.npz` with `x`, or an array for each of several inputs, and labels `y`; without it, generated inputs
            serve the comparisons.
        fps: samples per second to reach; without it, the fastest folding that fits the board is taken.
        progress: called as stages begin.
        input_type: the type of inputs that the model itself leaves real, as `fpgaflow.load` takes it.
        tools: where a vendor's tools run, and for how long at most.
        latency_us: microseconds that a sample may take.
        max_utilisation: share of each of the part's resources that may be used.

    Raises:
        FpgaflowError: bad input, a model that cannot be carried, a goal that cannot be met, a tool that failed.
    """
    target, folder = load_board(board), Path(out)
    chosen = flow_for(target) if flow is None else _flow(flow, target)
    if fps is not None and not 0 < fps < math.inf:
        raise BadInput("fps", f"{fps:g} is no rate", "Give samples per second, above 0")
    goal = _goal(latency_us, max_utilisation)
    if isinstance(model, Graph):
        refuse_types(input_type, "the graph")
    inputs = input_names(model) if isinstance(model, Graph) else None  # else known once it is imported
    samples = None if data is None else load_samples(Path(data), inputs)
    notify = progress or (lambda *_: None)
    notify("model", "")
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        source: Graph | Path = model if isinstance(model, Graph) else _exported(str(model), Path(scratch), input_type)
        origin = "graph" if isinstance(model, Graph) else str(model)
        with locked(folder):
            stages = Stages(folder, notify)
            hardware = _hardware(chosen, stages, target, tools, goal)
            board_file = keep_board(board, folder)
            return _Job(folder, target, board_file, origin, source, samples, fps, stages, chosen, hardware).run()


def _exported(model: str, scratch: Path, input_type: Given) -> Path:
    path = to_qonnx(model, scratch / "exported.onnx")
    if not path.is_file():
        raise BadInput(str(path), "is no file", "Give the path of an .onnx file")
    return write_declared(path, parse_types(input_type), scratch / "declared.onnx")


def flow_for(board: Board) -> Flow:
    """The flow of a board for which none was asked: its only one, or HLS."""
    return Flow.RTL if board.toolchain.is_open else Flow.HLS


def _flow(flow: Flow | str, board: Board) -> Flow:
    if flow not in list(Flow):
        raise BadInput("flow", f"'{flow}' is unknown", f"Choose one of {', '.join(Flow)}")
    if flow == Flow.HLS and board.toolchain.is_open:
        raise BadInput("flow 'hls'", f"makes nothing for {board.toolchain} of {board.name}", "Use rtl, or leave it out")
    return Flow(flow)


def _goal(latency_us: float | None, max_utilisation: float) -> Goal:
    """What is asked beyond samples per second."""
    if latency_us is not None and not 0 < latency_us < math.inf:
        raise BadInput("latency", f"{latency_us:g} is no time", "Give microseconds, above 0")
    if not 0 < max_utilisation <= 1:
        raise BadInput("max_utilisation", f"{max_utilisation:g} is no share", "Give a number above 0, 1 at most")
    return Goal(None, latency_us, max_utilisation)


def _hardware(flow: Flow, stages: Stages, board: Board, tools: VendorTools, goal: Goal) -> HardwareFlow:
    if flow is Flow.HLS:
        return HlsFlow(stages, board, tools, goal)
    require_rtl("flow 'rtl'")
    from fpgaflow.targets.rtl.stage import RtlFlow

    return RtlFlow(stages, board, tools, goal)


def hardware_problems(graph: Graph, board: Board) -> tuple[Problem, ...]:
    """What of a graph the flow of a board cannot carry, by op; empty where it can be built."""
    if flow_for(board) is Flow.HLS:
        return hls_problems(graph, board)
    from fpgaflow.targets.rtl.stage import rtl_problems

    return rtl_problems(graph, board)


@dataclass
class _Job:
    """`origin` is what the user called the model, `model` the graph or file that it is or was exported to."""

    folder: Path
    board: Board
    board_file: str | None
    origin: str
    model: Graph | Path
    samples: Samples | None
    fps: float | None
    stages: Stages
    flow: Flow
    hardware: HardwareFlow

    def run(self) -> BuildResult:
        manifest_file = self.folder / MANIFEST
        if manifest_file.is_file():  # it stays readable, but no longer stands for what lies beside it
            manifest_file.replace(self.folder / "manifest.previous.json")
        failure: FpgaflowError | None = None
        try:
            self._stages()
        except (CheckFailed, ToolFailed, UnsupportedModel, MissingTool) as error:
            if not self.stages.facts:
                raise
            failure = error
        manifest = self._manifest(failure)
        write_atomic(manifest_file, json.dumps(manifest, indent=2) + "\n")
        return BuildResult(self.folder, manifest, failure)

    def _stages(self) -> None:
        run, folder = self.stages.run, self.folder
        run("import", {"model": self.sha256}, self._import)
        graph = load_graph(folder / GRAPH)
        if self.samples is not None and not set(self.samples.x.dtype.names or ["x"]) >= set(input_names(graph)):
            self.samples = load_samples(Path(self.samples.source), input_names(graph))
        samples = self.samples = self.samples or generated_samples(graph)
        data = {"graph": graph.digest, "data": samples.digest}
        run("simulate", data, lambda: _simulate(graph, samples, folder))
        if self.is_qonnx:
            run("qonnx", {**data, "model": self.sha256}, lambda: _against_qonnx(graph, samples, folder))
        self.hardware.run(graph, samples, self.fps)

    @cached_property
    def sha256(self) -> str:
        return self.model.digest if isinstance(self.model, Graph) else file_digest(self.model)

    @property
    def is_qonnx(self) -> bool:
        return isinstance(self.model, Path) and self.model.suffix == ".onnx"

    def _import(self) -> Outcome:
        graph = self.model if isinstance(self.model, Graph) else load(self.model)
        save_graph(graph, self.folder / GRAPH)
        files = [GRAPH, str(Path(GRAPH).with_suffix(".safetensors"))]
        if isinstance(self.model, Path) and self.is_qonnx:
            write_atomic(self.folder / QONNX, self.model.read_bytes())
            files.append(QONNX)
        return Outcome({"name": graph.name, "ops": len(graph.ops)}, tuple(files))

    def _manifest(self, failure: FpgaflowError | None) -> dict[str, Any]:
        facts = self.stages.facts
        simulated, qonnx = facts.get("simulate", {}), facts.get("qonnx", {})
        made = self.hardware.made()
        return {
            "fpgaflow": fpgaflow.__version__,
            "model": {"source": self.origin, "sha256": self.sha256},
            "board": self.board.name,
            "board_file": self.board_file,
            "part": self.board.part,
            "flow": self.flow.value,
            "graph": GRAPH,
            "qonnx": QONNX if self.is_qonnx else None,
            "stages": self.stages.log,
            "data": None if self.samples is None else self.samples.source,
            "accuracy": {
                "float": _trained_accuracy(Path(self.origin), self.sha256),
                "quantized": qonnx.get("accuracy"),
                "simulated": simulated.get("accuracy"),
                "samples": simulated.get("samples"),
            },
            "mismatches": {
                f"{name}_vs_sim": facts[name]["mismatches"]
                for name in ("qonnx", "csim", "rtl", "netlist")
                if "mismatches" in facts.get(name, {})
            },
            "rounding": qonnx.get("rounding"),  # of float32 in QONNX's executor; None where it is exact
            "left_out": {
                name: facts[name]["left_out"] for name in ("qonnx", "netlist") if "left_out" in facts.get(name, {})
            },
            "folding": facts.get("fold", {}),
            **made.figures.as_json(),
            "firmware": made.firmware,
            "bitstream": made.bitstream,
            "why_no_bitstream": None if made.bitstream is not None else _why(made, failure),
            **made.more,
            "failure": None if failure is None else str(failure),
        }


def _why(made: Made, failure: FpgaflowError | None) -> str | None:
    return made.why if failure is None else f"the build failed: {failure.problem.where}"


def _trained_accuracy(origin: Path, sha256: str) -> float | None:
    """The float network's accuracy that `fpgaflow train` recorded beside the model, if it is of this very model."""
    try:
        record = json.loads(origin.with_name("train.json").read_text())
        return float(record["accuracy"]["float"]) if record["model_sha256"] == sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _simulate(graph: Graph, samples: Samples, folder: Path) -> Outcome:
    outputs = Simulator(graph).predict(samples.x)
    arrays = outputs if isinstance(outputs, list) else [outputs]
    named = {port.name: array for port, array in zip(graph.outputs, arrays, strict=True)}
    name = "simulated.npz"
    write_npz(folder / name, named)
    return Outcome({"accuracy": accuracy(arrays[0], samples.y), "samples": len(samples)}, (name,))


def _against_qonnx(graph: Graph, samples: Samples, folder: Path) -> Outcome:
    x, exact = samples.x[:QONNX_SAMPLES], float32_is_exact(graph)
    try:
        theirs = run_qonnx(folder / QONNX, by_input(graph, x))
        rounding = None if exact else float_rounding(folder / QONNX, graph, x[:ROUNDING_SAMPLES]).as_json()
    except ToolFailed as error:  # a second opinion that is not to be had does not make the firmware wrong
        return Outcome({"accuracy": None, "left_out": str(error)})
    ours = Simulator(graph).predict_integers(x)
    total = Mismatches(len(x), 0, 0)
    for port in graph.outputs:
        total += count_different(output_integers(theirs[port.name], port), ours[port.name])
    labels = None if samples.y is None else samples.y[:QONNX_SAMPLES]
    share = accuracy(theirs[graph.outputs[0].name], labels)
    facts = {"accuracy": share, "mismatches": total.as_json(), "rounding": rounding}
    return Outcome(facts, failure=difference("QONNX's executor", total) if exact else None)
