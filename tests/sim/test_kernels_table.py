"""Tables, piecewise linear functions, types for each element and the maximum's place, against one number at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify_table import piecewise_type
from fpgaflow.sim.fixed_point import SAFE_BITS
from fpgaflow.sim.intervals import results
from fpgaflow.sim.kernels import run_op, widest
from tests.graphs import WIDTHS, fixed_types, full_range, one_op
from tests.sim.test_fixed_point import expected

SHAPE = (2, 3)
SEEDS = st.integers(0, 2**32 - 1)


def computed(graph: Graph, x: np.ndarray) -> np.ndarray:
    before, found = x.copy(), run_op(graph.ops[0], graph, x)
    assert np.array_equal(x, before), "an op changed its input"
    assert found.dtype == (object if graph.type_of("y").width > SAFE_BITS else np.int64)
    return found


@given(fixed_types(), fixed_types(1, 62), SEEDS)
def test_lookup(source: FixedType, result: FixedType, seed: int) -> None:
    random = np.random.default_rng(seed)
    table = full_range(random, (1 << source.width,), result)
    graph = one_op(Lookup("f", ("x",), "y", "n", "t"), source, SHAPE, result, SHAPE, t=table)
    x = full_range(random, (5, *SHAPE), source)
    assert computed(graph, x).tolist() == [[[table[v - source.low] for v in row] for row in s] for s in x.tolist()]
    everything = np.arange(source.low, source.high + 1)
    assert results(graph)["f"].exact == (min(table), max(table))
    assert np.array_equal(run_op(graph.ops[0], graph, everything[:, None, None])[:, 0, 0], table)


@st.composite
def piecewise(draw: st.DrawFn) -> tuple[Graph, np.ndarray]:
    random = np.random.default_rng(draw(SEEDS))
    source = draw(fixed_types(*draw(st.sampled_from(WIDTHS))))
    segments = draw(st.integers(1, 4))
    reach = st.integers(max(source.low - 2, -(1 << 63)), min(source.high + 2, (1 << 63) - 1))
    knots = np.array(sorted(draw(reach) for _ in range(segments - 1)), dtype=np.int64)
    axes = draw(st.sampled_from([(), (1,), (3,), (2, 1), (2, 3)]))
    slopes, offsets = (
        full_range(random, (*shape, segments), draw(fixed_types(*draw(st.sampled_from([(1, 4), (5, 30), (40, 62)])))))
        for shape in (axes, draw(st.sampled_from([(), axes])))
    )
    result = piecewise_type(source, knots, slopes, offsets, draw(st.integers(-4, 20)))
    op = Piecewise("f", ("x",), "y", "n", "k", "s", "o")
    graph = one_op(op, source, SHAPE, result, SHAPE, k=knots, s=slopes, o=offsets)
    return graph, full_range(random, (4, *SHAPE), source)


@given(piecewise())
def test_piecewise(case: tuple[Graph, np.ndarray]) -> None:
    graph, x = case
    knots = graph.constants["k"].tolist()
    slopes, offsets = (np.broadcast_to(graph.constants[n], (*SHAPE, len(knots) + 1)) for n in "so")
    found = computed(graph, x)
    low, high = results(graph)["f"].exact or (0, 0)
    for index in np.ndindex(*x.shape):
        place, v = index[1:], int(x[index])
        segment = sum(v >= knot for knot in knots)
        assert found[index] == int(slopes[(*place, segment)]) * v + int(offsets[(*place, segment)])
        assert low <= found[index] <= high
        assert int(found[index]).bit_length() < widest(graph.ops[0], graph)


@given(fixed_types(1, 5), SEEDS)
def test_bounds_of_a_piecewise_function_are_reached(source: FixedType, seed: int) -> None:
    random = np.random.default_rng(seed)
    knots = np.sort(random.integers(source.low - 2, source.high + 3, 2))
    slopes, offsets = random.integers(-9, 10, (2, 3))
    result = piecewise_type(source, knots, slopes, offsets, 0)
    op = Piecewise("f", ("x",), "y", "n", "k", "s", "o")
    graph = one_op(op, source, (1,), result, (1,), k=knots, s=slopes, o=offsets)
    found = computed(graph, np.arange(source.low, source.high + 1)[:, None])
    assert results(graph)["f"].exact == (found.min(), found.max())


@st.composite
def element_casts(draw: st.DrawFn) -> tuple[Graph, list[FixedType | None], np.ndarray]:
    widths = draw(st.sampled_from(WIDTHS))
    source = draw(fixed_types(*widths))
    few = draw(st.lists(fixed_types(*widths), min_size=1, max_size=3))
    types = [draw(st.sampled_from([None, *few])) for _ in range(SHAPE[0] * SHAPE[1])]
    fraction = max((t.fraction for t in types if t is not None), default=0)
    ends = [end << fraction - t.fraction for t in types if t is not None for end in (t.low, t.high)]
    result = type_for(min(ends, default=0), max(ends, default=0), fraction)
    rows = [(int(t.signed), t.width, t.fraction) if t is not None else (1, 0, 9) for t in types]
    modes = draw(st.sampled_from(Rounding)), draw(st.sampled_from(Overflow))
    masks = np.array(rows).T.reshape(3, *SHAPE)
    graph = one_op(CastEach("f", ("x",), "y", "n", "t", *modes), source, SHAPE, result, SHAPE, t=masks)
    return graph, types, full_range(np.random.default_rng(draw(SEEDS)), (4, *SHAPE), source)


@given(element_casts())
def test_each_element_is_cast_into_its_own_type(case: tuple[Graph, list[FixedType | None], np.ndarray]) -> None:
    graph, types, x = case
    op, source, result = graph.ops[0], graph.type_of("x"), graph.type_of("y")
    assert isinstance(op, CastEach)
    for sample, found in zip(x.reshape(len(x), -1).tolist(), computed(graph, x).reshape(len(x), -1), strict=True):
        for v, type_, got in zip(sample, types, found, strict=True):
            want = 0
            if type_ is not None:
                want = expected(v, source, type_, op.rounding, op.overflow) << result.fraction - type_.fraction
            assert got == want


@given(st.sampled_from(WIDTHS).flatmap(lambda widths: fixed_types(*widths)), st.integers(1, 5), SEEDS)
def test_the_first_of_equal_maxima_is_marked(source: FixedType, count: int, seed: int) -> None:
    graph = one_op(OneHotMax("f", ("x",), "y", "n"), source, (2, count), FixedType(False, 1, 0), (2, count))
    x = full_range(np.random.default_rng(seed), (4, 2, count), source)
    x[:2] = x[:2, :, :1]  # all equal
    for row, marks in zip(x.reshape(-1, count).tolist(), computed(graph, x).reshape(-1, count).tolist(), strict=True):
        assert marks == [int(place == row.index(max(row))) for place in range(count)]
    assert results(graph)["f"].exact == (0, 1)


def test_no_samples() -> None:
    cases = {
        Lookup("f", ("x",), "y", "n", "t"): {"t": np.arange(4)},
        Piecewise("f", ("x",), "y", "n", "k", "s", "o"): {"k": [1], "s": [0, 1], "o": [0, 0]},
        CastEach("f", ("x",), "y", "n", "t", Rounding.TRN, Overflow.WRAP): {"t": np.full((3, 2), [[0], [2], [0]])},
        OneHotMax("f", ("x",), "y", "n"): {},
    }
    for op, constants in cases.items():
        graph = one_op(op, FixedType(False, 2, 0), (2,), FixedType(False, 2, 0), (2,), **constants)
        assert computed(graph, np.zeros((0, 2), dtype=np.int64)).shape == (0, 2)
