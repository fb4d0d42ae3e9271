"""The stages of `fpgaflow build --flow rtl`, after the model was imported: fold, Verilog, its simulation, synthesis.

Then what the board needs: place and route with open tools, or a block design for Vivado.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fpgaflow.boards import Board, Interface
from fpgaflow.build_folder import FIRMWARE, RTL
from fpgaflow.errors import BadInput, CheckFailed, MissingTool, Problem, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.report.firmware import RESOURCES, Figure, Figures, estimated_figures
from fpgaflow.samples import Samples
from fpgaflow.stages import Outcome, Stages, file_digest
from fpgaflow.targets.flow import Made, VendorEnd, VendorTools, board_vectors, finish, write_firmware
from fpgaflow.targets.hls.emit import has_block_design
from fpgaflow.targets.hls.firmware import rtl_firmware_files, vivado_command
from fpgaflow.targets.hls.folding import Goal
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.plan import BuildPlan
from fpgaflow.targets.rtl.board import stage as open_board
from fpgaflow.targets.rtl.board.fit import fit_problem
from fpgaflow.targets.rtl.board.link import link_problems
from fpgaflow.targets.rtl.diagram import dataflow_svg
from fpgaflow.targets.rtl.folding import Fold, Folding, choose_folding, estimate, quick_folding
from fpgaflow.targets.rtl.generate import check_rtl, generate
from fpgaflow.targets.rtl.netlist import models_digest
from fpgaflow.targets.rtl.proof import SYNTHESIS, SYNTHESIS_CPU_S, check_netlist, check_verilog, verilog_of
from fpgaflow.targets.rtl.simulate import BENCH
from fpgaflow.targets.rtl.synth import Netlist, synthesise
from fpgaflow.targets.rtl.unrolled.choice import unrolled_groups
from fpgaflow.targets.rtl.yosys import find_yosys


class RtlFlow:
    """fpgaflow's own Verilog in a system for the board; see `fpgaflow.targets.flow.HardwareFlow`."""

    def __init__(self, stages: Stages, board: Board, tools: VendorTools, goal: Goal | None = None) -> None:
        self._stages, self._board, self._tools, self._goal = stages, board, tools, goal or Goal()
        self._end: VendorEnd | None = None  # of a block design; None: not that far, or there is none
        self._lacks: MissingTool | None = None  # of the open tools
        self._alone: str | None = None  # why the Verilog stays without a system around it

    def run(self, graph: Graph, samples: Samples, fps: float | None) -> None:
        """Raises: UnsupportedModel, BadInput, CheckFailed, MissingTool, ToolFailed, as what it calls."""
        run, folder, board = self._stages.run, self._stages.folder, self._board
        self._alone = _why_alone(graph)
        wanted = replace(self._goal, fps=fps)
        goal = {"graph": graph.digest, "board": repr(board), "goal": asdict(wanted), "flow": RTL}
        fold = run("fold", goal, lambda: _fold(graph, board, wanted))
        yosys = find_yosys()
        tools = {"amaranth": version("amaranth"), yosys.name: yosys.version, "bench": file_digest(BENCH)}
        design = {"graph": graph.digest, "fold": fold, "tools": tools}
        run("verilog", design, lambda: _verilog(graph, folding_of(fold), folder))
        data = {**design, "data": samples.digest}
        within = wanted.latency_us
        run("rtl", {**data, "latency_us": within}, lambda: check_verilog(graph, fold, samples, folder, within))
        design |= {"board": repr(board)}
        made = run("synthesis", design, lambda: _synthesis(board, folder))
        if "total" in made:
            cells = {**data, **design, "models": models_digest(board)}
            run("netlist", cells, lambda: check_netlist(graph, board, samples, self._stages.facts, folder))
        if self._alone is not None:
            return
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
            if self._alone is not None:
                why = f"{self._alone}: add {RTL}/*.v to a design of yours"
            return open_board.made(self._board, facts, self._figures(), why, more)
        firmware = FIRMWARE if "firmware" in facts else None
        if self._end is None:
            found = self._alone or f"fpgaflow has no block design for {self._board.name}"
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
        _fold(graph, board, Goal())
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


def folding_of(facts: Mapping[str, Any]) -> Folding:
    """The folding that a manifest's `folding` describes."""
    return Folding({name: Fold(**fold) for name, fold in facts["folds"].items()}, facts["interval"])


def _why_alone(graph: Graph) -> str | None:
    if len(graph.inputs) == len(graph.outputs) == 1:
        return None
    return f"the drivers carry one input and one output, and '{graph.name}' has more"


def _has_block_design(board: Board) -> bool:
    return board.interface is Interface.AXI_STREAM_DMA and has_block_design(board)


def _fold(graph: Graph, board: Board, goal: Goal) -> Outcome:
    problems = check_rtl(graph, board)
    if board.toolchain.is_open and not problems:
        problems = link_problems(interface_for(graph, several=True))
    if problems:
        raise UnsupportedModel(problems)
    clock_mhz, link = board.clock.design_mhz, {}
    if board.toolchain.is_open:
        if goal.latency_us is not None:
            found = f"is no goal for {board.name}: its UART takes longer for a sample than the network"
            raise BadInput("--latency-us", found, "Leave it out, or ask for --fps")
        folding = open_board.fold(graph, board, goal.fps, goal.max_utilisation)
        link = {"link_samples_per_second": round(open_board.link_rate(graph, board), 1)}
    elif goal.latency_us is not None:
        folding = quick_folding(graph, board, clock_mhz, goal.fps, goal.latency_us, goal.max_utilisation)
    else:
        folding = choose_folding(graph, board, clock_mhz, goal.fps, goal.max_utilisation)
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


def _netlists(board: Board, folder: Path) -> dict[str, Netlist]:
    """Of an open board, which needs all of them, however long that takes."""
    found = synthesise(verilog_of(folder), board, folder / SYNTHESIS, None)
    assert found is not None, "there is no timeout"
    return found


def _synthesis(board: Board, folder: Path) -> Outcome:
    cpu_s = None if board.toolchain.is_open else SYNTHESIS_CPU_S
    netlists = synthesise(verilog_of(folder), board, folder / SYNTHESIS, cpu_s)
    if netlists is None:
        return Outcome({"left_out": f"a layer took Yosys more than {SYNTHESIS_CPU_S:g} s"})
    counts = {name: netlist.counts for name, netlist in netlists.items()}
    total = {name: round(sum(each[name] for each in counts.values()), 3) for name in RESOURCES}
    return Outcome({"layers": counts, "total": total}, failure=fit_problem(counts, board))
