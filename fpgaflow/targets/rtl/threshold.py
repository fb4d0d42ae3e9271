"""Thresholds: output = offset + step × #{levels that sign × x reaches}, with levels and signs per channel.

Two forms: `Comparators` has one for each level and lane and takes a beat each cycle; `Search` finds the count bit by
bit with one comparator a lane, for beats that come rarely.
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
from fpgaflow.targets.rtl.rom import Walk, channel_walk, packed, read_rom, tree_sum
from fpgaflow.targets.rtl.stream import Beat, Stage


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

    @property
    def flips(self) -> bool:
        return bool((self.signs < 0).any())


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


class _Thresholds(Stage):
    """`walk` gives each lane's channel; where all channels are alike, it has one beat."""

    def __init__(self, lanes: int, source: FixedType, result: FixedType, levels: Levels, walk: Walk) -> None:
        super().__init__(Beat(lanes, source.width), Beat(lanes, result.width))
        self.type, self.levels, self.walk = source, levels, walk

    def signed_input(self, m: Module, lane: int, element: Value, flip: Value) -> Value:
        """sign × x of one lane."""
        x = Signal(self.levels.shape, name=f"x_{lane}")
        plain = number(element, self.type)
        m.d.comb += x.eq(Mux(flip, -plain, plain) if self.levels.flips else plain)
        return x

    def level(self, bits: Value) -> Value:
        return number(bits, self.levels.type_)

    def output(self, count: Value) -> Value:
        return Const(self.levels.offset) + count * self.levels.step


class Comparators(_Thresholds):
    """A comparator for each level and lane. Latency 2, interval 1."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, count = self.levels.type_.width, self.levels.rows.shape[1]
        entry = Beat(self.source.lanes, count * bits + 1)  # of one lane: its levels, then whether to negate
        held = Signal(self.source.width)
        filled = Signal()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        address = self.walk.address(m, self.i.ready & self.i.valid)
        words = [packed([self._entry(c, bits) for c in beat], entry.bits) for beat in self.walk.beats]
        known = entry.split(read_rom(m, "levels", words, entry.width, address, self.i.ready))
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.payload), filled.eq(self.i.valid), self.o.valid.eq(filled)]
        parts = zip(self.result.split(self.o.payload), self.source.split(held), known, strict=True)
        for lane, (out, element, own) in enumerate(parts):
            x = self.signed_input(m, lane, element, own[-1])
            reached = [x >= self.level(own[bits * n : bits * (n + 1)]) for n in range(count)]
            with m.If(self.i.ready):
                m.d.sync += out.eq(self.output(tree_sum(reached)))
        return m

    def _entry(self, channel: int, bits: int) -> int:
        negate = int(self.levels.signs[channel] < 0) << (self.levels.rows.shape[1] * bits)
        return packed(self.levels.rows[channel], bits) | negate


class Search(_Thresholds):
    """Binary search, all lanes at once: with n bits of count, latency and interval are n + 1."""

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
            x = self.signed_input(m, lane, element, port.data[-1])
            m.d.comb += [
                probe.eq(count | tried),
                port.addr.eq(Cat(probe, entry)),
                out.eq(self.output(count)),
            ]
            with m.If(accept):
                m.d.sync += count.eq(0)
            with m.Elif(busy & (x >= self.level(port.data[:-1]))):
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
