"""Importers of QONNX's quantisers: Quant, IntQuant, BipolarQuant."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from fpgaflow.frontend.exact.values import Const, Value, fractions
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.quantizers import QonnxRounding, Quantizer, close
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import type_for

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
    """The one zero-point of an activation."""
    zeros = _zero_points(node, const)
    if zeros.min() != zeros.max():
        refuse(str(node), "a zero-point that is not one whole number for the tensor", _SYMMETRIC)
    return int(zeros.max())


def _zero_points(node: Node, const: Const) -> np.ndarray:
    entries = fractions(const.values)
    if not entries or any(zero.denominator != 1 or abs(zero) >= 1 << MAX_WIDTH for zero in entries):
        refuse(str(node), "a zero-point that is no whole number of 32 bits", _SYMMETRIC)
    return np.array([int(zero) for zero in entries], dtype=np.int64).reshape(const.values.shape)


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


def _quantizer(ctx: Context, node: Node, rank: int) -> tuple[Quantizer, np.ndarray, np.ndarray]:
    """What a Quant or BipolarQuant node says, with its scales and zero-points, for a tensor of `rank` axes.

    The axis counts the batch. Of zero-points that differ the quantiser has the largest.
    """
    scale = positive_scale(node, ctx.const(node, 1, "scale"))
    bipolar, zeros = node.kind == "BipolarQuant", np.zeros(1, dtype=np.int64)
    signed, narrow, bits, rounding = True, False, 2, QonnxRounding.ROUND
    if not bipolar:
        zeros = _zero_points(node, ctx.const(node, 2, "zero-point"))
        bits = bit_width(node, ctx.const(node, 3, "bit width"))
        signed, narrow = bool(int_attribute(node, "signed", 1)), bool(int_attribute(node, "narrow", 1))
        rounding = rounding_mode(node, QonnxRounding.ROUND)
        bipolar = signed and bits == 1
    zero = int(zeros.max())
    if bipolar and zeros.any():
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
    return quantizer, scale.reshape(aligned), zeros


def quant(ctx: Context, node: Node) -> Value | Const:
    source = ctx.at(node, 0)
    if isinstance(source, Const):
        source = ctx.const(node, 0, "tensor")
        ctx.spend(node, source.values.size)
        return _quantised_constant(node, source, *_quantizer(ctx, node, source.values.ndim))
    value = ctx.value(node, 0)
    shape = ctx.shape(value)
    quantizer, scale, zeros = _quantizer(ctx, node, len(shape) + 1)
    if (zeros != quantizer.zero_point).any():
        refuse(str(node), "a zero-point that is not one whole number for the tensor", _SYMMETRIC)
    if scale.size > 1 and (quantizer.axis == 0 or scale.size != shape[quantizer.axis - 1]):
        refuse(str(node), f"{scale.size} scales along an axis of {shape}", "Use one scale, or one per channel")
    axis = quantizer.axis - 1 if scale.size > 1 else value.axis
    spread = Quantizer(**{**vars(quantizer), "axis": axis})
    return close(ctx.builder, value, spread, node.name, node.outputs[0])


def _quantised_constant(node: Node, source: Const, quantizer: Quantizer, scale: np.ndarray, zeros: np.ndarray) -> Const:
    """Constant weights through their quantiser, in float32 as every executor of QONNX computes them."""
    weights = source.values.astype(np.float32)
    if any(n not in (1, m) for n, m in zip(scale.shape, weights.shape, strict=True)):
        refuse(str(node), f"a scale of shape {scale.shape} for weights {weights.shape}", _SCALES)
    spread = (1,) * (weights.ndim - zeros.ndim) + zeros.shape
    if zeros.size > 1 and any(n not in (1, m) for n, m in itertools.zip_longest(spread, weights.shape)):
        refuse(str(node), f"zero-points of shape {zeros.shape} for weights {weights.shape}", _SYMMETRIC)
    zeros = zeros if zeros.size > 1 else zeros.reshape(())
    with np.errstate(over="ignore"):  # infinity is clipped too
        scaled = weights / scale.astype(np.float32) + zeros.astype(np.float32)
    if quantizer.bipolar:
        ints = np.where(scaled >= 0, 1, -1).astype(np.int64)
    else:
        bounded = np.clip(scaled, quantizer.low, quantizer.high)
        rounded = _ROUND[quantizer.rounding](bounded).astype(np.int64)
        # From 25 bits on, float32 rounds the upper bound itself up.
        ints = np.clip(rounded, quantizer.low, quantizer.high) - zeros
    values = (ints.astype(np.float32) * scale).astype(np.float32)
    held = quantizer.result_type
    if zeros.any():
        held = type_for(quantizer.low - int(zeros.max()), quantizer.high - int(zeros.min()), 0)
    return Const(values, ints, scale.astype(np.float64), held.width, held.signed)


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
