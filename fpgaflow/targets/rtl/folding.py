"""Folding: how many multipliers and lanes each op gets, so that every layer takes about the same cycles for a sample.

A linear op of W windows, T taps and F filters (per group, of G) takes W × G × (T / SIMD) × (F / PE) cycles on PE × SIMD
multipliers: the ideal is its products divided by its multipliers. Of all divisors, the fewest multipliers that keep an
interval are taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from fpgaflow.boards import Board
from fpgaflow.cost.estimate import design_cost
from fpgaflow.cost.parts import Cost
from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Dense, Linear, Op, Pool, Reshape, Transpose
from fpgaflow.targets.rtl.reorder import moving_axes
from fpgaflow.targets.rtl.window import Geometry, geometry


@dataclass(frozen=True)
class Fold:
    """One op's share: it takes `lanes` elements a beat and gives `pe`; `cycles` for a sample at full speed.

    Of a linear op, `simd` products are summed at a time for each of `pe` sums, and `lanes` are those of its window.
    """

    lanes: int
    pe: int
    cycles: int
    simd: int = 1

    @property
    def multipliers(self) -> int:
        return self.pe * self.simd


@dataclass(frozen=True)
class Folding:
    """The folds by op name, and the interval in cycles that the slowest of them sets."""

    folds: Mapping[str, Fold]
    interval: int

    @property
    def bottleneck(self) -> str:
        return max(self.folds, key=lambda name: self.folds[name].cycles, default="input")


def fold_for(graph: Graph, interval: int) -> Folding:
    """The least hardware that takes a sample every `interval` cycles, or as near as the ops can come."""
    folds: dict[str, Fold] = {}
    arriving: dict[str, int] = {}  # lanes of each tensor that an op gives
    for op in graph.ops:
        folds[op.name] = _fold(op, graph, interval, arriving.get(op.inputs[0]))
        arriving[op.output] = folds[op.name].pe
    return Folding(folds, max([1, *(fold.cycles for fold in folds.values())]))


def choose_folding(graph: Graph, board: Board, clock_mhz: float, fps: float | None, most: float) -> Folding:
    """The folding for a rate, or, without one, the fastest whose estimated cost stays below `most` of the board.

    Raises:
        CheckFailed: no folding is as fast as `fps`, or the one that is, or even the smallest, does not fit the board.
    """
    if fps is not None:
        interval = math.floor(clock_mhz * 1e6 / fps)
        folding = fold_for(graph, max(1, interval))
        if folding.interval > interval:
            found = f"'{folding.bottleneck}' takes {folding.interval} cycles a sample at {clock_mhz:g} MHz"
            most_fps = math.floor(clock_mhz * 1e6 / folding.interval)
            raise CheckFailed(f"{fps:g} samples per second", found, f"Ask for {most_fps} at most")
        _fitting(graph, board, folding, most)
        return folding
    target, chosen = slowest(graph), fold_for(graph, slowest(graph))
    _fitting(graph, board, chosen, most)
    while target > 1:
        target = max(1, target * 3 // 4)
        faster = fold_for(graph, target)
        if max(estimate(graph, faster).utilisation(board).values()) > most:
            break
        chosen = faster
    return chosen


def _fitting(graph: Graph, board: Board, folding: Folding, most: float) -> None:
    shares = estimate(graph, folding).utilisation(board)
    name, share = max(shares.items(), key=lambda entry: entry[1])
    if share > most:
        found = f"needs an estimated {share:.0%} of the {name} of {board.name}, above {most:.0%}"
        raise CheckFailed(f"model '{graph.name}'", found, "Choose a larger board, or a lower rate")


def estimate(graph: Graph, folding: Folding) -> Cost:
    """First-order cost, as `fpgaflow.cost.estimate` counts it."""
    reuse = {
        op.name: max(1, prod(graph.constants[op.weights].shape) // folding.folds[op.name].multipliers)
        for op in graph.ops
        if isinstance(op, Linear)
    }
    return design_cost(graph, reuse)


def slowest(graph: Graph) -> int:
    """Cycles of a sample where every op has one multiplier or lane."""
    return fold_for(graph, 1 << 62).interval


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def conv_geometry(op: Conv, graph: Graph) -> Geometry:
    kernel = graph.constants[op.weights].shape[:-2]
    return geometry(graph.tensors[op.inputs[0]].shape, kernel, op.strides, op.dilations, op.padding)


def pool_geometry(op: Pool, graph: Graph) -> Geometry:
    ones = (1,) * len(op.size)
    return geometry(graph.tensors[op.inputs[0]].shape, op.size, op.strides, ones, op.padding)


def _fold(op: Op, graph: Graph, interval: int, arriving: int | None) -> Fold:
    match op:
        case Conv():
            return _fold_conv(op, graph, interval)
        case Dense():
            vectors = prod(graph.tensors[op.inputs[0]].shape[:-1])
            pe, simd, cycles = _fold_matrix(vectors, 1, graph.constants[op.weights].shape, interval)
            return Fold(simd, pe, cycles, simd)
        case Pool():
            shape = pool_geometry(op, graph)
            return _fold_lanes(shape.channels, prod(shape.padded), interval, arriving)
        case Transpose():
            shape_in = graph.tensors[op.inputs[0]].shape
            tail = prod(shape_in[moving_axes(op.perm) :])
            return _fold_lanes(tail, prod(shape_in) // tail, interval, arriving)
        case Reshape():
            total = prod(graph.tensors[op.output].shape)
            return Fold(arriving or 1, arriving or 1, 1 if arriving is None else total // arriving)
    shape_in = graph.tensors[op.inputs[0]].shape
    return _fold_lanes(shape_in[-1], prod(shape_in[:-1]), interval, arriving)


def _fold_lanes(channels: int, pixels: int, interval: int, arriving: int | None) -> Fold:
    """As many lanes as arrive, where they fold the channels and keep the interval; else the fewest that do."""
    if arriving is not None and channels % arriving == 0 and pixels * channels // arriving <= interval:
        return Fold(arriving, arriving, pixels * channels // arriving)
    lanes, cycles = _fewest(channels, 1, pixels, interval)
    return Fold(lanes, lanes, cycles)


def _fold_conv(op: Conv, graph: Graph, interval: int) -> Fold:
    shape = conv_geometry(op, graph)
    weights = graph.constants[op.weights].shape
    matrix = (prod(weights[:-1]), weights[-1] // op.groups)
    pe, simd, cycles = _fold_matrix(shape.windows, op.groups, matrix, interval)
    if shape.trivial and op.groups == 1:
        return Fold(simd, pe, cycles, simd)
    least = shape.channels // op.groups if op.groups > 1 else shape.channels  # a window has whole groups
    lanes, steps = _fewest(shape.channels, least, prod(shape.padded), interval)
    return Fold(lanes, pe, max(cycles, steps), simd)


def _fold_matrix(vectors: int, groups: int, matrix: tuple[int, ...], interval: int) -> tuple[int, int, int]:
    """(pe, simd, cycles) of the fewest multipliers within the interval; of equal ones the fastest, then most SIMD."""
    taps, filters = matrix
    choices = [
        (pe * simd, vectors * groups * (taps // simd) * (filters // pe), -simd, pe)
        for simd in divisors(taps)
        for pe in divisors(filters)
    ]
    within = [choice for choice in choices if choice[1] <= interval]
    _, cycles, negative, pe = min(within) if within else min(choices, key=lambda choice: choice[1])
    return pe, -negative, cycles


def _fewest(channels: int, least: int, pixels: int, interval: int) -> tuple[int, int]:
    """(lanes, cycles): the fewest lanes, a multiple of `least` that divides the channels, within the interval."""
    able = [lanes for lanes in divisors(channels) if lanes % least == 0]
    within = [lanes for lanes in able if pixels * (channels // lanes) <= interval]
    lanes = within[0] if within else able[-1]
    return lanes, pixels * (channels // lanes)
