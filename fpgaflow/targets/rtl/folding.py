"""Folding: how many multipliers and lanes each op gets, so that every layer takes about the same cycles for a sample.

A linear op of W windows, T taps and F filters (per group, of G) takes W × G × (T / SIMD) × (F / PE) cycles on PE × SIMD
multipliers: the ideal is its products divided by its multipliers. Of all divisors, the fewest multipliers that keep an
interval are taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

from fpgaflow.boards import Board
from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import (
    Concat,
    Divide,
    Elementwise,
    Embed,
    MatMul,
    OrderedDense,
    OrderedSum,
    Pad,
    Scale,
    Take,
)
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach, Lookup, Piecewise
from fpgaflow.targets.interface import interface_for
from fpgaflow.targets.rtl.accumulate import order_decides
from fpgaflow.targets.rtl.blocks import concat_block, pad_block, take_block
from fpgaflow.targets.rtl.cost import estimate as estimate
from fpgaflow.targets.rtl.fold import Fold as Fold
from fpgaflow.targets.rtl.fold import Folding as Folding
from fpgaflow.targets.rtl.recurrent import drain
from fpgaflow.targets.rtl.reorder import moving_axes
from fpgaflow.targets.rtl.rom import divisors
from fpgaflow.targets.rtl.window import Geometry, geometry

# Ops to which each element is one alone.
LANEWISE = (Cast, Relu, Threshold, Lookup, Add, Elementwise, Scale, Divide, Piecewise, CastEach)


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
        folding = _with_streams(graph, fold_for(graph, max(1, interval)))
        if folding.interval > interval:
            found = f"'{folding.bottleneck}' takes {folding.interval} cycles a sample at {clock_mhz:g} MHz"
            most_fps = math.floor(clock_mhz * 1e6 / folding.interval)
            raise CheckFailed(f"{fps:g} samples per second", found, f"Ask for {most_fps} at most")
        _fitting(graph, board, folding, most)
        return folding
    target, chosen = slowest(graph), fold_for(graph, slowest(graph))
    _fitting(graph, board, chosen, most)
    while target > (streams := _stream_cycles(graph)):  # nothing is gained below
        target = max(streams, target * 3 // 4)
        faster = fold_for(graph, target)
        if max(estimate(graph, faster).utilisation(board).values()) > most:
            break
        chosen = faster
    return min((_with_streams(graph, each) for each in (chosen, *_unrolled(graph, board, most))), key=_pace(graph))


def quick_folding(
    graph: Graph, board: Board, clock_mhz: float, fps: float | None, latency_us: float, most: float
) -> Folding:
    """The least hardware that takes `latency_us` for a sample by the estimate, which is too long rather than too short;
    where none does, the fastest that fits: what it takes is simulated later.

    Raises:
        CheckFailed: as `choose_folding`; or a sample takes longer to come and go.
    """
    cycles = math.floor(latency_us * clock_mhz)
    if cycles < (least := _stream_cycles(graph)):
        found = f"the samples alone take {least} cycles to come or go: {least / clock_mhz:g} µs at {clock_mhz:g} MHz"
        raise CheckFailed(f"--latency-us {latency_us:g}", found, "Ask for more, or raise the clock")
    fastest = choose_folding(graph, board, clock_mhz, None, most)
    target = slowest(graph) if fps is None else max(1, math.floor(clock_mhz * 1e6 / fps))
    while target > fastest.interval:
        folding = _with_streams(graph, fold_for(graph, target))
        cost = estimate(graph, folding)
        if cost.latency <= cycles and max(cost.utilisation(board).values()) <= most:
            return folding
        target = target * 3 // 4
    if fps is not None:
        choose_folding(graph, board, clock_mhz, fps, most)  # or the rate is out of reach
    return fastest


def _unrolled(graph: Graph, board: Board, most: float) -> Iterator[Folding]:
    """The folding that leaves nothing to fold, if it fits: without multipliers it may take less than a slower one."""
    folding = fold_for(graph, 1)
    if max(estimate(graph, folding).utilisation(board).values()) <= most:
        yield folding


def _pace(graph: Graph) -> Callable[[Folding], tuple[float, float]]:
    """What makes one folding better than another: first its interval, then its LUTs."""
    return lambda folding: (folding.interval, estimate(graph, folding).lut)


def _with_streams(graph: Graph, folding: Folding) -> Folding:
    """The interval that is left where the input or the output takes longer than every op."""
    return replace(folding, interval=max(folding.interval, _stream_cycles(graph)))


def _stream_cycles(graph: Graph) -> int:
    """Beats of a sample of the input or the output, whichever has more."""
    ports = interface_for(graph, several=True)
    return max(ports.input.beats, ports.output.beats)


def _fitting(graph: Graph, board: Board, folding: Folding, most: float) -> None:
    shares = estimate(graph, folding).utilisation(board)
    name, share = max(shares.items(), key=lambda entry: entry[1])
    if share > most:
        found = f"needs an estimated {share:.0%} of the {name} of {board.name}, above {most:.0%}"
        raise CheckFailed(f"model '{graph.name}'", found, "Choose a larger board, or a lower rate")


def slowest(graph: Graph) -> int:
    """Cycles of a sample where every op has one multiplier or lane."""
    return fold_for(graph, 1 << 62).interval


def conv_geometry(op: Conv, graph: Graph) -> Geometry:
    kernel = graph.constants[op.weights].shape[:-2]
    return geometry(graph.tensors[op.inputs[0]].shape, kernel, op.strides, op.dilations, op.padding)


def pool_geometry(op: Pool, graph: Graph) -> Geometry:
    ones = (1,) * len(op.size)
    return geometry(graph.tensors[op.inputs[0]].shape, op.size, op.strides, ones, op.padding)


def accumulates(shape: Geometry) -> bool:
    """Whether a pooling takes each element once, and no padding: then it needs no rows of the image."""
    return not shape.overlaps and not any(map(any, shape.padding))


def _fold(op: Op, graph: Graph, interval: int, arriving: int | None) -> Fold:
    match op:
        case Conv():
            return _fold_conv(op, graph, interval)
        case Dense():
            vectors = prod(graph.tensors[op.inputs[0]].shape[:-1])
            return _fold_matrix(vectors, graph.constants[op.weights].shape, interval)
        case Pool():
            shape = pool_geometry(op, graph)
            return _fold_lanes(shape.channels, prod(shape.padded), interval, arriving)
        case Reshape():
            total = prod(graph.tensors[op.output].shape)
            return Fold(arriving or 1, arriving or 1, 1 if arriving is None else total // arriving)
        case OrderedDense():
            vectors = prod(graph.tensors[op.output].shape[:-1])
            terms, columns = graph.constants[op.weights].shape[-2:]
            return _fold_columns(vectors, terms, columns, interval)
        case MatMul():
            *batch, terms = graph.tensors[op.inputs[0]].shape
            return _fold_columns(prod(batch), terms, graph.tensors[op.output].shape[-1], interval)
        case Embed():
            columns = graph.constants[op.table].shape[1]
            lanes, cycles = _fewest(divisors(columns), columns, prod(graph.tensors[op.inputs[0]].shape), interval)
            return Fold(1, lanes, cycles)
        case Recurrent():
            return _fold_recurrent(op, graph, interval)
        case OrderedSum() if op.tree and order_decides(op, graph):
            *outer, taps, channels = graph.tensors[op.inputs[0]].shape
            return Fold(taps * channels, channels, prod(outer))
    block, total = block_of(op, graph), max(prod(graph.tensors[name].shape) for name in (*op.inputs, op.output))
    return _fold_lanes(block, -(-total // block), interval, arriving)


def block_of(op: Op, graph: Graph) -> int:
    """How many consecutive elements the lanes of an op have to divide."""
    shape = graph.tensors[op.inputs[0]].shape
    if isinstance(op, LANEWISE):
        return prod(shape)
    match op:
        case Transpose():
            return prod(shape[moving_axes(op.perm) :])
        case Take():
            return take_block(shape, op.axis, graph.constants[op.indices].tolist())
        case Pad():
            return pad_block(shape, op.padding)
        case Concat():
            return concat_block([graph.tensors[name].shape for name in op.inputs], op.axis)
    return shape[-1]


def _fold_lanes(block: int, blocks: int, interval: int, arriving: int | None) -> Fold:
    """As many lanes as arrive, where they fold a block and keep the interval; else the fewest that do."""
    if arriving is not None and block % arriving == 0 and blocks * block // arriving <= interval:
        return Fold(arriving, arriving, blocks * block // arriving)
    lanes, cycles = _fewest(divisors(block), block, blocks, interval)
    return Fold(lanes, lanes, cycles)


def _fold_columns(vectors: int, terms: int, columns: int, interval: int) -> Fold:
    """Of products that take the terms of a sum one after the other, some columns at a time."""
    pe, cycles = _fewest(divisors(columns), columns, vectors * terms, interval)
    return Fold(1, pe, cycles)


def _fold_recurrent(op: Recurrent, graph: Graph, interval: int) -> Fold:
    """Some units at a time. Their parts come gate by gate; a step begins when the one before it has ended."""
    steps, units = graph.tensors[op.inputs[0]].shape[0], len(graph.constants[op.weights])
    turns = max(units, op.cell.gates)
    folds = (Fold(pe, pe, steps * (units // pe * turns + drain(op.cell))) for pe in divisors(units))
    return _first_within(folds, interval)


def _fold_conv(op: Conv, graph: Graph, interval: int) -> Fold:
    shape = conv_geometry(op, graph)
    weights = graph.constants[op.weights].shape
    matrix = (prod(weights[:-1]), weights[-1] // op.groups)
    if shape.trivial and op.groups == 1:
        return _fold_matrix(shape.windows, matrix, interval)
    choices = _choices(shape.windows, op.groups, matrix)
    folds = (fold for choice in choices for fold in _windowed(shape, op.groups, matrix, choice))
    return _first_within(folds, interval)


def _windowed(shape: Geometry, groups: int, matrix: tuple[int, ...], choice: _Choice) -> Iterator[Fold]:
    """A matrix unit behind a window, the fewest lanes of it first. Its beats have whole groups, and become whole beats
    of products, or a part of one."""
    simd, pe, taps = choice.simd, choice.pe, prod(shape.kernel)
    least = shape.channels // groups if groups > 1 else 1
    for lanes in divisors(shape.channels):
        if lanes % least == 0 and (taps * lanes % simd == 0 or simd % (taps * lanes) == 0):
            slices = shape.channels // lanes
            vectors = 2 if pe < matrix[1] else 0  # that wait in front of the matrix unit
            ahead = choice.cycles * max(vectors / groups, 1 / slices) / shape.windows
            cycles = max(choice.cycles + shape.idle(slices, ahead), prod(shape.padded) * slices)
            yield Fold(lanes, pe, cycles, simd)


@dataclass(frozen=True, order=True)
class _Choice:
    """PE and SIMD of a matrix unit, in the order in which they are tried: the fewest multipliers first, of equal ones
    the fastest, then those of the most SIMD."""

    multipliers: int
    cycles: int
    negative_simd: int
    pe: int

    @property
    def simd(self) -> int:
        return -self.negative_simd


def _choices(vectors: int, groups: int, matrix: tuple[int, ...]) -> list[_Choice]:
    taps, filters = matrix
    return sorted(
        _Choice(pe * simd, vectors * groups * (taps // simd) * (filters // pe), -simd, pe)
        for simd in divisors(taps)
        for pe in divisors(filters)
    )


def _fold_matrix(vectors: int, matrix: tuple[int, ...], interval: int) -> Fold:
    choices = _choices(vectors, 1, matrix)
    return _first_within((Fold(each.simd, each.pe, each.cycles, each.simd) for each in choices), interval)


def _first_within(folds: Iterable[Fold], interval: int) -> Fold:
    """The first one that keeps the interval, else the fastest."""
    tried = []
    for fold in folds:
        if fold.cycles <= interval:
            return fold
        tried.append(fold)
    return min(tried, key=lambda fold: fold.cycles)


def _fewest(able: list[int], channels: int, pixels: int, interval: int) -> tuple[int, int]:
    """(lanes, cycles): the fewest of the lanes that are possible, within the interval."""
    within = [lanes for lanes in able if pixels * (channels // lanes) <= interval]
    lanes = within[0] if within else able[-1]
    return lanes, pixels * (channels // lanes)
