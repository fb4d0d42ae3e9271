"""The place of the first maximum of each vector, as 1 there and 0 elsewhere."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.cast import number
from fpgaflow.targets.rtl.rom import count_up
from fpgaflow.targets.rtl.stream import Beat, Stage, after_each

_Entry = tuple[Value, Value]  # an element and its place


class FirstMaximum(Stage):
    """Vectors of `size`. Latency 1 after a vector's last beat, interval 1: one goes out while the next one comes."""

    def __init__(self, size: int, lanes: int, source: FixedType, result: FixedType) -> None:
        super().__init__(Beat(lanes, source.width), Beat(lanes, result.width))
        self.size, self.type, self.beats = size, source, size // lanes

    def needed(self, beats: int) -> np.ndarray:
        return after_each(self.beats, self.beats, beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accept, shown_last, free = Signal(), Signal(), Signal()
        came, came_last = count_up(m, "came", self.beats, accept)
        shown, ends = count_up(m, "shown", self.beats, self.o.valid & self.o.ready)
        winner = Signal(range(self.size))  # of the vector that goes out
        places = range(self.source.lanes)
        arriving = [
            (number(bits, self.type), came * len(places) + place)
            for place, bits in zip(places, self.source.split(self.i.payload), strict=True)
        ]
        value, place = _first_of(arriving)
        best, best_place = Signal(value.shape()), Signal(range(self.size))
        greatest, greatest_place = Signal(value.shape()), Signal(range(self.size))
        leads = (came == 0) | (value > best)
        m.d.comb += [
            greatest.eq(Mux(leads, value, best)),
            greatest_place.eq(Mux(leads, place, best_place)),
            shown_last.eq(ends),
            free.eq(~self.o.valid | (self.o.ready & shown_last)),
            self.i.ready.eq(~came_last | free),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with m.If(accept):
            m.d.sync += [best.eq(greatest), best_place.eq(greatest_place)]
        with m.If(free):
            m.d.sync += [self.o.valid.eq(accept & came_last), winner.eq(greatest_place)]
        ones = [winner == shown * len(places) + lane for lane in places]
        m.d.comb += self.o.payload.eq(Cat(Cat(one, Const(0, self.result.bits - 1)) for one in ones))
        return m


def _first_of(entries: list[_Entry]) -> _Entry:
    """The greatest element, the first of equal ones, as a balanced tree."""
    if len(entries) == 1:
        return entries[0]
    half = len(entries) // 2
    left, right = _first_of(entries[:half]), _first_of(entries[half:])
    keep = left[0] >= right[0]
    return Mux(keep, left[0], right[0]), Mux(keep, left[1], right[1])
