"""Interval bounds hold for every integer that the reference computes, and are tight where they can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import OPS
from fpgaflow.sim.intervals import _RULES, Result, results
from fpgaflow.sim.kernels import EXACT, run_op
from tests.graphs import graphs, random_inputs


def within(values: np.ndarray, low: int, high: int) -> bool:
    return bool(((values >= low) & (values <= high)).all())


@given(st.one_of(graphs(), graphs(narrow=True, every=True)), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_no_exact_result_leaves_its_bounds(graph: Graph, seed: int) -> None:
    computed = dict(random_inputs(graph, seed, 4))
    found = results(graph)
    for op in graph.ops:
        inputs = [computed[name] for name in op.inputs]
        computed[op.output] = run_op(op, graph, *inputs)
        exact = EXACT[type(op)](op, graph, *inputs) if type(op) in EXACT else computed[op.output]
        bounds = found[op.name].exact
        assert bounds is not None and within(exact, *bounds)
        if not found[op.name].overflows:
            assert np.array_equal(exact, computed[op.output])


@given(graphs())
@settings(max_examples=100)
def test_ops_whose_types_hold_their_results_never_overflow(graph: Graph) -> None:
    for op in graph.ops:
        if type(op) not in EXACT:
            assert not results(graph)[op.name].overflows


def test_every_op_has_bounds() -> None:
    assert set(_RULES) == set(OPS)


def test_a_result_of_unknown_reach_may_overflow() -> None:
    assert Result(None, (0, 15)).overflows
    assert Result((0, 16), (0, 15)).overflows
    assert not Result((0, 15), (0, 15)).overflows
