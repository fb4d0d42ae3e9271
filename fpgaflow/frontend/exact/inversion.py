"""Conditions on what pending steps make of a number, carried back to the number itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fpgaflow.frontend.exact.values import RELU, Affine, Clamp, Leaky, Step


@dataclass(frozen=True)
class Condition:
    """sign × x >= edge, or > where strict."""

    sign: int
    edge: Fraction
    strict: bool


def invert(steps: tuple[Step, ...], channel: int, edge: Fraction, strict: bool) -> Condition | bool:
    """From a condition on the last step's result, (v >= edge) or (v > edge), to one on the first step's argument.

    The steps are affine, clamps, or leaky with slopes that are not negative.

    Returns:
        The condition, or True where it always holds, False where it never does.
    """
    sign = 1
    for each in reversed(steps):
        step: Step = each
        if isinstance(step, Leaky):
            if slope := step.slope[channel % len(step.slope)]:
                edge = edge if sign * edge >= 0 else edge / slope
                continue
            step = RELU
        if isinstance(step, Clamp):
            low, high = (step.low, step.high) if sign > 0 else (_negated(step.high), _negated(step.low))
            if low is not None and (low > edge or (low == edge and not strict)):
                return True
            if high is not None and (high < edge or (high == edge and strict)):
                return False
            continue
        assert isinstance(step, Affine)
        scale = step.scale[channel % len(step.scale)]
        offset = step.offset[channel % len(step.offset)]
        if scale == 0:
            constant = sign * offset
            return constant > edge if strict else constant >= edge
        # sign (scale x + offset) >= edge  <=>  sign' x >= (edge - sign offset) / |scale|
        edge = (edge - sign * offset) / abs(scale)
        sign = sign if scale > 0 else -sign
    return Condition(sign, edge, strict)


def _negated(value: Fraction | None) -> Fraction | None:
    return None if value is None else -value


def channel_sign(steps: tuple[Step, ...], channel: int) -> int:
    """-1 where the steps fall as their argument rises, else +1."""
    sign = 1
    for step in steps:
        if isinstance(step, Affine) and step.scale[channel % len(step.scale)] < 0:
            sign = -sign
    return sign
