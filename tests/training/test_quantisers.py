import numpy as np
import pytest
import torch
from brevitas.core.quant import IntQuant
from qonnx.custom_op.general.quant import quant
from torch import nn

from fpgaflow.training.quantisers import PowerOfTwoQuant, quantised_twin

KINDS = [(4, True, True), (4, False, False), (8, False, False), (16, True, False), (2, True, True)]


def quantiser(bits: int, signed: bool, narrow: bool, scale: float) -> PowerOfTwoQuant:
    made = PowerOfTwoQuant(bits, signed, narrow)
    made.scale.fill_(scale)
    return made


@pytest.mark.parametrize(("bits", "signed", "narrow"), KINDS)
@pytest.mark.parametrize("scale", [2.0**-8, 0.25, 4.0])
def test_values_are_those_of_brevitas_and_qonnx(bits, signed, narrow, scale):
    halves = torch.arange(-(2**bits) - 3, 2**bits + 4, dtype=torch.float32) / 2
    x = torch.cat([halves * scale, torch.linspace(-20, 20, 1001)])
    ours, *described = quantiser(bits, signed, narrow, scale)(x)
    brevitas = IntQuant(narrow_range=narrow, signed=signed, input_view_impl=torch.nn.Identity())
    theirs = brevitas(torch.tensor(scale), torch.tensor(0.0), torch.tensor(float(bits)), x)
    assert torch.equal(ours, theirs)
    onnx = quant(x.numpy(), np.float32(scale), np.float32(0), np.float32(bits), signed, narrow, "ROUND")
    assert np.array_equal(ours.numpy(), onnx)
    assert [float(value) for value in described] == [scale, 0.0, bits]


def test_gradient_passes_inside_the_range_only():
    x = torch.tensor([-0.6, 0.1, 0.8, 3.7, 3.8, 9.0], requires_grad=True)
    value, *_ = quantiser(4, False, False, 0.25)(x)
    value.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0, 0]


def test_fit_takes_the_best_power_of_two():
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    made = PowerOfTwoQuant(4, True, True)
    made.fit(x)

    def error(scale: float) -> float:
        return float((quantiser(4, True, True, scale)(x)[0] - x).square().sum())

    assert float(made.scale) == min((2.0**k for k in range(-12, 8)), key=error)


def test_fit_of_zeros_keeps_the_scale():
    made = quantiser(4, True, True, 0.5)
    made.fit(torch.zeros(3))
    assert float(made.scale) == 0.5


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(6, 4),
        nn.Linear(6, 4, bias=False),
        nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2),
        nn.Conv2d(4, 8, (3, 1), padding=(1, 0), groups=2),
    ],
    ids=str,
)
def test_a_twin_has_the_weights_and_shape_of_its_layer(layer):
    x = torch.rand(2, *{nn.Linear: (6,), nn.Conv1d: (4, 9), nn.Conv2d: (4, 5, 5)}[type(layer)])
    twin = quantised_twin(layer, 8)
    assert {name: p.tolist() for name, p in twin.named_parameters()} == {
        name: p.tolist() for name, p in layer.named_parameters()
    }
    assert twin(x).shape == layer(x).shape
