"""Importers of activation functions: clamps and slopes as exact steps, the others as functions to be tabulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact.advice import QUANTISE_INPUT
from fpgaflow.frontend.exact.values import (
    ONE,
    ZERO,
    Affine,
    Clamp,
    Function,
    Leaky,
    Product,
    Step,
    Value,
    with_affine,
)
from fpgaflow.frontend.qonnx import qdq
from fpgaflow.frontend.qonnx.context import Context, Known, Open, float_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse

HALF = Fraction(1, 2)


def _value(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    if value.raw:
        refuse(str(node), "reads the model's input before any quantiser has", QUANTISE_INPUT)
    return value


def _parameter(node: Node, name: str, default: float) -> Fraction:
    """An attribute as the float32 number that it is stored as."""
    return Fraction(float(np.float32(float_attribute(node, name, default))))


def _then(value: Value, *steps: Step) -> Value:
    for step in steps:
        if isinstance(step, Affine):
            merged = with_affine(value, step.scale, step.offset, value.axis)
            assert merged is not None
            value = merged
        else:
            value = replace(value, steps=(*value.steps, step))
    return value


def clip(ctx: Context, node: Node) -> Known:
    """Clip of an activation; of a QuantizeLinear's integers it narrows that quantiser."""
    if node.inputs and isinstance(ctx.known[node.inputs[0]], Open):
        return qdq.clip(ctx, node)
    bounds: list[Fraction | None] = []
    for position, name in ((1, "min"), (2, "max")):
        const = ctx.optional(node, position, name)
        if const is None:
            bounds.append(_parameter(node, name, 0.0) if name in node.attributes else None)
        elif const.values.size == 1:
            bounds.append(const.exact[0])
        else:
            refuse(str(node), f"a {name} of {const.values.size} numbers", "Clip at one number")
    low, high = bounds
    if low is not None and high is not None and low > high:
        refuse(str(node), f"clips between {float(low):.9g} and {float(high):.9g}", "Give a minimum below the maximum")
    return _then(ctx.value(node, 0), Clamp(low, high))


def hard_sigmoid(ctx: Context, node: Node) -> Value:
    """max(0, min(1, alpha x + beta))."""
    alpha, beta = _parameter(node, "alpha", 0.2), _parameter(node, "beta", 0.5)
    return _then(_value(ctx, node), Affine((alpha,), (beta,)), Clamp(ZERO, ONE))


def hard_swish(ctx: Context, node: Node) -> Value:
    """x times HardSigmoid(x) with alpha = 1/6 in float32, as its definition by other operators has it."""
    alpha = Fraction(float(np.float32(1 / 6)))
    return _times_itself(_value(ctx, node), Affine((alpha,), (HALF,)), Clamp(ZERO, ONE))


def _times_itself(value: Value, *steps: Step) -> Value:
    """x times what the steps make of x."""
    return replace(value, steps=(Product(value.steps, _then(value, *steps).steps),))


def leaky_relu(ctx: Context, node: Node) -> Value:
    return _then(_value(ctx, node), Leaky((_parameter(node, "alpha", 0.01),)))


def prelu(ctx: Context, node: Node) -> Value:
    value, const = _value(ctx, node), ctx.const(node, 1, "slope")
    slopes, axis = ctx.per_channel(node, const, value, "slope")
    if len(set(slopes)) == 1:
        return _then(value, Leaky(slopes[:1]))
    if value.per_channel and axis != value.axis:
        refuse(str(node), "slopes along another axis than its input's scales", "Quantise before it")
    return replace(value, steps=(*value.steps, Leaky(slopes)), axis=axis)


def absolute(ctx: Context, node: Node) -> Value:
    return _then(_value(ctx, node), Leaky((-ONE,)))


def elu(ctx: Context, node: Node) -> Value:
    alpha = _parameter(node, "alpha", 1.0)
    if alpha < 0:
        refuse(str(node), f"alpha {float(alpha):.9g}", "Use an alpha of 0 or more")
    return _then(_value(ctx, node), Function("elu", alpha))


def selu(ctx: Context, node: Node) -> Value:
    alpha = _parameter(node, "alpha", 1.67326319217681884765625)
    gamma = _parameter(node, "gamma", 1.05070102214813232421875)
    if alpha < 0:
        refuse(str(node), f"alpha {float(alpha):.9g}", "Use an alpha of 0 or more")
    return _then(_value(ctx, node), Function("elu", alpha), Affine((gamma,), (ZERO,)))


def celu(ctx: Context, node: Node) -> Value:
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1)) = alpha elu(x / alpha)."""
    alpha = _parameter(node, "alpha", 1.0)
    if alpha <= 0:
        refuse(str(node), f"alpha {float(alpha):.9g}", "Use a positive alpha")
    return _then(_value(ctx, node), Affine((1 / alpha,), (ZERO,)), Function("elu", ONE), Affine((alpha,), (ZERO,)))


def gelu(ctx: Context, node: Node) -> Value:
    """x (1 + erf(x / sqrt(2))) / 2."""
    if str(node.attributes.get("approximate", "none")) != "none":
        refuse(str(node), "approximates by tanh", "Use nn.GELU() without approximation")
    return _times_itself(_value(ctx, node), Function("erf of halves"), Affine((HALF,), (HALF,)))


def mish(ctx: Context, node: Node) -> Value:
    return _times_itself(_value(ctx, node), Function("softplus"), Function("tanh"))


def _function(kind: str) -> Callable[[Context, Node], Value]:
    return lambda ctx, node: _then(_value(ctx, node), Function(kind))


sigmoid, tanh, erf, exponential, softplus = map(_function, ("sigmoid", "tanh", "erf", "exp", "softplus"))
