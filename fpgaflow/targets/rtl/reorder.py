"""Elements in another order, or some of them several times: transposes, patches, indices.

A part of a sample is written as it comes and read by nested loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from fpgaflow.targets.rtl.rom import count_up, look_up
from fpgaflow.targets.rtl.stream import Beat, Stage, after_each

Shape = tuple[int, ...]


def keeps_order(shape: Shape, perm: Shape) -> bool:
    """Whether a transpose only moves axes of one element: then the elements come in the same order."""
    moved = [axis for axis in perm if shape[axis] > 1]
    return moved == sorted(moved)


def moving_axes(perm: Shape) -> int:
    """How many leading axes a transpose moves; those behind them stay in place."""
    count = len(perm)
    while count and perm[count - 1] == count - 1:
        count -= 1
    return count


@dataclass(frozen=True)
class Order:
    """Of every `held` beats those are read that `loops` say, the outermost first: the sum of one offset from each."""

    held: int
    loops: tuple[Sequence[int], ...]

    @property
    def beats(self) -> int:
        """How many are read."""
        return prod(map(len, self.loops))


def transposed(shape: Shape, perm: Shape, lanes: int) -> Order:
    """Axes in the order `perm`. `lanes` divide the elements of the axes behind those that move."""
    axes, first = moving_axes(perm), 0
    while first < axes and perm[first] == first:
        first += 1
    tail = prod(shape[axes:])
    if tail % lanes:
        raise ValueError(f"{lanes} lanes do not divide the {tail} elements that stay in place")
    moved = (_along(shape, axis, lanes) for axis in perm[first:axes])
    return Order(prod(shape[first:]) // lanes, (*moved, range(tail // lanes)))


def taken(shape: Shape, axis: int, indices: Sequence[int], lanes: int) -> Order:
    """The entries `indices` of an axis. `lanes` divide the elements behind it."""
    inner = prod(shape[axis + 1 :]) // lanes
    return Order(shape[axis] * inner, (tuple(index * inner for index in indices), range(inner)))


def repeated(beats: int, times: int) -> Order:
    """The same beats several times."""
    return Order(beats, ((0,) * times, range(beats)))


def patches(shape: Shape, size: Shape, strides: Shape, lanes: int) -> Order:
    """What each window over (*spatial, channels) sees. `lanes` divide the channels."""
    places = (
        range(0, ((n - window) // stride * stride + 1) * apart, stride * apart)
        for n, window, stride, apart in zip(shape, size, strides, _apart(shape, lanes), strict=False)
    )
    taps = (range(0, window * apart, apart) for window, apart in zip(size, _apart(shape, lanes), strict=False))
    return Order(prod(shape) // lanes, (*places, *taps, range(shape[-1] // lanes)))


def _apart(shape: Shape, lanes: int) -> list[int]:
    """Beats between neighbours along each axis."""
    return [prod(shape[axis + 1 :]) // lanes for axis in range(len(shape) - 1)]


def _along(shape: Shape, axis: int, lanes: int) -> range:
    apart = prod(shape[axis + 1 :]) // lanes
    return range(0, shape[axis] * apart, apart)


class Reorder(Stage):
    """Latency 2 after the last beat of those that are held, interval 1: two buffers of them."""

    def __init__(self, beat: Beat, order: Order) -> None:
        super().__init__(beat, beat)
        self.order, self.beats = order, order.held
        self.loops = [loop for loop in order.loops if len(loop) > 1 or loop[0]]

    def needed(self, beats: int) -> np.ndarray:
        return after_each(self.order.held, self.order.beats, beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = [Signal(name=f"full_{bank}") for bank in range(2)]
        written = Signal()
        read_out = Signal()  # a buffer is complete, a buffer is free again
        filling = Signal()
        emptying = Signal()  # the bank that is written, the one that is read
        move = Signal()
        issue = Signal()
        place, written_last = count_up(m, "place", self.beats, self.i.valid & self.i.ready)
        address, read_last = self._reading_address(m, issue)

        bank_bits = len(place)
        buffer = Memory(shape=unsigned(self.source.width), depth=2 << bank_bits, init=[])
        m.submodules.buffer = buffer
        write, read = buffer.write_port(), buffer.read_port()
        m.d.comb += [
            self.i.ready.eq(~Cat(full).bit_select(filling, 1)),
            write.addr.eq(Cat(place, filling)),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            written.eq(write.en & written_last),
            move.eq(~self.o.valid | self.o.ready),
            issue.eq(move & Cat(full).bit_select(emptying, 1)),
            read_out.eq(issue & read_last),
            read.addr.eq(Cat(address, emptying)),
            read.en.eq(move),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [filling.eq(filling ^ written), emptying.eq(emptying ^ read_out)]
        for bank, flag in enumerate(full):
            with m.If(written & (filling == bank)):
                m.d.sync += flag.eq(1)
            with m.Elif(read_out & (emptying == bank)):
                m.d.sync += flag.eq(0)
        with m.If(move):
            m.d.sync += self.o.valid.eq(issue)
        return m

    def _reading_address(self, m: Module, step: Value) -> tuple[Value, Value]:
        """The address of the next beat to read, and whether it is the last of those that are held."""
        address, last = Signal(range(self.beats), name="address"), Signal(name="address_last")
        total: Value = Const(0)
        carry: Value = Const(1)
        for number, loop in reversed(list(enumerate(self.loops))):
            count, ends = count_up(m, f"loop_{number}", len(loop), step & carry)
            total, carry = total + self._offset(m, number, loop, count), carry & ends
        m.d.comb += [address.eq(total), last.eq(carry)]
        return address, last

    def _offset(self, m: Module, number: int, loop: Sequence[int], count: Value) -> Value:
        apart = loop[1] - loop[0] if len(loop) > 1 else 0
        if all(after - before == apart for before, after in pairwise(loop)):
            return loop[0] + count * apart
        return look_up(m, f"offsets_{number}", loop, max(loop).bit_length(), count)
