"""Counting differing values between two ways to compute the same outputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph, Output
from fpgaflow.ir.ops import Threshold


@dataclass(frozen=True)
class Mismatches:
    """`different` of `values` output values over `samples` samples; `first_sample` is the first that differs."""

    samples: int
    values: int
    different: int
    first_sample: int | None = None

    def __add__(self, other: Mismatches) -> Mismatches:
        """Of two outputs of the same samples."""
        first = min((n for n in (self.first_sample, other.first_sample) if n is not None), default=None)
        return Mismatches(self.samples, self.values + other.values, self.different + other.different, first)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def count_different(left: np.ndarray, right: np.ndarray) -> Mismatches:
    """Values of `left` (N, ...) that are not equal to those of `right`; NaN equals nothing.

    Raises:
        CheckFailed: they have different shapes.
    """
    if left.shape != right.shape:
        raise CheckFailed("outputs", f"shapes {left.shape} and {right.shape}", "Report it with the model")
    unequal = left != right
    rows = unequal.any(axis=tuple(range(1, unequal.ndim)))
    return Mismatches(len(left), unequal.size, int(unequal.sum()), int(rows.argmax()) if rows.any() else None)


def output_integers(values: np.ndarray, port: Output) -> np.ndarray:
    """The integers that real output values (N, ...) stand for: value = integer × scale + offset, to the nearest.

    What float32 executors round in the last place of a scale that is no power of two does not count as a difference.
    """
    behind = (1,) * (values.ndim - port.axis - 2)  # axes behind the channels
    scale, offset = (
        np.array([float(entry) for entry in entries]).reshape(-1, *(behind if len(entries) > 1 else ()))
        for entries in (port.scale, port.offset)
    )
    return np.rint((values.astype(np.float64) - offset) / scale)


def float32_is_exact(graph: Graph) -> bool:
    """Whether executing the model in float32 rounds nowhere that matters: every scale is a power of two.

    Where it is not, a float32 executor may land on the other side of a rounding boundary; the graph does not.
    """
    scales = [s for port in graph.outputs for s in port.scale] + [port.gain for port in graph.inputs]
    dyadic = all(n & (n - 1) == 0 for s in scales for n in (s.numerator, s.denominator))
    return dyadic and not any(isinstance(op, Threshold) for op in graph.ops)


def difference(who: str, mismatches: Mismatches) -> CheckFailed | None:
    """The failure of a stage whose outputs should have been the simulator's; None where they are."""
    if not mismatches.different:
        return None
    found = f"{mismatches.different} of {mismatches.values} output values differ from the simulator's"
    return CheckFailed(who, found, "Run `fpgaflow validate` on the build to see the first layer that differs")
