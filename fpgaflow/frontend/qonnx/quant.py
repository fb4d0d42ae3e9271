"""Importers of QONNX's quantisers: Quant, IntQuant, BipolarQuant."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact.values import Const, Value, fractions
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.quantizers import QonnxRounding, Quantizer, close
from fpgaflow.frontend.refuse import refuse

MAX_WIDTH = 32
_BREVITAS_MODES = {"ROUND_TO_ZERO": "DOWN"}  # Brevitas' name of a mode, which QONNX has under another one
_SYMMETRIC = "Use a zero-point of 0 (Brevitas: Int8ActPerTensorFloat; QKeras quantisers have it)"
_SCALES = "Use one scale, or one per output channel (Brevitas: scaling_per_output_channel=True)"


def bit_width(node: Node, const: Const) -> int:
    if const.values.size != 1 or not float(const.values.reshape(-1)[0]).is_integer():
        refuse(str(node), f"bit width {const.values.tolist()}", "Use one whole number of bits (Brevitas: bit_width=4)")
    bits = int(const.values.reshape(-1)[0])
    if not 1 <= bits <= MAX_WIDTH:
        refuse(str(node), f"bit width {bits}", f"Use 1 to {MAX_WIDTH} bits")
    return bits


def zero_point(node: Node, const: Const) -> int:
    entries = set(fractions(const.values))
    zero = entries.pop() if len(entries) == 1 else Fraction(1, 2)
    if zero.denominator != 1 or abs(zero) >= 1 << MAX_WIDTH:
        refuse(str(node), "a zero-point that is not one whole number for the tensor", _SYMMETRIC)
    return int(zero)


def positive_scale(node: Node, const: Const) -> np.ndarray:
    scale = const.values
    if scale.dtype.kind != "f" or not scale.size or not np.isfinite(scale).all() or (scale <= 0).any():
        refuse(str(node), "a scale that is zero, negative, infinite or not a float", "Scales are positive numbers")
    return scale


def rounding_mode(node: Node, default: QonnxRounding) -> QonnxRounding:
    given = str(node.attributes.get("rounding_mode", default.value)).upper()
    mode = _BREVITAS_MODES.get(given, given)
    if mode not in QonnxRounding.__members__:
        names = ", ".join(QonnxRounding.__members__)
        refuse(str(node), f"rounding mode '{mode}'", f"Use one of {names}")
    return QonnxRounding[mode]


def _quantizer(ctx: Context, node: Node, rank: int) -> tuple[Quantizer, np.ndarray]:
    """What a Quant or BipolarQuant node says; the axis counts in a tensor of `rank` axes, the batch among them."""
    scale = positive_scale(node, ctx.const(node, 1, "scale"))
    bipolar, zero = node.kind == "BipolarQuant", 0
    signed, narrow, bits, rounding = True, False, 2, QonnxRounding.ROUND
    if not bipolar:
        zero = zero_point(node, ctx.const(node, 2, "zero-point"))
        bits = bit_width(node, ctx.const(node, 3, "bit width"))
        signed, narrow = bool(int_attribute(node, "signed", 1)), bool(int_attribute(node, "narrow", 1))
        rounding = rounding_mode(node, QonnxRounding.ROUND)
        bipolar = signed and bits == 1
    if bipolar and zero:
        refuse(str(node), f"one signed bit with a zero-point of {zero}", _SYMMETRIC)
    if scale.ndim > rank:
        refuse(str(node), f"a scale of shape {scale.shape} for a tensor of {rank} axes", _SCALES)
    aligned = (1,) * (rank - scale.ndim) + scale.shape
    long = [axis for axis, n in enumerate(aligned) if n != 1]
    if len(long) > 1:
        refuse(str(node), f"a scale of shape {scale.shape}", _SCALES)
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
        refuse(str(node), f"a scale of shape {scale.shape} for weights {weights.shape}", _SCALES)
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
