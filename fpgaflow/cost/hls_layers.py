"""What C synthesis reports of hls4ml's layers: features from first principles, weighed by calibrated coefficients.

Every layer is described by what decides its cost (a `...Layer` below), not by the graph that it comes from, so that the
same functions estimate a design and are checked against reports of other people's designs (benchmarks/estimates.py,
docs/estimates.md). DSPs and block RAM follow rules that the reports obey exactly, LUTs and flip-flops are sums of
features times coefficients:

- An adder of n bits takes n + 7 LUTs, a choice of two a LUT a bit, in the tools' own estimates.
- A product of at least 10 bits on one side is made of DSP48s of 25 × 18 bits (AMD UG479, UG579), another one of LUTs.
- A product by a constant of at most two signed digits is shifts and an adder; equal products of one input are shared.
- A memory of up to 1024 words is ceil(bits / 36) block RAMs of 18 kbit up to 512 words, ceil(bits / 18) beyond
  (AMD UG473, table 1-2); its widest word is as wide as its values, not as their type.
- A FIFO of more than 32 words is block RAM, 18 bits × 1024 words each; a shorter one is shift registers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from fpgaflow.cost.coefficients import COEFFICIENTS

DSP_BITS = 10
_DSP_LONG, _DSP_SHORT = 25, 18
_BLOCK_WORDS = 1024
_SRL_WORDS = 32  # of one LUT (AMD UG474)
ROM_BITS = 1024  # up to which a table stays in LUTs
_ADDER_EXTRA = 7  # LUTs of an adder beyond its bits
_LUTS_PER_BIT = 0.67  # of a product: 33 LUTs for 7 × 7
_CHOICES = 2  # of two, a LUT a bit: whether, and which
_CONTROL_LUTS, _CONTROL_FFS = 250, 100  # of a folded layer: its state machine, indices and handshake
_WINDOW_CONTROL = 540  # LUTs: counters of rows and columns, as in a pooling
_WIDE_STAGES = 5  # of a product of several DSPs: mul_32s_32s_5 in the tools' own names
CONV_CYCLES, SKIP_CYCLES = 11, 4  # of a window beyond its reuse factor, and of a pixel that completes none


@dataclass(frozen=True)
class FoldedLayer:
    """A dense layer, or the products of a convolution, over weights in memory (hls4ml's resource strategy).

    `a`, `w`, `acc` are bits of inputs, weights and sums; `top` those that the widest value of the last multiplier
    needs; `window_bits` the registers of a convolution's window, 0 for a dense layer.
    """

    n_in: int
    n_out: int
    reuse: int
    a: int
    w: int
    acc: int
    top: int
    window_bits: int = 0

    @property
    def multipliers(self) -> int:
        return ceil(self.n_in * self.n_out / self.reuse)

    @property
    def dsp(self) -> int:
        narrow = product_dsps(self.a, self.top)
        return (self.multipliers - 1) * product_dsps(self.a, self.w) + narrow

    @property
    def memory_bits(self) -> int:
        return (self.multipliers - 1) * self.w + self.top

    def features(self) -> tuple[list[float], list[float]]:
        """Of LUTs and of flip-flops."""
        m, sums, blocks = self.multipliers, self.n_out * self.acc, product_dsps(self.a, self.w)
        in_luts = 0.0 if blocks else m * self.a * self.w * _LUTS_PER_BIT
        shared = sums if self.n_out > m else 0  # results that take turns at an adder are chosen among
        stages = _WIDE_STAGES if blocks > 1 else 1
        lut: float = _CONTROL_LUTS + in_luts + m * (self.acc + _ADDER_EXTRA) + _CHOICES * shared
        ff: float = _CONTROL_FFS + sums + m * (self.a + self.w) * stages
        if self.window_bits:
            lut += _WINDOW_CONTROL + self.window_bits / 4
            ff += 1.5 * self.window_bits  # the window, and half of it again between it and the products
        if blocks and self.reuse > self.n_in:  # sums wait for products on their way, and every one may be the next
            lut += _CHOICES * sums
            ff += 3 * sums
        return [lut], [ff]


@dataclass(frozen=True)
class ConstantLayer:
    """Products by constants, all at once (hls4ml's latency strategy, reuse factor 1).

    `wide_products` are those in DSPs, `shift_adders` the additions within the others.
    """

    nonzero: int
    wide_products: int
    shift_adders: int
    n_out: int
    a: int
    acc: int

    def features(self) -> tuple[list[float], list[float]]:
        adders = self.nonzero * (self.acc + _ADDER_EXTRA) + self.shift_adders * (self.a + _ADDER_EXTRA)
        return [float(adders)], [self.nonzero * self.acc / 2 + self.wide_products * (3 * self.a + 36)]


@dataclass(frozen=True)
class LaneLayer:
    """Relu, pooling or padding: the same for each of `lanes` elements of a beat. `cast`: it rounds and saturates."""

    kind: str
    lanes: int
    a: int
    cast: bool = False
    window: int = 1
    stream: bool = True

    def features(self) -> tuple[list[float], list[float]]:
        """Of LUTs and of flip-flops."""
        lanes, bits = float(self.lanes), float(self.lanes * self.a)
        match self.kind:
            case "relu":
                lut = [float(self.stream), 0.0 if self.cast else 2 * bits + 6 * lanes, bits if self.cast else 0.0]
                return lut, [float(self.stream), bits]
            case "pool":
                return [1.0, lanes, bits * self.window / 4], [1.0, lanes, bits * self.window / 4]
        return [1.0, lanes], [1.0]


def product_dsps(a: int, w: int) -> int:
    """DSP48s of one product of a by w bits; 0 where it is made of LUTs."""
    if max(a, w) < DSP_BITS:
        return 0
    return min(ceil(a / x) * ceil(w / y) for x, y in ((_DSP_LONG, _DSP_SHORT), (_DSP_SHORT, _DSP_LONG)))


def rom_blocks(words: int, bits: int) -> int:
    """Block RAMs of 18 kbit of a read-only memory; 0 where it stays in LUTs."""
    if words * bits <= ROM_BITS:
        return 0
    shapes = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
    return min(ceil(words / depth) * ceil(bits / width) for depth, width in shapes)


def fifo_blocks(depth: int, bits: int) -> int:
    """Block RAMs of 18 kbit of a FIFO."""
    return 0 if depth <= _SRL_WORDS else ceil(bits / 18) * ceil(depth / _BLOCK_WORDS)


def fifo_logic(depth: int, bits: int) -> tuple[float, float]:
    """(LUTs, flip-flops) of a FIFO: shift registers of a LUT a bit up to 32 words, pointers, and nothing else."""
    pointers = max(1, (depth - 1).bit_length())
    return (bits if depth <= _SRL_WORDS else 0) + 50.0, 10.0 + (2 * pointers if depth <= _SRL_WORDS else 20 * pointers)


def signed_digits(value: int) -> int:
    """Non-zero digits of the canonical signed-digit form: additions and subtractions of a product by it, plus one."""
    value, digits = abs(value), 0
    while value:
        if value & 1:
            value -= 2 - (value & 3)
            digits += 1
        value >>= 1
    return digits


def constant_layer(weights: np.ndarray, a: int, acc: int) -> ConstantLayer:
    """The layer of integer weights (..., n_out)."""
    rows = weights.reshape(-1, weights.shape[-1])
    pairs = {(index, int(value)) for index, row in enumerate(rows.tolist()) for value in row if value}
    digits = [signed_digits(value) for _, value in pairs]
    wide = [count for count in digits if count > 2 and a >= DSP_BITS]
    others = sum(count - 1 for count in digits) - sum(count - 1 for count in wide)
    return ConstantLayer(int(np.count_nonzero(rows)), len(wide), others, rows.shape[1], a, acc)


def logic(
    kind: str,
    features: tuple[Sequence[float], Sequence[float]],
    coefficients: Mapping[str, Sequence[float]] = COEFFICIENTS,
) -> tuple[float, float]:
    """(LUTs, flip-flops) of a layer from its features; `kind` names its coefficients."""
    lut, ff = features
    return _weighed(coefficients[f"{kind}.lut"], lut), _weighed(coefficients[f"{kind}.ff"], ff)


def _weighed(coefficients: Sequence[float], features: Sequence[float]) -> float:
    return float(np.dot(coefficients, features))
