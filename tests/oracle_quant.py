"""The oracle's quantising operators beyond Quant: MultiThreshold, Trunc, and ONNX's own integer operators.

Definitions: qonnx/custom_op/general/{multithreshold,trunc}.py and the ONNX operator specification.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, log2
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

Array = np.ndarray
RANGES = {
    np.dtype("int8"): (-128, 127),
    np.dtype("uint8"): (0, 255),
    np.dtype("int16"): (-32768, 32767),
    np.dtype("uint16"): (0, 65535),
    helper.tensor_dtype_to_np_dtype(TensorProto.INT4): (-8, 7),
    helper.tensor_dtype_to_np_dtype(TensorProto.UINT4): (0, 15),
}


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    for entry in node.attribute:
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            return value.decode() if isinstance(value, bytes) else value
    return default


def multithreshold(node: NodeProto, x: Array, levels: Array) -> Array:
    scale, bias = (Fraction(float(attribute(node, name, d))) for name, d in (("out_scale", 1.0), ("out_bias", 0.0)))
    layout = attribute(node, "data_layout", "") or {2: "NC", 3: "NWC", 4: "NCHW"}[x.ndim]
    axis = layout.index("C")
    result = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        row = levels[index[axis] if len(levels) > 1 else 0]
        result[index] = sum(int(x[index] >= t) for t in row) * scale + bias
    return result


_HALF = Fraction(1, 2)


def rounded(v: Fraction, mode: str) -> int:
    sign = (v > 0) - (v < 0)
    return {
        "ROUND": lambda: round(v),
        "CEIL": lambda: ceil(v),
        "FLOOR": lambda: floor(v),
        "UP": lambda: sign * ceil(abs(v)),
        "DOWN": lambda: sign * floor(abs(v)),
        "HALF_UP": lambda: sign * floor(abs(v) + _HALF),
        "HALF_DOWN": lambda: sign * ceil(abs(v) - _HALF),
    }[mode]()


def trunc(node: NodeProto, x: Array, scale: Array, zero: Array, bits: Array, *rest: Array) -> Array:
    s, z, mode = _one(scale), _one(zero), str(attribute(node, "rounding_mode", "FLOOR")).upper()
    if len(rest) == 1:
        shift = int(_one(bits)) - int(_one(rest[0]))
        return _each(x, lambda v: (rounded(round(v / s + z) / Fraction(2) ** shift, mode) - z) * s)
    scale_out, width = _one(rest[0]), int(_one(rest[1]))
    factor = Fraction(2) ** round(log2(scale_out / s))
    narrow = attribute(node, "narrow", 0)
    low, high = (-(2 ** (width - 1)) + narrow, 2 ** (width - 1) - 1)
    if not attribute(node, "signed", 1):
        low, high = 0, 2**width - 1 - narrow
    return _each(
        x,
        lambda v: (
            (rounded(min(max(round(v / s + z) / factor, Fraction(low)), Fraction(high)), mode) - z / factor) * scale_out
        ),
    )


def _one(array: Array) -> Fraction:
    return Fraction(array.reshape(-1)[0])


def _each(x: Array, function: Any) -> Array:
    result = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        result[index] = function(x[index])
    return result


def along(entries: Array, axis: int, rank: int) -> Array:
    """One entry, or one per position of an axis, to be broadcast against a tensor of this rank."""
    return entries if entries.size == 1 else entries.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def quantized(x: Array, scale: Array, zero: Array, bounds: tuple[int, int], axis: int = 1) -> Array:
    low, high = bounds
    scale, zero = (np.broadcast_to(along(a, axis, x.ndim), x.shape) for a in (scale, zero))
    result = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        result[index] = Fraction(min(max(round(x[index] / scale[index]) + zero[index], low), high))
    return result


def dequantized(x: Array, scale: Array, zero: Array | None, axis: int = 1) -> Array:
    shift = np.zeros(1, dtype=object) if zero is None else zero
    return (x - along(shift, axis, x.ndim)) * along(scale, axis, x.ndim)


def dequantize_linear(node: NodeProto, x: Array, scale: Array, zero: Array | None = None) -> Array:
    return dequantized(x, scale, zero, attribute(node, "axis", 1))
