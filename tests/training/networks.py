"""What the tests of training share: samples for each model, and small data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import fx, nn

from fpgaflow.training.bits import Bits
from fpgaflow.training.convert import fit_scales, quantised
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import Architecture, ModelName

OWN_SHAPES = {
    ModelName.MLP: ((16,), 5),
    ModelName.LENET5: ((1, 32, 32), 10),
    ModelName.RESNET8: ((3, 32, 32), 10),
    ModelName.DS_CNN: ((1, 49, 10), 12),
    ModelName.AUTOENCODER: ((640,), 640),
    ModelName.VGG1D: ((2, 128), 24),
}


def samples(name: ModelName, count: int = 8) -> torch.Tensor:
    """8-bit images, and signals with negatives."""
    generator = torch.Generator().manual_seed(1)
    shape = (count, *OWN_SHAPES[name][0])
    if name in (ModelName.LENET5, ModelName.RESNET8):
        return torch.randint(0, 256, shape, generator=generator) / 256
    return torch.randn(shape, generator=generator)


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms as training leaves them: no mean is 0 and no variance 1."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 2.0, generator=generator)
    return model.eval()


def fitted(model: nn.Module, bits: Bits, x: torch.Tensor) -> fx.GraphModule:
    """The quantised twin of a float module, its scales fitted to x."""
    made = quantised(fold_batch_norm(traced(model)), bits, signed_input=bool(x.min() < 0))
    fit_scales(made, x)
    return made.eval()


def built(name: ModelName) -> nn.Module:
    torch.manual_seed(0)
    return with_statistics(Architecture(name, *OWN_SHAPES[name]).build())


def write_clusters(path: Path, count: int = 80, classes: int = 3, features: int = 6) -> Path:
    """A data set that a small network learns at once: a cloud of points for each class."""
    random = np.random.default_rng(0)
    y = np.arange(count) % classes
    x = random.normal(size=(classes, features))[y] * 2 + random.normal(size=(count, features)) * 0.3
    np.savez(path, x=x.astype(np.float32), y=y)
    return path
