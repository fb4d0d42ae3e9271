"""Every op of the graph in jax.numpy, on int32 integers: int8 operands where they fit, int32 sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import lax

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Concat, Divide, Elementwise, ElementwiseKind, Embed, MatMul, Pad, Scale, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.kernels import lift
from fpgaflow.targets.int32 import FEWER, LIMIT, bias_lift, checked_linear, factors, held, inside, int8, lifts
from fpgaflow.targets.refused import Refused
from fpgaflow.targets.tpu.arithmetic import Ints, overflowed, rounded


def narrow(x: Ints, type_: FixedType) -> Ints:
    """Operands of a product: int8 where the type fits, which matrix units take."""
    return x.astype(jnp.int8) if int8(type_.low, type_.high) else x


def _weights(array: np.ndarray) -> Ints:
    small = int8(int(array.min()), int(array.max()))
    return jnp.asarray(array.astype(np.int8 if small else np.int32))


def _operands(x: Ints, type_: FixedType, array: np.ndarray) -> tuple[Ints, Ints]:
    """Both of one integer type."""
    left, right = narrow(x, type_), _weights(array)
    return (left, right) if left.dtype == right.dtype else (x, right.astype(jnp.int32))


def _summed(op: Linear, graph: Graph, total: Ints) -> Ints:
    """The sum of products in the accumulator's units, the bias added, wrapped into the accumulator.

    No product loses bits, so wrapping once gives what wrapping at each step does.
    """
    up = lift(op, graph)
    total = total << up
    if op.bias is not None and op.bias_type is not None:
        total = total + (jnp.asarray(graph.constants[op.bias].astype(np.int32)) << bias_lift(op))
    return overflowed(total, op.accum, Overflow.WRAP)


def dense(op: Dense, graph: Graph, x: Ints) -> Ints:
    checked_linear(op, graph)
    left, right = _operands(x, graph.type_of(op.inputs[0]), graph.constants[op.weights])
    contracted = (((x.ndim - 1,), (0,)), ((), ()))
    return _summed(op, graph, lax.dot_general(left, right, contracted, preferred_element_type=jnp.int32))


def conv(op: Conv, graph: Graph, x: Ints) -> Ints:
    checked_linear(op, graph)
    left, right = _operands(x, graph.type_of(op.inputs[0]), graph.constants[op.weights])
    places = "HW"[-len(op.strides) :]
    total = lax.conv_general_dilated(
        left,
        right,
        op.strides,
        op.padding,
        rhs_dilation=op.dilations,
        dimension_numbers=(f"N{places}C", f"{places}IO", f"N{places}C"),
        feature_group_count=op.groups,
        preferred_element_type=jnp.int32,
    )
    return _summed(op, graph, total)


def pool(op: Pool, graph: Graph, x: Ints) -> Ints:
    held(graph.type_of(op.output))
    window, strides = (1, *op.size, 1), (1, *op.strides, 1)
    padding = ((0, 0), *op.padding, (0, 0))
    if op.kind is PoolKind.MAX:
        return lax.reduce_window(x, jnp.int32(-LIMIT), lax.max, window, strides, padding)
    return lax.reduce_window(x, jnp.int32(0), lax.add, window, strides, padding)


def cast(op: Cast, graph: Graph, x: Ints) -> Ints:
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    held(target)
    drop = source.fraction - target.fraction
    inside(*rounded_bounds(source.low, source.high, min(drop, 0)), "its values in the result's units")
    if drop > 30:
        raise Refused(f"it drops {drop} bits", FEWER)
    aligned = rounded(x, drop, op.rounding) if drop > 0 else x << -drop
    return overflowed(aligned, target, op.overflow)


def threshold(op: Threshold, graph: Graph, x: Ints) -> Ints:
    levels = np.clip(graph.constants[op.thresholds], -LIMIT, LIMIT - 1).astype(np.int32)
    if op.signs is not None:
        shape = [1] * x.ndim
        shape[op.axis + 1] = -1
        x = x * jnp.asarray(graph.constants[op.signs].astype(np.int32).reshape(shape))
    edges = levels.reshape(*[1] * (op.axis + 1), len(levels), *[1] * (x.ndim - op.axis - 2), levels.shape[1])
    count = jnp.sum(x[..., None] >= jnp.asarray(edges), axis=-1, dtype=jnp.int32)
    return count * op.step + op.offset


def _aligned(op: Op, graph: Graph, *xs: Ints) -> list[Ints]:
    """Operands in the finest unit of them."""
    return [x << up for x, up in zip(xs, lifts(op, graph), strict=True)]


def add(op: Add, graph: Graph, left: Ints, right: Ints) -> Ints:
    a, b = _aligned(op, graph, left, right)
    return a + b


def elementwise(op: Elementwise, graph: Graph, left: Ints, right: Ints) -> Ints:
    if op.kind is ElementwiseKind.MULTIPLY:
        held(graph.type_of(op.output))
        return left * right
    a, b = _aligned(op, graph, left, right)
    match op.kind:
        case ElementwiseKind.SUBTRACT:
            return a - b
        case ElementwiseKind.AVERAGE:
            return a + b
        case ElementwiseKind.MAXIMUM:
            return jnp.maximum(a, b)
        case ElementwiseKind.MINIMUM:
            return jnp.minimum(a, b)


def _constant(array: np.ndarray, what: str) -> Ints:
    inside(int(array.min()), int(array.max()), what)
    return jnp.asarray(array.astype(np.int32))


def scale(op: Scale, graph: Graph, x: Ints) -> Ints:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    held(result)
    up = result.fraction - source.fraction - op.weight_type.fraction
    bias_up = 0 if op.bias_type is None else result.fraction - op.bias_type.fraction
    bias = None if op.bias is None else graph.constants[op.bias]
    weights, offsets = factors(graph.constants[op.weights], bias, (up, bias_up), source)
    product = x * jnp.asarray(weights.astype(np.int32))
    return product if offsets is None else product + jnp.asarray(offsets.astype(np.int32))


def divide(op: Divide, graph: Graph, x: Ints) -> Ints:
    divisors = _constant(graph.constants[op.divisors], "divisors")
    return lax.div(x, jnp.broadcast_to(divisors, x.shape))


def concat(op: Concat, graph: Graph, *xs: Ints) -> Ints:
    return jnp.concatenate(xs, axis=op.axis + 1)


def pad(op: Pad, graph: Graph, x: Ints) -> Ints:
    return jnp.pad(x, ((0, 0), *op.padding), constant_values=op.value)


def take(op: Take, graph: Graph, x: Ints) -> Ints:
    return jnp.take(x, jnp.asarray(graph.constants[op.indices]), axis=op.axis + 1)


def embed(op: Embed, graph: Graph, x: Ints) -> Ints:
    return jnp.take(_constant(graph.constants[op.table], "entries"), x, axis=0)


def matmul(op: MatMul, graph: Graph, left: Ints, right: Ints) -> Ints:
    held(graph.type_of(op.output))
    a, b = (narrow(x, graph.type_of(name)) for x, name in zip((left, right), op.inputs, strict=True))
    if a.dtype != b.dtype:
        a, b = left, right
    return jnp.matmul(a, b, preferred_element_type=jnp.int32)


def lookup(op: Lookup, graph: Graph, x: Ints) -> Ints:
    table = _constant(graph.constants[op.table], "entries")
    return jnp.take(table, x - graph.type_of(op.inputs[0]).low, axis=0)


def piecewise(op: Piecewise, graph: Graph, x: Ints) -> Ints:
    held(graph.type_of(op.output))
    source = graph.type_of(op.inputs[0])
    knots, slopes, offsets = (graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    largest = int(np.abs(slopes).max()) * max(-source.low, source.high)
    inside(-largest, largest, "products of its slopes")
    edges = np.clip(knots, -LIMIT, LIMIT - 1).astype(np.int32)
    segment = jnp.sum(x[..., None] >= jnp.asarray(edges), axis=-1, dtype=jnp.int32)[..., None]

    def chosen(array: np.ndarray, what: str) -> Ints:
        spread = jnp.broadcast_to(_constant(array, what), (*x.shape, array.shape[-1]))
        return jnp.take_along_axis(spread, segment, axis=-1)[..., 0]

    return chosen(slopes, "slopes") * x + chosen(offsets, "offsets")


def one_hot_max(op: OneHotMax, graph: Graph, x: Ints) -> Ints:
    return (jnp.argmax(x, axis=-1, keepdims=True) == jnp.arange(x.shape[-1])).astype(jnp.int32)


KERNELS: Mapping[type[Op], Callable[..., Ints]] = {
    Add: add,
    Cast: cast,
    Concat: concat,
    Conv: conv,
    Dense: dense,
    Divide: divide,
    Elementwise: elementwise,
    Embed: embed,
    Lookup: lookup,
    MatMul: matmul,
    OneHotMax: one_hot_max,
    Pad: pad,
    Piecewise: piecewise,
    Pool: pool,
    Relu: lambda op, graph, x: jnp.maximum(x, 0),
    Reshape: lambda op, graph, x: x.reshape(x.shape[0], *graph.tensors[op.output].shape),
    Scale: scale,
    Take: take,
    Threshold: threshold,
    Transpose: lambda op, graph, x: x.transpose(0, *(axis + 1 for axis in op.perm)),
}
