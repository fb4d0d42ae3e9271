"""The float networks that a recipe can name. They are quantised as a user's own modules are: see convert.py.

Each is built with batch norm, which serves the float phase and is folded after it. `width` scales the number of
filters and units between input and output.
"""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from torch import Tensor, nn

from fpgaflow.errors import BadInput

Shape = tuple[int, ...]


class ModelName(StrEnum):
    MLP = "mlp"
    LENET5 = "lenet5"
    RESNET8 = "resnet8"
    DS_CNN = "ds_cnn"
    AUTOENCODER = "autoencoder"
    VGG1D = "vgg1d"


@dataclass(frozen=True)
class Architecture:
    """What builds a network: its name, the shape of one sample, the number of outputs, and the scale of its width."""

    name: ModelName
    input_shape: Shape
    outputs: int
    width: float = 1.0

    def build(self) -> nn.Module:
        """The float network, (N, *input_shape) → (N, outputs), untrained.

        Raises:
            BadInput: it cannot take samples of that shape.
        """
        return _BUILDERS[self.name](self)

    def wide(self, *channels: int) -> list[int]:
        return [max(1, round(number * self.width)) for number in channels]

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            found = f"takes {what}; the samples have the shape {self.input_shape}"
            raise BadInput(f"model '{self.name}'", found, "Choose another model or other data.")


def sequential(**layers: nn.Module) -> nn.Sequential:
    """The named layers in order."""
    return nn.Sequential(OrderedDict(layers))


def mlp(made: Architecture) -> nn.Module:
    """Dense layers of 64, 32 and 32 units with ReLU (Duarte et al., JINST 13 (2018) P07027, figure 4)."""
    layers: dict[str, nn.Module] = {} if len(made.input_shape) == 1 else {"flatten": nn.Flatten()}
    return _dense_stack(layers, prod(made.input_shape), made.wide(64, 32, 32), made.outputs)


def _dense_stack(layers: dict[str, nn.Module], inputs: int, units: Sequence[int], outputs: int) -> nn.Module:
    for number, (before, after) in enumerate(itertools.pairwise([inputs, *units]), 1):
        layers |= {
            f"fc{number}": nn.Linear(before, after),
            f"norm{number}": nn.BatchNorm1d(after),
            f"relu{number}": nn.ReLU(),
        }
    last = units[-1] if units else inputs
    return sequential(**layers, **{f"fc{len(units) + 1}": nn.Linear(last, outputs)})


def lenet5(made: Architecture) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998, figure 2); C3 fully connected to S2, ReLU for tanh, of 32×32 images or others.

    Sub-sampling is a maximum: exact on any grid, and it leaves the width and the scale as they are.
    """
    made.require(len(made.input_shape) == 3 and min(made.input_shape[1:]) >= 16, "images of 16×16 pixels or more")
    c1, c3, f5, f6 = made.wide(6, 16, 120, 84)
    height, width = (((side - 4) // 2 - 4) // 2 for side in made.input_shape[1:])
    return sequential(
        conv1=nn.Conv2d(made.input_shape[0], c1, 5),
        norm1=nn.BatchNorm2d(c1),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(c1, c3, 5),
        norm2=nn.BatchNorm2d(c3),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(c3 * height * width, f5),
        norm3=nn.BatchNorm1d(f5),
        relu3=nn.ReLU(),
        fc2=nn.Linear(f5, f6),
        norm4=nn.BatchNorm1d(f6),
        relu4=nn.ReLU(),
        fc3=nn.Linear(f6, made.outputs),
    )


class _Residual(nn.Module):
    """Two 3×3 convolutions, and what came in added before the last ReLU, by a 1×1 convolution where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm2 = nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        self.shortcut: nn.Module = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(branch + self.shortcut(x))


def resnet8(made: Architecture) -> nn.Module:
    """ResNet8 of MLPerf Tiny (Banbury et al., 2021): three residual blocks of 16, 32 and 64 filters."""
    made.require(len(made.input_shape) == 3 and min(made.input_shape[1:]) >= 4, "images of 4×4 pixels or more")
    first, second, third = made.wide(16, 32, 64)
    return sequential(
        conv1=nn.Conv2d(made.input_shape[0], first, 3, 1, 1),
        norm1=nn.BatchNorm2d(first),
        relu1=nn.ReLU(),
        block1=_Residual(first, first, 1),
        block2=_Residual(first, second, 2),
        block3=_Residual(second, third, 2),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(third, made.outputs),
    )


def ds_cnn(made: Architecture) -> nn.Module:
    """DS-CNN of MLPerf Tiny (Zhang et al., 2017): a convolution, four depthwise separable ones, a global average.

    Its own input is (1, 49, 10), MFCC of one second.
    """
    made.require(len(made.input_shape) == 3 and min(made.input_shape[1:]) >= 4, "features (1, time, coefficients)")
    (filters,) = made.wide(64)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(made.input_shape[0], filters, (10, 4), 2, (5, 1)),
        "norm1": nn.BatchNorm2d(filters),
        "relu1": nn.ReLU(),
    }
    for number in range(2, 6):
        layers |= {
            f"depthwise{number}": nn.Conv2d(filters, filters, 3, padding=1, groups=filters),
            f"depthwise_norm{number}": nn.BatchNorm2d(filters),
            f"depthwise_relu{number}": nn.ReLU(),
            f"pointwise{number}": nn.Conv2d(filters, filters, 1),
            f"pointwise_norm{number}": nn.BatchNorm2d(filters),
            f"pointwise_relu{number}": nn.ReLU(),
        }
    end = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(filters, made.outputs)}
    return sequential(**layers, **end)


def autoencoder(made: Architecture) -> nn.Module:
    """The anomaly detector of MLPerf Tiny: 4 × 128, 8, 4 × 128 units between input and its reconstruction."""
    made.require(len(made.input_shape) == 1, "vectors of features")
    units = [*made.wide(128, 128, 128, 128), 8, *made.wide(128, 128, 128, 128)]
    return _dense_stack({}, made.input_shape[0], units, made.outputs)


def vgg1d(made: Architecture) -> nn.Module:
    """VGG-like 1-D convolutions for signals (channels, time) (O'Shea et al., 2018, table III): up to seven of 64
    filters with maxima of two between them, as many as leave 8 steps or more, then two dense layers of 128."""
    made.require(len(made.input_shape) == 2 and made.input_shape[1] >= 16, "signals (channels, 16 steps or more)")
    filters, units = made.wide(64, 128)
    channels, steps = made.input_shape
    layers: dict[str, nn.Module] = {}
    number = 0
    while steps >= 16 and number < 7:
        number += 1
        layers |= {
            f"conv{number}": nn.Conv1d(channels, filters, 3, padding=1),
            f"norm{number}": nn.BatchNorm1d(filters),
            f"relu{number}": nn.ReLU(),
            f"pool{number}": nn.MaxPool1d(2),
        }
        channels, steps = filters, steps // 2
    for dense in (1, 2):
        inputs = filters * steps if dense == 1 else units
        layers |= {"flatten": nn.Flatten()} if dense == 1 else {}
        layers |= {
            f"fc{dense}": nn.Linear(inputs, units),
            f"fc_norm{dense}": nn.BatchNorm1d(units),
            f"fc_relu{dense}": nn.ReLU(),
        }
    return sequential(**layers, fc3=nn.Linear(units, made.outputs))


_BUILDERS: Mapping[ModelName, Callable[[Architecture], nn.Module]] = {
    ModelName.MLP: mlp,
    ModelName.LENET5: lenet5,
    ModelName.RESNET8: resnet8,
    ModelName.DS_CNN: ds_cnn,
    ModelName.AUTOENCODER: autoencoder,
    ModelName.VGG1D: vgg1d,
}
