"""The torch program against the simulator on random graphs; compiled by Inductor, on whole networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.samples import generated_samples
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.engine import EngineOptions, Target, build_engine
from fpgaflow.targets.engine_layers import load_for
from fpgaflow.targets.gpu.qdq import check_qdq, emit_qdq
from tests.conformance.test_engines import lenet, residual
from tests.graphs import graphs
from tests.models import graph_of
from tests.targets.gpu.test_qdq import reals

torch = pytest.importorskip("torch", reason="torch: pip install 'fpgaflow[train]'")
from fpgaflow.sim.cuda import exact_products  # noqa: E402
from fpgaflow.targets.gpu.inductor import QdqProgram  # noqa: E402


def assert_same(graph: Graph, inputs: dict[str, np.ndarray], *, dense_as_conv: bool = False) -> None:
    program = QdqProgram(emit_qdq(graph, dense_as_conv=dense_as_conv).model)
    with exact_products(), torch.inference_mode():
        found = program(*(torch.from_numpy(inputs[port.name]) for port in graph.inputs))
    wanted = Simulator(graph, "reference").predict(inputs)
    for want, got in zip(wanted if isinstance(wanted, list) else [wanted], found, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


@given(graphs(narrow=True, every=True, dead=False), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_random_graphs(graph: Graph, dense_as_conv: bool, seed: int) -> None:
    if not check_qdq(graph):
        assert_same(graph, reals(graph, seed, 3), dense_as_conv=dense_as_conv)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("make", [lenet, residual])
def test_networks(make: object, bits: int) -> None:
    graph = graph_of(make(bits))  # type: ignore[operator]
    assert_same(graph, {graph.inputs[0].name: generated_samples(graph, 10).x})


@pytest.mark.slow
def test_compiled(tmp_path: Path) -> None:
    graph = graph_of(residual(4))
    samples = generated_samples(graph, 30)
    result = build_engine(graph, EngineOptions(Target.INDUCTOR), tmp_path, samples, "test")
    assert result.manifest["exact"] and result.manifest["mismatches"]["inductor_vs_sim"]["different"] == 0
    wanted = Simulator(graph).predict_integers(samples.x)
    for name, found in load_for(graph, tmp_path).output_integers(samples.x).items():
        assert np.array_equal(found, wanted[name])
