"""How far the results of the ops of `fpgaflow.ir.ops_merge` can reach, in the manner of `fpgaflow.sim.intervals`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

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
    return min(int(e.min()) for e in ends), max(int(e.max()) for e in ends)


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


def _partial_sums(op: OrderedDense | OrderedSum, graph: Graph, x: Interval) -> None:
    """Unknown: how far they reach depends on where they saturate."""


MERGE_INTERVALS: dict[type[Op], Callable[..., Interval | None]] = {
    Concat: _concat,
    Divide: _divide,
    Elementwise: _elementwise,
    Embed: _embed,
    MatMul: _matmul,
    OrderedDense: _partial_sums,
    OrderedSum: _partial_sums,
    Pad: _pad,
    Patches: _same,
    Scale: _scale,
    Take: _same,
}
