"""Operations that join, scale, rearrange and accumulate: merges, batch norm, concatenation, indices, ordered sums.

What each op computes, bit for bit, is written in `fpgaflow.sim.kernels_merge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fpgaflow.ir.op import Op
from fpgaflow.ir.types import FixedType, Overflow, Rounding


class ElementwiseKind(Enum):
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    AVERAGE = "average"  # half the sum; one more bit of fraction
    MAXIMUM = "maximum"
    MINIMUM = "minimum"


@dataclass(frozen=True)
class Elementwise(Op):
    """Two tensors of one shape, element by element, exact: the output's type holds every result."""

    kind: ElementwiseKind


@dataclass(frozen=True)
class Scale(Op):
    """x times weights plus bias, element by element, exact; the constants broadcast over leading axes as in numpy."""

    weights: str
    weight_type: FixedType
    bias: str | None
    bias_type: FixedType | None


@dataclass(frozen=True)
class Divide(Op):
    """x over positive integers, toward zero, in x's own type; the divisors broadcast over leading axes as in numpy."""

    divisors: str


@dataclass(frozen=True)
class Concat(Op):
    """Tensors of one type side by side along `axis`."""

    axis: int


@dataclass(frozen=True)
class Pad(Op):
    """x with `value` around it: (before, after) for each axis. `value` is an integer of x's type."""

    padding: tuple[tuple[int, int], ...]
    value: int


@dataclass(frozen=True)
class Take(Op):
    """The entries `indices` (n,) of one axis of x, in that order; an entry may come many times, or never."""

    indices: str
    axis: int


@dataclass(frozen=True)
class Embed(Op):
    """Row x of `table` (rows, columns) for each element of x, which must be an index: one more axis, the columns."""

    table: str


@dataclass(frozen=True)
class Patches(Op):
    """What each window over (*spatial, channels) sees: (*windows, taps, channels), the taps in C order."""

    size: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class MatMul(Op):
    """Matrix products of two tensors (..., n, k) and (..., k, m) of equal leading axes, exact."""


@dataclass(frozen=True)
class OrderedSum(Op):
    """Sum over the last axis but one, cast into the output's type after each addition: the order may decide.

    One after the other, from `bias` (last axis,) in the output's type or from zero on; or, if `tree`, as the sum of
    the sums of a first part, the largest power of two below the count, and of the rest, as hls4ml's `nnet::reduce`.
    """

    bias: str | None
    tree: bool
    rounding: Rounding
    overflow: Overflow


@dataclass(frozen=True)
class OrderedDense(Op):
    """x (..., n_in) times weights (n_in, n_out) plus bias, cast into the output's type at every step.

    From the bias, in the output's type, or zero on, product by product: each is cast, added, and the sum cast again.
    Weights may be (*batch, n_in, n_out) for x (*batch, rows, n_in). The bias broadcasts to the output as in numpy.
    """

    weights: str
    weight_type: FixedType
    bias: str | None
    rounding: Rounding
    overflow: Overflow


MERGE_OPS: tuple[type[Op], ...] = (
    *(Elementwise, Scale, Divide, Concat, Pad, Take, Embed, Patches, MatMul, OrderedSum, OrderedDense),
)
