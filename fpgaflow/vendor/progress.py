"""How far AMD's tools are, read from the lines of their logs: a phase, and the share of the command that is done.

The shares are typical of small designs: they tell people that something moves, and nothing is computed from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """`share` of the command, 0 to 1, that is done as this phase begins."""

    name: str
    share: float


# Lines of Vivado HLS and Vitis HLS (UG1399), Vivado in batch mode (UG835, UG904) and v++ (UG1393), in their order.
_PHASES: tuple[tuple[str, Phase], ...] = (
    (r"\[HLS 200-10\] (Opening|Creating and opening) project|Starting .*hls|\[HLS 200-1505\]", Phase("starting", 0.0)),
    (r"\[HLS 200-10\] Analyzing design file|\[HLS 200-111\] Finished File checks", Phase("reading C++", 0.05)),
    (r"\[HLS 200-1995\]|\[HLS 200-111\] Finished (Source Code Analysis|Linking)", Phase("compiling", 0.10)),
    (
        r"\[HLS 200-777\]|Compiling Optimization and Transform|\[HLS 200-111\] Finished (Standard|Compil)",
        Phase("transforming loops", 0.20),
    ),
    (r"\[HLS 200-10\] Starting hardware synthesis|\[HLS 200-1470\]", Phase("scheduling", 0.45)),
    (r"\[HLS 200-10\] -- Scheduling module|\[SCHED 204-11\] Starting scheduling", Phase("scheduling", 0.50)),
    (r"\[HLS 200-10\] -- Generating RTL|\[RTGEN 206-500\]", Phase("writing RTL", 0.75)),
    (
        r"\[HLS 200-111\] Finished Generating all RTL models|\[VHDL 208-304\]|\[VLOG 209-307\]",
        Phase("RTL written", 0.85),
    ),
    (r"\[IMPL 213-8\] Exporting RTL as a Vivado IP", Phase("packing the IP", 0.90)),
    (r"^# ?create_bd_design|Wrote\s*:\s*<.*\.bd>", Phase("block design", 0.05)),
    (r"Launched (synth_1|.*_synth_1)|\[Common 17-349\].*synth|Waiting for synth_1", Phase("synthesis", 0.10)),
    (r"Starting (RTL Elaboration|Synthesize|synth_design)|\[Synth 8-6157\]", Phase("synthesis", 0.15)),
    (r"Finished (Technology Mapping|Writing Synthesis Report)", Phase("synthesis", 0.40)),
    (r"Launched impl_1|Waiting for impl_1|Command: (link|opt)_design", Phase("optimisation", 0.45)),
    (r"Starting Placer Task|Command: place_design|Phase 1 Placer Initialization", Phase("placement", 0.55)),
    (r"Phase \d+(\.\d+)* (Global|Detail) Placement", Phase("placement", 0.60)),
    (r"Starting Physical Synthesis Task|Command: phys_opt_design", Phase("physical optimisation", 0.68)),
    (r"Starting Routing Task|Command: route_design", Phase("routing", 0.72)),
    (r"Phase \d+(\.\d+)* (Rip-up And Reroute|Global Iteration \d+)", Phase("routing", 0.80)),
    (r"Command: write_bitstream|Creating bitstream", Phase("bitstream", 0.92)),
    (r"\[v\+\+ 60-1454\]|\[v\+\+ 60-1443\]|\[VPL 60-423\]|Starting FPGA program", Phase("linking the kernel", 0.10)),
)
_COMPILED = tuple((re.compile(pattern), phase) for pattern, phase in _PHASES)


def phase_of(line: str) -> Phase | None:
    """The phase that begins with this line of a log."""
    return next((phase for pattern, phase in _COMPILED if pattern.search(line)), None)


@dataclass
class Follower:
    """Where a command is after the lines that it was fed; its share never goes back."""

    phase: Phase = Phase("starting", 0.0)

    def feed(self, line: str) -> str | None:
        """The text to show, where this line begins another phase: "routing, about 72 %"."""
        found = phase_of(line)
        if found is None or found.share < self.phase.share or found == self.phase:
            return None
        self.phase = found
        return f"{found.name}, about {found.share:.0%}".replace("%", " %")
