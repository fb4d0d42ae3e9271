"""Comparisons of real numbers with fixed edges, carried to the integers before the pending steps: exact thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np

from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.inversion import Condition, channel_sign, invert
from fpgaflow.frontend.exact.values import Value
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import FixedType

MAX_LEVELS = 1 << 12  # thresholds of one channel

Edges = Sequence[tuple[Fraction, bool]]  # ascending; each with whether the edge itself is still below


def compared(
    builder: Builder,
    value: Value,
    rows: Sequence[Edges],
    axis: int,
    step: int,
    offset: int,
    type_: FixedType,
    node: str,
    wish: str,
) -> str:
    """A tensor of offset + step × (the number of edges that `value`, with all its pending steps, has reached).

    `rows` are edges for all channels, or one row per channel of `axis`; a row has an entry per level.
    """
    pending = value.per_channel
    if pending and len(rows) > 1 and value.axis != axis:
        refuse(
            f"node '{node}'",
            "per-channel scales along two different axes meet",
            "Use one scale for the whole activation",
        )
    axis = value.axis if pending else axis
    source = builder.type(value.tensor)
    channels = builder.shape(value.tensor)[axis] if pending or len(rows) > 1 else 1
    table = np.empty((channels, len(rows[0])), dtype=object)
    signs = np.ones(channels, dtype=np.int64)
    for channel in range(channels):
        signs[channel] = sign = channel_sign(value.steps, channel)
        lowest, beyond = (source.low, source.high + 1) if sign > 0 else (-source.high, -source.low + 1)
        for column, (edge, strict) in enumerate(rows[channel % len(rows)]):
            found = invert(value.steps, channel, edge, strict)
            table[channel, column] = min(max(_first_integer(found, source.fraction, lowest, beyond), lowest), beyond)
    flipped = signs if (signs < 0).any() else None
    if flipped is not None and channels == 1:
        flipped = np.full(builder.shape(value.tensor)[axis], -1, dtype=np.int64)
    return builder.threshold(value.tensor, table, flipped, step, offset, axis, type_, node, wish)


def _first_integer(found: Condition | bool, fraction: int, lowest: int, beyond: int) -> int:
    if isinstance(found, bool):
        return lowest if found else beyond
    scaled = found.edge * (Fraction(2) ** fraction)
    return floor(scaled) + 1 if found.strict else ceil(scaled)
