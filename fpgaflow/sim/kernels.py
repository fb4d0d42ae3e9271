"""What every op computes: the reference engine, which is the specification. One short function per op.

Arrays are (N, *shape) integers: int64, or Python integers (dtype object) where 64 bits do not suffice. The same numpy
code serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import OrderedDense, OrderedSum
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.sim.fixed_point import SAFE_BITS, cast, cast_bits, fit, rescale
from fpgaflow.sim.kernels_merge import MERGE_KERNELS, MERGE_WIDEST
from fpgaflow.sim.kernels_recurrent import RECURRENT_KERNELS, RECURRENT_WIDEST
from fpgaflow.sim.kernels_table import TABLE_KERNELS, TABLE_WIDEST

Array = np.ndarray


def run_op(op: Op, graph: Graph, *inputs: Array) -> Array:
    """The output integers of one op from its input integers."""
    if (exact := EXACT.get(type(op))) is not None:
        return fit(exact(op, graph, *inputs), graph.type_of(op.output), overflow_of(op))
    return KERNELS[type(op)](op, graph, *inputs)


def overflow_of(op: Op) -> Overflow:
    """What becomes of a result of `EXACT` that leaves its type."""
    return getattr(op, "overflow", Overflow.WRAP)


def widest(op: Op, graph: Graph) -> int:
    """Bits of the widest integer that the op's kernel may meet; beyond SAFE_BITS it takes Python integers."""
    types = max(graph.type_of(name).width for name in (*op.inputs, op.output))
    return max(types, _WIDEST[type(op)](op, graph)) if type(op) in _WIDEST else types


def _rounded(op: Cast, graph: Graph, x: Array) -> Array:
    return rescale(x, graph.type_of(op.inputs[0]), graph.type_of(op.output), op.rounding)


def _widest_cast(op: Op, graph: Graph) -> int:
    return max(cast_bits(graph.type_of(name), graph.type_of(op.output)) for name in op.inputs)


def lift(op: Linear, graph: Graph) -> int:
    """Bits from the products' fraction up to the accumulator's; negative where products lose bits."""
    return op.accum.fraction - graph.type_of(op.inputs[0]).fraction - op.weight_type.fraction


def _widest_sum(op: Linear, graph: Graph) -> int:
    taps = prod(graph.constants[op.weights].shape[:-1])
    product_bits = graph.type_of(op.inputs[0]).width + op.weight_type.width + max(0, lift(op, graph))
    bias_bits = 0 if op.bias_type is None else cast_bits(op.bias_type, op.accum)
    return max(product_bits, bias_bits, op.accum.width) + taps.bit_length()


@dataclass(frozen=True)
class Columns:
    """A linear op as matrix products: inputs (..., taps), weights (taps, filters), bias (filters,), one per group."""

    inputs: Array
    weights: Array
    bias: Array | None


def columns(op: Linear, graph: Graph, x: Array) -> list[Columns]:
    """The matrix products that a dense or conv over x (N, ...) consists of; the results lie side by side."""
    weights = graph.constants[op.weights]
    bias = None if op.bias is None else graph.constants[op.bias]
    if not isinstance(op, Conv):
        return [Columns(x, weights, bias)]
    kernel, filters = weights.shape[:-2], weights.shape[-1] // op.groups
    views = _windows(_pad(x, op.padding), kernel, op.strides, op.dilations)
    patches = np.stack(views, axis=-2)  # (N, *spatial, taps, channels)
    products = []
    for group, part in enumerate(np.split(patches, op.groups, axis=-1)):
        chosen = slice(group * filters, (group + 1) * filters)
        flat = part.reshape(*part.shape[:-2], prod(part.shape[-2:]))  # -1 fails for an empty batch
        own_bias = None if bias is None else bias[chosen]
        products.append(Columns(flat, weights[..., chosen].reshape(-1, filters), own_bias))
    return products


def _sum(op: Linear, graph: Graph, part: Columns) -> Array:
    """One matrix product: the products and the bias truncated to the accumulator's fraction, their exact sum.

    Wrapping each of them and every partial sum, as the hardware does, gives the same as wrapping this sum once.
    """
    inputs, weights, drop = part.inputs, part.weights, -lift(op, graph)
    if widest(op, graph) > SAFE_BITS:
        inputs, weights = inputs.astype(object), weights.astype(object)
    if drop <= 0:
        total = (inputs @ weights) << -drop
    else:
        total = np.zeros((*inputs.shape[:-1], weights.shape[1]), dtype=inputs.dtype)
        for tap in range(weights.shape[0]):
            total = total + ((inputs[..., tap, None] * weights[tap]) >> drop)
    if part.bias is not None and op.bias_type is not None:
        total = total + rescale(part.bias, op.bias_type, op.accum, Rounding.TRN)
    return total


def _sums(op: Linear, graph: Graph, x: Array) -> Array:
    return np.concatenate([_sum(op, graph, part) for part in columns(op, graph, x)], axis=-1)


def _pad(x: Array, padding: tuple[tuple[int, int], ...]) -> Array:
    if not any(map(any, padding)):
        return x
    inner = tuple(slice(before, before + n) for (before, _), n in zip(padding, x.shape[1:-1], strict=True))
    spatial = (n + sum(pads) for pads, n in zip(padding, x.shape[1:-1], strict=True))
    padded = np.zeros((len(x), *spatial, x.shape[-1]), x.dtype)  # of Python integers, where np.pad has numpy's
    padded[(slice(None), *inner)] = x
    return padded


def _windows(x: Array, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> list[Array]:
    """For each tap of the kernel, in C order, the strided view of x (N, *spatial, channels) that it multiplies."""
    outputs = [
        (size - dilation * (taps - 1) - 1) // stride + 1
        for size, taps, stride, dilation in zip(x.shape[1:-1], kernel, strides, dilations, strict=True)
    ]
    views = []
    for tap in product(*(range(taps) for taps in kernel)):
        cut = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, s, n in zip(tap, dilations, strides, outputs, strict=True)
        )
        views.append(x[(slice(None), *cut)])
    return views


def _pool(op: Pool, graph: Graph, x: Array) -> Array:
    views = _windows(_pad(x, op.padding), op.size, op.strides, (1,) * len(op.size))
    if op.kind is PoolKind.MAX:
        return np.maximum.reduce(views)
    if widest(op, graph) > SAFE_BITS:
        views = [view.astype(object) for view in views]
    return sum(views[1:], start=views[0])


def _add(op: Add, graph: Graph, left: Array, right: Array) -> Array:
    target = graph.type_of(op.output)
    terms = zip((left, right), op.inputs, strict=True)
    a, b = (cast(v, graph.type_of(n), target, Rounding.TRN, Overflow.WRAP) for v, n in terms)
    return a + b


def _relu(op: Relu, graph: Graph, x: Array) -> Array:
    return np.maximum(x, 0)


def _threshold(op: Threshold, graph: Graph, x: Array) -> Array:
    levels = graph.constants[op.thresholds]
    moved = np.moveaxis(x, op.axis + 1, -1)
    if op.signs is not None:
        moved = moved * graph.constants[op.signs]
    count = np.zeros(moved.shape, dtype=np.int64)
    for level in range(levels.shape[1]):
        count += moved >= levels[:, level]
    return np.moveaxis(op.offset + op.step * count, -1, op.axis + 1)


def _reshape(op: Reshape, graph: Graph, x: Array) -> Array:
    return x.reshape(x.shape[0], *graph.tensors[op.output].shape)


def _transpose(op: Transpose, graph: Graph, x: Array) -> Array:
    return x.transpose(0, *(axis + 1 for axis in op.perm))


# Ops that bring an exact result into the output's type: what they give before that.
EXACT: dict[type[Op], Callable[..., Array]] = {
    Cast: _rounded,
    Dense: _sums,
    Conv: _sums,
}

# Ops whose results, or values on the way to them, may leave their types.
CASTING: frozenset[type[Op]] = frozenset({*EXACT, CastEach, OrderedDense, OrderedSum, Recurrent})

# The other ops, which bring their results into the output's type themselves.
KERNELS: dict[type[Op], Callable[..., Array]] = {
    Pool: _pool,
    Add: _add,
    Relu: _relu,
    Threshold: _threshold,
    Reshape: _reshape,
    Transpose: _transpose,
    **MERGE_KERNELS,
    **RECURRENT_KERNELS,
    **TABLE_KERNELS,
}

# Ops that meet wider integers on the way than those at their ends.
_WIDEST: dict[type[Op], Callable[..., int]] = {
    Cast: _widest_cast,
    Add: _widest_cast,
    Dense: _widest_sum,
    Conv: _widest_sum,
    **MERGE_WIDEST,
    **RECURRENT_WIDEST,
    **TABLE_WIDEST,
}
