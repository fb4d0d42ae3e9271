import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.core.quant import IntQuant
from qonnx.custom_op.general.quant import quant

from fpgaflow.training.models import Bits, lenet5
from fpgaflow.training.quantisers import PowerOfTwoQuant, fit_scales

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


def test_fit_scales_puts_biases_on_the_accumulators_grid():
    torch.manual_seed(0)
    model = lenet5(Bits(4, 4, 8), norm=False)
    fit_scales(model, torch.randint(0, 256, (20, 1, 32, 32)) / 256)

    def scale(module: torch.nn.Module) -> float:
        return float(module.scale)

    assert scale(model.input.act_quant.fused_activation_quant_proxy.tensor_quant) == 2.0**-8
    feeds = {"conv1": "input", "conv2": "relu1", "fc1": "relu2", "fc2": "relu3", "fc3": "relu4"}
    for name, source in feeds.items():
        layer = getattr(model, name)
        fed = getattr(model, source).act_quant.fused_activation_quant_proxy.tensor_quant
        product = scale(layer.weight_quant.tensor_quant) * scale(fed)
        assert scale(layer.bias_quant.tensor_quant) == product
        assert np.log2(product) == round(np.log2(product))


def test_fit_scales_leaves_no_hook_and_no_quant_tensors():
    model = lenet5(Bits(4, 4, 8), norm=False)
    fit_scales(model, torch.rand(4, 1, 32, 32))
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(module.return_quant_tensor for module in model.modules() if isinstance(module, qnn.QuantReLU))
