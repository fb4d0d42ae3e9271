"""How each layer is built for a board and a goal: the best of all combinations, by estimated cost (CP-SAT of OR-tools).

Each layer has options: a legal reuse factor over weights in memory, or unrolled with its weights as constants. The
solver takes one of each so that resources, interval and latency stay within their limits: with a goal, the design of
the least share of the part; without one, the fastest, and of those the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf, prod
from typing import NoReturn

from fpgaflow.boards import Board
from fpgaflow.cost.hls_design import FOLDED, Choice, hls_layer_cost, total
from fpgaflow.cost.parts import Cost
from fpgaflow.cost.registers import Clock
from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Linear, Op, Threshold
from fpgaflow.ir.ops_merge import MatMul
from fpgaflow.targets.hls.check import legal_reuse
from fpgaflow.targets.hls.depths import SHALLOW
from fpgaflow.targets.hls.layers import IOType
from fpgaflow.targets.hls.normal import normal_form
from fpgaflow.targets.hls.solve import Limits, Option, Solver
from fpgaflow.targets.interface import interface_for

MAX_MULTIPLIERS = 4096  # of one layer: Vitis HLS gives up on larger unrolled loops ("unroll limit", hls4ml FAQ)
STREAMS = "samples in and out"  # what bounds a network that is faster than its streams
RESOURCES = ("lut", "ff", "dsp", "bram36")


@dataclass(frozen=True)
class Goal:
    """What a design has to reach: samples per second, microseconds of a sample, and the share of the part it may take.

    None: as fast as fits.
    """

    fps: float | None = None
    latency_us: float | None = None
    max_utilisation: float = 0.7

    @property
    def asked(self) -> bool:
        return self.fps is not None or self.latency_us is not None


@dataclass(frozen=True)
class Trade:
    """What the next better design would bring and cost: its samples per second, and the share of the part it takes."""

    samples_per_second: float
    utilisation: dict[str, float]
    fits: bool


@dataclass(frozen=True)
class Folding:
    """`choices` by op name; `cost` of the design, estimated; `bottleneck` is the op that sets the interval.

    `most_words`: of each FIFO as `cost` counts it, where it would not fit with whole samples; their simulation decides.
    """

    choices: dict[str, Choice]
    cost: Cost
    bottleneck: str
    trade: Trade | None = None
    most_words: int | None = None

    @property
    def reuse(self) -> dict[str, int]:
        return {name: choice.reuse for name, choice in self.choices.items()}

    @property
    def unrolled(self) -> list[str]:
        return [name for name, choice in self.choices.items() if choice.unrolled]


def choose_folding(
    graph: Graph, board: Board, clock_mhz: float, goal: Goal, io_type: IOType = IOType.STREAM
) -> Folding:
    """The folding for `board` at `clock_mhz`, of a graph whose ops the target carries.

    Raises:
        CheckFailed: nothing reaches the goal; says by how much, and what would help.
        MissingTool: OR-tools is not installed.
    """
    named, beats = {op.name for op in graph.ops}, _beats(graph)
    graph = normal_form(graph, stream=io_type is IOType.STREAM)
    try:
        return _Search(graph, named, board, clock_mhz, goal, io_type, beats).run()
    except CheckFailed as refused:
        if io_type is not IOType.STREAM or not refused.problem.where.startswith("board"):
            raise
        try:
            return _Search(graph, named, board, clock_mhz, goal, io_type, beats, SHALLOW).run()
        except CheckFailed:
            raise refused from None


class _Search:
    def __init__(
        self,
        graph: Graph,
        named: set[str],
        board: Board,
        clock_mhz: float,
        goal: Goal,
        io_type: IOType,
        beats: int,
        most_words: int | None = None,
    ) -> None:
        self.graph, self.named, self.board, self.goal = graph, named, board, goal
        self.hertz = clock_mhz * 1e6
        self.clock, self.most_words = Clock.of(board.part, clock_mhz), most_words
        self.stream = io_type is IOType.STREAM
        self.options = {
            op.name: self._options(op, op.name in named, io_type) for op in graph.ops if not _is_free(op, graph)
        }
        if self.options and beats:
            self.options[STREAMS] = [Option(FOLDED, Cost(cycles=beats))]
        self.have = {name: int(getattr(board.resources, name)) for name in RESOURCES}
        self.solver = Solver(list(self.options.values()))

    def run(self) -> Folding:
        if not self.options:
            return Folding({}, Cost(), "")
        cycles = inf if self.goal.fps is None else self.hertz / self.goal.fps
        delay = inf if self.goal.latency_us is None else self.goal.latency_us * self.hertz / 1e6
        limits = Limits({name: self.goal.max_utilisation * n for name, n in self.have.items()}, cycles, delay)
        found = self.solver.smallest(limits, self.have) if self.goal.asked else self.solver.fastest(limits)
        if found is None:
            self._refuse(limits)
        folding = self._folding(found)
        return replace(folding, trade=self._trade(folding, limits), most_words=self.most_words)

    def _options(self, op: Op, chosen: bool, io_type: IOType) -> list[Option]:
        choices = [FOLDED]
        if chosen and isinstance(op, Linear | Threshold | MatMul):
            choices = [Choice(reuse) for reuse in _reuse_factors(op, self.graph, io_type)]
            if self._may_unroll(op):
                choices.append(Choice(1, unrolled=True))
        how = partial(hls_layer_cost, stream=self.stream, clock=self.clock, most_words=self.most_words)
        return [Option(choice, how(op, self.graph, choice)) for choice in choices]

    def _may_unroll(self, op: Op) -> bool:
        small = isinstance(op, Linear) and prod(self.graph.constants[op.weights].shape) <= MAX_MULTIPLIERS
        return self.stream and isinstance(op, Linear) and small and not _depthwise(op)

    def _folding(self, picked: list[Option]) -> Folding:
        by_name = dict(zip(self.options, picked, strict=True))
        cost = total([option.cost for option in picked])
        slowest = max(by_name, key=lambda name: by_name[name].cost.cycles)
        kinds = Linear | Threshold | MatMul
        names = [op.name for op in self.graph.ops if isinstance(op, kinds) and op.name in self.named]
        return Folding({name: by_name[name].choice for name in names}, cost, slowest)

    def _trade(self, folding: Folding, limits: Limits) -> Trade | None:
        """The smallest design that is faster, on this part or beyond it."""
        faster = Limits({}, folding.cost.cycles - 1, inf)
        if (found := self.solver.smallest(faster, self.have)) is None:
            return None
        cost = total([option.cost for option in found])
        shares = cost.utilisation(self.board)
        fits = all(share <= self.goal.max_utilisation for share in shares.values())
        return Trade(self.hertz / cost.cycles, shares, fits)

    def _refuse(self, limits: Limits) -> NoReturn:
        """Says which limit cannot hold, by how much, and what would help."""
        goal = self.goal
        if goal.asked:
            quickest = self.solver.fastest(Limits({}, inf, inf))
            assert quickest is not None
            best = self._folding(quickest)
            if best.cost.cycles > limits.cycles:
                raise CheckFailed(
                    f"--fps {goal.fps:g}",
                    f"'{best.bottleneck}' takes {best.cost.cycles} cycles even with every multiplier it can have: "
                    f"{self.hertz / best.cost.cycles:,.0f} samples per second at {self.hertz / 1e6:g} MHz (estimated)",
                    "Ask for less, raise the clock, or shrink that layer",
                )
            soonest = self.solver.soonest(Limits({}, inf, inf))
            assert soonest is not None
            if (delay := self._folding(soonest).cost.latency) > limits.delay:
                raise CheckFailed(
                    f"--latency-us {goal.latency_us:g}",
                    f"a sample takes {delay} cycles even with every multiplier that layers can have: "
                    f"{delay / self.hertz * 1e6:,.2f} µs at {self.hertz / 1e6:g} MHz (estimated)",
                    "Ask for more, raise the clock, or shrink the model",
                )
        smallest = self.solver.smallest(Limits({}, limits.cycles, limits.delay), self.have)
        assert smallest is not None
        shares = self._folding(smallest).cost.utilisation(self.board)
        over = [f"{name} {share:.0%}" for name, share in shares.items() if share > goal.max_utilisation]
        found = (
            f"needs {', '.join(over)} of {self.board.part}, where {goal.max_utilisation:.0%} may be used (estimated)"
        )
        raise CheckFailed(f"board '{self.board.name}'", found, self._help(limits))

    def _help(self, limits: Limits) -> str:
        """What would make it fit: less speed, if that does, else fewer bits, pruning or another board."""
        within = Limits(limits.resources, inf, inf)
        reachable = self.solver.fastest(within) if self.goal.asked else None
        if reachable is not None:
            cost = total([option.cost for option in reachable])
            return (
                f"Ask for less: {self.hertz / cost.cycles:,.0f} samples/s at {cost.latency / self.hertz * 1e6:,.1f} µs "
                "fits (estimated). Or use fewer bits, prune it, or choose a larger board"
            )
        return "Use fewer bits, prune it, or choose a larger board"


def _beats(graph: Graph) -> int:
    """Cycles that a sample takes on the streams to and from memory, a beat each; 0 where there is no such interface."""
    try:
        interface = interface_for(graph)
    except BadInput:
        return 0
    return max(interface.input.beats, interface.output.beats)


def _is_free(op: Op, graph: Graph) -> bool:
    return hls_layer_cost(op, graph) == Cost()


def _depthwise(op: Linear) -> bool:
    return isinstance(op, Conv) and op.groups > 1


def _reuse_factors(op: Linear | Threshold | MatMul, graph: Graph, io_type: IOType) -> list[int]:
    shape = graph.tensors[op.inputs[0]].shape
    if isinstance(op, Threshold):
        return _divisors(shape[-1])
    if isinstance(op, MatMul):
        products = shape[-1] * graph.tensors[op.output].shape[-1]
        return [r for r in _divisors(products) if products / r <= MAX_MULTIPLIERS]
    if _depthwise(op):
        return [1]  # hls4ml has depthwise layers unrolled only
    weights = graph.constants[op.weights]
    taps = prod(weights.shape[:-1])
    legal = legal_reuse(taps, weights.shape[-1])
    if io_type is IOType.PARALLEL and (isinstance(op, Conv) or len(shape) > 1):
        legal = [r for r in legal if r <= taps]  # see check.py
    return [r for r in legal if prod(weights.shape) / r <= MAX_MULTIPLIERS] or legal[-1:]


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def utilisation_text(shares: Mapping[str, float]) -> str:
    """The largest shares first: "lut 41%, bram36 30%"."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in ordered if share >= 0.005)
