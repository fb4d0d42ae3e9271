"""Resize by linear interpolation: between the two neighbours of each place, with exact rational weights."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor, lcm

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.rescale import linear, uniform, with_unit
from fpgaflow.frontend.exact.values import ZERO, Value, with_affine
from fpgaflow.frontend.qonnx.context import Context
from fpgaflow.frontend.qonnx.moves import taken
from fpgaflow.frontend.qonnx.onnx_file import Node


def interpolated(ctx: Context, node: Node, value: Value, places: Sequence[Fraction], axis: int) -> Value:
    """The value at `places` between the entries of one axis; beyond the ends it stays what it is there.

    Both weights of a place add up to 1, so that one scale and offset for all entries of the axis stay pending.
    """
    wish, builder, size = node.outputs[0], ctx.builder, ctx.shape(value)[axis]
    below = [min(max(floor(place), 0), size - 1) for place in places]
    above = [min(max(floor(place) + 1, 0), size - 1) for place in places]
    shares = [place - floor(place) if a != b else ZERO for place, a, b in zip(places, below, above, strict=True)]
    if not any(shares):
        return taken(ctx, node, value, below, axis, f"{wish}.taken")
    whole = lcm(*(share.denominator for share in shares))
    value = linear(builder, value, str(node), wish)
    if value.per_channel and value.axis == axis:
        value = with_unit(*uniform(builder, value, str(node), wish))
    nearness = [int((1 - share) * whole) for share in shares]
    near, far = (
        emit.scale(
            builder,
            emit.take(builder, value.tensor, indices, axis, node.name, f"{wish}.taken"),
            weights,
            0,
            [0],
            0,
            axis,
            node.name,
            f"{wish}.share",
        )
        for indices, weights in ((below, nearness), (above, [whole - weight for weight in nearness]))
    )
    total: Value | None = Value(emit.add(builder, near, far, node.name, f"{wish}.sum"), (), value.axis)
    step = value.affine
    assert step is not None and total is not None
    total = with_affine(total, tuple(scale / whole for scale in step.scale), step.offset, value.axis)
    assert total is not None
    return total
