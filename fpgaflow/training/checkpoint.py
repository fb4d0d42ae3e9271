"""The file that gives a trained network back: tensors and plain values, no code."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.training.bits import Bits
from fpgaflow.training.convert import quantised
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import Architecture, ModelName
from fpgaflow.training.quantisers import WEIGHTED


@dataclass(frozen=True)
class Checkpoint:
    """A trained network in eval mode, and what builds it again.

    `architecture` is None for a user's own module, `bits` for a float network. `folded`: without batch norm.
    """

    architecture: Architecture | None
    bits: Bits | None
    signed_input: bool
    folded: bool
    model: fx.GraphModule

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch."""
        assert self.architecture is not None
        return self.architecture.input_shape


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Writes tensors and plain values only, so that `torch.load(weights_only=True)` reads it."""
    made = checkpoint.architecture
    content = {
        "architecture": None if made is None else {**asdict(made), "name": str(made.name)},
        "bits": None if checkpoint.bits is None else asdict(checkpoint.bits),
        "signed_input": checkpoint.signed_input,
        "folded": checkpoint.folded,
        "state_dict": dict(checkpoint.model.state_dict()),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: Path, own: nn.Module | None = None) -> Checkpoint:
    """The network of `path`, as `fpgaflow train` wrote it, in eval mode; `own` is the user's module it was made of.

    Raises:
        BadInput: not such a file, or one of a user's own module, and that is not given.
    """
    content = load_tensors(path, "is no checkpoint of fpgaflow")
    if content.get("architecture", "") is None and own is None:
        found = "is of a module of your own, whose code no checkpoint holds"
        raise BadInput(str(path), found, "Name the model.onnx beside it.")
    try:
        described = content["architecture"]
        architecture = None
        if described is not None:
            given = {**described, "name": ModelName(described["name"])}
            architecture = Architecture(**{**given, "input_shape": tuple(given["input_shape"])})
        bits = None if content["bits"] is None else Bits(**content["bits"])
        signed, folded = bool(content["signed_input"]), bool(content["folded"])
        net = traced(own if architecture is None else architecture.build())
        net = fold_batch_norm(net) if folded else net
        take_shapes(net, content["state_dict"])
        net = net if bits is None else quantised(net, bits, signed_input=signed)
        net.load_state_dict(content["state_dict"])
    except Exception as error:  # whatever foreign values lead to
        raise _no_checkpoint(path, "is no checkpoint of fpgaflow", error) from None
    return Checkpoint(architecture, bits, signed, folded, net.eval())


def load_tensors(path: Path, found: str) -> dict[str, Any]:
    """The dictionary of tensors and plain values in a file of torch; `found` says what it is not, if it is not one.

    Raises:
        BadInput: it cannot be read, or holds anything else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}")
    except Exception as error:  # torch's own unpickler raises IndexError and others on what is no such file
        raise _no_checkpoint(path, found, error) from None
    return content


def _no_checkpoint(path: Path, found: str, error: Exception) -> BadInput:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return BadInput(str(path), f"{found}: {reason}", "Make one with `fpgaflow train`.")


def take_shapes(net: fx.GraphModule, state: dict[str, Tensor]) -> None:
    """Gives the layers of a float network the sizes that their weights have in `state`: pruned ones are smaller."""
    for name, layer in net.named_modules():
        weight = state.get(f"{name}.weight") if isinstance(layer, WEIGHTED) else None
        if weight is not None and weight.shape != layer.weight.shape:
            resize(layer, weight, state.get(f"{name}.bias"))


def resize(layer: Any, weight: Tensor, bias: Tensor | None) -> None:
    """Replaces the parameters of a Linear or convolution by others of another size; depthwise ones stay depthwise."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = weight.shape
    else:
        if layer.groups > 1:
            layer.groups = weight.shape[0] * layer.groups // layer.out_channels
        layer.out_channels, layer.in_channels = weight.shape[0], weight.shape[1] * layer.groups
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
