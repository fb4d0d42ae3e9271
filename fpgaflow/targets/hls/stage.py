"""The stages of `fpgaflow build --flow hls`, after the model was imported: fold, hls4ml project, csim, vendor tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fpgaflow.boards import Board
from fpgaflow.build_folder import CSIM, FIRMWARE
from fpgaflow.compare_bits import Mismatches, count_different, difference
from fpgaflow.cost.hls_design import fifo_cost, fifos_cost, total
from fpgaflow.cost.parts import Cost
from fpgaflow.errors import BadInput, CheckFailed, Problem, UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.report.firmware import Figures, estimated_figures
from fpgaflow.samples import Samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import Outcome, Stages
from fpgaflow.targets import plan as plans
from fpgaflow.targets.flow import Made, VendorEnd, VendorTools, board_vectors, finish, write_firmware
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.emit import HlsBuild, check, emit, has_block_design, options_for
from fpgaflow.targets.hls.folding import RESOURCES, Goal, choose_folding
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.normal import normal_form
from fpgaflow.targets.interface import interface_for
from fpgaflow.vendor.tools import hls_tool

CSIM_SAMPLES = 300


class HlsFlow:
    """hls4ml's project in a system for the board; see `fpgaflow.targets.flow.HardwareFlow`."""

    def __init__(self, stages: Stages, board: Board, tools: VendorTools, goal: Goal | None = None) -> None:
        self._stages, self._board, self._tools, self._goal = stages, board, tools, goal or Goal()
        self._end: VendorEnd | None = None  # None: not that far, or no block design

    def run(self, graph: Graph, samples: Samples, fps: float | None) -> None:
        """Raises: UnsupportedModel, BadInput, CheckFailed, MissingTool, ToolFailed, as what it calls."""
        run, folder, board = self._stages.run, self._stages.folder, self._board
        data = {"graph": graph.digest, "data": samples.digest}
        wanted = replace(self._goal, fps=fps)
        goal = {"graph": graph.digest, "board": repr(board), "goal": asdict(wanted)}
        fold = run("fold", goal, lambda: _fold(graph, board, wanted))
        hls = _Once(graph, board, folded_options(fold, board.part), samples)
        design = {**data, "board": repr(board), "fold": fold, "tool": hls_tool().value}
        written = run("firmware", design, lambda: _write(graph, hls(), fold, wanted.max_utilisation, board, folder))
        run("csim", {**data, "project": written["project"]}, lambda: _csim(graph, hls(), samples, folder))
        if has_block_design(board):

            def tell(line: str) -> None:
                self._stages.notify("bitstream", line)

            self._end = finish(written, lambda: hls().plan, folder, self._tools, self._estimated(), tell)

    def made(self) -> Made:
        firmware = FIRMWARE if "firmware" in self._stages.facts else None
        facts = self._stages.facts
        more: dict[str, Any] = {"fifos": facts.get("firmware", {}).get("fifos")}
        if "cost" in facts.get("firmware", {}):
            more["folding"] = facts["fold"] | {"cost": facts["firmware"]["cost"]}
        if self._end is None:
            why = (
                f"fpgaflow has no block design for {self._board.name}: build on from {FIRMWARE}/hls in your own design"
            )
            return Made(self._estimated(), firmware, None, why, more)
        figures = self._end.figures or self._estimated()
        return Made(figures, firmware, self._end.bitstream, self._end.why(self._stages.folder), more)

    def _estimated(self) -> Figures:
        facts = self._stages.facts
        cost = facts.get("firmware", {}).get("cost", facts.get("fold", {}).get("cost"))
        return estimated_figures(self._board, self._board.clock.design_mhz, cost)


class _Once:
    """Emits at most once, and only if a stage that runs needs it."""

    def __init__(self, graph: Graph, board: Board, options: HlsOptions, samples: Samples) -> None:
        self._given = graph, board, options, samples
        self._made: HlsBuild | None = None

    def __call__(self) -> HlsBuild:
        if self._made is None:
            graph, board, options, samples = self._given
            self._made = emit(graph, board, options, board_vectors(graph, samples), board.clock.design_mhz)
        return self._made


def hls_problems(graph: Graph, board: Board) -> tuple[Problem, ...]:
    """What of a graph the HLS flow cannot carry for a board, by op; empty where it can be built."""
    try:
        _fold(graph, board, Goal())
    except (BadInput, UnsupportedModel, CheckFailed) as error:
        return error.problems
    return ()


def _fold(graph: Graph, board: Board, goal: Goal) -> Outcome:
    if has_block_design(board):
        interface_for(graph)  # refuses what its streams cannot carry
    clock_mhz = board.clock.design_mhz
    strategy = Strategy.RESOURCE  # depthwise layers, which hls4ml has unrolled only, are emitted so by themselves
    refused: UnsupportedModel | None = None
    # What streams cannot carry, arrays of registers may.
    for io_type in (IOType.STREAM, IOType.PARALLEL):
        try:
            _check(graph, options_for(board.part, {}, clock_mhz, io_type, strategy))
            folding = choose_folding(graph, board, clock_mhz, goal, io_type)
            _check(graph, options_for(board.part, folding.reuse, clock_mhz, io_type, strategy, folding.unrolled))
            break
        except UnsupportedModel as error:
            refused = refused or error
        except CheckFailed as error:
            # Of io_parallel alone: what io_stream refused is the reason for it, and may be what to change.
            raise error if refused is None else UnsupportedModel([*refused.problems, *error.problems]) from None
    else:
        assert refused is not None
        raise refused
    facts = {
        "reuse_factors": folding.reuse,
        "unrolled": folding.unrolled,
        "bottleneck": folding.bottleneck,
        "clock_mhz": clock_mhz,
        "io_type": io_type.value,
        "strategy": strategy.value,
        "cost": _rounded(vars(folding.cost)),
        "most_fifo_words": folding.most_words,
        "trade": None if folding.trade is None else asdict(folding.trade),
        "source": "estimated",
    }
    return Outcome(facts)


def _check(graph: Graph, options: HlsOptions) -> None:
    if problems := check(graph, options):
        raise UnsupportedModel(problems)


def folded_options(fold: Mapping[str, Any], part: str) -> HlsOptions:
    """hls4ml's options from a manifest's `folding` and `part`."""
    io_type, strategy = IOType(fold["io_type"]), Strategy(fold["strategy"])
    unrolled = fold.get("unrolled", ())
    return options_for(part, fold["reuse_factors"], fold["clock_mhz"], io_type, strategy, unrolled)


def _rounded(cost: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 1 if name == "bram36" else None) for name, value in cost.items()}


def _write(graph: Graph, hls: HlsBuild, fold: Mapping[str, Any], most: float, board: Board, folder: Path) -> Outcome:
    """Writes the firmware; its facts are the FIFOs too, and the cost with these instead of those of the search.

    It fails where the search left to the FIFOs' simulation whether the design fits, and it does not.
    """
    written = write_firmware(hls.plan, folder)
    facts = written.facts | {"project": plans.digest_of(dict(hls.project.files))}
    words, cost = fold.get("most_fifo_words"), fold["cost"]
    if (found := hls.project.fifos) is not None:
        normal = normal_form(graph, stream=True)
        facts["fifos"] = {
            "source": "simulated",
            "depths": {name: fifo.depth for name, fifo in found.fifos.items()},
            "whole": {name: fifo.whole for name, fifo in found.fifos.items()},
            "interval_cycles": found.interval,
        }
        cost = _instead(
            cost, fifos_cost(normal, words), total([fifo_cost(f.depth, f.bits) for f in found.fifos.values()])
        )
    elif words is not None:
        normal = normal_form(graph, stream=True)
        cost = _instead(cost, fifos_cost(normal, words), fifos_cost(normal))
    facts["cost"] = cost
    failure = None
    if words is not None:
        shares = {name: cost[name] / max(1, getattr(board.resources, name)) for name in RESOURCES}
        if over := ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share > most):
            needs = f"needs {over} of {board.part} with the FIFOs between its layers, where {most:.0%} may be used"
            failure = CheckFailed(
                f"board '{board.name}'", f"{needs} (estimated)", "Use a larger board, or a smaller input"
            )
    return Outcome(facts, written.files, failure=failure)


def _instead(cost: Mapping[str, float], fifos: Cost, found: Cost) -> dict[str, float]:
    """A cost with FIFOs as found."""
    before, after = vars(fifos), vars(found)
    return _rounded({**cost, **{name: cost[name] + after[name] - before[name] for name in RESOURCES}})


def _csim(graph: Graph, hls: HlsBuild, samples: Samples, folder: Path) -> Outcome:
    simulator = Simulator(graph)
    x = samples.x[:CSIM_SAMPLES]
    codes = simulator.input_integers(x)
    ours = simulator.predict_integers(x)
    compiled = CSim(hls.project, folder / CSIM)
    theirs = compiled.predict_integers([codes[port.name] for port in graph.inputs])
    total = Mismatches(len(x), 0, 0)
    for port, result in zip(graph.outputs, theirs, strict=True):
        total += count_different(result, ours[port.name])
    return Outcome({"mismatches": total.as_json()}, failure=difference("hls4ml's C simulation", total))
