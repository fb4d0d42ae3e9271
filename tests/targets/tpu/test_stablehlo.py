"""The StableHLO artefact, exported and loaded again, against the simulator: every bit, or a refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fpgaflow
from fpgaflow.data import data_dir
from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.run import Simulator
from tests.graphs import graphs, one_op
from tests.targets.gpu.test_qdq import reals

pytest.importorskip("jax", reason="JAX: pip install 'fpgaflow[tpu]'")
from fpgaflow.targets.tpu.stablehlo import check_stablehlo, emit_stablehlo, run_stablehlo


def assert_same(graph: Graph, inputs: dict[str, np.ndarray]) -> None:
    emitted = emit_stablehlo(graph)
    assert emitted.certificate.exact, emitted.certificate.causes
    wanted = Simulator(graph, "reference").predict(inputs)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    found = run_stablehlo(emitted.artefact, [inputs[port.name] for port in graph.inputs])
    for want, got in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(got, want)


@given(graphs(narrow=True, every=True, dead=False), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_random_graphs(graph: Graph, seed: int) -> None:
    small = all(
        max(-graph.type_of(port.tensor).low, graph.type_of(port.tensor).high) <= 1 << 24 for port in graph.outputs
    )
    if not check_stablehlo(graph) and small:
        assert_same(graph, reals(graph, seed, 3))


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
def test_casts_and_borders(rounding: Rounding, overflow: Overflow) -> None:
    """Every integer of 9 bits to 4, the same modes at the border."""
    source, target = FixedType(True, 9, 5), FixedType(True, 4, 2)
    graph = one_op(Cast("c", ("x",), "y", "c", rounding, overflow), source, (2,), target, (2,))
    saturating = replace(graph.inputs[0], overflow=Overflow.SAT, rounding=rounding)
    graph = replace(graph, inputs=(saturating,))
    values = (np.arange(2 * source.low - 5, 2 * source.high + 5) / 64).astype(np.float32)  # every tie at the border too
    values = np.concatenate([values, np.nextafter(np.float32([-0.5, 0.5]) / 32, np.float32(0))])
    assert_same(graph, {"x": np.stack([values, values[::-1]], axis=1)})


def test_lenet() -> None:
    graph = fpgaflow.load(data_dir("examples/lenet_digits") / "model.onnx")
    x = np.load(data_dir("examples/lenet_digits") / "test.npz")["x"]
    assert_same(graph, {graph.inputs[0].name: x})
    text = emit_stablehlo(graph).text
    assert text.count("xi8>") > 5 and "stablehlo.convolution" in text  # int8 operands


def test_what_leaves_int32_is_refused() -> None:
    source, target = FixedType(True, 40, 0), FixedType(True, 8, 0)
    graph = one_op(Cast("c", ("x",), "y", "the_node", Rounding.TRN, Overflow.SAT), source, (2,), target, (2,))
    with pytest.raises(UnsupportedModel, match=r"node 'the_node' \(Cast\): integers of fixed<40,40> reach 2\^39"):
        emit_stablehlo(graph)
