"""The hardware of the protocol in link.py: frames in, samples to the network, answers out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.crc import catalog
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpgaflow.targets.interface import Interface, StreamPort
from fpgaflow.targets.rtl.board.link import REPLY, REQUEST, WINDOW, Command, Status, Timing, payloads

_TOKENS = 4  # answers under way: those of the window, and of errors
_TOKEN = 17  # number, status, and whether a result belongs to it


class Link(wiring.Component):
    """Between a UART's bytes and the two AXI4-Streams of `fpgaflow_top`; `known` is what IDENTIFY answers."""

    def __init__(self, interface: Interface, known: bytes, timing: Timing) -> None:
        self.interface, self.known, self.timing = interface, known, timing
        super().__init__(
            {
                "rx_data": In(8),
                "rx_valid": In(1),
                "rx_broken": In(1),
                "tx_data": Out(8),
                "tx_valid": Out(1),
                "tx_ready": In(1),
                "s_axis_tdata": Out(interface.input.tdata_bits),
                "s_axis_tvalid": Out(1),
                "s_axis_tready": In(1),
                "s_axis_tlast": Out(1),
                "m_axis_tdata": In(interface.output.tdata_bits),
                "m_axis_tvalid": In(1),
                "m_axis_tready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, taken = payloads(self.interface)
        m.submodules.samples = samples = Memory(shape=unsigned(8), depth=WINDOW * given, init=[])
        m.submodules.tokens = tokens = SyncFIFO(width=_TOKEN, depth=_TOKENS)
        m.submodules.receive = receive = FrameReceiver(given, self.timing)
        m.submodules.play = play = Player(self.interface.input)
        m.submodules.answer = answer = Answerer(self.interface.output.tdata_bits, taken, self.known)
        write, read = samples.write_port(), samples.read_port()
        m.d.comb += [
            receive.data.eq(self.rx_data),
            receive.valid.eq(self.rx_valid),
            receive.broken.eq(self.rx_broken),
            write.addr.eq(receive.place),
            write.data.eq(self.rx_data),
            write.en.eq(receive.write),
            tokens.w_data.eq(receive.token),
            tokens.w_en.eq(receive.token_valid),
            receive.token_ready.eq(tokens.w_rdy),
            receive.full.eq(tokens.level >= WINDOW),
            play.whole.eq(receive.whole),
            read.addr.eq(play.place),
            read.en.eq(play.read),
            play.data.eq(read.data),
            self.s_axis_tdata.eq(play.tdata),
            self.s_axis_tvalid.eq(play.tvalid),
            self.s_axis_tlast.eq(play.tlast),
            play.tready.eq(self.s_axis_tready),
            answer.token.eq(tokens.r_data),
            answer.token_valid.eq(tokens.r_rdy),
            tokens.r_en.eq(answer.token_ready),
            answer.tdata.eq(self.m_axis_tdata),
            answer.tvalid.eq(self.m_axis_tvalid),
            self.m_axis_tready.eq(answer.tready),
            self.tx_data.eq(answer.data),
            self.tx_valid.eq(answer.valid),
            answer.ready.eq(self.tx_ready),
        ]
        return m


class FrameReceiver(wiring.Component):
    """Payloads into the buffers, and a token for each answer. `whole` pulses when a buffer holds a good sample.

    `full`: as many frames wait for their answers as may. The buffers of all others are free then.
    """

    def __init__(self, sample_bytes: int, timing: Timing) -> None:
        self.size, self.timing = sample_bytes, timing
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "broken": In(1),
                "full": In(1),
                "place": Out(range(WINDOW * sample_bytes)),
                "write": Out(1),
                "whole": Out(1),
                "token": Out(_TOKEN),
                "token_valid": Out(1),
                "token_ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = self._crc = catalog.CRC16_IBM_3740(data_width=8).create()
        self._number, self._command, self._length = Signal(8), Signal(8), Signal(16)
        self._status, self._count = Signal(Status), Signal(16)
        self._is_sample, self._stalled, self._quiet = Signal(), Signal(), Signal()
        clocks = Signal(range(self.timing.stalled + 1))
        m.d.comb += [
            self._stalled.eq(clocks == self.timing.stalled),
            self._quiet.eq(clocks >= self.timing.quiet),
            self._is_sample.eq(self._command == Command.SAMPLE),
            self._crc.data.eq(self.data),
            self.token.eq(Cat(self._number, self._status, Const(0, 8 - len(self._status)), self._is_sample)),
        ]
        with m.If(self.valid | self.broken):
            m.d.sync += clocks.eq(0)
        with m.Elif(~self._stalled):
            m.d.sync += clocks.eq(clocks + 1)
        bank, start = Signal(range(WINDOW)), Const(0)
        for index in range(1, WINDOW):
            start = Mux(bank == index, index * self.size, start)
        m.d.comb += self.place.eq(start + self._count)
        with m.If(self.whole):
            m.d.sync += bank.eq(Mux(bank == WINDOW - 1, 0, bank + 1))
        with m.FSM():
            self._header(m)
            self._body(m)
            self._end(m)
        return m

    @contextmanager
    def _byte_in(self, m: Module, state: str, following: str) -> Iterator[None]:
        """A state of a frame; its body is for the cycle in which a byte comes."""
        with m.State(state):
            with m.If(self.broken | self._stalled):
                m.d.sync += self._status.eq(Mux(self._stalled, Status.TRUNCATED, Status.BROKEN))
                m.next = "REPORT"
            with m.Elif(self.valid):
                m.d.comb += self._crc.valid.eq(1)
                m.next = following
                yield

    def _header(self, m: Module) -> None:
        with m.State("HUNT"):
            m.d.comb += self._crc.start.eq(1)
            m.d.sync += [self._count.eq(0), self._status.eq(Status.OK)]
            with m.If(self.valid & (self.data == REQUEST)):
                m.next = "NUMBER"
        with self._byte_in(m, "NUMBER", "COMMAND"):
            m.d.sync += self._number.eq(self.data)
        with self._byte_in(m, "COMMAND", "LOW"):
            m.d.sync += self._command.eq(self.data)
        with self._byte_in(m, "LOW", "HIGH"):
            m.d.sync += self._length[:8].eq(self.data)
        with self._byte_in(m, "HIGH", "CHECK"):
            m.d.sync += self._length[8:].eq(self.data)
        with m.State("CHECK"):
            m.next = "REPORT"
            with m.If(~self._is_sample & (self._command != Command.IDENTIFY)):
                m.d.sync += self._status.eq(Status.COMMAND)
            with m.Elif(self._length != Mux(self._is_sample, self.size, 0)):
                m.d.sync += self._status.eq(Status.LENGTH)
            with m.Elif(self.full):
                m.d.sync += self._status.eq(Status.BUSY)
            with m.Elif(self._is_sample):
                m.next = "PAYLOAD"
            with m.Else():
                m.next = "CRC_HIGH"

    def _body(self, m: Module) -> None:
        with self._byte_in(m, "PAYLOAD", "PAYLOAD"):
            m.d.comb += self.write.eq(1)
            m.d.sync += self._count.eq(self._count + 1)
            with m.If(self._count == self.size - 1):
                m.next = "CRC_HIGH"
        with self._byte_in(m, "CRC_HIGH", "CRC_LOW"):
            pass
        with self._byte_in(m, "CRC_LOW", "JUDGE"):
            pass

    def _end(self, m: Module) -> None:
        with m.State("JUDGE"):
            with m.If(~self._crc.match_detected):
                m.d.sync += self._status.eq(Status.CRC)
            m.next = "REPORT"
        with m.State("REPORT"):
            m.d.comb += self.token_valid.eq(1)
            m.next = "SKIP"
            with m.If((self._status == Status.OK) & self.token_ready):
                m.d.comb += self.whole.eq(self._is_sample)
                m.next = "HUNT"
        with m.State("SKIP"), m.If(self._quiet):
            m.next = "HUNT"


class Player(wiring.Component):
    """Whole samples from the buffers to the network, in the order in which `whole` told them, a beat at a time."""

    def __init__(self, port: StreamPort) -> None:
        self.port = port
        super().__init__(
            {
                "whole": In(1),
                "place": Out(range(WINDOW * port.sample_bytes)),
                "read": Out(1),
                "data": In(8),
                "tdata": Out(port.tdata_bits),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, end = self.port.tdata_bits // 8, WINDOW * self.port.sample_bytes - 1
        piece, beat, waiting = Signal(range(size)), Signal(range(self.port.beats)), Signal(range(WINDOW + 1))
        done = Signal()
        m.d.comb += self.tlast.eq(beat == self.port.beats - 1)
        m.d.sync += waiting.eq(waiting + self.whole - done)
        with m.FSM():
            with m.State("WAIT"), m.If(waiting != 0):
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.read.eq(1)
                m.d.sync += self.place.eq(Mux(self.place == end, 0, self.place + 1))
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += [
                    self.tdata.eq(Cat(self.tdata[8:], self.data)),
                    piece.eq(Mux(piece == size - 1, 0, piece + 1)),
                ]
                m.next = "READ"
                with m.If(piece == size - 1):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.tvalid.eq(1)
                with m.If(self.tready):
                    m.d.comb += done.eq(self.tlast)
                    m.d.sync += beat.eq(Mux(self.tlast, 0, beat + 1))
                    m.next = "READ"
                    with m.If(self.tlast):
                        m.next = "WAIT"
        return m


class Answerer(wiring.Component):
    """A frame for each token, in order; a result is sent as the network gives it."""

    def __init__(self, tdata_bits: int, result_bytes: int, known: bytes) -> None:
        self.size, self.taken, self.known = tdata_bits // 8, result_bytes, known
        super().__init__(
            {
                "token": In(_TOKEN),
                "token_valid": In(1),
                "token_ready": Out(1),
                "tdata": In(tdata_bits),
                "tvalid": In(1),
                "tready": Out(1),
                "data": Out(8),
                "valid": Out(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = self._crc = crc = catalog.CRC16_IBM_3740(data_width=8).create()
        number, status, is_sample = self.token[:8], self.token[8:16], self.token[16]
        length, self._sent = Signal(16), Signal()
        m.d.comb += [self._sent.eq(self.valid & self.ready), crc.data.eq(self.data)]
        with m.If(status == Status.OK):
            m.d.comb += length.eq(Mux(is_sample, self.taken, len(self.known)))
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += crc.start.eq(1)
                with m.If(self.token_valid):
                    m.next = "FIRST"
            self._send(m, "FIRST", REPLY, "NUMBER", covered=False)
            self._send(m, "NUMBER", number, "STATUS")
            self._send(m, "STATUS", status, "LOW")
            self._send(m, "LOW", length[:8], "HIGH")
            self._send(m, "HIGH", length[8:], "EMPTY")
            with m.State("EMPTY"):
                m.next = "PAYLOAD"
                with m.If(length == 0):
                    m.next = "CRC_HIGH"
            self._payload(m, is_sample, length)
            self._send(m, "CRC_HIGH", crc.crc[8:], "CRC_LOW", covered=False)
            self._send(m, "CRC_LOW", crc.crc[:8], "DONE", covered=False)
            with m.State("DONE"):
                m.d.comb += self.token_ready.eq(1)
                m.next = "WAIT"
        return m

    def _send(self, m: Module, state: str, byte: Value | int, following: str, covered: bool = True) -> None:
        """A state that sends one byte; `covered` by the CRC."""
        with m.State(state):
            m.d.comb += [self.data.eq(byte), self.valid.eq(1), self._crc.valid.eq(self._sent if covered else 0)]
            with m.If(self._sent):
                m.next = following

    def _payload(self, m: Module, is_sample: Value, length: Value) -> None:
        known = Array(Const(byte, 8) for byte in self.known)
        held, pieces, count = Signal(8 * self.size), Signal(range(self.size + 1)), Signal(16)
        with m.State("PAYLOAD"):
            with m.If(is_sample & (pieces == 0)):
                m.d.comb += self.tready.eq(1)
                with m.If(self.tvalid):
                    m.d.sync += [held.eq(self.tdata), pieces.eq(self.size)]
            with m.Else():
                m.d.comb += [
                    self.data.eq(Mux(is_sample, held[:8], known[count])),
                    self.valid.eq(1),
                    self._crc.valid.eq(self._sent),
                ]
                with m.If(self._sent):
                    m.d.sync += [held.eq(held >> 8), count.eq(count + 1)]
                    with m.If(is_sample):
                        m.d.sync += pieces.eq(pieces - 1)
                    with m.If(count == length - 1):
                        m.d.sync += count.eq(0)
                        m.next = "CRC_HIGH"
