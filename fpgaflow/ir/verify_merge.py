"""The rules of the ops of `fpgaflow.ir.ops_merge`: part of the legality table of `fpgaflow.ir.verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod

import numpy as np

from fpgaflow.ir.bounds import sum_type
from fpgaflow.ir.graph import Graph, Ints
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
from fpgaflow.ir.types import FixedType, type_for

Rules = Iterator[tuple[bool, str]]
Shape = tuple[int, ...]


def elementwise_type(kind: ElementwiseKind, left: FixedType, right: FixedType) -> FixedType:
    """The narrowest type of all results."""
    fraction = max(left.fraction, right.fraction)
    a, b = ([end << fraction - t.fraction for end in (t.low, t.high)] for t in (left, right))
    match kind:
        case ElementwiseKind.SUBTRACT:
            return type_for(a[0] - b[1], a[1] - b[0], fraction)
        case ElementwiseKind.MULTIPLY:
            ends = [x * y for x, y in product((left.low, left.high), (right.low, right.high))]
            return type_for(min(ends), max(ends), left.fraction + right.fraction)
        case ElementwiseKind.AVERAGE:
            total = sum_type(left, right)
            return FixedType(total.signed, total.width, total.fraction + 1)
        case ElementwiseKind.MAXIMUM:
            return type_for(max(a[0], b[0]), max(a[1], b[1]), fraction)
        case ElementwiseKind.MINIMUM:
            return type_for(min(a[0], b[0]), min(a[1], b[1]), fraction)


def scale_type(
    source: FixedType, weights: Ints, weight_type: FixedType, bias: Ints | None, bias_type: FixedType | None
) -> FixedType:
    """The narrowest type of every x times weights plus bias."""
    fraction = source.fraction + weight_type.fraction
    up, bias_up = 0, 0
    if bias_type is not None:
        up, bias_up = max(0, bias_type.fraction - fraction), max(0, fraction - bias_type.fraction)
    offsets = np.zeros(1, dtype=object) if bias is None else bias.astype(object) << bias_up
    ends = [np.asarray((weights.astype(object) * end << up) + offsets) for end in (source.low, source.high)]
    return type_for(min(int(np.min(e)) for e in ends), max(int(np.max(e)) for e in ends), fraction + up)


def matmul_type(left: FixedType, right: FixedType, terms: int) -> FixedType:
    """The narrowest type of every sum of so many products."""
    one = elementwise_type(ElementwiseKind.MULTIPLY, left, right)
    return type_for(one.low * terms, one.high * terms, one.fraction)


def patches_shape(source: Shape, size: Shape, strides: Shape) -> Shape:
    """Output shape (*windows, taps, channels) over (*spatial, channels)."""
    places = ((n - window) // stride + 1 for n, window, stride in zip(source[:-1], size, strides, strict=True))
    return (*places, prod(size), source[-1])


def _shape(graph: Graph, name: str) -> Shape:
    return graph.tensors[name].shape


def _holds(outer: FixedType, inner: FixedType) -> bool:
    return outer.fraction == inner.fraction and outer.low <= inner.low and outer.high >= inner.high


def _fits(array: Ints, type_: FixedType) -> bool:
    return array.size == 0 or (int(array.min()) >= type_.low and int(array.max()) <= type_.high)


def _broadcasts(array: Ints, shape: Shape) -> bool:
    trailing = shape[len(shape) - array.ndim :]
    return array.ndim <= len(shape) and all(n in (1, m) for n, m in zip(array.shape, trailing, strict=True))


def _one(op: Op, count: int = 1) -> tuple[bool, str]:
    return len(op.inputs) == count, f"takes {count} input{'s' * (count > 1)}"


def _same_shape(op: Op, graph: Graph) -> tuple[bool, str]:
    return all(_shape(graph, n) == _shape(graph, op.output) for n in op.inputs), "input and output shapes differ"


def _same_type(op: Op, graph: Graph) -> tuple[bool, str]:
    return all(graph.type_of(n) == graph.type_of(op.output) for n in op.inputs), "keeps its type"


def _elementwise(op: Elementwise, graph: Graph) -> Rules:
    yield _one(op, 2)
    yield _same_shape(op, graph)
    needed = elementwise_type(op.kind, *(graph.type_of(n) for n in op.inputs))
    yield _holds(graph.type_of(op.output), needed), f"the result needs {needed}"


def _scale(op: Scale, graph: Graph) -> Rules:
    yield _one(op)
    yield _same_shape(op, graph)
    yield _fits(graph.constants[op.weights], op.weight_type), "weights leave their type"
    yield (op.bias is None) == (op.bias_type is None), "bias and bias type go together"
    if op.bias is not None and op.bias_type is not None:
        yield _fits(graph.constants[op.bias], op.bias_type), "bias leaves its type"
    weights, bias = graph.constants[op.weights], None if op.bias is None else graph.constants[op.bias]
    for array in (weights, bias):
        yield array is None or _broadcasts(array, _shape(graph, op.output)), "a constant that does not broadcast"
    needed = scale_type(graph.type_of(op.inputs[0]), weights, op.weight_type, bias, op.bias_type)
    yield _holds(graph.type_of(op.output), needed), f"the result needs {needed}"


def _divide(op: Divide, graph: Graph) -> Rules:
    yield _one(op)
    yield _same_shape(op, graph)
    yield _same_type(op, graph)
    divisors = graph.constants[op.divisors]
    yield bool((divisors > 0).all()), "divisors are positive"
    yield _broadcasts(divisors, _shape(graph, op.output)), "divisors that do not broadcast"


def _concat(op: Concat, graph: Graph) -> Rules:
    shapes, result = [_shape(graph, n) for n in op.inputs], _shape(graph, op.output)
    yield len(shapes) > 1, "takes at least two inputs"
    yield 0 <= op.axis < len(result) and all(len(s) == len(result) for s in shapes), f"axis {op.axis} of {result}"
    yield _same_type(op, graph)
    joined = (*shapes[0][: op.axis], sum(s[op.axis] for s in shapes), *shapes[0][op.axis + 1 :])
    others = [(*s[: op.axis], *s[op.axis + 1 :]) for s in shapes]
    yield len(set(others)) == 1 and result == joined, f"output shape {result}, from {shapes}"


def _pad(op: Pad, graph: Graph) -> Rules:
    yield _one(op)
    yield _same_type(op, graph)
    source, result, type_ = _shape(graph, op.inputs[0]), _shape(graph, op.output), graph.type_of(op.output)
    yield len(op.padding) == len(source) and min(n for pads in op.padding for n in pads) >= 0, "padding: two per axis"
    expected = tuple(n + sum(pads) for n, pads in zip(source, op.padding, strict=True))
    yield result == expected, f"output shape {result}, expected {expected}"
    yield type_.low <= op.value <= type_.high, f"padding with {op.value} leaves the type"


def _take(op: Take, graph: Graph) -> Rules:
    yield _one(op)
    yield _same_type(op, graph)
    source, indices = _shape(graph, op.inputs[0]), graph.constants[op.indices]
    yield 0 <= op.axis < len(source), f"axis {op.axis} of shape {source}"
    inside = indices.ndim == 1 and indices.size > 0 and indices.min() >= 0 and indices.max() < source[op.axis]
    yield bool(inside), "indices outside of the axis"
    expected = (*source[: op.axis], len(indices), *source[op.axis + 1 :])
    yield _shape(graph, op.output) == expected, f"output shape, expected {expected}"


def _embed(op: Embed, graph: Graph) -> Rules:
    yield _one(op)
    table, source, result = graph.constants[op.table], _shape(graph, op.inputs[0]), _shape(graph, op.output)
    yield table.ndim == 2 and result == (*source, table.shape[1]), f"table {table.shape} from {source} to {result}"
    yield _fits(table, graph.type_of(op.output)), "the table leaves the type"
    yield graph.type_of(op.inputs[0]).fraction == 0, "indices are integers"


def _patches(op: Patches, graph: Graph) -> Rules:
    yield _one(op)
    yield _same_type(op, graph)
    source = _shape(graph, op.inputs[0])
    yield len(op.size) == len(op.strides) == len(source) - 1 > 0, "size and strides: one per spatial axis"
    yield min(*op.size, *op.strides) > 0, "size and strides are positive"
    expected = patches_shape(source, op.size, op.strides)
    yield min(expected) > 0, "the window is larger than its input"
    yield _shape(graph, op.output) == expected, f"output shape, expected {expected}"


def _matmul(op: MatMul, graph: Graph) -> Rules:
    yield _one(op, 2)
    left, right = (_shape(graph, n) for n in op.inputs)
    yield len(left) == len(right) >= 2 and left[:-2] == right[:-2], f"shapes {left} and {right}"
    yield left[-1] == right[-2], f"shapes {left} and {right}"
    yield _shape(graph, op.output) == (*left[:-1], right[-1]), f"output shape from {left} and {right}"
    types = [graph.type_of(n) for n in op.inputs]
    needed = matmul_type(types[0], types[1], left[-1])
    yield _holds(graph.type_of(op.output), needed), f"the result needs {needed}"


def _ordered_sum(op: OrderedSum, graph: Graph) -> Rules:
    yield _one(op)
    source, result = _shape(graph, op.inputs[0]), _shape(graph, op.output)
    yield len(source) >= 2 and result == (*source[:-2], source[-1]), f"output shape {result} from {source}"
    if op.bias is not None:
        bias = graph.constants[op.bias]
        yield bias.shape == source[-1:] and _fits(bias, graph.type_of(op.output)), "bias"
    if op.tree:
        yield _same_type(op, graph)
        yield op.bias is None, "a tree takes no bias"


def _ordered_dense(op: OrderedDense, graph: Graph) -> Rules:
    yield _one(op)
    weights, source = graph.constants[op.weights], _shape(graph, op.inputs[0])
    yield _fits(weights, op.weight_type), "weights leave their type"
    yield weights.ndim >= 2 and source[-1] == weights.shape[-2], f"weights {weights.shape} on input {source}"
    yield weights.ndim == 2 or weights.shape[:-2] == source[:-2], f"weights {weights.shape} on input {source}"
    result = (*source[:-1], weights.shape[-1])
    yield _shape(graph, op.output) == result, f"output shape from {source}"
    if op.bias is not None:
        bias = graph.constants[op.bias]
        yield _broadcasts(bias, result) and _fits(bias, graph.type_of(op.output)), "bias"


MERGE_RULES: dict[type[Op], Callable[..., Rules]] = {
    Elementwise: _elementwise,
    Scale: _scale,
    Divide: _divide,
    Concat: _concat,
    Pad: _pad,
    Take: _take,
    Embed: _embed,
    Patches: _patches,
    MatMul: _matmul,
    OrderedSum: _ordered_sum,
    OrderedDense: _ordered_dense,
}
