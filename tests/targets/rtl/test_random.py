"""Random quantised networks as hardware: whatever the generator takes gives the simulator's bits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from fpgaflow.boards import load_board
from fpgaflow.frontend.load import load
from fpgaflow.passes import run_passes
from fpgaflow.targets.rtl.folding import slowest
from fpgaflow.targets.rtl.generate import check_rtl
from tests.networks import networks
from tests.targets.rtl.harness import assert_exact


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.integers(1, 8))
def test_random_networks(tmp_path_factory: pytest.TempPathFactory, model: ModelProto, speed: int) -> None:
    path = tmp_path_factory.mktemp("random") / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load(path)
    graph = run_passes(replace(graph, outputs=graph.outputs[:1]))
    if not check_rtl(graph, load_board("pynq-z2")):
        assert_exact(graph, max(1, slowest(graph) // speed), "random", samples=5)
