"""One op for all that only moves elements: take, pad, patches, transposes, reshapes of streams.

It stands in the HLS target's normal forms alone; hls4ml gets it as an extension layer (targets/hls/extensions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Op
from fpgaflow.ir.ops_merge import Pad, Patches, Take

Shape = tuple[int, ...]
MAX_REGISTERS = 512  # elements that may be kept each for itself, where several are read at once


@dataclass(frozen=True)
class IndexMap(Op):
    """Each result is entry `indices` of x, counted in C order, or `value` where that is -1.

    `indices` has the output's shape; `value` is an integer of x's type.
    """

    indices: str
    value: int


def index_map_rule(op: IndexMap, graph: Graph) -> Iterator[tuple[bool, str]]:
    """Of the legality table, see fpgaflow.ir.verify."""
    yield len(op.inputs) == 1, "takes one input"
    source, result, indices = graph.tensors[op.inputs[0]], graph.tensors[op.output], graph.constants[op.indices]
    yield source.type == result.type, "keeps its type"
    yield indices.shape == result.shape, f"indices {indices.shape} for output {result.shape}"
    yield int(indices.min()) >= -1 and int(indices.max()) < prod(source.shape), "indices outside of the input"
    yield result.type.low <= op.value <= result.type.high, "the value leaves the type"


INDEX_RULES: Mapping[type[Op], Callable[..., Iterator[tuple[bool, str]]]] = {IndexMap: index_map_rule}


def places(shape: Shape) -> Ints:
    """Each element's number in C order."""
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def taken(op: Take, graph: Graph, shape: Shape) -> Ints:
    return np.take(places(shape), graph.constants[op.indices], axis=op.axis)


def padded(op: Pad, shape: Shape) -> Ints:
    return np.pad(places(shape), op.padding, constant_values=-1)


def patches(op: Patches, shape: Shape, result: Shape) -> Ints:
    rank = len(op.size)
    windows = np.lib.stride_tricks.sliding_window_view(places(shape), op.size, axis=tuple(range(rank)))
    chosen = windows[tuple(slice(None, None, stride) for stride in op.strides)]  # (*places, channels, *size)
    return np.moveaxis(chosen, rank, -1).reshape(result)


def windows_apart(shape: Shape, size: Shape, strides: Shape) -> Ints:
    """The windows of a pooling over (*spatial, channels), copied so that they lie side by side."""
    axes = [
        (np.arange((n - window) // stride + 1)[:, None] * stride + np.arange(window)).ravel()
        for n, window, stride in zip(shape[:-1], size, strides, strict=True)
    ]
    return places(shape)[np.ix_(*axes, np.arange(shape[-1]))]


@dataclass(frozen=True)
class BeatTables:
    """An index map over beats, `in_size` elements in and `out_size` out, as its hardware takes it.

    Result i is lane l of input beat b, where (b, l) = outer[i // period] + inner[i % period], period = len(inner);
    it is the padding where b < 0. Before output beat j, and at the end, `arrivals[j]` input beats must have come; of
    them the last `depth`, a power of two, are kept, in as many `banks` where an output beat has several. `steps` is how
    many cycles all takes, one beat in and one out each.

    `serial`: the elements go through a memory one by one. Then `in_size` is 1, and a step takes one element in and out.
    """

    outer: Ints  # (n, 2)
    inner: Ints  # (period, 2)
    arrivals: Ints  # (output beats + 1,)
    in_size: int
    depth: int
    banks: int
    steps: int
    serial: bool


def beat_tables(indices: Ints, n_in: int, in_size: int, out_size: int) -> BeatTables:
    tables = _tables(indices, n_in, in_size, out_size, serial=False)
    if tables.banks * in_size <= MAX_REGISTERS:
        return tables
    return _tables(indices, n_in, 1, out_size, serial=True)


def _tables(indices: Ints, n_in: int, in_size: int, out_size: int, *, serial: bool) -> BeatTables:
    flat = indices.ravel()
    beats = np.where(flat < 0, -1, flat // in_size).reshape(-1, out_size)
    lanes = np.where(flat < 0, 0, flat % in_size).reshape(-1, out_size)
    outer, inner = _separated(beats, lanes)
    needed = np.maximum.accumulate(beats.max(axis=1) + 1)
    first = np.where(beats < 0, n_in, beats).min(axis=1)
    depth = 1 << (int(max((needed - first).max(), 1)) - 1).bit_length()
    gathers = (beats.max(axis=1) > first).any() and not serial
    arrivals = np.append(needed, n_in // in_size)
    new = np.diff(arrivals, prepend=0)
    steps = int(np.maximum(new[:-1], 1).sum() + new[-1]) + (len(needed) * (out_size - 1) if serial else 0)
    return BeatTables(outer, inner, arrivals, in_size, depth, depth if gathers else 1, steps, serial)


def _separated(beats: Ints, lanes: Ints) -> tuple[Ints, Ints]:
    """As a sum of what depends on the output beat and what depends on the lane, where it is one."""
    whole = np.stack([beats, lanes], axis=-1)
    padding = beats < 0
    row, column = (np.logical_and.reduce(padding, axis=axis) for axis in (1, 0))
    if not row.all() and not column.all() and (padding == row[:, None] | column).all():
        first, lane = np.argmin(row), np.argmin(column)
        outer = whole[:, lane]
        inner = whole[first] - whole[first, lane]
        # A beat as negative as the input is long stays so, whatever is added.
        far = -int(beats.max()) - 1
        outer = np.where(row[:, None], [far, 0], outer)
        inner = np.where(column[:, None], [far, 0], inner)
        total = outer[:, None] + inner[None]
        if ((total == whole).all(axis=-1) | padding).all() and (total[..., 0][padding] < 0).all():
            return outer, inner
    return whole.reshape(-1, 2), np.zeros((1, 2), dtype=np.int64)


def indices_of(outer: Ints, inner: Ints, in_size: int) -> Ints:
    """The reverse of `beat_tables`: the flat indices."""
    total = (outer[:, None] + inner[None]).reshape(-1, 2)
    return np.where(total[:, 0] < 0, -1, total[:, 0] * in_size + total[:, 1])
