"""Constants in hardware: read-only memories, the walk through constants that belong to channels, sums of many terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory


def divisors(number: int) -> list[int]:
    """All of them, the smallest first."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


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


def look_up(m: Module, name: str, words: Sequence[int], width: int, address: Value) -> Value:
    """The word at `address`, in the same cycle."""
    if len(words) == 1:
        return Const(words[0], width)
    rom = Memory(shape=unsigned(width), depth=len(words), init=words)
    m.submodules[name] = rom
    port = rom.read_port(domain="comb")
    m.d.comb += port.addr.eq(address)
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
    """What a tensor's beats meet, by number: `beats[n]` holds one for each lane; each stays for `repeat` beats."""

    beats: tuple[tuple[int, ...], ...]
    repeat: int

    def first_lane(self, beats: int) -> np.ndarray:
        """The number that the first lane of each of so many beats meets."""
        period = np.repeat([beat[0] for beat in self.beats], self.repeat)
        return np.resize(period, beats)

    def address(self, m: Module, step: Value) -> Value:
        """The index into `beats` of the next beat, moving where `step` is high."""
        _, over = count_up(m, "held_for", self.repeat, step)
        return count_up(m, "entry", len(self.beats), step & over)[0]


def walk_of(numbers: np.ndarray, lanes: int) -> Walk:
    """The shortest walk along `numbers`, one for each element of a sample in C order; `lanes` divide them."""
    rows = np.ascontiguousarray(numbers, dtype=np.int64).reshape(-1, lanes)
    count = len(rows)
    repeat = next(n for n in reversed(divisors(count)) if (rows.reshape(-1, n, lanes) == rows[::n, None]).all())
    rows = rows[::repeat]
    period = next(n for n in divisors(len(rows)) if (rows.reshape(-1, n, lanes) == rows[:n]).all())
    return Walk(tuple(map(tuple, rows[:period].tolist())), repeat)


def channel_walk(shape: tuple[int, ...], axis: int, lanes: int) -> Walk:
    """The walk along the indices of `axis` of a tensor in C order."""
    along = np.arange(shape[axis]).reshape(-1, *(1,) * (len(shape) - axis - 1))
    return walk_of(np.broadcast_to(along, shape), lanes)
