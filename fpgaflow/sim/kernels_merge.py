"""What the ops of `fpgaflow.ir.ops_merge` compute: part of the specification, as `fpgaflow.sim.kernels` is."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fpgaflow.errors import BadInput
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
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.fixed_point import SAFE_BITS, cast, cast_bits
from fpgaflow.sim.overflow import Caster

Array = np.ndarray


def _held(x: Array, bits: int) -> Array:
    """x as int64 where `bits` allow it, else as Python integers."""
    return x.astype(np.int64 if bits <= SAFE_BITS else object, copy=False)


def _at(fraction: int, bits: int, x: Array, type_: FixedType) -> Array:
    """Integers of `type_` at a fraction that is no coarser."""
    return _held(x, bits) << (fraction - type_.fraction)


def _elementwise(op: Elementwise, graph: Graph, left: Array, right: Array) -> Array:
    result, types = graph.type_of(op.output), [graph.type_of(name) for name in op.inputs]
    bits = _widest_elementwise(op, graph)
    if op.kind is ElementwiseKind.MULTIPLY:
        return _held(_held(left, bits) * _held(right, bits), result.width)
    fraction = max(type_.fraction for type_ in types)
    a, b = (_at(fraction, bits, x, type_) for x, type_ in zip((left, right), types, strict=True))
    match op.kind:
        case ElementwiseKind.SUBTRACT:
            joined = a - b
        case ElementwiseKind.AVERAGE:
            joined = a + b
        case ElementwiseKind.MAXIMUM:
            joined = np.maximum(a, b)
        case ElementwiseKind.MINIMUM:
            joined = np.minimum(a, b)
    return _held(joined, result.width)


def _widest_elementwise(op: Elementwise, graph: Graph) -> int:
    left, right = (graph.type_of(name) for name in op.inputs)
    if op.kind is ElementwiseKind.MULTIPLY:
        return left.width + right.width
    return max(left.width, right.width) + abs(left.fraction - right.fraction) + 1


def _scale(op: Scale, graph: Graph, x: Array) -> Array:
    source, result, bits = graph.type_of(op.inputs[0]), graph.type_of(op.output), _widest_scale(op, graph)
    up = result.fraction - source.fraction - op.weight_type.fraction
    total = (_held(x, bits) * _held(graph.constants[op.weights], bits)) << up
    if op.bias is not None and op.bias_type is not None:
        total = total + _at(result.fraction, bits, graph.constants[op.bias], op.bias_type)
    return _held(total, result.width)


def _widest_scale(op: Scale, graph: Graph) -> int:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    product = source.width + op.weight_type.width + result.fraction - source.fraction - op.weight_type.fraction
    bias = 0 if op.bias_type is None else op.bias_type.width + result.fraction - op.bias_type.fraction
    return max(product, bias) + 1


def _divide(op: Divide, graph: Graph, x: Array) -> Array:
    divisors = graph.constants[op.divisors]
    return np.where(x < 0, -(-x // divisors), x // divisors)


def _concat(op: Concat, graph: Graph, *parts: Array) -> Array:
    return np.concatenate(parts, axis=op.axis + 1)


def _pad(op: Pad, graph: Graph, x: Array) -> Array:
    inner = tuple(slice(before, before + n) for (before, _), n in zip(op.padding, x.shape[1:], strict=True))
    padded = np.full((len(x), *graph.tensors[op.output].shape), op.value, x.dtype)
    padded[(slice(None), *inner)] = x
    return padded


def _take(op: Take, graph: Graph, x: Array) -> Array:
    return np.take(x, graph.constants[op.indices], axis=op.axis + 1)


def _embed(op: Embed, graph: Graph, x: Array) -> Array:
    table = graph.constants[op.table]
    if x.size and (x.min() < 0 or x.max() >= len(table)):
        found = f"index {x.min() if x.min() < 0 else x.max()}, but the table has {len(table)} rows"
        raise BadInput(f"embedding '{op.node}'", found, "Give it indices of the table: hls4ml reads beyond it")
    return table[x.astype(np.int64)]


def _patches(op: Patches, graph: Graph, x: Array) -> Array:
    axes = tuple(range(1, x.ndim - 1))
    windows = sliding_window_view(x, op.size, axis=axes)  # (N, *places, channels, *size)
    chosen = windows[(slice(None), *(slice(None, None, stride) for stride in op.strides))]
    *places, channels = range(1, len(axes) + 2)
    taps_first = chosen.transpose(0, *places, *range(channels + 1, chosen.ndim), channels)
    return taps_first.reshape(len(x), *graph.tensors[op.output].shape)


def _matmul(op: MatMul, graph: Graph, left: Array, right: Array) -> Array:
    bits = _widest_matmul(op, graph)
    return _held(_held(left, bits) @ _held(right, bits), graph.type_of(op.output).width)


def _widest_matmul(op: MatMul, graph: Graph) -> int:
    terms = graph.tensors[op.inputs[0]].shape[-1]
    return sum(graph.type_of(name).width for name in op.inputs) + terms.bit_length()


def _added(
    total: Array, term: Array, source: FixedType, accum: FixedType, op: OrderedSum | OrderedDense, by: Caster
) -> Array:
    """The accumulator after one more term: their exact sum, cast into the accumulator's type."""
    fraction = max(source.fraction, accum.fraction)
    bits = max(cast_bits(source, accum), accum.width + fraction - accum.fraction) + 1
    exact = FixedType(True, bits, fraction)
    joined = _at(fraction, bits, total, accum) + _at(fraction, bits, term, source)
    return by(joined, exact, accum, op.rounding, op.overflow)


def ordered_sum(op: OrderedSum, graph: Graph, x: Array, by: Caster = cast) -> Array:
    """The kernel, with every cast done by `by`."""
    source, accum = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    terms = [x[..., tap, :] for tap in range(x.shape[-2])]
    if op.tree:
        return _tree(terms, lambda a, b: _added(a, b, accum, accum, op, by))
    start = np.zeros_like(terms[0]) if op.bias is None else np.broadcast_to(graph.constants[op.bias], terms[0].shape)
    return reduce(lambda total, term: _added(total, term, source, accum, op, by), terms, start)


def _tree(terms: list[Array], add: Callable[[Array, Array], Array]) -> Array:
    if len(terms) == 1:
        return terms[0]
    first = 1 << (len(terms) - 1).bit_length() - 1
    return add(_tree(terms[:first], add), _tree(terms[first:], add))


def _widest_ordered_sum(op: OrderedSum, graph: Graph) -> int:
    return cast_bits(graph.type_of(op.inputs[0]), graph.type_of(op.output)) + 1


def ordered_dense(op: OrderedDense, graph: Graph, x: Array, by: Caster = cast) -> Array:
    """The kernel, with every cast done by `by`."""
    accum, weights, bits = graph.type_of(op.output), graph.constants[op.weights], _widest_ordered_dense(op, graph)
    exact = product_type(op, graph)
    inputs, weights = _held(x, bits), _held(weights, bits)
    total = _held(np.zeros((*x.shape[:-1], weights.shape[-1]), dtype=np.int64), accum.width)
    if op.bias is not None:
        total = total + graph.constants[op.bias]
    for tap in range(weights.shape[-2]):
        terms = inputs[..., tap, None] * (weights[tap] if weights.ndim == 2 else weights[..., tap : tap + 1, :])
        product = by(terms, exact, accum, op.rounding, op.overflow)
        total = _added(total, product, accum, accum, op, by)
    return total


def product_type(op: OrderedDense, graph: Graph) -> FixedType:
    """Holds every product of an input and a weight."""
    source, weight = graph.type_of(op.inputs[0]), op.weight_type
    return FixedType(source.signed or weight.signed, source.width + weight.width, source.fraction + weight.fraction)


def _widest_ordered_dense(op: OrderedDense, graph: Graph) -> int:
    return cast_bits(product_type(op, graph), graph.type_of(op.output)) + 1


MERGE_KERNELS: dict[type[Op], Callable[..., Array]] = {
    Elementwise: _elementwise,
    Scale: _scale,
    Divide: _divide,
    Concat: _concat,
    Pad: _pad,
    Take: _take,
    Embed: _embed,
    Patches: _patches,
    MatMul: _matmul,
    OrderedSum: ordered_sum,
    OrderedDense: ordered_dense,
}

# Ops that meet wider integers on the way than those at their ends.
MERGE_WIDEST: dict[type[Op], Callable[..., int]] = {
    Elementwise: _widest_elementwise,
    Scale: _widest_scale,
    MatMul: _widest_matmul,
    OrderedSum: _widest_ordered_sum,
    OrderedDense: _widest_ordered_dense,
}
