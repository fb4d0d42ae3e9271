"""Counts of values that leave their types, and casts that count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import numpy as np

from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import fit, limits, rescale

Array = np.ndarray
Caster = Callable[[Array, FixedType, FixedType, Rounding, Overflow], Array]  # as `fixed_point.cast`


@dataclass(frozen=True)
class OverflowCount:
    """Of `values` results so many wrapped around, and so many were clamped or became zero.

    `rectified` of the saturated ones were negative and the type unsigned: what a ReLU in a quantiser does on purpose.
    """

    wrapped: int = 0
    saturated: int = 0
    values: int = 0
    rectified: int = 0

    def __add__(self, other: OverflowCount) -> OverflowCount:
        return OverflowCount(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def counted(below: Array, above: Array, overflow: Overflow, type_: FixedType) -> OverflowCount:
    """Where exact results fall below a type's range and where above, counted, without `values`."""
    negative, outside = int(below.sum()), int((below | above).sum())
    if overflow is Overflow.WRAP:
        return OverflowCount(wrapped=outside)
    return OverflowCount(saturated=outside, rectified=0 if type_.signed else negative)


class EachCast:
    """`cast` that counts every value of every call."""

    def __init__(self) -> None:
        self.count = OverflowCount()

    def __call__(self, x: Array, source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow) -> Array:
        exact = rescale(x, source, target, rounding)
        low, high = limits(target, overflow)
        found = counted(exact < low, exact > high, overflow, target)
        self.count += replace(found, values=exact.size)
        return fit(exact, target, overflow)


class AnyCast:
    """`cast` into one type, call after call over the same elements: an element counts once, however often it leaves."""

    def __init__(self) -> None:
        self.below: Array | bool = False
        self.above: Array | bool = False

    def __call__(self, x: Array, source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow) -> Array:
        exact = rescale(x, source, target, rounding)
        low, high = limits(target, overflow)
        self.below, self.above = self.below | (exact < low), self.above | (exact > high)
        return fit(exact, target, overflow)
