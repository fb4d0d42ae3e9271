"""A build's Verilog and its netlist against the simulator: what they give, and the stages that compare it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.boards import Board
from fpgaflow.build_folder import RTL
from fpgaflow.compare_bits import Mismatches, count_different
from fpgaflow.errors import BadInput, CheckFailed, ToolFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import Samples, by_name, joined
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE, Outcome
from fpgaflow.targets.interface import Interface, from_json
from fpgaflow.targets.rtl.netlist import NetlistSimulation
from fpgaflow.targets.rtl.netlist_work import NETLIST_SAMPLES, why_long
from fpgaflow.targets.rtl.simulate import RtlSimulation, Traffic
from fpgaflow.targets.rtl.synth import synthesise

MAX_SAMPLES, STEADY_SAMPLES = 300, 6
CYCLES = 3_000_000  # about how many the simulation is allowed
SIMULATION, SYNTHESIS, NETLIST = f"{STATE}/rtl_simulation", f"{STATE}/synthesis", f"{STATE}/netlist"
SYNTHESIS_CPU_S = 300.0  # for each layer, where synthesis is there for its counts alone
STALLS = Traffic(seed=1, source_stall=20, sink_stall=30)


def verilog_of(folder: Path) -> dict[str, str]:
    """The Verilog of a build folder, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / RTL).glob("*.v"))}


def rtl_integers(graph: Graph, folder: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """The output integers of a build's RTL for real inputs x (N, ...), by output name, its streams stalling."""
    compiled = RtlSimulation(verilog_of(folder), _interface(folder), folder / SIMULATION)
    return _outputs(graph, compiled.run(joined(Simulator(graph).input_integers(x)), STALLS).codes)


def netlist_integers(graph: Graph, folder: Path, board: Board, x: np.ndarray) -> dict[str, np.ndarray]:
    """As `rtl_integers`, of the synthesised netlist, which is made where the build has none.

    Raises:
        BadInput: a layer takes Yosys too long.
    """
    codes = joined(Simulator(graph).input_integers(x))
    return _outputs(graph, _netlist_codes(folder, board, codes))


def _netlist_codes(folder: Path, board: Board, codes: np.ndarray, most_cycles: int = 1 << 40) -> np.ndarray:
    cpu_s = None if board.toolchain.is_open else SYNTHESIS_CPU_S
    netlists = synthesise(verilog_of(folder), board, folder / SYNTHESIS, cpu_s)
    if netlists is None:
        raise BadInput("netlist", f"a layer takes Yosys more than {SYNTHESIS_CPU_S:g} s", "Build for a lower rate")
    simulation = NetlistSimulation(netlists, board, _interface(folder), folder / NETLIST)
    return simulation.run(codes, STALLS, most_cycles).codes


def _interface(folder: Path) -> Interface:
    """That of a build's Verilog."""
    return from_json((folder / RTL / "interface.json").read_bytes())


def _outputs(graph: Graph, codes: np.ndarray) -> dict[str, np.ndarray]:
    return by_name(codes, [port.name for port in graph.outputs])


def check_verilog(
    graph: Graph, fold: Mapping[str, Any], samples: Samples, folder: Path, latency_us: float | None
) -> Outcome:
    """The Verilog against the simulator with stalls on both sides; latency and interval without them."""
    interval = fold["interval"]
    simulator = Simulator(graph)
    x = samples.x[: max(STEADY_SAMPLES, min(MAX_SAMPLES, CYCLES // (2 * interval)))]
    codes, wanted = joined(simulator.input_integers(x)), simulator.predict_integers(x)
    cycles = 2 * interval * len(x)
    compiled = RtlSimulation(verilog_of(folder), _interface(folder), folder / SIMULATION, cycles)
    limit = 100 * interval * (len(x) + 100) + 100_000
    stalled, steady = compiled.run(codes, STALLS, limit), compiled.run(codes[:STEADY_SAMPLES], most_cycles=limit)
    total = _differences(graph, stalled.codes, wanted)
    failure = _failure("RTL", total, _differences(graph, steady.codes, wanted))
    if failure is None and latency_us is not None and steady.latency > latency_us * fold["clock_mhz"]:
        takes = steady.latency / fold["clock_mhz"]
        found = f"a sample takes {steady.latency} cycles: {takes:,.2f} µs at {fold['clock_mhz']:g} MHz (simulated)"
        failure = CheckFailed(
            f"--latency-us {latency_us:g}", found, "Ask for more, raise the clock, or use a larger board"
        )
    facts = {
        "mismatches": total.as_json(),
        "latency_cycles": steady.latency,
        "interval_cycles": steady.interval,
        "cycles": stalled.cycles + steady.cycles,
    }
    return Outcome(facts, failure=failure)


def _failure(what: str, *found: Mismatches) -> CheckFailed | None:
    for each in found:
        if each.different:
            told = f"{each.different} of {each.values} output values differ from the simulator's"
            return CheckFailed(
                f"{what} simulation", told, "This is a defect of the generator: report it with the model"
            )
    return None


def _differences(graph: Graph, codes: np.ndarray, wanted: Mapping[str, np.ndarray]) -> Mismatches:
    """Of all outputs, for as many samples as have `codes`."""
    first, *rest = (count_different(own, wanted[name][: len(own)]) for name, own in _outputs(graph, codes).items())
    return sum(rest, start=first)


def check_netlist(
    graph: Graph, board: Board, samples: Samples, facts: Mapping[str, Mapping[str, Any]], folder: Path
) -> Outcome:
    """The cells that synthesis made against the simulator, on a few samples."""
    run = facts["rtl"]
    if (why := why_long(facts["synthesis"]["total"], run["latency_cycles"], run["interval_cycles"])) is not None:
        return Outcome({"left_out": why})
    x = samples.x[:NETLIST_SAMPLES]
    simulator, limit = Simulator(graph), 100 * (run["latency_cycles"] + NETLIST_SAMPLES * run["interval_cycles"])
    try:
        codes = _netlist_codes(folder, board, joined(simulator.input_integers(x)), limit)
    except ToolFailed as error:  # a mode of a cell of which there is no model: nothing is known to be wrong
        return Outcome({"left_out": str(error)})
    total = _differences(graph, codes, simulator.predict_integers(x))
    return Outcome({"mismatches": total.as_json()}, failure=_failure("netlist", total))
