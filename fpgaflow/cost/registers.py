"""Flip-flops of what C synthesis makes, from the clock it schedules for: no coefficient is fitted.

The scheduler chains operations until the clock's budget is spent, then registers what is still needed. Delays are
those of its own libraries for -1 parts of the 7 series and -2 parts of UltraScale+, as its reports print them: 2.08 and
0.77 ns for a sum of 16 bits, 2.47 and 0.86 ns for a comparison of 32. Other speed grades count as these.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, log2

CONTROL = 150  # of a folded layer: 32-bit indices of its loop, state machine, handshake
WINDOW = 283  # of a window: its four 32-bit counters, what they become, and a state machine
LOOP = 16  # of a loop over the beats of a stream
SEVERAL_DSPS, ONE_DSP = 215, 69  # within a pipelined product of 32 × 32 and of 16 × 16 bits, in the tools' own tables
_LARGEST_SUM = 48  # bits of a DSP's result
_NARROW_LEVELS = 2  # a narrow product by a constant takes as long as two sums: three signed digits


@dataclass(frozen=True)
class Clock:
    """What the scheduler aims at.

    Attributes:
        uncertainty: nanoseconds of the period that it keeps free: 27 % in Vitis HLS, 12.5 % in Vivado HLS.
        ultrascale: UltraScale and newer, else the 7 series.
    """

    period_ns: float = 10.0
    uncertainty_ns: float = 2.7
    ultrascale: bool = False

    @classmethod
    def of(cls, part: str, mhz: float) -> Clock:
        """Vitis HLS's, for a part."""
        period = 1000 / mhz
        return cls(period, 0.27 * period, not part.lower().startswith(("xc7", "xa7", "xq7")))

    @property
    def budget(self) -> float:
        """Nanoseconds of a cycle; without limit where nothing of the period is left, as the tools then chain all."""
        left = self.period_ns - self.uncertainty_ns
        return left if left > 0 else inf

    def sum_ns(self, bits: int) -> float:
        return 0.65 + 0.0075 * bits if self.ultrascale else 1.6 + 0.03 * bits

    def comparison_ns(self, bits: int) -> float:
        return 0.6 + 0.015 * min(bits, 18) if self.ultrascale else min(2.47, 1.0 + 0.08 * bits)

    @property
    def choice_ns(self) -> float:
        return 0.3 if self.ultrascale else 0.69

    @property
    def stream_ns(self) -> float:
        """Of a FIFO's read or write."""
        return 1.21 if self.ultrascale else 2.18

    @property
    def product_ns(self) -> float:
        """Of a product in a DSP."""
        return 2.0 if self.ultrascale else 6.38


def of_constants(
    *,
    n_in: int,
    n_out: int,
    nonzero: int,
    wide: int,
    shift_adders: int,
    product_bits: int,
    a: int,
    acc: int,
    clock: Clock,
) -> float:
    """Of products by constants and their trees of sums, all at once.

    A cycle holds as many levels of the tree as the budget allows; each cut registers what the tree has left there.
    Wide products are cut off behind the DSP, and pipelined within it where it takes more than a cycle. Results are
    registered.
    """
    per_cycle = inf if clock.budget == inf else max(1, int(clock.budget / clock.sum_ns(acc)))
    levels = ceil(log2(max(1.0, nonzero / n_out)))
    first = per_cycle - (_NARROW_LEVELS if shift_adders else 0)  # levels behind the products in the first cycle
    first = first if first > 0 else 0
    within = ONE_DSP if clock.product_ns > clock.budget else 0
    found = float(n_out * acc + wide * (product_bits + within))
    if first < levels:
        found += (nonzero - wide) / 2**first * product_bits
        cut = first + per_cycle
        while cut < levels:
            found += max(n_out, nonzero / 2**cut) * acc
            cut += per_cycle
    return found + (n_in * a if wide or first < levels else 0)


def of_folded(
    *, a: int, w: int, acc: int, n_in: int, n_out: int, multipliers: int, dsps: int, window: bool, lines: int
) -> float:
    """Of products over weights in memory: inputs, sums, the results of the last ones, products, weights.

    Args:
        dsps: of one product.
        window: of a convolution, whose inputs are a window over line buffers.
        lines: rows of that window but one, times channels: their shift registers have a register at either end.
    """
    found = float(CONTROL + n_in * a + 2 * n_out * acc + multipliers * (min(_LARGEST_SUM, a + w) + w))
    if dsps > 1:
        found += multipliers * SEVERAL_DSPS
    return found + (WINDOW + 2 * a * lines if window else 0)


def of_relu(*, lanes: int, a: int, out: int, cast: bool, stream: bool, held: bool, clock: Clock) -> float:
    """Of a chain: read, compare and round, choose, write. A cut behind the read holds inputs, a later one results.

    Args:
        held: of arrays between processes, which hold their results.
    """
    if not stream:
        return lanes * out + 2.0 if held else 0.0
    compare = max(clock.comparison_ns(a), clock.sum_ns(a) if cast else 0.0)
    chain = [(clock.stream_ns, a), (compare, a), (clock.choice_ns, out)]
    chain += [(clock.choice_ns, out)] * cast + [(clock.stream_ns, 0)]
    spent, held_bits, bits = 0.0, 0, 0
    for delay, left in chain:
        if spent and spent + delay > clock.budget:
            held_bits, spent = held_bits + bits, 0.0
        spent, bits = spent + delay, left
    return LOOP + lanes * held_bits


def of_pool(*, lanes: int, a: int, rows: int, columns: int, clock: Clock) -> float:
    """Of a window over line buffers: its columns but one, ends of lines, a beat; behind a cut all of it."""
    registers = rows * (columns - 1) + 2 * (rows - 1) + 1
    chain = clock.comparison_ns(a) + clock.choice_ns
    if clock.stream_ns + ceil(log2(max(2, rows * columns))) * chain + clock.stream_ns > clock.budget:
        registers += rows * columns + 1
    return WINDOW + lanes * a * registers


def of_padding() -> float:
    return LOOP + 10.0
