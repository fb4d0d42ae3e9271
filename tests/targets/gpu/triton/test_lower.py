"""Triton kernels, run by Triton's interpreter, against the simulator: every bit, or a refusal."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Threshold
from fpgaflow.ir.ops_table import OneHotMax
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.gpu.triton.emit import check_triton, emit_triton
from fpgaflow.targets.gpu.triton.units import Units
from fpgaflow.targets.gpu.triton.workshop import Job, interpret
from tests.conformance.test_engines import Small, lenet, mlp, residual
from tests.graphs import graphs, one_op
from tests.models import graph_of, inputs_of
from tests.targets.gpu.test_qdq import reals

NEEDS_TRITON = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or importlib.util.find_spec("torch") is None,
    reason="Triton and torch: pip install 'fpgaflow[gpu]'",
)
SMALL, LARGE = 10**6, 1  # tiles: see Launch.variant
Case = tuple[Graph, dict[str, np.ndarray], Units, int]


def assert_same(cases: list[Case]) -> None:
    """All in one process: Triton takes seconds to be imported."""
    made = [(graph, emit_triton(graph, units).program, inputs, fills) for graph, inputs, units, fills in cases]
    jobs = [Job(program, [inputs[p.name] for p in graph.inputs], fills) for graph, program, inputs, fills in made]
    for (graph, _, inputs, _), found in zip(made, interpret(jobs), strict=True):
        wanted = Simulator(graph, "reference").predict(inputs)
        for want, got in zip(wanted if isinstance(wanted, list) else [wanted], found, strict=True):
            np.testing.assert_array_equal(got.reshape(want.shape), want)


@NEEDS_TRITON
@given(st.lists(graphs(narrow=True, every=True, dead=False), min_size=30, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=1, suppress_health_check=list(HealthCheck))
def test_random_graphs(drawn: list[Graph], seed: int) -> None:
    assert_carried(drawn, seed)


@NEEDS_TRITON
@pytest.mark.slow
@given(st.lists(graphs(narrow=True, every=True, dead=False), min_size=60, max_size=60), st.integers(0, 2**32 - 1))
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
def test_many_random_graphs(drawn: list[Graph], seed: int) -> None:
    assert_carried(drawn, seed)


def assert_carried(drawn: list[Graph], seed: int) -> None:
    """Those that have kernels, and whose outputs float32 holds."""
    cases = []
    for number, graph in enumerate(drawn):
        types = [graph.type_of(port.tensor) for port in graph.outputs]
        if not check_triton(graph) and max(max(-t.low, t.high) for t in types) <= 1 << 24:
            units = list(Units)[number % 3]
            cases.append((graph, reals(graph, seed, 3), units, (SMALL, LARGE)[number % 2]))
    assert_same(cases)


@NEEDS_TRITON
def test_networks() -> None:
    """Real shapes; both sizes of tiles, all matrix units."""
    cases = []
    for make, bits, units, fills in (
        (mlp, 2, Units.FP8, SMALL),
        (mlp, 8, Units.INT8, LARGE),
        (lenet, 3, Units.FP8, LARGE),
        (lenet, 4, Units.INT8, SMALL),
        (residual, 4, Units.FP16, LARGE),
        (residual, 8, Units.INT8, LARGE),
    ):
        model = make(bits)
        cases.append((graph_of(model), inputs_of(model, 0, 3, grid=1 / 64, reach=200), units, fills))
    assert_same(cases)


@NEEDS_TRITON
def test_casts_and_thresholds() -> None:
    assert_same([*casts_and_borders(), *thresholds_of_every_kind()])


def casts_and_borders() -> Iterator[Case]:
    """Every integer of 9 bits to 4 in every mode, the same modes at the border, and the numbers next to ties there."""
    for rounding in Rounding:
        for overflow in (Overflow.SAT, Overflow.WRAP, Overflow.SAT_ZERO):
            source, target = FixedType(True, 9, 5), FixedType(True, 4, 2)
            graph = one_op(Cast("c", ("x",), "y", "c", rounding, overflow), source, (2,), target, (2,))
            border = Overflow.SAT if overflow is Overflow.SAT else overflow
            graph = replace(graph, inputs=(replace(graph.inputs[0], overflow=border, rounding=rounding),))
            values = (np.arange(2 * source.low - 5, 2 * source.high + 5) / 64).astype(np.float32)
            values = np.concatenate([values, np.nextafter(np.float32([-0.5, 0.5]) / 32, np.float32(0))])
            yield graph, {"x": np.stack([values, values[::-1]], axis=1)}, Units.INT8, LARGE


def thresholds_of_every_kind() -> Iterator[Case]:
    """On a line, few, many without a line, and falling ones; per channel on an axis that is not the last."""
    random, source = np.random.default_rng(0), FixedType(True, 10, 0)
    for levels, signs, axis, result in (
        (np.arange(-40, 40, 5)[None], False, 1, 5),
        (np.sort(random.integers(-500, 500, (3, 7)), axis=1), True, 0, 3),
        (np.sort(random.integers(-500, 500, (4, 100)), axis=1), False, 1, 7),
        (np.zeros((1, 0), dtype=np.int64), False, 1, 1),
    ):
        op = Threshold("t", ("x",), "y", "t", "levels", "signs" if signs else None, 1, 0, axis)
        constants = {"levels": levels, **({"signs": np.array([1, -1, 1])} if signs else {})}
        graph = one_op(op, source, (3, 4), FixedType(False, result, 0), (3, 4), **constants)
        x = random.integers(source.low, source.high + 1, (50, 3, 4)).astype(np.float32)
        yield graph, {"x": x}, Units.INT8, LARGE


def test_what_has_no_kernel_is_refused() -> None:
    wide, narrow = FixedType(True, 40, 0), FixedType(True, 8, 0)
    graph = one_op(Cast("c", ("x",), "y", "the_node", Rounding.TRN, Overflow.SAT), wide, (2,), narrow, (2,))
    with pytest.raises(UnsupportedModel, match=r"node 'the_node' \(Cast\): integers of fixed<40,40> reach 2\^39"):
        emit_triton(graph)
    op = OneHotMax("m", ("x",), "y", "the_node")
    with pytest.raises(UnsupportedModel, match=r"node 'the_node' \(OneHotMax\): OneHotMax has no Triton kernel here"):
        emit_triton(one_op(op, narrow, (3,), FixedType(False, 1, 0), (3,)))


@given(graphs(every=True, dead=False))
@settings(max_examples=100, deadline=None)
def test_checks_never_fail(graph: Graph) -> None:
    """Of any width: refused by node, or carried."""
    for problem in check_triton(graph):
        assert re.match(r"node '.*' \(\w+\)", problem.where)


def test_a_refusal_names_the_op_and_not_its_kernel() -> None:
    """The cast is inside the second layer's kernel."""
    net = Small(4, 4)
    y = net.dense(net.node("Relu", net.dense(net.quant("x", 0.25, 8), 4, 4)), 4, 3)
    graph = graph_of(net.model(net.quant(y, 2.0**-40, 32)))
    assert {problem.where for problem in check_triton(graph)} == {"node 'n.quant6' (Cast)"}


def test_layers_take_in_what_follows() -> None:
    """One kernel for each layer of the residual blocks, the two additions among them, and no int32 between them."""
    made = emit_triton(graph_of(residual(4)))
    assert [launch.units for launch in made.program.launches].count("int8") == 6
    assert len(made.program.launches) == 9
    between = {buffer.dtype for name, buffer in made.program.buffers.items() if name.endswith(".out")}
    assert between <= {"int8", "uint8"}
    assert made.certificate.exact and made.notes == ()


def test_a_scale_that_is_no_power_of_two_is_told() -> None:
    graph = one_op(
        Cast("c", ("x",), "y", "c", Rounding.TRN, Overflow.SAT),
        FixedType(True, 8, 0),
        (2,),
        FixedType(True, 4, 0),
        (2,),
    )
    graph = replace(graph, inputs=(replace(graph.inputs[0], gain=Fraction(1, 3)),))
    made = emit_triton(graph)
    assert [entry.name for entry in made.certificate.causes] == [graph.inputs[0].name]
