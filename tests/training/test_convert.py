"""Float networks become quantised ones that the simulator computes bit by bit, or are refused layer by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fpgaflow.errors import BadInput
from fpgaflow.frontend.load import load
from fpgaflow.sim.run import Simulator
from fpgaflow.training.bits import Bits
from fpgaflow.training.convert import quantised
from fpgaflow.training.export import export_qonnx
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import ModelName
from fpgaflow.training.quantisers import quantiser_of
from tests.training.networks import built, fitted, samples, with_statistics

BITS = Bits(weight=4, activation=4, input=8)


def assert_exact(net: nn.Module, x: Tensor, folder: Path) -> None:
    """No output of the simulator differs from the eval-mode network's."""
    export_qonnx(net, x, folder / "model.onnx")
    with torch.no_grad():
        expected = net(x).numpy()
    assert np.array_equal(Simulator(load(folder / "model.onnx")).predict(x.numpy()), expected)
    assert len(np.unique(expected)) > 5


SLOW = (ModelName.RESNET8, ModelName.DS_CNN)
CASES = [(name, BITS) for name in ModelName] + [
    (name, bits) for name in ModelName if name not in SLOW for bits in (Bits(8, 8, 8), Bits(2, 3, 5))
]


@pytest.mark.parametrize(("name", "bits"), CASES, ids=str)
def test_the_simulator_computes_the_bits_of_every_model(name, bits, tmp_path):
    x = samples(name)
    assert_exact(fitted(built(name), bits, x), x, tmp_path)


class Own(nn.Module):
    """What users write: one ReLU for all, functions and methods, branches, a signed sum, concatenation, x.view."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.wide, self.narrow = nn.Conv2d(4, 5, 3, stride=2), nn.Conv2d(4, 4, 3, stride=2)
        self.relu, self.drop, self.pool = nn.ReLU(inplace=True), nn.Dropout(0.5), nn.AvgPool2d(3)
        self.out = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.left(x) + self.right(x)  # of two accumulators
        x = torch.cat([self.relu(self.wide(x)), functional.max_pool2d(self.narrow(x).relu(), 1)], 1)
        x = self.pool(x)
        return self.out(self.drop(x.view(x.size(0), -1)))


def test_a_module_of_the_users_own(tmp_path):
    torch.manual_seed(0)
    x = torch.randint(0, 256, (8, 2, 8, 8)) / 256
    net = fitted(with_statistics(Own()), BITS, x)
    assert_exact(net, x, tmp_path)
    names = {name for name, module in net.named_modules() if hasattr(module, "act_quant")}
    assert names == {"input", "relu", "relu_2", "relu_2_2", "add_quant", "pool_quant"}
    assert quantiser_of(net.add_quant).low < 0, "a sum of accumulators has negatives"
    assert quantiser_of(net.pool_quant).low == 0


def test_bits_by_layer():
    x = samples(ModelName.LENET5)
    net = fitted(built(ModelName.LENET5), Bits(4, 4, 8, {"conv1": 8, "fc3": 2, "relu2": 3, "input": 5}), x)
    widths = {
        name: int(
            (module.weight_quant.tensor_quant if hasattr(module, "weight_quant") else quantiser_of(module)).bit_width
        )
        for name, module in net.named_modules()
        if hasattr(module, "weight_quant") or hasattr(module, "act_quant")
    }
    changed = {"conv1": 8, "fc3": 2, "relu2": 3, "input": 5}
    assert widths == dict.fromkeys(widths, 4) | changed


def test_a_layer_that_is_not_there():
    net = fold_batch_norm(traced(built(ModelName.LENET5)))
    with pytest.raises(BadInput, match=r"train.layer_bits.conv: is no layer. Did you mean conv\d\?"):
        quantised(net, Bits(4, 4, 8, {"conv": 3}), signed_input=False)


def test_biases_lie_on_the_accumulators_grid():
    net = fitted(built(ModelName.LENET5), BITS, samples(ModelName.LENET5))
    assert float(quantiser_of(net.input).scale) == 2.0**-8
    for name, source in {"conv1": "input", "conv2": "relu1", "fc1": "relu2", "fc2": "relu3", "fc3": "relu4"}.items():
        layer = net.get_submodule(name)
        product = float(layer.weight_quant.tensor_quant.scale * quantiser_of(net.get_submodule(source)).scale)
        assert float(layer.bias_quant.tensor_quant.scale) == product
        assert np.log2(product) == round(np.log2(product))


def test_fitting_leaves_no_hook():
    net = fitted(built(ModelName.MLP), BITS, samples(ModelName.MLP))
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("bits", [(1, 4, 8), (9, 4, 8), (4, 1, 8), (4, 4, 16), (4, 4, 8, {"a": 1})])
def test_bits_out_of_range(bits):
    with pytest.raises(ValueError, match="out of range"):
        Bits(*bits)
