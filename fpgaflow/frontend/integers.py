"""From values with pending steps to plain integers, where a node needs those: exactly, or not at all."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.builder import Builder
from fpgaflow.frontend.quantizers import add_bias
from fpgaflow.frontend.refuse import refuse
from fpgaflow.frontend.values import ONE, RELU, ZERO, Affine, Const, Value, dyadic_fraction, exponent, is_power_of_two
from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH

MAX_FLOAT_WEIGHT_BITS = 24  # weights without a quantiser are taken as they are if this many bits hold them exactly


def integers(builder: Builder, value: Value, where: str, wish: str) -> tuple[str, Fraction]:
    """A tensor and the one factor from its fixed-point values to the model's real ones.

    Adds what is pending to the graph where that is exact: a ReLU, or a bias in the sum before it.
    """
    if value.raw:
        refuse(
            where,
            "reads the model's input before any quantiser has",
            "Quantise the input first (Brevitas: QuantIdentity(return_quant_tensor=True) as the first layer)",
        )
    while value.unit is None:
        value = _one_step(builder, value, where, wish)
    return value.tensor, value.unit


def _one_step(builder: Builder, value: Value, where: str, wish: str) -> Value:
    step, rest = value.steps[0], value.steps[1:]
    if step == RELU:
        return replace(value, tensor=builder.relu(value.tensor, where_name(where), f"{wish}.relu"), steps=rest)
    if isinstance(step, Affine) and (scale := step.uniform_scale) is not None and scale > 0:
        if rest and not step.has_offset:  # a positive factor and a ReLU change places
            if rest[0] == RELU:
                return replace(value, steps=(RELU, step, *rest[1:]))
        elif step.has_offset:
            offset = tuple(o / scale for o in step.offset)
            fraction = dyadic_fraction(offset)
            known_as = builder.pending.get((value.tensor, step))
            biased = None if fraction is None else add_bias(builder, value, offset, fraction, wish, known_as)
            if biased is not None:
                factor = () if scale == ONE else (Affine((scale,), (ZERO,)),)
                return replace(value, tensor=biased, steps=(*factor, *rest))
    refuse(
        where,
        "needs integers, but its input carries a bias, scale or clamp that no quantiser has closed",
        "Put an activation quantiser before this node (Brevitas: QuantIdentity or QuantReLU)",
    )


def where_name(where: str) -> str:
    """The bare node name in `node 'name' (Kind)`."""
    return where.split("'")[1] if "'" in where else where


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
                "Quantise them (Brevitas: QuantConv2d, QuantLinear with a weight_quant)",
            )
    ints = (values * 2.0**fraction).astype(np.int64)
    return ints, type_for(int(ints.min()), int(ints.max()), fraction), (ONE,)
