"""Proofs over all inputs by Yosys' SAT solver: of functions against their tables, of streams by induction.

What is claimed is one bit of a module that must be 1: always where the module has no registers, else in every cycle
from its start on, however its inputs go.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Const, Elaboratable, Module, Signal, Value

from fpgaflow.targets.rtl.stream import Stage
from fpgaflow.targets.rtl.yosys import run_yosys

DEPTH = 12  # cycles that an induction may look back
_PREPARED = ("proc", "flatten", "memory -nordff", "async2sync", "dffunmap", "opt -full")
# What the solver prints: of a claim without registers, and of one by induction.
_HOLDS = re.compile(r"SAT proof finished - no model found: SUCCESS!|Induction step proven: SUCCESS!")
_FAILS = re.compile(r"model found: FAIL!|base case.*FAIL!|Reached maximum number of time steps", re.IGNORECASE)


class Claim(Elaboratable):
    """`holds` (1 bit) of `module`, whose other inputs are `inputs`; `registers`: whether the module has any."""

    def __init__(self, module: Module, inputs: Sequence[Signal], holds: Signal, *, registers: bool = False) -> None:
        self.module, self.inputs, self.holds, self.registers = module, tuple(inputs), holds, registers

    def elaborate(self, platform: object) -> Module:
        return self.module


def table_claim(bits: int, function: Callable[[Value], Value], table: Sequence[int], width: int) -> Claim:
    """The low `width` bits of function(x) are `table`'s, for each x of `bits` bits: an entry for each pattern of x."""
    if len(table) != 1 << bits:
        raise ValueError(f"{len(table)} entries are not one for each of {1 << bits} inputs")
    m, x, holds = Module(), Signal(bits, name="x"), Signal(name="holds")
    mask = (1 << width) - 1
    packed = sum((int(entry) & mask) << (width * place) for place, entry in enumerate(table))
    found = Signal(width, name="found")
    m.d.comb += [
        found.eq(function(x)),
        holds.eq(found == Const(packed, width << bits).word_select(x, width)),
    ]
    return Claim(m, [x], holds)


def kept_beats(stage: Stage) -> Claim:
    """A beat that `stage` offers stays as it is until it is taken, where its source keeps to that rule too."""
    m = Module()
    m.submodules.stage = stage
    inputs = source(m, stage.i)
    ready, holds = Signal(name="ready"), Signal(name="holds")
    waited, waiting = Signal(), Signal(len(stage.o.payload))
    m.d.sync += [waited.eq(stage.o.valid & ~ready), waiting.eq(stage.o.payload)]
    m.d.comb += [
        stage.o.ready.eq(ready),
        holds.eq(~waited | (stage.o.valid & (stage.o.payload == waiting))),
    ]
    return Claim(m, [*inputs, ready], holds, registers=True)


def last_answer(stage: Stage, wanted: Callable[[Value], Value]) -> Claim:
    """What `stage`, which has one beat in it at most, offers is `wanted` of the beat that it took last."""
    m = Module()
    m.submodules.stage = stage
    inputs = source(m, stage.i)
    ready, holds = Signal(name="ready"), Signal(name="holds")
    taken = Signal(len(stage.i.payload))
    with m.If(stage.i.valid & stage.i.ready):
        m.d.sync += taken.eq(stage.i.payload)
    right = Signal(len(stage.o.payload))
    m.d.comb += [
        stage.o.ready.eq(ready),
        right.eq(wanted(taken)),
        holds.eq(~stage.o.valid | (stage.o.payload == right)),
    ]
    return Claim(m, [*inputs, ready], holds, registers=True)


def source(m: Module, stream: Any) -> list[Signal]:
    """Drives a stream with any beats, at any times, that stay until they are taken; the inputs that decide them."""
    more, payload = Signal(name="more"), Signal(len(stream.payload), name="payload")
    offered, held = Signal(), Signal(len(stream.payload))
    m.d.comb += [stream.valid.eq(offered), stream.payload.eq(held)]
    with m.If(~offered | stream.ready):
        m.d.sync += [offered.eq(more), held.eq(payload)]
    return [more, payload]


def refuted(claims: Mapping[str, Claim]) -> dict[str, str]:
    """The claims that do not hold, by name, each with what the solver found against it; empty where all are proven.

    Raises:
        MissingTool, ToolFailed: no Yosys, or it failed.
    """
    with tempfile.TemporaryDirectory(prefix="fpgaflow-formal-") as scratch:
        folder, commands = Path(scratch), []
        for number, claim in enumerate(claims.values()):
            ports = [claim.holds, *claim.inputs]
            (folder / f"{number}.il").write_text(rtlil.convert(claim, name="claim", ports=ports, emit_src=False))
            how = f"-tempinduct -maxsteps {DEPTH}" if claim.registers else "-show-inputs"
            reset = "-set rst 0" if claim.registers else ""
            commands += [
                "design -reset",
                f"read_rtlil {number}.il",
                "hierarchy -top claim",
                *_PREPARED,
                f"tee -q -o {number}.log sat {how} {reset} -prove holds 1 claim",
            ]
        run_yosys(commands, folder, "formal.log")
        logs = {name: (folder / f"{number}.log").read_text() for number, name in enumerate(claims)}
    return {name: _told(text) for name, text in logs.items() if not _HOLDS.search(text) or _FAILS.search(text)}


def _told(log: str) -> str:
    """The counterexample of a log, else its last line."""
    lines = log.strip().splitlines()
    start = next((number for number, line in enumerate(lines) if "Signal Name" in line), None)
    return lines[-1] if start is None else "\n".join(lines[start : start + 12])
