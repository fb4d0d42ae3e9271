"""Importers that join activations: sums, products, maxima, concatenations, matrix products, whatever their scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.advice import QUANTISE_INPUT
from fpgaflow.frontend.exact.biases import add_bias
from fpgaflow.frontend.exact.rescale import aligned, linear, product, uniform
from fpgaflow.frontend.exact.values import (
    ONE,
    ZERO,
    Affine,
    Clamp,
    Fractions,
    Product,
    Value,
    dyadic_fraction,
    with_affine,
)
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.ops_merge import ElementwiseKind


def together(ctx: Context, node: Node, values: Sequence[Value]) -> list[Value]:
    """The values repeated along their axes of one element, as numpy broadcasts them."""
    shapes = [ctx.shape(value) for value in values]
    sizes = [max(column) for column in zip(*shapes, strict=False)]
    if len({len(shape) for shape in shapes}) > 1 or any(
        n not in (1, most) for shape in shapes for n, most in zip(shape, sizes, strict=True)
    ):
        refuse(str(node), f"joins shapes {' and '.join(map(str, shapes))}", "Join tensors of one shape")
    return [_repeated(ctx, node, value, sizes) for value in values]


def _repeated(ctx: Context, node: Node, value: Value, sizes: Sequence[int]) -> Value:
    tensor = value.tensor
    for axis, size in enumerate(sizes):
        if ctx.builder.shape(tensor)[axis] != size:
            tensor = emit.take(ctx.builder, tensor, [0] * size, axis, node.name, f"{node.outputs[0]}.repeated")
    return replace(value, tensor=tensor)


def _folded(ctx: Context, node: Node, value: Value) -> Value:
    """The value, linear; an offset behind a dense or convolution layer that is exact as its bias has become that."""
    value = linear(ctx.builder, value, str(node), node.outputs[0])
    step = value.affine
    assert step is not None
    scale = step.uniform_scale
    if scale is None or scale <= 0 or not step.has_offset:
        return value
    offset = tuple(o / scale for o in step.offset)
    fraction = dyadic_fraction(offset)
    known_as = ctx.builder.pending.get((value.tensor, step))
    biased = None
    if fraction is not None:
        biased = add_bias(ctx.builder, value, offset, fraction, node.outputs[0], known_as)
    if biased is None:
        return value
    return replace(value, tensor=biased, steps=() if scale == ONE else (Affine((scale,), (ZERO,)),))


def add(ctx: Context, node: Node) -> Value:
    return _sum(ctx, node, lambda a, b, wish: emit.add(ctx.builder, a, b, node.name, wish), ONE)


def subtract(ctx: Context, node: Node) -> Value:
    kind = ElementwiseKind.SUBTRACT
    return _sum(ctx, node, lambda a, b, wish: emit.elementwise(ctx.builder, kind, a, b, node.name, wish), -ONE)


def _sum(ctx: Context, node: Node, make: Callable[[str, str, str], str], sign: Fraction) -> Value:
    wish = node.outputs[0]
    left, right = together(ctx, node, [ctx.value(node, position) for position in (0, 1)])
    values = [_folded(ctx, node, value) for value in (left, right)]
    tensors, shared, offsets = aligned(ctx.builder, values, str(node), wish, offsets=False)
    total: Value | None = replace(shared, tensor=make(tensors[0], tensors[1], wish))
    for value, entries, factor in zip(values, offsets, (ONE, sign), strict=True):
        moved = tuple(entry * factor for entry in entries)
        total = None if total is None else with_affine(total, (ONE,), moved, value.axis)
    if total is None:  # offsets along another axis than the scales
        tensors, shared, _ = aligned(ctx.builder, values, str(node), wish, offsets=True)
        return replace(shared, tensor=make(tensors[0], tensors[1], wish))
    return total


def multiply(ctx: Context, node: Node) -> Value:
    values = together(ctx, node, [ctx.value(node, position) for position in (0, 1)])
    left, right = values
    crossed = left.per_channel and right.per_channel and left.axis != right.axis
    if left.tensor == right.tensor and not left.raw and not crossed:
        # Of one argument: left pending, for a quantiser to tabulate.
        return Value(left.tensor, (Product(left.steps, right.steps),), left.axis if left.per_channel else right.axis)
    a, b = (linear(ctx.builder, value, str(node), node.outputs[0]) for value in values)
    return product(ctx.builder, a, b, str(node), node.outputs[0])


def maximum(ctx: Context, node: Node) -> Value:
    return _extreme(ctx, node, ElementwiseKind.MAXIMUM)


def minimum(ctx: Context, node: Node) -> Value:
    return _extreme(ctx, node, ElementwiseKind.MINIMUM)


def _extreme(ctx: Context, node: Node, kind: ElementwiseKind) -> Value:
    positions = range(len(node.inputs))
    values = [item for p in positions if isinstance(item := ctx.at(node, p), Value)]
    constants = [ctx.const(node, p, "bound") for p in positions if not isinstance(ctx.at(node, p), Value)]
    for value in values:
        if value.raw:
            refuse(str(node), "clamps the model's input before any quantiser", QUANTISE_INPUT)
    values = together(ctx, node, values)
    joined = values[0]
    for other in values[1:]:
        joined = _either(ctx, node, kind, joined, other)
    for const in constants:
        entries, axis = ctx.per_channel(node, const, joined, "bound")
        joined = bounded(ctx, node, joined, entries, axis, below=kind is ElementwiseKind.MAXIMUM)
    return joined


def _either(ctx: Context, node: Node, kind: ElementwiseKind, left: Value, right: Value) -> Value:
    wish = node.outputs[0]
    values = [linear(ctx.builder, value, str(node), wish) for value in (left, right)]
    same, steps = values[0].steps == values[1].steps and values[0].axis == values[1].axis, values[0].affine
    if same and steps is not None and min(steps.scale) >= 0:
        tensors, shared = [value.tensor for value in values], values[0]
    else:
        tensors, shared, _ = aligned(ctx.builder, values, str(node), wish, offsets=True)
    return replace(shared, tensor=emit.elementwise(ctx.builder, kind, tensors[0], tensors[1], node.name, wish))


def bounded(ctx: Context, node: Node, value: Value, entries: Fractions, axis: int, *, below: bool) -> Value:
    """max(value, entries), or min; one bound for all, or one per entry of the axis."""
    if len(set(entries)) == 1:
        clamp = Clamp(entries[0], None) if below else Clamp(None, entries[0])
        return replace(value, steps=(*value.steps, clamp))
    sign = ONE if below else -ONE  # max(x, b) = relu(x - b) + b; min(x, b) = b - relu(b - x)
    shifted = with_affine(value, (sign,), tuple(-sign * e for e in entries), axis)
    if shifted is not None:
        clamped = replace(shifted, steps=(*shifted.steps, Clamp(ZERO, None)))
        shifted = with_affine(clamped, (sign,), entries, axis)
    if shifted is None:
        refuse(str(node), "per-channel constants along two different axes meet", "Quantise between the two nodes")
    return shifted


def concat(ctx: Context, node: Node) -> Value:
    values = [ctx.value(node, position) for position in range(len(node.inputs))]
    if len(values) == 1:
        return values[0]
    shapes, rank = [ctx.shape(value) for value in values], len(ctx.shape(values[0])) + 1
    given = int_attribute(node, "axis", 1)
    axis = (given + rank if given < 0 else given) - 1
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if not 0 <= axis < rank - 1 or len(others) > 1 or any(len(shape) != rank - 1 for shape in shapes):
        refuse(str(node), f"joins shapes {shapes} along axis {given}", "Join tensors along an axis behind the batch")
    wish = node.outputs[0]
    values = [_folded(ctx, node, value) for value in values]
    if any(value.per_channel and value.axis != axis for value in values):
        tensors, shared, _ = aligned(ctx.builder, values, str(node), wish, offsets=True)
        return replace(shared, tensor=emit.concat(ctx.builder, tensors, axis, node.name, wish))
    steps = [value.affine or Affine((ONE,), (ZERO,)) for value in values]
    joined = emit.concat(ctx.builder, [value.tensor for value in values], axis, node.name, wish)
    sizes = [shape[axis] for shape in shapes]
    each = list(zip(steps, sizes, strict=True))
    scale = tuple(s.scale[i % len(s.scale)] for s, n in each for i in range(n))
    offset = tuple(s.offset[i % len(s.offset)] for s, n in each for i in range(n))
    result = with_affine(Value(joined, (), axis), scale, offset, axis)
    assert result is not None
    return result


def matmul(ctx: Context, node: Node) -> Value:
    """Products of two activations (..., n, k) and (..., k, m); leading axes of one element are repeated."""
    wish = node.outputs[0]
    values = [ctx.value(node, position) for position in (0, 1)]
    shapes = [ctx.shape(value) for value in values]
    if min(map(len, shapes)) < 2 or len(shapes[0]) != len(shapes[1]) or shapes[0][-1] != shapes[1][-2]:
        refuse(str(node), f"multiplies shapes {shapes[0]} and {shapes[1]}", "Give (N, ..., n, k) and (N, ..., k, m)")
    sizes = [max(pair) for pair in zip(shapes[0][:-2], shapes[1][:-2], strict=True)]
    if any(n not in (1, most) for shape in shapes for n, most in zip(shape[:-2], sizes, strict=True)):
        refuse(str(node), f"multiplies shapes {shapes[0]} and {shapes[1]}", "Give equal leading axes")
    (a, unit_a), (b, unit_b) = (
        uniform(ctx.builder, _repeated(ctx, node, value, (*sizes, *shape[-2:])), str(node), wish)
        for value, shape in zip(values, shapes, strict=True)
    )
    out = Value(emit.matmul(ctx.builder, a, b, node.name, wish), (), len(shapes[0]) - 1)
    result = with_affine(out, (unit_a * unit_b,), (ZERO,), out.axis)
    assert result is not None
    return result
