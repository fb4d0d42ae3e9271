"""Pruning: whole channels, which make every layer smaller, or single weights, which unrolled hardware leaves out."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, fx, nn

from fpgaflow.boards import load_board
from fpgaflow.errors import BadInput, CheckFailed, MissingTool
from fpgaflow.training.hardware import graph_of, taken
from fpgaflow.training.quantisers import WEIGHTED
from fpgaflow.training.schema import check_ranges, within

_RAMP = 2 / 3  # of a phase's steps, over which zeros become as many as asked for


class PruneKind(StrEnum):
    """`channels`: filters and units, before tuning. `weights`: the smallest of each layer, more and more in tuning."""

    CHANNELS = "channels"
    WEIGHTS = "weights"


@dataclass(frozen=True)
class Prune:
    """`share` of the channels, or of the weights, of each layer but the last go.

    Channels are kept in a `multiple`, so that parallel lanes (PE, SIMD) divide them. Which channels go is decided over
    all layers that share them, by the magnitude of their weights (Fang et al., DepGraph, CVPR 2023). What is saved is
    estimated for `board` at `fps` samples per second.

    Raises:
        BadInput: a value is out of range, or means nothing to the kind.
    """

    share: float = within(0.5, 0.01, 0.99)
    kind: PruneKind = PruneKind.CHANNELS
    multiple: int = within(1, 1, 1024)
    board: str = "pynq-z2"
    fps: float = within(1000.0, 1e-3, 1e12)

    def __post_init__(self) -> None:
        check_ranges(self, "train.prune")
        load_board(self.board)
        if self.multiple > 1 and self.kind is PruneKind.WEIGHTS:
            raise BadInput("train.prune.multiple", "means nothing to single weights", "Leave it out.")


def without_channels(net: fx.GraphModule, prune: Prune, x: Tensor) -> fx.GraphModule:
    """The float network with `prune.share` fewer channels in every layer but the last; `net` is left as it is.

    Args:
        x: (2, ...) samples, for the shapes.

    Raises:
        MissingTool: torch-pruning is not installed.
        BadInput: nothing can be pruned so.
    """
    try:
        torch_pruning = import_module("torch_pruning")
    except ModuleNotFoundError:
        raise MissingTool(
            "train.prune: channels", "torch-pruning is not installed", "pip install 'fpgaflow[train]'"
        ) from None
    made = copy.deepcopy(net).eval()
    layers = [module for module in made.modules() if isinstance(module, WEIGHTED)]
    before = _sizes(made)
    pruner = torch_pruning.pruner.BasePruner(
        made,
        x,
        torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=prune.share,
        round_to=prune.multiple if prune.multiple > 1 else None,
        ignored_layers=layers[-1:],
    )
    pruner.step()
    if _sizes(made) == before:
        found = f"takes no channel away: {prune.share:g} in multiples of {prune.multiple}"
        raise BadInput("train.prune", found, "Prune more, or in smaller multiples.")
    return made


def _sizes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in net.named_parameters()}


class Sparsifier:
    """After each step of a phase, the smallest weights of each layer but the last are zero, at last `share` of them.

    Their number grows with the cube of what is left (Zhu and Gupta, 2017). Nothing is remembered between steps: a
    weight that has grown again comes back, and a training that is resumed does the same.
    """

    def __init__(self, net: nn.Module, share: float, batches: int) -> None:
        self.weights = [layer.weight for layer in _weighted(net)[:-1]]
        self.share, self.ramp = share, max(1.0, batches * _RAMP)

    def __call__(self, batch: int) -> None:
        share = self.share * (1 - max(0.0, 1 - batch / self.ramp) ** 3)
        with torch.no_grad():
            for weight in self.weights:
                if count := int(share * weight.numel()):
                    smallest = weight.abs().flatten().topk(count, largest=False).indices
                    weight.view(-1)[smallest] = 0


def _weighted(net: nn.Module) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, WEIGHTED) or hasattr(module, "weight_quant")]


def zeros(net: nn.Module) -> float:
    """Share of the weights that the hardware gets as zero, of a quantised network."""
    with torch.no_grad():
        weights = [layer.quant_weight().value for layer in _weighted(net)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def saving(prune: Prune, before: fx.GraphModule, after: fx.GraphModule, shape: tuple[int, ...]) -> dict[str, Any]:
    """Zeros, channels and estimated resources of two quantised networks that take samples of that shape."""
    board = load_board(prune.board)
    resources: dict[str, Any] = {"board": board.name, "fps": prune.fps, "source": "estimated"}
    for name, net in (("before", before), ("after", after)):
        try:
            resources[name] = taken(graph_of(net, shape), board, prune.fps).as_json()
        except CheckFailed as error:
            resources[name] = {"none": str(error)}
    return {
        "zeros": {"before": zeros(before), "after": zeros(after)},
        "channels": {
            name: [layer.weight.shape[0], after.get_submodule(name).weight.shape[0]]
            for name, layer in before.named_modules()
            if hasattr(layer, "weight_quant")
        },
        "resources": resources,
    }
