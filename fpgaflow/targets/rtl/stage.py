"""The stages of `fpgaflow build --flow rtl`, after the model was imported: fold, Verilog, its simulation, synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.boards import Board
from fpgaflow.build_folder import RTL
from fpgaflow.compare_bits import count_different
from fpgaflow.errors import CheckFailed, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.report.firmware import RESOURCES, Figure, Figures, estimated_figures
from fpgaflow.samples import Samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE, Facts, Outcome, Stages, file_digest
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.rtl.folding import Fold, Folding, choose_folding, estimate
from fpgaflow.targets.rtl.generate import check_rtl, generate
from fpgaflow.targets.rtl.simulate import BENCH, RtlSimulation, Traffic
from fpgaflow.targets.rtl.synth import can_synthesise, synthesise

MAX_SAMPLES, STEADY_SAMPLES = 300, 6
CYCLES = 3_000_000  # about how many the simulation is allowed
SIMULATION = f"{STATE}/rtl_simulation"
SYNTHESIS_TIMEOUT_S = 300.0  # for each layer
STALLS = Traffic(seed=1, source_stall=20, sink_stall=30)


def run_stages(stages: Stages, graph: Graph, board: Board, samples: Samples, fps: float | None, most: float) -> None:
    """Runs the stages; `most` is the share of the board's part that the design may take.

    Raises:
        UnsupportedModel, BadInput, CheckFailed, MissingTool, ToolFailed: see the functions that it calls.
    """
    goal = {"graph": graph.digest, "board": repr(board), "fps": fps, "most": most, "flow": RTL}
    fold = stages.run("fold", goal, lambda: _fold(graph, board, fps, most))
    tools = {name: version(name) for name in ("amaranth", "pyosys")} | {"bench": file_digest(BENCH)}
    design = {"graph": graph.digest, "fold": fold, "tools": tools}
    stages.run("verilog", design, lambda: _verilog(graph, folding_of(fold), stages.folder))
    data, folder = {**design, "data": samples.digest}, stages.folder
    stages.run("rtl", data, lambda: _simulate(graph, fold["interval"], samples, folder))
    stages.run("synthesis", {**design, "board": repr(board)}, lambda: _synthesis(board, folder))


def figures(board: Board, facts: Mapping[str, Facts]) -> Figures:
    """Resources synthesised where they were, else estimated; cycles simulated where they were."""
    cost = facts.get("fold", {}).get("cost")
    known = estimated_figures(board, board.clock.design_mhz, cost)
    counts, run = facts.get("synthesis", {}).get("total"), facts.get("rtl", {})
    used = {name: Figure(counts[name], "synthesised") for name in RESOURCES} if counts else known.used
    latency, interval = known.latency_cycles, known.interval_cycles
    if run:
        latency, interval = (Figure(run[key], "simulated") for key in ("latency_cycles", "interval_cycles"))
    return Figures(known.available, used, known.clock_mhz, known.fmax_mhz, latency, interval)


def verilog_of(folder: Path) -> dict[str, str]:
    """The Verilog of a build folder, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / RTL).glob("*.v"))}


def rtl_integers(graph: Graph, folder: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """The output integers of a build's RTL for real inputs x (N, ...), by output name, its streams stalling."""
    (codes,) = Simulator(graph).input_integers(x).values()
    compiled = RtlSimulation(verilog_of(folder), interface_for(graph), folder / SIMULATION)
    return {graph.outputs[0].name: compiled.run(codes, STALLS).codes}


def folding_of(facts: Mapping[str, Any]) -> Folding:
    """The folding that a manifest's `folding` describes."""
    return Folding({name: Fold(**fold) for name, fold in facts["folds"].items()}, facts["interval"])


def _fold(graph: Graph, board: Board, fps: float | None, most: float) -> Outcome:
    if problems := check_rtl(graph, board):
        raise UnsupportedModel(problems)
    clock_mhz = board.clock.design_mhz
    folding = choose_folding(graph, board, clock_mhz, fps, most)
    cost = {name: round(value, 1) for name, value in vars(estimate(graph, folding)).items()}
    facts = {
        "folds": {name: vars(fold) for name, fold in folding.folds.items()},
        "interval": folding.interval,
        "bottleneck": folding.bottleneck,
        "clock_mhz": clock_mhz,
        "cost": cost | {"cycles": folding.interval},
        "source": "estimated",
    }
    return Outcome(facts)


def _verilog(graph: Graph, folding: Folding, folder: Path) -> Outcome:
    files = generate(graph, folding).files()
    (folder / RTL).mkdir(exist_ok=True)
    for stale in set((folder / RTL).glob("*.v")) - {folder / RTL / name for name in files}:
        stale.unlink()
    for name, text in files.items():
        write_atomic(folder / RTL / name, text)
    return Outcome({"files": sorted(name for name in files if name.endswith(".v"))}, tuple(f"{RTL}/{n}" for n in files))


def _simulate(graph: Graph, interval: int, samples: Samples, folder: Path) -> Outcome:
    """The Verilog against the simulator with stalls on both sides; latency and interval without them."""
    simulator = Simulator(graph)
    x = samples.x[: max(STEADY_SAMPLES, min(MAX_SAMPLES, CYCLES // (2 * interval)))]
    (codes,), (wanted,) = simulator.input_integers(x).values(), simulator.predict_integers(x).values()
    cycles = 2 * interval * len(x)
    compiled = RtlSimulation(verilog_of(folder), interface_for(graph), folder / SIMULATION, cycles)
    limit = 100 * interval * (len(x) + 100) + 100_000
    stalled, steady = compiled.run(codes, STALLS, limit), compiled.run(codes[:STEADY_SAMPLES], most_cycles=limit)
    total = count_different(stalled.codes, wanted)
    failure = None
    for each in (total, count_different(steady.codes, wanted[:STEADY_SAMPLES])):
        if each.different:
            found = f"{each.different} of {each.values} output values differ from the simulator's"
            failure = CheckFailed(
                "RTL simulation", found, "This is a defect of the generator: report it with the model"
            )
    facts = {
        "mismatches": total.as_json(),
        "latency_cycles": steady.latency,
        "interval_cycles": steady.interval,
        "cycles": stalled.cycles + steady.cycles,
    }
    return Outcome(facts, failure=failure)


def _synthesis(board: Board, folder: Path) -> Outcome:
    if not can_synthesise(board):
        return Outcome({"left_out": f"Yosys has no counts for {board.family} here"})
    counts = synthesise(verilog_of(folder), board, folder / STATE / "synthesis", SYNTHESIS_TIMEOUT_S)
    if counts is None:
        return Outcome({"left_out": f"a layer took Yosys more than {SYNTHESIS_TIMEOUT_S:g} s"})
    total = {name: sum(each[name] for each in counts.values()) for name in RESOURCES}
    return Outcome({"layers": counts, "total": total})
