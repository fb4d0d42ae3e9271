"""The arithmetic of an op follows from how far its integers reach, to the very last one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Dense
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.sim.choice import _REACHES, Arithmetic, Choice, choose, choose_integers
from fpgaflow.sim.float_graph import _EMITTERS
from fpgaflow.sim.kernels import EXACT, run_op
from tests.graphs import graphs, random_inputs


def dense(weights: list[int], source: FixedType, accum: FixedType, bias: int | None = None) -> Graph:
    constants = {"w": np.array(weights, dtype=np.int64)[:, None]}
    weight_type = type_for(min(weights), max(weights), 0)
    biased = bias is not None
    if biased:
        constants["b"] = np.array([bias], dtype=np.int64)
    bias_fields = ("b", FixedType(True, 8, 0)) if biased else (None, None)
    op = Dense("op", ("x",), "y", "n", "w", weight_type, *bias_fields, accum)
    tensors = {"x": Tensor("x", (len(weights),), source), "y": Tensor("y", (1,), accum)}
    port = Input("x", "x", Fraction(1), Fraction(0), Rounding.TRN, Overflow.SAT, source.low, source.high)
    return Graph("g", (port,), (Output("y", "y", (Fraction(1),), (Fraction(0),), 0),), (op,), tensors, constants)


BIT = FixedType(False, 1, 0)
EDGE32, EDGE53 = 1 << 24, 1 << 53


@pytest.mark.parametrize(
    ("weights", "bias", "accum", "expected"),
    [
        ([1 << 23, (1 << 23) - 1], None, FixedType(False, 24, 0), Choice(Arithmetic.FLOAT32, EDGE32 - 1)),
        ([-EDGE32], None, FixedType(True, 25, 0), Choice(Arithmetic.FLOAT32, EDGE32)),
        ([-EDGE32, 5], -1, FixedType(True, 26, 0), Choice(Arithmetic.FLOAT64, EDGE32 + 1)),
        ([EDGE53 >> 1, EDGE53 >> 1], None, FixedType(True, 60, 0), Choice(Arithmetic.FLOAT64, EDGE53)),
        ([EDGE53 >> 1, EDGE53 >> 1], 1, FixedType(True, 60, 0), Choice(Arithmetic.INT64, 1 << 62)),
    ],
)
def test_sums_about_the_limits(weights: list[int], bias: int | None, accum: FixedType, expected: Choice) -> None:
    graph = dense(weights, BIT, accum, bias)
    assert choose(graph.ops[0], graph) == expected
    assert expected.arithmetic.limit is not None and expected.reach <= expected.arithmetic.limit


def test_a_sum_that_leaves_its_accumulator_is_for_integers() -> None:
    fits, wraps = (dense([3, 4], BIT, FixedType(False, width, 0)) for width in (3, 2))
    assert choose(fits.ops[0], fits).arithmetic is Arithmetic.FLOAT32
    assert choose(wraps.ops[0], wraps).arithmetic is Arithmetic.INT64


def test_products_that_lose_bits_are_for_integers() -> None:
    graph = dense([3, 4], FixedType(False, 1, 2), FixedType(False, 9, 1))
    assert choose(graph.ops[0], graph).arithmetic is Arithmetic.INT64


def test_what_int64_cannot_hold_is_for_python() -> None:
    graph = dense([1, 1], FixedType(True, 61, 0), FixedType(True, 64, 0))
    assert choose_integers(graph.ops[0], graph).arithmetic is Arithmetic.PYTHON
    assert choose(graph.ops[0], graph).arithmetic is Arithmetic.PYTHON


def test_the_reference_takes_integers() -> None:
    graph = dense([3, 4], BIT, FixedType(False, 3, 0))
    assert choose_integers(graph.ops[0], graph).arithmetic is Arithmetic.INT64


def test_exactly_the_ops_with_a_float32_form_have_a_reach_in_it() -> None:
    assert set(_EMITTERS) == set(_REACHES)


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_kernels_take_python_integers_where_the_choice_says_so(graph: Graph, seed: int) -> None:
    computed = dict(random_inputs(graph, seed, 2))
    for op in graph.ops:
        inputs = [computed[name] for name in op.inputs]
        if type(op) in EXACT:
            objects = EXACT[type(op)](op, graph, *inputs).dtype == object
            assert objects == (choose_integers(op, graph).arithmetic is Arithmetic.PYTHON)
        computed[op.output] = run_op(op, graph, *inputs)
