"""Sums and products with constants that differ along several axes, such as position embeddings."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.rescale import uniform, unit_of, with_unit
from fpgaflow.frontend.exact.values import ONE, Const, Value, dyadic_fraction
from fpgaflow.frontend.qonnx.context import Context
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH

MAX_ENTRIES = 1 << 18


def along_several_axes(ctx: Context, value: Value, const: Const) -> bool:
    """Whether a constant that broadcasts to the unbatched value has entries along more than one of its axes."""
    shape, array = (1, *ctx.shape(value)), const.values
    aligned = (1,) * (len(shape) - array.ndim) + array.shape
    fits = array.ndim <= len(shape) and all(n in (1, m) for n, m in zip(aligned, shape, strict=True))
    return fits and sum(n > 1 for n in aligned) > 1 and array.size <= MAX_ENTRIES


def plus_array(ctx: Context, node: Node, value: Value, const: Const, signs: tuple[int, int]) -> Value:
    """signs[0] × value + signs[1] × constant."""
    tensor, unit = uniform(ctx.builder, value, str(node), node.outputs[0])
    entries = const.exact
    common = unit_of((unit, *entries))
    bias = [signs[1] * e / common for e in entries]
    return _scaled(ctx, node, tensor, const, [signs[0] * unit / common], bias, common)


def times_array(ctx: Context, node: Node, value: Value, const: Const) -> Value:
    tensor, unit = uniform(ctx.builder, value, str(node), node.outputs[0])
    common = unit_of(const.exact)
    return _scaled(ctx, node, tensor, const, [e / common for e in const.exact], [Fraction(0)], common * unit)


def _scaled(
    ctx: Context, node: Node, tensor: str, const: Const, weights: list[Fraction], bias: list[Fraction], unit: Fraction
) -> Value:
    shape = (1,) * (1 + len(ctx.builder.shape(tensor)) - const.values.ndim) + const.values.shape
    arrays, fractions = [], []
    for entries in (weights, bias):
        fraction = dyadic_fraction(tuple(entries)) or 0
        ints = [int(e * Fraction(2) ** fraction) for e in entries]
        if type_for(min(ints), max(ints), 0).width > MAX_CONSTANT_WIDTH:
            refuse(str(node), "constants whose common grid leaves 63 bits", "Quantise the constant")
        arrays.append(np.array(ints, dtype=object).reshape(shape[1:] if len(ints) > 1 else (1,)))
        fractions.append(fraction)
    name = f"{node.outputs[0]}.scaled" if unit != ONE else node.outputs[0]
    out = emit.scaled_by(ctx.builder, tensor, arrays[0], fractions[0], arrays[1], fractions[1], node.name, name)
    return with_unit(out, unit)
