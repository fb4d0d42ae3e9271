"""Running results: windows that do not overlap and sums in order, an element at a time; sums as a tree, all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Pool, PoolKind
from fpgaflow.ir.ops_merge import OrderedDense, OrderedSum
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.fixed_point import limits
from fpgaflow.targets.rtl.cast import cast_value, number, wrapped
from fpgaflow.targets.rtl.rom import count_up, look_up, packed
from fpgaflow.targets.rtl.stream import Beat, Stage
from fpgaflow.targets.rtl.window import Geometry

Step = Callable[[Value, Value], Value]  # (result so far, one more element): the result


class Accumulate(Stage):
    """The result of each window, channel by channel, which lie side by side. Latency 1 after its last, interval 1.

    A memory holds a result for each window of a row. `starts` are those to begin with, one for each channel or for all.
    """

    def __init__(
        self, shape: Geometry, lanes: int, source: FixedType, result: FixedType, step: Step, starts: Sequence[int]
    ) -> None:
        super().__init__(Beat(lanes, source.width), Beat(lanes, result.width))
        if shape.overlaps or any(map(any, shape.padding)) or shape.channels % lanes:
            raise ValueError("windows that overlap or reach beyond the image, or lanes that do not fold its channels")
        self.shape, self.types, self.step = shape, (source, result), step
        self.slices = shape.channels // lanes
        self.starts = [packed(starts[at : at + lanes], result.width) for at in range(0, len(starts), lanes)]
        if len(starts) == 1:
            self.starts = [packed([*starts] * lanes, result.width)]

    def needed(self, beats: int) -> np.ndarray:
        return self.shape.last_pixels(self.slices)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accept, row_moves = Signal(), Signal()
        place, slice_last = count_up(m, "slice", self.slices, accept)
        _, row_last = count_up(m, "column", self.shape.image[1], accept & slice_last)
        _, image_last = count_up(m, "row", self.shape.image[0], row_moves)
        pixel_moves = accept & slice_last
        columns = self._windows(m, "column", 1, pixel_moves, row_last)
        rows = self._windows(m, "row", 0, row_moves, image_last)
        used, first, last = (Signal(name=name) for name in ("used", "first", "last"))
        m.d.comb += [
            row_moves.eq(pixel_moves & row_last),
            used.eq(columns[0] & rows[0]),
            first.eq(columns[1] & rows[1]),
            last.eq(columns[2] & rows[2]),
            self.i.ready.eq(~self.o.valid | self.o.ready),
            accept.eq(self.i.valid & self.i.ready),
        ]
        held = self._held(m, accept & used, columns[3], pixel_moves, row_last, place)
        start = look_up(m, "starts", self.starts, self.result.width, place if len(self.starts) > 1 else 0)
        before = Signal(self.result.width)
        after = Signal(self.result.width)
        m.d.comb += [before.eq(Mux(first, start, held[0])), held[1].eq(after)]
        parts = zip(self.result.split(after), self.result.split(before), self.source.split(self.i.payload), strict=True)
        source, result = self.types
        for out, so_far, element in parts:
            m.d.comb += out.eq(self.step(number(so_far, result), number(element, source)))
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(accept & used & last), self.o.payload.eq(after)]
        return m

    def _windows(
        self, m: Module, name: str, axis: int, moves: Value, ends: Value
    ) -> tuple[Signal, Signal, Signal, Signal]:
        """Along an axis: inside a window, on its first and its last place; and whether the next one begins behind."""
        stride, size = self.shape.strides[axis], self.shape.kernel[axis]
        count = (self.shape.image[axis] - size) // stride + 1
        phase, window = Signal(range(stride), name=f"{name}_phase"), Signal(range(count + 1), name=f"{name}_window")
        used, first, last, next_ = (Signal(name=f"{name}_{part}") for part in ("used", "first", "last", "next"))
        m.d.comb += [
            next_.eq(phase == stride - 1),
            used.eq((phase < size) & (window != count)),
            first.eq(phase == 0),
            last.eq(phase == size - 1),
        ]
        with m.If(moves):
            m.d.sync += [phase.eq(Mux(ends | next_, 0, phase + 1)), window.eq(Mux(ends, 0, window + next_))]
        return used, first, last, next_

    def _held(
        self, m: Module, write: Value, next_window: Value, pixel_moves: Value, row_last: Value, place: Value
    ) -> tuple[Value, Value]:
        """The result so far of the window and channels at hand, and what replaces it where `write` is high."""
        windows = (self.shape.image[1] - self.shape.kernel[1]) // self.shape.strides[1] + 1
        depth = self.slices * (windows if self.shape.kernel[0] > 1 else 1)
        new = Signal(self.result.width, name="new")
        if depth == 1:
            held = Signal(self.result.width, name="held")
            with m.If(write):
                m.d.sync += held.eq(new)
            return held, new
        memory = Memory(shape=unsigned(self.result.width), depth=depth, init=[])
        m.submodules.results = memory
        into, out = memory.write_port(), memory.read_port(domain="comb")
        base = Signal(range(depth))
        if depth > self.slices:
            with m.If(pixel_moves):
                m.d.sync += base.eq(Mux(row_last, 0, Mux(next_window, base + self.slices, base)))
        m.d.comb += [out.addr.eq(base + place), into.addr.eq(base + place), into.data.eq(new), into.en.eq(write)]
        return out.data, new


class TreeSum(Stage):
    """The sum of `taps` elements of each of `channels`, in a beat (taps, channels). Latency 1, interval 1.

    `add` joins a first part, the largest power of two below the count, and the rest.
    """

    def __init__(self, channels: int, taps: int, source: FixedType, result: FixedType, add: Step) -> None:
        super().__init__(Beat(channels * taps, source.width), Beat(channels, result.width))
        self.type, self.add = source, add

    def elaborate(self, platform: object) -> Module:
        m = Module()
        elements = [number(bits, self.type) for bits in self.source.split(self.i.payload)]
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for channel, out in enumerate(self.result.split(self.o.payload)):
                m.d.sync += out.eq(self._sum(elements[channel :: self.result.lanes]))
        return m

    def _sum(self, terms: list[Value]) -> Value:
        if len(terms) == 1:
            return terms[0]
        first = 1 << (len(terms) - 1).bit_length() - 1
        return self.add(self._sum(terms[:first]), self._sum(terms[first:]))


def pool_step(kind: PoolKind) -> Step:
    """Of a Pool: an AVERAGE is the sum, its type has the fraction for it."""
    return (lambda a, b: Mux(a > b, a, b)) if kind is PoolKind.MAX else (lambda a, b: a + b)


def pool_start(op: Pool, graph: Graph) -> int:
    return graph.type_of(op.output).low if op.kind is PoolKind.MAX else 0


def cast_sum(op: OrderedSum | OrderedDense, source: FixedType, accum: FixedType) -> Step:
    """An accumulator and one more term: their exact sum, cast into the accumulator's type."""
    fraction = max(source.fraction, accum.fraction)
    exact = FixedType(True, 1 + max(source.width, accum.width) + abs(source.fraction - accum.fraction) + 1, fraction)

    def added(total: Value, term: Value) -> Value:
        joined = (total << fraction - accum.fraction) + (term << fraction - source.fraction)
        return wrapped(cast_value(joined, exact, accum, op.rounding, op.overflow), accum)

    return added


def order_decides(op: OrderedSum, graph: Graph) -> bool:
    """Whether a tree of sums may differ from the sum one after the other: not where nothing is clamped."""
    source, taps = graph.type_of(op.inputs[0]), graph.tensors[op.inputs[0]].shape[-2]
    low, high = limits(graph.type_of(op.output), op.overflow)
    held = low <= source.low * taps and source.high * taps <= high
    return not held and op.overflow is not Overflow.WRAP
