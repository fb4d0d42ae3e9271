"""The rules of the ops of `fpgaflow.ir.ops_table`: part of the legality table of `fpgaflow.ir.verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, type_for

MAX_INDEX_WIDTH = 20  # of the integers that a table is looked up by

Rules = Iterator[tuple[bool, str]]


def piecewise_bounds(low: int, high: int, knots: Ints, slopes: Ints, offsets: Ints) -> tuple[int, int]:
    """The least and the greatest result of a `Piecewise` over the integers from `low` to `high`."""
    starts, stops = [low, *knots.tolist()], [*(knot - 1 for knot in knots.tolist()), high]
    results = [
        slopes[..., segment].astype(object) * end + offsets[..., segment].astype(object)
        for segment, (start, stop) in enumerate(zip(starts, stops, strict=True))
        for end in (max(start, low), min(stop, high))
        if max(start, low) <= min(stop, high)
    ]
    return min(int(np.min(r)) for r in results), max(int(np.max(r)) for r in results)


def piecewise_type(source: FixedType, knots: Ints, slopes: Ints, offsets: Ints, fraction: int) -> FixedType:
    """The narrowest type of every result."""
    return type_for(*piecewise_bounds(source.low, source.high, knots, slopes, offsets), fraction)


def _one_like(op: Op, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    yield graph.tensors[op.inputs[0]].shape == graph.tensors[op.output].shape, "input and output shapes differ"


def _holds(outer: FixedType, inner: FixedType) -> bool:
    return outer.fraction == inner.fraction and outer.low <= inner.low and outer.high >= inner.high


def _lookup(op: Lookup, graph: Graph) -> Rules:
    yield from _one_like(op, graph)
    table, source, result = graph.constants[op.table], graph.type_of(op.inputs[0]), graph.type_of(op.output)
    yield source.width <= MAX_INDEX_WIDTH, f"a table over {source.width} bits"
    yield table.shape == (1 << source.width,), f"a table of shape {table.shape} for {source}"
    yield result.low <= int(table.min()) and int(table.max()) <= result.high, "the table leaves the type"


def _broadcasts(array: Ints, shape: tuple[int, ...]) -> bool:
    axes = array.shape[:-1]
    return len(axes) <= len(shape) and all(n in (1, m) for n, m in zip(axes[::-1], shape[::-1], strict=False))


def _piecewise(op: Piecewise, graph: Graph) -> Rules:
    yield from _one_like(op, graph)
    knots, slopes, offsets = (graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    yield knots.ndim == 1 and bool((np.diff(knots) >= 0).all()), "knots ascend"
    for array in (slopes, offsets):
        fits = array.ndim > 0 and array.size > 0 and array.shape[-1] == len(knots) + 1
        yield fits and _broadcasts(array, graph.tensors[op.output].shape), f"{array.shape} for {len(knots)} knots"
    result = graph.type_of(op.output)
    needed = piecewise_type(graph.type_of(op.inputs[0]), knots, slopes, offsets, result.fraction)
    yield _holds(result, needed), f"the result needs {needed}"


def _cast_each(op: CastEach, graph: Graph) -> Rules:
    yield from _one_like(op, graph)
    types, shape, result = graph.constants[op.types], graph.tensors[op.output].shape, graph.type_of(op.output)
    yield types.shape == (3, *shape), f"types {types.shape} for elements {shape}"
    yield bool(np.isin(types[0], (0, 1)).all()) and types[1].min() >= 0, "signed is 0 or 1, a width not negative"
    signed, width, fraction = (array[types[1] > 0] for array in types)
    up = result.fraction - fraction
    room = result.width + (not result.signed) - up - (width + (signed == 0)) >= 0
    held = (up >= 0).all() and room.all() and (result.signed or not signed.any())
    yield bool(held), "a type that the output's does not hold"


def _one_hot_max(op: OneHotMax, graph: Graph) -> Rules:
    yield from _one_like(op, graph)
    result = graph.type_of(op.output)
    yield result.fraction == 0 and result.high >= 1, "gives 0 and 1"


TABLE_RULES: dict[type[Op], Callable[..., Rules]] = {
    Lookup: _lookup,
    Piecewise: _piecewise,
    CastEach: _cast_each,
    OneHotMax: _one_hot_max,
}
