"""An engine against the simulator: output integers, and for ONNX engines the integers of every layer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, helper

from fpgaflow.compare_bits import output_integers
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.engine import load_engine
from fpgaflow.targets.engine_kinds import EXACTNESS, KERNELS, ONNX, PROGRAM, PT2, STABLEHLO, TFLITE, Target
from fpgaflow.targets.engine_targets import run_triton
from fpgaflow.targets.gpu.onnxruntime import run_onnx
from fpgaflow.targets.gpu.qdq import emit_qdq
from fpgaflow.targets.gpu.triton.emit import TritonEngine, emit_triton
from fpgaflow.targets.gpu.triton.units import Units
from fpgaflow.targets.gpu.triton.workshop import Job, interpret

Array = np.ndarray


@dataclass(frozen=True)
class LoadedEngine:
    """An engine folder whose graph is `graph`. `exact` is what its certificate says of it as a whole."""

    graph: Graph
    target: Target
    files: dict[str, bytes]
    manifest: dict[str, Any]
    exact: bool

    @property
    def title(self) -> str:
        """What computes: of engines that need a GPU, what of them runs here."""
        titles = {Target.TENSORRT: "tensorrt's model.onnx", Target.TRITON: "triton's kernels, interpreted"}
        return titles.get(self.target, self.target.value)

    @property
    def causes(self) -> str:
        """Why the certificate does not call it exact, in a line."""
        entries = json.loads(self.files[EXACTNESS])["entries"]
        return "; ".join(f"{entry['name']}: {entry['why']}" for entry in entries if not entry["exact"])

    def _inputs(self, x: Any) -> dict[str, Array]:
        """x, (N, ...) or one array for each input by name, as float32 by name in the model's order."""
        arrays = Simulator(self.graph).checked(x)
        return {p.name: a.astype(np.float32) for p, a in zip(self.graph.inputs, arrays, strict=True)}

    def output_integers(self, x: Any) -> dict[str, Array]:
        """Output integers by name for x, (N, ...) or by input name, as this machine's processor computes them."""
        feeds = self._inputs(x)
        arrays = list(feeds.values())
        if self.target is Target.STABLEHLO:
            from fpgaflow.targets.tpu.stablehlo import run_stablehlo

            outputs = run_stablehlo(self.files[STABLEHLO], arrays)
        elif self.target is Target.INDUCTOR:
            from fpgaflow.targets.gpu.inductor import run_inductor

            outputs = run_inductor(self.files[PT2], arrays, self.manifest["engine"]["platforms"][0])
        elif self.target is Target.TFLITE:
            from fpgaflow.targets.tpu.tflite import run_tflite

            outputs = run_tflite(self.files[TFLITE], arrays)
        elif self.target is Target.TRITON:
            outputs = run_triton(self.graph, self._triton().program, arrays)
        else:
            outputs = run_onnx(self._model(), feeds, plain=True)
        return {p.name: output_integers(y, p) for p, y in zip(self.graph.outputs, outputs, strict=True)}

    def _model(self) -> ModelProto:
        return onnx.load_model_from_string(self.files[ONNX])

    def _triton(self) -> TritonEngine:
        """The engine's program, made again from the graph: Python out of a folder is not run.

        Raises:
            BadInput: the folder's is another.
        """
        made = emit_triton(self.graph, Units(self.manifest["engine"]["units"]))
        again = made.program.source.encode(), made.program.as_json().encode()
        if again != (self.files[KERNELS], self.files[PROGRAM]):
            found = "are not those that this version of fpgaflow makes of the graph"
            raise BadInput("the engine's kernels", found, "Build the engine again")
        return made

    def first_difference(self, x: Any) -> str | None:
        """The first tensor of the graph, in its order, whose integers differ on x; None where none is told."""
        if self.target in (Target.STABLEHLO, Target.TFLITE):
            return None
        if self.target is Target.TRITON:
            return first_difference_triton(self.graph, self._triton(), list(self._inputs(x).values()))
        model = self._model()
        layouts = emit_qdq(self.graph, dense_as_conv=self.target is Target.TENSORRT).layouts
        made = {name for node in model.graph.node for name in node.output}
        told = [name for name in layouts if layouts[name].onnx in made]
        del model.graph.output[:]
        model.graph.output.extend(helper.make_empty_tensor_value_info(layouts[name].onnx) for name in told)
        arrays = run_onnx(model, self._inputs(x), plain=True)
        exact = Simulator(self.graph).integers(x, told)  # ONNX's axis 1 of what lies channels-first is our last
        for name, array in zip(told, arrays, strict=True):
            lying = np.moveaxis(array, 1, -1) if layouts[name].first and array.ndim > 2 else array
            integers = np.rint(lying.astype(np.float64) * 2.0 ** self.graph.type_of(name).fraction)
            if not np.array_equal(integers, exact[name].astype(np.float64)):
                return name
        return None


def first_difference_triton(graph: Graph, made: TritonEngine, arrays: list[Array]) -> str | None:
    """The first tensor between two kernels whose integers differ on inputs (N, ...)."""
    names = [op.output for op in graph.ops if op.output in made.tensors]
    exact = Simulator(graph).integers(arrays if len(arrays) > 1 else arrays[0], names)
    shown = replace(made.program, outputs=tuple(dict.fromkeys(made.tensors[name] for name in names)))
    (found,) = interpret([Job(shown, arrays)])
    held = dict(zip(shown.outputs, found, strict=True))
    for name in names:
        if not np.array_equal(held[made.tensors[name]], exact[name].reshape(len(exact[name]), -1)):
            return name
    return None


def load_for(graph: Graph, folder: Path) -> LoadedEngine:
    """The engine in a folder, if it is the graph's.

    Raises:
        BadInput: no engine there, a damaged one, or one of another graph.
    """
    manifest, files = load_engine(folder)
    if manifest.get("graph") != graph.digest:
        raise BadInput(str(folder), "is the engine of another graph", "Build the engine from this build's folder")
    try:
        return LoadedEngine(graph, Target(manifest["target"]), files, manifest, bool(manifest["exact"]))
    except (ValueError, KeyError):
        raise BadInput(str(folder / "engine.json"), "is damaged", "Build the engine again") from None
