"""Counts of overflows against types widened until nothing overflows, and against rational arithmetic at the inputs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Cast, Linear, Op, Relu
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim import counts as module
from fpgaflow.sim.counts import OverflowCount
from fpgaflow.sim.fixed_point import dequantise
from fpgaflow.sim.kernels import run_op
from fpgaflow.sim.run import Simulator
from tests.graphs import graphs, random_inputs


def widened(op: Op, graph: Graph) -> tuple[Op, Graph]:
    """The op with a signed result so wide that nothing overflows."""
    type_ = graph.type_of(op.output)
    wide = FixedType(True, 300, type_.fraction)
    tensors = {**graph.tensors, op.output: replace(graph.tensors[op.output], type=wide)}
    return replace(op, accum=wide) if isinstance(op, Linear) else op, replace(graph, tensors=tensors)


def counted(op: Op, graph: Graph, *inputs: np.ndarray) -> OverflowCount:
    """What the op's count has to be."""
    exact = run_op(*widened(op, graph), *inputs)
    type_, overflow = graph.type_of(op.output), getattr(op, "overflow", Overflow.WRAP)
    low = -type_.high if overflow is Overflow.SAT_SYM and type_.signed else type_.low
    below, above = int((exact < low).sum()), int((exact > type_.high).sum())
    if overflow is Overflow.WRAP:
        return OverflowCount(wrapped=below + above, values=exact.size)
    return OverflowCount(saturated=below + above, values=exact.size, rectified=0 if type_.signed else below)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_random_graphs(engine: str, graph: Graph, seed: int) -> None:
    integers = random_inputs(graph, seed, 5)
    fits_float64 = all(graph.type_of(port.tensor).width <= 53 for port in graph.inputs)
    if not fits_float64:
        return
    values = {
        port.name: dequantise(integers[port.tensor], (1 / port.gain,), (Fraction(0),), 0) for port in graph.inputs
    }
    found = Simulator(graph, engine).count_overflows(values)
    computed = dict(integers)
    for op in graph.ops:
        inputs = [computed[name] for name in op.inputs]
        computed[op.output] = run_op(op, graph, *inputs)
        if isinstance(op, (Cast, Linear)):
            assert found.pop(op.name) == counted(op, graph, *inputs)
    inside = {f"input '{p.name}'": OverflowCount(values=integers[p.tensor].size) for p in graph.inputs}
    assert found == inside


def quantiser(gain: Fraction, offset: Fraction, rounding: Rounding, overflow: Overflow, low: int, high: int) -> Graph:
    type_ = FixedType(low < 0, 4, 0)
    tensors = {"x": Tensor("x", (64,), type_), "y": Tensor("y", (64,), FixedType(False, 4, 0))}
    port = Input("x", "in", gain, offset, rounding, overflow, low, high)
    output = Output("y", "y", (Fraction(1),), (Fraction(0),), 0)
    return Graph("g", (port,), (output,), (Relu("relu", ("x",), "y", "n"),), tensors, {})


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize(("gain", "offset"), [(Fraction(4), Fraction(0)), (Fraction(10, 3), Fraction(1, 7))])
@pytest.mark.parametrize(("low", "high"), [(-8, 7), (-7, 7), (0, 15)])
def test_reals_beyond_an_input_quantiser(
    rounding: Rounding, overflow: Overflow, gain: Fraction, offset: Fraction, low: int, high: int
) -> None:
    x = (np.arange(-320, 320).reshape(10, 64) / 64).astype(np.float32)  # ties of the quantiser among them
    graph = quantiser(gain, offset, rounding, overflow, low, high)
    levels = [rounded(Fraction(float(value)) * gain + offset, rounding) for value in x.reshape(-1)]
    below, above = sum(level < low for level in levels), sum(level > high for level in levels)
    found = Simulator(graph).count_overflows(x)["input 'in'"]
    if overflow is Overflow.WRAP:
        assert found == OverflowCount(wrapped=below + above, values=640)
    else:
        assert found == OverflowCount(saturated=below + above, values=640, rectified=0 if low < 0 else below)


def rounded(value: Fraction, rounding: Rounding) -> int:
    floor = value.numerator // value.denominator
    rest, half = value - floor, Fraction(1, 2)
    tie_up = {
        Rounding.RND: True,
        Rounding.RND_ZERO: value < 0,
        Rounding.RND_INF: value >= 0,
        Rounding.RND_MIN_INF: False,
        Rounding.RND_CONV: floor % 2 == 1,
    }
    if rounding is Rounding.TRN:
        return floor
    if rounding is Rounding.TRN_ZERO:
        return int(value)
    return floor + int(rest > half or (rest == half and tie_up[rounding]))


def test_chunks_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = quantiser(Fraction(4), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7)
    x = np.random.default_rng(0).normal(size=(50, 64)) * 2
    whole = Simulator(graph).count_overflows(x)
    seen = []
    monkeypatch.setattr(module, "chunk_samples", lambda *_: 7)
    assert Simulator(graph).count_overflows(x, lambda done, total: seen.append((done, total))) == whole
    assert seen == [(7 * i, 50) for i in range(1, 8)] + [(50, 50)]


def test_no_samples_give_no_counts() -> None:
    graph = quantiser(Fraction(4), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7)
    assert Simulator(graph).count_overflows(np.empty((0, 64))) == {"input 'in'": OverflowCount()}


def test_bad_inputs_are_refused() -> None:
    graph = quantiser(Fraction(4), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7)
    with pytest.raises(BadInput, match=r"shape \(2, 3\)"):
        Simulator(graph).count_overflows(np.zeros((2, 3)))
