"""Input quantisers in a few vectorised steps, held in float32, where those are proven to give `quantise`'s integers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fpgaflow.ir.graph import Input
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.sim.fixed_point import power_of_two, smallest_float

_MAX_LEVELS = 1 << 16
_EXACT32 = 1 << 24


def quantise_float32(x: np.ndarray, port: Input) -> np.ndarray | None:
    """`quantise` of float32 x, as float32 integers; None where no quick way is proven."""
    narrow = max(-port.low, port.high) <= _EXACT32 and port.rounding is Rounding.RND_CONV
    if x.dtype != np.float32 or not narrow or port.overflow is not Overflow.SAT or port.ap_int:
        return None
    if port.offset == 0 and power_of_two(port.gain) and 1 <= port.gain <= 1 << 32:
        # Scaling up by a power of two rounds nothing, and what leaves float32's range saturates anyway.
        with np.errstate(over="ignore"):
            return _fitted(x * np.float32(port.gain), port)
    if not _straight(port):
        return None
    scaled = x.astype(np.float64)
    scaled *= float(port.gain)
    scaled += float(port.offset)
    return _fitted(scaled, port)


def _fitted(scaled: np.ndarray, port: Input) -> np.ndarray:
    np.rint(scaled, out=scaled)
    return np.clip(scaled, port.low, port.high, out=scaled).astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def _straight(port: Input) -> bool:
    """Whether float64 arithmetic rounds every float32 to the right level.

    Multiplying, adding and rounding are monotone, so two float32 decide for each level: the smallest that has it, and
    the one below.
    """
    if not 0 < port.high - port.low < _MAX_LEVELS or not 2.0**-60 < port.gain < 2.0**60:
        return False
    levels = np.arange(port.low + 1, port.high + 1)
    real = np.array([smallest_float(level, port) for level in levels.tolist()])
    edges = real.astype(np.float32)
    edges = np.where(edges < real, np.nextafter(edges, np.float32(np.inf)), edges)
    below = np.nextafter(edges, np.float32(-np.inf))
    at, under = (np.rint(e.astype(np.float64) * float(port.gain) + float(port.offset)) for e in (edges, below))
    return bool(np.isfinite(edges).all() and (at >= levels).all() and (under < levels).all())
