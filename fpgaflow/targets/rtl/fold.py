"""What a folding says of each op."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """One op's share: it takes `lanes` elements a beat and gives `pe`; `cycles` for a sample at full speed.

    Of a linear op, `simd` products are summed at a time for each of `pe` sums, and `lanes` are those of its window.
    """

    lanes: int
    pe: int
    cycles: int
    simd: int = 1

    @property
    def multipliers(self) -> int:
        return self.pe * self.simd


@dataclass(frozen=True)
class Folding:
    """The folds by op name, and the interval in cycles that the slowest of them, or the two streams, set."""

    folds: Mapping[str, Fold]
    interval: int

    @property
    def bottleneck(self) -> str:
        slowest = max(self.folds, key=lambda name: self.folds[name].cycles, default=None)
        return slowest if slowest is not None and self.folds[slowest].cycles >= self.interval else "the streams"
