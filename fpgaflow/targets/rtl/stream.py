"""Streams with valid and ready, and what moves beats without computing: FIFO, width converters, fork, element slots.

A tensor travels in C order; a beat carries `lanes` consecutive elements, the first in the lowest bits, each the integer
of the graph in two's complement. A beat moves in the cycle in which valid and ready are both high; valid never waits
for ready, and a beat that is offered stays until it is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


@dataclass(frozen=True)
class Beat:
    """What one transfer carries: `lanes` elements of `bits` each."""

    lanes: int
    bits: int

    @property
    def width(self) -> int:
        return self.lanes * self.bits

    @property
    def signature(self) -> stream.Signature:
        return stream.Signature(unsigned(self.width))

    def split(self, payload: Value, *, signed: bool = False) -> list[Value]:
        """The elements of a payload, in order."""
        parts = [payload[lane * self.bits : (lane + 1) * self.bits] for lane in range(self.lanes)]
        return [part.as_signed() for part in parts] if signed else parts


class Stage(wiring.Component):
    """A component with one stream in, `i`, and one out, `o`."""

    def __init__(self, source: Beat, result: Beat) -> None:
        self.source, self.result = source, result
        super().__init__({"i": In(source.signature), "o": Out(result.signature)})

    def needed(self, beats: int) -> np.ndarray:
        """Of a sample that comes in `beats`: for each beat that leaves, how many of them must have come before it.

        Given those, and a reader, the beat leaves, whatever comes or does not come behind them.
        """
        return np.arange(1, beats + 1)


def after_each(count: int, leaving: int, beats: int) -> np.ndarray:
    """`Stage.needed` of a stage from which so many beats leave after each `count` that have come."""
    return np.repeat(np.arange(count, beats + 1, count), leaving)


class Fifo(Stage):
    """Up to `depth` beats (at least 2) wait here. Latency 1 to 2, interval 1; `i.ready` depends on no input."""

    def __init__(self, beat: Beat, depth: int = 2) -> None:
        super().__init__(beat, beat)
        self.depth = depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.depth > 2:
            m.submodules.memory = memory = SyncFIFOBuffered(width=self.source.width, depth=self.depth)
            m.d.comb += [
                memory.w_data.eq(self.i.payload),
                memory.w_en.eq(self.i.valid),
                self.i.ready.eq(memory.w_rdy),
                self.o.payload.eq(memory.r_data),
                self.o.valid.eq(memory.r_rdy),
                memory.r_en.eq(self.o.ready),
            ]
            return m
        waiting = Signal(self.source.width)  # the second beat; the first stands in o.payload
        waits = Signal()
        m.d.comb += self.i.ready.eq(~waits)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.payload.eq(Mux(waits, waiting, self.i.payload)),
                self.o.valid.eq(waits | self.i.valid),
                waits.eq(0),
            ]
        with m.Elif(self.i.valid & ~waits):
            m.d.sync += [waiting.eq(self.i.payload), waits.eq(1)]
        return m


class Narrow(Stage):
    """Beats of n elements leave as beats of m, m dividing n. Latency 1, interval n / m cycles a beat.

    `total` elements make a sample; what a sample's last beat carries beyond them is dropped (m divides `total`).
    """

    def __init__(self, source: Beat, lanes: int, total: int) -> None:
        if source.lanes % lanes or total % lanes:
            raise ValueError(f"{lanes} lanes do not divide beats of {source.lanes} and samples of {total}")
        super().__init__(source, Beat(lanes, source.bits))
        self.pieces, self.beats = source.lanes // lanes, total // lanes

    def needed(self, beats: int) -> np.ndarray:
        return np.arange(self.beats) // self.pieces + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(self.source.width)
        piece = Signal(range(self.pieces))
        beat = Signal(range(self.beats))
        filled = Signal()
        sample_ends = Signal()
        last = Signal()
        m.d.comb += [
            sample_ends.eq(beat == self.beats - 1),
            last.eq((piece == self.pieces - 1) | sample_ends),
            self.o.payload.eq(held),
            self.o.valid.eq(filled),
            self.i.ready.eq(~filled | (self.o.ready & last)),
        ]
        with m.If(filled & self.o.ready):
            m.d.sync += [
                held.eq(held >> self.result.width),
                piece.eq(Mux(last, 0, piece + 1)),
                beat.eq(Mux(sample_ends, 0, beat + 1)),
            ]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.payload), filled.eq(self.i.valid)]
        return m


class Widen(Stage):
    """Beats of n elements leave as beats of m, n dividing m. Latency 1 after the last element, interval m / n.

    `total` elements make a sample (n divides it); its last beat is filled up with zeros where m does not divide it.
    """

    def __init__(self, source: Beat, lanes: int, total: int) -> None:
        if lanes % source.lanes or total % source.lanes:
            raise ValueError(f"beats of {source.lanes} do not make up {lanes} lanes and samples of {total}")
        super().__init__(source, Beat(lanes, source.bits))
        self.pieces, self.beats = lanes // source.lanes, total // source.lanes

    def needed(self, beats: int) -> np.ndarray:
        whole = np.arange(self.pieces, self.beats + self.pieces, self.pieces)
        return np.minimum(whole, self.beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots = [Signal(self.source.width, name=f"slot_{index}") for index in range(self.pieces)]
        piece = Signal(range(self.pieces))
        beat = Signal(range(self.beats))
        last = Signal()
        sample_ends = Signal()
        m.d.comb += [
            sample_ends.eq(beat == self.beats - 1),
            last.eq((piece == self.pieces - 1) | sample_ends),
            self.o.payload.eq(Cat(slots)),
            self.i.ready.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid & last)
            with m.If(self.i.valid):
                m.d.sync += [piece.eq(Mux(last, 0, piece + 1)), beat.eq(Mux(sample_ends, 0, beat + 1))]
                for index, slot in enumerate(slots):
                    with m.If(piece == index):
                        m.d.sync += slot.eq(self.i.payload)
                    with m.Elif(piece == 0):
                        m.d.sync += slot.eq(0)
        return m


class Slots(Stage):
    """Elements of `bits` as elements of another width, without delay: cut off, or extended by their sign."""

    def __init__(self, source: Beat, bits: int, *, signed: bool) -> None:
        super().__init__(source, Beat(source.lanes, bits))
        self.signed = signed

    def elaborate(self, platform: object) -> Module:
        m = Module()
        target = Signal(self.result.width)
        parts = self.source.split(self.i.payload, signed=self.signed)
        m.d.comb += [
            *(out.eq(part) for out, part in zip(self.result.split(target), parts, strict=True)),
            self.o.payload.eq(target),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m


class Whole(Stage):
    """Beats that carry a whole sample of `total` elements each: those after them are dropped, or zeros. No delay."""

    def __init__(self, source: Beat, lanes: int, total: int) -> None:
        if min(source.lanes, lanes) < total:
            raise ValueError(f"beats of {source.lanes} or {lanes} do not carry samples of {total}")
        super().__init__(source, Beat(lanes, source.bits))
        self.total = total

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.o.payload.eq(self.i.payload[: self.total * self.source.bits]),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m


class Fork(wiring.Component):
    """Each beat of `i` to every one of `o_0`, `o_1` ..., to each as soon as it is ready. No delay, interval 1."""

    def __init__(self, beat: Beat, count: int) -> None:
        self.count = count
        super().__init__({"i": In(beat.signature)} | {f"o_{n}": Out(beat.signature) for n in range(count)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        done = Signal(self.count)  # readers that have this beat already
        takes = Signal(self.count)
        for n in range(self.count):
            out = getattr(self, f"o_{n}")
            m.d.comb += [
                out.payload.eq(self.i.payload),
                out.valid.eq(self.i.valid & ~done[n]),
                takes[n].eq(done[n] | out.ready),
            ]
        m.d.comb += self.i.ready.eq(takes.all())
        with m.If(self.i.valid):
            m.d.sync += done.eq(Mux(takes.all(), 0, takes))
        return m


def repack(source: Beat, lanes: int, total: int) -> list[Stage]:
    """Converters from beats of `source` to beats of `lanes` elements, for samples of `total`; none where they agree.

    A sample's last beat may be partly filled at either end: zeros beyond the last element.
    """
    if source.lanes == lanes:
        return []
    if source.lanes > total:
        return [Whole(source, total, total), *repack(Beat(total, source.bits), lanes, total)]
    if lanes > total:
        return [*repack(source, total, total), Whole(Beat(total, source.bits), lanes, total)]
    whole = total % source.lanes == 0 and total % lanes == 0
    if lanes % source.lanes == 0 and total % source.lanes == 0:
        return [Widen(source, lanes, total)]
    if source.lanes % lanes == 0 and total % lanes == 0:
        return [Narrow(source, lanes, total)]
    common = source.lanes * lanes // gcd(source.lanes, lanes)
    if whole and total % common == 0:  # full rate
        return [Widen(source, common, total), Narrow(Beat(common, source.bits), lanes, total)]
    step = gcd(source.lanes, lanes, total)
    first: list[Stage] = [Narrow(source, step, total)] if step != source.lanes else []
    return [*first, Widen(Beat(step, source.bits), lanes, total)] if step != lanes else first


class Chain(Stage):
    """Stages one after the other, each a submodule under its name."""

    def __init__(self, stages: Sequence[tuple[str, Stage]]) -> None:
        if not stages:
            raise ValueError("a chain needs a stage")
        super().__init__(stages[0][1].source, stages[-1][1].result)
        self.stages = tuple(stages)

    def needed(self, beats: int) -> np.ndarray:
        found = np.arange(1, beats + 1)
        for _, stage in self.stages:
            found = np.append(0, found)[stage.needed(len(found))]
        return found

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, stage in self.stages:
            setattr(m.submodules, name, stage)
        wiring.connect(m, wiring.flipped(self.i), self.stages[0][1].i)
        for (_, left), (_, right) in zip(self.stages, self.stages[1:], strict=False):
            wiring.connect(m, left.o, right.i)
        wiring.connect(m, self.stages[-1][1].o, wiring.flipped(self.o))
        return m
