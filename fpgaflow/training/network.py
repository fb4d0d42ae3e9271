"""The networks of a training, from the recipe and the data: float with batch norm, folded, quantised."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import fx, nn

from fpgaflow.errors import BadInput
from fpgaflow.frontend.load import load
from fpgaflow.frontend.torch import python_model
from fpgaflow.training.convert import quantised
from fpgaflow.training.data import Dataset
from fpgaflow.training.export import export_qonnx
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import Architecture, ModelName
from fpgaflow.training.objective import Task
from fpgaflow.training.recipe import Recipe


@dataclass(frozen=True)
class Start:
    """The untrained float network, what builds it again (None: a user's own), and the digest of a user's own code."""

    net: fx.GraphModule
    architecture: Architecture | None
    code: str | None = None


def start(recipe: Recipe, data: Dataset, folder: Path) -> Start:
    """The network of the recipe for the data; what cannot be carried to hardware is refused before any training.

    Raises:
        BadInput: the model does not take such samples, or does not give what the task needs.
        UnsupportedModel: names every layer of a user's own module that has no quantised form.
    """
    if not recipe.is_own_model:
        outputs = prod(data.sample_shape) if recipe.objective is Task.RECONSTRUCTION else data.classes
        architecture = Architecture(ModelName(recipe.model), data.sample_shape, outputs, recipe.width)
        net = traced(architecture.build())
        _quantised(net, recipe, data)
        return Start(net, architecture)
    file, _, function = recipe.model.rpartition(":")
    made = python_model(f"{folder / file}:{function}")
    if not isinstance(made, tuple):
        raise BadInput("train.model", f"{recipe.model} gives a path", "Return (torch module, input shape).")
    module, shape = made
    if shape != data.sample_shape:
        found = f"{recipe.model} takes samples of shape {shape}, the data have {data.sample_shape}"
        raise BadInput("train.model", found, "Change one of them.")
    net = traced(module)
    _check_outputs(net, recipe, data)
    _check_carried(net, recipe, data)
    return Start(net, None, hashlib.sha256((folder / file).read_bytes()).hexdigest())


def _quantised(net: fx.GraphModule, recipe: Recipe, data: Dataset) -> fx.GraphModule:
    """The untrained quantised network: bits for a layer that is not there are refused now."""
    return quantised(fold_batch_norm(net), recipe.bits, signed_input=data.signed)


def _check_outputs(net: nn.Module, recipe: Recipe, data: Dataset) -> None:
    try:
        with torch.no_grad():
            shape = tuple(net.eval()(torch.zeros(2, *data.sample_shape)).shape)
    except Exception as error:  # torch raises whatever it meets
        found = f"{recipe.model} does not take samples of shape {data.sample_shape}: {error}"
        raise BadInput("train.model", found, "Change the module or the data.") from None
    wanted = (2, *data.sample_shape) if recipe.objective is Task.RECONSTRUCTION else (2, data.classes)
    if shape != wanted:
        found = f"{recipe.model} gives outputs of shape {shape} for two samples, the task needs {wanted}"
        raise BadInput("train.model", found, "Change the module's last layer.")


def _check_carried(net: fx.GraphModule, recipe: Recipe, data: Dataset) -> None:
    """Exports the untrained network and reads it back: an hour of training would end with the same refusal."""
    made = _quantised(net, recipe, data).eval()
    with tempfile.TemporaryDirectory() as aside:
        export_qonnx(made, torch.zeros(1, *data.sample_shape), Path(aside) / "model.onnx")
        load(Path(aside) / "model.onnx")
