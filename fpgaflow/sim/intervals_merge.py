"""How far the results of the ops of `fpgaflow.ir.ops_merge` can reach, in the manner of `fpgaflow.sim.intervals`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_merge import (
    Concat,
    Divide,
    Elementwise,
    ElementwiseKind,
    Embed,
    MatMul,
    OrderedDense,
    OrderedSum,
    Pad,
    Patches,
    Scale,
    Take,
)

Interval = tuple[int, int]  # lowest and highest integer


def _elementwise(op: Elementwise, graph: Graph, left: Interval, right: Interval) -> Interval:
    if op.kind is ElementwiseKind.MULTIPLY:
        ends = [a * b for a, b in product(left, right)]
        return min(ends), max(ends)
    types = [graph.type_of(name) for name in op.inputs]
    fraction = max(type_.fraction for type_ in types)
    a, b = (
        [end << fraction - type_.fraction for end in ends] for ends, type_ in zip((left, right), types, strict=True)
    )
    match op.kind:
        case ElementwiseKind.SUBTRACT:
            return a[0] - b[1], a[1] - b[0]
        case ElementwiseKind.AVERAGE:
            return a[0] + b[0], a[1] + b[1]
        case ElementwiseKind.MAXIMUM:
            return max(a[0], b[0]), max(a[1], b[1])
        case ElementwiseKind.MINIMUM:
            return min(a[0], b[0]), min(a[1], b[1])


def _scale(op: Scale, graph: Graph, x: Interval) -> Interval:
    result = graph.type_of(op.output)
    up = result.fraction - graph.type_of(op.inputs[0]).fraction - op.weight_type.fraction
    weights = graph.constants[op.weights].astype(object) << up
    offset = np.zeros(1, dtype=object)
    if op.bias is not None and op.bias_type is not None:
        offset = graph.constants[op.bias].astype(object) << (result.fraction - op.bias_type.fraction)
    ends = [weights * end + offset for end in x]
    return min(int(np.min(e)) for e in ends), max(int(np.max(e)) for e in ends)


def _divide(op: Divide, graph: Graph, x: Interval) -> Interval:
    least = int(graph.constants[op.divisors].min())
    return -(-x[0] // least) if x[0] < 0 else 0, x[1] // least if x[1] > 0 else 0


def _concat(op: Concat, graph: Graph, *parts: Interval) -> Interval:
    return min(low for low, _ in parts), max(high for _, high in parts)


def _pad(op: Pad, graph: Graph, x: Interval) -> Interval:
    return min(x[0], op.value), max(x[1], op.value)


def _same(op: Op, graph: Graph, x: Interval) -> Interval:
    return x


def _embed(op: Embed, graph: Graph, x: Interval) -> Interval:
    table = graph.constants[op.table]
    return int(table.min()), int(table.max())


def _matmul(op: MatMul, graph: Graph, left: Interval, right: Interval) -> Interval:
    ends = [a * b * graph.tensors[op.inputs[0]].shape[-1] for a, b in product(left, right)]
    return min(ends), max(ends)


# Wherever a partial sum is clamped or becomes zero, it moves towards zero: it stays between the sum of the negative
# terms and that of the positive ones, as it does without. Each addition rounds to the accumulator's grid, on which the
# sum before lies already, so that it rounds the term alone.


def _ordered_dense(op: OrderedDense, graph: Graph, x: Interval) -> Interval:
    weights, accum = graph.constants[op.weights].astype(object), graph.type_of(op.output)
    drop = graph.type_of(op.inputs[0]).fraction + op.weight_type.fraction - accum.fraction
    ends = [weights * end for end in x]
    low, high = _rounded(np.minimum(*ends), np.maximum(*ends), drop)
    below, above = np.minimum(low, 0).sum(axis=-2), np.maximum(high, 0).sum(axis=-2)
    if weights.ndim > 2:  # beside the rows of the output, along which a bias may differ
        below, above = below[..., None, :], above[..., None, :]
    if op.bias is not None:
        bias = graph.constants[op.bias].astype(object)
        below, above = below + np.minimum(bias, 0), above + np.maximum(bias, 0)
    return int(below.min()), int(above.max())


def _ordered_sum(op: OrderedSum, graph: Graph, x: Interval) -> Interval:
    source, accum = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    terms = graph.tensors[op.inputs[0]].shape[-2]
    low, high = rounded_bounds(*x, source.fraction - accum.fraction)
    bias = graph.constants[op.bias] if op.bias is not None else np.zeros(1, dtype=np.int64)
    return terms * min(low, 0) + min(int(bias.min()), 0), terms * max(high, 0) + max(int(bias.max()), 0)


def _rounded(low: np.ndarray, high: np.ndarray, drop: int) -> tuple[np.ndarray, np.ndarray]:
    """`rounded_bounds` of arrays of Python integers."""
    return (low << -drop, high << -drop) if drop <= 0 else (low >> drop, -(-high >> drop))


MERGE_INTERVALS: dict[type[Op], Callable[..., Interval]] = {
    Concat: _concat,
    Divide: _divide,
    Elementwise: _elementwise,
    Embed: _embed,
    MatMul: _matmul,
    OrderedDense: _ordered_dense,
    OrderedSum: _ordered_sum,
    Pad: _pad,
    Patches: _same,
    Scale: _scale,
    Take: _same,
}
