"""Importers of pooling: MaxPool, AveragePool and the global ones, by any window that ONNX can describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.rescale import channel_units, linear, on_grid, uniform
from fpgaflow.frontend.exact.tables import rises_or_falls
from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Value, with_affine
from fpgaflow.frontend.qonnx.context import (
    MAX_PADDED,
    Context,
    check_window,
    int_attribute,
    ints_attribute,
    spatial_padding,
)
from fpgaflow.frontend.qonnx.linear import channels_first, channels_last
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.ops import PoolKind

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """What slides over the spatial axes. `padding` is all of it, `declared` leaves out what ceil_mode adds."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Pads
    declared: Pads


def _window(ctx: Context, node: Node, shape: tuple[int, ...]) -> Window:
    rank = len(shape) - 1
    if rank not in (1, 2):
        refuse(str(node), f"pools an input of shape {shape}", "Pool over 1 or 2 spatial axes")
    size = ints_attribute(node, "kernel_shape", (0,) * rank)
    strides = ints_attribute(node, "strides", (1,) * rank)
    dilations = ints_attribute(node, "dilations", (1,) * rank)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, size, strict=True))
    declared = spatial_padding(node, shape[1:], reach, strides)
    check_window(node, shape[1:], reach, declared)
    if any(max(pads) >= window for pads, window in zip(declared, reach, strict=True)) and node.kind == "MaxPool":
        refuse(str(node), f"padding {declared} as large as its window", "Pad by less than the window's size")
    ceil_mode, padding = int_attribute(node, "ceil_mode", 0), declared
    if ceil_mode:
        each = zip(shape[1:], declared, reach, strides, strict=True)
        padding = tuple(_reaching(n, pads, window, stride) for n, pads, window, stride in each)
    return Window(size, strides, dilations, padding, declared)


def _reaching(n: int, pads: tuple[int, int], window: int, stride: int) -> tuple[int, int]:
    """The padding with which the last window of ceil_mode ends; it has to begin before the padding behind the input."""
    steps = -(-(n + sum(pads) - window) // stride)
    steps -= steps * stride >= n + pads[0]
    return pads[0], max(pads[1], steps * stride + window - n - pads[0])


def _pooled(ctx: Context, node: Node, tensor: str, kind: PoolKind, window: Window) -> str:
    wish = f"{node.outputs[0]}.channels_last"
    x, strides, padding = channels_last(ctx, tensor, node), window.strides, window.padding
    dilated = any(d > 1 for d in window.dilations)
    if any(map(any, padding)) and (dilated or kind is PoolKind.MAX):
        lowest = ctx.builder.type(x).low if kind is PoolKind.MAX else 0
        x, padding = emit.pad(ctx.builder, x, (*padding, (0, 0)), lowest, node.name, wish), ((0, 0),) * len(padding)
    if dilated:  # the elements of each window side by side
        for axis, (size, stride, dilation) in enumerate(
            zip(window.size, window.strides, window.dilations, strict=True)
        ):
            places = range(0, ctx.builder.shape(x)[axis] - dilation * (size - 1), stride)
            if prod(ctx.builder.shape(x)) // ctx.builder.shape(x)[axis] * len(places) * size > MAX_PADDED:
                refuse(str(node), "its dilated windows are too many", f"At most {MAX_PADDED} elements are carried")
            taps = [place + tap * dilation for place in places for tap in range(size)]
            x = emit.take(ctx.builder, x, taps, axis, node.name, wish)
        strides = window.size
    out = ctx.builder.pool(x, kind, window.size, strides, padding, node.name, wish)
    return channels_first(ctx, out, node, node.outputs[0])


def _alike_in_space(value: Value) -> bool:
    """Whether what is pending is the same at every place of a window: one for all, or per channel."""
    return value.axis == 0 or not value.per_channel


def _even(ctx: Context, node: Node, value: Value) -> Value:
    """The value with nothing pending but one factor."""
    tensor, unit = uniform(ctx.builder, value, str(node), node.outputs[0])
    result = with_affine(Value(tensor, (), value.axis), (unit,), (ZERO,), value.axis)
    assert result is not None
    return result


def max_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    return _max_pool(ctx, node, value, _window(ctx, node, ctx.shape(value)))


def _max_pool(ctx: Context, node: Node, value: Value, window: Window) -> Value:
    if int_attribute(node, "storage_order", 0):
        refuse(str(node), "is stored column by column", "Export it with storage_order 0")
    value = rising(ctx, node, value)
    if not _alike_in_space(value):
        value = _even(ctx, node, value)
    return Value(_pooled(ctx, node, value.tensor, PoolKind.MAX, window), value.steps, value.axis)


def rising(ctx: Context, node: Node, value: Value) -> Value:
    """The value with steps that rise, so that a maximum changes places with them."""
    plain = rises_or_falls(value.steps)
    if not value.raw and plain and all(min(s.scale) >= 0 for s in value.steps if isinstance(s, Affine)):
        return value
    value = linear(ctx.builder, value, str(node), node.outputs[0])
    step = value.affine
    assert step is not None
    if min(step.scale) >= 0:
        return value
    units = channel_units([step], offsets=True)
    tensor = on_grid(ctx.builder, value, units, node.name, node.outputs[0])
    if tensor is None:
        refuse(str(node), "its input falls with its integers, and no grid holds it", "Quantise before it")
    result = with_affine(Value(tensor, (), value.axis), units, (ZERO,), value.axis)
    assert result is not None
    return result


def average_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    window = _window(ctx, node, ctx.shape(value))
    return _average(ctx, node, value, window, bool(int_attribute(node, "count_include_pad", 0)))


def _average(ctx: Context, node: Node, value: Value, window: Window, with_padding: bool) -> Value:
    value = _linear(ctx, node, value)
    step = value.affine
    assert step is not None
    # A mean and an affine step change places; with zeros that count among the rest an offset would not.
    offset_moves = not (with_padding and any(map(any, window.padding)))
    if not _alike_in_space(value) or (step.has_offset and not offset_moves):
        value = _even(ctx, node, value)
    counts = _counts(ctx.shape(value)[1:], window, with_padding)
    if not counts.all():
        refuse(str(node), "a window that sees padding alone", "Pad by less than the window's size")
    whole = prod(window.size)
    if (counts == whole).all() and whole & (whole - 1) == 0:
        return Value(_pooled(ctx, node, value.tensor, PoolKind.AVERAGE, window), value.steps, value.axis)
    tensor = _pooled(ctx, node, value.tensor, PoolKind.SUM, window)
    multiple = lcm(*counts.reshape(-1).tolist())
    if (counts != multiple).any():  # sums over fewer elements weigh more
        last = channels_last(ctx, tensor, node)
        weights = (multiple // counts)[..., None].astype(object)
        none = np.zeros(1, dtype=object)
        wish = f"{node.outputs[0]}.weighed"
        last = emit.scaled_by(ctx.builder, last, weights, 0, none, 0, node.name, wish)
        tensor = channels_first(ctx, last, node, wish)
    result = with_affine(Value(tensor, (), value.axis), (Fraction(1, multiple),), (ZERO,), value.axis)
    assert result is not None and value.affine is not None
    result = with_affine(result, value.affine.scale, value.affine.offset, value.axis)
    assert result is not None
    return result


def _counts(spatial: Sequence[int], window: Window, with_padding: bool) -> np.ndarray:
    """How many elements each window's mean is over."""
    counts = np.ones((), dtype=np.int64)
    for n, size, stride, dilation, pads, declared in zip(
        spatial, window.size, window.strides, window.dilations, window.padding, window.declared, strict=True
    ):
        low, high = (-declared[0], n + declared[1]) if with_padding else (0, n)
        start = np.arange(-pads[0], n + pads[1] - dilation * (size - 1), stride)
        begin, end = (np.clip(-((start - bound) // dilation), 0, size) for bound in (low, high))
        counts = counts[..., None] * np.maximum(end - begin, 0)
    return counts


def _whole(ctx: Context, node: Node, value: Value) -> Window:
    shape = ctx.shape(value)
    if len(shape) not in (2, 3):
        refuse(str(node), f"pools an input of shape {shape}", "Pool over 1 or 2 spatial axes")
    none = ((0, 0),) * (len(shape) - 1)
    return Window(shape[1:], shape[1:], (1,) * len(none), none, none)


def global_max_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    return _max_pool(ctx, node, value, _whole(ctx, node, value))


def global_average_pool(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    return _average(ctx, node, value, _whole(ctx, node, value), with_padding=False)


def reduced(ctx: Context, node: Node, value: Value, axes: Sequence[int], kind: PoolKind) -> Value:
    """The maximum, the sum or the mean over axes of the unbatched shape, which stay with one element."""
    shape = ctx.shape(value)
    if tuple(axes) == tuple(range(1, len(shape))) and len(shape) in (2, 3):
        window = _whole(ctx, node, value)
        if kind is PoolKind.MAX:
            return _max_pool(ctx, node, value, window)
        mean = _average(ctx, node, value, window, with_padding=False)
        return mean if kind is PoolKind.AVERAGE else _times(mean, prod(window.size))
    ready = rising if kind is PoolKind.MAX else _linear
    value = ready(ctx, node, value)
    if value.per_channel and value.axis in axes:
        value = _even(ctx, node, value)
    count, wish = prod(shape[a] for a in axes), node.outputs[0]
    kept = [a for a in range(len(shape)) if a not in axes]
    # The axes that go lie first, as one; the others are channels beside each other.
    builder = ctx.builder
    x = builder.transpose(value.tensor, (*axes, *kept), node.name, f"{wish}.moved")
    x = builder.reshape(x, (count, prod(shape[a] for a in kept)), node.name, f"{wish}.rows")
    pooled = PoolKind.MAX if kind is PoolKind.MAX else PoolKind.SUM
    x = builder.pool(x, pooled, (count,), (count,), ((0, 0),), node.name, f"{wish}.pooled")
    x = builder.reshape(x, tuple(1 if a in axes else n for a, n in enumerate(shape)), node.name, wish)
    result = Value(x, value.steps, value.axis)
    if kind is PoolKind.MAX:
        return result
    step = value.affine
    assert step is not None
    offset = tuple(o * count for o in step.offset)
    summed = with_affine(Value(x, (), value.axis), step.scale, offset, value.axis)
    assert summed is not None
    return _times(summed, Fraction(1, count)) if kind is PoolKind.AVERAGE else summed


def _linear(ctx: Context, node: Node, value: Value) -> Value:
    return linear(ctx.builder, value, str(node), node.outputs[0])


def _times(value: Value, factor: Fraction | int) -> Value:
    result = with_affine(value, (ONE * factor,), (ZERO,), value.axis)
    assert result is not None
    return result
