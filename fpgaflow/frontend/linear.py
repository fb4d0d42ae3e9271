"""Importers of products with constant weights (Conv, MatMul, Gemm) and of pooling, which slides the same windows."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from fpgaflow.frontend.context import (
    Context,
    check_window,
    float_attribute,
    int_attribute,
    ints_attribute,
    spatial_padding,
)
from fpgaflow.frontend.integers import weight_integers
from fpgaflow.frontend.onnx_file import Node
from fpgaflow.frontend.refuse import refuse
from fpgaflow.frontend.values import ONE, ZERO, Affine, Const, Fractions, Value, broadcast, with_affine
from fpgaflow.ir.ops import PoolKind


def _scaled(tensor: str, unit: Fraction, factors: Fractions, axis: int) -> Value:
    """The value of a sum of products: its integers times the input's unit and each filter's factor."""
    units = tuple(a * b for a, b in broadcast((unit,), factors))
    value = with_affine(Value(tensor, (), axis), units, (ZERO,), axis)
    assert value is not None
    return value


def _with_bias(ctx: Context, node: Node, value: Value, bias: Const | None, gain: Fraction = ONE) -> Value:
    if bias is None:
        return value
    filters = ctx.shape(value)[value.axis]
    if bias.values.size not in (1, filters) or bias.values.shape[-1:] not in ((), (bias.values.size,)):
        refuse(str(node), f"a bias of shape {bias.values.shape} for {filters} filters", "Export the model again")
    entries = tuple(b * gain for b in bias.exact)
    biased = with_affine(value, (ONE,), entries, value.axis)
    assert biased is not None
    return biased


def conv(ctx: Context, node: Node) -> Value:
    value, weights = ctx.value(node, 0), ctx.const(node, 1, "weight")
    shape, kernel = ctx.shape(value), weights.values.shape[2:]
    rank = len(shape) - 1
    if rank not in (1, 2) or len(kernel) != rank:
        refuse(str(node), f"a {len(kernel)}-D kernel over an input of shape {shape}", "Convolve over 1 or 2 axes")
    groups = int_attribute(node, "group", 1)
    strides = ints_attribute(node, "strides", (1,) * rank)
    dilations = ints_attribute(node, "dilations", (1,) * rank)
    filters, depth = weights.values.shape[:2]
    if groups < 1 or depth * groups != shape[0] or filters % groups or not weights.values.size:
        refuse(
            str(node), f"weights {weights.values.shape} in {groups} groups over {shape[0]} channels", "Export it again"
        )
    window = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    padding = spatial_padding(node, shape[1:], window, strides)
    check_window(node, shape[1:], window, padding)
    source, unit = ctx.integers(node, value)
    ints, weight_type, factors = weight_integers(weights, 0, str(node))
    moved = ints.transpose(*range(2, rank + 2), 1, 0)  # (*kernel, channels / groups, filters)
    last = channels_last(ctx, source, node)
    out = ctx.builder.conv(
        last, moved, weight_type, strides, dilations, padding, groups, node.name, f"{node.outputs[0]}.channels_last"
    )
    result = _scaled(channels_first(ctx, out, node, node.outputs[0]), unit, factors, 0)
    return _with_bias(ctx, node, result, ctx.optional(node, 2, "bias"))


def channels_last(ctx: Context, tensor: str, node: Node) -> str:
    rank = len(ctx.builder.shape(tensor))
    return ctx.builder.transpose(tensor, (*range(1, rank), 0), node.name, f"{tensor}.channels_last")


def channels_first(ctx: Context, tensor: str, node: Node, wish: str) -> str:
    rank = len(ctx.builder.shape(tensor))
    return ctx.builder.transpose(tensor, (rank - 1, *range(rank - 1)), node.name, wish)


def _dense(ctx: Context, node: Node, value: Value, weights: Const) -> Value:
    """x (..., n_in) times weights (n_in, n_out)."""
    shape = ctx.shape(value)
    if weights.values.ndim != 2 or shape[-1:] != weights.values.shape[:1] or not weights.values.size:
        refuse(
            str(node),
            f"weights {weights.values.shape} on an input of shape {shape}",
            "Multiply by a constant matrix whose rows match the input's last axis",
        )
    source, unit = ctx.integers(node, value)
    ints, weight_type, factors = weight_integers(weights, 1, str(node))
    out = ctx.builder.dense(source, ints, weight_type, None, None, node.name, node.outputs[0])
    return _scaled(out, unit, factors, len(shape) - 1)


def matmul(ctx: Context, node: Node) -> Value:
    if not isinstance(ctx.at(node, 0), Value):
        refuse(str(node), "a constant on its left side", "Put the activation on the left and the weights on the right")
    if isinstance(ctx.at(node, 1), Value):
        refuse(str(node), "multiplies two activations", "Only products with constant weights can be carried")
    return _dense(ctx, node, ctx.value(node, 0), ctx.const(node, 1, "weight"))


def gemm(ctx: Context, node: Node) -> Value:
    value, weights = ctx.value(node, 0), ctx.const(node, 1, "weight")
    if int_attribute(node, "transA", 0) or len(ctx.shape(value)) != 1:
        refuse(str(node), "transposes its input, or takes one that is not (N, features)", "Flatten the input first")
    if int_attribute(node, "transB", 0):
        scale = None if weights.scale is None else weights.scale.T
        ints = None if weights.ints is None else weights.ints.T
        weights = Const(weights.values.T, ints, scale, weights.width, weights.signed)
    alpha, beta = (Fraction(float_attribute(node, name, 1.0)) for name in ("alpha", "beta"))
    result = with_affine(_dense(ctx, node, value, weights), (alpha,), (ZERO,), 0)
    assert result is not None
    return _with_bias(ctx, node, result, ctx.optional(node, 2, "bias"), beta)


def _window(
    ctx: Context, node: Node, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    rank = len(shape) - 1
    if rank not in (1, 2):
        refuse(str(node), f"pools an input of shape {shape}", "Pool over 1 or 2 spatial axes")
    size = ints_attribute(node, "kernel_shape", (0,) * rank)
    strides = ints_attribute(node, "strides", (1,) * rank)
    if any(d != 1 for d in ints_attribute(node, "dilations", (1,) * rank)):
        refuse(str(node), "its window is dilated", "Pool without dilation")
    padding = spatial_padding(node, shape[1:], size, strides)
    check_window(node, shape[1:], size, padding)
    uneven = any((n + sum(p) - w) % s for n, p, w, s in zip(shape[1:], padding, size, strides, strict=True))
    if int_attribute(node, "ceil_mode", 0) and uneven:
        refuse(str(node), "ceil_mode reaches beyond its input", "Use ceil_mode=False, or a size that divides evenly")
    return size, strides, padding


def _pooled(
    ctx: Context,
    node: Node,
    value: Value,
    kind: PoolKind,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> str:
    last = channels_last(ctx, value.tensor, node)
    out = ctx.builder.pool(last, kind, size, strides, padding, node.name, f"{node.outputs[0]}.channels_last")
    return channels_first(ctx, out, node, node.outputs[0])


def _rising(value: Value) -> bool:
    return all(min(step.scale) > 0 for step in value.steps if isinstance(step, Affine))


def _alike_in_space(value: Value) -> bool:
    """Whether what is pending is the same at every place of a window: one for all, or per channel."""
    return value.axis == 0 or not any(isinstance(step, Affine) and step.per_channel for step in value.steps)


def _plain(ctx: Context, node: Node, value: Value) -> Value:
    """The value with nothing pending but one factor."""
    tensor, unit = ctx.integers(node, value)
    return _scaled(tensor, unit, (ONE,), value.axis)


def max_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    size, strides, padding = _window(ctx, node, ctx.shape(value))
    return _max_pool(ctx, node, value, size, strides, padding)


def _max_pool(
    ctx: Context,
    node: Node,
    value: Value,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> Value:
    if any(map(any, padding)):
        refuse(str(node), f"max pooling with padding {padding}", "Pool without padding")
    if len([o for o in node.outputs if o]) > 1:
        refuse(str(node), "asks for the indices of the maxima", "Export it with one output")
    # A maximum and rising steps change places, so what is pending may stay so.
    if value.raw or not (_rising(value) and _alike_in_space(value)):
        value = _plain(ctx, node, value)
    return Value(_pooled(ctx, node, value, PoolKind.MAX, size, strides, padding), value.steps, value.axis)


def average_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    size, strides, padding = _window(ctx, node, ctx.shape(value))
    if any(map(any, padding)) and not int_attribute(node, "count_include_pad", 0):
        refuse(
            str(node),
            "averages over windows of different sizes at the border",
            "Use count_include_pad=True, or no padding",
        )
    return _average(ctx, node, value, size, strides, padding)


def _average(
    ctx: Context,
    node: Node,
    value: Value,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> Value:
    # A mean and affine steps change places; with padding an offset would not.
    linear = all(isinstance(s, Affine) and not (s.has_offset and any(map(any, padding))) for s in value.steps)
    if value.raw or not (linear and _alike_in_space(value)):
        value = _plain(ctx, node, value)
    window = prod(size)
    if window & (window - 1) == 0:
        return Value(_pooled(ctx, node, value, PoolKind.AVERAGE, size, strides, padding), value.steps, value.axis)
    pooled = Value(_pooled(ctx, node, value, PoolKind.SUM, size, strides, padding), (), value.axis)
    result = with_affine(pooled, (Fraction(1, window),), (ZERO,), value.axis)
    for step in value.steps:
        assert isinstance(step, Affine) and result is not None
        result = with_affine(result, step.scale, step.offset, value.axis)
    assert result is not None
    return result


def _whole(ctx: Context, node: Node, value: Value) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    shape = ctx.shape(value)
    if len(shape) not in (2, 3):
        refuse(str(node), f"pools an input of shape {shape}", "Pool over 1 or 2 spatial axes")
    return shape[1:], ((0, 0),) * (len(shape) - 1)


def global_max_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    size, padding = _whole(ctx, node, value)
    return _max_pool(ctx, node, value, size, size, padding)


def global_average_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    size, padding = _whole(ctx, node, value)
    return _average(ctx, node, value, size, size, padding)
