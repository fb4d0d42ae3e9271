"""hls4ml's kinds of product of data and a weight (nnet_mult.h), as exact products of integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hls4ml.backends import get_backend

from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, constant
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops import Threshold
from fpgaflow.ir.types import FixedType

_SIGN = FixedType(True, 2, 0)  # of ±1 and 0


@dataclass(frozen=True)
class Product:
    """What hls4ml makes of data and weight: source × weight + addend, exact.

    Attributes:
        source: the data, or ±1 for that of a binary network.
        addend: None for zero, else integers in the shape of the weights.
        type: the product's type in C++, whose width counts where it is cast.
    """

    source: Tensor
    weights: Ints
    weight_type: FixedType
    addend: Ints | None
    type: FixedType


def product(reader: Reader, layer: Any, key: str, source: Tensor) -> Product:
    """Products of `source`, which has the type of the layer's input, with the layer's weights `key`."""
    precision = layer.weights[key].type.precision
    kind = get_backend("vivado").product_type(layer.get_input_variable().type.precision, precision)
    if kind == "weight_exponential":
        return _exponential(layer, key, source)
    weights, type_ = constant(layer, key)
    negated = FixedType(True, source.type.width + 1, source.type.fraction)
    match kind:
        case "mult":
            return Product(source, weights, type_, None, multiplied(source.type, type_))
        case "weight_ternary":  # -2 counts as neither 0 nor -1
            return Product(source, np.where(weights == -2, 1, weights), _SIGN, None, negated)
        case "weight_binary":
            return Product(source, 2 * weights - 1, _SIGN, None, negated)
        case "data_binary":
            data = signs(reader, layer, source)
            return Product(data, weights, type_, None, FixedType(True, type_.width + 1, type_.fraction))
        case "both_binary":  # 1 where both are equal
            return Product(source, 2 * weights - 1, _SIGN, 1 - weights, FixedType(False, 1, 0))
    raise RefusedError(f"products of kind '{kind}'")


def multiplied(left: FixedType, right: FixedType) -> FixedType:
    """The type of a product in C++ (ap_fixed_base.h, RType::mult)."""
    return FixedType(left.signed or right.signed, left.width + right.width, left.fraction + right.fraction)


def signs(reader: Reader, layer: Any, source: Tensor) -> Tensor:
    """-1 and 1 for the bits 0 and 1."""
    name = f"{layer.name}.{source.name}.signs"
    reader.constants[f"{name}.thresholds"] = np.array([[1]])
    op = Threshold(name, (source.name,), name, layer.name, f"{name}.thresholds", None, 2, -1, 0)
    return reader.emit(op, source.shape, _SIGN)


def _exponential(layer: Any, key: str, source: Tensor) -> Product:
    """±2^k: the data shifted in a fixed-point type of its own, which must lose nothing."""
    variable = layer.weights[key]
    data, width = np.asarray(variable.data, dtype=np.float64), variable.type.precision.width
    if (data == 0).any():
        raise RefusedError(f"{key} of zero, which is no power of two")
    exponents = (np.log2(np.abs(data)) / np.log2(2.0)).astype(np.int64)  # as ExponentWeightVariable writes them
    exponents = (exponents + (1 << width - 1) & (1 << width) - 1) - (1 << width - 1)
    low, high = int(exponents.min()), int(exponents.max())
    half = width + source.type.width  # bits on either side of the shifted data's binary point
    whole = source.type.integer_bits + (not source.type.signed)
    if max(source.type.fraction, source.type.fraction - low) > half or whole + max(high, 0) >= half:
        raise RefusedError(f"{key} of 2^{low} to 2^{high}: shifting {source.type} by them loses bits")
    weights = np.where(data < 0, -1, 1) << exponents - low
    type_ = FixedType(True, high - low + 2, -low)
    return Product(source, weights, type_, None, FixedType(True, 2 * half, half))
