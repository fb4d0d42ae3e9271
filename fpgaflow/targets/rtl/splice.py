"""Streams cut and joined: some beats of a stream, beats of a constant between its own, several streams in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpgaflow.targets.rtl.rom import Walk, look_up, packed
from fpgaflow.targets.rtl.stream import Beat, Stage


def _now(m: Module, walk: Walk, step: Value) -> Value:
    """The number that the walk has for the beat at hand, which goes where `step` is high."""
    words = [beat[0] for beat in walk.beats]
    return look_up(m, "walk", words, max(1, max(words).bit_length()), walk.address(m, step))


class Keep(Stage):
    """The beats for which `walk` has 1; the others are dropped. No delay, interval 1."""

    def __init__(self, beat: Beat, walk: Walk) -> None:
        super().__init__(beat, beat)
        self.walk = walk

    def needed(self, beats: int) -> np.ndarray:
        return np.flatnonzero(self.walk.first_lane(beats)) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = Signal()
        m.d.comb += [
            kept.eq(_now(m, self.walk, self.i.valid & self.i.ready)),
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & kept),
            self.i.ready.eq(self.o.ready | ~kept),
        ]
        return m


class Insert(Stage):
    """The stream's own beats where `walk`, over those that leave, has 1; elements of `value` elsewhere. No delay."""

    def __init__(self, beat: Beat, walk: Walk, value: int) -> None:
        super().__init__(beat, beat)
        self.walk, self.value = walk, value

    def needed(self, beats: int) -> np.ndarray:
        period = len(self.walk.beats) * self.walk.repeat
        own = int(self.walk.first_lane(period).sum())
        return np.cumsum(self.walk.first_lane(beats // own * period))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        own = Signal()
        filling = Const(packed([self.value] * self.source.lanes, self.source.bits), self.source.width)
        m.d.comb += [
            own.eq(_now(m, self.walk, self.o.valid & self.o.ready)),
            self.o.payload.eq(filling),
            self.o.valid.eq(~own | self.i.valid),
            self.i.ready.eq(own & self.o.ready),
        ]
        with m.If(own):
            m.d.comb += self.o.payload.eq(self.i.payload)
        return m


class Merge(wiring.Component):
    """Beats of `i_0`, `i_1` ..., in the order in which `walk` names them. No delay, interval 1."""

    def __init__(self, beat: Beat, count: int, walk: Walk) -> None:
        self.result, self.count, self.walk = beat, count, walk
        ports = {f"i_{number}": In(beat.signature) for number in range(count)}
        super().__init__({**ports, "o": Out(beat.signature)})

    def needed(self, beats: Sequence[int]) -> list[np.ndarray]:
        """As `Stage.needed`, of each input."""
        chosen = self.walk.first_lane(sum(beats))
        return [np.cumsum(chosen == number) for number in range(self.count)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chosen = _now(m, self.walk, self.o.valid & self.o.ready)
        with m.Switch(chosen):
            for number in range(self.count):
                source = getattr(self, f"i_{number}")
                with m.Case(number):
                    m.d.comb += [
                        self.o.payload.eq(source.payload),
                        self.o.valid.eq(source.valid),
                        source.ready.eq(self.o.ready),
                    ]
        return m
