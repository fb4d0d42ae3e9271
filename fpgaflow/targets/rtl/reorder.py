"""Transposition: a sample is written in the order of the one tensor and read in that of the other."""

from __future__ import annotations

from math import prod

from amaranth.hdl import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from fpgaflow.targets.rtl.rom import count_up
from fpgaflow.targets.rtl.stream import Beat, Stage


def keeps_order(shape: tuple[int, ...], perm: tuple[int, ...]) -> bool:
    """Whether a transpose only moves axes of one element: then the elements come in the same order."""
    moved = [axis for axis in perm if shape[axis] > 1]
    return moved == sorted(moved)


def moving_axes(perm: tuple[int, ...]) -> int:
    """How many leading axes a transpose moves; those behind them stay in place."""
    count = len(perm)
    while count and perm[count - 1] == count - 1:
        count -= 1
    return count


class Reorder(Stage):
    """Axes of `shape` in the order `perm`. Latency 2 after a sample's last beat, interval 1: two buffers of a sample.

    `lanes` divide the elements of the axes that stay in place.
    """

    def __init__(self, shape: tuple[int, ...], perm: tuple[int, ...], lanes: int, bits: int) -> None:
        axes = moving_axes(perm)
        tail = prod(shape[axes:])
        if tail % lanes:
            raise ValueError(f"{lanes} lanes do not divide the {tail} elements that stay in place")
        super().__init__(Beat(lanes, bits), Beat(lanes, bits))
        self.beats = prod(shape) // lanes
        # (iterations, beats apart in the input) of the reading loops, the outermost first
        moved = [(shape[axis], prod(shape[axis + 1 :]) // lanes) for axis in perm[:axes]]
        self.loops = [loop for loop in (*moved, (tail // lanes, 1)) if loop[0] > 1]

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
        """The address of the next beat to read, and whether it is a sample's last."""
        address, last = Signal(range(self.beats), name="address"), Signal(name="address_last")
        total: Value = Const(0)
        carry: Value = Const(1)
        for number, (size, apart) in reversed(list(enumerate(self.loops))):
            count, ends = count_up(m, f"loop_{number}", size, step & carry)
            total, carry = total + count * apart, carry & ends
        m.d.comb += [address.eq(total), last.eq(carry)]
        return address, last
