"""Importers of products with constant weights: Conv, MatMul, Gemm."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact.integers import weight_integers
from fpgaflow.frontend.exact.values import ONE, ZERO, Const, Fractions, Value, broadcast, with_affine
from fpgaflow.frontend.qonnx import merge
from fpgaflow.frontend.qonnx.context import (
    Context,
    check_window,
    float_attribute,
    int_attribute,
    ints_attribute,
    spatial_padding,
)
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse


def scaled(tensor: str, unit: Fraction, factors: Fractions, axis: int) -> Value:
    """The value of a sum of products: its integers times the input's unit and each filter's factor."""
    units = tuple(a * b for a, b in broadcast((unit,), factors))
    value = with_affine(Value(tensor, (), axis), units, (ZERO,), axis)
    assert value is not None
    return value


def check_weights(ctx: Context, node: Node) -> None:
    """Refuses a product with constant weights that are floating point."""
    axes = {"Conv": 0, "Gemm": 0, "MatMul": -1}
    weights = ctx.known.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.kind not in axes or not isinstance(weights, Const) or weights.ints is not None:
        return
    if weights.values.size and weights.values.dtype.kind == "f":
        weight_integers(ctx.const(node, 1, "weight"), axes[node.kind], str(node))


def with_bias(ctx: Context, node: Node, value: Value, bias: Const | None, gain: Fraction = ONE) -> Value:
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
    result = scaled(channels_first(ctx, out, node, node.outputs[0]), unit, factors, 0)
    return with_bias(ctx, node, result, ctx.optional(node, 2, "bias"))


def channels_last(ctx: Context, tensor: str, node: Node) -> str:
    rank = len(ctx.builder.shape(tensor))
    return ctx.builder.transpose(tensor, (*range(1, rank), 0), node.name, f"{tensor}.channels_last")


def channels_first(ctx: Context, tensor: str, node: Node, wish: str) -> str:
    rank = len(ctx.builder.shape(tensor))
    return ctx.builder.transpose(tensor, (rank - 1, *range(rank - 1)), node.name, wish)


def _dense(ctx: Context, node: Node, value: Value, weights: Const, wish: str | None = None) -> Value:
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
    out = ctx.builder.dense(source, ints, weight_type, None, None, node.name, wish or node.outputs[0])
    return scaled(out, unit, factors, len(shape) - 1)


def matmul(ctx: Context, node: Node) -> Value:
    if not isinstance(ctx.at(node, 0), Value):
        return _from_the_left(ctx, node, ctx.const(node, 0, "weight"), ctx.value(node, 1))
    if isinstance(ctx.at(node, 1), Value):
        return merge.matmul(ctx, node)
    return _dense(ctx, node, ctx.value(node, 0), _matrix(ctx.const(node, 1, "weight")))


def _matrix(weights: Const) -> Const:
    """Weights (1, ..., 1, n, m) as (n, m)."""
    rank = weights.values.ndim
    if rank <= 2 or weights.values.shape[:-2] != (1,) * (rank - 2):
        return weights
    return _mapped(weights, lambda array: array.reshape(array.shape[-2:]))


def _mapped(weights: Const, move: Callable[[np.ndarray], np.ndarray]) -> Const:
    ints, scale = (None if array is None else move(array) for array in (weights.ints, weights.scale))
    return Const(move(weights.values), ints, scale, weights.width, weights.signed)


def _from_the_left(ctx: Context, node: Node, weights: Const, value: Value) -> Value:
    """W x as (x' W')', the last two axes of x and of the result exchanged."""
    rank = len(ctx.shape(value))
    if rank < 2 or weights.values.ndim < 2:
        refuse(str(node), "a constant on its left side", "Put the activation on the left and the weights on the right")
    perm = (*range(rank - 2), rank - 1, rank - 2)

    def turned(x: Value) -> Value:
        tensor = ctx.builder.transpose(x.tensor, perm, node.name, f"{node.outputs[0]}.turned")
        return Value(tensor, x.steps, perm.index(x.axis), x.raw)

    across = _mapped(_matrix(weights), lambda array: array.swapaxes(-1, -2))
    return turned(_dense(ctx, node, turned(value), across, f"{node.outputs[0]}.product"))


def gemm(ctx: Context, node: Node) -> Value:
    value, weights = ctx.value(node, 0), ctx.const(node, 1, "weight")
    if int_attribute(node, "transA", 0) or len(ctx.shape(value)) != 1:
        refuse(str(node), "transposes its input, or takes one that is not (N, features)", "Flatten the input first")
    if int_attribute(node, "transB", 0):
        weights = _mapped(weights, lambda array: array.T)
    alpha, beta = (Fraction(float_attribute(node, name, 1.0)) for name in ("alpha", "beta"))
    result = with_affine(_dense(ctx, node, value, weights), (alpha,), (ZERO,), 0)
    assert result is not None
    return with_bias(ctx, node, result, ctx.optional(node, 2, "bias"), beta)
