"""What C synthesis reports of hls4ml's layers: features from first principles, weighed by calibrated coefficients.

Every layer is described by what decides its cost (a `...Layer` below), not by the graph that it comes from, so that the
same functions estimate a design and are checked against reports of other people's designs (benchmarks/estimates.py,
docs/estimates.md). DSPs and block RAM follow rules that the reports obey exactly, LUTs are sums of features times
coefficients, flip-flops what the clock's schedule leaves in registers (registers.py):

- An adder of n bits takes n + 7 LUTs, a choice of two a LUT a bit, in the tools' own estimates.
- A product of at least 10 bits on one side is made of DSP48s of 25 × 18 bits (AMD UG479, UG579), another one of LUTs.
- A product by a constant of at most two signed digits is shifts and an adder; equal products of one input are shared.
- A memory is ceil(bits / 36) block RAMs of 18 kbit up to 512 words, ceil(bits / 18) up to 1024, ceil(bits / 9) up to
  2048; a deeper one is cut into columns of 18, 9, 4, 2 and 1 bits, the widest first (AMD UG473, table 1-2). Its widest
  word is as wide as its values, not as their type.
- A reuse factor beyond the inputs adds a table of where each product goes (nnet_dense_resource.h, outidx): as wide as
  its values, but 32 bits beyond 16,384 entries, and then it is filled anew for every result.
- A FIFO of more than 32 words is block RAM, 18 bits × 1024 words each; a shorter one is shift registers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from fpgaflow.cost import registers
from fpgaflow.cost.coefficients import COEFFICIENTS
from fpgaflow.cost.registers import Clock

DSP_BITS = 10
_DSP_LONG, _DSP_SHORT = 25, 18
_BLOCK_WORDS = 1024
_SRL_WORDS = 32  # of one LUT (AMD UG474)
ROM_BITS = 1024  # up to which a table stays in LUTs
_ROM_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))  # words, bits
_INDEX_WORDS, _INDEX_CYCLES = 16384, 20  # up to which the tool computes that table itself; else of each entry
_ADDER_EXTRA = 7  # LUTs of an adder beyond its bits
_LUTS_PER_BIT = 0.67  # of a product: 33 LUTs for 7 × 7
_CHOICES = 2  # of two, a LUT a bit: whether, and which
_CONTROL_LUTS = 250  # of a folded layer: its state machine, indices and handshake
_WINDOW_CONTROL = 540  # LUTs: counters of rows and columns, as in a pooling
CONV_CYCLES, SKIP_CYCLES = 11, 4  # of a window beyond its reuse factor, and of a pixel that completes none


@dataclass(frozen=True)
class FoldedLayer:
    """A dense layer, or the products of a convolution, over weights in memory (hls4ml's resource strategy).

    `a`, `w`, `acc` are bits of inputs, weights and sums; `top` those that the widest value of the last multiplier
    needs; `window_bits` the registers of a convolution's window, 0 for a dense layer; `lines` its rows but one times
    its channels.
    """

    n_in: int
    n_out: int
    reuse: int
    a: int
    w: int
    acc: int
    top: int
    window_bits: int = 0
    lines: int = 0

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

    @property
    def blocks(self) -> int:
        """Block RAMs of 18 kbit: weights, and where products go."""
        entries = self.reuse // self.n_in if self.reuse > self.n_in else 1
        bits = 32 if self.reuse > max(self.n_in, _INDEX_WORDS) else (entries - 1).bit_length()
        return rom_blocks(self.reuse, self.memory_bits) + (rom_blocks(self.reuse, bits) if entries > 1 else 0)

    @property
    def index_cycles(self) -> int:
        return index_cycles(self.n_in, self.reuse)

    def luts(self) -> list[float]:
        """Features of its LUTs."""
        m, sums, blocks = self.multipliers, self.n_out * self.acc, product_dsps(self.a, self.w)
        in_luts = 0.0 if blocks else m * self.a * self.w * _LUTS_PER_BIT
        shared = sums if self.n_out > m else 0  # results that take turns at an adder are chosen among
        lut: float = _CONTROL_LUTS + in_luts + m * (self.acc + _ADDER_EXTRA) + _CHOICES * shared
        if self.window_bits:
            lut += _WINDOW_CONTROL + self.window_bits / 4
        if blocks and self.reuse > self.n_in:  # sums wait for products on their way, and every one may be the next
            lut += _CHOICES * sums
        return [lut]

    def ffs(self, clock: Clock) -> float:
        return registers.of_folded(
            a=self.a,
            w=self.w,
            acc=self.acc,
            n_in=self.n_in,
            n_out=self.n_out,
            multipliers=self.multipliers,
            dsps=product_dsps(self.a, self.w),
            window=bool(self.window_bits),
            lines=self.lines,
        )


@dataclass(frozen=True)
class ConstantLayer:
    """Products by constants, all at once (hls4ml's latency strategy, reuse factor 1).

    `wide_products` are those in DSPs, `shift_adders` the additions within the others; `w` the bits of weights.
    """

    nonzero: int
    wide_products: int
    shift_adders: int
    n_in: int
    n_out: int
    a: int
    w: int
    acc: int

    def luts(self) -> list[float]:
        """Features of its LUTs."""
        adders = self.nonzero * (self.acc + _ADDER_EXTRA) + self.shift_adders * (self.a + _ADDER_EXTRA)
        return [float(adders)]

    def ffs(self, clock: Clock) -> float:
        return registers.of_constants(
            n_in=self.n_in,
            n_out=self.n_out,
            nonzero=self.nonzero,
            wide=self.wide_products,
            shift_adders=self.shift_adders,
            product_bits=min(self.acc, self.a + self.w),
            a=self.a,
            acc=self.acc,
            clock=clock,
        )


@dataclass(frozen=True)
class LaneLayer:
    """Relu, pooling or padding: the same for each of `lanes` elements of a beat.

    `out` are the bits of a result; `cast`: it rounds and saturates; `window`: rows and columns of a pooling; `held`: a
    relu of arrays between processes.
    """

    kind: str
    lanes: int
    a: int
    out: int = 0
    cast: bool = False
    window: tuple[int, int] = (1, 1)
    stream: bool = True
    held: bool = False

    def luts(self) -> list[float]:
        """Features of its LUTs."""
        lanes, bits = float(self.lanes), float(self.lanes * self.a)
        match self.kind:
            case "relu":
                return [float(self.stream), 0.0 if self.cast else 2 * bits + 6 * lanes, bits if self.cast else 0.0]
            case "pool":
                return [1.0, lanes, bits * self.window[0] * self.window[1] / 4]
        return [1.0, lanes]

    def ffs(self, clock: Clock) -> float:
        match self.kind:
            case "relu":
                return registers.of_relu(
                    lanes=self.lanes,
                    a=self.a,
                    out=self.out,
                    cast=self.cast,
                    stream=self.stream,
                    held=self.held,
                    clock=clock,
                )
            case "pool":
                rows, columns = self.window
                return registers.of_pool(lanes=self.lanes, a=self.a, rows=rows, columns=columns, clock=clock)
        return registers.of_padding()


def index_cycles(n_in: int, reuse: int) -> int:
    """What a result waits for the table of where its products go."""
    return _INDEX_CYCLES * reuse if reuse > max(n_in, _INDEX_WORDS) else 0


def product_dsps(a: int, w: int) -> int:
    """DSP48s of one product of a by w bits; 0 where it is made of LUTs."""
    if max(a, w) < DSP_BITS:
        return 0
    return min(ceil(a / x) * ceil(w / y) for x, y in ((_DSP_LONG, _DSP_SHORT), (_DSP_SHORT, _DSP_LONG)))


def rom_blocks(words: int, bits: int) -> int:
    """Block RAMs of 18 kbit of a read-only memory; 0 where it stays in LUTs."""
    if words * bits <= ROM_BITS:
        return 0
    if words <= _ROM_SHAPES[2][0]:
        return ceil(bits / next(width for depth, width in _ROM_SHAPES if words <= depth))
    blocks = 0
    for depth, width in _ROM_SHAPES[1:]:
        blocks += bits // width * ceil(words / depth)
        bits %= width
    return blocks


def fifo_blocks(depth: int, bits: int) -> int:
    """Block RAMs of 18 kbit of a FIFO."""
    return 0 if depth <= _SRL_WORDS else ceil(bits / 18) * ceil(depth / _BLOCK_WORDS)


def fifo_logic(depth: int, bits: int) -> tuple[float, float]:
    """(LUTs, flip-flops) of a FIFO: shift registers of a LUT a bit up to 32 words, pointers, and nothing else.

    Flip-flops are those of reports: 5 and 7 up to 16 words, 153 and 160 of block RAM at 40 and 80 words (Vitis HLS).
    """
    pointers = max(1, (depth - 1).bit_length())
    short = depth <= _SRL_WORDS
    return (bits if short else 0) + 50.0, 5 + pointers / 2 if short else 111.0 + 7 * pointers


def signed_digits(value: int) -> int:
    """Non-zero digits of the canonical signed-digit form: additions and subtractions of a product by it, plus one."""
    value, digits = abs(value), 0
    while value:
        if value & 1:
            value -= 2 - (value & 3)
            digits += 1
        value >>= 1
    return digits


def constant_layer(weights: np.ndarray, a: int, w: int, acc: int) -> ConstantLayer:
    """The layer of integer weights (..., n_out)."""
    rows = weights.reshape(-1, weights.shape[-1])
    pairs = {(index, int(value)) for index, row in enumerate(rows.tolist()) for value in row if value}
    digits = [signed_digits(value) for _, value in pairs]
    wide = [count for count in digits if count > 2 and a >= DSP_BITS]
    others = sum(count - 1 for count in digits) - sum(count - 1 for count in wide)
    return ConstantLayer(int(np.count_nonzero(rows)), len(wide), others, *rows.shape, a, w, acc)


def luts(kind: str, features: Sequence[float], table: Mapping[str, Sequence[float]] = COEFFICIENTS) -> float:
    """LUTs of a layer from its features; `kind` names its coefficients."""
    return float(np.dot(table[kind], features))
