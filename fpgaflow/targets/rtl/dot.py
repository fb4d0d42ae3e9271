"""Products of two streams, summed: the core of a product of two activations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.cast import number
from fpgaflow.targets.rtl.rom import count_up
from fpgaflow.targets.rtl.stream import Beat, after_each


class Dot(wiring.Component):
    """One element of `i_0` times each of the `lanes` of `i_1`, summed over `terms` beats. Latency 2, interval 1."""

    def __init__(self, lanes: int, terms: int, left: FixedType, right: FixedType, result: FixedType) -> None:
        self.types, self.terms = (left, right), terms
        self.beats, self.result = (Beat(1, left.width), Beat(lanes, right.width)), Beat(lanes, result.width)
        self.type = result
        a, b = (beat.signature for beat in self.beats)
        super().__init__({"i_0": In(a), "i_1": In(b), "o": Out(self.result.signature)})

    def needed(self, beats: Sequence[int]) -> list[np.ndarray]:
        """As `Stage.needed`, of each input."""
        return [after_each(self.terms, 1, count) for count in beats]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move, issue = Signal(), Signal()
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            issue.eq(move & self.i_0.valid & self.i_1.valid),
            self.i_0.ready.eq(issue),
            self.i_1.ready.eq(issue),
        ]
        term, term_last = count_up(m, "term", self.terms, issue)
        filled, first, last = Signal(), Signal(), Signal()
        with m.If(move):
            m.d.sync += [filled.eq(issue), first.eq(term == 0), last.eq(term_last), self.o.valid.eq(filled & last)]
        left = number(self.i_0.payload, self.types[0])
        pairs = zip(self.result.split(self.o.payload), self.beats[1].split(self.i_1.payload), strict=True)
        for lane, (total, element) in enumerate(pairs):
            exact = left * number(element, self.types[1])
            product = Signal(exact.shape(), name=f"product_{lane}")
            with m.If(move):
                m.d.sync += product.eq(exact)
            with m.If(move & filled):
                m.d.sync += total.eq(Mux(first, 0, number(total, self.type)) + product)
        return m
