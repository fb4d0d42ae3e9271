"""What the fast engine leaves out changes no output."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Cast, Conv, Relu
from fpgaflow.ir.ops_merge import Pad
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import verify
from fpgaflow.sim.kernels import run_op
from fpgaflow.sim.run import Simulator
from fpgaflow.sim.simplify import simplified
from tests.graphs import full_range, graphs, random_inputs

TYPE, ACCUM = FixedType(True, 4, 0), FixedType(True, 12, 0)


def outputs(graph: Graph, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    computed = dict(values)
    for op in graph.ops:
        computed[op.output] = run_op(op, graph, *(computed[name] for name in op.inputs))
    return [computed[port.tensor] for port in graph.outputs]


def padded(value: int, channels: tuple[int, int]) -> Graph:
    """Pad, a cast that changes nothing, convolution."""
    width, depth = 3 + 1 + 2, 2 + sum(channels)
    tensors = {
        "x": Tensor("x", (3, 2), TYPE),
        "p": Tensor("p", (width, depth), TYPE),
        "c": Tensor("c", (width, depth), TYPE),
        "y": Tensor("y", (width, 2), ACCUM),
    }
    conv = Conv("conv", ("c",), "y", "n", "w", TYPE, None, None, ACCUM, (1,), (1,), ((1, 1),), 1)
    ops = (
        Pad("pad", ("x",), "p", "n", ((1, 2), channels), value),
        Cast("cast", ("p",), "c", "n", Rounding.TRN, Overflow.WRAP),
        conv,
    )
    weights = full_range(np.random.default_rng(0), (3, depth, 2), TYPE)
    port = Input("x", "x", Fraction(1), Fraction(0), Rounding.TRN, Overflow.WRAP, TYPE.low, TYPE.high)
    output = Output("y", "y", (Fraction(1),), (Fraction(0),), 0)
    return verify(Graph("padded", (port,), (output,), ops, tensors, {"w": weights}), "the test")


@pytest.mark.parametrize(("value", "channels", "folded"), [(0, (0, 0), True), (1, (0, 0), False), (0, (1, 0), False)])
def test_zeros_around_a_convolution_are_its_padding(value: int, channels: tuple[int, int], folded: bool) -> None:
    graph = padded(value, channels)
    short = simplified(graph)
    assert [type(op) for op in short.ops] == ([Conv] if folded else [Pad, Conv])
    if folded:
        assert short.ops[0].padding == ((2, 3),)
    x = full_range(np.random.default_rng(1), (5, 3, 2), TYPE)
    assert np.array_equal(outputs(short, {"x": x})[0], outputs(graph, {"x": x})[0])
    assert np.array_equal(Simulator(graph).predict(x), Simulator(graph, "reference").predict(x))


def test_an_output_that_is_a_cast_of_another() -> None:
    """Two outputs, one of which becomes the other's tensor."""
    graph = padded(0, (0, 0))
    relu = Relu("relu", ("x",), "r", "n")
    cast = Cast("same", ("r",), "s", "n", Rounding.TRN, Overflow.SAT)
    tensors = {name: Tensor(name, (3, 2), FixedType(False, 3, 0)) for name in ("r", "s")} | {"x": graph.tensors["x"]}
    ports = tuple(Output(name, name, (Fraction(1),), (Fraction(0),), 0) for name in ("r", "s"))
    both = verify(replace(graph, ops=(relu, cast), tensors=tensors, outputs=ports, constants={}), "the test")
    x = full_range(np.random.default_rng(1), (5, 3, 2), TYPE)
    found = Simulator(both).predict(x)
    assert [np.array_equal(y, np.maximum(x, 0)) for y in found] == [True, True]
    assert Simulator(both).trace(x).keys() == {"x", "r", "s"}


@given(graphs(narrow=True, every=True), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_random_graphs(graph: Graph, seed: int) -> None:
    values = random_inputs(graph, seed, 2)
    for got, truth in zip(outputs(simplified(graph), values), outputs(graph, values), strict=True):
        assert np.array_equal(got, truth)
