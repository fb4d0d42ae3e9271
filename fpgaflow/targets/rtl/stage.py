"""The stages of `fpgaflow build --flow rtl`, after the model was imported: fold, Verilog, its simulation, synthesis.

Then what the board needs: place and route with open tools, or a block design for Vivado.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.boards import Board, Interface
from fpgaflow.build_folder import FIRMWARE, RTL
from fpgaflow.compare_bits import count_different
from fpgaflow.errors import BadInput, CheckFailed, MissingTool, Problem, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.report.firmware import RESOURCES, Figure, Figures, estimated_figures
from fpgaflow.samples import Samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE, Outcome, Stages, file_digest
from fpgaflow.targets.flow import MAX_UTILISATION, Made, VendorEnd, VendorTools, board_vectors, finish, write_firmware
from fpgaflow.targets.hls.emit import has_block_design
from fpgaflow.targets.hls.firmware import rtl_firmware_files, vivado_command
from fpgaflow.targets.interface import from_json, interface_for
from fpgaflow.targets.plan import BuildPlan
from fpgaflow.targets.rtl.board import stage as open_board
from fpgaflow.targets.rtl.board.fit import fit_problem
from fpgaflow.targets.rtl.board.link import link_problems
from fpgaflow.targets.rtl.diagram import dataflow_svg
from fpgaflow.targets.rtl.folding import Fold, Folding, choose_folding, estimate
from fpgaflow.targets.rtl.generate import check_rtl, generate
from fpgaflow.targets.rtl.netlist import has_models, netlist_simulation
from fpgaflow.targets.rtl.simulate import BENCH, RtlSimulation, Traffic
from fpgaflow.targets.rtl.synth import Netlist, synthesise
from fpgaflow.targets.rtl.unrolled.choice import unrolled_groups
from fpgaflow.targets.rtl.yosys import find_yosys

MAX_SAMPLES, STEADY_SAMPLES = 300, 6
CYCLES = 3_000_000  # about how many the simulation is allowed
SIMULATION, SYNTHESIS, NETLIST = f"{STATE}/rtl_simulation", f"{STATE}/synthesis", f"{STATE}/netlist"
SYNTHESIS_TIMEOUT_S = 300.0  # for each layer, where synthesis is there for its counts alone
STALLS = Traffic(seed=1, source_stall=20, sink_stall=30)


class RtlFlow:
    """fpgaflow's own Verilog in a system for the board; see `fpgaflow.targets.flow.HardwareFlow`."""

    def __init__(self, stages: Stages, board: Board, tools: VendorTools) -> None:
        self._stages, self._board, self._tools = stages, board, tools
        self._end: VendorEnd | None = None  # of a block design; None: not that far, or there is none
        self._lacks: MissingTool | None = None  # of the open tools

    def run(self, graph: Graph, samples: Samples, fps: float | None) -> None:
        """Raises: UnsupportedModel, BadInput, CheckFailed, MissingTool, ToolFailed, as what it calls."""
        run, folder, board = self._stages.run, self._stages.folder, self._board
        goal = {"graph": graph.digest, "board": repr(board), "fps": fps, "most": MAX_UTILISATION, "flow": RTL}
        fold = run("fold", goal, lambda: _fold(graph, board, fps))
        yosys = find_yosys()
        tools = {"amaranth": version("amaranth"), yosys.name: yosys.version, "bench": file_digest(BENCH)}
        design = {"graph": graph.digest, "fold": fold, "tools": tools}
        run("verilog", design, lambda: _verilog(graph, folding_of(fold), folder))
        data = {**design, "data": samples.digest}
        run("rtl", data, lambda: _simulate(graph, fold["interval"], samples, folder))
        design |= {"board": repr(board)}
        run("synthesis", design, lambda: _synthesis(board, folder))
        if board.toolchain.is_open:
            self._route(graph, samples, fps, {**data, **design})
        elif _has_block_design(board):
            self._vivado(graph, samples, {**data, **design})

    def _route(self, graph: Graph, samples: Samples, fps: float | None, depends: Mapping[str, Any]) -> None:
        try:
            programs = open_board.programs_of(self._board)
        except MissingTool as lacks:
            self._lacks = lacks
            return
        folder, facts = self._stages.folder, self._stages.facts

        def work() -> Outcome:
            netlists = _netlists(self._board, folder)
            verilog = verilog_of(folder)
            goal = None if fps is None else fps * facts["rtl"]["interval_cycles"] / 1e6
            return open_board.make(graph, self._board, verilog, netlists, samples, folder, goal, self._tell("route"))

        self._stages.run("route", {**depends, "programs": programs, "fps": fps}, work)

    def _vivado(self, graph: Graph, samples: Samples, depends: Mapping[str, Any]) -> None:
        folder = self._stages.folder

        def plan() -> BuildPlan:
            return zynq_plan(graph, self._board, verilog_of(folder), samples)

        written = self._stages.run("firmware", depends, lambda: write_firmware(plan(), folder))
        self._end = finish(written, plan, folder, self._tools, self._figures(), self._tell("bitstream"))

    def _tell(self, stage: str) -> Any:
        return lambda line: self._stages.notify(stage, line)

    def made(self) -> Made:
        facts = self._stages.facts
        more = {"rtl": RTL if "verilog" in facts else None}
        if "verilog" in facts:
            more["branch_depths"] = facts["verilog"]["branch_depths"]  # in beats
        if self._board.toolchain.is_open:
            why = None if self._lacks is None else str(self._lacks)
            return open_board.made(self._board, facts, self._figures(), why, more)
        firmware = FIRMWARE if "firmware" in facts else None
        if self._end is None:
            found = f"fpgaflow has no block design for {self._board.name}"
            return Made(self._figures(), firmware, None, f"{found}: add {RTL}/*.v to a Vivado project of yours", more)
        end = self._end
        why = end.why(self._stages.folder)
        return Made(self._measured(end.figures or self._figures()), firmware, end.bitstream, why, more)

    def _figures(self) -> Figures:
        """Resources synthesised where they were, else estimated; cycles simulated where they were."""
        facts, clock_mhz = self._stages.facts, self._board.clock.design_mhz
        known = estimated_figures(self._board, clock_mhz, facts.get("fold", {}).get("cost"))
        if counts := facts.get("synthesis", {}).get("total"):
            known = replace(known, used={name: Figure(counts[name], "synthesised") for name in RESOURCES})
        return self._measured(known)

    def _measured(self, figures: Figures) -> Figures:
        """With the cycles of the simulation."""
        run = self._stages.facts.get("rtl", {})
        if "latency_cycles" not in run:
            return figures
        latency, interval = (Figure(run[key], "simulated") for key in ("latency_cycles", "interval_cycles"))
        return replace(figures, latency_cycles=latency, interval_cycles=interval)


def rtl_problems(graph: Graph, board: Board) -> tuple[Problem, ...]:
    """What of a graph this flow cannot carry to a board, by op; empty where it can be built."""
    try:
        _fold(graph, board, None)
    except (UnsupportedModel, CheckFailed) as error:
        return error.problems
    return ()


def zynq_plan(graph: Graph, board: Board, verilog: Mapping[str, str], samples: Samples) -> BuildPlan:
    """The Verilog in the block design of the HLS flow: same processor, DMA, driver and self-test.

    Raises:
        BadInput: no Zynq board with board files.
    """
    sources = {f"{RTL}/{name}": text for name, text in verilog.items()}
    files = rtl_firmware_files(
        graph,
        board,
        interface_for(graph),
        sources=list(sources),
        clock_mhz=board.clock.design_mhz,
        vectors=board_vectors(graph, samples),
    )
    return BuildPlan({**files, **sources}, (vivado_command(),))


def verilog_of(folder: Path) -> dict[str, str]:
    """The Verilog of a build folder, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / RTL).glob("*.v"))}


def rtl_integers(graph: Graph, folder: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """The output integers of a build's RTL for real inputs x (N, ...), by output name, its streams stalling."""
    (codes,) = Simulator(graph).input_integers(x).values()
    compiled = RtlSimulation(verilog_of(folder), interface_for(graph), folder / SIMULATION)
    return {graph.outputs[0].name: compiled.run(codes, STALLS).codes}


def netlist_integers(graph: Graph, folder: Path, board: Board, x: np.ndarray) -> dict[str, np.ndarray]:
    """As `rtl_integers`, of the synthesised netlist, which is made where the build has none.

    Raises:
        BadInput: the cells of the board's part cannot be simulated.
    """
    if not has_models(board):
        found = f"there are no models of what Yosys makes for {board.family.value}"
        raise BadInput(f"board '{board.name}'", found, "Validate a build for a board of the 7 series")
    netlists = synthesise(verilog_of(folder), board, folder / SYNTHESIS, SYNTHESIS_TIMEOUT_S)
    if netlists is None:
        raise BadInput("netlist", f"a layer takes Yosys more than {SYNTHESIS_TIMEOUT_S:g} s", "Build for a lower rate")
    (codes,) = Simulator(graph).input_integers(x).values()
    interface = from_json((folder / RTL / "interface.json").read_bytes())
    run = netlist_simulation(netlists, interface, folder / NETLIST).run(codes, STALLS)
    return {graph.outputs[0].name: run.codes}


def folding_of(facts: Mapping[str, Any]) -> Folding:
    """The folding that a manifest's `folding` describes."""
    return Folding({name: Fold(**fold) for name, fold in facts["folds"].items()}, facts["interval"])


def _has_block_design(board: Board) -> bool:
    return board.interface is Interface.AXI_STREAM_DMA and has_block_design(board)


def _fold(graph: Graph, board: Board, fps: float | None) -> Outcome:
    problems = check_rtl(graph, board)
    if board.toolchain.is_open and not problems:
        problems = link_problems(interface_for(graph))
    if problems:
        raise UnsupportedModel(problems)
    clock_mhz, link = board.clock.design_mhz, {}
    if board.toolchain.is_open:
        folding = open_board.fold(graph, board, fps, MAX_UTILISATION)
        link = {"link_samples_per_second": round(open_board.link_rate(graph, board), 1)}
    else:
        folding = choose_folding(graph, board, clock_mhz, fps, MAX_UTILISATION)
    cost = {name: round(value, 1) for name, value in vars(estimate(graph, folding)).items()}
    facts = {
        "folds": {name: vars(fold) for name, fold in folding.folds.items()},
        "interval": folding.interval,
        "bottleneck": folding.bottleneck,
        "unrolled": {
            name: [op.name for op in absorbed] for name, absorbed in unrolled_groups(graph, folding.folds).items()
        },
        "clock_mhz": clock_mhz,
        "cost": cost | {"cycles": folding.interval},
        "source": "estimated",
        **link,
    }
    return Outcome(facts)


def _verilog(graph: Graph, folding: Folding, folder: Path) -> Outcome:
    design = generate(graph, folding)
    files = {**design.files(), "dataflow.svg": dataflow_svg(design)}
    (folder / RTL).mkdir(exist_ok=True)
    for stale in set((folder / RTL).glob("*.v")) - {folder / RTL / name for name in files}:
        stale.unlink()
    for name, text in files.items():
        write_atomic(folder / RTL / name, text)
    depths = {name: list(own) for name, own in design.depths.items()}
    facts = {"files": sorted(name for name in files if name.endswith(".v")), "branch_depths": depths}
    return Outcome(facts, tuple(f"{RTL}/{n}" for n in files))


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


def _netlists(board: Board, folder: Path) -> dict[str, Netlist]:
    """Of an open board, which needs all of them, however long that takes."""
    found = synthesise(verilog_of(folder), board, folder / SYNTHESIS, None)
    assert found is not None, "there is no timeout"
    return found


def _synthesis(board: Board, folder: Path) -> Outcome:
    timeout_s = None if board.toolchain.is_open else SYNTHESIS_TIMEOUT_S
    netlists = synthesise(verilog_of(folder), board, folder / SYNTHESIS, timeout_s)
    if netlists is None:
        return Outcome({"left_out": f"a layer took Yosys more than {SYNTHESIS_TIMEOUT_S:g} s"})
    counts = {name: netlist.counts for name, netlist in netlists.items()}
    total = {name: round(sum(each[name] for each in counts.values()), 3) for name in RESOURCES}
    return Outcome({"layers": counts, "total": total}, failure=fit_problem(counts, board))
