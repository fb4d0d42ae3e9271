"""Importers that move elements: Reshape, Flatten, Squeeze, Unsqueeze, Transpose. The batch stays the first axis."""

from __future__ import annotations

from math import prod

from fpgaflow.frontend.context import Context, int_attribute
from fpgaflow.frontend.onnx_file import Node
from fpgaflow.frontend.refuse import refuse
from fpgaflow.frontend.values import Affine, Fractions, Step, Value


def _reshaped(ctx: Context, node: Node, value: Value, shape: tuple[int, ...]) -> Value:
    old = ctx.shape(value)
    steps, axis = value.steps, value.axis
    if any(isinstance(s, Affine) and s.per_channel for s in steps) and shape != old:
        if axis < len(shape) and shape[: axis + 1] == old[: axis + 1]:
            pass  # the channel axis stays where it is
        elif len(shape) == 1:
            before, after = prod(old[:axis]), prod(old[axis + 1 :])
            steps, axis = tuple(_spread(s, old[axis], before, after) for s in steps), 0
        else:
            refuse(str(node), f"reshapes {old} to {shape} across an axis with per-channel scales", "Quantise before it")
    tensor = ctx.builder.reshape(value.tensor, shape, node.name, node.outputs[0])
    return Value(tensor, steps, min(axis, len(shape) - 1), value.raw)


def _spread(step: Step, channels: int, before: int, after: int) -> Step:
    """Per-channel entries repeated for every element of a flattened tensor."""
    if not isinstance(step, Affine):
        return step

    def each(entries: Fractions) -> Fractions:
        if len(entries) == 1:
            return entries
        return tuple(entries[c] for _ in range(before) for c in range(channels) for _ in range(after))

    return Affine(each(step.scale), each(step.offset))


def reshape(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    target = [int(n) for n in ctx.const(node, 1, "shape").values.reshape(-1)]
    old = (1, *ctx.shape(value))
    if not int_attribute(node, "allowzero", 0):
        target = [old[i] if n == 0 and i < len(old) else n for i, n in enumerate(target)]
    known = prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known > 0 and prod(old) % known == 0:
        target[target.index(-1)] = prod(old) // known
    if prod(target) != prod(old) or any(n < 1 for n in target) or len(target) < 2 or target[0] != 1:
        refuse(
            str(node),
            f"reshapes {old} to {target}, which does not keep the batch as the first axis",
            "Reshape to (N, ...), as torch.flatten(x, 1) does",
        )
    return _reshaped(ctx, node, value, tuple(target[1:]))


def flatten(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    shape = ctx.shape(value)
    axis = int_attribute(node, "axis", 1)
    if axis not in (1, -len(shape)):
        refuse(str(node), f"flattens at axis {axis}", "Flatten at axis 1, as torch.flatten(x, 1) does")
    return _reshaped(ctx, node, value, (prod(shape),))


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
    if any(full[a] != 1 for a in axes) or len(axes) == len(full) - 1:
        refuse(str(node), f"squeezes axes {axes} of {full}", "Squeeze axes of size 1, and leave one beside the batch")
    return _reshaped(ctx, node, value, tuple(n for a, n in enumerate(full) if a not in axes and a > 0))


def unsqueeze(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    shape, axes = list(ctx.shape(value)), _axes(ctx, node)
    for axis in sorted(_positive(node, axes, len(shape) + 1 + len(axes))):
        shape.insert(axis - 1, 1)
    return _reshaped(ctx, node, value, tuple(shape))


def transpose(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    rank = len(ctx.shape(value)) + 1
    perm = node.attributes.get("perm", list(range(rank))[::-1])
    if not isinstance(perm, list | tuple) or sorted(perm) != list(range(rank)) or perm[0] != 0:
        refuse(str(node), f"permutation {perm}", "Keep the batch as the first axis")
    inner = tuple(p - 1 for p in perm[1:])
    tensor = ctx.builder.transpose(value.tensor, inner, node.name, node.outputs[0])
    return Value(tensor, value.steps, inner.index(value.axis), value.raw)
