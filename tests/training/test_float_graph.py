"""Modules become graphs or are refused layer by layer; folded batch norms leave the function as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fpgaflow.errors import BadInput, UnsupportedModel
from fpgaflow.training.bits import Bits
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import ModelName
from tests.training.networks import built, fitted, samples

BITS = Bits(weight=4, activation=4, input=8)


def test_what_is_no_layer_is_named():
    with pytest.raises(UnsupportedModel, match="tensor"):
        traced(nn.Sequential(nn.Linear(4, 4), Scaled()))


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x.softmax(1) * self.gain)


def test_every_refusal_at_once():
    model = nn.Sequential(
        nn.BatchNorm1d(4),
        nn.Linear(4, 4),
        nn.Sigmoid(),
        nn.Conv2d(1, 1, 3, padding="same"),
        Scaled(),
        nn.AdaptiveAvgPool2d(2),
        nn.Softmax(1),
    )
    with pytest.raises(UnsupportedModel) as caught:
        traced(model)
    assert [problem.where for problem in caught.value.problems] == [
        "layer '0' (BatchNorm1d)",
        "layer '2' (Sigmoid)",
        "layer '3' (Conv2d)",
        "method 'softmax' of a tensor",
        "tensor '4.gain'",
        "function 'mul'",
        "function 'sin'",
        "layer '5' (AdaptiveAvgPool2d)",
        "layer '6' (Softmax)",
    ]
    assert "largest logit" in caught.value.problems[-1].fix


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.relu(self.layer(x)))


class Choosing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_layer_that_is_called_twice():
    with pytest.raises(UnsupportedModel, match=r"layer 'layer'.*is called 2 times"):
        traced(Twice())


def test_control_flow_on_data():
    with pytest.raises(BadInput, match="cannot trace"):
        traced(Choosing())


def test_a_quantised_module_is_no_float_model():
    net = fitted(nn.Sequential(nn.Linear(4, 4)), BITS, torch.rand(3, 4))
    with pytest.raises(BadInput, match="Brevitas layers already"):
        traced(net)


@pytest.mark.parametrize("name", [ModelName.LENET5, ModelName.RESNET8, ModelName.VGG1D])
def test_folding_keeps_the_function(name):
    net, x = traced(built(name)), samples(name).double()
    folded = fold_batch_norm(net)
    assert not any("norm" in key for key, _ in folded.named_parameters())
    # Each folded parameter is rounded to float32 once; the comparison itself runs in float64.
    assert torch.allclose(folded.double()(x), net.double()(x), rtol=1e-5, atol=1e-5)


def test_folding_into_a_layer_without_bias_and_from_a_norm_without_weights():
    net = traced(with_statistics_of(nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3, affine=False))))
    x = torch.rand(5, 4)
    assert torch.allclose(fold_batch_norm(net)(x), net(x), rtol=1e-5, atol=1e-6)


def with_statistics_of(model: nn.Sequential) -> nn.Module:
    model[1].running_mean.uniform_(0.5, 2)
    model[1].running_var.uniform_(0.5, 2)
    return model.eval()
