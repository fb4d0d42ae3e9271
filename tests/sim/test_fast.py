"""The fast engine gives the reference's bits, on graphs of every op and on integers at the limits of their types."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Cast, Conv, Dense, Pool, PoolKind, Threshold
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.choice import fits_float32
from fpgaflow.sim.fast import FastRunner
from fpgaflow.sim.kernels import run_op
from tests.graphs import full_range, graphs, one_op, random_inputs


def reference(graph: Graph, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    computed = dict(values)
    for op in graph.ops:
        computed[op.output] = run_op(op, graph, *(computed[name] for name in op.inputs))
    return computed


def assert_same(graph: Graph, values: Mapping[str, np.ndarray]) -> None:
    """Of the outputs alone, and of every tensor at once, which may take another way."""
    truth = reference(graph, values)
    for name, array in truth.items():
        assert array.size == 0 or (array.min() >= graph.type_of(name).low and array.max() <= graph.type_of(name).high)
    runner = FastRunner(graph)
    for wanted in ([port.tensor for port in graph.outputs], list(graph.tensors)):
        found = runner(values, wanted)
        assert list(found) == list(dict.fromkeys(wanted))
        for name in wanted:
            assert found[name].shape == truth[name].shape
            assert (found[name] == truth[name]).all(), f"{name} differs"


@given(graphs(), st.integers(0, 2**32 - 1), st.sampled_from([1, 1, 3]))
@settings(max_examples=200)
def test_random_graphs(graph: Graph, seed: int, samples: int) -> None:
    assert_same(graph, random_inputs(graph, seed, samples))


@given(graphs(narrow=True), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_random_graphs_of_small_widths(graph: Graph, seed: int) -> None:
    """Nearly all of these are for ONNX Runtime as a whole."""
    assert_same(graph, random_inputs(graph, seed, 4))


COMMON = {"name": "op", "inputs": ("x",), "output": "y", "node": "n"}


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize(
    ("fraction", "target"), [(3, FixedType(True, 4, 1)), (2, FixedType(False, 3, 0)), (0, FixedType(True, 5, 2))]
)
def test_every_cast_of_every_integer(rounding: Rounding, overflow: Overflow, fraction: int, target: FixedType) -> None:
    source = FixedType(True, 8, fraction)
    graph = one_op(Cast(**COMMON, rounding=rounding, overflow=overflow), source, (256,), target, (256,))
    assert fits_float32(graph.ops[0], graph)
    assert_same(graph, {"x": np.arange(-128, 128)[None]})


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("width", range(22, 28))
def test_casts_about_the_limit_of_float32(rounding: Rounding, overflow: Overflow, width: int) -> None:
    for signed in (False, True):
        for drop in (-2, 0, 1, 3):
            source, target = FixedType(signed, width, drop), FixedType(signed, width - 3, 0)
            graph = one_op(Cast(**COMMON, rounding=rounding, overflow=overflow), source, (64,), target, (64,))
            assert_same(graph, {"x": full_range(np.random.default_rng(width), (4, 64), source)})


@pytest.mark.parametrize("bits", [24, 25, 53, 54, 62, 63, 64])
@pytest.mark.parametrize("narrower", [0, 1, 2])
def test_sums_at_the_limits(bits: int, narrower: int) -> None:
    """Sums that just reach 2^24, 2^53 and 2^63, in accumulators that hold them or wrap."""
    source = FixedType(True, bits - 3, 0)
    weights = [[1, 1, -1], [1, 3, 2], [-1, 3, 3], [1, 1, -1]]
    accum = FixedType(True, bits + 2 - narrower, 0)
    op = Dense(
        **COMMON, weights="w", weight_type=FixedType(True, 3, 0), bias="b", bias_type=FixedType(True, 8, 0), accum=accum
    )
    graph = one_op(op, source, (4,), accum, (3,), w=weights, b=[100, -128, 127])
    ends = [source.low, source.low + 1, source.high - 1, source.high]
    corners = np.array(np.meshgrid(*[ends] * 4, indexing="ij"), dtype=object).reshape(4, -1).T
    assert_same(graph, {"x": corners.astype(np.int64)})


@pytest.mark.parametrize("cut", [1, 2, 4, 9])
@pytest.mark.parametrize("kind", [Dense, Conv])
def test_products_cut_by_the_accumulator(cut: int, kind: type) -> None:
    """hls4ml's order: each product loses its low bits before it is added."""
    source, weight_type = FixedType(True, 6, 4), FixedType(True, 5, 3)
    accum, random = FixedType(True, 8, 7 - cut), np.random.default_rng(cut)
    fields = dict(
        **COMMON, weights="w", weight_type=weight_type, bias="b", bias_type=FixedType(True, 9, 8), accum=accum
    )
    bias = full_range(random, (2,), FixedType(True, 9, 8))
    if kind is Dense:
        weights = full_range(random, (5, 2), weight_type)
        graph = one_op(Dense(**fields), source, (5,), accum, (2,), w=weights, b=bias)
    else:
        weights = full_range(random, (3, 5, 2), weight_type)
        op = Conv(**fields, strides=(1,), dilations=(1,), padding=((1, 1),), groups=1)
        graph = one_op(op, source, (4, 5), accum, (4, 2), w=weights, b=bias)
    assert_same(graph, {"x": full_range(random, (50, *graph.tensors["x"].shape), source)})


def test_negative_sums_wrap_in_an_unsigned_accumulator() -> None:
    accum = FixedType(False, 8, 0)
    op = Dense(**COMMON, weights="w", weight_type=FixedType(True, 2, 0), bias=None, bias_type=None, accum=accum)
    graph = one_op(op, FixedType(False, 3, 0), (1,), accum, (1,), w=[[-1]])
    values = {"x": np.arange(8)[:, None]}
    assert reference(graph, values)["y"][1, 0] == 255
    assert_same(graph, values)


def test_a_sum_far_finer_than_the_cast_that_reads_it() -> None:
    """Its weights, scaled for that cast, would leave float32."""
    source, accum = FixedType(True, 4, 100), FixedType(True, 8, 160)
    dense = Dense("d", ("x",), "s", "n", "w", FixedType(True, 3, 60), None, None, accum)
    cast = Cast("c", ("s",), "y", "n", Rounding.TRN, Overflow.SAT)
    tensors = {
        "x": Tensor("x", (2,), source),
        "s": Tensor("s", (2,), accum),
        "y": Tensor("y", (2,), FixedType(True, 8, 0)),
    }
    port = Input("x", "x", Fraction(1), Fraction(0), Rounding.TRN, Overflow.WRAP, source.low, source.high)
    outputs = tuple(Output(name, name, (Fraction(1),), (Fraction(0),), 0) for name in ("y", "s"))
    weights = {"w": np.array([[3, -4], [1, 2]])}
    assert_same(Graph("fine", (port,), outputs, (dense, cast), tensors, weights), {"x": np.array([[-8, 7], [1, -1]])})


@pytest.mark.parametrize("levels", [0, 1, 2, 15, 16, 17, 40])
@pytest.mark.parametrize("signed", [False, True])
def test_thresholds_of_every_integer(levels: int, signed: bool) -> None:
    """On a line and off it, with more levels than are compared one by one, repeated and out of reach."""
    source, random = FixedType(True, 7, 0), np.random.default_rng(levels)
    tables = [
        np.sort(random.integers(-70, 70, (3, levels)), axis=1),
        np.arange(3 * levels).reshape(3, -1) % max(levels, 1) * 3 - 50,
    ]
    for table in tables:
        signs = {"s": np.array([-1, 1, -1])} if signed else {}
        op = Threshold(**COMMON, thresholds="t", signs="s" if signed else None, step=1, offset=-3, axis=1)
        graph = one_op(op, source, (128, 3), FixedType(True, 8, 0), (128, 3), t=np.sort(table, axis=1), **signs)
        assert_same(graph, {"x": np.repeat(np.arange(-64, 64)[:, None], 3, axis=1)[None]})


def test_pool_padded_by_more_than_its_window() -> None:
    op = Pool(**COMMON, kind=PoolKind.AVERAGE, size=(2, 1), strides=(1, 1), padding=((3, 2), (1, 1)))
    graph = one_op(op, FixedType(True, 4, 0), (3, 2, 2), FixedType(True, 5, 1), (7, 4, 2))
    assert_same(graph, {"x": full_range(np.random.default_rng(0), (3, 3, 2, 2), FixedType(True, 4, 0))})


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_empty_batch(graph: Graph, seed: int) -> None:
    values = random_inputs(graph, seed, 0)
    found = FastRunner(graph)(values, list(graph.tensors))
    assert {name: array.shape for name, array in found.items()} == {n: (0, *t.shape) for n, t in graph.tensors.items()}
