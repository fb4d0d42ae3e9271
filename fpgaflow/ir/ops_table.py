"""Operations of activation functions: tables, piecewise linear functions, a type for each element, the maximum's place.

What each op computes, bit for bit, is written in `fpgaflow.sim.kernels_table`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fpgaflow.ir.op import Op
from fpgaflow.ir.types import Overflow, Rounding


@dataclass(frozen=True)
class Lookup(Op):
    """The entry of `table` at x - low: one entry for each integer of the input's type, from its lowest on."""

    table: str


@dataclass(frozen=True)
class Piecewise(Op):
    """A piecewise linear function: slopes[..., s] × x + offsets[..., s], where s = #{k : x >= knots[k]}.

    All are integers: `knots` (segments - 1,), ascending, of the input; the others such that the sum is the output's, so
    2^(output's fraction - input's fraction) is a slope of 1. Slopes and offsets are (segments,), or have axes before it
    that broadcast to the input's shape.
    """

    knots: str
    slopes: str
    offsets: str


@dataclass(frozen=True)
class CastEach(Op):
    """A cast of each element into a type of its own, then, exactly, into the output's.

    `types` is (3, *shape): 1 where signed, width, fraction; an element of width 0 becomes 0.
    """

    types: str
    rounding: Rounding
    overflow: Overflow


@dataclass(frozen=True)
class OneHotMax(Op):
    """1 at the first maximum along the last axis, 0 elsewhere."""


TABLE_OPS: tuple[type[Op], ...] = (Lookup, Piecewise, CastEach, OneHotMax)
