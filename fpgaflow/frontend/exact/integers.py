"""From values with pending steps to plain integers, where a node needs those: exactly, or not at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.rescale import uniform
from fpgaflow.frontend.exact.values import ONE, Const, Value, exponent, is_power_of_two
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH

MAX_GROWTH = 8  # bits that an operand of a product may gain to have one scale; a quantiser before it is the better way
MAX_FLOAT_WEIGHT_BITS = 24  # weights without a quantiser are taken as they are if this many bits hold them exactly


def integers(builder: Builder, value: Value, where: str, wish: str, growth: int = MAX_GROWTH) -> tuple[str, Fraction]:
    """A tensor and the one factor from its fixed-point values to the model's real ones.

    Adds what is pending to the graph where that is exact: a clamp, a bias in the sum before it, or a multiplication
    that makes the integers no more than `growth` bits wider.
    """
    return uniform(builder, value, where, wish, growth)


def weight_integers(const: Const, filter_axis: int, where: str) -> tuple[np.ndarray, FixedType, tuple[Fraction, ...]]:
    """Constant weights as integers of a type, with the factor of each filter that the type's fraction leaves over.

    Power-of-two scales of several sizes are aligned to the finest; other scales stay beside the integers.
    """
    if const.ints is None or const.scale is None:
        return _float_weights(const, where)
    scale = const.scale
    if any(n != 1 for axis, n in enumerate(scale.shape) if axis != filter_axis % scale.ndim):
        refuse(
            where, f"weight scales of shape {scale.shape} differ within one filter", "Use one scale per output channel"
        )
    factors = tuple(Fraction(float(s)) for s in scale.reshape(-1))
    if any(f <= 0 for f in factors):
        refuse(where, "a weight scale is zero or negative", "Scales must be positive")
    width = const.width or 1
    if not all(map(is_power_of_two, factors)):
        return const.ints, FixedType(const.signed, width, 0), factors
    fractions_ = [-exponent(f) for f in factors]
    finest = max(fractions_)
    if len(set(fractions_)) == 1:
        return const.ints, FixedType(const.signed, width, finest), (ONE,)
    if width + finest - min(fractions_) > MAX_CONSTANT_WIDTH:
        return const.ints, FixedType(const.signed, width, 0), factors
    shape = [1] * const.ints.ndim
    shape[filter_axis] = -1
    ints = const.ints << np.array([finest - f for f in fractions_], dtype=np.int64).reshape(shape)
    return ints, type_for(min(int(ints.min()), 0), int(ints.max()), finest), (ONE,)


def _float_weights(const: Const, where: str) -> tuple[np.ndarray, FixedType, tuple[Fraction, ...]]:
    values = np.asarray(const.values, dtype=np.float64)
    mantissa, exponents = np.frexp(values[values != 0])
    fraction = 0
    if mantissa.size:
        units = (mantissa * 2.0**53).astype(np.int64)
        trailing = np.array([(int(u) & -int(u)).bit_length() - 1 for u in np.unique(np.abs(units))])
        order = np.searchsorted(np.unique(np.abs(units)), np.abs(units))
        fraction = int((53 - exponents - trailing[order]).max())
        top = int(exponents.max()) + fraction + 1
        if top > MAX_FLOAT_WEIGHT_BITS:
            refuse(
                where,
                f"its weights are floating point (they would need {top} bits)",
                "Quantise them (Brevitas: QuantConv2d, QuantLinear; QKeras: QConv2D, QDense with a kernel_quantizer), "
                "or the whole float model by `fpgaflow quantize`",
            )
    ints = (values * 2.0**fraction).astype(np.int64)
    return ints, type_for(int(ints.min()), int(ints.max()), fraction), (ONE,)
