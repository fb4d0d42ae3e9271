"""An engine against the simulator: output integers, and for ONNX engines the integers of every layer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, helper

from fpgaflow.compare_bits import output_integers
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.engine import EXACTNESS, ONNX, PT2, STABLEHLO, Target, load_engine
from fpgaflow.targets.gpu.onnxruntime import run_onnx
from fpgaflow.targets.gpu.qdq import emit_qdq

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
        """What computes: of a TensorRT engine its QDQ model runs here, the engine needs a GPU."""
        return "tensorrt's model.onnx" if self.target is Target.TENSORRT else self.target.value

    @property
    def causes(self) -> str:
        """Why the certificate does not call it exact, in a line."""
        entries = json.loads(self.files[EXACTNESS])["entries"]
        return "; ".join(f"{entry['name']}: {entry['why']}" for entry in entries if not entry["exact"])

    def output_integers(self, x: Array) -> dict[str, Array]:
        """Output integers by name for x (N, ...), as this machine's processor computes them."""
        single = np.asarray(x, dtype=np.float32)
        if self.target is Target.STABLEHLO:
            from fpgaflow.targets.tpu.stablehlo import run_stablehlo

            outputs = run_stablehlo(self.files[STABLEHLO], [single])
        elif self.target is Target.INDUCTOR:
            from fpgaflow.targets.gpu.inductor import run_inductor

            outputs = run_inductor(self.files[PT2], [single], self.manifest["engine"]["platforms"][0])
        else:
            outputs = run_onnx(self._model(), {self.graph.inputs[0].name: single}, plain=True)
        return {p.name: output_integers(y, p) for p, y in zip(self.graph.outputs, outputs, strict=True)}

    def _model(self) -> ModelProto:
        return onnx.load_model_from_string(self.files[ONNX])

    def first_difference(self, x: Array) -> str | None:
        """The first tensor of the graph, in its order, whose integers differ on x (N, ...); None where none is told."""
        if self.target is Target.STABLEHLO:
            return None
        model = self._model()
        layouts = emit_qdq(self.graph, dense_as_conv=self.target is Target.TENSORRT).layouts
        made = {name for node in model.graph.node for name in node.output}
        told = [name for name in layouts if layouts[name].onnx in made]
        del model.graph.output[:]
        model.graph.output.extend(helper.make_empty_tensor_value_info(layouts[name].onnx) for name in told)
        arrays = run_onnx(model, {self.graph.inputs[0].name: np.asarray(x, dtype=np.float32)}, plain=True)
        exact = Simulator(self.graph).integers(x, told)  # ONNX's axis 1 of what lies channels-first is our last
        for name, array in zip(told, arrays, strict=True):
            lying = np.moveaxis(array, 1, -1) if layouts[name].first and array.ndim > 2 else array
            integers = np.rint(lying.astype(np.float64) * 2.0 ** self.graph.type_of(name).fraction)
            if not np.array_equal(integers, exact[name].astype(np.float64)):
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
