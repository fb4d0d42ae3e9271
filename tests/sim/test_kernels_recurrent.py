"""The recurrent kernels against hls4ml's C++ written out for one number at a time, in rational arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import trunc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import BrokenGraph
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops_recurrent import Cell, CellActivation, Recurrent
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import verify
from fpgaflow.sim.fixed_point import SAFE_BITS
from fpgaflow.sim.kernels import run_op, widest
from fpgaflow.sim.kernels_recurrent import Fixed, table_index
from tests.graphs import full_range, one_op
from tests.sim.test_fixed_point import ROUND, fitted

Values = list[Fraction]


def into(value: Fraction, type_: FixedType, rounding: Rounding, overflow: Overflow) -> Fraction:
    unit = Fraction(2) ** -type_.fraction
    return fitted(ROUND[rounding](value / unit), type_, overflow) * unit


class Scalar:
    """nnet_recurrent.h's lstm_static and gru_static, with fpgaflow's order of the gates."""

    def __init__(self, op: Recurrent, graph: Graph) -> None:
        self.op, self.graph, self.state = op, graph, graph.type_of(op.output)
        self.weights = self.constant(op.weights, op.weight_type)
        self.bias = self.constant(op.bias, op.bias_type)
        self.units = len(self.weights)

    def constant(self, name: str, type_: FixedType) -> list:
        return (self.graph.constants[name].astype(object) * Fraction(2) ** -type_.fraction).tolist()

    def accum(self, value: Fraction) -> Fraction:
        return into(value, self.op.accum, self.op.accum_rounding, self.op.accum_overflow)

    def new(self, value: Fraction) -> Fraction:
        return into(value, self.state, self.op.rounding, self.op.overflow)

    def activation(self, value: Fraction, kind: CellActivation, name: str | None) -> Fraction:
        if name is None:
            return self.accum(max(value, Fraction(0)))
        table = self.constant(name, self.op.table_type)
        size, span = len(table), {CellActivation.SIGMOID: 16, CellActivation.TANH: 8}[kind]
        wrapped = fitted(trunc(value * size / span), FixedType(True, 32, 0), Overflow.WRAP)
        index = fitted(wrapped + size // 2, FixedType(True, 32, 0), Overflow.WRAP)
        return self.accum(table[min(max(index, 0), size - 1)])

    def gate(self, value: Fraction) -> Fraction:
        return self.activation(value, self.op.gate, self.op.gate_table)

    def candidate(self, value: Fraction) -> Fraction:
        return self.activation(value, self.op.candidate, self.op.candidate_table)

    def dense(self, h: Values) -> Values:
        sums = [self.accum(value) for value in self.bias]
        for unit in sorted(range(self.units), key=lambda u: (u % self.op.fold, u)):
            sums = [
                self.accum(total + self.accum(h[unit] * w)) for total, w in zip(sums, self.weights[unit], strict=True)
            ]
        return sums

    def step(self, part: Values, states: list[Values]) -> list[Values]:
        n, sums = self.units, self.dense(states[0])
        if self.op.cell is Cell.GRU:
            new = []
            for u, old in enumerate(states[0]):
                z, r = (self.gate(self.accum(part[u + k * n] + sums[u + k * n])) for k in (0, 1))
                c = self.candidate(self.accum(part[u + 2 * n] + self.accum(r * sums[u + 2 * n])))
                new.append(self.new(c * (1 - z) + old * z))
            return [new]
        inner = [self.accum(a + b) for a, b in zip(part, sums, strict=True)]
        h, s = [], []
        for u, old in enumerate(states[1]):
            i, f, o = (self.gate(inner[u + k * n]) for k in (0, 1, 2))
            s.append(self.new(self.candidate(inner[u + 3 * n]) * i + old * f))
            h.append(self.new(o * self.candidate(s[-1])))
        return [h, s]

    def run(self, parts: np.ndarray) -> list:
        states, read = [[Fraction(0)] * self.units for _ in range(self.op.cell.states)], {}
        unit = Fraction(2) ** -self.op.accum.fraction
        times = range(len(parts))
        for time in reversed(times) if self.op.backward else times:
            states = self.step([int(v) * unit for v in parts[time]], states)
            read[time] = [int(v * Fraction(2) ** self.state.fraction) for v in states[0]]
        return [read[time] for time in times] if self.op.sequence else read[0 if self.op.backward else len(parts) - 1]


def graph_of(op: Recurrent, state: FixedType, units: int, steps: int, random: np.random.Generator) -> Graph:
    tables = {n: full_range(random, (37 if n == "gt" else 16,), op.table_type) for n in ("gt", "ct")}
    constants = {
        "w": full_range(random, (units, op.cell.gates * units), op.weight_type),
        "b": full_range(random, (op.cell.gates * units,), op.bias_type),
        **{name: array for name, array in tables.items() if name in (op.gate_table, op.candidate_table)},
    }
    out = (steps, units) if op.sequence else (units,)
    return one_op(op, op.accum, (steps, op.cell.gates * units), state, out, **constants)


KINDS = st.sampled_from(CellActivation)


@st.composite
def recurrent_graphs(draw: st.DrawFn) -> Graph:
    wide = draw(st.sampled_from([(2, 12), (2, 12), (12, 24), (28, 34), (60, 70)]))
    types = st.builds(FixedType, st.booleans(), st.integers(*wide), st.integers(-2, 14))
    narrow = st.builds(FixedType, st.booleans(), st.integers(1, 14), st.integers(-2, 14))
    gate, candidate = draw(KINDS), draw(KINDS)
    op = Recurrent(
        *("op", ("x",), "y", "node"),
        cell=draw(st.sampled_from(Cell)),
        sequence=draw(st.booleans()),
        backward=draw(st.booleans()),
        weights="w",
        weight_type=draw(narrow),
        bias="b",
        bias_type=draw(narrow),
        fold=draw(st.integers(1, 3)),
        accum=draw(types),
        accum_rounding=draw(st.sampled_from(Rounding)),
        accum_overflow=draw(st.sampled_from(Overflow)),
        gate=gate,
        gate_table=None if gate is CellActivation.RELU else "gt",
        candidate=candidate,
        candidate_table=None if candidate is CellActivation.RELU else "ct",
        table_type=draw(narrow),
        rounding=draw(st.sampled_from(Rounding)),
        overflow=draw(st.sampled_from(Overflow)),
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return graph_of(op, draw(types), draw(st.integers(1, 3)), draw(st.integers(1, 4)), random)


@given(recurrent_graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=250)
def test_recurrent(graph: Graph, seed: int) -> None:
    (op,) = graph.ops
    assert isinstance(op, Recurrent)
    parts = full_range(np.random.default_rng(seed), (3, *graph.tensors["x"].shape), op.accum)
    got = run_op(op, graph, parts)
    assert got.tolist() == [Scalar(op, graph).run(sample) for sample in parts]
    assert got.dtype == (np.int64 if graph.type_of("y").width <= SAFE_BITS else object)
    assert widest(op, graph) >= max(op.accum.width, graph.type_of("y").width)


def test_given_states_are_where_it_starts() -> None:
    """The state after two steps, given to the same cell, continues as if it had never stopped."""
    type_ = FixedType(True, 12, 8)
    op = Recurrent(
        *("op", ("x",), "y", "node", Cell.GRU, True, False, "w", type_, "b", type_, 1),
        *(type_, Rounding.RND, Overflow.SAT, CellActivation.SIGMOID, "gt", CellActivation.TANH, "ct", type_),
        *(Rounding.TRN, Overflow.WRAP),
    )
    random = np.random.default_rng(0)
    graph = graph_of(op, type_, 3, 4, random)
    parts = full_range(random, (20, 4, 9), type_)
    whole = run_op(op, graph, parts)
    rest = run_op(replace(op, inputs=("x", "state")), graph, parts[:, 2:], whole[:, 1])
    np.testing.assert_array_equal(rest, whole[:, 2:])


@pytest.mark.parametrize("size", [1024, 1000])
@pytest.mark.parametrize("type_", [FixedType(True, 12, 6), FixedType(False, 9, -1), FixedType(True, 34, 2)])
def test_the_index_of_many_integers_is_that_of_each(size: int, type_: FixedType) -> None:
    x = full_range(np.random.default_rng(1), (6000,), type_)
    many = table_index(Fixed(x, type_), size, 8)
    each = np.array([table_index(Fixed(x[i : i + 1], type_), size, 8)[0] for i in range(300)])
    np.testing.assert_array_equal(many[:300], each)
    assert many.min() >= 0 and many.max() < size


BROKEN = {
    "bias": ({"b": np.zeros(8)}, {}, "bias"),
    "weights": ({"w": np.full((3, 9), 4000)}, {}, "leave their type"),
    "table": ({}, {"gate": CellActivation.RELU}, "a table for each activation but relu"),
    "accumulator": ({}, {"accum": FixedType(True, 13, 8)}, "not the accumulator's"),
    "shape": ({}, {"sequence": False}, "output shape"),
    "states": ({}, {"cell": Cell.LSTM}, "recurrent weights"),
    "fold": ({}, {"fold": 0}, "fold 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_illegal_ops_are_named(name: str) -> None:
    arrays, fields, expected = BROKEN[name]
    type_ = FixedType(True, 12, 8)
    op = Recurrent(
        *("op", ("x",), "y", "node", Cell.GRU, True, False, "w", type_, "b", type_, 1),
        *(type_, Rounding.RND, Overflow.SAT, CellActivation.SIGMOID, "gt", CellActivation.TANH, "ct", type_),
        *(Rounding.TRN, Overflow.WRAP),
    )
    graph = graph_of(op, type_, 3, 4, np.random.default_rng(0))
    constants = {**graph.constants, **{key: np.asarray(array, dtype=np.int64) for key, array in arrays.items()}}
    with pytest.raises(BrokenGraph, match=expected):
        verify(replace(graph, ops=(replace(op, **fields),), constants=constants), "test")
