"""Importers that choose, repeat and surround elements: Slice, Split, Gather, Pad, DepthToSpace, SpaceToDepth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.advice import QUANTISE_INPUT
from fpgaflow.frontend.exact.functions import UndecidedError, evaluate, exactly
from fpgaflow.frontend.exact.rescale import linear, on_grid, unit_of, with_unit
from fpgaflow.frontend.exact.values import ZERO, Fractions, Value, dyadic_fraction, fractions, map_channels
from fpgaflow.frontend.qonnx.context import MAX_PADDED, Context, float_attribute, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.shapes import reshaped
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import type_for


def taken(ctx: Context, node: Node, value: Value, indices: Sequence[int], axis: int, wish: str) -> Value:
    """The entries `indices` of one axis of the unbatched value, with their share of what is pending."""
    shape = ctx.shape(value)
    if list(indices) == list(range(shape[axis])):
        return value
    if value.raw:
        refuse(str(node), "reads the model's input before any quantiser has", QUANTISE_INPUT)
    if not indices:
        refuse(str(node), "leaves nothing over", "Choose at least one element")
    if prod(shape) // shape[axis] * len(indices) > MAX_PADDED:
        refuse(str(node), f"its {len(indices)} entries of {shape} are too many", f"At most {MAX_PADDED} are carried")
    steps = value.steps
    if axis == value.axis:
        steps = map_channels(steps, lambda entries: tuple(entries[i] for i in indices))
    return replace(value, tensor=emit.take(ctx.builder, value.tensor, indices, axis, node.name, wish), steps=steps)


def integer_list(ctx: Context, node: Node, position: int, name: str) -> list[int] | None:
    """What newer opsets give as an input and older ones as an attribute."""
    const = ctx.optional(node, position, name)
    found = node.attributes.get(name) if const is None else const.values.reshape(-1).tolist()
    numbers = isinstance(found, list | tuple) and all(isinstance(n, int | float) for n in found)
    if found is not None and not (numbers and all(float(n).is_integer() for n in found)):
        refuse(str(node), f"{name} = {found!r}", "Give a list of integers")
    return None if found is None else [int(n) for n in found]


def behind_batch(node: Node, axis: int, rank: int) -> int:
    """An axis of a batched tensor as one of the unbatched tensor."""
    if not -rank <= axis < rank or axis % rank == 0:
        refuse(str(node), f"axis {axis} of a tensor of {rank} axes", "Leave the batch axis alone")
    return axis % rank - 1


def slice_(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    starts, ends, axes, steps = (
        integer_list(ctx, node, position, name)
        for position, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
    )
    if starts is None or ends is None:
        refuse(str(node), "has no starts or ends", "Export the model again")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        refuse(str(node), f"slices from {starts} to {ends} by {steps} on axes {axes}", "Export the model again")
    rank = len(ctx.shape(value)) + 1
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % rank == 0 and (start, step) == (0, 1) and end >= ctx.batch:
            continue  # all of the batch
        place = behind_batch(node, axis, rank)
        chosen = range(*slice(start, end, step).indices(ctx.shape(value)[place]))
        value = taken(ctx, node, value, chosen, place, f"{node.outputs[0]}.taken")
    return value


def split(ctx: Context, node: Node) -> tuple[Value, ...]:
    value = ctx.value(node, 0)
    axis = behind_batch(node, int_attribute(node, "axis", 0), len(ctx.shape(value)) + 1)
    size, count = ctx.shape(value)[axis], len(node.outputs)
    sizes = integer_list(ctx, node, 1, "split")
    if sizes is None:
        each = -(-size // count)  # from opset 18 on the last part may be smaller
        sizes = [min(each, size - start) for start in range(0, size, each)]
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 1:
        refuse(str(node), f"splits {size} entries into {count} parts of {sizes}", "Export the model again")
    starts = [sum(sizes[:i]) for i in range(count)]
    return tuple(
        taken(ctx, node, value, range(start, start + n), axis, f"{name or node.name}.part")
        for start, n, name in zip(starts, sizes, node.outputs, strict=True)
    )


def gather(ctx: Context, node: Node) -> Value:
    value, const = ctx.value(node, 0), ctx.const(node, 1, "indices")
    shape = ctx.shape(value)
    axis = behind_batch(node, int_attribute(node, "axis", 0), len(shape) + 1)
    flat = const.values.reshape(-1).tolist()
    if not all(float(i).is_integer() and -shape[axis] <= i < shape[axis] for i in flat):
        refuse(str(node), f"indices {flat[:8]} of {shape[axis]} entries", "Gather what is there")
    result = taken(ctx, node, value, [int(i) % shape[axis] for i in flat], axis, f"{node.outputs[0]}.taken")
    return reshaped(ctx, node, result, (*shape[:axis], *const.values.shape, *shape[axis + 1 :]))


def pad(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    mode = str(node.attributes.get("mode", "constant"))
    pads, rank = integer_list(ctx, node, 1, "pads"), len(ctx.shape(value)) + 1
    given = integer_list(ctx, node, 3, "axes")
    axes = list(range(rank)) if given is None else given
    if pads is None or len(pads) != 2 * len(axes) or mode not in ("constant", "edge", "reflect", "wrap"):
        refuse(str(node), f"pads {pads} of axes {axes} by mode '{mode}'", "Pad with a constant, the edge or a mirror")
    around = [(0, 0)] * (rank - 1)
    for axis, pair in zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True):
        if any(pair):
            around[behind_batch(node, axis, rank)] = pair
    shape = ctx.shape(value)
    if prod(n + abs(a) + abs(b) for n, (a, b) in zip(shape, around, strict=True)) > MAX_PADDED:
        refuse(str(node), f"its padded input of {shape} is too large", f"At most {MAX_PADDED} elements are carried")
    wish = f"{node.outputs[0]}.taken"
    for axis, (before, after) in enumerate(around):
        n = ctx.shape(value)[axis]
        first, last = (min(before, 0), min(after, 0)) if mode == "constant" else (before, after)
        places = range(-first, n + last)
        value = taken(ctx, node, value, [_inside(node, place, n, mode) for place in places], axis, wish)
    if mode != "constant":
        return value
    outside = tuple((max(before, 0), max(after, 0)) for before, after in around)
    constant = ctx.optional(node, 2, "constant value")
    given_value = float_attribute(node, "value", 0.0)
    entries = (Fraction(given_value),) if constant is None else fractions(constant.values)
    if len(entries) != 1:
        refuse(str(node), f"pads with {len(entries)} values", "Pad with one value")
    return padded(ctx, node, value, outside, entries)


def _inside(node: Node, place: int, n: int, mode: str) -> int:
    """Where in 0 ... n - 1 what lies at `place` comes from."""
    if mode == "edge":
        return min(max(place, 0), n - 1)
    if mode == "wrap":
        return place % n
    if mode == "reflect" and not -n < place < 2 * n - 1:
        refuse(str(node), "reflects more elements than there are", "Pad by less than the size")
    return -place if place < 0 else min(place, 2 * (n - 1) - place)


def padded(ctx: Context, node: Node, value: Value, padding: tuple[tuple[int, int], ...], entry: Fractions) -> Value:
    """The value with one real number around it."""
    if not any(map(any, padding)):
        return value
    builder, wish = ctx.builder, node.outputs[0]
    if value.raw:
        refuse(str(node), "reads the model's input before any quantiser has", QUANTISE_INPUT)
    if value.per_channel and any(padding[value.axis]):
        step_axis = value.axis
        wide = sum(padding[step_axis]) + ctx.shape(value)[step_axis]
        first, last = padding[step_axis][0], padding[step_axis][0] + ctx.shape(value)[step_axis] - 1
        indices = [min(max(i, first), last) - first for i in range(wide)]  # what is pending on the padding: its edge's
        spread = replace(value, steps=map_channels(value.steps, lambda e: tuple(e[i] for i in indices)))
    else:
        spread = value
    if _is_zero(spread, ctx.shape(value)[value.axis] + sum(padding[value.axis]), entry):
        return replace(spread, tensor=emit.pad(builder, value.tensor, padding, 0, node.name, wish))
    value = linear(builder, value, str(node), wish)
    step = value.affine
    assert step is not None
    unit = unit_of((*step.scale, *step.offset, *entry))
    tensor = on_grid(builder, value, (unit,), node.name, wish)
    fraction = dyadic_fraction(tuple(e / unit for e in entry))
    if tensor is None or fraction is None:
        refuse(str(node), f"pads with {float(entry[0]):.9g}, which no grid of its input holds", "Pad with 0")
    own = int(entry[0] / unit * 2**fraction) if fraction >= 0 else int(entry[0] / unit)
    fraction = max(fraction, 0)
    type_ = emit.joined_type([builder.type(tensor), type_for(own, own, fraction)])
    tensor = emit.widened(builder, tensor, type_, node.name, wish)
    tensor = emit.pad(builder, tensor, padding, own << type_.fraction - fraction, node.name, wish)
    return replace(with_unit(tensor, unit), axis=value.axis)


def _is_zero(value: Value, channels: int, entry: Fractions) -> bool:
    """Whether what is pending makes the number of the integer 0."""
    try:
        found = [evaluate(value.steps, c, exactly(ZERO), 30) for c in range(channels if value.per_channel else 1)]
    except UndecidedError:
        return False
    return all(f.exact and f.low == entry[0] for f in found)


def _block(ctx: Context, node: Node, value: Value) -> tuple[int, int, int, int]:
    shape, block = ctx.shape(value), int_attribute(node, "blocksize", 0)
    if len(shape) != 3 or block < 1:
        refuse(str(node), f"blocks of {block} in an input of shape {shape}", "Give (N, C, H, W) and a block size")
    return (*shape, block)


def depth_to_space(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    depth, height, width, block = _block(ctx, node, value)
    mode = str(node.attributes.get("mode", "DCR"))
    if depth % block**2 or mode not in ("DCR", "CRD"):
        refuse(str(node), f"{depth} channels in blocks of {block}, mode '{mode}'", "Export the model again")
    channels = depth // block**2
    if mode == "DCR":
        split_, perm = (block, block, channels, height, width), (2, 3, 0, 4, 1)
    else:
        split_, perm = (channels, block, block, height, width), (0, 3, 1, 4, 2)
    return _rearranged(ctx, node, value, split_, perm, (channels, height * block, width * block))


def space_to_depth(ctx: Context, node: Node) -> Value:
    value = ctx.value(node, 0)
    channels, height, width, block = _block(ctx, node, value)
    if height % block or width % block:
        refuse(str(node), f"{height} x {width} in blocks of {block}", "Let the block size divide height and width")
    parts = (channels, height // block, block, width // block, block)
    return _rearranged(ctx, node, value, parts, (2, 4, 0, 1, 3), (channels * block**2, parts[1], parts[3]))


def _rearranged(
    ctx: Context, node: Node, value: Value, parts: tuple[int, ...], perm: tuple[int, ...], shape: tuple[int, ...]
) -> Value:
    inner = replace(node, outputs=(f"{node.outputs[0]}.parts",))
    value = reshaped(ctx, inner, value, parts)
    tensor = ctx.builder.transpose(value.tensor, perm, node.name, f"{node.outputs[0]}.moved")
    return reshaped(ctx, node, Value(tensor, value.steps, perm.index(value.axis), value.raw), shape)
