"""Importers of Resize and Upsample: which elements each place takes, in rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor, isfinite

import numpy as np

from fpgaflow.frontend.exact.values import Fractions, Value, fractions
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.interpolate import interpolated
from fpgaflow.frontend.qonnx.moves import behind_batch, integer_list, taken
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse

HALF = Fraction(1, 2)
MAX_SIZE = 1 << 16  # places along one axis
_NOISE = Fraction(1, 1000)  # of a scale in float32 that gives a whole number of places

# Place in the input for place x in the output; scale, sizes of input and output (ONNX operator specification, Resize).
PLACES: dict[str, Callable[[int, Fraction, int, int], Fraction]] = {
    "half_pixel": lambda x, scale, n, m: (x + HALF) / scale - HALF,
    "half_pixel_symmetric": lambda x, scale, n, m: (
        Fraction(n, 2) * (1 - Fraction(m) / (scale * n)) + (x + HALF) / scale - HALF
    ),
    "pytorch_half_pixel": lambda x, scale, n, m: (x + HALF) / scale - HALF if m > 1 else Fraction(0),
    "align_corners": lambda x, scale, n, m: Fraction(x * (n - 1), m - 1) if m > 1 else Fraction(0),
    "asymmetric": lambda x, scale, n, m: x / scale,
    "tf_half_pixel_for_nn": lambda x, scale, n, m: (x + HALF) / scale,
}
NEAREST: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda v: ceil(v - HALF),
    "round_prefer_ceil": lambda v: floor(v + HALF),
    "floor": floor,
    "ceil": ceil,
}
_FIX = "Resize by nearest neighbours or linearly: nn.Upsample(scale_factor=2, mode='nearest')"


def resize(ctx: Context, node: Node) -> Value:
    rule = _mode(node)
    place = str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
    nearest = str(node.attributes.get("nearest_mode", "round_prefer_floor"))
    if ctx.opset < 11:
        place, nearest = "asymmetric", "floor"
    if place not in PLACES or nearest not in NEAREST:
        refuse(str(node), f"takes places by '{place}' and '{nearest}'", _FIX)
    if int_attribute(node, "exclude_outside", 0):
        refuse(str(node), "weighs what lies outside as nothing", _FIX)
    if int_attribute(node, "antialias", 0) or node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        refuse(str(node), "antialiases, or keeps the aspect ratio", _FIX)
    scales_at, sizes_at = (1, len(node.inputs)) if ctx.opset < 11 else (2, 3)
    scales, sizes = (_numbers(ctx, node, at, what) for at, what in ((scales_at, "scales"), (sizes_at, "sizes")))
    return _resized(ctx, node, scales, sizes, PLACES[place], NEAREST[nearest] if rule == "nearest" else None)


def upsample(ctx: Context, node: Node) -> Value:
    """Upsample of opset 9, or of 7 with its scales as an attribute."""
    nearest = floor if _mode(node) == "nearest" else None
    given = node.attributes.get("scales", ())
    if not all(isinstance(n, int | float) and isfinite(n) for n in given):
        refuse(str(node), f"scales = {given!r}", "Export the model again")
    scales = _numbers(ctx, node, 1, "scales") or fractions(np.array(given))
    return _resized(ctx, node, scales, None, PLACES["asymmetric"], nearest)


def _mode(node: Node) -> str:
    mode = str(node.attributes.get("mode", "nearest"))
    if mode not in ("nearest", "linear"):
        refuse(str(node), f"interpolates by mode '{mode}'", _FIX)
    return mode


def _numbers(ctx: Context, node: Node, position: int, what: str) -> Fractions | None:
    const = ctx.optional(node, position, what)
    return None if const is None or not const.values.size else fractions(const.values)


def _resized(
    ctx: Context,
    node: Node,
    scales: Fractions | None,
    sizes: Fractions | None,
    place: Callable[[int, Fraction, int, int], Fraction],
    nearest: Callable[[Fraction], int] | None,
) -> Value:
    """Resized by the nearest element, or by linear interpolation where there is no rule for that."""
    value = ctx.value(node, 0)
    rank = len(ctx.shape(value)) + 1
    given = integer_list(ctx, node, len(node.inputs), "axes")
    axes = list(range(rank)) if given is None else given
    numbers = scales if scales is not None else sizes
    if numbers is None or len(numbers) != len(axes) or (scales is not None and min(numbers) <= 0):
        refuse(str(node), f"has no positive scale or size for each of {rank} axes", "Export the model again")
    for axis, number in zip(axes, numbers, strict=True):
        if axis % rank == 0 and number in (1 if scales is not None else ctx.batch,):
            continue
        at = behind_batch(node, axis, rank)
        n = ctx.shape(value)[at]
        m, scale = (floor(n * number), number) if scales is not None else (int(number), Fraction(number, n))
        if m > MAX_SIZE:
            refuse(str(node), f"makes {m} places along axis {axis}", f"At most {MAX_SIZE} are carried")
        if place is PLACES["align_corners"] and scales is not None and n * number - m > _NOISE:
            found = f"aligns the corners of {float(n * number):.6g} places, which executors take for {m} or not"
            refuse(str(node), found, "Give it sizes in place of scales")
        places = [place(x, scale, n, m) for x in range(m)]
        if nearest is None:
            value = interpolated(ctx, node, value, places, at)
            continue
        chosen = [min(max(nearest(p), 0), n - 1) for p in places]
        value = taken(ctx, node, value, chosen, at, f"{node.outputs[0]}.taken")
    return value
