"""Cycle-accurate runs of the generated Verilog: Yosys' CXXRTL makes C++ of it, g++ a program, a bench drives it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fpgaflow.errors import CheckFailed, MissingTool, ToolFailed
from fpgaflow.files import write_atomic
from fpgaflow.targets.interface import Interface, pack, unpack
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import find_yosys, run_yosys

BENCH = Path(__file__).with_name("bench.cpp")
_PROGRAM, _DIGEST = "bench", "digest"
# Cycles from which on optimising pays: g++ takes minutes over a design that is nearly unrolled, and such a one needs
# few cycles, of which 10,000 a second run unoptimised (50 times as many optimised).
LONG_RUN = 150_000
# Registers with enables, and no names for a debugger: a tenth of the time in g++.
_FAST = ("proc", "flatten", "opt_expr", "opt_dff", "opt_mem", "opt_clean", "write_cxxrtl -g0 design.cpp")
# Every signal of every module under its name.
_WITH_NAMES = ("proc", "opt_clean", "write_cxxrtl -noflatten design.cpp")


@dataclass(frozen=True)
class Traffic:
    """How the bench drives the streams: `source_stall` and `sink_stall` are the percentage of cycles that each idles.

    With `reset_sample`, the design is reset in the middle of that sample, and everything is sent again from the first.
    """

    seed: int = 1
    source_stall: int = 0
    sink_stall: int = 0
    reset_sample: int | None = None


@dataclass(frozen=True)
class Run:
    """What came out, `codes` (N, *shape) int64, and each sample's cycles of the first beat in and the last beat out."""

    codes: np.ndarray
    first_in: np.ndarray
    last_out: np.ndarray
    cycles: int

    @property
    def latency(self) -> int:
        """Cycles from the first sample's first beat in to its last beat out."""
        return int(self.last_out[0] - self.first_in[0]) + 1

    @cached_property
    def interval(self) -> int:
        """Cycles between the ends of the last two samples: without stalls and with enough of them, the steady rate."""
        return int(self.last_out[-1] - self.last_out[-2]) if len(self.last_out) > 1 else self.latency


class Bench:
    """The program that drives a design, compiled in `folder`."""

    def __init__(self, interface: Interface, folder: Path) -> None:
        self.interface, self.folder = interface, folder

    def has(self, parts: Sequence[str | bytes]) -> bool:
        """Whether the folder's program was compiled from these parts."""
        digest = self.folder / _DIGEST
        return (self.folder / _PROGRAM).is_file() and digest.is_file() and digest.read_text() == _digest(parts)

    def compile(self, level: str, parts: Sequence[str | bytes], *, waves: bool = False) -> None:
        """Makes the program of the folder's `design.cpp`, which comes of these parts.

        Raises:
            MissingTool: no g++.
            ToolFailed: it failed.
        """
        flags = ["-std=c++14", level, f"-I{find_yosys().cxxrtl}", "-I.", *(["-DWAVES"] if waves else [])]
        argv = [_compiler(), *flags, str(BENCH.resolve()), "-o", _PROGRAM]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=False)
        write_atomic(self.folder / "compile.log", done.stdout + done.stderr)
        if done.returncode != 0:
            raise ToolFailed("g++", f"exit status {done.returncode}", f"Read {self.folder / 'compile.log'}")
        write_atomic(self.folder / _DIGEST, _digest(parts))

    def run(
        self, codes: np.ndarray, traffic: Traffic = Traffic(), most_cycles: int = 1 << 40, vcd: Path | None = None
    ) -> Run:
        """The outputs for input integers (N, *shape); the waves go to the file `vcd`, a cycle of 10 ns each.

        Raises:
            CheckFailed: the design broke the rules of AXI4-Stream, gave TLAST elsewhere, or had given no output for
                `most_cycles`.
        """
        source, result = self.interface.input, self.interface.output
        given, taken = self.folder / "input.bin", self.folder / "output.bin"
        pack_words(pack(codes, source)).tofile(given)
        reset = -1 if traffic.reset_sample is None else traffic.reset_sample
        numbers = (source.beats, result.beats, len(codes), traffic.seed, traffic.source_stall, traffic.sink_stall)
        argv = [
            str((self.folder / _PROGRAM).resolve()),
            given.name,
            taken.name,
            *map(str, (*numbers, reset, most_cycles)),
        ]
        if vcd is not None:
            argv.append(str(vcd.resolve()))
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode in (3, 4):
            raise CheckFailed(TOP, done.stderr.strip(), "This is a defect of the generator: report it with the model")
        if done.returncode != 0:
            raise ToolFailed("RTL simulation", done.stderr.strip() or f"exit status {done.returncode}", "Build again")
        return self._read(np.fromfile(taken, dtype="<u8"), len(codes))

    def _read(self, words: np.ndarray, samples: int) -> Run:
        port = self.interface.output
        per_beat = -(-port.tdata_bits // 64)
        end = samples * port.beats * (1 + per_beat)
        beats = words[:end].reshape(samples, port.beats, 1 + per_beat)
        expected = np.zeros(port.beats, dtype=np.uint64)
        expected[-1] = 1
        if (beats[:, :, 0] != expected).any():
            raise CheckFailed(TOP, "TLAST is not on the last beat of a sample", "Report it with the model")
        data = np.ascontiguousarray(beats[:, :, 1:]).view(np.uint8).reshape(samples, port.beats, per_beat * 8)
        codes = unpack(np.ascontiguousarray(data[:, :, : port.tdata_bits // 8]), port)
        first, last = words[end : end + samples], words[end + samples : end + 2 * samples]
        return Run(codes, first.astype(np.int64), last.astype(np.int64), int(words[-1]))


class RtlSimulation(Bench):
    """A compiled design in `folder`, which is taken as it is where the same Verilog was compiled there before.

    Args:
        sources: Verilog by file name.
        cycles: about how many are going to be run; it decides how far g++ optimises, and changes no bit.
        waves: whether `run` can write a VCD file; then every signal has its name, and it runs slower.

    Raises:
        MissingTool: no g++ or no Yosys.
        ToolFailed: one of them failed.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        interface: Interface,
        folder: Path,
        cycles: int = LONG_RUN,
        *,
        waves: bool = False,
    ) -> None:
        super().__init__(interface, folder)
        self.waves = waves
        names = sorted(sources)
        parts: list[str | bytes] = [
            BENCH.read_bytes(),
            *(part for name in names for part in (name, sources[name])),
            str(waves),
        ]
        if self.has(parts):
            return
        _compiler()
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        commands = [f"read_verilog {name}" for name in sources]
        commands += [f"hierarchy -check -top {TOP}", *(_WITH_NAMES if waves else _FAST)]
        run_yosys(commands, folder, "cxxrtl.log")
        self.compile("-O1" if cycles >= LONG_RUN else "-O0", parts, waves=waves)


def pack_words(beats: np.ndarray) -> np.ndarray:
    """Beats of bytes (N, beats, bytes) as whole 64-bit words each."""
    words = np.zeros((*beats.shape[:2], -(-beats.shape[2] // 8) * 8), dtype=np.uint8)
    words[:, :, : beats.shape[2]] = beats
    return words


def _compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        raise MissingTool("g++", "not found", "Install a C++ compiler: apt install g++")
    return found


def _digest(parts: Sequence[str | bytes]) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(part if isinstance(part, bytes) else part.encode())
        state.update(b"\0")
    return state.hexdigest()
