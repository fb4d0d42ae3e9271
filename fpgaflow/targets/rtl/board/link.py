"""Frames over a UART: samples to the network, results back. The host's side is hls_templates/uart/fpgaflow_uart.py.

    host to board:  0xA5, number, command, length (2 bytes, low first), payload, CRC (2 bytes, high first)
    board to host:  0x5A, number, status, length, payload, CRC

The CRC is CRC-16/IBM-3740 of all between it and the first byte. The board answers every frame that it understands as
one, in order and under its number. A sample reaches the network only whole and with the right CRC: it waits in one of
WINDOW buffers until then. So the host may have WINDOW frames unanswered, and nothing overflows; a frame beyond them is
answered BUSY. After an error the board ignores the line until it was quiet for a while, for what follows may be out of
step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from fpgaflow.errors import Problem
from fpgaflow.targets.interface import Interface

REQUEST, REPLY = 0xA5, 0x5A
VERSION, WINDOW = 1, 2
OVERHEAD = 7  # bytes of a frame besides its payload
MAX_PAYLOAD = (1 << 16) - 1
ID_BYTES = 8


class Command(IntEnum):
    IDENTIFY = 1
    SAMPLE = 2


class Status(IntEnum):
    """What a reply says of its request; the host's driver has the words for it."""

    OK = 0
    CRC = 1
    LENGTH = 2
    COMMAND = 3
    TRUNCATED = 4
    BUSY = 5
    BROKEN = 6  # a byte without stop bit


@dataclass(frozen=True)
class Timing:
    """Clocks: how long the line is quiet before a frame counts as over, and how long within one before it is cut."""

    quiet: int
    stalled: int

    @classmethod
    def of(cls, clock_hz: float) -> Timing:
        """20 ms and 200 ms: a host's scheduler and its USB adapter may pause in the middle of a frame."""
        return cls(int(clock_hz * 0.02), int(clock_hz * 0.2))


def payloads(interface: Interface) -> tuple[int, int]:
    """Bytes of a sample and of its result, as `pack` lays them out."""
    return interface.input.sample_bytes, interface.output.sample_bytes


def link_problems(interface: Interface) -> list[Problem]:
    """Samples too long for a frame."""
    return [
        Problem(f"stream '{port.name}'", f"has samples of {port.sample_bytes:,} bytes", f"Use up to {MAX_PAYLOAD:,}")
        for port in (interface.input, interface.output)
        if port.sample_bytes > MAX_PAYLOAD
    ]


def samples_per_second(interface: Interface, baud: int) -> float:
    """What the UART can carry, 10 bits a byte, both directions at once: the longer frame sets the pace."""
    return baud / 10 / (OVERHEAD + max(payloads(interface)))


def identity(interface: Interface, design: str) -> bytes:
    """What IDENTIFY answers: version, window, bytes of a sample and of a result, and `design` (hexadecimal) cut."""
    sizes = b"".join(size.to_bytes(2, "little") for size in payloads(interface))
    return bytes((VERSION, WINDOW)) + sizes + bytes.fromhex(design)[:ID_BYTES]
