"""Clamps between a model's input and its quantiser: they only narrow the range of its integers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from fpgaflow.frontend.exact.quantizer import QonnxRounding, Quantizer, edge_of
from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Clamp, Value


def rounded(value: Fraction, rounding: QonnxRounding) -> int:
    """`value` rounded by a mode of QONNX.

    >>> rounded(Fraction(5, 2), QonnxRounding.ROUND), rounded(Fraction(-5, 2), QonnxRounding.HALF_UP)
    (2, -3)
    """
    below = value.numerator // value.denominator
    edge, strict = edge_of(below + 1, rounding)
    return below + int(value > edge if strict else value >= edge)


def without_clamps(value: Value, quantizer: Quantizer) -> tuple[Value, Quantizer]:
    """The same quantiser of the same numbers with no clamp before it; both unchanged where that cannot be said.

    Rounding rises, so that it and a clamp change places.
    """
    gain, offset = ONE, ZERO
    ends: list[Fraction | None] = [None, None]
    for step in value.steps:
        if isinstance(step, Clamp):
            ends = [b if e is None else _clamped(e, step) for e, b in zip(ends, (step.low, step.high), strict=True)]
        elif isinstance(step, Affine) and not step.per_channel and step.scale[0] > 0:
            scale, shift = step.scale[0], step.offset[0]
            gain, offset = gain * scale, offset * scale + shift
            ends = [None if e is None else e * scale + shift for e in ends]
        else:
            return value, quantizer
    if quantizer.bipolar or len(quantizer.scale) > 1:
        return value, quantizer
    found = [None if e is None else e / quantizer.scale[0] + quantizer.zero_point for e in ends]
    levels = [None if v is None else rounded(v, quantizer.rounding) for v in found]
    low, high = (
        bound if level is None else min(max(level, quantizer.low), quantizer.high)
        for level, bound in zip(levels, (quantizer.low, quantizer.high), strict=True)
    )
    return replace(value, steps=(Affine((gain,), (offset,)),)), replace(quantizer, low=low, high=high)


def _clamped(value: Fraction, clamp: Clamp) -> Fraction:
    value = value if clamp.low is None else max(value, clamp.low)
    return value if clamp.high is None else min(value, clamp.high)
