"""Importers that move elements: Reshape, Flatten, Squeeze, Unsqueeze, Transpose. The batch stays the first axis."""

from __future__ import annotations

from math import prod

from fpgaflow.frontend.exact.rescale import uniform, with_unit
from fpgaflow.frontend.exact.values import Fractions, Value, map_channels
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.shape_chains import target_shape
from fpgaflow.frontend.refuse import refuse


def reshaped(ctx: Context, node: Node, value: Value, shape: tuple[int, ...]) -> Value:
    """The value under another shape; per-channel steps go along, or into the graph where they would be on two axes."""
    if not shape:  # no operator reads one number without an axis
        value = with_unit(*uniform(ctx.builder, value, str(node), node.outputs[0]))
    old = ctx.shape(value)
    steps, axis = value.steps, value.axis
    if value.per_channel and shape != old:
        place = _place_of(old, axis, shape)
        if place is None:
            tensor, unit = uniform(ctx.builder, value, str(node), node.outputs[0])
            value, place = with_unit(tensor, unit), 0
            steps = value.steps
        elif shape[place] != old[axis]:
            before = prod(old[:axis]) // prod(shape[:place])
            after = shape[place] // (before * old[axis])

            def spread(entries: Fractions) -> Fractions:
                return tuple(entry for _ in range(before) for entry in entries for _ in range(after))

            steps = map_channels(steps, spread)
        axis = place
    tensor = ctx.builder.reshape(value.tensor, shape, node.name, node.outputs[0])
    return Value(tensor, steps, max(min(axis, len(shape) - 1), 0), value.raw)


def _place_of(old: tuple[int, ...], axis: int, new: tuple[int, ...]) -> int | None:
    """The axis of the new shape that holds the old one whole, perhaps with its neighbours."""
    before, through = prod(old[:axis]), prod(old[: axis + 1])
    for place in range(len(new)):
        start, end = prod(new[:place]), prod(new[: place + 1])
        if before % start == 0 and end % through == 0:
            return place
    return None


def reshape(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    return reshaped(ctx, node, value, target_shape(ctx, node, ctx.shape(value)))


def flatten(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    shape = ctx.shape(value)
    axis = int_attribute(node, "axis", 1)
    if axis not in (1, -len(shape)):
        refuse(str(node), f"flattens at axis {axis}", "Flatten at axis 1, as torch.flatten(x, 1) does")
    return reshaped(ctx, node, value, (prod(shape),))


def _axes(ctx: Context, node: Node) -> list[int]:
    const = ctx.optional(node, 1, "axes")
    found = node.attributes.get("axes", []) if const is None else const.values.reshape(-1).tolist()
    return [int(axis) for axis in found]


def _positive(node: Node, axes: list[int], rank: int) -> list[int]:
    fixed = [axis + rank if axis < 0 else axis for axis in axes]
    if any(not 1 <= axis < rank for axis in fixed) or len(set(fixed)) != len(fixed):
        refuse(str(node), f"axes {axes}", "Name each axis once, and leave the batch axis alone")
    return fixed


def squeeze(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    full = (1, *ctx.shape(value))
    axes = _positive(node, _axes(ctx, node), len(full)) or [a for a, n in enumerate(full) if n == 1 and a > 0]
    if any(full[a] != 1 for a in axes):
        refuse(str(node), f"squeezes axes {axes} of {full}", "Squeeze axes of size 1")
    return reshaped(ctx, node, value, tuple(n for a, n in enumerate(full) if a not in axes and a > 0))


def unsqueeze(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    shape, axes = list(ctx.shape(value)), _axes(ctx, node)
    for axis in sorted(_positive(node, axes, len(shape) + 1 + len(axes))):
        shape.insert(axis - 1, 1)
    return reshaped(ctx, node, value, tuple(shape))


def transpose(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    rank = len(ctx.shape(value)) + 1
    perm = node.attributes.get("perm", list(range(rank))[::-1])
    if not isinstance(perm, list | tuple) or sorted(perm) != list(range(rank)) or perm[0] != 0:
        fix = "Keep the batch as the first axis (nn.MultiheadAttention, nn.LSTM: batch_first=True)"
        refuse(str(node), f"permutation {perm} moves the batch, or names an axis that is not there", fix)
    inner = tuple(p - 1 for p in perm[1:])
    tensor = ctx.builder.transpose(value.tensor, inner, node.name, node.outputs[0])
    return Value(tensor, value.steps, inner.index(value.axis), value.raw)
