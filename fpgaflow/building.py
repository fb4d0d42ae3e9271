"""`build`: a model and a board become a directory with everything up to the firmware bundle. See docs/design.md for it.

Each stage is resumable (fpgaflow.stages); the manifest is written last, and whole.
"""

from __future__ import annotations

import importlib.util
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fpgaflow
from fpgaflow.boards import Board, load_board
from fpgaflow.build_folder import CSIM, FIRMWARE, GRAPH, MANIFEST, QONNX, RTL, write_npz
from fpgaflow.compare_bits import Mismatches, count_different, float32_is_exact, output_integers
from fpgaflow.doctor import find_executable
from fpgaflow.errors import BadInput, CheckFailed, FpgaflowError, MissingTool, Problem, ToolFailed, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.torch import to_qonnx
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph, save_graph
from fpgaflow.project import Flow
from fpgaflow.report.firmware import Figures, estimated_figures, reported_figures
from fpgaflow.samples import Samples, accuracy, generated_samples, load_samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import Outcome, Stages, file_digest, locked
from fpgaflow.targets import plan as plans
from fpgaflow.targets.hls import firmware
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.emit import HlsBuild, check, emit, has_block_design, hls_tool, options_for
from fpgaflow.targets.hls.folding import choose_folding
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.run import run_plan

MAX_UTILISATION = 0.7  # share of the part that a folding may take: placement gets hard beyond
CSIM_SAMPLES, QONNX_SAMPLES, BOARD_SAMPLES = 300, 1000, 64

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
    flow: Flow | str = Flow.HLS,
    *,
    data: str | Path | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Builds `model` for `board` into the folder `out`, resuming what an earlier run left there.

    Args:
        model: a Graph, a path that `fpgaflow.load` takes, FILE.py:FUNCTION, or a checkpoint of `fpgaflow train`.
        data: `.npz` with `x` and labels `y`; without it, generated inputs serve the comparisons.
        fps: samples per second to reach; without it, the fastest folding that fits the board is taken.
        progress: called as stages begin.

    Raises:
        FpgaflowError: bad input, a model that cannot be carried, a goal that cannot be met, a tool that failed.
    """
    target, folder = load_board(board), Path(out)
    if (chosen := _flow(flow)) is Flow.RTL and importlib.util.find_spec("amaranth") is None:
        raise MissingTool("flow 'rtl'", "the package amaranth is not installed", "Run pip install 'fpgaflow[rtl]'")
    if fps is not None and not 0 < fps < math.inf:
        raise BadInput("fps", f"{fps:g} is no rate", "Give samples per second, above 0")
    samples = None if data is None else load_samples(Path(data))
    notify = progress or (lambda *_: None)
    notify("model", "")
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        source: Graph | Path = model if isinstance(model, Graph) else _exported(str(model), Path(scratch))
        origin = "graph" if isinstance(model, Graph) else str(model)
        with locked(folder):
            return _Job(folder, target, origin, source, samples, fps, Stages(folder, notify), chosen).run()


def _exported(model: str, scratch: Path) -> Path:
    path = to_qonnx(model, scratch / "exported.onnx")
    if not path.is_file():
        raise BadInput(str(path), "is no file", "Give the path of an .onnx file")
    return path


def _flow(flow: Flow | str) -> Flow:
    if flow not in list(Flow):
        raise BadInput("flow", f"'{flow}' is unknown", f"Choose one of {', '.join(Flow)}")
    return Flow(flow)


@dataclass
class _Job:
    """`origin` is what the user called the model, `model` the graph or file that it is or was exported to."""

    folder: Path
    board: Board
    origin: str
    model: Graph | Path
    samples: Samples | None
    fps: float | None
    stages: Stages
    flow: Flow = Flow.HLS
    missing: tuple[str, ...] | None = None  # tools for the bitstream; None: not that far, or no block design
    reported: Figures | None = None

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
        run, folder, board = self.stages.run, self.folder, self.board
        run("import", {"model": self.sha256}, self._import)
        graph = load_graph(folder / GRAPH)
        samples = self.samples = self.samples or generated_samples(graph)
        data = {"graph": graph.digest, "data": samples.digest}
        run("simulate", data, lambda: _simulate(graph, samples, folder))
        if self.is_qonnx:
            run("qonnx", {**data, "model": self.sha256}, lambda: _against_qonnx(graph, samples, folder))
        if self.flow is Flow.RTL:
            from fpgaflow.targets.rtl import stage as rtl  # needs Amaranth, which the other flow does without

            rtl.run_stages(self.stages, graph, board, samples, self.fps, MAX_UTILISATION)
            return
        goal = {"graph": graph.digest, "board": repr(board), "fps": self.fps}
        fold = run("fold", goal, lambda: _fold(graph, board, self.fps))
        hls = _Once(lambda: _emit(graph, board, folded_options(fold, board.part), samples))
        design = {**data, "board": repr(board), "fold": fold, "tool": hls_tool().value}
        written = run("firmware", design, lambda: _write(hls(), folder))
        run("csim", {**data, "project": written["project"]}, lambda: _csim(graph, hls(), samples, folder))
        if has_block_design(board):
            self._bitstream(written["tools"], hls)

    def _bitstream(self, tools: Sequence[str], hls: Callable[[], HlsBuild]) -> None:
        """Vendor tools, where they are; the plan's runner resumes by itself, so this is no stage of ours."""
        self.missing = tuple(tool for tool in tools if find_executable(tool) is None)
        if not self.missing:
            run_plan(hls().plan, self.folder / FIRMWARE, lambda _, line: self.stages.notify("bitstream", line))
            self.reported = reported_figures(self.folder / FIRMWARE / firmware.REPORTS_FOLDER, self._estimated())

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

    def _estimated(self) -> Figures:
        if self.flow is Flow.RTL:
            from fpgaflow.targets.rtl import stage as rtl

            return rtl.figures(self.board, self.stages.facts)
        cost = self.stages.facts.get("fold", {}).get("cost")
        return estimated_figures(self.board, self.board.clock.design_mhz, cost)

    def _manifest(self, failure: FpgaflowError | None) -> dict[str, Any]:
        facts = self.stages.facts
        simulated, qonnx = facts.get("simulate", {}), facts.get("qonnx", {})
        bitstream = f"{FIRMWARE}/{firmware.BOARD_FOLDER}/fpgaflow.bit"
        return {
            "fpgaflow": fpgaflow.__version__,
            "model": {"source": self.origin, "sha256": self.sha256},
            "board": self.board.name,
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
                for name in ("qonnx", "csim", "rtl")
                if "mismatches" in facts.get(name, {})
            },
            "left_out": {"qonnx": qonnx["left_out"]} if "left_out" in qonnx else {},
            "folding": facts.get("fold", {}),
            **(self.reported or self._estimated()).as_json(),
            "firmware": FIRMWARE if "firmware" in facts else None,
            "bitstream": None if self.reported is None else bitstream,
            "why_no_bitstream": None if self.reported is not None else self._why(failure),
            "failure": None if failure is None else str(failure),
        }

    def _why(self, failure: FpgaflowError | None) -> str:
        if failure is not None:
            return f"the build failed: {failure.problem.where}"
        if self.flow is Flow.RTL:
            return f"fpgaflow has no block design for its RTL: add {RTL}/*.v to a Vivado project with an AXI DMA"
        if self.missing is None:
            return (
                f"fpgaflow has no block design for {self.board.name}: build on from {FIRMWARE}/hls in your own design"
            )
        command = plans.finish_command(self.folder / FIRMWARE)
        return f"{', '.join(self.missing)} not found: run `{command}` on a machine that has them"


class _Once:
    """Emits at most once, and only if a stage that runs needs it."""

    def __init__(self, make: Callable[[], HlsBuild]) -> None:
        self._make = make
        self._made: HlsBuild | None = None

    def __call__(self) -> HlsBuild:
        if self._made is None:
            self._made = self._make()
        return self._made


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
    x = samples.x[:QONNX_SAMPLES]
    try:
        theirs = run_qonnx(folder / QONNX, {graph.inputs[0].name: x})
    except ToolFailed as error:  # a second opinion that is not to be had does not make the firmware wrong
        return Outcome({"accuracy": None, "left_out": str(error)})
    ours = Simulator(graph).predict_integers(x)
    total = Mismatches(len(x), 0, 0)
    for port in graph.outputs:
        total += count_different(output_integers(theirs[port.name], port), ours[port.name])
    labels = None if samples.y is None else samples.y[:QONNX_SAMPLES]
    facts = {"accuracy": accuracy(theirs[graph.outputs[0].name], labels), "mismatches": total.as_json()}
    return Outcome(facts, failure=_difference("QONNX's executor", total) if float32_is_exact(graph) else None)


def hardware_problems(graph: Graph, board: Board) -> tuple[Problem, ...]:
    """What of a graph the HLS flow cannot carry for a board, by op; empty where it can be built."""
    try:
        _fold(graph, board, None)
    except (BadInput, UnsupportedModel, CheckFailed) as error:
        return error.problems
    return ()


def _fold(graph: Graph, board: Board, fps: float | None) -> Outcome:
    if has_block_design(board):
        interface_for(graph)  # refuses what its streams cannot carry
    clock_mhz = board.clock.design_mhz
    strategy = Strategy.RESOURCE  # depthwise layers, which hls4ml has unrolled only, are emitted so by themselves
    refused: UnsupportedModel | None = None
    # What streams cannot carry, arrays of registers may.
    for io_type in (IOType.STREAM, IOType.PARALLEL):
        try:
            _check(graph, options_for(board.part, {}, clock_mhz, io_type, strategy))
            folding = choose_folding(graph, board, clock_mhz, fps, MAX_UTILISATION, io_type)
            _check(graph, options_for(board.part, folding.reuse, clock_mhz, io_type, strategy))
            break
        except UnsupportedModel as error:
            refused = refused or error
        except CheckFailed as error:
            # Of io_parallel alone: what io_stream refused is the reason for it, and may be what to change.
            raise error if refused is None else UnsupportedModel([*refused.problems, *error.problems]) from None
    else:
        assert refused is not None
        raise refused
    cost = {name: round(value, 1 if name == "bram36" else None) for name, value in vars(folding.cost).items()}
    facts = {
        "reuse_factors": folding.reuse,
        "bottleneck": folding.bottleneck,
        "clock_mhz": clock_mhz,
        "io_type": io_type.value,
        "strategy": strategy.value,
        "cost": cost,
        "source": "estimated",
    }
    return Outcome(facts)


def _check(graph: Graph, options: HlsOptions) -> None:
    if problems := check(graph, options):
        raise UnsupportedModel(problems)


def folded_options(fold: Mapping[str, Any], part: str) -> HlsOptions:
    """hls4ml's options from a manifest's `folding` and `part`."""
    io_type, strategy = IOType(fold["io_type"]), Strategy(fold["strategy"])
    return options_for(part, fold["reuse_factors"], fold["clock_mhz"], io_type, strategy)


def _emit(graph: Graph, board: Board, options: HlsOptions, samples: Samples) -> HlsBuild:
    chosen = samples.x[:BOARD_SAMPLES]
    simulator = Simulator(graph)
    codes = simulator.input_integers(chosen)[graph.inputs[0].name]
    results = simulator.predict_integers(chosen)[graph.outputs[0].name]
    return emit(graph, board, options, firmware.Vectors(chosen, codes, results), board.clock.design_mhz)


def _write(hls: HlsBuild, folder: Path) -> Outcome:
    plans.write(hls.plan, folder / FIRMWARE)
    facts = {
        "plan": hls.plan.digest,
        "project": plans.digest_of(dict(hls.project.files)),
        "commands": [command.name for command in hls.plan.commands],
        "tools": sorted({command.tool for command in hls.plan.commands}),
    }
    return Outcome(facts, tuple(f"{FIRMWARE}/{name}" for name in hls.plan.files))


def _csim(graph: Graph, hls: HlsBuild, samples: Samples, folder: Path) -> Outcome:
    simulator = Simulator(graph)
    x = samples.x[:CSIM_SAMPLES]
    codes = simulator.input_integers(x)
    ours = simulator.predict_integers(x)
    compiled = CSim(hls.project, folder / CSIM)
    theirs = compiled.predict_integers([codes[port.name] for port in graph.inputs])
    total = Mismatches(len(x), 0, 0)
    for port, result in zip(graph.outputs, theirs, strict=True):
        total += count_different(result, ours[port.name])
    return Outcome({"mismatches": total.as_json()}, failure=_difference("hls4ml's C simulation", total))


def _difference(who: str, mismatches: Mismatches) -> CheckFailed | None:
    if not mismatches.different:
        return None
    found = f"{mismatches.different} of {mismatches.values} output values differ from the simulator's"
    return CheckFailed(who, found, "Run `fpgaflow validate` on the build to see the first layer that differs")
