"""The explanation says what the engine really does."""

from __future__ import annotations

import re
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.data import data_dir
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Linear
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.choice import Arithmetic
from fpgaflow.sim.counts import OverflowCount
from fpgaflow.sim.explain import Explanation
from fpgaflow.sim.fast import FastRunner, OnnxRuntime, Session
from fpgaflow.sim.float_graph import FloatGraph
from fpgaflow.sim.run import Simulator
from fpgaflow.sim.simplify import simplified
from tests.graphs import graphs, random_inputs


class Watched(OnnxRuntime):
    """Remembers what it was asked to compute."""

    def __init__(self) -> None:
        super().__init__()
        self.in_float32: set[str] = set()
        self.kinds: set[str] = set()
        self.products = 0

    def session(self, floats: FloatGraph) -> Session:
        self.kinds |= {node.op_type for node in floats.model.graph.node}
        self.in_float32 |= {name for node in floats.model.graph.node for name in node.output}
        return super().session(floats)

    def product(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        self.products += 1
        return super().product(left, right)


@given(graphs(dead=False), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_what_runs_in_floats_is_what_is_said_to(graph: Graph, seed: int) -> None:
    told = {op.name: op.arithmetic for op in Simulator(graph).explain()}
    watched = Watched()
    FastRunner(graph, watched)(random_inputs(graph, seed, 2), [port.tensor for port in graph.outputs])
    # What is left out computes nothing. Hoisting may rename what lies between a quantiser and a pooling, never what
    # another op reads.
    run = {op.output for op in simplified(graph).ops}
    names = {op.output for op in graph.ops if told[op.name] is Arithmetic.FLOAT32} & run
    others = {op.output for op in graph.ops if told[op.name] not in (Arithmetic.FLOAT32, Arithmetic.INT8)}
    assert not others & watched.in_float32
    assert len(names - watched.in_float32) <= sum(name.endswith(".hoisted") for name in watched.in_float32)
    assert (Arithmetic.INT8 in told.values()) == any(kind.startswith("Q") for kind in watched.kinds)
    groups = [getattr(op, "groups", 1) for op in graph.ops if told[op.name] is Arithmetic.FLOAT64]
    assert watched.products == sum(groups)


@pytest.fixture(scope="module")
def lenet() -> Graph:
    return load(data_dir("examples/lenet_digits") / "model.onnx")


def test_entries_of_a_real_model(lenet: Graph) -> None:
    fast, reference = Simulator(lenet).explain(), Simulator(lenet, "reference").explain()
    assert [op.name for op in fast] == [op.name for op in lenet.ops]
    for op, entry in zip(lenet.ops, fast, strict=True):
        on_bytes = isinstance(op, (Cast, Linear)) and op.name != "fc3"  # which no quantiser follows
        assert entry.arithmetic is (Arithmetic.INT8 if on_bytes else Arithmetic.FLOAT32)
        assert entry.limit == 2**24 and entry.reach <= entry.limit
        if isinstance(op, Linear):  # the importer makes accumulators as wide as the sums need, and no wider
            assert (entry.result, entry.needed_bits, entry.overflow) == (op.accum, op.accum.width, None)
    assert {entry.arithmetic for entry in reference} == {Arithmetic.INT64}
    saturating = [entry for entry in fast if entry.overflow is Overflow.SAT]
    assert [entry.kind for entry in saturating] == ["Cast"] * 4


def test_the_table_is_readable(lenet: Graph) -> None:
    explanation = Simulator(lenet).explain()
    lines = str(explanation).splitlines()
    assert len(lines) == len(lenet.ops) + 1
    assert re.split(r"\s{2,}", lines[0]) == ["op", "kind", "arithmetic", "reaches", "result", "needs bits", "overflow"]
    assert re.split(r"\s{2,}", lines[2])[:6] == ["conv1", "Conv", "int8", "2^16.6 of 2^24", "fixed<15,5>", "15"]
    assert len({line.index("of 2^24") for line in lines[1:]}) == 1


def test_the_table_shows_counts(lenet: Graph) -> None:
    simulator = Simulator(lenet)
    x = np.random.default_rng(0).random((3, 1, 32, 32), dtype=np.float32)
    columns, rows = simulator.explain().table(simulator.count_overflows(x))
    assert columns[-4:] == ["wrapped>", "saturated>", "(below 0)>", "values>"]
    assert all(len(row) == len(columns) for row in rows)
    assert rows[0][:2] == ["input 'global_in'", "Input"]
    assert rows[0][-1] == f"{prod(x.shape):,}"
    named = {row[0]: row[-4:] for row in rows}
    assert named["conv1"] == ["0", "0", "0", f"{3 * 28 * 28 * 6:,}"]
    assert named["pool1"] == [""] * 4


def test_unknown_and_unlimited_are_said() -> None:
    from fpgaflow.sim.explain import OpExplanation

    type_ = FixedType(True, 70, 0)
    entry = OpExplanation("a", "New", Arithmetic.PYTHON, 1 << 70, None, type_, None, Overflow.WRAP)
    _, rows = Explanation([entry]).table({"a": OverflowCount(1, 0, 2000)})
    told = ["a", "New", "Python integers", "2^70", "fixed<70,70>", "unknown", "can wrap"]
    assert rows == [[*told, "1", "0", "0", "2,000"]]
