"""The reference engine against plain Python loops: one number at a time, each step in the order of the hardware."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import OPS, Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.kernels import run_op
from tests.graphs import graphs, one_op, random_inputs
from tests.sim.test_fixed_point import expected, fitted

Array = np.ndarray


def into(q: int, source: FixedType, target: FixedType) -> int:
    return expected(q, source, target, Rounding.TRN, Overflow.WRAP)


def accumulated(op: Linear, graph: Graph, terms: list[tuple[int, int]], filter_: int) -> int:
    """hls4ml: the accumulator starts from the bias; each product is cast to it, and added in wrap-around arithmetic."""
    source, accum = graph.type_of(op.inputs[0]), op.accum
    total = 0
    if op.bias is not None and op.bias_type is not None:
        total = into(int(graph.constants[op.bias][filter_]), op.bias_type, accum)
    exact = FixedType(True, source.width + op.weight_type.width + 2, source.fraction + op.weight_type.fraction)
    for x, w in terms:
        total = fitted(total + into(x * w, exact, accum), accum, Overflow.WRAP)
    return total


def dense(op: Dense, graph: Graph, x: Array) -> Array:
    weights = graph.constants[op.weights].tolist()
    result = np.empty((*x.shape[:-1], len(weights[0])), dtype=object)
    for index in np.ndindex(*result.shape):
        row, filter_ = x[index[:-1]].tolist(), index[-1]
        result[index] = accumulated(op, graph, [(v, w[filter_]) for v, w in zip(row, weights, strict=True)], filter_)
    return result


def place(out: tuple[int, ...], tap: tuple[int, ...], op: Conv | Pool) -> tuple[int, ...]:
    dilations = op.dilations if isinstance(op, Conv) else (1,) * len(tap)
    before = [pads[0] for pads in op.padding]
    return tuple(o * s + t * d - b for o, s, t, d, b in zip(out, op.strides, tap, dilations, before, strict=True))


def at(x: Array, sample: int, where: tuple[int, ...], channel: int) -> int:
    """An element, or 0 in the padding."""
    inside = all(0 <= p < n for p, n in zip(where, x.shape[1:-1], strict=True))
    return int(x[(sample, *where, channel)]) if inside else 0


def conv(op: Conv, graph: Graph, x: Array) -> Array:
    weights = graph.constants[op.weights]
    *kernel, depth, filters = weights.shape
    result = np.empty((len(x), *graph.tensors[op.output].shape), dtype=object)
    for index in np.ndindex(*result.shape):
        sample, out, filter_ = index[0], index[1:-1], index[-1]
        first = filter_ // (filters // op.groups) * depth
        terms = [
            (at(x, sample, place(out, tap, op), first + c), int(weights[(*tap, c, filter_)]))
            for tap in np.ndindex(*kernel)
            for c in range(depth)
        ]
        result[index] = accumulated(op, graph, terms, filter_)
    return result


def pool(op: Pool, graph: Graph, x: Array) -> Array:
    result = np.empty((len(x), *graph.tensors[op.output].shape), dtype=object)
    for index in np.ndindex(*result.shape):
        sample, out, channel = index[0], index[1:-1], index[-1]
        values = [at(x, sample, place(out, tap, op), channel) for tap in np.ndindex(*op.size)]
        result[index] = max(values) if op.kind is PoolKind.MAX else sum(values)
    return result


def add(op: Add, graph: Graph, left: Array, right: Array) -> Array:
    target = graph.type_of(op.output)
    shifts = [Fraction(2) ** (target.fraction - graph.type_of(name).fraction) for name in op.inputs]
    result = np.empty(left.shape, dtype=object)
    for index in np.ndindex(*result.shape):
        result[index] = int(int(left[index]) * shifts[0] + int(right[index]) * shifts[1])
    return result


def threshold(op: Threshold, graph: Graph, x: Array) -> Array:
    levels = graph.constants[op.thresholds].tolist()
    signs = None if op.signs is None else graph.constants[op.signs].tolist()
    result = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        channel = index[op.axis + 1]
        value = int(x[index]) * (1 if signs is None else signs[channel])
        result[index] = op.offset + op.step * sum(value >= level for level in levels[channel % len(levels)])
    return result


def cast(op: Cast, graph: Graph, x: Array) -> Array:
    types = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    values = [expected(int(v), *types, op.rounding, op.overflow) for v in x.reshape(-1)]
    return np.array(values, dtype=object).reshape(x.shape)


def reshape(op: Reshape, graph: Graph, x: Array) -> Array:
    result = np.empty((len(x), *graph.tensors[op.output].shape), dtype=object)
    result.reshape(-1)[:] = [v for index in product(*map(range, x.shape)) for v in [x[index]]]
    return result


def transpose(op: Transpose, graph: Graph, x: Array) -> Array:
    result = np.empty((len(x), *graph.tensors[op.output].shape), dtype=object)
    for index in np.ndindex(*result.shape):
        there = [0] * len(op.perm)
        for axis, from_axis in enumerate(op.perm):
            there[from_axis] = index[axis + 1]
        result[index] = x[(index[0], *there)]
    return result


def relu(op: Relu, graph: Graph, x: Array) -> Array:
    return np.array([max(int(v), 0) for v in x.reshape(-1)], dtype=object).reshape(x.shape)


NAIVE: dict[type[Op], Callable[..., Array]] = {
    Add: add,
    Cast: cast,
    Conv: conv,
    Dense: dense,
    Pool: pool,
    Relu: relu,
    Reshape: reshape,
    Threshold: threshold,
    Transpose: transpose,
}


def test_every_op_is_here() -> None:
    assert NAIVE.keys() == {op for op in OPS if op.__module__ == "fpgaflow.ir.ops"}


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_random_graphs(graph: Graph, seed: int) -> None:
    values = random_inputs(graph, seed, 2)
    for op in graph.ops:
        inputs = [values[name] for name in op.inputs]
        before = [array.copy() for array in inputs]
        found, wanted = run_op(op, graph, *inputs), NAIVE[type(op)](op, graph, *inputs)
        assert found.shape == wanted.shape == (2, *graph.tensors[op.output].shape)
        assert found.tolist() == wanted.tolist(), op
        assert all(np.array_equal(a, b) for a, b in zip(inputs, before, strict=True)), "an op changed its input"
        values[op.output] = found


def test_products_are_cut_one_by_one() -> None:
    """Two products of a half each: cut before they are added, they vanish; the bias comes first."""
    accum = FixedType(True, 8, 0)
    for weights, bias, want in (([[1], [1]], [4], 1), ([[2], [1]], [7], 2), ([[-1], [-1]], [0], -2)):
        op = Dense("d", ("x",), "y", "n", "w", FixedType(True, 4, 1), "b", FixedType(True, 5, 2), accum)
        graph = one_op(op, FixedType(True, 3, 0), (2,), accum, (1,), w=weights, b=bias)
        assert run_op(op, graph, np.array([[1, 1]])).tolist() == [[want]]
