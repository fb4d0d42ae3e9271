"""Engines layer by layer: what is altered is found, and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import fpgaflow
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Linear
from fpgaflow.samples import Samples, generated_samples
from fpgaflow.sim.run import Simulator
from fpgaflow.targets import engine_kinds as engines
from fpgaflow.targets.engine import EngineOptions, Target, build_engine
from fpgaflow.targets.engine_layers import LoadedEngine, load_for
from tests.conformance.test_engines import residual
from tests.models import graph_of

LENET = data_dir("examples/lenet_digits") / "model.onnx"


def built(graph: Graph, target: Target, folder: Path) -> tuple[LoadedEngine, Samples]:
    samples = generated_samples(graph, 6)
    build_engine(graph, EngineOptions(target), folder, samples, "test")
    return load_for(graph, folder), samples


@pytest.mark.parametrize("target", [Target.ONNXRUNTIME, Target.STABLEHLO])
def test_engines_agree(target: Target, tmp_path: Path) -> None:
    if target is Target.STABLEHLO:
        pytest.importorskip("jax", reason="JAX: pip install 'fpgaflow[tpu]'")
    graph = graph_of(residual(4))
    engine, samples = built(graph, target, tmp_path)
    wanted = Simulator(graph).predict_integers(samples.x)
    for name, found in engine.output_integers(samples.x).items():
        assert np.array_equal(found, wanted[name])
    assert engine.exact and engine.causes == ""
    assert engine.first_difference(samples.x) is None


def test_the_altered_layer_is_named(tmp_path: Path) -> None:
    """One weight of each product in turn."""
    graph = graph_of(residual(4))
    engine, samples = built(graph, Target.ONNXRUNTIME, tmp_path)
    for op in [op for op in graph.ops if isinstance(op, Linear)]:
        model = onnx.load_model_from_string(engine.files[engines.ONNX])
        entry = next(e for e in model.graph.initializer if e.name == f"{op.output}.weights")
        weights = numpy_helper.to_array(entry).copy()
        weights[(0,) * weights.ndim] += 1
        entry.CopyFrom(numpy_helper.from_array(weights, entry.name))
        altered = LoadedEngine(
            graph, engine.target, {**engine.files, engines.ONNX: model.SerializeToString()}, engine.manifest, True
        )
        assert altered.first_difference(samples.x) == op.output


def test_an_engine_of_another_graph_is_refused(tmp_path: Path) -> None:
    built(graph_of(residual(4)), Target.ONNXRUNTIME, tmp_path)
    with pytest.raises(BadInput, match="is the engine of another graph"):
        load_for(fpgaflow.load(LENET), tmp_path)
