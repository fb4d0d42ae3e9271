"""Functions of an element and of constants that belong to its place: scale, division, piecewise linear, cast of each.

Constants broadcast over a sample; a memory holds them once, in the order in which the beats meet them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from amaranth.hdl import Const, Module, Mux, Signal, Value

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops_merge import Divide, Scale
from fpgaflow.ir.ops_table import CastEach, Piecewise
from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.targets.rtl.cast import cast_value, number, wrapped
from fpgaflow.targets.rtl.rom import Walk, packed, read_rom, walk_of
from fpgaflow.targets.rtl.stream import Beat, Stage

Function = Callable[[Value, Value], Value]


@dataclass(frozen=True)
class Places:
    """`words` of `bits` each, and which of them each lane of each beat meets."""

    words: tuple[int, ...]
    bits: int
    walk: Walk


class Varying(Stage):
    """One function on each element and its word. Latency 2, interval 1."""

    def __init__(self, source: FixedType, result: FixedType, lanes: int, places: Places, function: Function) -> None:
        super().__init__(Beat(lanes, source.width), Beat(lanes, result.width))
        self.type, self.places, self.function = source, places, function

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, walk = self.places.bits, self.places.walk
        entry = Beat(self.source.lanes, bits)
        held = Signal(self.source.width)
        filled = Signal()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        address = walk.address(m, self.i.ready & self.i.valid)
        words = [packed([self.places.words[n] for n in beat], bits) for beat in walk.beats]
        known = entry.split(read_rom(m, "constants", words, entry.width, address, self.i.ready))
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.payload), filled.eq(self.i.valid), self.o.valid.eq(filled)]
            parts = zip(self.result.split(self.o.payload), self.source.split(held), known, strict=True)
            for out, element, own in parts:
                m.d.sync += out.eq(self.function(number(element, self.type), own))
        return m


@dataclass(frozen=True)
class Record:
    """Integers side by side, each of a type of its own, the first in the lowest bits."""

    types: tuple[FixedType, ...]

    @property
    def starts(self) -> list[int]:
        return list(accumulate((type_.width for type_ in self.types), initial=0))

    def pack(self, row: Sequence[int]) -> int:
        parts = zip(row, self.types, self.starts, strict=False)
        return sum(packed([value], type_.width) << start for value, type_, start in parts)

    def split(self, word: Value) -> list[Value]:
        return [number(word[s : s + t.width], t) for t, s in zip(self.types, self.starts, strict=False)]


def record_of(rows: Sequence[Sequence[int]]) -> Record:
    """The narrowest types of columns of integers."""
    return Record(tuple(type_for(min(column), max(column), 0) for column in zip(*rows, strict=True)))


def places_of(
    fields: Ints, shape: tuple[int, ...], lanes: int, change: Callable[[int], int] = int
) -> tuple[Places, Record]:
    """The words for elements of `shape`, whose constants `fields` (..., k) broadcast to it; `change` alters each."""
    flat = fields.reshape(-1, fields.shape[-1])
    rows, numbers = np.unique(flat, axis=0, return_inverse=True)
    changed = [[change(value) for value in row] for row in rows.tolist()]
    record = record_of(changed)
    walk = walk_of(np.broadcast_to(numbers.reshape(fields.shape[:-1]), shape), lanes)
    return Places(tuple(record.pack(row) for row in changed), record.starts[-1], walk), record


def scale(op: Scale, graph: Graph, lanes: int) -> Varying:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    weights, up = graph.constants[op.weights], result.fraction - source.fraction - op.weight_type.fraction
    bias, bias_up = np.zeros(1, np.int64), 0
    if op.bias is not None and op.bias_type is not None:
        bias, bias_up = graph.constants[op.bias], result.fraction - op.bias_type.fraction
    fields = np.stack(np.broadcast_arrays(weights, bias), axis=-1)
    places, record = places_of(fields, graph.tensors[op.output].shape, lanes)

    def scaled(x: Value, word: Value) -> Value:
        weight, offset = record.split(word)
        return (x * weight << up) + (offset << bias_up)

    return Varying(source, result, lanes, places, scaled)


def divide(op: Divide, graph: Graph, lanes: int) -> Varying:
    """By multiplication with reciprocals.

    For 0 <= n < 2^N and d <= 2^l, n // d is n × ceil(2^(N + l) / d) >> (N + l): Granlund and Montgomery, Division by
    invariant integers using multiplication (1994), theorem 4.2.
    """
    type_, divisors = graph.type_of(op.inputs[0]), graph.constants[op.divisors]
    shift = type_.width + (int(divisors.max()) - 1).bit_length()
    shape = graph.tensors[op.output].shape
    places, record = places_of(divisors[..., None], shape, lanes, lambda d: -(-(1 << shift) // d))

    def quotient(x: Value, word: Value) -> Value:
        (reciprocal,) = record.split(word)
        size = Mux(x < 0, -x, x)[: type_.width] if type_.signed else x
        whole = size * reciprocal >> shift
        return Mux(x < 0, -whole, whole)

    return Varying(type_, type_, lanes, places, quotient)


def piecewise(op: Piecewise, graph: Graph, lanes: int) -> Varying:
    source, shape = graph.type_of(op.inputs[0]), graph.tensors[op.output].shape
    knots, slopes, offsets = (graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    axes = np.broadcast_shapes(slopes.shape[:-1], offsets.shape[:-1])
    parts = [np.broadcast_to(part, (*axes, part.shape[-1])) for part in (slopes, offsets)]
    places, record = places_of(np.concatenate(parts, axis=-1), shape, lanes)
    segments = slopes.shape[-1]

    def line(x: Value, word: Value) -> Value:
        known = record.split(word)
        slope, offset = known[0], known[segments]
        for knot, next_slope, next_offset in zip(knots.tolist(), known[1:], known[segments + 1 :], strict=False):
            reached = x >= knot
            slope, offset = Mux(reached, next_slope, slope), Mux(reached, next_offset, offset)
        return x * slope + offset

    return Varying(source, graph.type_of(op.output), lanes, places, line)


def cast_each(op: CastEach, graph: Graph, lanes: int) -> Varying:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    shape = graph.tensors[op.output].shape
    kinds, numbers = np.unique(graph.constants[op.types].reshape(3, -1), axis=1, return_inverse=True)
    places, _ = places_of(numbers.reshape(*shape, 1), shape, lanes)

    def chosen(x: Value, word: Value) -> Value:
        value: Value = Const(0)
        for kind, (signed, width, fraction) in enumerate(kinds.T.tolist()):
            if width:
                type_ = FixedType(bool(signed), width, fraction)
                own = wrapped(cast_value(x, source, type_, op.rounding, op.overflow), type_)
                value = Mux(word == kind, own << result.fraction - fraction, value)
        return value

    return Varying(source, result, lanes, places, chosen)
