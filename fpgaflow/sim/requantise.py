"""Quantisers after 8-bit products as y = round(scale × (gain × p + bias)), where that is proven for every p.

p is a sum of products of integers, `bias` an integer, and rounding goes to the nearest, ties to even: what ONNX
Runtime's 8-bit kernels compute in float32. Multiplying and rounding are monotone, so the line gives the right level
for every p if it does on both sides of each edge, the smallest p of a level. Those few points are checked one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

_SLOPES = 65  # tried between the flattest and the steepest that the outer edges allow
_SLACK = 2.0**-22  # relative error that a kernel's float32 arithmetic may add to an inexact product
_EXACT32 = 1 << 24


@dataclass(frozen=True)
class Requantiser:
    """Per channel: float32 `scale` and int64 `bias`, both (channels,)."""

    scale: Array
    bias: Array


def edges(step: Callable[[Array], Array], levels: range, low: Array, high: Array) -> Array:
    """The smallest integer x of [low, high] with step(x) >= level: (channels, levels); high + 1 where there is none.

    Args:
        step: a rising function of integers (channels, n), each channel's own.
        low, high: (channels,).
    """
    wanted = np.array(levels, dtype=np.int64)
    below = np.broadcast_to(low[:, None] - 1, (len(low), len(wanted))).astype(np.int64)
    at = np.broadcast_to(high[:, None] + 1, below.shape).astype(np.int64)
    while ((at - below) > 1).any():
        middle = (below + at) >> 1
        reached = step(middle) >= wanted
        open_ = at - below > 1
        at, below = np.where(reached & open_, middle, at), np.where(~reached & open_, middle, below)
    return at


def fit(edge: Array, levels: range, low: Array, high: Array, gain: int, *, biased: bool = True) -> Requantiser | None:
    """The line for `edge` (channels, levels) over p in [low, high] (channels,); None if none is proven.

    Args:
        edge: the smallest p of each level; `low` where every p reaches it, `high` + 1 where none does.
        biased: whether there may be a bias other than 0.
    """
    channels = np.arange(len(edge))
    scale, bias = np.zeros(len(edge)), np.zeros(len(edge))
    missing = np.ones(len(edge), dtype=bool)
    for slopes in (_powers(gain), _between(edge, levels, low, high, gain)):  # powers of two round nothing
        lower, upper = _room(slopes, edge, levels, low, high, gain)
        if not biased:
            lower, upper = np.where((lower <= 0) & (upper >= 0), 0, 1), np.zeros_like(upper)
        # Where nothing bounds one side, any point inside the other bound will do.
        lower = np.where(np.isinf(lower), upper - 2 * gain, lower)
        upper = np.where(np.isinf(upper), lower + 2 * gain, upper)
        middle = np.floor((lower + upper) / 2)
        reach = np.maximum(high[:, None] * gain + middle, -(low[:, None] * gain + middle))
        room = np.where(reach <= _EXACT32, upper - lower, -1)
        best = np.argmax(room, axis=1)
        fits = missing & (room[channels, best] >= 0)
        scale = np.where(fits, np.broadcast_to(slopes, lower.shape)[channels, best], scale)
        bias = np.where(fits, middle[channels, best], bias)
        missing &= ~fits
        if not missing.any():
            line = Requantiser(scale.astype(np.float32), bias.astype(np.int64))
            return line if _proven(line, edge, levels, low, high, gain) else None
    return None


def _powers(gain: int) -> Array:
    return 2.0 ** -np.arange(25.0)[None] / gain


def _between(edge: Array, levels: range, low: Array, high: Array, gain: int) -> Array:
    """Slopes (channels, n) from the flattest to the steepest that the outermost edges within [low, high] allow."""
    real = (edge > low[:, None]) & (edge <= high[:, None])
    last = np.where(real, edge, low[:, None]).max(axis=1)
    first = np.where(real, edge, last[:, None]).min(axis=1)
    rise = np.maximum(real.sum(axis=1) - 1, 1)
    flat, steep = rise / (last - first + 1), rise / np.maximum(last - first - 1, 0.5)
    slopes = np.linspace(flat, steep, _SLOPES, axis=1) / gain
    return slopes.astype(np.float32).astype(np.float64)


def _room(slopes: Array, edge: Array, levels: range, low: Array, high: Array, gain: int) -> tuple[Array, Array]:
    """The lowest and highest integer bias (channels, slopes) that rounds to level k from edge k on, and not before."""
    wanted = np.array(levels)
    scaled, even = (wanted - 0.5) / slopes[:, :, None], wanted % 2 == 0  # a tie goes to the even one
    least, most = scaled - gain * edge[:, None], scaled - gain * (edge[:, None] - 1)
    lower = np.where(even, np.ceil(least), np.floor(least) + 1)
    upper = np.where(even, np.ceil(most) - 1, np.floor(most))
    reached, open_ = edge <= high[:, None], edge > low[:, None]  # by some p, and not by all
    return (
        np.where(reached[:, None], lower, -np.inf).max(axis=2),
        np.where(open_[:, None], upper, np.inf).min(axis=2),
    )


def _proven(line: Requantiser, edge: Array, levels: range, low: Array, high: Array, gain: int) -> bool:
    scale, bias = line.scale.astype(np.float64)[:, None], line.bias[:, None]
    if max(int((high * gain + line.bias).max()), -int((low * gain + line.bias).min())) > _EXACT32:
        return False
    for points in (edge, edge - 1):
        inside = np.clip(points, low[:, None], high[:, None])
        truth = levels.start - 1 + (inside[:, :, None] >= edge[:, None, :]).sum(axis=2)
        real = (inside * gain + bias) * scale  # 24 by 24 bits: exact in float64
        exact = real.astype(np.float32) == real
        for nudge in (1 - _SLACK, 1 + _SLACK):
            given = np.clip(np.rint(np.where(exact, real, real * nudge)), levels.start - 1, levels.stop - 1)
            if not np.array_equal(given, truth):
                return False
    return bool((line.scale > 0).all())
