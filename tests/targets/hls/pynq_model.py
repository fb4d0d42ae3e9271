"""PYNQ's Overlay, allocate and DMA as the driver sees them, above a software model of the AXI DMA's registers (PG021).

Host and device see memory through caches that nobody keeps coherent: what is not flushed or invalidated stays stale.
`Fpga.network` is the hardware behind the DMA: a function from the bytes that arrive to the bytes that leave.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

HALTED, IDLE, DECODE_ERROR = 0x01, 0x02, 0x40
MAX_LENGTH = (1 << 26) - 1


class Buffer(np.ndarray):
    """A PynqBuffer: `dram` is what the FPGA sees of it."""

    physical_address: int
    dram: np.ndarray

    def __array_finalize__(self, parent: Any) -> None:
        self.physical_address = getattr(parent, "physical_address", 0)

    def flush(self) -> None:
        self.dram[:] = self.reshape(-1).view(np.uint8)

    def invalidate(self) -> None:
        self.reshape(-1).view(np.uint8)[:] = self.dram


class Fpga:
    """One board. `polls` is how often a status is read before a transfer ends; None: it never ends."""

    def __init__(self, network: Callable[[bytes], bytes]) -> None:
        self.network = network
        self.polls: int | None = 2
        self.decode_error = False
        self.downloads: list[str] = []
        self.transfers: list[int] = []  # bytes sent
        self.resets = 0
        self.buffers: dict[int, Buffer] = {}

    def module(self) -> ModuleType:
        """What `import pynq` gives."""
        pynq = ModuleType("pynq")
        vars(pynq).update(Overlay=self._overlay, allocate=self._allocate, Clocks=_Clocks)
        return pynq

    def _overlay(self, bitstream: str) -> Any:
        self.downloads.append(bitstream)
        overlay = ModuleType("overlay")
        vars(overlay).update(axi_dma=Dma(self))
        return overlay

    def _allocate(self, shape: tuple[int, ...], dtype: Any = "u4") -> Buffer:
        buffer = np.full(shape, 0xA5, dtype=dtype).view(Buffer)
        buffer.physical_address = 0x1000_0000 + 0x100_0000 * len(self.buffers)
        buffer.dram = np.full(buffer.nbytes, 0x5A, dtype=np.uint8)
        self.buffers[buffer.physical_address] = buffer
        return buffer


class _Clocks:
    fclk0_mhz = 99.999


class Mmio:
    """The registers of an AXI DMA in simple mode, with what writing them sets off."""

    def __init__(self, fpga: Fpga) -> None:
        self.fpga = fpga
        self.registers = {0x04: HALTED, 0x34: HALTED}
        self.answer: bytes | None = None
        self.waited = 0

    def read(self, offset: int) -> int:
        if offset == 0x34 and self.answer is not None and self.registers.get(0x58):
            self.waited += 1
            if self.fpga.polls is not None and self.waited > self.fpga.polls:
                self._receive()
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset in (0x00, 0x30):
            if value & 0x04:
                self.fpga.resets += 1
            self.registers[offset + 4] = 0 if value & 0x01 else HALTED
        else:
            self.registers[offset] = value
        if offset in (0x28, 0x58):
            self.registers[offset - 0x24] &= ~IDLE
        if offset == 0x28:
            self._send(value)

    def _send(self, length: int) -> None:
        if self.fpga.decode_error:
            self.registers[0x04] |= DECODE_ERROR | HALTED
            return
        self.fpga.transfers.append(length)
        dram = self.fpga.buffers[self.registers[0x18]].dram
        self.answer, self.waited = self.fpga.network(dram[:length].tobytes()), 0
        if self.fpga.polls is not None:
            self.registers[0x04] |= IDLE

    def _receive(self) -> None:
        assert self.answer is not None
        dram = self.fpga.buffers[self.registers[0x48]].dram
        dram[: len(self.answer)] = np.frombuffer(self.answer, dtype=np.uint8)
        self.registers[0x58] = len(self.answer)
        self.registers[0x34] |= IDLE
        self.answer = None


class Channel:
    """What PYNQ's simple DMA channel does with registers: flush before sending, invalidate after receiving."""

    def __init__(self, mmio: Mmio, offset: int) -> None:
        self.mmio, self.offset, self.first = mmio, offset, True
        self.buffer: Buffer | None = None
        mmio.write(offset, 0x0001)

    @property
    def idle(self) -> bool:
        return bool(self.mmio.read(self.offset + 4) & IDLE)

    def transfer(self, array: Buffer, start: int = 0, nbytes: int = 0) -> None:
        if not self.idle and not self.first:
            raise RuntimeError("DMA channel not idle")
        nbytes = nbytes or array.nbytes - start
        if nbytes > MAX_LENGTH:
            raise ValueError("Transfer size exceeds the maximum")
        if self.offset == 0:
            array.flush()
        self.mmio.write(self.offset + 0x18, array.physical_address + start)
        self.mmio.write(self.offset + 0x28, nbytes)
        self.buffer, self.first = array, False

    def wait(self) -> None:
        assert self.idle, "this would wait without a deadline"
        if self.offset and self.buffer is not None:
            self.buffer.invalidate()
        self.buffer = None


class Dma:
    def __init__(self, fpga: Fpga) -> None:
        self.mmio = Mmio(fpga)
        self.sendchannel, self.recvchannel = Channel(self.mmio, 0x00), Channel(self.mmio, 0x30)
