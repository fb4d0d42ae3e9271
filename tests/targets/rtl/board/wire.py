"""A simulated board behind a pseudo-terminal: the real driver opens it, and the wire between them can have faults."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fpgaflow.targets.rtl.board.link import Timing
from fpgaflow.targets.rtl.board.top import LinkSettings, UartTop
from fpgaflow.targets.rtl.verilog import rtlil_of
from fpgaflow.targets.rtl.yosys import find_yosys, run_yosys

DIVISOR = 4
TIMING = Timing(quiet=2_000, stalled=20_000)
_PATIENCE = 8_000  # clocks without anything on the line after which the clock stands still: below TIMING.stalled
BYTE, RESET, BROKEN, WAIT = range(4)  # symbols of uart_bench.cpp

Symbols = list[tuple[int, int]]


def compile_board(settings: LinkSettings, verilog: Mapping[str, str], folder: Path) -> Path:
    """The program of `UartTop` around a network's Verilog."""
    (folder / "uart_top.il").write_text(rtlil_of(UartTop(settings), "uart_top"))
    for name, text in verilog.items():
        (folder / name).write_text(text)
    read = [f"read_verilog {name}" for name in verilog if name.endswith(".v")]
    top = ["read_rtlil uart_top.il", "hierarchy -check -top uart_top"]
    run_yosys([*read, *top, "proc", "flatten", "opt", "write_cxxrtl -g0 design.cpp"], folder, "cxxrtl.log")
    shutil.copy(Path(__file__).with_name("uart_bench.cpp"), folder)
    program = folder / "bench"
    argv = ["g++", "-std=c++14", "-O1", f"-I{find_yosys().cxxrtl}", "uart_bench.cpp", "-o", program.name]
    subprocess.run(argv, cwd=folder, check=True)
    return program


@dataclass
class Wire:
    """`port` is what the driver opens. `sent` and `answered` turn the byte of that place into what arrives.

    Both count from the moment at which they were set.
    """

    port: str = ""
    sent: Callable[[int, int], Symbols] = lambda _, byte: [(BYTE, byte)]
    answered: Callable[[int, int], bytes] = lambda _, byte: bytes([byte])
    _places: list[int] = field(default_factory=lambda: [0, 0])

    def fault(
        self, sent: Callable[[int, int], Symbols] | None = None, answered: Callable[[int, int], bytes] | None = None
    ) -> None:
        """Sets what happens to the bytes from here on; nothing where it is left out."""
        self.sent, self.answered = sent or Wire.sent, answered or Wire.answered
        self._places = [0, 0]

    def to_board(self, data: bytes) -> bytes:
        symbols: Symbols = []
        for byte in data:
            symbols += self.sent(self._places[0], byte)
            self._places[0] += 1
        return bytes(value for symbol in symbols for value in symbol)

    def to_host(self, data: bytes) -> bytes:
        arrived = b""
        for byte in data:
            arrived += self.answered(self._places[1], byte)
            self._places[1] += 1
        return arrived


@contextmanager
def board(program: Path) -> Iterator[Wire]:
    """The running board; time passes for it when the host is silent for 50 ms."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    wire = Wire(os.ttyname(slave))
    running = subprocess.Popen(
        [str(program), str(DIVISOR), str(_PATIENCE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert running.stdin is not None and running.stdout is not None
    inside, outside = running.stdin, running.stdout
    over = threading.Event()

    def carry() -> None:
        while not over.is_set():
            ready, _, _ = select.select([master, outside], [], [], 0.05)
            if not ready:
                inside.write(bytes((WAIT, 1 + TIMING.stalled // 1000)))
            if master in ready:
                inside.write(wire.to_board(os.read(master, 4096)))
            if outside in ready:
                os.write(master, wire.to_host(os.read(outside.fileno(), 4096)))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        over.set()
        thread.join()
        inside.close()
        running.wait()
        outside.close()
        os.close(master)
        os.close(slave)
