"""Several tensors in one stream, one after the other: what gives each its beats, and what takes them in turn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpgaflow.targets.rtl.rom import count_up
from fpgaflow.targets.rtl.stream import Beat


class Deal(wiring.Component):
    """Beats of `i` to `o_0`, `o_1` ... in turn, which begin at `firsts` of the `beats` of a sample. No delay.

    `place` is that of the beat at hand in its sample.
    """

    def __init__(self, beat: Beat, firsts: Sequence[int], beats: int) -> None:
        self.beat, self.firsts, self.beats = beat, tuple(firsts), beats
        outputs = {f"o_{number}": Out(beat.signature) for number in range(len(firsts))}
        super().__init__({"i": In(beat.signature), **outputs, "place": Out(range(beats))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turns = _turns(m, self.place, self.firsts, self.beats, self.i.valid & self.i.ready)
        for number, turn in enumerate(turns):
            out = getattr(self, f"o_{number}")
            m.d.comb += [out.payload.eq(self.i.payload), out.valid.eq(self.i.valid & turn)]
            with m.If(turn):
                m.d.comb += self.i.ready.eq(out.ready)
        return m


class Collect(wiring.Component):
    """The reverse of `Deal`: beats of `i_0`, `i_1` ... in turn to `o`."""

    def __init__(self, beat: Beat, firsts: Sequence[int], beats: int) -> None:
        self.beat, self.firsts, self.beats = beat, tuple(firsts), beats
        inputs = {f"i_{number}": In(beat.signature) for number in range(len(firsts))}
        super().__init__({**inputs, "o": Out(beat.signature), "place": Out(range(beats))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turns = _turns(m, self.place, self.firsts, self.beats, self.o.valid & self.o.ready)
        for number, turn in enumerate(turns):
            source = getattr(self, f"i_{number}")
            m.d.comb += source.ready.eq(self.o.ready & turn)
            with m.If(turn):
                m.d.comb += [self.o.payload.eq(source.payload), self.o.valid.eq(source.valid)]
        return m


def _turns(m: Module, place: Signal, firsts: Sequence[int], beats: int, step: Value) -> list[Value]:
    """Whose turn it is, one of them high; `place` goes on where `step` is high."""
    count, _ = count_up(m, "beat", beats, step)
    m.d.comb += place.eq(count)
    if len(firsts) == 1:
        return [Const(1)]
    turns = [Signal(name=f"turn_{number}") for number in range(len(firsts))]
    for turn, (begin, end) in zip(turns, pairwise((*firsts, beats)), strict=True):
        m.d.comb += turn.eq((count >= begin) & (count < end))
    return turns
