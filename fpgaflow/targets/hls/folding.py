"""Reuse factors for a board: the fastest design that fits, or the smallest that is fast enough, by estimated cost."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NoReturn

from fpgaflow.boards import Board
from fpgaflow.cost.estimate import design_cost, layer_cost
from fpgaflow.cost.parts import Cost
from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Linear, Threshold
from fpgaflow.ir.ops_merge import MatMul
from fpgaflow.targets.hls.check import legal_reuse
from fpgaflow.targets.hls.layers import IOType
from fpgaflow.targets.hls.normal import normal_form

MAX_MULTIPLIERS = 4096  # of one layer: Vitis HLS gives up on larger unrolled loops ("unroll limit", hls4ml FAQ)


@dataclass(frozen=True)
class Folding:
    """`reuse` by op name; `cost` of the design, estimated; `bottleneck` is the op that sets the interval."""

    reuse: dict[str, int]
    cost: Cost
    bottleneck: str


def choose_folding(
    graph: Graph,
    board: Board,
    clock_mhz: float,
    fps: float | None,
    limit: float,
    io_type: IOType = IOType.STREAM,
) -> Folding:
    """The folding for `board` at `clock_mhz`, of a graph whose ops the target carries.

    Args:
        fps: samples per second to reach with the least hardware; None for the fastest that fits.
        limit: share of each of the part's resources that may be used.
        io_type: io_parallel has fewer reuse factors; its costs are estimated as if they were io_stream's.

    Raises:
        CheckFailed: nothing fits; says by how much.
    """
    named = {op.name for op in graph.ops}
    graph = normal_form(graph, stream=io_type is IOType.STREAM)
    choices = {
        op.name: _choices(op, graph, io_type)
        for op in graph.ops
        if isinstance(op, Linear | Threshold | MatMul) and op.name in named
    }
    cycles = {
        op.name: [layer_cost(op, graph, r).cycles for r in choices[op.name]] for op in graph.ops if op.name in choices
    }
    floor = max(
        (cycles[op.name][0] if op.name in cycles else layer_cost(op, graph, 1).cycles for op in graph.ops), default=1
    )
    targets = sorted({floor, *(c for each in cycles.values() for c in each if c > floor)})

    def at(target: int) -> Folding:
        reuse = {
            name: max(r for r, c in zip(choices[name], cycles[name], strict=True) if c <= target) for name in choices
        }
        return _folding(graph, reuse)

    def fits(folding: Folding) -> bool:
        return max(folding.cost.utilisation(board).values()) <= limit

    # Each target in turn: folding saves logic but takes memory, so that "fits" may come and go along the way.
    if fps is None:
        found = next((folding for folding in map(at, targets) if fits(folding)), None)
        return found or _refuse(at(targets[-1]), board, limit, "Use fewer bits, prune it, or choose a larger board")
    budget = clock_mhz * 1e6 / fps
    within = [t for t in targets if t <= budget]
    if not within:
        best = at(targets[0])
        reached = clock_mhz * 1e6 / best.cost.cycles
        raise CheckFailed(
            f"--fps {fps:g}",
            f"'{best.bottleneck}' takes {best.cost.cycles} cycles even with every multiplier it can have: "
            f"{reached:,.0f} samples per second at {clock_mhz:g} MHz (estimated)",
            "Ask for less, raise the clock, or shrink that layer",
        )
    found = next((folding for folding in map(at, reversed(within)) if fits(folding)), None)
    return found or _refuse(at(within[-1]), board, limit, f"Ask for less than {fps:g} samples/s, or a larger board")


def _choices(op: Linear | Threshold | MatMul, graph: Graph, io_type: IOType) -> list[int]:
    shape = graph.tensors[op.inputs[0]].shape
    if isinstance(op, Threshold):
        return _divisors(shape[-1])
    if isinstance(op, MatMul):
        products = shape[-1] * graph.tensors[op.output].shape[-1]
        return [r for r in _divisors(products) if products / r <= MAX_MULTIPLIERS]
    if isinstance(op, Conv) and op.groups > 1:
        return [1]  # hls4ml has depthwise layers unrolled only
    weights = graph.constants[op.weights]
    taps = prod(weights.shape[:-1])
    legal = legal_reuse(taps, weights.shape[-1])
    if io_type is IOType.PARALLEL and (isinstance(op, Conv) or len(shape) > 1):
        legal = [r for r in legal if r <= taps]  # see check.py
    return [r for r in legal if prod(weights.shape) / r <= MAX_MULTIPLIERS] or legal[-1:]


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _folding(graph: Graph, reuse: dict[str, int]) -> Folding:
    cycles = {op.name: layer_cost(op, graph, reuse.get(op.name, 1)).cycles for op in graph.ops}
    return Folding(reuse, design_cost(graph, reuse), max(cycles, key=cycles.__getitem__, default=""))


def _refuse(folding: Folding, board: Board, limit: float, fix: str) -> NoReturn:
    over = [f"{name} {share:.0%}" for name, share in folding.cost.utilisation(board).items() if share > limit]
    found = f"needs {', '.join(over)} of {board.part}, where {limit:.0%} may be used (estimated)"
    raise CheckFailed(f"board '{board.name}'", found, fix)
