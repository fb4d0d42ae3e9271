"""Toggle rates: how often the bits of a stream change from one beat to the next, counted on the simulator's integers.

The order of elements is that of the hardware: C order, `lanes` elements a beat, one sample after the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator

Array = np.ndarray
SAMPLES = 16


def toggle_rate(integers: Array, width: int, lanes: int) -> float:
    """Share of a stream's wires that change at a beat.

    Args:
        integers: (N, ...) values of one tensor, in two's complement of `width` bits.
        lanes: elements of a beat; a last beat that is not full is left out.
    """
    if width == 0:
        return 0.0
    lanes = min(max(1, lanes), integers.size)
    beats = integers.reshape(-1)[: integers.size // lanes * lanes].reshape(-1, lanes).astype(np.int64)
    if len(beats) < 2:
        return 0.0
    mask = np.uint64((1 << min(width, 64)) - 1)
    changed = (beats[1:] ^ beats[:-1]).view(np.uint64) & mask
    return float(np.bitwise_count(changed).mean() / min(width, 64))


def toggle_rates(graph: Graph, x: Array, lanes: Mapping[str, int]) -> dict[str, float]:
    """By op name: the mean of the rates of its inputs and its output, over the first samples of x (N, ...).

    Args:
        lanes: elements of a beat of an op's output, by op name; all channels where there is none.
    """
    traced = Simulator(graph).integers(x[:SAMPLES], list(graph.tensors))
    made = {op.output: lanes.get(op.name) for op in graph.ops}
    rates = {
        name: toggle_rate(traced[name], tensor.type.width, made.get(name) or (tensor.shape[-1] if tensor.shape else 1))
        for name, tensor in graph.tensors.items()
    }
    return {op.name: float(np.mean([rates[name] for name in (*op.inputs, op.output)])) for op in graph.ops}


def busy_shares(cycles: Mapping[str, int], interval: float) -> dict[str, float]:
    """By op name: the share of cycles in which it works while samples follow each other."""
    return {name: min(1.0, count / interval) if interval else 1.0 for name, count in cycles.items()}


def mean_activity(rates: Mapping[str, float], busy: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The design's toggle rate: rate times busy share of each op, weighted by its logic."""
    shares = {name: max(0.0, weights.get(name, 1.0)) for name in rates}
    whole = sum(shares.values())
    if not whole:
        return 0.0
    return sum(rates[name] * busy.get(name, 1.0) * shares[name] for name in rates) / whole
