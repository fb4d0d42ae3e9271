"""Brevitas quantisers whose scale is a fixed power of two, and the fit of those scales to a trained network.

Brevitas' own quantisers recompute scale, zero-point and bit width in some forty small torch calls each, at every step,
although none of them changes here. `PowerOfTwoQuant` keeps the scale as a buffer and is five torch calls;
examples/lenet_digits/README.md has the profile of both.
"""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.nn.quant_layer import QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer
from brevitas.proxy import ActQuantProxyFromInjector, BiasQuantProxyFromInjector, WeightQuantProxyFromInjector
from brevitas.proxy.runtime_quant import FusedActivationQuantProxy
from torch import Tensor, nn
from torch.nn import functional


class _RoundToGrid(torch.autograd.Function):
    """Rounds to the nearest multiple of `scale`, ties to even (RND_CONV); the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        return (x / scale).round_().mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class PowerOfTwoQuant(nn.Module):
    """Brevitas `tensor_quant`: x (any shape) float32 → (value, scale, zero-point, bit width), scale a power of two."""

    def __init__(self, bit_width: int, signed: bool, narrow_range: bool) -> None:
        super().__init__()
        self.high = 2 ** (bit_width - signed) - 1
        self.low = -self.high - (not narrow_range) if signed else 0
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("zero_point", torch.tensor(0.0), persistent=False)
        self.register_buffer("bit_width", torch.tensor(float(bit_width)), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # Clamping before rounding gives the same values, and hardtanh's gradient is one vectorised kernel.
        scale = self.scale.item()
        clamped = functional.hardtanh(x, self.low * scale, self.high * scale)
        return _RoundToGrid.apply(clamped, scale), self.scale, self.zero_point, self.bit_width

    def fit(self, x: Tensor) -> None:
        """Takes the scale of least squared error on `x`, from the one that clips nothing down to a sixteenth of it."""
        largest = x.abs().max() / self.high
        if largest > 0:
            scales = [2.0 ** (float(torch.ceil(torch.log2(largest))) - k) for k in range(5)]
            self.scale.fill_(min(scales, key=lambda scale: self._squared_error(x, scale)))

    def _squared_error(self, x: Tensor, scale: float) -> float:
        rounded = _RoundToGrid.apply(x.clamp(self.low * scale, self.high * scale), scale)
        return float((rounded - x).square_().sum(dtype=torch.float64))


class _Quantiser(ExtendedInjector):
    tensor_quant = PowerOfTwoQuant
    float_to_int_impl_type = FloatToIntImplType.ROUND


class WeightQuant(_Quantiser):
    """Signed, symmetric (narrow range), one scale per tensor."""

    proxy_class = WeightQuantProxyFromInjector
    signed = True
    narrow_range = True


class ActivationQuant(_Quantiser):
    """Unsigned: inputs in [0, 1) and what a ReLU gives."""

    proxy_class = ActQuantProxyFromInjector
    signed = False
    narrow_range = False


class BiasQuant(_Quantiser):
    """Signed, 16 bits, on the accumulator's grid, which `fit_scales` sets."""

    proxy_class = BiasQuantProxyFromInjector
    bit_width = 16
    signed = True
    narrow_range = False
    requires_input_scale = False


def fit_scales(model: nn.Module, x: Tensor) -> None:
    """Sets every scale of `model` in one forward pass of `x` (N, ...): each quantiser fits what reaches it.

    A bias takes the scale of its accumulator, input scale × weight scale, so that it is added with no rounding.
    """

    def fit_activation(quantiser: PowerOfTwoQuant, args: tuple[Tensor]) -> None:
        quantiser.fit(args[0])

    def fit_layer(layer: QuantWeightBiasInputOutputLayer, args: tuple[Any]) -> None:
        weight = layer.weight_quant.tensor_quant
        weight.fit(layer.weight)
        if layer.bias is not None:
            layer.bias_quant.tensor_quant.scale.copy_(weight.scale * args[0].scale)

    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(_scales_travel(model))
        for module in model.modules():
            if isinstance(module, FusedActivationQuantProxy):
                hook = module.tensor_quant.register_forward_pre_hook(fit_activation)
            elif isinstance(module, QuantWeightBiasInputOutputLayer):
                hook = module.register_forward_pre_hook(fit_layer)
            else:
                continue
            stack.callback(hook.remove)
        model(x)


@contextmanager
def _scales_travel(model: nn.Module) -> Iterator[None]:
    """Activations pass Brevitas QuantTensors, which know their scale; training does without, for they are slow."""
    activations = [module for module in model.modules() if isinstance(module, QuantNonLinearActLayer)]
    try:
        for activation in activations:
            activation.return_quant_tensor = True
        yield
    finally:
        for activation in activations:
            activation.return_quant_tensor = False
