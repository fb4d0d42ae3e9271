"""Quantisers as QONNX writes them, and how each ends a chain of pending steps: as a cast, or as thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import ceil, floor

import numpy as np

from fpgaflow.frontend.builder import Builder
from fpgaflow.frontend.refuse import refuse
from fpgaflow.frontend.values import (
    ONE,
    RELU,
    ZERO,
    Affine,
    Condition,
    Fractions,
    Value,
    channel_sign,
    dyadic_fraction,
    exponent,
    invert,
    is_power_of_two,
)
from fpgaflow.ir.graph import Input
from fpgaflow.ir.ops import Conv, Dense, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH
from fpgaflow.sim.fixed_point import boundary

MAX_LEVELS = 1 << 12  # thresholds of one channel; a wider quantiser has to have a power-of-two scale


class QonnxRounding(Enum):
    """QONNX's rounding modes (qonnx.custom_op.general.intquant.resolve_rounding_mode)."""

    ROUND = "ROUND"
    HALF_EVEN = "HALF_EVEN"
    CEIL = "CEIL"
    FLOOR = "FLOOR"
    UP = "UP"  # away from zero
    DOWN = "DOWN"  # toward zero
    HALF_UP = "HALF_UP"  # nearest, ties away from zero
    HALF_DOWN = "HALF_DOWN"  # nearest, ties toward zero


FIXED_POINT_ROUNDING: dict[QonnxRounding, Rounding] = {
    QonnxRounding.ROUND: Rounding.RND_CONV,
    QonnxRounding.HALF_EVEN: Rounding.RND_CONV,
    QonnxRounding.FLOOR: Rounding.TRN,
    QonnxRounding.DOWN: Rounding.TRN_ZERO,
    QonnxRounding.HALF_UP: Rounding.RND_INF,
    QonnxRounding.HALF_DOWN: Rounding.RND_ZERO,
}


def _edge(level: int, rounding: QonnxRounding) -> tuple[Fraction, bool]:
    """Where rounding starts to give `level`, as `boundary`, for every mode of QONNX."""
    match rounding:
        case QonnxRounding.CEIL:
            return Fraction(level - 1), True
        case QonnxRounding.UP:
            return (Fraction(level - 1), True) if level >= 1 else (Fraction(level), False)
        case mode:
            return boundary(level, FIXED_POINT_ROUNDING[mode])


@dataclass(frozen=True)
class Quantizer:
    """q = round(x / scale + zero_point) within [low, high]; its value is (q - zero_point) × scale.

    `scale` has one entry or one per channel along `axis`. A bipolar quantiser gives -1 or +1 by the sign of x / scale
    + zero_point, zero counting as positive.
    """

    scale: Fractions
    zero_point: int
    low: int
    high: int
    signed: bool
    width: int
    rounding: QonnxRounding
    bipolar: bool
    axis: int

    @property
    def result_type(self) -> FixedType:
        """Type of q - zero_point, at the fraction that a power-of-two scale gives, else with fraction 0."""
        fraction = -exponent(self.scale[0]) if self.power_of_two else 0
        if self.bipolar:
            return FixedType(True, 2, fraction)
        if self.zero_point == 0:
            return FixedType(self.signed, self.width, fraction)
        return type_for(self.low - self.zero_point, self.high - self.zero_point, fraction)

    @property
    def power_of_two(self) -> bool:
        return len(self.scale) == 1 and is_power_of_two(self.scale[0])

    @property
    def overflow(self) -> Overflow | None:
        """The saturation of a cast to `result_type` that gives exactly this range; None if there is none."""
        full = FixedType(self.signed, self.width, 0)
        if (self.low, self.high) == (full.low, full.high):
            return Overflow.SAT
        return Overflow.SAT_SYM if self.signed and (self.low, self.high) == (-full.high, full.high) else None


def close(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> Value:
    """The quantised value; the integers that it adds to the graph equal the quantiser's in rational arithmetic."""
    if value.raw:
        tensor = _at_input(builder, value, quantizer, node, wish)
        return _result(tensor, quantizer, value.axis)
    cast = _as_cast(builder, value, quantizer, node, wish)
    tensor = cast or _as_threshold(builder, value, quantizer, node, wish)
    return _result(tensor, quantizer, quantizer.axis if len(quantizer.scale) > 1 else value.axis)


def _result(tensor: str, quantizer: Quantizer, axis: int) -> Value:
    return Value(tensor, () if quantizer.power_of_two else (Affine(quantizer.scale, (ZERO,)),), axis)


def _at_input(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str:
    """Makes the quantiser, with the affine step before it, the one at the model's border."""
    port, type_ = _input_port(value, quantizer, node), quantizer.result_type
    if quantizer.bipolar:  # one bit crosses the border, and becomes -1 or +1 behind it
        type_ = FixedType(False, 1, 0)
    if not builder.quantise_input(value.tensor, port, type_):
        refuse(f"node '{node}'", "the input goes through two different quantisers", "Quantise the input once")
    if not quantizer.bipolar:
        return value.tensor
    axis = len(builder.shape(value.tensor)) - 1
    return builder.threshold(value.tensor, np.ones((1, 1)), None, 2, -1, axis, quantizer.result_type, node, wish)


def _input_port(value: Value, quantizer: Quantizer, node: str) -> Input:
    step = value.steps[0] if value.steps else Affine((ONE,), (ZERO,))
    if len(value.steps) > 1 or not isinstance(step, Affine) or step.per_channel or len(quantizer.scale) > 1:
        refuse(
            f"node '{node}'",
            "the input is changed per channel, or clamped, before its quantiser",
            "Normalise the data before the model, and let the input quantiser be the first node",
        )
    scale, zero, mode = quantizer.scale[0], quantizer.zero_point, quantizer.rounding
    gain, offset = step.scale[0] / scale, step.offset[0] / scale
    if gain <= 0:
        refuse(f"node '{node}'", f"the input is scaled by {float(gain)} before its quantiser", "Use a positive factor")
    if quantizer.bipolar:  # floor(v + 1) saturated to [0, 1] is 1 exactly where v >= 0
        return Input(value.tensor, value.tensor, gain, offset + zero + 1, Rounding.TRN, Overflow.SAT, 0, 1)
    rounding = FIXED_POINT_ROUNDING.get(mode)
    # Rounding to even, or around zero, is not the same around another zero-point.
    moved = zero % 2 if rounding is Rounding.RND_CONV else zero and rounding is not Rounding.TRN
    if rounding is None or moved:
        refuse(
            f"node '{node}'",
            f"an input quantiser with rounding {mode.value} and zero-point {zero}",
            "Use rounding ROUND and a zero-point of 0 at the input",
        )
    low, high = quantizer.low - zero, quantizer.high - zero
    return Input(value.tensor, value.tensor, gain, offset, rounding, Overflow.SAT, low, high)


def _as_cast(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str | None:
    """The quantiser as a cast (with a bias in the sum before it, with a ReLU), where that gives the same integers."""
    rounding, overflow = FIXED_POINT_ROUNDING.get(quantizer.rounding), quantizer.overflow
    if rounding is None or overflow is None or quantizer.bipolar or quantizer.zero_point or not quantizer.power_of_two:
        return None
    steps, tensor, target = value.steps, value.tensor, quantizer.result_type
    if steps and isinstance(steps[0], Affine):
        if steps[0].uniform_scale != ONE:
            return None
        if steps[0].has_offset:
            biased = _biased(builder, value, steps[0].offset, target.fraction + 1, wish)
            if biased is None:
                return None
            tensor = biased
        steps = steps[1:]
    if steps not in ((), (RELU,)):
        return None
    # Saturation to an unsigned type clamps negative values itself, whatever the rounding.
    if steps and target.signed:
        tensor = builder.relu(tensor, node, f"{wish}.relu")
    return builder.cast(tensor, target, rounding, overflow, node, wish)


def _biased(builder: Builder, value: Value, offset: Fractions, grid: int, wish: str) -> str | None:
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
    cut = [(o * Fraction(2) ** fraction, floor(o * Fraction(2) ** fraction)) for o in offset]
    sticky = tuple(Fraction(2 * whole + int(scaled != whole)) / Fraction(2) ** (fraction + 1) for scaled, whole in cut)
    return add_bias(builder, value, sticky, fraction + 1, wish)


def add_bias(
    builder: Builder, value: Value, offset: Fractions, fraction: int, wish: str, known_as: str | None = None
) -> str | None:
    """The dense or conv that `value` names with `offset`, multiples of 2^-fraction, as its bias; None if it is neither.

    `known_as` is the model's name of the sum, if it has one.
    """
    tensor, perm = value.tensor, None
    if isinstance(op := builder.ops.get(tensor), Transpose):
        tensor, perm = op.inputs[0], op.perm
        op = builder.ops.get(tensor)
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
    return biased


def _as_threshold(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str:
    """The quantiser as comparisons of the integers with thresholds, one row per channel where channels differ."""
    source = builder.type(value.tensor)
    levels = [None] if quantizer.bipolar else range(quantizer.low + 1, quantizer.high + 1)
    if len(levels) > MAX_LEVELS:
        refuse(
            f"node '{node}'",
            f"a {quantizer.width}-bit quantiser that is no plain cast here would need {len(levels)} thresholds",
            "Use fewer bits, or power-of-two scales (Brevitas: RestrictValueType.POWER_OF_TWO) and no factor before it",
        )
    pending = [s for s in value.steps if isinstance(s, Affine) and s.per_channel]
    if pending and len(quantizer.scale) > 1 and value.axis != quantizer.axis:
        refuse(
            f"node '{node}'",
            "per-channel scales along two different axes meet",
            "Use one scale for the whole activation",
        )
    axis = value.axis if pending else quantizer.axis
    channels = builder.shape(value.tensor)[axis] if pending or len(quantizer.scale) > 1 else 1
    low, high = source.low, source.high
    table = np.empty((channels, len(levels)), dtype=object)
    signs = np.ones(channels, dtype=np.int64)
    for channel in range(channels):
        scale = quantizer.scale[channel % len(quantizer.scale)]
        signs[channel] = sign = channel_sign(value.steps, channel)
        lowest, beyond = (low, high + 1) if sign > 0 else (-high, -low + 1)
        for column, level in enumerate(levels):
            edge, strict = (ZERO, False) if level is None else _edge(level, quantizer.rounding)
            found = invert(value.steps, channel, (edge - quantizer.zero_point) * scale, strict)
            table[channel, column] = min(max(_first_integer(found, source.fraction, lowest, beyond), lowest), beyond)
    flipped = signs if (signs < 0).any() else None
    if flipped is not None and channels == 1:
        flipped = np.full(builder.shape(value.tensor)[axis], -1, dtype=np.int64)
    step, offset = (2, -1) if quantizer.bipolar else (1, quantizer.low - quantizer.zero_point)
    return builder.threshold(value.tensor, table, flipped, step, offset, axis, quantizer.result_type, node, wish)


def _first_integer(found: Condition | bool, fraction: int, lowest: int, beyond: int) -> int:
    if isinstance(found, bool):
        return lowest if found else beyond
    scaled = found.edge * (Fraction(2) ** fraction)
    return floor(scaled) + 1 if found.strict else ceil(scaled)
