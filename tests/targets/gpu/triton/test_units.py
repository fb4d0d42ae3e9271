"""Which matrix units a layer gets, by its types alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fpgaflow.ir.bounds import accumulator
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Dense
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.gpu.triton.units import Units, choose
from fpgaflow.targets.refused import Refused
from tests.graphs import one_op


def layer(source: FixedType, weights: np.ndarray, bits: int) -> Graph:
    """A dense layer with an accumulator that holds its sums."""
    type_ = FixedType(True, bits, 0)
    accum = accumulator(weights, type_, None, None, source)
    op = Dense("d", ("x",), "y", "d", "w", type_, None, None, accum)
    return one_op(op, source, weights.shape[:1], accum, weights.shape[1:], w=weights)


def full(terms: int, value: int) -> np.ndarray:
    return np.full((terms, 2), value, dtype=np.int64)


U4, U8, S8, S12 = FixedType(False, 4, 0), FixedType(False, 8, 0), FixedType(True, 8, 0), FixedType(True, 12, 0)


@pytest.mark.parametrize(
    ("source", "weights", "wanted", "got", "note"),
    [
        (S8, full(64, -128), Units.INT8, Units.INT8, None),
        (U8, full(64, 127), Units.INT8, Units.INT8, None),
        (S12, full(64, 100), Units.INT8, Units.FP32, "operands beyond 8 bits"),
        (S8, full(512, -128), Units.FP16, Units.FP16, None),  # 2^23
        (S8, full(2048, -128), Units.FP16, Units.INT8, "beyond 2\\^24"),
        (S12, full(1, 4095), Units.FP16, Units.FP32, "operands beyond 2\\^11"),
        (U4, full(64, 8), Units.FP8, Units.FP8, None),  # 7680
        (U4, full(80, 8), Units.FP8, Units.INT8, "beyond 2\\^13"),
        (U4, full(4, 17), Units.FP8, Units.INT8, "4 significant bits"),
        (U4, full(4, 18), Units.FP8, Units.FP8, None),  # 1001 × 2
        (U8, full(4, 1), Units.FP8, Units.INT8, "4 significant bits"),
    ],
)
def test_choices(source: FixedType, weights: np.ndarray, wanted: Units, got: Units, note: str | None) -> None:
    graph = layer(source, weights, 13)
    (op,) = graph.ops
    assert isinstance(op, Dense)
    found = choose(op, graph, wanted)
    assert found.units is got
    assert (found.note is None) == (note is None)
    assert note is None or re.search(note, str(found.note)), found.note


def test_what_no_units_carry_is_refused() -> None:
    graph = layer(FixedType(True, 20, 0), full(8, 100), 13)
    (op,) = graph.ops
    assert isinstance(op, Dense)
    with pytest.raises(Refused, match=r"int8: operands beyond 8 bits; fp32: sums of products reach \d+, beyond 2\^24"):
        choose(op, graph, Units.INT8)
