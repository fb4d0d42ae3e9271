"""What goes onto an open board: the network behind a UART; and with it the board's pins, clock and reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from fpgaflow.targets.interface import Interface
from fpgaflow.targets.rtl.board.frames import Link
from fpgaflow.targets.rtl.board.link import Timing
from fpgaflow.targets.rtl.board.uart import Receiver, Transmitter
from fpgaflow.targets.rtl.top import TOP

RESET_BITS = 11  # 2,047 clocks, more than the 15 us that Amaranth waits for the block RAMs of an iCE40


@dataclass(frozen=True)
class LinkSettings:
    """`known` is what the board answers when asked who it is; `divisor` clocks make a bit."""

    interface: Interface
    known: bytes
    divisor: int
    timing: Timing


@dataclass(frozen=True)
class Pll:
    """A Verilog module `pll` that makes `mhz`, with its port names; `at_pad`: its input is the pin itself."""

    verilog: str
    mhz: float
    source: str
    result: str
    locked: str = "locked"
    at_pad: bool = False


class UartTop(wiring.Component):
    """`fpgaflow_top` behind a UART: the pins `rx` and `tx`, and the domain `sync`."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given = self.settings
        m.submodules.receiver = receiver = Receiver(given.divisor)
        m.submodules.transmitter = transmitter = Transmitter(given.divisor)
        m.submodules.link = link = Link(given.interface, given.known, given.timing)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            link.rx_data.eq(receiver.data),
            link.rx_valid.eq(receiver.valid),
            link.rx_broken.eq(receiver.broken),
            transmitter.data.eq(link.tx_data),
            transmitter.valid.eq(link.tx_valid),
            link.tx_ready.eq(transmitter.ready),
            self.tx.eq(transmitter.tx),
        ]
        m.submodules.network = Instance(
            TOP,
            i_aclk=ClockSignal(),
            i_aresetn=~ResetSignal(allow_reset_less=True),  # on ECP5 the global set and reset serves
            i_s_axis_tdata=link.s_axis_tdata,
            i_s_axis_tvalid=link.s_axis_tvalid,
            o_s_axis_tready=link.s_axis_tready,
            i_s_axis_tlast=link.s_axis_tlast,
            o_m_axis_tdata=link.m_axis_tdata,
            o_m_axis_tvalid=link.m_axis_tvalid,
            i_m_axis_tready=link.m_axis_tready,
            o_m_axis_tlast=Signal(),
        )
        return m


class BoardTop(Elaboratable):
    """`UartTop` on the pins of an Amaranth platform that has the resources `uart` 0, and `high` 0 where one is needed.

    Without `pll`, the platform makes the clock of its default oscillator, and the reset after power-on.
    """

    def __init__(self, settings: LinkSettings, pll: Pll | None = None, *, high: bool = False) -> None:
        self.settings, self.pll, self.high = settings, pll, high

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.pll is not None:
            self._clock(m, platform, self.pll)
        m.submodules.design = design = UartTop(self.settings)
        pins = platform.request("uart", 0, dir=_without_direction(platform.lookup("uart", 0)))
        m.submodules.rx_pin = rx = io.Buffer("i", pins.rx)
        m.submodules.tx_pin = tx = io.Buffer("o", pins.tx)
        m.d.comb += [design.rx.eq(rx.i), tx.o.eq(design.tx)]
        if self.high:
            m.submodules.high_pin = high = io.Buffer("o", platform.request("high", 0, dir="-"))
            m.d.comb += high.o.eq(1)
        return m

    def _clock(self, m: Module, platform: Any, pll: Pll) -> None:
        """The domain `sync` of a PLL; its reset lasts until the clock is locked and the block RAMs work."""
        clock, locked, steady = Signal(), Signal(), Signal()
        pin = platform.request(platform.default_clk, dir="-")
        ports: dict[str, Any] = {f"o_{pll.result}": clock, f"o_{pll.locked}": locked}
        if pll.at_pad:
            ports[f"io_{pll.source}"] = pin.io
        else:
            m.submodules.clock_pin = buffer = io.Buffer("i", pin)
            ports[f"i_{pll.source}"] = buffer.i
        m.submodules.pll = Instance("pll", **ports)
        m.domains.sync = sync = ClockDomain()
        m.domains.power = power = ClockDomain(local=True, reset_less=True)
        m.d.comb += [sync.clk.eq(clock), power.clk.eq(clock)]
        m.submodules.steady = FFSynchronizer(locked, steady, o_domain="power")
        waited = Signal(RESET_BITS)
        with m.If(~steady):
            m.d.power += waited.eq(0)
        with m.Elif(~waited.all()):
            m.d.power += waited.eq(waited + 1)
        m.d.comb += sync.rst.eq(~waited.all())
        platform.add_clock_constraint(clock, pll.mhz * 1e6)


def _without_direction(resource: Any) -> dict[str, str]:
    """`dir` for a request of all subsignals as bare ports."""
    return {part.name: "-" for part in resource.ios if hasattr(part, "ios")}
