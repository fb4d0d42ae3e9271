"""A UART, 8N1: eight data bits, the lowest first, no parity, one stop bit; a bit lasts `divisor` clocks."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from fpgaflow.boards import MIN_DIVISOR


class Receiver(wiring.Component):
    """`valid` pulses with each byte; `broken` instead where the stop bit was missing."""

    def __init__(self, divisor: int) -> None:
        if divisor < MIN_DIVISOR:
            raise ValueError(f"{divisor} clocks a bit, at least {MIN_DIVISOR}")
        self.divisor = divisor
        super().__init__({"rx": In(1), "data": Out(8), "valid": Out(1), "broken": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronised = FFSynchronizer(self.rx, line, init=1)
        clocks = Signal(range(self.divisor + self.divisor // 2))
        bits = Signal(range(11))  # still to come, the stop bit among them; 0: idle, 10: the line is stuck low
        m.d.sync += [self.valid.eq(0), self.broken.eq(0)]
        with m.If(bits == 0), m.If(~line):  # the first data bit's middle is one and a half bits away
            m.d.sync += [clocks.eq(self.divisor + self.divisor // 2 - 1), bits.eq(9)]
        with m.Elif(clocks != 0):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Elif(bits == 1):
            with m.If(line):
                m.d.sync += [self.valid.eq(1), bits.eq(0)]
            with m.Else():  # until the line is idle again
                m.d.sync += [self.broken.eq(1), bits.eq(10)]
        with m.Elif(bits == 10), m.If(line):
            m.d.sync += bits.eq(0)
        with m.Else():
            m.d.sync += [
                self.data.eq(Cat(self.data[1:], line)),
                clocks.eq(self.divisor - 1),
                bits.eq(bits - 1),
            ]
        return m


class Transmitter(wiring.Component):
    """Takes a byte where `valid` and `ready` are both high."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"tx": Out(1, init=1), "data": In(8), "valid": In(1), "ready": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting = Signal(9)  # the bits behind the one on the line
        clocks = Signal(range(self.divisor))
        bits = Signal(range(11))
        m.d.comb += self.ready.eq(bits == 0)
        with m.If(bits == 0), m.If(self.valid):
            m.d.sync += [
                self.tx.eq(0),
                waiting.eq(Cat(self.data, 1)),
                clocks.eq(self.divisor - 1),
                bits.eq(10),
            ]
        with m.Elif(clocks != 0):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Else():
            m.d.sync += [
                self.tx.eq(waiting[0]),
                waiting.eq(Cat(waiting[1:], 1)),
                clocks.eq(self.divisor - 1),
                bits.eq(bits - 1),
            ]
        return m
