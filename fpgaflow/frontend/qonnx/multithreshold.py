"""FINN's MultiThreshold: out_scale × (the number of thresholds that x has reached) + out_bias.

Source of the definition: qonnx/custom_op/general/multithreshold.py.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm

import numpy as np

from fpgaflow.frontend.exact.thresholds import MAX_LEVELS, compared
from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Fractions, Value, fractions, with_affine
from fpgaflow.frontend.qonnx.context import Context, float_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.graph import Input
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for

_LAYOUTS = {2: "NC", 3: "NWC", 4: "NCHW"}  # what QONNX takes a tensor of this rank for, where nothing is said
_MAX_STEP = 1 << 16  # of the output's levels, in units of the greatest common divisor of scale and bias


def multithreshold(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    axis = _channel_axis(node, len(ctx.shape(value)) + 1) - 1
    rows = _rows(ctx, node, ctx.shape(value)[axis])
    scale, bias = (Fraction(float_attribute(node, *pair)) for pair in (("out_scale", 1.0), ("out_bias", 0.0)))
    if scale == 0:
        refuse(str(node), "an out_scale of 0", "Remove the node: its output is constant")
    step, offset, unit, left = _levels(scale, bias)
    last = offset + step * len(rows[0])
    type_ = type_for(min(offset, last), max(offset, last), 0)
    wish = node.outputs[0]
    if value.raw:
        tensor = _at_input(ctx, node, value, rows, step, offset, type_)
    else:
        edges = [[(edge, False) for edge in row] for row in rows]
        tensor = compared(ctx.builder, value, edges, axis, step, offset, type_, node.name, wish)
    result = with_affine(Value(tensor, (), axis), (unit,), (left,), axis)
    assert result is not None
    return result


def _channel_axis(node: Node, rank: int) -> int:
    layout = str(node.attributes.get("data_layout", "")) or _LAYOUTS.get(rank, "")
    axis = layout.index("C") if "C" in layout else 1
    if not 0 < axis < rank or (layout and len(layout) != rank):
        refuse(str(node), f"data_layout '{layout}' for a tensor of {rank} axes", "Name the axes, as in NCHW or NHWC")
    return axis


def _rows(ctx: Context, node: Node, channels: int) -> list[Fractions]:
    """The thresholds in rising order, one row for all channels or one for each."""
    levels = ctx.const(node, 1, "threshold matrix").values
    if levels.ndim != 2 or levels.shape[0] not in (1, channels) or not levels.shape[1]:
        refuse(
            str(node), f"thresholds {levels.shape} for {channels} channels", "Give (channels, levels) or (1, levels)"
        )
    if levels.shape[1] > MAX_LEVELS:
        refuse(
            str(node), f"{levels.shape[1]} thresholds a channel", f"At most {MAX_LEVELS} are carried: use fewer bits"
        )
    rows = np.unique(levels, axis=0) if len(np.unique(levels, axis=0)) == 1 else levels
    return [fractions(np.sort(row)) for row in rows]


def _levels(scale: Fraction, bias: Fraction) -> tuple[int, int, Fraction, Fraction]:
    """step, offset, unit, rest: scale × n + bias == unit × (step × n + offset) + rest, the unit positive."""
    divisor = lcm(scale.denominator, bias.denominator)
    unit = Fraction(gcd(int(scale * divisor), int(bias * divisor)), divisor)
    if abs(scale / unit) <= _MAX_STEP:
        return int(scale / unit), int(bias / unit), unit, ZERO
    sign = 1 if scale > 0 else -1
    return sign, 0, abs(scale), bias


def _at_input(
    ctx: Context, node: Node, value: Value, rows: list[Fractions], step: int, offset: int, type_: FixedType
) -> str:
    """Evenly spaced thresholds at the model's border count as rounding down does: floor((x - first) / distance + 1)."""
    affine = value.steps[0] if value.steps else Affine((ONE,), (ZERO,))
    row = rows[0]
    distance = row[1] - row[0] if len(row) > 1 else ONE
    even = distance > 0 and all(b - a == distance for a, b in pairwise(row))
    plain = len(value.steps) < 2 and isinstance(affine, Affine) and not affine.per_channel
    if not plain or not isinstance(affine, Affine) or affine.scale[0] <= 0 or len(rows) > 1 or not even:
        refuse(
            str(node),
            "thresholds that are not evenly spaced, or differ by channel, on the model's own input",
            "Quantise the input before it, or declare it as integers (FINN: set_tensor_datatype of the input)",
        )
    gain, shift = affine.scale[0] / distance, (affine.offset[0] - row[0]) / distance + 1
    levels = len(row)
    port = Input(value.tensor, value.tensor, gain, shift, Rounding.TRN, Overflow.SAT, 0, levels)
    if not ctx.builder.quantise_input(value.tensor, port, type_for(0, levels, 0)):
        refuse(str(node), "the input goes through two different quantisers", "Quantise the input once")
    if (step, offset) == (1, 0):
        return value.tensor
    table = np.arange(1, levels + 1)[None]
    axis = len(ctx.shape(value)) - 1
    return ctx.builder.threshold(value.tensor, table, None, step, offset, axis, type_, node.name, node.outputs[0])
