"""How often float32, in which QONNX's executor computes, rounds otherwise than exact arithmetic, by quantiser.

Each quantiser is computed from what the quantisers before it give exactly, so that a difference counts where it arises
and nowhere behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.qonnx.importer import QONNX_OPS
from fpgaflow.frontend.qonnx.onnx_file import Node, OnnxModel, read_model
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import by_input
from fpgaflow.sim.run import Simulator

_QUANTISERS = frozenset({*QONNX_OPS, "DequantizeLinear"})  # the last gives what its QuantizeLinear rounds


@dataclass(frozen=True)
class Rounded:
    """Of the `values` that one quantiser rounds, those that float32 rounds to another level."""

    node: str
    values: int
    different: int


@dataclass(frozen=True)
class FloatRounding:
    """`not_compared`: quantisers that the graph has no tensor of, joined to others, or with one scale per channel."""

    samples: int
    quantisers: tuple[Rounded, ...]
    not_compared: tuple[str, ...]

    @property
    def values(self) -> int:
        return sum(entry.values for entry in self.quantisers)

    @property
    def different(self) -> int:
        return sum(entry.different for entry in self.quantisers)

    def as_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "values": self.values,
            "different": self.different,
            "quantisers": [asdict(entry) for entry in self.quantisers],
            "not_compared": list(self.not_compared),
        }


def float_rounding(path: Path, graph: Graph, x: np.ndarray) -> FloatRounding:
    """Runs the samples x (N, ...) through QONNX's executor for the file of `graph`, which has one input.

    Raises:
        ToolFailed: the executor does not run this model.
    """
    quantisers = {node.outputs[0]: node for node in _of_activations(read_model(path))}
    sources = {tensor.source.name: tensor for tensor in graph.tensors.values() if tensor.source is not None}
    found = {name: sources[name] for name in quantisers if name in sources}
    integers = Simulator(graph).integers(x, [tensor.name for tensor in found.values()])
    levels, units = {}, {}
    for name, tensor in found.items():
        assert tensor.source is not None
        moved = integers[tensor.name].transpose(0, *(axis + 1 for axis in tensor.source.perm))
        levels[name] = moved.reshape(len(x), *tensor.source.shape)
        units[name] = tensor.source.unit * Fraction(2) ** -tensor.type.fraction
    theirs = run_qonnx(path, by_input(graph, x), layers=True, given=_reals(levels, units))
    rounded = [
        Rounded(str(quantisers[name]), exact.size, int((np.rint(theirs[name] / float(units[name])) != exact).sum()))
        for name, exact in levels.items()
        if name in theirs
    ]
    missing = [str(node) for name, node in quantisers.items() if name not in found or name not in theirs]
    return FloatRounding(len(x), tuple(rounded), tuple(missing))


def _reals(levels: Mapping[str, np.ndarray], units: Mapping[str, Fraction]) -> dict[str, np.ndarray]:
    return {name: array * float(units[name]) for name, array in levels.items()}


def _of_activations(model: OnnxModel) -> list[Node]:
    """The quantisers that read what depends on the model's inputs."""
    live = {port.name for port in model.inputs}
    found = []
    for node in model.nodes:
        if live.intersection(node.inputs):
            live.update(node.outputs)
            if node.kind in _QUANTISERS:
                found.append(node)
    return found
