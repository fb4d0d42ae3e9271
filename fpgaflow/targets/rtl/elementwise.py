"""Element by element: functions of one stream (cast, relu), of two (sums, products ...), and lookup tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Relu
from fpgaflow.ir.ops_merge import Elementwise, ElementwiseKind
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.cast import cast_value, number
from fpgaflow.targets.rtl.rom import count_up, packed, read_rom
from fpgaflow.targets.rtl.stream import Beat, Stage, after_each

Function = Callable[[Value], Value]
Function2 = Callable[[Value, Value], Value]


class Lanewise(Stage):
    """One function on each element. Latency 1, interval 1."""

    def __init__(self, lanes: int, source: FixedType, result: FixedType, function: Function) -> None:
        super().__init__(Beat(lanes, source.width), Beat(lanes, result.width))
        self.type, self.function = source, function

    def elaborate(self, platform: object) -> Module:
        m = Module()
        elements = self.source.split(self.i.payload)
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for out, element in zip(self.result.split(self.o.payload), elements, strict=True):
                m.d.sync += out.eq(self.function(number(element, self.type)))
        return m


class Lanewise2(wiring.Component):
    """One function on the elements of streams `i_0` and `i_1`, side by side, to `o`. Latency 1, interval 1."""

    def __init__(self, lanes: int, left: FixedType, right: FixedType, result: FixedType, function: Function2) -> None:
        self.left, self.right, self.function = left, right, function
        self.beats = Beat(lanes, left.width), Beat(lanes, right.width)
        self.result = Beat(lanes, result.width)
        a, b = (beat.signature for beat in self.beats)
        super().__init__({"i_0": In(a), "i_1": In(b), "o": Out(self.result.signature)})

    def needed(self, beats: Sequence[int]) -> list[np.ndarray]:
        """As `Stage.needed`, of each input."""
        return [np.arange(1, count + 1) for count in beats]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free = Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            self.i_0.ready.eq(free & self.i_1.valid),
            self.i_1.ready.eq(free & self.i_0.valid),
        ]
        pairs = zip(self.beats[0].split(self.i_0.payload), self.beats[1].split(self.i_1.payload), strict=True)
        with m.If(free):
            m.d.sync += self.o.valid.eq(self.i_0.valid & self.i_1.valid)
            for out, (x, y) in zip(self.result.split(self.o.payload), pairs, strict=True):
                m.d.sync += out.eq(self.function(number(x, self.left), number(y, self.right)))
        return m


class Table(Stage):
    """The entry of a table for each element, taken as an unsigned index. Latency 1, interval 1."""

    def __init__(self, lanes: int, bits: int, entries: Sequence[int], result_bits: int) -> None:
        super().__init__(Beat(lanes, bits), Beat(lanes, result_bits))
        self.entries = [entry & ((1 << result_bits) - 1) for entry in entries]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        outs = self.result.split(self.o.payload)
        for lane, (out, index) in enumerate(zip(outs, self.source.split(self.i.payload), strict=True)):
            rom = Memory(shape=unsigned(self.result.bits), depth=len(self.entries), init=self.entries)
            m.submodules[f"table_{lane}"] = rom
            port = rom.read_port()
            m.d.comb += [port.addr.eq(index), port.en.eq(self.i.ready), out.eq(port.data)]
        return m


class Rows(Stage):
    """The row of a table for each element, an index, some columns a beat. Latency 1, interval columns / lanes."""

    def __init__(self, bits: int, table: np.ndarray, lanes: int, result_bits: int) -> None:
        super().__init__(Beat(1, bits), Beat(lanes, result_bits))
        self.pieces = table.shape[1] // lanes
        self.words = [packed(word, result_bits) for word in table.reshape(-1, lanes).tolist()]

    def needed(self, beats: int) -> np.ndarray:
        return after_each(1, self.pieces, beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = ~self.o.valid | self.o.ready
        piece, last = count_up(m, "piece", self.pieces, move & self.i.valid)
        address = self.i.payload * self.pieces + piece
        m.d.comb += [
            self.i.ready.eq(move & last),
            self.o.payload.eq(read_rom(m, "rows", self.words, self.result.width, address, move)),
        ]
        with m.If(move):
            m.d.sync += self.o.valid.eq(self.i.valid)
        return m


def cast_function(op: Cast, graph: Graph) -> Function:
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    return lambda x: cast_value(x, source, target, op.rounding, op.overflow)


def relu_function(op: Relu, graph: Graph) -> Function:
    return lambda x: Mux(x > 0, x, 0)


def join_function(op: Add | Elementwise, graph: Graph) -> Function2:
    """The function of two elements that an Add or Elementwise computes, both brought to the finer fraction."""
    kind = None if isinstance(op, Add) else op.kind
    left, right = (graph.type_of(name) for name in op.inputs)
    fraction = max(left.fraction, right.fraction)

    def joined(x: Value, y: Value) -> Value:
        if kind is ElementwiseKind.MULTIPLY:
            return x * y
        a, b = x << (fraction - left.fraction), y << (fraction - right.fraction)
        match kind:
            case ElementwiseKind.SUBTRACT:
                return a - b
            case ElementwiseKind.MAXIMUM:
                return Mux(a > b, a, b)
            case ElementwiseKind.MINIMUM:
                return Mux(a < b, a, b)
        return a + b  # an AVERAGE is the sum, its type has one more bit of fraction

    return joined


def table_entries(table: Sequence[int], type_: FixedType) -> list[int]:
    """A Lookup's table, which begins at the type's lowest integer, in the order of its bit patterns."""
    return [int(table[number - type_.low]) for number in (*range(type_.high + 1), *range(type_.low, 0))]
