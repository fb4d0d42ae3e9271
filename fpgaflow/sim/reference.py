"""The reference engine: every op by its kernel, one after the other. It is the specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Op
from fpgaflow.sim.choice import Choice, choose_integers
from fpgaflow.sim.kernels import run_op

_ELEMENTS = 1 << 22  # integers of the largest intermediate that one chunk may hold


class ReferenceRunner:
    """Runs chunks of a graph, best of `chunk` samples at a time."""

    workers = 1

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.chunk = chunk_samples(graph, graph.ops)

    @property
    def choices(self) -> dict[str, Choice]:
        return {op.name: choose_integers(op, self._graph) for op in self._graph.ops}

    def __call__(self, values: Mapping[str, np.ndarray], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        computed = dict(values)
        for op in self._graph.ops:
            computed[op.output] = run_op(op, self._graph, *(computed[name] for name in op.inputs))
        return {name: computed[name] for name in wanted}


def chunk_samples(graph: Graph, ops: Iterable[Op]) -> int:
    """Samples for which the kernels of `ops` stay within a bounded memory."""
    taps = [prod(graph.constants[op.weights].shape[:-1]) for op in ops if hasattr(op, "weights")]  # im2col copies
    largest = max(prod(tensor.shape) for tensor in graph.tensors.values()) * max([1, *taps])
    return max(1, _ELEMENTS // max(1, largest))
