"""Constants in hardware: read-only memories, the walk through constants that belong to channels, sums of many terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory


def packed(values: Sequence[int], bits: int) -> int:
    """Integers side by side in two's complement, the first in the lowest bits."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << (bits * place) for place, value in enumerate(values))


def read_rom(m: Module, name: str, words: Sequence[int], width: int, address: Value, enable: Value) -> Value:
    """The word at `address`, one cycle later where `enable` was high; a constant where there is but one word."""
    if len(words) == 1:
        return Const(words[0], width)
    rom = Memory(shape=unsigned(width), depth=len(words), init=words)
    m.submodules[name] = rom
    port = rom.read_port()
    m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
    return port.data


def count_up(m: Module, name: str, size: int, step: Value) -> tuple[Value, Value]:
    """A counter of 0 to size - 1 that moves where `step` is high, and whether it stands on its last value."""
    count, last = Signal(range(size), name=name), Signal(name=f"{name}_last")
    m.d.comb += last.eq(count == size - 1)
    with m.If(step):
        m.d.sync += count.eq(Mux(last, 0, count + 1))
    return count, last


def tree_sum(terms: Sequence[Value]) -> Value:
    """The sum of all terms as a balanced tree, exact."""
    level = list(terms) or [Const(0)]
    while len(level) > 1:
        pairs = [left + right for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


@dataclass(frozen=True)
class Walk:
    """The channels that a tensor's beats meet: `beats[n]` holds one for each lane; each stays for `repeat` beats."""

    beats: tuple[tuple[int, ...], ...]
    repeat: int

    def address(self, m: Module, step: Value) -> Value:
        """The index into `beats` of the next beat, moving where `step` is high."""
        _, over = count_up(m, "held_for", self.repeat, step)
        return count_up(m, "entry", len(self.beats), step & over)[0]


def channel_walk(shape: tuple[int, ...], axis: int, lanes: int) -> Walk:
    """The walk along `axis` of a tensor in C order; `lanes` divide its last axis."""
    channels, inner = shape[axis], prod(shape[axis + 1 :])
    if inner == 1:
        firsts = range(0, channels, lanes)
        return Walk(tuple(tuple(range(first, first + lanes)) for first in firsts), 1)
    return Walk(tuple((channel,) * lanes for channel in range(channels)), inner // lanes)
