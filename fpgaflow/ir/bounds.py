"""Exact interval bounds of what the ops compute: the one place where accumulator widths come from."""

from __future__ import annotations

import numpy as np

from fpgaflow.ir.graph import Ints
from fpgaflow.ir.types import FixedType, type_for


def linear_bounds(weights: Ints, bias: Ints | None, bias_shift: int, low: int, high: int) -> tuple[int, int]:
    """Smallest and largest integer that any partial sum of a dense or conv can reach, in any order of summation.

    Args:
        weights: (..., filters) integers; every axis but the last is summed over.
        bias: (filters,) integers, added after a left shift by `bias_shift`, or None.
        low, high: bounds of the input's integers. Zero counts as possible too (padding).

    Each filter's partial sums lie between the sum of its negative terms and the sum of its positive ones.
    """
    low, high = min(low, 0), max(high, 0)
    columns = weights.reshape(-1, weights.shape[-1])
    if len(columns) * max(-int(columns.min()), int(columns.max())) >> 63:  # the sums may leave int64
        columns = columns.astype(object)
    positive = [int(v) for v in np.where(columns > 0, columns, 0).sum(axis=0)]
    negative = [int(v) for v in np.where(columns < 0, columns, 0).sum(axis=0)]
    offsets = [int(v) << bias_shift for v in bias] if bias is not None else [0] * len(positive)
    lows = [p * low + n * high + min(b, 0) for p, n, b in zip(positive, negative, offsets, strict=True)]
    highs = [p * high + n * low + max(b, 0) for p, n, b in zip(positive, negative, offsets, strict=True)]
    return min(lows), max(highs)


def rounded_bounds(low: int, high: int, drop: int) -> tuple[int, int]:
    """Bounds of the integers of [low, high] times 2^-drop, rounded in any way."""
    return (low << -drop, high << -drop) if drop <= 0 else (low >> drop, -(-high >> drop))


def accumulator(
    weights: Ints, weight_type: FixedType, bias: Ints | None, bias_type: FixedType | None, source: FixedType
) -> FixedType:
    """The narrowest accumulator type in which a dense or conv over inputs of type `source` is exact."""
    product_fraction = source.fraction + weight_type.fraction
    fraction = product_fraction if bias_type is None else max(product_fraction, bias_type.fraction)
    scaled = [int(v) << (fraction - product_fraction) for v in (source.low, source.high)]
    shift = fraction - bias_type.fraction if bias_type is not None else 0
    return type_for(*linear_bounds(weights, bias, shift, scaled[0], scaled[1]), fraction)


def sum_type(left: FixedType, right: FixedType) -> FixedType:
    """The narrowest type of all sums of two types' values."""
    fraction = max(left.fraction, right.fraction)
    shifts = fraction - left.fraction, fraction - right.fraction
    low = (left.low << shifts[0]) + (right.low << shifts[1])
    high = (left.high << shifts[0]) + (right.high << shifts[1])
    return type_for(low, high, fraction)


def pool_sum_type(source: FixedType, window: int, *, padded: bool, extra_fraction: int = 0) -> FixedType:
    """The narrowest type of the sum over `window` elements; `extra_fraction` moves the binary point for an average."""
    low = source.low * window
    return type_for(min(low, 0) if padded else low, source.high * window, source.fraction + extra_fraction)
