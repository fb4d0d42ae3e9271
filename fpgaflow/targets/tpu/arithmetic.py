"""Fixed-point casts in int32 arithmetic, as XLA computes them on every platform."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import limits

Ints = Any  # a traced int32 array


def rounded(x: Ints, drop: int, rounding: Rounding) -> Ints:
    """x × 2^-drop, 0 < drop < 31, rounded: the floor, and one more where the rest says so."""
    floor, rest, half = x >> drop, x & ((1 << drop) - 1), 1 << (drop - 1)
    match rounding:
        case Rounding.TRN:
            return floor
        case Rounding.TRN_ZERO:
            up = (x < 0) & (rest > 0)
        case Rounding.RND:
            up = rest >= half
        case Rounding.RND_MIN_INF:
            up = rest > half
        case Rounding.RND_INF:
            up = jnp.where(x < 0, rest > half, rest >= half)
        case Rounding.RND_ZERO:
            up = jnp.where(x < 0, rest >= half, rest > half)
        case Rounding.RND_CONV:
            up = (rest > half) | ((rest == half) & (floor & 1 == 1))
    return floor + up.astype(jnp.int32)


def overflowed(x: Ints, type_: FixedType, overflow: Overflow) -> Ints:
    """x brought into the type, which has 31 bits at most if it is unsigned, else 32."""
    low, high = limits(type_, overflow)
    match overflow:
        case Overflow.SAT | Overflow.SAT_SYM:
            return jnp.clip(x, low, high)
        case Overflow.SAT_ZERO:
            return jnp.where((x < low) | (x > high), 0, x)
        case Overflow.WRAP:
            if type_.width == 32:
                return x
            return ((x - type_.low) & ((1 << type_.width) - 1)) + type_.low
