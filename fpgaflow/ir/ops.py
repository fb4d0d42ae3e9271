"""The operations of the integer graph: one frozen dataclass each.

Every tensor holds integers; its `FixedType` says what they mean. Shapes leave out the batch. Spatial tensors are
channels-last, (height, width, channels) or (width, channels), as in hls4ml and in streaming hardware. Constants are
named arrays in `Graph.constants`. What each op computes, bit for bit, is written in `fpgaflow.sim.kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fpgaflow.ir.op import Op as Op
from fpgaflow.ir.ops_merge import MERGE_OPS
from fpgaflow.ir.ops_recurrent import RECURRENT_OPS
from fpgaflow.ir.ops_table import TABLE_OPS
from fpgaflow.ir.types import FixedType, Overflow, Rounding


@dataclass(frozen=True)
class Cast(Op):
    """The input's value in the output's type, by AMD's ap_fixed rules."""

    rounding: Rounding
    overflow: Overflow


@dataclass(frozen=True)
class Linear(Op):
    """What dense and conv share: products with constant weights, summed in `accum`, the bias first.

    As in hls4ml, the bias and each product are cast to `accum` (truncation, wrap-around), then added in wrap-around
    arithmetic; with an accumulator as wide as the exact sum this is the exact sum. The output's type is `accum`.
    """

    weights: str
    weight_type: FixedType
    bias: str | None
    bias_type: FixedType | None
    accum: FixedType


@dataclass(frozen=True)
class Dense(Linear):
    """x (..., n_in) times weights (n_in, n_out) plus bias (n_out,)."""


@dataclass(frozen=True)
class Conv(Linear):
    """Cross-correlation over one or two spatial axes; a depthwise convolution has groups == channels.

    Input (*spatial, channels), weights (*kernel, channels / groups, filters), bias (filters,); `padding` is
    (before, after) for each spatial axis, with zeros.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int


class PoolKind(Enum):
    MAX = "max"
    SUM = "sum"  # integers added; fraction kept
    AVERAGE = "average"  # SUM, the value divided by a window of 2^k elements: exact, the fraction grows by k


@dataclass(frozen=True)
class Pool(Op):
    """Windowed reduction over the spatial axes of (*spatial, channels). Padding adds zeros; MAX takes none."""

    kind: PoolKind
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Add(Op):
    """Sum of two tensors of one shape, exact: the output's type holds every sum at the finer fraction of the two."""


@dataclass(frozen=True)
class Relu(Op):
    """max(x, 0), the fraction kept."""


@dataclass(frozen=True)
class Threshold(Op):
    """A quantiser of any scale: output integer = offset + step × #{j : sign × x >= thresholds[c, j]}.

    `thresholds` is (channels, levels) or (1, levels), ascending, in units of the input's integers; `signs` is
    (channels,) of ±1 or None for all +1; `axis` is the channel axis of the unbatched input.
    """

    thresholds: str
    signs: str | None
    step: int
    offset: int
    axis: int


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in C order under the output's shape."""


@dataclass(frozen=True)
class Transpose(Op):
    """Axes of the unbatched input in the order `perm`."""

    perm: tuple[int, ...]


OPS: tuple[type[Op], ...] = (
    *(Cast, Dense, Conv, Pool, Add, Relu, Threshold, Reshape, Transpose),
    *MERGE_OPS,
    *RECURRENT_OPS,
    *TABLE_OPS,
)
