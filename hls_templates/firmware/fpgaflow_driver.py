"""Runs the network of this folder on the FPGA, from Python on the board (PYNQ 2.7 or newer, Python 3.8, numpy).

with Accelerator() as accelerator:
    y = accelerator.predict(x)              # x (N, ...) real inputs, y (N, ...) float64 values
    q = accelerator.predict_codes(codes)    # the same in integers, as they travel on the streams
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pynq
from fpgaflow_samples import Driver, TransferError

HERE = Path(__file__).resolve().parent
LOCK = Path(tempfile.gettempdir()) / "fpgaflow.lock"  # there is one FPGA
MAX_TRANSFER = (1 << 26) - 1  # the block design gives the DMA lengths of 26 bits

# AXI DMA registers, AMD PG021.
MM2S_DMACR, MM2S_DMASR, S2MM_DMASR, S2MM_LENGTH = 0x00, 0x04, 0x34, 0x58
RESET, IDLE, ERRORS = 0x04, 0x02, 0x70  # errors: internal, slave, decode


class Accelerator(Driver):
    """The FPGA loaded with the network of folder `bundle`; one at a time on a board.

    `batch` samples go in one transfer (default: 1024, fewer if large), which may take `timeout_s` seconds.

    Raises:
        FileNotFoundError: the folder lacks the bitstream or its description.
        RuntimeError: somebody else uses the FPGA.
    """

    def __init__(self, bundle: Path = HERE, batch: int | None = None, timeout_s: float = 10.0) -> None:
        super().__init__(bundle, ("fpgaflow.bit", "fpgaflow.hwh"), LOCK, batch, MAX_TRANSFER, timeout_s)

    def _open(self, bundle: Path) -> None:
        self._dma: Any = pynq.Overlay(str(bundle / "fpgaflow.bit")).axi_dma
        self._input = pynq.allocate((self.batch, self.input.sample_bytes), dtype=np.uint8)
        self._output = pynq.allocate((self.batch, self.output.sample_bytes), dtype=np.uint8)

    def _release(self) -> None:
        if self._failed:  # the DMA must not write into buffers that are freed
            self._dma.mmio.write(MM2S_DMACR, RESET)
        self._dma = None

    def clock_mhz(self) -> float:
        return float(pynq.Clocks.fclk0_mhz)

    def transfer(self, samples: int) -> None:
        """As in the base class; what is raised tells the DMA's status registers."""
        self._begin()
        expected = samples * self.output.sample_bytes
        self._dma.recvchannel.transfer(self._output, nbytes=expected)
        self._dma.sendchannel.transfer(self._input, nbytes=samples * self.input.sample_bytes)
        deadline = time.monotonic() + self.timeout_s
        self._wait(S2MM_DMASR, deadline)
        received = self._dma.mmio.read(S2MM_LENGTH)
        if received != expected:
            raise TransferError(f"The network answered {received} bytes to {samples} samples, not {expected}")
        self._wait(MM2S_DMASR, deadline)
        # Both are idle: this returns at once, and makes pynq invalidate its caches.
        self._dma.recvchannel.wait()
        self._dma.sendchannel.wait()
        self._failed = ""

    def _wait(self, register: int, deadline: float) -> None:
        """Until the channel of that status register is idle. pynq's own wait() has no deadline."""
        while True:
            late = time.monotonic() > deadline
            status = {name: self._dma.mmio.read(name) for name in (MM2S_DMASR, S2MM_DMASR)}
            text = f"MM2S_DMASR is 0x{status[MM2S_DMASR]:08x}, S2MM_DMASR is 0x{status[S2MM_DMASR]:08x} (AMD PG021)"
            if any(value & ERRORS for value in status.values()):
                raise TransferError(f"The DMA stopped with an error: {text}")
            if status[register] & IDLE:
                return
            if late:
                raise TimeoutError(f"The network did not answer within {self.timeout_s:g} s: {text}")
