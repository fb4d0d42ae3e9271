"""Importers of what works element by element: BatchNormalization, Relu, Add, Mul, ..."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact.values import (
    ONE,
    RELU,
    ZERO,
    Const,
    Fractions,
    Value,
    fractions,
    inverse_sqrt,
    with_affine,
)
from fpgaflow.frontend.qonnx import arrays, merge
from fpgaflow.frontend.qonnx.context import Context, float_attribute, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse


def _affine(ctx: Context, node: Node, value: Value, scale: Fractions, offset: Fractions, axis: int) -> Value:
    result = with_affine(value, scale, offset, axis)
    if result is None:
        refuse(str(node), "per-channel constants along two different axes meet", "Quantise between the two nodes")
    return result


def batch_normalization(ctx: Context, node: Node) -> Value:
    """(x - mean) × gamma / sqrt(var + epsilon) + beta, with running statistics (ONNX operator specification)."""
    value = ctx.value(node, 0)
    if int_attribute(node, "training_mode", 0):
        refuse(str(node), "is in training mode", "Export the model after model.eval()")
    gamma, beta, mean, variance = (
        fractions(_channels(ctx, node, value, i, what))
        for i, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance"))
    )
    epsilon = Fraction(float(np.float32(float_attribute(node, "epsilon", 1e-5))))
    if any(v + epsilon <= 0 for v in variance):
        refuse(str(node), "a variance that is not positive", "Train or export the model again")
    scale = tuple(g * inverse_sqrt(v + epsilon) for g, v in zip(gamma, variance, strict=True))
    offset = tuple(b - m * s for b, m, s in zip(beta, mean, scale, strict=True))
    return _affine(ctx, node, value, scale, offset, 0)


def _channels(ctx: Context, node: Node, value: Value, position: int, what: str) -> np.ndarray:
    array = ctx.const(node, position, what).values
    if array.shape != ctx.shape(value)[:1]:
        refuse(str(node), f"a {what} of shape {array.shape} for {ctx.shape(value)}", "Export the model again")
    return array


def relu(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    steps = value.steps if value.steps and value.steps[-1] == RELU else (*value.steps, RELU)
    return Value(value.tensor, steps, value.axis, value.raw)


def identity(ctx: Context, node: Node) -> Value:
    return ctx.value(node, 0)


def dropout(ctx: Context, node: Node) -> Value:
    if (mode := ctx.optional(node, 2, "training mode")) is not None and mode.values.any():
        refuse(str(node), "is in training mode", "Export the model after model.eval()")
    return ctx.value(node, 0)


def _operands(ctx: Context, node: Node) -> tuple[Value, Fractions, int, bool]:
    """The activation, the constant beside it, the axis it runs along, and whether the activation comes first."""
    first = isinstance(ctx.at(node, 0), Value)
    value, const = ctx.value(node, 0 if first else 1), ctx.const(node, 1 if first else 0, "second operand")
    return (value, *ctx.per_channel(node, const, value, "constant"), first)


def _array_operand(ctx: Context, node: Node) -> tuple[Value, Const, bool] | None:
    """As `_operands` where the constant differs along several axes; None where it does not."""
    first = isinstance(ctx.at(node, 0), Value)
    value, const = ctx.value(node, 0 if first else 1), ctx.const(node, 1 if first else 0, "second operand")
    return (value, const, first) if arrays.along_several_axes(ctx, value, const) else None


def _two_activations(ctx: Context, node: Node) -> bool:
    return all(isinstance(ctx.at(node, position), Value) for position in (0, 1))


def add(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        return merge.add(ctx, node)
    if (wide := _array_operand(ctx, node)) is not None:
        return arrays.plus_array(ctx, node, *wide[:2], (1, 1))
    value, entries, axis, _ = _operands(ctx, node)
    return _affine(ctx, node, value, (ONE,), entries, axis)


def subtract(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        return merge.subtract(ctx, node)
    if (wide := _array_operand(ctx, node)) is not None:
        return arrays.plus_array(ctx, node, *wide[:2], (1, -1) if wide[2] else (-1, 1))
    value, entries, axis, first = _operands(ctx, node)
    if first:
        return _affine(ctx, node, value, (ONE,), tuple(-e for e in entries), axis)
    return _affine(ctx, node, value, (-ONE,), entries, axis)


def multiply(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        return merge.multiply(ctx, node)
    if (wide := _array_operand(ctx, node)) is not None:
        return arrays.times_array(ctx, node, *wide[:2])
    value, entries, axis, _ = _operands(ctx, node)
    return _affine(ctx, node, value, entries, (ZERO,), axis)


def divide(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        refuse(str(node), "divides two activations", "Only division by constants can be carried")
    value, entries, axis, first = _operands(ctx, node)
    if not first or not all(entries):
        refuse(str(node), "divides by an activation or by zero", "Only division by non-zero constants can be carried")
    return _affine(ctx, node, value, tuple(1 / e for e in entries), (ZERO,), axis)


def negate(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    return _affine(ctx, node, value, (-ONE,), (ZERO,), value.axis)
