"""Pending steps made part of the graph, exactly: integers on a grid fine enough for every scale and offset involved.

Scales that come from float32 are dyadic rationals, so that two of them always have a common grid. It costs width alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.advice import QUANTISE_BEFORE, QUANTISE_INPUT
from fpgaflow.frontend.exact.biases import add_bias
from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.values import (
    ONE,
    RELU,
    ZERO,
    Affine,
    Clamp,
    Fractions,
    Leaky,
    Product,
    Value,
    dyadic_fraction,
    with_affine,
)
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.ops_merge import ElementwiseKind
from fpgaflow.ir.types import type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH


def _odd(n: int) -> int:
    return abs(n) // (abs(n) & -abs(n))


def _two_part(value: Fraction) -> Fraction:
    """The power of two in a rational number.

    >>> _two_part(Fraction(12, 5)), _two_part(Fraction(3, 8))
    (Fraction(4, 1), Fraction(1, 8))
    """
    return abs(value) * Fraction(_odd(value.denominator), _odd(value.numerator))


def unit_of(entries: Iterable[Fraction]) -> Fraction:
    """A positive number of which every entry is a dyadic multiple, as large as it can be; 1 of zeros alone.

    Its power of two is that of the first entry that is not zero.

    >>> unit_of([Fraction(1, 4), Fraction(3)]), unit_of([Fraction(3), Fraction(9, 2)])
    (Fraction(1, 4), Fraction(3, 1))
    """
    found = [entry for entry in entries if entry]
    if not found:
        return ONE
    above, below = gcd(*(_odd(e.numerator) for e in found)), lcm(*(_odd(e.denominator) for e in found))
    return Fraction(above, below) * _two_part(found[0])


def on_grid(
    builder: Builder, value: Value, units: Fractions, node: str, wish: str, growth: int | None = None
) -> str | None:
    """A tensor whose fixed-point values times `units` are the value, which has at most one affine step pending.

    `units` has one entry, or one per channel of the value's axis. None where that takes constants of more than
    MAX_CONSTANT_WIDTH bits, or more than `growth` bits of width.
    """
    step = value.affine
    assert step is not None
    count = max(len(units), len(step.scale), len(step.offset))
    weights = tuple(step.scale[i % len(step.scale)] / units[i % len(units)] for i in range(count))
    bias = tuple(step.offset[i % len(step.offset)] / units[i % len(units)] for i in range(count))
    fraction, bias_fraction = dyadic_fraction(weights), dyadic_fraction(bias)
    if fraction is None or bias_fraction is None:
        return None
    if set(weights) == {ONE}:
        if not any(bias):
            return value.tensor
        short = bias[:1] if len(set(bias)) == 1 else bias
        known_as = builder.pending.get((value.tensor, value.steps[0])) if value.steps else None
        if (biased := add_bias(builder, value, short, bias_fraction, wish, known_as)) is not None:
            return biased
    parts = [
        [int(entry * Fraction(2) ** power) for entry in (entries[:1] if len(set(entries)) == 1 else entries)]
        for entries, power in ((weights, fraction), (bias, bias_fraction))
    ]
    if any(type_for(min(part), max(part), 0).width > MAX_CONSTANT_WIDTH for part in parts):
        return None
    source = builder.type(value.tensor)
    if growth is not None:
        spread = [[part[i % len(part)] for i in range(count)] for part in parts]
        if emit.scale_width(source, spread[0], fraction, spread[1], bias_fraction) > source.width + growth:
            return None
    name = f"{wish}.scaled"
    return emit.scale(builder, value.tensor, parts[0], fraction, parts[1], bias_fraction, value.axis, node, name)


def channel_units(steps: Sequence[Affine], *, offsets: bool) -> Fractions:
    """For each channel the common unit of all the steps there."""
    count = max(len(entries) for s in steps for entries in (s.scale, s.offset))
    return tuple(
        unit_of([s.scale[i % len(s.scale)] for s in steps] + [s.offset[i % len(s.offset)] for s in steps if offsets])
        for i in range(count)
    )


def linear(builder: Builder, value: Value, where: str, wish: str) -> Value:
    """The value with at most one affine step pending: clamps and what stands before them are in the graph.

    Raises:
        RefusedNodeError: a function is pending, or constants would be too wide.
    """
    if value.raw:
        refuse(
            where,
            "reads the model's input before any quantiser has",
            QUANTISE_INPUT,
        )
    while value.affine is None:
        value = _one_step(builder, value, where, wish)
    return value


def _one_step(builder: Builder, value: Value, where: str, wish: str) -> Value:
    node = where_name(where)
    before = value.steps[0] if isinstance(value.steps[0], Affine) else Affine((ONE,), (ZERO,))
    step, *rest = value.steps[1:] if isinstance(value.steps[0], Affine) else value.steps
    head = replace(value, steps=(before,))
    if isinstance(step, Clamp) and step != RELU:  # max(x, l) = relu(x - l) + l; min(x, h) = h - relu(h - x)
        chain = [] if step.low is None else [Affine((ONE,), (-step.low,)), RELU, Affine((ONE,), (step.low,))]
        chain += [] if step.high is None else [Affine((-ONE,), (step.high,)), RELU, Affine((-ONE,), (step.high,))]
        return _appended(replace(value, steps=value.steps[: len(value.steps) - len(rest) - 1]), (*chain, *rest))
    if isinstance(step, Product):
        left, right = (linear(builder, _appended(head, side), where, wish) for side in (step.left, step.right))
        return _appended(product(builder, left, right, where, f"{wish}.product"), tuple(rest))
    if not isinstance(step, Clamp | Leaky):
        refuse(where, "needs integers, but its input is a function that no quantiser has closed", QUANTISE_BEFORE)
    units = channel_units([before], offsets=True)
    tensor = on_grid(builder, head, units, node, wish)
    if tensor is None:
        refuse(where, f"a clamp needs integers of scale {_named(before)} and their offset on one grid", QUANTISE_BEFORE)
    if isinstance(step, Leaky):
        fraction = dyadic_fraction((ONE, *step.slope))
        if fraction is None or fraction + 1 > MAX_CONSTANT_WIDTH:
            refuse(where, "a slope that is no dyadic number", "Use a slope such as 0.125")
        slopes = [int(s * Fraction(2) ** fraction) for s in step.slope], [int(Fraction(2) ** fraction)]
        tensor = emit.piecewise(builder, tensor, 0, slopes, fraction, value.axis, node, f"{wish}.leaky")
    else:
        tensor = builder.relu(tensor, node, f"{wish}.relu")
    scaled = with_affine(replace(value, tensor=tensor, steps=()), units, (ZERO,), value.axis)
    assert scaled is not None
    return _appended(scaled, tuple(rest))


def _appended(value: Value, steps: tuple[object, ...]) -> Value:
    """The value with more steps, affine ones merged."""
    for step in steps:
        if isinstance(step, Affine):
            merged = with_affine(value, step.scale, step.offset, value.axis)
            assert merged is not None
            value = merged
        else:
            value = replace(value, steps=(*value.steps, step))  # type: ignore[arg-type]
    return value


def _named(step: Affine) -> str:
    shown = [f"{float(s):.9g}" if abs(s) < 2**1000 else "beyond 2^1000" for s in dict.fromkeys(step.scale)]
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")


def uniform(builder: Builder, value: Value, where: str, wish: str, growth: int | None = None) -> tuple[str, Fraction]:
    """A tensor and the one positive factor from its fixed-point values to the model's real ones."""
    value = linear(builder, value, where, wish)
    if value.unit is not None:
        return value.tensor, value.unit
    step = value.affine
    assert step is not None
    unit = unit_of((*step.scale, *step.offset))
    tensor = on_grid(builder, value, (unit,), where_name(where), wish, growth)
    if tensor is None:
        refuse(
            where,
            "needs integers, but its input carries a bias, scale or clamp that no quantiser has closed "
            f"(scales {_named(step)} have no common unit that is fine and small enough)",
            QUANTISE_BEFORE,
        )
    return tensor, unit


def with_unit(tensor: str, unit: Fraction) -> Value:
    """A tensor whose fixed-point values times one factor are the model's."""
    return Value(tensor, () if unit == ONE else (Affine((unit,), (ZERO,)),), 0)


def without_offset(builder: Builder, value: Value, where: str, wish: str) -> Value:
    """The linear value with its offset, if it has one, in the graph: a factor for all or per channel is pending."""
    step = value.affine
    assert step is not None
    if not step.has_offset:
        return value
    units = channel_units([step], offsets=True)
    tensor = on_grid(builder, value, units, where_name(where), wish)
    if tensor is None:
        refuse(where, f"an offset beside the scale {_named(step)} leaves {MAX_CONSTANT_WIDTH} bits", QUANTISE_BEFORE)
    result = with_affine(replace(value, tensor=tensor, steps=()), units, (ZERO,), value.axis)
    assert result is not None
    return result


def aligned(
    builder: Builder, values: Sequence[Value], where: str, wish: str, *, offsets: bool
) -> tuple[list[str], Value, list[Fractions]]:
    """Linear values on one grid: their tensors, what is pending on each, and the offsets left beside it.

    Returns:
        The tensors; a `Value` of the first tensor whose steps, a factor for all or per channel, serve all of them; and
        each one's offsets, zero where `offsets` asks for them to be on the grid too.
    """
    steps = []
    for value in values:
        assert value.affine is not None
        steps.append(value.affine)
    bare = [s if offsets else Affine(s.scale, (ZERO,)) for s in steps]
    axes = {v.axis for v, s in zip(values, bare, strict=True) if s.per_channel}
    units = channel_units(bare, offsets=offsets)
    if len(axes) > 1 or len(set(units)) == 1:
        units = (unit_of(e for s in bare for e in (*s.scale, *s.offset)),)
    axis = axes.pop() if len(units) > 1 else values[0].axis
    tensors = []
    for value, step in zip(values, bare, strict=True):
        # One scale for all takes the axis of the others' channels.
        own = replace(value, steps=(step,), axis=value.axis if step.per_channel else axis)
        tensor = on_grid(builder, own, units, where_name(where), wish)
        if tensor is None:
            scales = " and ".join(_named(s) for s in steps)
            refuse(
                where,
                f"its branches have different scales ({scales}), whose common grid leaves {MAX_CONSTANT_WIDTH} bits",
                "Share one quantiser between the branches, or use power-of-two scales",
            )
        tensors.append(tensor)
    shared = with_affine(Value(tensors[0], (), axis), units, (ZERO,), axis)
    assert shared is not None
    return tensors, shared, [(ZERO,) if offsets else s.offset for s in steps]


def product(builder: Builder, left: Value, right: Value, where: str, wish: str) -> Value:
    """The product of two linear values of one shape, element by element."""
    a, b = (without_offset(builder, value, where, wish) for value in (left, right))
    if a.per_channel and b.per_channel and a.axis != b.axis:
        tensor, unit = uniform(builder, b, where, wish)
        b = _appended(Value(tensor, (), a.axis), (Affine((unit,), (ZERO,)),))
    node = where_name(where)
    tensor = emit.elementwise(builder, ElementwiseKind.MULTIPLY, a.tensor, b.tensor, node, wish)
    result: Value | None = Value(tensor, (), a.axis if a.per_channel else b.axis)
    for side in (a, b):
        assert side.affine is not None and result is not None
        result = with_affine(result, side.affine.scale, (ZERO,), result.axis)
    assert result is not None
    return result


def where_name(where: str) -> str:
    """The bare node name in `node 'name' (Kind)`."""
    return where.split("'")[1] if "'" in where else where
