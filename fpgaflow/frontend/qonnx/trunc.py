"""QONNX's Trunc: integers that lose their lowest bits, by an exact shift with its rounding mode.

Source of both definitions, with five inputs and with six: qonnx/custom_op/general/trunc.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fpgaflow.frontend.exact.advice import QUANTISE_INPUT
from fpgaflow.frontend.exact.thresholds import MAX_LEVELS, compared
from fpgaflow.frontend.exact.values import (
    ONE,
    ZERO,
    Affine,
    Value,
    dyadic_fraction,
    exponent,
    fractions,
    is_power_of_two,
    with_affine,
)
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.input_range import rounded
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.quant import bit_width, positive_scale, rounding_mode, zero_point
from fpgaflow.frontend.qonnx.quantizers import FIXED_POINT_ROUNDING, QonnxRounding, edge_of
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import FixedType, Overflow, type_for

_MAX_SHIFT = 64


@dataclass(frozen=True)
class _Truncation:
    """(q - zero_out) × scale_out, where q = rounding(half_even(x / scale + zero) / 2^shift) within low and high."""

    scale: Fraction
    zero: int
    shift: int
    rounding: QonnxRounding
    low: int | None
    high: int | None
    scale_out: Fraction
    zero_out: Fraction


def trunc(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    if value.raw:
        refuse(str(node), "truncates the model's input before any quantiser", QUANTISE_INPUT)
    kind = _second(ctx, node) if len([name for name in node.inputs if name]) == 6 else _first(ctx, node)
    return _as_shift(ctx, node, value, kind) or _as_threshold(ctx, node, value, kind)


def _first(ctx: Context, node: Node) -> _Truncation:
    """Inputs: x, scale, zero-point, bits in, bits out. The scale stays, so that values shrink by 2^shift."""
    scale, zero = _one_scale(ctx, node, 1), zero_point(node, ctx.const(node, 2, "zero-point"))
    bits = [bit_width(node, ctx.const(node, i, "bit width")) for i in (3, 4)]
    mode = rounding_mode(node, QonnxRounding.FLOOR)
    return _Truncation(scale, zero, bits[0] - bits[1], mode, None, None, scale, Fraction(zero))


def _second(ctx: Context, node: Node) -> _Truncation:
    """Inputs: x, scale, zero-point, bits in, output scale, bits out."""
    scale, zero = _one_scale(ctx, node, 1), zero_point(node, ctx.const(node, 2, "zero-point"))
    scale_out, bits = _one_scale(ctx, node, 4), bit_width(node, ctx.const(node, 5, "output bit width"))
    if not is_power_of_two(scale_out / scale) or abs(exponent(scale_out / scale)) > _MAX_SHIFT:
        refuse(
            str(node),
            f"its scales {float(scale)} and {float(scale_out)} are not a power of two apart",
            "Truncate by whole bits: output scale = scale × 2^k",
        )
    shift = exponent(scale_out / scale)
    signed, narrow = bool(int_attribute(node, "signed", 1)), bool(int_attribute(node, "narrow", 0))
    low, high = (-(1 << bits - 1) + narrow, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1 - narrow)
    mode, zero_out = rounding_mode(node, QonnxRounding.FLOOR), zero / Fraction(2) ** shift
    return _Truncation(scale, zero, shift, mode, low, high, scale_out, zero_out)


def _one_scale(ctx: Context, node: Node, position: int) -> Fraction:
    entries = set(fractions(positive_scale(node, ctx.const(node, position, "scale"))))
    if len(entries) > 1:
        refuse(str(node), "scales that differ by channel", "Truncate with one scale for the tensor")
    return entries.pop()


def _as_shift(ctx: Context, node: Node, value: Value, kind: _Truncation) -> Value | None:
    """The truncation as one cast, where x / scale is a whole number already and there is no zero-point."""
    source, rounding = ctx.builder.type(value.tensor), FIXED_POINT_ROUNDING.get(kind.rounding)
    if value.unit is None or rounding is None or kind.zero:
        return None
    units = value.unit * Fraction(2) ** -source.fraction / kind.scale  # x / scale for one step of the integers
    whole = dyadic_fraction((units,))
    if whole is None or whole > 0 or not is_power_of_two(units):
        return None
    dropped = kind.shift - exponent(units)
    fraction = source.fraction - dropped
    low, high = (rounded(q * Fraction(2) ** -dropped, kind.rounding) for q in (source.low, source.high))
    target = type_for(low, high, fraction)
    overflow = Overflow.SAT
    if kind.low is not None and kind.high is not None:
        target = type_for(kind.low, kind.high, fraction)
        if (kind.low, kind.high) == (-target.high, target.high) and target.signed:
            overflow = Overflow.SAT_SYM
        elif (kind.low, kind.high) != (target.low, target.high):
            return None
    tensor = ctx.builder.cast(value.tensor, target, rounding, overflow, node.name, node.outputs[0])
    result = with_affine(
        Value(tensor, (), value.axis), (kind.scale_out * Fraction(2) ** fraction,), (ZERO,), value.axis
    )
    assert result is not None
    return result


def _as_threshold(ctx: Context, node: Node, value: Value, kind: _Truncation) -> Value:
    low, high = _range(ctx, node, value, kind)
    if high - low > MAX_LEVELS:
        refuse(
            str(node),
            f"truncates to {high - low + 1} levels what is not on the grid of its scale",
            "Let it read a quantised tensor of the same scale, without a zero-point",
        )
    edges = []
    for level in range(low + 1, high + 1):
        edge, strict = edge_of(level, kind.rounding)
        first = edge * Fraction(2) ** kind.shift  # of the integers before the shift
        count = first.numerator // first.denominator + 1 if strict else -(-first.numerator // first.denominator)
        rounded, tie = edge_of(count, QonnxRounding.HALF_EVEN)
        edges.append(((rounded - kind.zero) * kind.scale, tie))
    type_ = type_for(low, high, 0)
    tensor = compared(ctx.builder, value, [edges], value.axis, 1, low, type_, node.name, node.outputs[0])
    offset = -kind.zero_out * kind.scale_out
    result = with_affine(Value(tensor, (), value.axis), (kind.scale_out,), (offset,), value.axis)
    assert result is not None
    return result


def _range(ctx: Context, node: Node, value: Value, kind: _Truncation) -> tuple[int, int]:
    """Levels that the truncation gives at most: its own bounds, else from the range of its input."""
    if kind.low is not None and kind.high is not None:
        return kind.low, kind.high
    if any(not isinstance(step, Affine) for step in value.steps):
        refuse(str(node), "truncates behind a clamp", "Put a quantiser before it")
    source: FixedType = ctx.builder.type(value.tensor)
    step = value.steps[0] if value.steps else Affine((ONE,), (ZERO,))
    assert isinstance(step, Affine)
    ends = [
        (q * Fraction(2) ** -source.fraction * s + o) / kind.scale + kind.zero
        for q in (source.low, source.high)
        for s in step.scale
        for o in step.offset
    ]
    reach = Fraction(2) ** kind.shift
    return int(min(ends) / reach // 1) - 1, int(-(-max(ends) / reach // 1)) + 1
