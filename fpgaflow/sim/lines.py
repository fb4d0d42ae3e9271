"""Thresholds as a straight line, count(x) = floor(x × m + c) within [0, levels], where that is proven for every x.

Multiplication by a positive float, addition and floor are monotone, also after rounding to float32. So the line gives
the right count for every integer if it does at both sides of each threshold, and those few points are checked one by
one, in the very float32 arithmetic that will run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_SLOPES = 129  # slopes tried between the flattest and the steepest that the outer thresholds allow


@dataclass(frozen=True)
class Line:
    """float32 (channels,) slope and intercept."""

    slope: np.ndarray
    intercept: np.ndarray


def fit_line(thresholds: np.ndarray, low: int, high: int) -> Line | None:
    """The line for thresholds (channels, levels), ascending, over integers of [low, high]; None if none is proven."""
    return _fit(np.ascontiguousarray(thresholds, dtype=np.int64).tobytes(), thresholds.shape, low, high)


@lru_cache(maxsize=256)  # the choice of an op's arithmetic and its emission ask alike
def _fit(content: bytes, shape: tuple[int, ...], low: int, high: int) -> Line | None:
    thresholds = np.frombuffer(content, dtype=np.int64).reshape(shape)
    channels = len(thresholds)
    if max(abs(low), abs(high)) > 1 << 24:
        return None
    slope = np.empty(channels, dtype=np.float32)
    intercept = np.empty(channels, dtype=np.float32)
    for channel in range(channels):
        found = _fit_channel(thresholds[channel].astype(np.float64), low, high)
        if found is None:
            return None
        slope[channel], intercept[channel] = found
    line = Line(slope, intercept)
    return line if _proven(line, thresholds, low, high) else None


def _fit_channel(edges: np.ndarray, low: int, high: int) -> tuple[float, float] | None:
    """Slope and intercept with the widest margin: x × m + c >= k at edge k, and < k one below it."""
    counts = np.arange(1, len(edges) + 1)
    real = (edges > low) & (edges <= high)
    if real.sum() < 2:
        slopes = np.array([1.0])
    else:
        first, last = edges[real][0], edges[real][-1]
        rise = counts[real][-1] - counts[real][0]
        steepest = rise / max(last - first - 1, 0.5)
        slopes = np.linspace(rise / (last - first + 1), steepest, _SLOPES)
    at, below = edges <= high, edges > low
    lower = np.where(at, counts - slopes[:, None] * edges, -np.inf).max(axis=1)
    upper = np.where(below, counts - slopes[:, None] * (edges - 1), np.inf).min(axis=1)
    # Where nothing bounds one side, any point one unit inside the other bound will do.
    lower, upper = np.where(np.isinf(lower), upper - 2, lower), np.where(np.isinf(upper), lower + 2, upper)
    best = int(np.argmax((upper - lower) / slopes))
    if not upper[best] > lower[best]:
        return None
    return float(slopes[best]), float((upper[best] + lower[best]) / 2)


def count_by_line(line: Line, x: np.ndarray, levels: int) -> np.ndarray:
    """Counts for float32 integers x (..., channels), in the arithmetic that the float graph runs."""
    return np.clip(np.floor(x * line.slope + line.intercept), 0, levels)


def _proven(line: Line, thresholds: np.ndarray, low: int, high: int) -> bool:
    levels = thresholds.shape[1]
    for points in (thresholds, thresholds - 1):
        inside = np.clip(points, low, high)
        truth = (inside[:, :, None] >= thresholds[:, None, :]).sum(axis=2)
        if not np.array_equal(count_by_line(line, inside.T.astype(np.float32), levels).T, truth):
            return False
    return bool((line.slope > 0).all())
