"""What an importer knows of a tensor while it reads a model: integers that exist, and exact real steps still pending.

A pending `Step` is applied in rational arithmetic, never in floating point. A quantiser ends the chain: it inverts the
steps and asks, for each output level, from which integer on that level is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt

import numpy as np

Fractions = tuple[Fraction, ...]

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Affine:
    """x × scale + offset; each has one entry for all channels or one per channel."""

    scale: Fractions
    offset: Fractions

    @property
    def uniform_scale(self) -> Fraction | None:
        """The scale, if it is one and the same for every channel."""
        return self.scale[0] if len(set(self.scale)) == 1 else None

    @property
    def has_offset(self) -> bool:
        return any(self.offset)

    @property
    def per_channel(self) -> bool:
        return len(self.scale) > 1 or len(self.offset) > 1


@dataclass(frozen=True)
class Clamp:
    """min(max(x, low), high), either of which may be missing."""

    low: Fraction | None
    high: Fraction | None

    @property
    def per_channel(self) -> bool:
        return False


@dataclass(frozen=True)
class Leaky:
    """x where x is not negative, else x × slope; one slope for all channels or one per channel."""

    slope: Fractions

    @property
    def per_channel(self) -> bool:
        return len(self.slope) > 1


@dataclass(frozen=True)
class Function:
    """A real function of `fpgaflow.frontend.exact.functions`, by its name there, with its parameter if it has one."""

    kind: str
    parameter: Fraction = ZERO

    @property
    def per_channel(self) -> bool:
        return False


@dataclass(frozen=True)
class Product:
    """The product of what two chains of steps make of the same argument."""

    left: tuple[Step, ...]
    right: tuple[Step, ...]

    @property
    def per_channel(self) -> bool:
        return any(step.per_channel for step in (*self.left, *self.right))


Step = Affine | Clamp | Leaky | Function | Product
RELU = Clamp(ZERO, None)


@dataclass(frozen=True)
class Value:
    """A tensor of the graph under construction, and the steps from its fixed-point values to the model's real ones.

    `axis` is the axis of the unbatched tensor along which per-channel steps run.
    """

    tensor: str
    steps: tuple[Step, ...]
    axis: int
    raw: bool = False  # a model input that no quantiser has read yet: the steps start from the user's real numbers

    @property
    def per_channel(self) -> bool:
        return any(step.per_channel for step in self.steps)

    @property
    def affine(self) -> Affine | None:
        """All that is pending, if it is one affine step or none."""
        if not self.steps:
            return Affine((ONE,), (ZERO,))
        return self.steps[0] if len(self.steps) == 1 and isinstance(self.steps[0], Affine) else None

    @property
    def unit(self) -> Fraction | None:
        """The one positive factor that is all that is pending, if so: real = fixed-point value × unit."""
        if not self.steps:
            return ONE
        step = self.steps[0]
        if len(self.steps) > 1 or not isinstance(step, Affine) or step.has_offset:
            return None
        scale = step.uniform_scale
        return scale if scale is not None and scale > 0 else None


@dataclass(frozen=True)
class Const:
    """A constant of the model; where a quantiser made it, its integers and their scale (broadcastable) as well."""

    values: np.ndarray
    ints: np.ndarray | None = None  # int64, same shape
    scale: np.ndarray | None = None  # float64 holding the exact float32 scales, same rank
    width: int | None = None  # bits the quantiser declares
    signed: bool = True
    probed: np.ndarray | None = None  # the values again for another batch size, where they come from a runtime shape

    @property
    def needs_batch(self) -> bool:
        return self.probed is not None and not np.array_equal(self.values, self.probed)

    @property
    def exact(self) -> Fractions:
        """The rational values, flattened: of a quantised constant the integers × scale, which float32 may round."""
        if self.ints is None or self.scale is None:
            return fractions(self.values)
        scales = np.broadcast_to(self.scale, self.ints.shape)
        return tuple(q * s for q, s in zip(fractions(self.ints), fractions(scales), strict=True))


@dataclass(frozen=True)
class Poison:
    """The result of a node that was refused: what reads it is not reported again."""

    constant: bool = False  # it was to be folded


def fractions(array: np.ndarray) -> Fractions:
    """The exact rational values of a float or integer array, flattened.

    >>> fractions(np.array([0.5, 0.25]))
    (Fraction(1, 2), Fraction(1, 4))
    """
    return tuple(Fraction(v.item()) for v in np.asarray(array).reshape(-1))


def broadcast(left: Fractions, right: Fractions) -> list[tuple[Fraction, Fraction]]:
    """Pairs of entries, one-element tuples repeated."""
    count = max(len(left), len(right))
    return [(left[i % len(left)], right[i % len(right)]) for i in range(count)]


def with_affine(value: Value, scale: Fractions, offset: Fractions, axis: int) -> Value | None:
    """`value` × scale + offset, merged into its last step; None where per-channel steps of two axes would meet."""
    per_channel = len(scale) > 1 or len(offset) > 1
    if per_channel and value.per_channel and axis != value.axis:
        return None
    kept_axis = axis if per_channel else value.axis
    steps = value.steps
    if steps and isinstance(steps[-1], Affine):
        last, steps = steps[-1], steps[:-1]
        scales = tuple(a * b for a, b in broadcast(last.scale, scale))
        moved = tuple(a * b for a, b in broadcast(last.offset, scale))
        offset = tuple(a + b for a, b in broadcast(moved, offset))
    else:
        scales = scale
    merged = Affine(_shortened(scales), _shortened(offset))
    identity = merged == Affine((ONE,), (ZERO,))
    return replace(value, steps=steps if identity else (*steps, merged), axis=kept_axis)


def _shortened(entries: Fractions) -> Fractions:
    return entries[:1] if len(set(entries)) == 1 else entries


def map_channels(steps: tuple[Step, ...], function: Callable[[Fractions], Fractions]) -> tuple[Step, ...]:
    """The steps with the function of every per-channel list of entries in its place."""

    def each(entries: Fractions) -> Fractions:
        return function(entries) if len(entries) > 1 else entries

    def one(step: Step) -> Step:
        match step:
            case Affine():
                return Affine(each(step.scale), each(step.offset))
            case Leaky():
                return Leaky(each(step.slope))
            case Product():
                return Product(map_channels(step.left, function), map_channels(step.right, function))
        return step

    return tuple(map(one, steps))


def is_power_of_two(value: Fraction) -> bool:
    return value > 0 and all(n & (n - 1) == 0 for n in (value.numerator, value.denominator))


def exponent(value: Fraction) -> int:
    """k for value = 2^k.

    >>> exponent(Fraction(1, 8)), exponent(Fraction(4))
    (-3, 2)
    """
    return value.numerator.bit_length() - value.denominator.bit_length()


def dyadic_fraction(values: Fractions) -> int | None:
    """Fraction bits that hold all the values exactly (negative where all are multiples of 2^k); None if none do."""
    bits = []
    for value in values:
        if value.denominator & (value.denominator - 1):
            return None
        if value:
            trailing = (value.numerator & -value.numerator).bit_length() - 1
            bits.append(value.denominator.bit_length() - 1 - trailing)
    return max(bits, default=0)


SQRT_BITS = 128


def inverse_sqrt(value: Fraction) -> Fraction:
    """1 / sqrt(value), exact where the root is rational, else with a relative error below 2^-120."""
    root = Fraction(isqrt(value.numerator << 2 * SQRT_BITS), 1 << SQRT_BITS)
    below = Fraction(isqrt(value.denominator << 2 * SQRT_BITS), 1 << SQRT_BITS)
    return below / root
