"""What the ops of `fpgaflow.ir.ops_table` compute: part of the specification, as `fpgaflow.sim.kernels`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.fixed_point import SAFE_BITS, cast, cast_bits
from fpgaflow.sim.overflow import Caster

Array = np.ndarray


def _held(x: Array, bits: int) -> Array:
    """x as int64 where `bits` allow it, else as Python integers."""
    return x.astype(np.int64 if bits <= SAFE_BITS else object, copy=False)


def _lookup(op: Lookup, graph: Graph, x: Array) -> Array:
    return graph.constants[op.table].take(x - graph.type_of(op.inputs[0]).low)


def _piecewise(op: Piecewise, graph: Graph, x: Array) -> Array:
    knots, slopes, offsets = (graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    x = _held(x, _widest_piecewise(op, graph))
    result = slopes[..., 0] * x + offsets[..., 0]
    for segment, knot in enumerate(knots.tolist(), start=1):
        result = np.where(x >= knot, slopes[..., segment] * x + offsets[..., segment], result)
    return _held(result, graph.type_of(op.output).width)


def _widest_piecewise(op: Piecewise, graph: Graph) -> int:
    product = graph.type_of(op.inputs[0]).width + _bits(graph.constants[op.slopes])
    return max(product, _bits(graph.constants[op.offsets])) + 1


def _bits(array: Ints) -> int:
    return max(int(array.max()), -int(array.min())).bit_length() + 1


def element_types(types: Ints) -> Iterator[tuple[FixedType, Array]]:
    """Each type among the elements of `CastEach.types`, and where it holds: bools, like one sample."""
    signed, width, fraction = types
    for s, w, f in np.unique(types.reshape(3, -1), axis=1).T.tolist():
        if w > 0:
            yield FixedType(bool(s), w, f), (signed == s) & (width == w) & (fraction == f)


def cast_each(op: CastEach, graph: Graph, x: Array, by: Caster = cast) -> Array:
    """The kernel, with every cast done by `by`."""
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    result = _held(np.zeros(x.shape, dtype=np.int64), target.width)
    for type_, where in element_types(graph.constants[op.types]):
        narrow = by(x[:, where], source, type_, op.rounding, op.overflow)
        result[:, where] = _held(narrow, target.width) << (target.fraction - type_.fraction)
    return result


def _widest_cast_each(op: CastEach, graph: Graph) -> int:
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    casts = (cast_bits(source, type_) for type_, _ in element_types(graph.constants[op.types]))
    return max(target.width, *casts, 1)


def _one_hot_max(op: OneHotMax, graph: Graph, x: Array) -> Array:
    return (np.arange(x.shape[-1]) == x.argmax(axis=-1)[..., None]).astype(np.int64)


TABLE_KERNELS: dict[type[Op], Callable[..., Array]] = {
    Lookup: _lookup,
    Piecewise: _piecewise,
    CastEach: cast_each,
    OneHotMax: _one_hot_max,
}

# Ops that meet wider integers on the way than those at their ends.
TABLE_WIDEST: dict[type[Op], Callable[..., int]] = {
    Piecewise: _widest_piecewise,
    CastEach: _widest_cast_each,
}
