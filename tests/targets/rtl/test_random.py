"""Random quantised networks, and random graphs of every op, as hardware: they give the simulator's bits."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from fpgaflow.boards import load_board
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.passes.rewrite import without_dead
from fpgaflow.targets.rtl.folding import slowest
from fpgaflow.targets.rtl.generate import check_rtl
from tests.graphs import graphs
from tests.networks import networks
from tests.targets.rtl.harness import assert_exact

SLOW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@SLOW
@given(networks(), st.integers(1, 8))
def test_random_networks(tmp_path_factory: pytest.TempPathFactory, model: ModelProto, speed: int) -> None:
    path = tmp_path_factory.mktemp("random") / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load(path)
    assert not check_rtl(graph, load_board("pynq-z2"))
    assert_exact(graph, max(1, slowest(graph) // speed), "random", samples=5)


@pytest.mark.slow
@SLOW
@given(graphs(narrow=True, every=True), st.integers(1, 8))
def test_random_graphs(graph: Graph, speed: int) -> None:
    graph = without_dead(graph)
    assume([port.tensor for port in graph.outputs] != [port.tensor for port in graph.inputs])
    problems = check_rtl(graph, load_board("pynq-z2"))
    assert all("has elements of" in problem.found for problem in problems)  # too wide for a port
    if not problems:
        assert_exact(graph, max(1, slowest(graph) // speed), "graph", samples=5)
