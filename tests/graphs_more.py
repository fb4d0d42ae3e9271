"""Adders of the ops of `ops_merge` and `ops_table` to a random graph; where one does not fit, it adds another op."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from fpgaflow.ir.ops_merge import Concat, Divide, Elementwise, ElementwiseKind, MatMul, Pad, Patches, Scale, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type, patches_shape, scale_type
from fpgaflow.ir.verify_table import piecewise_bounds

if TYPE_CHECKING:
    from tests.graphs import Maker

MAX_TABLE = 10  # bits


def _constant(maker: Maker, name: str, array: np.ndarray) -> str:
    maker.constants[name] = np.ascontiguousarray(array, dtype=np.int64)
    return name


def _alike(maker: Maker, x: str) -> list[str]:
    return [name for name, tensor in maker.tensors.items() if tensor.shape == maker.tensors[x].shape]


def _broadcast_shape(maker: Maker, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `shape`."""
    axes = maker.draw(st.integers(0, len(shape)))
    return tuple(maker.draw(st.sampled_from([1, n])) for n in shape[len(shape) - axes :])


def elementwise(maker: Maker, x: str) -> None:
    other, kind = maker.draw(st.sampled_from(_alike(maker, x))), maker.draw(st.sampled_from(ElementwiseKind))
    type_ = elementwise_type(kind, maker.tensors[x].type, maker.tensors[other].type)
    maker.emit(Elementwise(**maker.common(x, other), kind=kind), maker.tensors[x].shape, type_)


def scale(maker: Maker, x: str) -> None:
    common, source, shape = maker.common(x), maker.tensors[x].type, maker.tensors[x].shape
    type_ = FixedType(True, 5, maker.draw(st.integers(-2, 4)))
    weights = maker.random.integers(-16, 16, _broadcast_shape(maker, shape))
    bias, bias_type = None, None
    if maker.draw(st.booleans()):
        bias, bias_type = (
            maker.random.integers(-64, 64, _broadcast_shape(maker, shape)),
            FixedType(True, 7, maker.draw(st.integers(-3, 9))),
        )
    names = [
        None if array is None else _constant(maker, f"{common['name']}.{key}", array)
        for key, array in (("w", weights), ("b", bias))
    ]
    op = Scale(**common, weights=names[0], weight_type=type_, bias=names[1], bias_type=bias_type)
    maker.emit(op, shape, scale_type(source, weights, type_, bias, bias_type))


def divide(maker: Maker, x: str) -> None:
    common, shape = maker.common(x), maker.tensors[x].shape
    divisors = _constant(maker, f"{common['name']}.d", maker.random.integers(1, 10, _broadcast_shape(maker, shape)))
    maker.emit(Divide(**common, divisors=divisors), shape, maker.tensors[x].type)


def concat(maker: Maker, x: str) -> None:
    shape, type_ = maker.tensors[x].shape, maker.tensors[x].type
    alike = [name for name in _alike(maker, x) if maker.tensors[name].type == type_]
    others = maker.draw(st.lists(st.sampled_from(alike), min_size=1, max_size=2))
    axis = maker.draw(st.integers(0, len(shape) - 1))
    longer = (*shape[:axis], shape[axis] * (1 + len(others)), *shape[axis + 1 :])
    maker.emit(Concat(**maker.common(x, *others), axis=axis), longer, type_)


def pad(maker: Maker, x: str) -> None:
    shape, type_ = maker.tensors[x].shape, maker.tensors[x].type
    padding = tuple((maker.draw(st.integers(0, 2)), maker.draw(st.integers(0, 1))) for _ in shape)
    value = maker.draw(st.sampled_from([0, type_.low, type_.high]))
    larger = tuple(n + sum(pads) for n, pads in zip(shape, padding, strict=True))
    maker.emit(Pad(**maker.common(x), padding=padding, value=value), larger, type_)


def take(maker: Maker, x: str) -> None:
    common, shape = maker.common(x), maker.tensors[x].shape
    axis, count = maker.draw(st.integers(0, len(shape) - 1)), maker.draw(st.integers(1, 5))
    indices = _constant(maker, f"{common['name']}.i", maker.random.integers(0, shape[axis], count))
    maker.emit(
        Take(**common, indices=indices, axis=axis),
        (*shape[:axis], count, *shape[axis + 1 :]),
        maker.tensors[x].type,
    )


def patches(maker: Maker, x: str) -> None:
    shape = maker.tensors[x].shape
    if len(shape) == 1:
        return take(maker, x)
    size = tuple(maker.draw(st.integers(1, min(n, 2))) for n in shape[:-1])
    strides = tuple(maker.draw(st.integers(1, 2)) for _ in size)
    op = Patches(**maker.common(x), size=size, strides=strides)
    return maker.emit(op, patches_shape(shape, size, strides), maker.tensors[x].type)


def matmul(maker: Maker, x: str) -> None:
    shape = maker.tensors[x].shape
    fits = [
        name
        for name, tensor in maker.tensors.items()
        if len(tensor.shape) == len(shape) >= 2 and tensor.shape[:-2] == shape[:-2] and tensor.shape[-2] == shape[-1]
    ]
    if not fits:
        return elementwise(maker, x)
    other = maker.tensors[maker.draw(st.sampled_from(fits))]
    type_ = matmul_type(maker.tensors[x].type, other.type, shape[-1])
    return maker.emit(MatMul(**maker.common(x, other.name)), (*shape[:-1], other.shape[-1]), type_)


def lookup(maker: Maker, x: str) -> None:
    source = maker.tensors[x].type
    if source.width > MAX_TABLE:
        return piecewise(maker, x)
    common = maker.common(x)
    entries = maker.random.integers(-30, 30, 1 << source.width)
    type_ = type_for(int(entries.min()), int(entries.max()), maker.draw(st.integers(-2, 4)))
    table = _constant(maker, f"{common['name']}.table", entries)
    return maker.emit(Lookup(**common, table=table), maker.tensors[x].shape, type_)


def piecewise(maker: Maker, x: str) -> None:
    common, source, shape = maker.common(x), maker.tensors[x].type, maker.tensors[x].shape
    segments = maker.draw(st.integers(1, 4))
    low, high = max(source.low, -(1 << 62)), min(source.high, (1 << 62) - 1)
    knots = np.sort(maker.random.integers(low, high + 1, segments - 1))
    slopes = maker.random.integers(-9, 9, (*_broadcast_shape(maker, shape), segments))
    offsets = maker.random.integers(-99, 99, (*_broadcast_shape(maker, shape), segments))
    names = {
        key: _constant(maker, f"{common['name']}.{key}", array)
        for key, array in (("knots", knots), ("slopes", slopes), ("offsets", offsets))
    }
    bounds = piecewise_bounds(source.low, source.high, knots, slopes, offsets)
    maker.emit(Piecewise(**common, **names), shape, type_for(*bounds, source.fraction))


def one_hot_max(maker: Maker, x: str) -> None:
    maker.emit(OneHotMax(**maker.common(x)), maker.tensors[x].shape, FixedType(False, 1, 0))


ADDERS: tuple[Callable[[Maker, str], None], ...] = (
    *(elementwise, scale, divide, concat, pad, take, patches, matmul, lookup, piecewise, one_hot_max),
)
