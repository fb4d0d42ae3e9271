"""How often values really leave their types over given samples: wrapped in an accumulator or cast, or saturated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.fixed_point import beyond, limits
from fpgaflow.sim.intervals import results
from fpgaflow.sim.kernels import EXACT, overflow_of
from fpgaflow.sim.reference import chunk_samples

if TYPE_CHECKING:
    from fpgaflow.sim.run import Simulator


@dataclass(frozen=True)
class OverflowCount:
    """Of `values` results so many wrapped around, and so many were clamped or became zero.

    `rectified` of the saturated ones were negative and the type unsigned: what a ReLU in a quantiser does on purpose.
    """

    wrapped: int = 0
    saturated: int = 0
    values: int = 0
    rectified: int = 0

    def __add__(self, other: OverflowCount) -> OverflowCount:
        return OverflowCount(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def count_overflows(
    simulator: Simulator, x: Any, progress: Callable[[int, int], None] | None = None
) -> dict[str, OverflowCount]:
    """Counts over x (N, ...), by the name of each op whose type might not hold its results, inputs first.

    An entry `input 'NAME'` counts the reals beyond the range of that input's quantiser. A sum counts once however
    often its partial sums wrapped, and only if it does not come out right in the end. The results before overflow
    handling are the reference's; ops that interval arithmetic clears are not computed again.

    Raises:
        BadInput: wrong shape or dtype, NaN or infinity.
    """
    graph = simulator.graph
    arrays = simulator.checked(x)
    reached = results(graph)
    fitted = [op for op in graph.ops if type(op) in EXACT]
    suspects = [op for op in fitted if reached[op.name].overflows]
    wanted = list(dict.fromkeys(name for op in suspects for name in op.inputs))
    samples, step = len(arrays[0]), chunk_samples(graph, suspects)
    counts = {f"input '{port.name}'": OverflowCount() for port in graph.inputs}
    counts |= {op.name: OverflowCount(values=samples * prod(graph.tensors[op.output].shape)) for op in fitted}
    for start in range(0, samples, step):
        parts = [array[start : start + step] for array in arrays]
        for port, part in zip(graph.inputs, parts, strict=True):
            below, above = beyond(part, port)
            found = _count(below, above, port.overflow, graph.type_of(port.tensor))
            counts[f"input '{port.name}'"] += replace(found, values=part.size)
        integers = simulator.integers(simulator.by_name(parts), wanted)
        for op in suspects:
            exact = EXACT[type(op)](op, graph, *(integers[name] for name in op.inputs))
            type_, overflow = graph.type_of(op.output), overflow_of(op)
            low, high = limits(type_, overflow)
            counts[op.name] += _count(exact < low, exact > high, overflow, type_)
        if progress is not None:
            progress(min(start + step, samples), samples)
    return counts


def _count(below: np.ndarray, above: np.ndarray, overflow: Overflow, type_: FixedType) -> OverflowCount:
    negative, outside = int(below.sum()), int(below.sum()) + int(above.sum())
    if overflow is Overflow.WRAP:
        return OverflowCount(wrapped=outside)
    return OverflowCount(saturated=outside, rectified=0 if type_.signed else negative)
