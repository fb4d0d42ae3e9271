"""The float network of a graph's topology in torch, on cuBLAS and cuDNN: the anchor of the engines' speed.

Channels first, ReLU where the graph quantises to unsigned types, random weights: only speed counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fpgaflow import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Divide
from fpgaflow.sim.simplify import simplified

Layer = Callable[..., Tensor]


class TorchNet(nn.Module):
    """Takes x (N, channels, *places), or (N, features).

    Raises:
        NotImplementedError: an op that has no float form here.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = simplified(graph)
        self._layers = nn.ModuleDict()
        torch.manual_seed(0)
        for number, op in enumerate(self._graph.ops):
            match op:
                case Dense():
                    self._layers[str(number)] = nn.Linear(*self._graph.constants[op.weights].shape)
                case Conv():
                    *kernel, channels, filters = self._graph.constants[op.weights].shape
                    kind = nn.Conv2d if len(kernel) == 2 else nn.Conv1d
                    places = {"stride": op.strides, "dilation": op.dilations, "groups": op.groups}
                    self._layers[str(number)] = kind(channels * op.groups, filters, tuple(kernel), **places)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an input, without the batch."""
        return _first(self._graph, self._graph.inputs[0].tensor)

    def forward(self, x: Tensor) -> Tensor:
        graph = self._graph
        known = {graph.inputs[0].tensor: x}
        rectified: set[str] = set()
        for number, op in enumerate(graph.ops):
            inputs = [known[name] for name in op.inputs]
            known[op.output] = self._computed(number, op, inputs, rectified)
        return known[graph.outputs[0].tensor]

    def _computed(self, number: int, op: Any, inputs: list[Tensor], rectified: set[str]) -> Tensor:
        (x, *others), graph = inputs, self._graph
        match op:
            case Dense():
                return self._layers[str(number)](x)
            case Conv():
                sides = [side for pads in reversed(op.padding) for side in pads]
                return self._layers[str(number)](functional.pad(x, sides) if any(sides) else x)
            case Pool(kind=PoolKind.MAX):
                return functional.max_pool2d(x, op.size, op.strides)
            case Pool():
                return functional.avg_pool2d(x, op.size, op.strides)
            case Add():
                return x + others[0]
            case Reshape():
                return x.reshape(len(x), *_first(graph, op.output))
            case Transpose():
                return x
            case Relu() | Cast() | Threshold() | Divide():
                if op.inputs[0] in rectified:
                    rectified.add(op.output)
                    return x
                if graph.type_of(op.output).signed or isinstance(op, Divide):
                    return x
                rectified.add(op.output)
                return functional.relu(x)
            case _:
                raise NotImplementedError(type(op).__name__)


def _first(graph: Graph, tensor: str) -> tuple[int, ...]:
    shape = graph.tensors[tensor].shape
    return (shape[-1], *shape[:-1])
