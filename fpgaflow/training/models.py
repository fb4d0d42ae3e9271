"""Networks from one set of layers: `bits` makes a layer quantised (Brevitas), None makes its plain float twin.

Twins have the same parameter names, so float weights load into the quantised network as they are.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from fpgaflow.training.quantisers import ActivationQuant, BiasQuant, WeightQuant


@dataclass(frozen=True)
class Bits:
    """Widths of the weights (signed), of the activations after a ReLU and of the input (both unsigned), 2 to 8 each.

    One bit is left out: Brevitas exports it as `BipolarQuant`, -1 and 1, whatever the quantiser's own values are.

    Raises:
        ValueError: a width is out of range.
    """

    weight: int
    activation: int
    input: int

    def __post_init__(self) -> None:
        if not all(2 <= width <= 8 for width in (self.weight, self.activation, self.input)):
            raise ValueError(f"{self} is out of range: 2 to 8 bits each")


def sequential(**layers: nn.Module | None) -> nn.Sequential:
    """The named layers in order, those that are None left out."""
    return nn.Sequential(OrderedDict((name, layer) for name, layer in layers.items() if layer is not None))


def quantised_input(bits: Bits | None) -> nn.Module | None:
    """Puts the network's input on the grid of `bits.input`; a float network takes it as it is."""
    return None if bits is None else qnn.QuantIdentity(act_quant=ActivationQuant, bit_width=bits.input)


def conv2d(inputs: int, outputs: int, kernel: int, bits: Bits | None) -> nn.Module:
    if bits is None:
        return nn.Conv2d(inputs, outputs, kernel)
    return qnn.QuantConv2d(
        inputs, outputs, kernel, weight_quant=WeightQuant, weight_bit_width=bits.weight, bias_quant=BiasQuant
    )


def dense(inputs: int, outputs: int, bits: Bits | None) -> nn.Module:
    if bits is None:
        return nn.Linear(inputs, outputs)
    return qnn.QuantLinear(
        inputs, outputs, bias=True, weight_quant=WeightQuant, weight_bit_width=bits.weight, bias_quant=BiasQuant
    )


def relu(bits: Bits | None) -> nn.Module:
    return nn.ReLU() if bits is None else qnn.QuantReLU(act_quant=ActivationQuant, bit_width=bits.activation)


def lenet5(bits: Bits | None, *, norm: bool) -> nn.Sequential:
    """LeNet-5 (LeCun et al., 1998, figure 2): (N, 1, 32, 32) → (N, 10) logits; C3 fully connected to S2, ReLU for tanh.

    Sub-sampling is a maximum: exact on any grid, and it leaves the width and the scale as they are.
    """
    return sequential(
        input=quantised_input(bits),
        conv1=conv2d(1, 6, 5, bits),
        norm1=nn.BatchNorm2d(6) if norm else None,
        relu1=relu(bits),
        pool1=nn.MaxPool2d(2),
        conv2=conv2d(6, 16, 5, bits),
        norm2=nn.BatchNorm2d(16) if norm else None,
        relu2=relu(bits),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=dense(16 * 5 * 5, 120, bits),
        norm3=nn.BatchNorm1d(120) if norm else None,
        relu3=relu(bits),
        fc2=dense(120, 84, bits),
        norm4=nn.BatchNorm1d(84) if norm else None,
        relu4=relu(bits),
        fc3=dense(84, 10, bits),
    )


class ModelName(StrEnum):
    LENET5 = "lenet5"


@dataclass(frozen=True)
class Architecture:
    """`build(bits, norm=...)` makes the network; `input_shape` is that of one sample."""

    build: Callable[..., nn.Module]
    input_shape: tuple[int, ...]


MODELS: dict[ModelName, Architecture] = {ModelName.LENET5: Architecture(lenet5, (1, 32, 32))}


def fold_batch_norm(model: nn.Module) -> dict[str, Tensor]:
    """The parameters of the same network without batch norm: every norm is merged into the layer before it.

    Exact up to one rounding to float32 per parameter: w' = w·g, b' = (b - mean)·g + beta, g = gamma / sqrt(var + eps),
    all in float64 (Jacob et al., 2018, equation 14).
    """
    state = dict(model.state_dict())
    for prefix, parent in model.named_modules():
        if not isinstance(parent, nn.Sequential):
            continue
        for (name, layer), (norm_name, norm) in itertools.pairwise(parent.named_children()):
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                path = f"{prefix}.{name}" if prefix else name
                gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
                weight = layer.weight.double() * gain.view(-1, *[1] * (layer.weight.dim() - 1))
                bias = (layer.bias.double() - norm.running_mean.double()) * gain + norm.bias.double()
                state |= {f"{path}.weight": weight.float().detach(), f"{path}.bias": bias.float().detach()}
                norm_path = f"{prefix}.{norm_name}" if prefix else norm_name
                state = {key: value for key, value in state.items() if not key.startswith(f"{norm_path}.")}
    return state
