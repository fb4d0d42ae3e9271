"""Importers of quantisers and of what works element by element: Quant, BatchNormalization, Relu, Add, Mul, ..."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.context import Context, float_attribute, int_attribute
from fpgaflow.frontend.onnx_file import Node
from fpgaflow.frontend.quantizers import QonnxRounding, Quantizer, close
from fpgaflow.frontend.refuse import refuse
from fpgaflow.frontend.values import (
    ONE,
    RELU,
    ZERO,
    Affine,
    Const,
    Fractions,
    Value,
    fractions,
    inverse_sqrt,
    with_affine,
)

MAX_WIDTH = 32


def _bits(node: Node, const: Const) -> int:
    if const.values.size != 1 or not float(const.values.reshape(-1)[0]).is_integer():
        refuse(str(node), f"bit width {const.values.tolist()}", "Use one whole number of bits for the tensor")
    bits = int(const.values.reshape(-1)[0])
    if not 1 <= bits <= MAX_WIDTH:
        refuse(str(node), f"bit width {bits}", f"Use 1 to {MAX_WIDTH} bits")
    return bits


def _zero_point(node: Node, const: Const) -> int:
    entries = set(fractions(const.values))
    zero = entries.pop() if len(entries) == 1 else Fraction(1, 2)
    if zero.denominator != 1 or abs(zero) >= 1 << MAX_WIDTH:
        refuse(str(node), "a zero-point that is not one whole number for the tensor", "Use a zero-point of 0")
    return int(zero)


def _scale(node: Node, const: Const) -> np.ndarray:
    scale = const.values
    if scale.dtype.kind != "f" or not scale.size or not np.isfinite(scale).all() or (scale <= 0).any():
        refuse(str(node), "a scale that is zero, negative, infinite or not a float", "Scales are positive numbers")
    return scale


def _quantizer(ctx: Context, node: Node, rank: int) -> tuple[Quantizer, np.ndarray]:
    """What a Quant or BipolarQuant node says; the axis counts in a tensor of `rank` axes, the batch among them."""
    scale = _scale(node, ctx.const(node, 1, "scale"))
    bipolar, zero = node.kind == "BipolarQuant", 0
    signed, narrow, bits, rounding = True, False, 2, QonnxRounding.ROUND
    if not bipolar:
        zero = _zero_point(node, ctx.const(node, 2, "zero-point"))
        bits = _bits(node, ctx.const(node, 3, "bit width"))
        signed, narrow = bool(int_attribute(node, "signed", 1)), bool(int_attribute(node, "narrow", 1))
        mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
        if mode not in QonnxRounding.__members__:
            names = ", ".join(QonnxRounding.__members__)
            refuse(str(node), f"rounding mode '{mode}'", f"Use one of {names}")
        rounding = QonnxRounding[mode]
        bipolar = signed and bits == 1
    if bipolar and zero:
        refuse(str(node), f"one signed bit with a zero-point of {zero}", "Use a zero-point of 0")
    if scale.ndim > rank:
        refuse(str(node), f"a scale of shape {scale.shape} for a tensor of {rank} axes", "Export the model again")
    aligned = (1,) * (rank - scale.ndim) + scale.shape
    long = [axis for axis, n in enumerate(aligned) if n != 1]
    if len(long) > 1:
        refuse(str(node), f"a scale of shape {scale.shape}", "Use one scale, or one per channel")
    if bipolar:
        low, high, width = -1, 1, 2
    elif signed:
        low, high, width = -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1, bits
    else:
        low, high, width = 0, (1 << bits) - 1 - narrow, bits
    quantizer = Quantizer(fractions(scale), zero, low, high, signed, width, rounding, bipolar, long[0] if long else 0)
    return quantizer, scale.reshape(aligned)


def quant(ctx: Context, node: Node) -> Value | Const:
    source = ctx.at(node, 0)
    if isinstance(source, Const):
        source = ctx.const(node, 0, "tensor")
        ctx.spend(node, source.values.size)
        quantizer, scale = _quantizer(ctx, node, source.values.ndim)
        return _quantised_constant(node, source, quantizer, scale)
    value = ctx.value(node, 0)
    shape = ctx.shape(value)
    quantizer, scale = _quantizer(ctx, node, len(shape) + 1)
    if scale.size > 1 and (quantizer.axis == 0 or scale.size != shape[quantizer.axis - 1]):
        refuse(str(node), f"{scale.size} scales along an axis of {shape}", "Use one scale, or one per channel")
    axis = quantizer.axis - 1 if scale.size > 1 else value.axis
    spread = Quantizer(**{**vars(quantizer), "axis": axis})
    return close(ctx.builder, value, spread, node.name, node.outputs[0])


def _quantised_constant(node: Node, source: Const, quantizer: Quantizer, scale: np.ndarray) -> Const:
    """Constant weights through their quantiser, in float32 as every executor of QONNX computes them."""
    weights = source.values.astype(np.float32)
    if any(n not in (1, m) for n, m in zip(scale.shape, weights.shape, strict=True)):
        refuse(str(node), f"a scale of shape {scale.shape} for weights {weights.shape}", "Export the model again")
    with np.errstate(over="ignore"):  # infinity is clipped too
        scaled = weights / scale.astype(np.float32) + np.float32(quantizer.zero_point)
    if quantizer.bipolar:
        ints = np.where(scaled >= 0, 1, -1).astype(np.int64)
    else:
        bounded = np.clip(scaled, quantizer.low, quantizer.high)
        rounded = _ROUND[quantizer.rounding](bounded).astype(np.int64)
        # From 25 bits on, float32 rounds the upper bound itself up.
        ints = np.clip(rounded, quantizer.low, quantizer.high) - quantizer.zero_point
    values = (ints.astype(np.float32) * scale).astype(np.float32)
    result = quantizer.result_type
    return Const(values, ints, scale.astype(np.float64), result.width, result.signed)


_ROUND: dict[QonnxRounding, Callable[[np.ndarray], np.ndarray]] = {
    QonnxRounding.ROUND: np.rint,
    QonnxRounding.HALF_EVEN: np.rint,
    QonnxRounding.CEIL: np.ceil,
    QonnxRounding.FLOOR: np.floor,
    QonnxRounding.UP: lambda v: np.sign(v) * np.ceil(np.abs(v)),
    QonnxRounding.DOWN: np.trunc,
    QonnxRounding.HALF_UP: lambda v: np.sign(v) * np.floor(np.abs(v) + 0.5),
    QonnxRounding.HALF_DOWN: lambda v: np.sign(v) * np.ceil(np.abs(v) - 0.5),
}


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
    if value.raw:
        refuse(str(node), "clamps the model's input before any quantiser", "Quantise the input first")
    steps = value.steps if value.steps and value.steps[-1] == RELU else (*value.steps, RELU)
    return Value(value.tensor, steps, value.axis)


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


def _two_activations(ctx: Context, node: Node) -> bool:
    return all(isinstance(ctx.at(node, position), Value) for position in (0, 1))


def add(ctx: Context, node: Node) -> Value:
    if not _two_activations(ctx, node):
        value, entries, axis, _ = _operands(ctx, node)
        return _affine(ctx, node, value, (ONE,), entries, axis)
    left, right = ctx.value(node, 0), ctx.value(node, 1)
    if ctx.shape(left) != ctx.shape(right):
        refuse(str(node), f"adds shapes {ctx.shape(left)} and {ctx.shape(right)}", "Add tensors of one shape")
    (a, unit_a), (b, unit_b) = ctx.integers(node, left), ctx.integers(node, right)
    if unit_a != unit_b:
        scales = " and ".join(f"{float(u) * ctx.builder.type(t).scale:.9g}" for t, u in ((a, unit_a), (b, unit_b)))
        refuse(
            str(node),
            f"its branches have different scales ({scales})",
            "Share one quantiser between the branches, or use power-of-two scales",
        )
    total = ctx.builder.add(a, b, node.name, node.outputs[0])
    return Value(total, () if unit_a == ONE else (Affine((unit_a,), (ZERO,)),), left.axis)


def subtract(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        refuse(str(node), "subtracts two activations", "Only constants can be subtracted")
    value, entries, axis, first = _operands(ctx, node)
    if first:
        return _affine(ctx, node, value, (ONE,), tuple(-e for e in entries), axis)
    return _affine(ctx, node, value, (-ONE,), entries, axis)


def multiply(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        refuse(str(node), "multiplies two activations", "Only products with constants can be carried")
    value, entries, axis, _ = _operands(ctx, node)
    return _affine(ctx, node, value, entries, (ZERO,), axis)


def divide(ctx: Context, node: Node) -> Value:
    if _two_activations(ctx, node):
        refuse(str(node), "divides two activations", "Only division by constants can be carried")
    value, entries, axis, first = _operands(ctx, node)
    if not first or not all(entries):
        refuse(str(node), "divides by an activation or by zero", "Only division by non-zero constants can be carried")
    return _affine(ctx, node, value, tuple(1 / e for e in entries), (ZERO,), axis)
