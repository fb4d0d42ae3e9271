"""Adds the ops that join, scale, rearrange and look up to the graph under construction, with exact result types.

Channels-first models bring transposes around every convolution. Each op here goes before the transposes of its inputs
and has its result transposed instead, which meets the next convolution's transpose and cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.ir.graph import Ints
from fpgaflow.ir.ops import Transpose
from fpgaflow.ir.ops_merge import Concat, Elementwise, ElementwiseKind, MatMul, Pad, Scale, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type, scale_type
from fpgaflow.ir.verify_table import piecewise_type

Perm = tuple[int, ...]
Make = Callable[[list[str], Perm, str], str]


def _straight(builder: Builder, tensors: Sequence[str], node: str, wish: str, make: Make) -> str:
    """What `make` gives for the tensors as they lie before their transposes, transposed afterwards.

    `make` gets the sources, the permutation (axis `a` of a tensor is axis perm[a] of its source) and a name.
    """
    makers = [builder.ops.get(tensor) for tensor in tensors]
    perm = next((op.perm for op in makers if isinstance(op, Transpose)), None)
    if perm is None:
        return make(list(tensors), tuple(range(len(builder.shape(tensors[0])))), wish)
    back = tuple(int(i) for i in np.argsort(perm))
    sources = [
        op.inputs[0] if isinstance(op, Transpose) and op.perm == perm else builder.transpose(tensor, back, node, wish)
        for op, tensor in zip(makers, tensors, strict=True)
    ]
    return builder.transpose(make(sources, perm, f"{wish}.straight"), perm, node, wish)


def _along(entries: Sequence[int], axis: int, rank: int) -> Ints:
    """Integers along one axis, as an array that broadcasts over leading axes; one stands for all."""
    array = np.array(list(entries), dtype=object)
    return array if len(entries) == 1 else array.reshape(-1, *(1,) * (rank - axis - 1))


def scale_width(
    source: FixedType, weights: Sequence[int], fraction: int, bias: Sequence[int], bias_fraction: int
) -> int:
    """Bits of the result of `scale`."""
    w, b = (np.array(list(entries), dtype=object) for entries in (weights, bias))
    types = type_for(min(weights), max(weights), fraction), type_for(min(bias), max(bias), bias_fraction)
    return scale_type(source, w, types[0], b if any(bias) else None, types[1] if any(bias) else None).width


def scale(
    builder: Builder,
    x: str,
    weights: Sequence[int],
    fraction: int,
    bias: Sequence[int],
    bias_fraction: int,
    axis: int,
    node: str,
    wish: str,
) -> str:
    """x × weights × 2^-fraction + bias × 2^-bias_fraction, exact; the integers lie along `axis`, or one for all."""

    def make(sources: list[str], perm: Perm, name: str) -> str:
        rank, at = len(perm), perm[axis]
        return scaled_by(
            builder, sources[0], _along(weights, at, rank), fraction, _along(bias, at, rank), bias_fraction, node, name
        )

    return _straight(builder, [x], node, wish, make)


def scaled_by(
    builder: Builder, x: str, weights: Ints, fraction: int, bias: Ints, bias_fraction: int, node: str, wish: str
) -> str:
    """`scale` with arrays that broadcast over leading axes as in numpy."""
    weight_type = type_for(int(weights.min()), int(weights.max()), fraction)
    bias_type = type_for(int(bias.min()), int(bias.max()), bias_fraction) if bias.any() else None
    type_ = scale_type(builder.type(x), weights, weight_type, bias if bias_type else None, bias_type)
    constants = (
        builder.constant(f"{node}.weights", weights),
        weight_type,
        builder.constant(f"{node}.bias", bias) if bias_type else None,
        bias_type,
    )
    name, output = builder.named(node, wish)
    return builder.emit(Scale(name, (x,), output, node, *constants), builder.shape(x), type_)


def add(builder: Builder, left: str, right: str, node: str, wish: str) -> str:
    """The exact sum of two tensors of one shape."""
    return _straight(builder, [left, right], node, wish, lambda two, _, name: builder.add(two[0], two[1], node, name))


def elementwise(builder: Builder, kind: ElementwiseKind, left: str, right: str, node: str, wish: str) -> str:
    def make(sources: list[str], _: Perm, named: str) -> str:
        name, output = builder.named(node, named)
        type_ = elementwise_type(kind, *map(builder.type, sources))
        return builder.emit(Elementwise(name, tuple(sources), output, node, kind), builder.shape(sources[0]), type_)

    return _straight(builder, [left, right], node, wish, make)


def piecewise(
    builder: Builder,
    x: str,
    knot: int,
    slopes: tuple[Sequence[int], Sequence[int]],
    fraction: int,
    axis: int,
    node: str,
    wish: str,
) -> str:
    """x × slopes[0] × 2^-fraction below the knot, x × slopes[1] × 2^-fraction from it on; slopes along `axis`."""
    count = max(map(len, slopes))
    pairs = np.array([[part[i % len(part)] for part in slopes] for i in range(count)], dtype=object)

    def make(sources: list[str], perm: Perm, named: str) -> str:
        ones = (1,) * (len(perm) - perm[axis] - 1) if count > 1 else ()
        steep = pairs.reshape(count, *ones, 2) if count > 1 else pairs.reshape(2)
        knots, offsets = np.array([knot]), np.zeros_like(steep)
        source = builder.type(sources[0])
        type_ = piecewise_type(
            source, knots, steep.astype(np.int64), offsets.astype(np.int64), source.fraction + fraction
        )
        arrays = (("knots", knots), ("slopes", steep), ("offsets", offsets))
        constants = [builder.constant(f"{node}.{what}", array) for what, array in arrays]
        name, output = builder.named(node, named)
        return builder.emit(Piecewise(name, (sources[0],), output, node, *constants), builder.shape(sources[0]), type_)

    return _straight(builder, [x], node, wish, make)


def lookup(builder: Builder, x: str, table: Sequence[int], type_: FixedType, node: str, wish: str) -> str:
    """The entry of the table for each integer of x's type, from the lowest on."""

    def make(sources: list[str], _: Perm, named: str) -> str:
        constant = builder.constant(f"{node}.table", np.array(list(table), dtype=object))
        name, output = builder.named(node, named)
        return builder.emit(Lookup(name, (sources[0],), output, node, constant), builder.shape(sources[0]), type_)

    return _straight(builder, [x], node, wish, make)


def take(builder: Builder, x: str, indices: Sequence[int], axis: int, node: str, wish: str) -> str:
    """The entries `indices` of one axis; nothing where those are all of them in order."""
    if list(indices) == list(range(builder.shape(x)[axis])):
        return x

    def make(sources: list[str], perm: Perm, named: str) -> str:
        (source,), at = sources, perm[axis]
        shape = builder.shape(source)
        constant = builder.constant(f"{node}.indices", np.array(list(indices), dtype=np.int64))
        name, output = builder.named(node, named)
        taken = (*shape[:at], len(indices), *shape[at + 1 :])
        return builder.emit(Take(name, (source,), output, node, constant, at), taken, builder.type(source))

    return _straight(builder, [x], node, wish, make)


def pad(builder: Builder, x: str, padding: tuple[tuple[int, int], ...], value: int, node: str, wish: str) -> str:
    """x with the integer `value` around it, (before, after) for each axis."""
    if not any(map(any, padding)):
        return x

    def make(sources: list[str], perm: Perm, named: str) -> str:
        around = tuple(padding[perm.index(axis)] for axis in range(len(perm)))
        shape = tuple(n + sum(pads) for n, pads in zip(builder.shape(sources[0]), around, strict=True))
        name, output = builder.named(node, named)
        return builder.emit(Pad(name, (sources[0],), output, node, around, value), shape, builder.type(sources[0]))

    return _straight(builder, [x], node, wish, make)


def concat(builder: Builder, tensors: Sequence[str], axis: int, node: str, wish: str) -> str:
    """Tensors side by side, each cast into the narrowest type that holds them all."""
    if len(tensors) == 1:
        return tensors[0]
    joined = joined_type([builder.type(tensor) for tensor in tensors])

    def make(sources: list[str], perm: Perm, named: str) -> str:
        at = perm[axis]
        wide = [widened(builder, source, joined, node, named) for source in sources]
        shape = builder.shape(wide[0])
        total = sum(builder.shape(tensor)[at] for tensor in wide)
        name, output = builder.named(node, named)
        return builder.emit(Concat(name, tuple(wide), output, node, at), (*shape[:at], total, *shape[at + 1 :]), joined)

    return _straight(builder, tensors, node, wish, make)


def joined_type(types: Sequence[FixedType]) -> FixedType:
    """The narrowest type that holds every value of all of them."""
    fraction = max(type_.fraction for type_ in types)
    low = min(type_.low << fraction - type_.fraction for type_ in types)
    return type_for(low, max(type_.high << fraction - type_.fraction for type_ in types), fraction)


def widened(builder: Builder, x: str, type_: FixedType, node: str, wish: str) -> str:
    """x in a type that holds all its values."""
    if builder.type(x) == type_:
        return x
    return builder.cast(x, type_, Rounding.TRN, Overflow.WRAP, node, f"{wish}.wide")


def matmul(builder: Builder, left: str, right: str, node: str, wish: str) -> str:
    """Matrix products of two tensors of equal leading axes."""
    shapes = builder.shape(left), builder.shape(right)
    name, output = builder.named(node, wish)
    type_ = matmul_type(builder.type(left), builder.type(right), shapes[0][-1])
    return builder.emit(MatMul(name, (left, right), output, node), (*shapes[0][:-1], shapes[1][-1]), type_)


def one_hot_max(builder: Builder, x: str, node: str, wish: str) -> str:
    """1 at the first maximum along the last axis, 0 elsewhere."""
    name, output = builder.named(node, wish)
    return builder.emit(OneHotMax(name, (x,), output, node), builder.shape(x), FixedType(False, 1, 0))
