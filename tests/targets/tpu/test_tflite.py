"""int8 TFLite by LiteRT's reference kernels, against the simulator: every bit, or what the certificate tells."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.compare_bits import output_integers
from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.bounds import accumulator
from fpgaflow.ir.graph import Graph, Tensor
from fpgaflow.ir.ops import Cast, Dense
from fpgaflow.ir.ops_table import OneHotMax
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.run import Simulator
from tests.conformance.test_engines import Small, lenet, mlp, residual
from tests.graphs import graphs, one_op
from tests.models import graph_of, inputs_of
from tests.networks import networks
from tests.targets.gpu.test_qdq import reals

litert = pytest.importorskip("ai_edge_litert", reason="LiteRT: pip install 'fpgaflow[tpu]'")
from fpgaflow.targets.tpu import tflite  # noqa: E402
from fpgaflow.targets.tpu.tflite import check_tflite, edge_tpu_command, emit_tflite, run_tflite, tflite_step  # noqa: E402


def different(graph: Graph, inputs: dict[str, np.ndarray]) -> int:
    """Output integers that differ."""
    exact = Simulator(graph, "reference").predict_integers(inputs)
    found = run_tflite(emit_tflite(graph).content, [inputs[port.name] for port in graph.inputs])
    return sum(
        int((output_integers(y, port) != exact[port.name].astype(np.float64)).sum())
        for port, y in zip(graph.outputs, found, strict=True)
    )


def saturating(graph: Graph) -> Graph:
    """With input quantisers that TFLite has."""
    return replace(
        graph,
        inputs=tuple(replace(p, overflow=Overflow.SAT, rounding=Rounding.RND_CONV) for p in graph.inputs),
    )


@given(graphs(narrow=True, every=True, dead=False), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_random_graphs(graph: Graph, seed: int) -> None:
    graph = saturating(graph)
    if not check_tflite(graph) and emit_tflite(graph).certificate.exact:
        assert different(graph, reals(graph, seed, 3)) == 0


@given(graphs(every=True, dead=False))
@settings(max_examples=80, deadline=None)
def test_checks_never_fail(graph: Graph) -> None:
    """Of any width: refused by node or input, or carried."""
    for problem in check_tflite(graph):
        assert re.match(r"node '.*' \(\w+\)|input '", problem.where)


@given(networks(binary=True))
@settings(max_examples=25)
def test_random_networks(model: object) -> None:
    graph = graph_of(model)  # type: ignore[arg-type]
    if not check_tflite(graph) and emit_tflite(graph).certificate.exact:
        assert different(graph, inputs_of(model, 0)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("make", [mlp, lenet, residual])
def test_networks(make: object, bits: int) -> None:
    model = make(bits)  # type: ignore[operator]
    graph, inputs = graph_of(model), inputs_of(model, 0, 40, grid=1 / 64, reach=200)
    certificate = emit_tflite(graph).certificate
    assert certificate.exact and different(graph, inputs) == 0


@pytest.mark.parametrize(("bits", "mode", "kernels"), [(4, "ROUND", 3), (8, "ROUND", 3), (4, "FLOOR", 1)])
@pytest.mark.parametrize("signed", [0, 1])
def test_ties_to_even(bits: int, mode: str, kernels: int, signed: int) -> None:
    """Layers whose sums are often ties, and one whose rounding TFLite has; full weights take one kernel more where
    their sums are signed."""
    net = Small(bits, 16)
    weights = net.random.integers(1 - (1 << bits - 1), 1 << bits - 1, (8, 16))
    weights[0, 0] = (1 << bits - 1) - 1
    y = net.node("Gemm", net.quant("x", 0.25, 8), net.quant(weights * 2.0**-bits, 2.0**-bits, bits, narrow=1), transB=1)
    model = net.model(net.quant(y, 2.0 ** (1 - bits), 8, signed=signed, mode=mode))
    graph = graph_of(model)
    made = emit_tflite(graph)
    assert made.certificate.exact and different(graph, inputs_of(model, 0, 64, grid=1 / 4, reach=40)) == 0
    reference = tflite.Kernels.REFERENCE.value
    runtime = tflite.Interpreter(model_content=made.content, experimental_op_resolver_type=reference)
    kinds = [op["op_name"] for op in runtime._get_ops_details()]
    assert kinds.count("CONV_2D") == kernels + (bits == 8 and bool(signed))


def test_a_rounding_that_tflite_has_not_is_told() -> None:
    """Ties up, of signed sums, under 8-bit weights that leave no bit to spare."""
    random = np.random.default_rng(0)
    source, weight = FixedType(True, 8, 0), FixedType(True, 8, 0)
    weights = random.integers(-127, 128, (16, 4))
    accum = accumulator(weights, weight, None, None, source)
    dense = Dense("d", ("x",), "y", "the_node", "w", weight, None, None, accum)
    graph = one_op(dense, source, (16,), accum, (4,), w=weights)
    cast = Cast("c", ("y",), "z", "c", Rounding.RND, Overflow.SAT)
    result = FixedType(True, 8, -9)
    tensors = {**graph.tensors, "z": Tensor("z", (4,), result)}
    port = replace(graph.outputs[0], tensor="z", scale=(Fraction(2) ** 9,))
    graph = replace(graph, ops=(dense, cast), tensors=tensors, outputs=(port,))
    graph = saturating(graph)
    made = emit_tflite(graph)
    (cause,) = made.certificate.causes
    assert cause.name == "d" and "may give the neighbouring integer" in cause.why
    assert re.search(r"sums next to \d+ of 1020 thresholds", cause.why)


def test_any_batch_and_the_other_kernels() -> None:
    model = mlp(4)
    graph, inputs = graph_of(model), inputs_of(model, 0, 70, grid=1 / 64, reach=200)
    (array,) = inputs.values()
    content = emit_tflite(graph, batch=5).content
    (found,) = run_tflite(content, [array])
    np.testing.assert_array_equal(found, Simulator(graph).predict(inputs))
    tflite_step(content, [array[:3]], 1)()


def test_edge_tpu_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert edge_tpu_command("model.tflite") is None
    program = tmp_path / "edgetpu_compiler"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert edge_tpu_command("model.tflite") == "edgetpu_compiler --show_operations model.tflite"


def test_refusals_name_the_node() -> None:
    narrow = FixedType(True, 8, 0)
    graph = one_op(OneHotMax("m", ("x",), "y", "the_node"), narrow, (3,), FixedType(False, 1, 0), (3,))
    with pytest.raises(UnsupportedModel, match=r"node 'the_node' \(OneHotMax\): OneHotMax has no int8 kernel"):
        emit_tflite(graph)
    wide = FixedType(True, 12, 4)
    graph = one_op(Cast("c", ("x",), "y", "c", Rounding.RND, Overflow.SAT), wide, (3,), narrow, (3,))
    with pytest.raises(UnsupportedModel, match=r"input 'x': its quantiser gives fixed<12,8>"):
        emit_tflite(graph)
