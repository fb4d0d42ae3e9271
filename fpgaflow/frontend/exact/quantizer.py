"""A quantiser as QONNX writes it: its levels, its rounding, and the type of its integers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from fpgaflow.frontend.exact.values import Fractions, exponent, is_power_of_two
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.sim.fixed_point import boundary


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


def edge_of(level: int, rounding: QonnxRounding) -> tuple[Fraction, bool]:
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
