"""The reduction of a pooling window: its maximum or its sum, channel by channel. `window.Window` brings the windows."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Value

from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.cast import number
from fpgaflow.targets.rtl.rom import tree_sum
from fpgaflow.targets.rtl.stream import Beat, Stage


class Reduce(Stage):
    """`taps` elements of each of `lanes` channels, channel by channel, to one each. Latency 1, interval 1.

    An average is the sum: its type has the fraction for it.
    """

    def __init__(self, kind: PoolKind, lanes: int, taps: int, source: FixedType, result: FixedType) -> None:
        super().__init__(Beat(lanes * taps, source.width), Beat(lanes, result.width))
        self.kind, self.taps, self.type = kind, taps, source

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reduce = largest if self.kind is PoolKind.MAX else tree_sum
        elements = [number(bits, self.type) for bits in self.source.split(self.i.payload)]
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for lane, out in enumerate(self.result.split(self.o.payload)):
                m.d.sync += out.eq(reduce(elements[lane * self.taps : (lane + 1) * self.taps]))
        return m


def largest(terms: list[Value]) -> Value:
    """The maximum of all terms as a balanced tree."""
    level = list(terms)
    while len(level) > 1:
        pairs = [Mux(left > right, left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]
