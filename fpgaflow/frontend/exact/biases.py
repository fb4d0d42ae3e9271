"""Offsets that are pending behind a dense or convolution layer, made that layer's bias."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np

from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.values import Affine, Fractions, Value, dyadic_fraction
from fpgaflow.ir.ops import Conv, Dense, Transpose
from fpgaflow.ir.types import type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH


def biased_for_rounding(builder: Builder, value: Value, offset: Fractions, grid: int, wish: str) -> str | None:
    """The sum that `value` names with its offset added, exactly as far as decisions on multiples of 2^-grid can tell.

    An offset off the accumulator's grid cannot tie. It is cut to that grid, and one more bit below (a sticky bit)
    keeps it strictly between two grid points, so every comparison with a multiple of 2^-grid comes out the same.
    """
    fraction = max(builder.type(value.tensor).fraction, grid)
    exact = dyadic_fraction(offset)
    if exact is not None and exact <= fraction:
        return add_bias(
            builder, value, offset, exact, wish, known_as=builder.pending.get((value.tensor, value.steps[0]))
        )
    known = builder.sticky.get((value.tensor, offset))
    if known is not None and known[0] >= fraction:  # for another quantiser, as fine or finer
        return known[1]
    cut = [(o * Fraction(2) ** fraction, floor(o * Fraction(2) ** fraction)) for o in offset]
    sticky = tuple(Fraction(2 * whole + int(scaled != whole)) / Fraction(2) ** (fraction + 1) for scaled, whole in cut)
    biased = add_bias(builder, value, sticky, fraction + 1, wish)
    if biased is not None:
        builder.sticky[value.tensor, offset] = fraction, biased
    return biased


def add_bias(
    builder: Builder, value: Value, offset: Fractions, fraction: int, wish: str, known_as: str | None = None
) -> str | None:
    """The dense or conv that `value` names with `offset`, multiples of 2^-fraction, as its bias; None if it is neither.

    The same offset asked for again gives the same tensor. `known_as` is the model's name of the sum, if it has one.
    """
    if (shared := builder.biased.get((value.tensor, offset))) is not None:
        return shared
    tensor, perm = value.tensor, None
    while isinstance(op := builder.ops.get(tensor), Transpose):  # a channels-last model has two in a row
        perm = op.perm if perm is None else tuple(op.perm[axis] for axis in perm)
        tensor = op.inputs[0]
    channel_axis = len(builder.shape(tensor)) - 1
    if perm is not None:
        channel_axis = perm.index(channel_axis)
    if not isinstance(op, Dense | Conv) or op.bias is not None or (len(offset) > 1 and value.axis != channel_axis):
        return None
    units = [int(o * Fraction(2) ** fraction) for o in offset]
    bias = np.array(units * (builder.constants[op.weights].shape[-1] // len(units)), dtype=object)
    bias_type = type_for(min(units), max(units), fraction)
    if bias_type.width > MAX_CONSTANT_WIDTH:
        return None
    biased = builder.with_bias(tensor, bias, bias_type, f"{wish}.biased")
    if perm is not None:
        biased = builder.transpose(biased, perm, op.node, f"{wish}.biased")
    step = value.steps[0]
    if known_as is not None and isinstance(step, Affine) and step.uniform_scale is not None:
        builder.set_source(biased, known_as, step.uniform_scale)
    builder.biased[value.tensor, offset] = biased
    return biased
