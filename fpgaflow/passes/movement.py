"""How ops read their inputs before a transpose instead of behind it: axes and constants in the other order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Add, Cast, Op, Relu, Threshold
from fpgaflow.ir.ops_merge import Concat, Divide, Elementwise, Pad, Scale, Take
from fpgaflow.ir.ops_table import CastEach, Lookup, Piecewise
from fpgaflow.passes.rewrite import fresh

Perm = tuple[int, ...]


@dataclass(frozen=True)
class Moved:
    """An op for inputs that lie as they did before a transpose, and the constants that it has anew."""

    op: Op
    constants: Mapping[str, Ints] = field(default_factory=dict)


def before_transpose(op: Op, perm: Perm, graph: Graph) -> Moved | None:
    """`op`, whose inputs are all transposed by `perm`, as it is before that; None where it is no such op.

    Its result, transposed by `perm`, is the same.
    """
    mover = _MOVERS.get(type(op))
    return None if mover is None else mover(op, perm, graph)


def _alike(op: Op, perm: Perm, graph: Graph) -> Moved:
    return Moved(op)


def _along_axis(op: Any, perm: Perm, graph: Graph) -> Moved:
    return Moved(replace(op, axis=perm[op.axis]))


def _pad(op: Any, perm: Perm, graph: Graph) -> Moved:
    return Moved(replace(op, padding=tuple(op.padding[i] for i in _inverse(perm))))


def _inverse(perm: Perm) -> list[int]:
    return [perm.index(axis) for axis in range(len(perm))]


def _with_constants(*fields: str, before: int = 0, behind: int = 0) -> Callable[[Any, Perm, Graph], Moved]:
    """A mover for constants that broadcast to the input, with axes of their own before and behind its axes."""

    def move(op: Any, perm: Perm, graph: Graph) -> Moved:
        constants: dict[str, Ints] = {}
        names = {}
        for name in filter(None, (getattr(op, key) for key in fields)):
            array = graph.constants[name]
            missing = len(perm) + before + behind - array.ndim
            full = array.reshape(*array.shape[:before], *[1] * missing, *array.shape[before:])
            order = [*range(before), *(before + i for i in _inverse(perm)), *range(full.ndim - behind, full.ndim)]
            moved = full.transpose(order)
            if moved.shape != full.shape or not np.array_equal(moved, full):
                names[name] = fresh(f"{name}.reordered", {**graph.constants, **constants})
                constants[names[name]] = np.ascontiguousarray(moved)
        given = {key: names.get(getattr(op, key), getattr(op, key)) for key in fields}
        return Moved(replace(op, **given), constants)

    return move


_MOVERS: Mapping[type[Op], Callable[[Any, Perm, Graph], Moved]] = {
    Cast: _alike,
    Relu: _alike,
    Lookup: _alike,
    Add: _alike,
    Elementwise: _alike,
    Threshold: _along_axis,
    Concat: _along_axis,
    Take: _along_axis,
    Pad: _pad,
    Scale: _with_constants("weights", "bias"),
    Divide: _with_constants("divisors"),
    Piecewise: _with_constants("slopes", "offsets", behind=1),
    CastEach: _with_constants("types", before=1),
}
