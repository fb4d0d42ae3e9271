"""The QDQ model in ONNX Runtime, plain and with every optimisation, against the simulator: every bit, or a refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Reshape
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.gpu.qdq import check_qdq, emit_qdq
from tests.graphs import graphs, one_op, random_inputs

LEVELS = (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)


def run(model: bytes, inputs: dict[str, np.ndarray], level: object) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options).run(None, inputs)


def reals(graph: Graph, seed: int, samples: int) -> dict[str, np.ndarray]:
    """Inputs that float32 holds: the integers of the ports' types, and points between them."""
    integers = random_inputs(graph, seed, samples)
    random = np.random.default_rng(seed)
    between = {name: random.integers(-3, 4, array.shape) / 8 for name, array in integers.items()}
    return {
        port.name: ((integers[port.tensor] + between[port.tensor]) / float(port.gain)).astype(np.float32)
        for port in graph.inputs
    }


@pytest.mark.parametrize("rounding", Rounding)
def test_inputs_next_to_ties(rounding: Rounding) -> None:
    """The floats on both sides of each tie, and of zero."""
    type_ = FixedType(True, 4, 0)
    graph = one_op(Reshape("r", ("x",), "y", "r"), type_, (1,), type_, (1,))
    port = replace(graph.inputs[0], rounding=rounding, overflow=Overflow.SAT)
    graph = replace(graph, inputs=(port,))
    ties = np.arange(-9, 10, dtype=np.float32) / 2
    x = np.concatenate([ties, np.nextafter(ties, np.float32(9)), np.nextafter(ties, np.float32(-9))])[:, None]
    wanted = Simulator(graph, "reference").predict(x)
    for level in LEVELS:
        (got,) = run(emit_qdq(graph).model.SerializeToString(), {"x": x}, level)
        np.testing.assert_array_equal(got, wanted)


@given(graphs(narrow=True, every=True, dead=False), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_random_graphs(graph: Graph, dense_as_conv: bool, seed: int) -> None:
    if check_qdq(graph):
        with pytest.raises(UnsupportedModel):
            emit_qdq(graph)
        return
    qdq = emit_qdq(graph, dense_as_conv=dense_as_conv)
    assert qdq.certificate.exact
    inputs = reals(graph, seed, 3)
    wanted = Simulator(graph, "reference").predict(inputs)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    for level in LEVELS:
        for want, got in zip(wanted, run(qdq.model.SerializeToString(), inputs, level), strict=True):
            np.testing.assert_array_equal(got, want)
