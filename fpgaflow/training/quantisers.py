"""Brevitas layers whose scales are fixed powers of two.

Brevitas' own quantisers recompute scale, zero-point and bit width in some forty small torch calls each, at every step,
although none of them changes here. `PowerOfTwoQuant` keeps the scale as a buffer and is five torch calls;
docs/training.md has the profile of both.
"""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.proxy import ActQuantProxyFromInjector, BiasQuantProxyFromInjector, WeightQuantProxyFromInjector
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
    """Unsigned: what has no negatives, as a ReLU gives it."""

    proxy_class = ActQuantProxyFromInjector
    signed = False
    narrow_range = False


class SignedActivationQuant(ActivationQuant):
    """Signed: inputs with negatives, and sums that no ReLU follows."""

    signed = True


class BiasQuant(_Quantiser):
    """Signed, 16 bits, on the accumulator's grid, which `convert.fit_scales` sets."""

    proxy_class = BiasQuantProxyFromInjector
    bit_width = 16
    signed = True
    narrow_range = False
    requires_input_scale = False


TWINS: Mapping[type[nn.Module], type[nn.Module]] = {
    nn.Linear: qnn.QuantLinear,
    nn.Conv1d: qnn.QuantConv1d,
    nn.Conv2d: qnn.QuantConv2d,
}
WEIGHTED = tuple(TWINS)


def quantised_twin(layer: nn.Module, bit_width: int) -> nn.Module:
    """The quantised layer with the same weights and biases as `layer`, which is one of `WEIGHTED`."""
    if isinstance(layer, nn.Linear):
        shape: dict[str, Any] = {"in_features": layer.in_features, "out_features": layer.out_features}
    else:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        shape = {name: getattr(layer, name) for name in names}
    kind = next(twin for plain, twin in TWINS.items() if isinstance(layer, plain))
    bias = layer.bias is not None
    made = kind(**shape, bias=bias, weight_quant=WeightQuant, weight_bit_width=bit_width, bias_quant=BiasQuant)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            made.get_parameter(name).copy_(parameter)
    return made


def quantised_identity(bit_width: int, *, signed: bool) -> nn.Module:
    return qnn.QuantIdentity(act_quant=SignedActivationQuant if signed else ActivationQuant, bit_width=bit_width)


def quantised_relu(bit_width: int) -> nn.Module:
    return qnn.QuantReLU(act_quant=ActivationQuant, bit_width=bit_width)


def quantiser_of(activation: nn.Module) -> PowerOfTwoQuant:
    """The quantiser in what `quantised_identity` or `quantised_relu` made."""
    return activation.act_quant.fused_activation_quant_proxy.tensor_quant
