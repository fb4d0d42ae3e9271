"""How a quantiser ends a chain of pending steps: as a cast, as thresholds, by multiply and shift, or as a table."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.biases import biased_for_rounding
from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.quantizer import FIXED_POINT_ROUNDING as FIXED_POINT_ROUNDING
from fpgaflow.frontend.exact.quantizer import QonnxRounding as QonnxRounding
from fpgaflow.frontend.exact.quantizer import Quantizer as Quantizer
from fpgaflow.frontend.exact.quantizer import edge_of as edge_of
from fpgaflow.frontend.exact.requantise import multiply_shift
from fpgaflow.frontend.exact.rescale import linear, uniform
from fpgaflow.frontend.exact.tables import tabulated
from fpgaflow.frontend.exact.thresholds import MAX_LEVELS, compared
from fpgaflow.frontend.exact.values import ONE, RELU, ZERO, Affine, Leaky, Product, Value, exponent, is_power_of_two
from fpgaflow.frontend.qonnx.input_range import without_clamps
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.graph import Input
from fpgaflow.ir.types import FixedType, Overflow, Rounding


def close(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> Value:
    """The quantised value; the integers that it adds to the graph equal the quantiser's in rational arithmetic."""
    if value.raw:
        return _result(_at_input(builder, value, quantizer, node, wish), quantizer, value.axis)
    axis = quantizer.axis if len(quantizer.scale) > 1 else value.axis
    if (table := tabulated(builder, value, quantizer, node, wish)) is not None:
        return _result(table, quantizer, axis)
    value = _rising(builder, value, quantizer, node, wish)
    factor = _plain_factor(value, quantizer)
    cast = None if factor is None else _as_cast(builder, value, quantizer, factor, node, wish)
    if factor is not None and cast is not None:
        return Value(cast, () if factor == ONE else (Affine((factor,), (ZERO,)),), value.axis)
    if quantizer.high - quantizer.low > MAX_LEVELS and not quantizer.bipolar:
        return _result(multiply_shift(builder, value, quantizer, node, wish), quantizer, axis)
    return _result(_as_threshold(builder, value, quantizer, node, wish), quantizer, axis)


def _result(tensor: str, quantizer: Quantizer, axis: int) -> Value:
    return Value(tensor, () if quantizer.power_of_two else (Affine(quantizer.scale, (ZERO,)),), axis)


def _rising(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> Value:
    """The value with pending steps that thresholds can be carried through, along the quantiser's axis if it has one.

    What cannot: slopes of both signs, and per-channel steps along another axis than the quantiser's.
    """
    where = f"node '{node}'"
    crossed = len(quantizer.scale) > 1 and value.per_channel and value.axis != quantizer.axis
    if crossed:
        tensor, unit = uniform(builder, value, where, wish)
        return Value(tensor, () if unit == ONE else (Affine((unit,), (ZERO,)),), quantizer.axis)
    if any(isinstance(s, Product) or (isinstance(s, Leaky) and min(s.slope) < 0) for s in value.steps):
        return linear(builder, value, where, wish)
    return value


def _at_input(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str:
    """Makes the quantiser, with the affine step before it, the one at the model's border."""
    value, quantizer = without_clamps(value, quantizer)
    # Rounding to even, or around zero, is not the same around another zero-point: there q itself crosses the border.
    whole = _moves_ties(quantizer)
    crossing = replace(quantizer, zero_point=0) if whole else quantizer
    port, type_ = _input_port(value, crossing, quantizer.zero_point if whole else 0, node), crossing.result_type
    if quantizer.bipolar:  # one bit crosses the border, and becomes -1 or +1 behind it
        type_ = FixedType(False, 1, 0)
    if not builder.quantise_input(value.tensor, port, type_):
        refuse(f"node '{node}'", "the input goes through two different quantisers", "Quantise the input once")
    if whole:
        return emit.scale(
            builder, value.tensor, [1], 0, [-quantizer.zero_point], type_.fraction, 0, node, f"{wish}.centred"
        )
    if not quantizer.bipolar:
        return value.tensor
    axis = len(builder.shape(value.tensor)) - 1
    return builder.threshold(value.tensor, np.ones((1, 1)), None, 2, -1, axis, quantizer.result_type, node, wish)


def _moves_ties(quantizer: Quantizer) -> bool:
    """Whether rounding x / scale gives other integers than rounding x / scale + zero_point does, moved back."""
    rounding = FIXED_POINT_ROUNDING.get(quantizer.rounding)
    odd = quantizer.zero_point % 2 if rounding is Rounding.RND_CONV else quantizer.zero_point
    return bool(odd) and rounding is not Rounding.TRN and not quantizer.bipolar


def _input_port(value: Value, quantizer: Quantizer, shift: int, node: str) -> Input:
    """The quantiser at the border, of x / scale + shift."""
    step = value.steps[0] if value.steps else Affine((ONE,), (ZERO,))
    if len(value.steps) > 1 or not isinstance(step, Affine) or step.per_channel or len(quantizer.scale) > 1:
        refuse(
            f"node '{node}'",
            "the input is changed per channel, or by a function, before its quantiser",
            "Normalise the data before the model, and let the input quantiser be the first node, or declare the "
            "input's type (--input-type), so that the hardware does it",
        )
    scale, zero = quantizer.scale[0], quantizer.zero_point
    gain, offset = step.scale[0] / scale, step.offset[0] / scale + shift
    if gain <= 0:
        refuse(f"node '{node}'", f"the input is scaled by {float(gain)} before its quantiser", "Use a positive factor")
    if quantizer.bipolar:  # floor(v + 1) saturated to [0, 1] is 1 exactly where v >= 0
        return Input(value.tensor, value.tensor, gain, offset + zero + 1, Rounding.TRN, Overflow.SAT, 0, 1)
    rounding = FIXED_POINT_ROUNDING.get(quantizer.rounding)
    if rounding is None:
        refuse(
            f"node '{node}'",
            f"an input quantiser with rounding {quantizer.rounding.value}",
            "Use rounding ROUND or FLOOR at the input, or declare the input's type (--input-type)",
        )
    low, high = quantizer.low - zero, quantizer.high - zero
    return Input(value.tensor, value.tensor, gain, offset, rounding, Overflow.SAT, low, high)


def _plain_factor(value: Value, quantizer: Quantizer) -> Fraction | None:
    """The factor that is pending before an offset and a ReLU, if it is the scale times a power of two; 1 of nothing."""
    if quantizer.bipolar or quantizer.zero_point or len(quantizer.scale) > 1:
        return None
    if FIXED_POINT_ROUNDING.get(quantizer.rounding) is None or quantizer.overflow is None:
        return None
    first = value.steps[0] if value.steps else None
    scale = first.uniform_scale if isinstance(first, Affine) else ONE
    return scale if scale is not None and is_power_of_two(scale / quantizer.scale[0]) else None


def _as_cast(
    builder: Builder, value: Value, quantizer: Quantizer, factor: Fraction, node: str, wish: str
) -> str | None:
    """The quantiser as a cast (with a bias in the sum before it, with a ReLU), where that gives the same integers.

    Its fixed-point values are the quantised ones divided by `factor`.
    """
    rounding, overflow = FIXED_POINT_ROUNDING[quantizer.rounding], quantizer.overflow
    assert overflow is not None
    steps, tensor, full = value.steps, value.tensor, quantizer.result_type
    target = FixedType(full.signed, full.width, exponent(factor / quantizer.scale[0]))
    if steps and isinstance(steps[0], Affine):
        rest = steps[1:]
        if rest not in ((), (RELU,)):
            return None
        if steps[0].has_offset:
            offset = tuple(o / factor for o in steps[0].offset)
            biased = biased_for_rounding(builder, value, offset, target.fraction + 1, wish)
            if biased is None:
                return None
            tensor = biased
        steps = rest
    if steps not in ((), (RELU,)):
        return None
    # Saturation to an unsigned type clamps negative values itself, whatever the rounding.
    if steps and target.signed:
        tensor = builder.relu(tensor, node, f"{wish}.relu")
    return builder.cast(tensor, target, rounding, overflow, node, wish)


def _as_threshold(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str:
    """The quantiser as comparisons of the integers with thresholds, one row per channel where channels differ."""
    levels = [None] if quantizer.bipolar else range(quantizer.low + 1, quantizer.high + 1)
    edges = [(ZERO, False) if level is None else edge_of(level, quantizer.rounding) for level in levels]
    rows = [[((e - quantizer.zero_point) * scale, strict) for e, strict in edges] for scale in quantizer.scale]
    step, offset = (2, -1) if quantizer.bipolar else (1, quantizer.low - quantizer.zero_point)
    return compared(builder, value, rows, quantizer.axis, step, offset, quantizer.result_type, node, wish)
