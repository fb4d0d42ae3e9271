"""Importer of ConvTranspose: a convolution with the flipped kernel over the input with zeros between its elements."""

from __future__ import annotations

from math import prod

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.integers import weight_integers
from fpgaflow.frontend.exact.values import Const, Value
from fpgaflow.frontend.qonnx.context import MAX_PADDED, Context, int_attribute, ints_attribute
from fpgaflow.frontend.qonnx.linear import channels_first, channels_last, scaled, with_bias
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse

Pads = tuple[tuple[int, int], ...]


def conv_transpose(ctx: Context, node: Node) -> Value:
    value, weights = ctx.value(node, 0), ctx.const(node, 1, "weight")
    shape, kernel = ctx.shape(value), weights.values.shape[2:]
    rank, groups = len(shape) - 1, int_attribute(node, "group", 1)
    if rank not in (1, 2) or len(kernel) != rank or not weights.values.size:
        refuse(str(node), f"a {len(kernel)}-D kernel over an input of shape {shape}", "Convolve over 1 or 2 axes")
    if groups < 1 or shape[0] % groups or weights.values.shape[0] != shape[0]:
        refuse(
            str(node), f"weights {weights.values.shape} in {groups} groups over {shape[0]} channels", "Export it again"
        )
    strides = ints_attribute(node, "strides", (1,) * rank)
    dilations = ints_attribute(node, "dilations", (1,) * rank)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    more = ints_attribute(node, "output_padding", (0,) * rank, least=0)
    pads = _pads(node, shape[1:], reach, strides, more)
    if prod(n * s + 2 * w + m for n, s, w, m in zip(shape[1:], strides, reach, more, strict=True)) > MAX_PADDED:
        refuse(str(node), "its padded input is too large", f"At most {MAX_PADDED} places are carried")
    source, unit = ctx.integers(node, value)
    ints, weight_type, factors = weight_integers(_flipped(weights, groups), 0, str(node))
    moved = ints.transpose(*range(2, rank + 2), 1, 0)  # (*kernel, channels / groups, filters)
    x = _spread(ctx, node, channels_last(ctx, source, node), strides)
    room = [(w - 1 - a, w - 1 - b + m - s + 1) for w, (a, b), m, s in zip(reach, pads, more, strides, strict=True)]
    for axis, (before, after) in enumerate(room):
        kept = range(max(0, -before), ctx.builder.shape(x)[axis] - max(0, -after))
        if not kept:
            refuse(str(node), f"padding {pads} that leaves nothing", "Pad by less")
        x = emit.take(ctx.builder, x, kept, axis, node.name, f"{node.outputs[0]}.cut")
    padding = tuple((max(0, before), max(0, after)) for before, after in room)
    if any(n + sum(p) < w for n, p, w in zip(ctx.builder.shape(x), padding, reach, strict=False)):
        refuse(str(node), f"padding {pads} that leaves nothing", "Pad by less")
    wish, ones = f"{node.outputs[0]}.channels_last", (1,) * rank
    out = ctx.builder.conv(x, moved, weight_type, ones, dilations, padding, groups, node.name, wish)
    result = scaled(channels_first(ctx, out, node, node.outputs[0]), unit, factors, 0)
    return with_bias(ctx, node, result, ctx.optional(node, 2, "bias"))


def _pads(
    node: Node, size: tuple[int, ...], reach: tuple[int, ...], strides: tuple[int, ...], more: tuple[int, ...]
) -> Pads:
    """(before, after) of each axis (ONNX operator specification, ConvTranspose)."""
    rank, mode = len(size), str(node.attributes.get("auto_pad", "NOTSET"))
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""):
        refuse(str(node), f"auto_pad '{mode}' is unknown", "Export the model again")
    wanted = node.attributes.get("output_shape")
    if wanted is not None or mode.startswith("SAME"):
        same = tuple(n * s for n, s in zip(size, strides, strict=True))
        shape = same if wanted is None else ints_attribute(node, "output_shape", same)
        each = zip(size, strides, more, reach, shape, strict=True)
        total = [s * (n - 1) + m + w - out for n, s, m, w, out in each]
        if min(total) < 0:
            refuse(str(node), f"an output of {shape}, which its windows do not reach", "Ask for a smaller output")
        return tuple((t // 2, t - t // 2) if mode == "SAME_UPPER" else (t - t // 2, t // 2) for t in total)
    none = (0,) * (2 * rank)
    pads = none if mode == "VALID" else ints_attribute(node, "pads", none, least=0)
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def _flipped(weights: Const, groups: int) -> Const:
    """Weights (channels, filters / groups, *kernel) as a convolution has: (filters, channels / groups, *kernel)."""

    def move(array: np.ndarray) -> np.ndarray:
        channels, filters, *kernel = array.shape
        parts = array.reshape(groups, channels // groups, filters, *kernel).swapaxes(1, 2)
        return np.flip(parts.reshape(groups * filters, channels // groups, *kernel), tuple(range(2, array.ndim)))

    if weights.ints is None or weights.scale is None:
        return Const(move(weights.values))
    scale = weights.scale
    if scale.shape[0] == 1:  # one for each filter of a group, or one for all
        moved = np.tile(scale.swapaxes(0, 1), (groups if scale.size > 1 else 1, *(1,) * (scale.ndim - 1)))
    else:
        moved = move(np.broadcast_to(scale, weights.ints.shape))
    return Const(move(weights.values), move(weights.ints), moved, weights.width, weights.signed)


def _spread(ctx: Context, node: Node, x: str, strides: tuple[int, ...]) -> str:
    """x (*spatial, channels) with stride - 1 zeros behind each element."""
    if set(strides) == {1}:
        return x
    *size, channels = ctx.builder.shape(x)
    wish = f"{node.outputs[0]}.spread"
    apart = tuple(n for size_ in size for n in (size_, 1))
    x = ctx.builder.reshape(x, (*apart, channels), node.name, wish)
    zeros = tuple(pads for stride in strides for pads in ((0, 0), (0, stride - 1)))
    x = emit.pad(ctx.builder, x, (*zeros, (0, 0)), 0, node.name, wish)
    wide = tuple(n * stride for n, stride in zip(size, strides, strict=True))
    return ctx.builder.reshape(x, (*wide, channels), node.name, wish)
