"""Importers that reduce axes: ReduceMean, ReduceSum, ReduceMax, ReduceMin, and ArgMax, ArgMin and TopK."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.rescale import uniform, with_unit
from fpgaflow.frontend.exact.values import ONE, ZERO, Value, with_affine
from fpgaflow.frontend.qonnx.context import Context, Ordered, int_attribute
from fpgaflow.frontend.qonnx.elementwise import negate
from fpgaflow.frontend.qonnx.moves import behind_batch, integer_list, taken
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.pooling import reduced
from fpgaflow.frontend.qonnx.shapes import reshaped
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.types import type_for

MAX_TOP = 16  # each of TopK's results is one more maximum over all the entries


def reduce_mean(ctx: Context, node: Node) -> Value:
    return _reduce(ctx, node, ctx.value(node, 0), PoolKind.AVERAGE)


def reduce_sum(ctx: Context, node: Node) -> Value:
    return _reduce(ctx, node, ctx.value(node, 0), PoolKind.SUM)


def reduce_max(ctx: Context, node: Node) -> Value:
    return _reduce(ctx, node, ctx.value(node, 0), PoolKind.MAX)


def reduce_min(ctx: Context, node: Node) -> Value:
    """The maximum of -x, negated."""
    result = _reduce(ctx, node, negate(ctx, node), PoolKind.MAX)
    turned = with_affine(result, (-ONE,), (ZERO,), result.axis)
    assert turned is not None
    return turned


def _reduce(ctx: Context, node: Node, value: Value, kind: PoolKind) -> Value:
    rank = len(ctx.shape(value)) + 1
    given = integer_list(ctx, node, 1, "axes")
    if not given:
        if int_attribute(node, "noop_with_empty_axes", 0):
            return value
        refuse(str(node), "reduces the batch with all other axes", "Name the axes to reduce, the batch not among them")
    axes = sorted({behind_batch(node, axis, rank) for axis in given})
    shape = ctx.shape(value)
    result = reduced(ctx, node, value, axes, kind)
    if int_attribute(node, "keepdims", 1):
        return result
    left = tuple(n for axis, n in enumerate(shape) if axis not in axes)
    return reshaped(ctx, node, result, left)


def arg_max(ctx: Context, node: Node) -> Value:
    item = ctx.at(node, 0)
    if not isinstance(item, Ordered):
        return _arg(ctx, node, ctx.value(node, 0))
    if behind_batch(node, int_attribute(node, "axis", 0), len(ctx.shape(item.source)) + 1) != item.axis:
        refuse(str(node), "compares across a softmax of another axis", "Compare along the axis that it normalises")
    return _arg(ctx, node, item.source)


def arg_min(ctx: Context, node: Node) -> Value:
    return _arg(ctx, node, negate(ctx, node))


def _arg(ctx: Context, node: Node, value: Value) -> Value:
    shape, rank = ctx.shape(value), len(ctx.shape(value)) + 1
    axis = behind_batch(node, int_attribute(node, "axis", 0), rank)
    backwards = bool(int_attribute(node, "select_last_index", 0))
    if backwards:
        value = taken(ctx, node, value, range(shape[axis])[::-1], axis, f"{node.outputs[0]}.backwards")
    tensor = _last(ctx, node, uniform(ctx.builder, value, str(node), node.outputs[0])[0], axis)
    places = np.arange(shape[axis])[:: -1 if backwards else 1]
    index = _place(ctx, node, emit.one_hot_max(ctx.builder, tensor, node.name, f"{node.outputs[0]}.first"), places)
    back = Value(_back(ctx, node, index, axis), (), axis)
    if int_attribute(node, "keepdims", 1):
        return back
    return reshaped(ctx, node, back, (*shape[:axis], *shape[axis + 1 :]))


def _last(ctx: Context, node: Node, tensor: str, axis: int) -> str:
    rank = len(ctx.builder.shape(tensor))
    perm = (*range(axis), *range(axis + 1, rank), axis)
    return ctx.builder.transpose(tensor, perm, node.name, f"{node.outputs[0]}.last")


def _back(ctx: Context, node: Node, tensor: str, axis: int) -> str:
    rank = len(ctx.builder.shape(tensor))
    perm = (*range(axis), rank - 1, *range(axis, rank - 1))
    return ctx.builder.transpose(tensor, perm, node.name, f"{node.outputs[0]}.placed")


def _place(ctx: Context, node: Node, first: str, places: np.ndarray) -> str:
    """The place of the one in each row: a product with the numbers of the places."""
    weights = places.astype(np.int64).reshape(-1, 1)
    type_ = type_for(0, int(places.max()), 0)
    return ctx.builder.dense(first, weights, type_, None, None, node.name, f"{node.outputs[0]}.place")


def top_k(ctx: Context, node: Node) -> tuple[Value, Value]:
    """The k largest entries and their places, one maximum after the other; of equals the first comes first."""
    source = ctx.value(node, 0)
    rank = len(ctx.shape(source)) + 1
    axis = behind_batch(node, int_attribute(node, "axis", -1), rank)
    given = integer_list(ctx, node, 1, "k") if len(node.inputs) > 1 else [int_attribute(node, "k", 0)]
    size, largest = ctx.shape(source)[axis], bool(int_attribute(node, "largest", 1))
    k = given[0] if given and len(given) == 1 else 0
    if not 1 <= k <= min(size, MAX_TOP):
        refuse(str(node), f"the {k} largest of {size} entries", f"At most {MAX_TOP} are carried")
    value = source if largest else negate(ctx, node)
    tensor, unit = uniform(ctx.builder, value, str(node), node.outputs[0])
    builder, wish, places = ctx.builder, node.outputs[0], np.arange(size)
    x = _last(ctx, node, tensor, axis)
    values, indices = [], []
    for turn in range(k):
        first = emit.one_hot_max(builder, x, node.name, f"{wish}.first")
        indices.append(_place(ctx, node, first, places))
        beside = builder.shape(x)[:-1]
        flat = builder.transpose(x, (len(beside), *range(len(beside))), node.name, f"{wish}.rows")
        rows = builder.reshape(flat, (size, prod(beside)), node.name, f"{wish}.rows")
        top = builder.pool(rows, PoolKind.MAX, (size,), (size,), ((0, 0),), node.name, f"{wish}.top")
        values.append(builder.reshape(top, (*beside, 1), node.name, f"{wish}.top"))
        if turn + 1 < k:  # the maximum that was found goes below all others
            type_ = builder.type(x)
            below = type_.low - type_.high - 1
            # OneHotMax counts in units, x in its own fraction.
            down = emit.scale(builder, first, [below], type_.fraction, [0], 0, 0, node.name, f"{wish}.down")
            x = builder.add(x, down, node.name, f"{wish}.rest")
    last, name = len(ctx.shape(source)) - 1, f"{wish}.joined"
    joined = [emit.concat(builder, parts, last, node.name, name) for parts in (values, indices)]
    tensor, index = (_back(ctx, node, part, axis) for part in joined)
    result = with_affine(with_unit(tensor, unit), (ONE if largest else -ONE,), (ZERO,), axis)
    assert result is not None
    return result, replace(with_unit(index, ONE), axis=axis)
