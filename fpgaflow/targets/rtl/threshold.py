"""Thresholds: output = offset + step × #{levels that sign × x reaches}, with levels and signs per channel.

Two forms: `comparators`, one for each level and lane, take a beat each cycle; `Search` finds the count bit by bit with
one comparator a lane, for beats that come rarely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Threshold
from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.targets.rtl.cast import number
from fpgaflow.targets.rtl.rom import Walk, channel_walk, packed, tree_sum
from fpgaflow.targets.rtl.stream import Beat, Stage
from fpgaflow.targets.rtl.varying import Places, Varying


@dataclass(frozen=True)
class Levels:
    """What a threshold stage knows: `rows` (channels, levels), ascending, of `type_`; `signs` (channels,) of ±1.

    `type_` holds every sign × x, and one more integer, `never`, that no x reaches.
    """

    rows: np.ndarray
    signs: np.ndarray
    type_: FixedType
    never: int
    step: int
    offset: int

    @property
    def shape(self) -> Shape:
        return Shape(self.type_.width, self.type_.signed)

    def signed(self, x: Value, negate: Value) -> Value:
        """sign × x."""
        return Mux(negate, -x, x) if (self.signs < 0).any() else x

    def output(self, count: Value) -> Value:
        return Const(self.offset) + count * self.step


def levels_of(op: Threshold, graph: Graph) -> Levels:
    """The thresholds of an op, one row for each channel, clamped to what its input can reach."""
    source, table = graph.type_of(op.inputs[0]), graph.constants[op.thresholds]
    channels = graph.tensors[op.inputs[0]].shape[op.axis]
    rows = np.broadcast_to(table, (channels, table.shape[1]))
    signs = np.ones(channels, np.int64) if op.signs is None else graph.constants[op.signs]
    flips = bool((signs < 0).any())
    low = min(source.low, -source.high) if flips else source.low
    high = max(source.high, -source.low) if flips else source.high
    # Thresholds may be wider than int64 holds with the one above; Python's integers are not.
    clamped = np.array([[min(max(int(v), low), high + 1) for v in row] for row in rows], dtype=object)
    return Levels(clamped.reshape(rows.shape), signs, type_for(low, high + 1, 0), high + 1, op.step, op.offset)


def comparators(lanes: int, source: FixedType, result: FixedType, levels: Levels, walk: Walk) -> Varying:
    """A comparator for each level and lane. Latency 2, interval 1."""
    bits, count = levels.type_.width, levels.rows.shape[1]
    words = [
        packed(row, bits) | int(sign < 0) << bits * count for row, sign in zip(levels.rows, levels.signs, strict=True)
    ]

    def quantised(x: Value, word: Value) -> Value:
        known = Beat(count, bits).split(word)
        value = levels.signed(x, word[-1])
        return levels.output(tree_sum([value >= number(level, levels.type_) for level in known]))

    return Varying(source, result, lanes, Places(tuple(words), bits * count + 1, walk), quantised)


class Search(Stage):
    """Binary search, all lanes at once: with n bits of count, latency and interval are n + 1.

    `walk` gives each lane's channel; where all channels are alike, it has one beat.
    """

    def __init__(self, lanes: int, source: FixedType, result: FixedType, levels: Levels, walk: Walk) -> None:
        super().__init__(Beat(lanes, source.width), Beat(lanes, result.width))
        self.type, self.levels, self.walk = source, levels, walk

    @property
    def count_bits(self) -> int:
        return search_bits(self.levels)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.count_bits
        held = Signal(self.source.width)
        busy = Signal()
        tried = Signal(bits)  # `tried` is the one bit that is tried
        m.d.comb += self.i.ready.eq(~busy & (~self.o.valid | self.o.ready))
        accept = Signal()
        m.d.comb += accept.eq(self.i.ready & self.i.valid)
        address = self.walk.address(m, accept)
        entry = Signal(range(len(self.walk.beats)))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(accept):
            m.d.sync += [held.eq(self.i.payload), entry.eq(address), busy.eq(1), tried.eq(1 << (bits - 1))]
        with m.Elif(busy):
            m.d.sync += [tried.eq(tried >> 1), busy.eq(~tried[0]), self.o.valid.eq(tried[0])]
        parts = zip(self.result.split(self.o.payload), self.source.split(held), strict=True)
        for lane, (out, element) in enumerate(parts):
            count, probe = Signal(bits, name=f"count_{lane}"), Signal(bits, name=f"probe_{lane}")
            table = Memory(shape=unsigned(self.levels.type_.width + 1), depth=self._depth, init=self._table(lane))
            m.submodules[f"levels_{lane}"] = table
            port = table.read_port(domain="comb")
            x = Signal(self.levels.shape, name=f"x_{lane}")
            m.d.comb += [
                x.eq(self.levels.signed(number(element, self.type), port.data[-1])),
                probe.eq(count | tried),
                port.addr.eq(Cat(probe, entry)),
                out.eq(self.levels.output(count)),
            ]
            with m.If(accept):
                m.d.sync += count.eq(0)
            with m.Elif(busy & (x >= number(port.data[:-1], self.levels.type_))):
                m.d.sync += count.eq(probe)
        return m

    @property
    def _depth(self) -> int:
        return len(self.walk.beats) << self.count_bits

    def _table(self, lane: int) -> list[int]:
        """Entry n of a channel is its n-th level, counted from 1: what x has to reach for a count of n."""
        words, width = [], self.levels.type_.width
        for beat in self.walk.beats:
            row, negate = self.levels.rows[beat[lane]], int(self.levels.signs[beat[lane]] < 0)
            beyond = (1 << self.count_bits) - 1 - len(row)
            words += [packed([level], width) | negate << width for level in (0, *row, *[self.levels.never] * beyond)]
        return words


def search_bits(levels: Levels) -> int:
    """Bits of the count of levels."""
    return max(1, levels.rows.shape[1].bit_length())


def threshold_walk(op: Threshold, graph: Graph, levels: Levels, lanes: int) -> Walk:
    """Each lane's channel; one beat for all where the channels do not differ."""
    if (levels.rows == levels.rows[:1]).all() and (levels.signs == levels.signs[0]).all():
        return Walk(((0,) * lanes,), 1)
    return channel_walk(graph.tensors[op.inputs[0]].shape, op.axis, lanes)
