"""What is proven of an engine: op by op, why its bits are the simulator's, or the cause of a tolerance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One op, or one port of the model.

    Attributes:
        name, kind: of the op or port.
        arithmetic: what the engine computes it in.
        exact: whether its bits are proven to be the simulator's.
        why: the proof, or the cause of the tolerance.
        reach: the largest magnitude on the way, in units of the result; None where nothing is summed or rounded.
    """

    name: str
    kind: str
    arithmetic: str
    exact: bool
    why: str
    reach: int | None = None


@dataclass(frozen=True)
class Certificate:
    entries: tuple[Entry, ...]

    @property
    def exact(self) -> bool:
        return all(entry.exact for entry in self.entries)

    @property
    def causes(self) -> tuple[Entry, ...]:
        """The entries that are not proven exact."""
        return tuple(entry for entry in self.entries if not entry.exact)

    def as_json(self) -> dict[str, Any]:
        return {"exact": self.exact, "entries": [asdict(entry) for entry in self.entries]}
