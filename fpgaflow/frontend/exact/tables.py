"""Quantised functions as exact tables: every entry, or every threshold, decided with as many digits as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.functions import DIGITS, Enclosure, UndecidedError, estimate, evaluate, exactly
from fpgaflow.frontend.exact.inversion import channel_sign
from fpgaflow.frontend.exact.quantizer import Quantizer, edge_of
from fpgaflow.frontend.exact.thresholds import MAX_LEVELS
from fpgaflow.frontend.exact.values import ZERO, Function, Leaky, Product, Step, Value
from fpgaflow.frontend.refuse import refuse

MAX_TABLE_WIDTH = 12  # bits of the integers that a function is tabulated for, one by one


def has_function(steps: Iterable[Step]) -> bool:
    """Whether a function is pending that no integers can follow."""
    return any(isinstance(s, Function) or (isinstance(s, Product) and has_function((*s.left, *s.right))) for s in steps)


def rises_or_falls(steps: Iterable[Step]) -> bool:
    """Whether the steps never turn, as far as this is plain from each of them."""
    return not any(
        isinstance(s, Product)
        or (isinstance(s, Function) and s.kind == "abs")
        or (isinstance(s, Leaky) and min(s.slope) < 0)
        for s in steps
    )


def tabulated(builder: Builder, value: Value, quantizer: Quantizer, node: str, wish: str) -> str | None:
    """The integers q - zero_point of a quantiser behind functions, or a product of a few bits; None of other steps."""
    where, source = f"node '{node}'", builder.type(value.tensor)
    small = not value.per_channel and len(quantizer.scale) == 1 and source.width <= MAX_TABLE_WIDTH
    few = small and quantizer.high - quantizer.low <= MAX_LEVELS
    if not has_function(value.steps) and not (few and any(isinstance(s, Product) for s in value.steps)):
        return None
    levels = [None] if quantizer.bipolar else range(quantizer.low + 1, quantizer.high + 1)
    if len(levels) > MAX_LEVELS:
        refuse(where, f"a {quantizer.width}-bit quantiser behind a function", "Use 12 bits at most")
    edges = [(ZERO, False) if level is None else edge_of(level, quantizer.rounding) for level in levels]
    rows = [[((e - quantizer.zero_point) * scale, strict) for e, strict in edges] for scale in quantizer.scale]
    step, offset = (2, -1) if quantizer.bipolar else (1, quantizer.low - quantizer.zero_point)
    try:
        if small:
            chain = _Chain(value.steps, 0, source.fraction)
            table = [offset + step * chain.level(x, rows[0]) for x in range(source.low, source.high + 1)]
            return emit.lookup(builder, value.tensor, table, quantizer.result_type, node, wish)
        if not rises_or_falls(value.steps):
            refuse(
                where,
                f"a function that turns, of {source.width} bits",
                f"Quantise its argument to {MAX_TABLE_WIDTH} bits at most, with one scale, and use it once",
            )
        if value.per_channel and len(rows) > 1 and value.axis != quantizer.axis:
            refuse(where, "per-channel scales along two different axes meet", "Use one scale for the whole activation")
        axis = value.axis if value.per_channel else quantizer.axis
        channels = builder.shape(value.tensor)[axis] if value.per_channel or len(rows) > 1 else 1
        chains = [_Chain(value.steps, channel, source.fraction) for channel in range(channels)]
        table_of = [c.thresholds(rows[i % len(rows)], source.low, source.high) for i, c in enumerate(chains)]
    except UndecidedError:
        refuse(where, "a function whose value is too near to a rounding boundary, or too large", "Change the scale")
    signs = np.array([chain.sign for chain in chains], dtype=np.int64)
    if channels == 1:
        signs = np.repeat(signs, builder.shape(value.tensor)[axis])
    flipped = signs if (signs < 0).any() else None
    array = np.array(table_of, dtype=object).reshape(channels, len(edges))
    return builder.threshold(value.tensor, array, flipped, step, offset, axis, quantizer.result_type, node, wish)


@dataclass
class _Chain:
    """What pending steps make of the integers of one channel, at a fraction."""

    steps: tuple[Step, ...]
    channel: int
    fraction: int

    def __post_init__(self) -> None:
        self.sign = channel_sign(self.steps, self.channel)
        self._lsb = Fraction(2) ** -self.fraction
        self._known: dict[tuple[int, int], Enclosure] = {}

    def _enclosure(self, x: int, digits: int) -> Enclosure:
        if (x, digits) not in self._known:
            self._known[x, digits] = evaluate(self.steps, self.channel, exactly(x * self._lsb), digits)
        return self._known[x, digits]

    def reaches(self, x: int, edge: Fraction, strict: bool) -> bool:
        """Whether the value of integer x is >= edge, or > where strict."""
        for digits in DIGITS:
            try:
                found = self._enclosure(x, digits)
            except UndecidedError:
                continue
            if found.exact:
                return found.low > edge if strict else found.low >= edge
            if found.low >= edge:
                return True
            if found.high <= edge:
                return False
        raise UndecidedError

    def level(self, x: int, row: list[tuple[Fraction, bool]]) -> int:
        """How many of the ascending edges the value of integer x reaches."""
        return _first(lambda column: not self.reaches(x, *row[column]), 0, len(row))

    def thresholds(self, row: list[tuple[Fraction, bool]], low: int, high: int) -> list[int]:
        """For each edge the first sign × x that reaches it, for x from low to high; one beyond where none does."""
        lowest, beyond = (low, high + 1) if self.sign > 0 else (-high, -low + 1)
        found = []
        for edge, strict in row:

            def reached(y: int, edge: Fraction = edge, strict: bool = strict) -> bool:
                return self.reaches(self.sign * y, edge, strict)

            def guessed(y: int, edge: Fraction = edge) -> bool:
                return estimate(self.steps, self.channel, float(self.sign * y * self._lsb)) >= float(edge)

            try:
                first = _first(guessed, lowest, beyond)
            except OverflowError:  # a number that no float holds
                first = lowest
            if (first < beyond and not reached(first)) or (first > lowest and reached(first - 1)):
                first = _first(reached, lowest, beyond)
            found.append(first)
        return found


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first integer of [low, high) from which on `holds` is true; high if it never is."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
