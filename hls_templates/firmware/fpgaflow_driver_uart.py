"""Runs the network of this folder on an FPGA board behind a serial port (Python 3.8, numpy, pyserial).

with Accelerator(port="/dev/ttyUSB0") as accelerator:
    y = accelerator.predict(x)              # x (N, ...) real inputs, y (N, ...) float64 values
    q = accelerator.predict_codes(codes)    # the same in integers, as they travel over the line

    host to board:  0xA5, number, command, length (2 bytes, low first), payload, CRC (2 bytes, high first)
    board to host:  0x5A, number, status, length, payload, CRC

The CRC is CRC-16/IBM-3740 of all between it and the first byte. What a fault on the line spoils is sent again.
"""

from __future__ import annotations

import binascii
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import serial
from fpgaflow_samples import Driver, TransferError

HERE = Path(__file__).resolve().parent
REQUEST, REPLY = 0xA5, 0x5A
IDENTIFY, SAMPLE = 1, 2
VERSION = 1
STATUS = (
    "",
    "the CRC was wrong",
    "the length was wrong",
    "the command is unknown",
    "the frame broke off",
    "more frames were on their way than it holds",
    "a byte had no stop bit",
)
QUIET_S = 0.05  # after a fault: longer than the 20 ms that the board waits for a quiet line
RETRIES = 3  # in a row, before the line counts as dead


class _Fault(Exception):
    """Something on the line went wrong; `timed_out` where nothing came at all."""

    def __init__(self, why: str, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class Accelerator(Driver):
    """The board at `port`, loaded with the bitstream of folder `bundle`; one at a time on a port.

    `batch` samples go in one transfer (default: about a second's); `timeout_s` is how long one answer may take.

    Raises:
        FileNotFoundError: the folder lacks its description.
        RuntimeError: somebody else uses the port, or the board holds another design.
        TimeoutError: nothing answers there.
        TransferError: what answers makes no sense, again and again.
    """

    def __init__(
        self, bundle: Path = HERE, port: str = "/dev/ttyUSB0", batch: int | None = None, timeout_s: float = 2.0
    ) -> None:
        self._port = port
        self._number = 0
        lock = Path(tempfile.gettempdir()) / f"fpgaflow.{port.strip('/').replace('/', '_')}.lock"
        super().__init__(bundle, (), lock, batch, 1 << 24, timeout_s)

    def _open(self, bundle: Path) -> None:
        baud = int(self.bundle["uart"]["baud"])
        largest = max(self.input.sample_bytes, self.output.sample_bytes)
        self.batch = min(self.batch, max(1, baud // 10 // largest))
        self._input = np.zeros((self.batch, self.input.sample_bytes), dtype=np.uint8)
        self._output = np.zeros((self.batch, self.output.sample_bytes), dtype=np.uint8)
        self._line: Any = serial.Serial(self._port, baud, timeout=self.timeout_s, write_timeout=self.timeout_s)
        try:
            self._retry(self._identify, "identification")
        except BaseException:
            self._line.close()
            raise

    def _release(self) -> None:
        self._line.close()

    def clock_mhz(self) -> float:
        """Of the board's oscillator and PLL, as built: the line would not work at another one."""
        return float(self.bundle["clock_mhz"])

    def transfer(self, samples: int) -> None:
        """As in the base class; frames that a fault on the line spoiled are sent again, and counted in `repeated`."""
        self._begin()
        waiting = list(range(samples))[::-1]
        unanswered: OrderedDict[int, int] = OrderedDict()

        def step() -> None:
            while waiting or unanswered:
                while waiting and len(unanswered) < self._window:
                    index = waiting.pop()
                    unanswered[self._send(SAMPLE, self._input[index].tobytes())] = index
                number, payload = self._receive(unanswered, self.output.sample_bytes)
                self._output[unanswered.pop(number)] = np.frombuffer(payload, dtype=np.uint8)
                self._faults = 0

        def again() -> None:
            waiting.extend(reversed(unanswered.values()))
            self.repeated += len(unanswered)
            unanswered.clear()

        self._retry(step, "sample", again)
        self._failed = ""

    def _retry(self, step: Any, what: str, again: Any = lambda: None) -> None:
        """Runs `step` until it ends well: after a fault, waits for a quiet line, and asks the board who it is."""
        self._faults = 0
        while True:
            try:
                if self._faults:
                    self._settle()
                    if what != "identification":
                        self._identify()
                step()
                return
            except (_Fault, serial.SerialTimeoutException) as fault:
                self._faults += 1
                again()
                if self._faults > RETRIES:
                    found = f"{self._port}: no {what} got through in {self._faults} attempts: {fault}"
                    timed_out = getattr(fault, "timed_out", True)
                    raise (TimeoutError(found) if timed_out else TransferError(found)) from None

    def _settle(self) -> None:
        """Until nothing is on its way in either direction."""
        self._line.reset_output_buffer()
        deadline = time.monotonic() + self.timeout_s
        self._line.timeout = QUIET_S
        while self._line.read(4096) and time.monotonic() < deadline:
            pass

    def _identify(self) -> None:
        number = self._send(IDENTIFY, b"")
        _, answer = self._receive({number: 0}, 6 + len(self.bundle["design"]) // 2)
        sizes = [int.from_bytes(answer[at : at + 2], "little") for at in (2, 4)]
        if answer[0] != VERSION or sizes != [self.input.sample_bytes, self.output.sample_bytes]:
            raise RuntimeError(f"{self._port}: the board holds another design: load this folder's bitstream")
        if answer[6:].hex() != self.bundle["design"]:
            raise RuntimeError(f"{self._port}: the board holds another network: load this folder's bitstream")
        self._window = answer[1]

    def _send(self, command: int, payload: bytes) -> int:
        """Sends a frame; gives its number."""
        self._number = (self._number + 1) % 256
        body = bytes((self._number, command)) + len(payload).to_bytes(2, "little") + payload
        self._line.write(bytes((REQUEST,)) + body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"))
        return self._number

    def _receive(self, expected: Any, size: int) -> tuple[int, bytes]:
        """(number, payload) of the next good answer, which is one of `expected` and has `size` bytes."""
        deadline = time.monotonic() + self.timeout_s
        while self._read(1, deadline)[0] != REPLY:
            pass
        head = self._read(4, deadline)
        length = int.from_bytes(head[2:], "little")
        if length not in (0, size):
            raise _Fault(f"an answer of {length} bytes came, not of {size}")
        rest = self._read(length + 2, deadline)
        if binascii.crc_hqx(head + rest[:-2], 0xFFFF) != int.from_bytes(rest[-2:], "big"):
            raise _Fault("an answer came with a wrong CRC")
        number, status = head[:2]
        if status:
            why = STATUS[status] if status < len(STATUS) else f"status {status}"
            raise _Fault(f"the board refused a frame: {why}")
        if number not in expected or length != size:
            raise _Fault("an answer came to a frame that nobody waits for")
        return number, rest[:-2]

    def _read(self, count: int, deadline: float) -> bytes:
        self._line.timeout = max(0.0, deadline - time.monotonic())
        data: bytes = self._line.read(count)
        if len(data) < count:
            raise _Fault(f"nothing more came within {self.timeout_s:g} s", timed_out=True)
        return data
