"""Counts of the ops that cast on the way, and their bounds, against one number at a time in rational arithmetic."""

from __future__ import annotations

from dataclasses import astuple
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops_merge import OrderedDense, OrderedSum
from fpgaflow.ir.ops_recurrent import CellActivation
from fpgaflow.ir.ops_table import CastEach
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.counts import OverflowCount
from fpgaflow.sim.fixed_point import limits
from fpgaflow.sim.intervals import results
from fpgaflow.sim.kernels import run_op
from fpgaflow.sim.run import Simulator
from tests.graphs import full_range, one_op
from tests.sim.test_fixed_point import ROUND, fitted
from tests.sim.test_kernels_recurrent import Scalar, recurrent_graphs

COMMON = {"name": "op", "inputs": ("x",), "output": "y", "node": "n"}


class Steps:
    """Casts of one result after another: whether any exact value fell below or above its type."""

    def __init__(self, type_: FixedType, rounding: Rounding, overflow: Overflow) -> None:
        self.type, self.rounding, self.overflow = type_, rounding, overflow
        self.below = self.above = False
        self.exact: list[int] = []

    def cast(self, value: Fraction) -> Fraction:
        """Value and result in units of 1."""
        unit = Fraction(2) ** -self.type.fraction
        exact = int(ROUND[self.rounding](value / unit))
        low, high = limits(self.type, self.overflow)
        self.below, self.above = self.below or exact < low, self.above or exact > high
        self.exact.append(exact)
        return fitted(exact, self.type, self.overflow) * unit


def count(steps: list[Steps]) -> OverflowCount:
    outside, negative = sum(s.below or s.above for s in steps), sum(s.below for s in steps)
    return OverflowCount(saturated=outside, values=len(steps), rectified=0 if steps[0].type.signed else negative)


def values_of(graph: Graph, x: np.ndarray) -> np.ndarray:
    return x * float(1 / graph.inputs[0].gain)


SATURATING = st.sampled_from([Overflow.SAT, Overflow.SAT_SYM, Overflow.SAT_ZERO])
TYPES = st.builds(FixedType, st.booleans(), st.integers(1, 7), st.integers(-1, 5))


@given(TYPES, TYPES, TYPES, st.sampled_from(Rounding), SATURATING, st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_ordered_dense(
    source: FixedType,
    weight: FixedType,
    accum: FixedType,
    rounding: Rounding,
    overflow: Overflow,
    bias: bool,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    op = OrderedDense(
        **COMMON, weights="w", weight_type=weight, bias="b" if bias else None, rounding=rounding, overflow=overflow
    )
    constants = {"w": full_range(random, (4, 2), weight)} | ({"b": full_range(random, (2,), accum)} if bias else {})
    graph = one_op(op, source, (4,), accum, (2,), **constants)
    x = full_range(random, (5, 4), source)
    steps = []
    for row in x:
        for column in range(2):
            each = Steps(accum, rounding, overflow)
            total = Fraction(int(constants["b"][column])) * Fraction(2) ** -accum.fraction if bias else Fraction(0)
            for tap in range(4):
                product = Fraction(int(row[tap]) * int(constants["w"][tap, column]))
                total = each.cast(total + each.cast(product * Fraction(2) ** -(source.fraction + weight.fraction)))
            steps.append(each)
    assert Simulator(graph).count_overflows(values_of(graph, x))["op"] == count(steps)
    low, high = results(graph)["op"].exact
    assert all(low <= value <= high for each in steps for value in each.exact)


@given(TYPES, TYPES, st.sampled_from(Rounding), SATURATING, st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_ordered_sum(
    source: FixedType, accum: FixedType, rounding: Rounding, overflow: Overflow, bias: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    op = OrderedSum(**COMMON, bias="b" if bias else None, tree=False, rounding=rounding, overflow=overflow)
    constants = {"b": full_range(random, (2,), accum)} if bias else {}
    graph = one_op(op, source, (4, 2), accum, (2,), **constants)
    x = full_range(random, (5, 4, 2), source)
    steps = []
    for row in x:
        for column in range(2):
            each = Steps(accum, rounding, overflow)
            total = Fraction(int(constants["b"][column])) * Fraction(2) ** -accum.fraction if bias else Fraction(0)
            for tap in range(4):
                total = each.cast(total + int(row[tap, column]) * Fraction(2) ** -source.fraction)
            steps.append(each)
    assert Simulator(graph).count_overflows(values_of(graph, x))["op"] == count(steps)
    low, high = results(graph)["op"].exact
    assert all(low <= value <= high for each in steps for value in each.exact)


@pytest.mark.parametrize("tree", [False, True])
def test_wrapped_partial_sums_that_come_out_right_are_none(tree: bool) -> None:
    """7 + 7 wraps, 7 + 7 - 7 is 7 again; 7 + 7 + 1 stays wrapped."""
    type_ = FixedType(True, 4, 0)
    op = OrderedSum(**COMMON, bias=None, tree=tree, rounding=Rounding.TRN, overflow=Overflow.WRAP)
    graph = one_op(op, type_, (3, 1), type_, (1,))
    x = np.array([[7, 7, -7], [7, 7, 1], [1, 2, 3]])[..., None]
    assert Simulator(graph).count_overflows(x)["op"] == OverflowCount(wrapped=1, values=3)


def test_products_that_wrap_count_with_their_sum() -> None:
    """2 × 4 is 8, -8 in four bits; with 2 × -4 beside it the sum is 0, as it should be."""
    type_ = FixedType(True, 4, 0)
    op = OrderedDense(
        **COMMON, weights="w", weight_type=type_, bias=None, rounding=Rounding.TRN, overflow=Overflow.WRAP
    )
    graph = one_op(op, type_, (2,), type_, (1,), w=[[4], [-4]])
    found = Simulator(graph).count_overflows(np.array([[2, 2], [2, 0], [1, 0]]))
    assert found["op"] == OverflowCount(wrapped=1, values=3)


def test_bounds_of_batched_products_with_a_bias_for_each_row() -> None:
    """Two matrices, three rows each: 3 and 7 times the inputs at most, and biases that differ by row."""
    type_, accum = FixedType(True, 3, 0), FixedType(True, 12, 0)
    rules = {"rounding": Rounding.TRN, "overflow": Overflow.SAT}
    op = OrderedDense(**COMMON, weights="w", weight_type=FixedType(True, 4, 0), bias="b", **rules)
    weights, bias = np.array([[[1], [2]], [[3], [4]]]), np.array([[[0], [10], [-20]], [[5], [0], [0]]])
    graph = one_op(op, type_, (2, 3, 2), accum, (2, 3, 1), w=weights, b=bias)
    low, high = results(graph)["op"].exact
    assert (low, high) == (3 * -4 - 20, 7 * 3 + 5)  # of the first matrix, and of the second
    x = full_range(np.random.default_rng(0), (50, 2, 3, 2), type_)
    found = Simulator(graph, "reference").predict(x)
    assert np.array_equal(Simulator(graph).predict(x), found)
    assert low <= found.min() and found.max() <= high


@given(TYPES, st.lists(TYPES, min_size=3, max_size=3), st.sampled_from(Rounding), st.sampled_from(Overflow))
@settings(max_examples=60)
def test_a_type_for_each_element(
    source: FixedType, each: list[FixedType], rounding: Rounding, overflow: Overflow
) -> None:
    types = np.array([[t.signed, t.width, t.fraction] for t in each]).T.astype(np.int64)
    target = FixedType(True, 24, max(t.fraction for t in each))
    op = CastEach(**COMMON, types="t", rounding=rounding, overflow=overflow)
    graph = one_op(op, source, (3,), target, (3,), t=types)
    x = np.repeat(np.arange(source.low, source.high + 1)[:, None], 3, axis=1)
    wrapped = saturated = rectified = 0
    low, high = results(graph)["op"].exact
    for row in x:
        for value, type_ in zip(row, each, strict=True):
            steps = Steps(type_, rounding, overflow)
            steps.cast(int(value) * Fraction(2) ** -source.fraction)
            outside = steps.below or steps.above
            wrapped += outside and overflow is Overflow.WRAP
            saturated += outside and overflow is not Overflow.WRAP
            rectified += steps.below and not type_.signed and overflow is not Overflow.WRAP
            assert low <= steps.exact[0] << (target.fraction - type_.fraction) <= high
    assert results(graph)["op"].overflows or not wrapped + saturated
    expected = OverflowCount(wrapped, saturated, x.size, rectified)
    assert Simulator(graph).count_overflows(values_of(graph, x))["op"] == expected


class Counting(Scalar):
    """Counts every cast of what depends on the inputs."""

    def __init__(self, *args: object) -> None:
        self.count, self.heard = OverflowCount(), True
        super().__init__(*args)  # type: ignore[arg-type]

    def watched(self, value: Fraction, type_: FixedType, rounding: Rounding, overflow: Overflow) -> None:
        steps = Steps(type_, rounding, overflow)
        steps.cast(value)
        outside, wraps = steps.below or steps.above, overflow is Overflow.WRAP
        rectified = steps.below and not type_.signed and not wraps
        self.count += OverflowCount(outside and wraps, outside and not wraps, 1, rectified)

    def accum(self, value: Fraction) -> Fraction:
        if self.heard:
            self.watched(value, self.op.accum, self.op.accum_rounding, self.op.accum_overflow)
        return super().accum(value)

    def new(self, value: Fraction) -> Fraction:
        self.watched(value, self.state, self.op.rounding, self.op.overflow)
        return super().new(value)

    def activation(self, value: Fraction, kind: CellActivation, name: str | None) -> Fraction:
        self.heard = name is None  # tables are constants
        result = super().activation(value, kind, name)
        self.heard = True
        return result

    def dense(self, h: list[Fraction]) -> list[Fraction]:
        sums = super().dense(h)
        bias = Counting(self.op, self.graph)
        for value in self.bias:  # a constant too
            bias.accum(value)
        self.count += OverflowCount(*(-n for n in astuple(bias.count)))
        return sums


@given(recurrent_graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_cells(graph: Graph, seed: int) -> None:
    (op,) = graph.ops
    type_ = graph.type_of("x")
    if op.accum_overflow is Overflow.WRAP or type_.width > 50:
        return
    x = full_range(np.random.default_rng(seed), (2, *graph.tensors["x"].shape), type_)
    scalar = Counting(op, graph)
    for parts in x:
        scalar.run(parts)
    assert Simulator(graph, "reference").count_overflows(values_of(graph, x))["op"] == scalar.count
    low, high = results(graph)["op"].exact
    if not scalar.count.wrapped + scalar.count.saturated:
        y = run_op(op, graph, x)
        assert (y >= low).all() and (y <= high).all()
