"""Brevitas round trips: quantisers × layers × bit widths × scale kinds, exported, loaded, and equal to the oracle."""

from __future__ import annotations

import importlib.util
import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

if importlib.util.find_spec("brevitas") is None:
    pytest.skip("torch or Brevitas is missing", allow_module_level=True)

import torch
from brevitas import nn as qnn
from brevitas.quant import fixed_point, scaled_int, shifted_scaled_int
from brevitas.quant.binary import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from brevitas.quant.ternary import SignedTernaryActPerTensorConst, SignedTernaryWeightPerTensorConst
from torch import nn

from fpgaflow.errors import UnsupportedModel
from fpgaflow.training.export import export_qonnx
from tests.models import assert_conforms, graph_of, reals

BITS = range(2, 9)
WEIGHTS: dict[str, Any] = {
    "float": scaled_int.Int8WeightPerTensorFloat,
    "float per channel": scaled_int.Int8WeightPerChannelFloat,
    "fixed point": fixed_point.Int8WeightPerTensorFixedPoint,
    "fixed point per channel": fixed_point.Int8WeightPerChannelFixedPoint,
    "wide range": scaled_int.Int8WeightPerTensorFloat.let(narrow_range=False),
    "floor": scaled_int.Int8WeightPerTensorFloat.let(float_to_int_impl_type="floor"),
    "zero-point": shifted_scaled_int.ShiftedUint8WeightPerTensorFloat,
    "zero-point per channel": shifted_scaled_int.ShiftedUint8WeightPerChannelFloat,
}
ACTIVATIONS: dict[str, Any] = {
    "float": scaled_int.Int8ActPerTensorFloat,
    "fixed point": fixed_point.Int8ActPerTensorFixedPoint,
    "unsigned float": scaled_int.Uint8ActPerTensorFloat,
    "unsigned fixed point": fixed_point.Uint8ActPerTensorFixedPoint,
    "narrow range": scaled_int.Int8ActPerTensorFloat.let(narrow_range=True),
    "floor": fixed_point.Int8ActPerTensorFixedPoint.let(float_to_int_impl_type="floor"),
    "round to zero": fixed_point.Int8ActPerTensorFixedPoint.let(float_to_int_impl_type="round_to_zero"),
    "ceil": scaled_int.Int8ActPerTensorFloat.let(float_to_int_impl_type="ceil"),
    "zero-point": shifted_scaled_int.ShiftedUint8ActPerTensorFloat,
    "zero-point fixed point": shifted_scaled_int.ShiftedUint8ActPerTensorFixedPoint,
}
ONE_WIDTH_WEIGHTS: dict[str, Any] = {
    "binary": SignedBinaryWeightPerTensorConst.let(scaling_const=0.3),
    "ternary": SignedTernaryWeightPerTensorConst.let(scaling_const=0.25, threshold=0.4),
}
ONE_WIDTH_ACTIVATIONS: dict[str, Any] = {
    "binary": SignedBinaryActPerTensorConst.let(scaling_const=0.5),
    "ternary": SignedTernaryActPerTensorConst.let(scaling_const=0.3, threshold=0.5),
}

Case = tuple[str, str, int]  # layer, quantiser, bits; the quantiser's name is of ACTIVATIONS for layers of activations


def weighted(make: Callable[..., nn.Module], shape: tuple[int, ...]) -> Callable[[Any, int], tuple[nn.Module, Any]]:
    """Input quantiser, a layer with weights, QuantReLU: the widths of activations differ from that of the weights."""

    def network(quantiser: Any, bits: int) -> tuple[nn.Module, tuple[int, ...]]:
        settings = {"weight_quant": quantiser} | ({} if bits < 2 else {"weight_bit_width": bits})
        layer = make(**settings)
        relu = qnn.QuantReLU(bit_width=max(2, 10 - bits), act_quant=scaled_int.Uint8ActPerTensorFloat)
        layers = [layer, relu] if isinstance(layer, nn.Module) else [*layer, relu]
        return nn.Sequential(qnn.QuantIdentity(bit_width=5, return_quant_tensor=True), *layers), shape

    return network


WITH_BIAS = {"bias": True, "bias_quant": scaled_int.Int16Bias}
WEIGHTED = {
    "linear": weighted(lambda **q: qnn.QuantLinear(6, 4, bias=False, **q), (6,)),
    "linear, bias": weighted(lambda **q: qnn.QuantLinear(6, 4, **WITH_BIAS, **q), (6,)),
    "linear, float bias": weighted(lambda **q: qnn.QuantLinear(6, 4, bias=True, **q), (6,)),
    "linear, batch norm": weighted(
        lambda **q: (qnn.QuantLinear(6, 4, bias=False, **q), normed(nn.BatchNorm1d(4))), (6,)
    ),
    "conv1d": weighted(lambda **q: qnn.QuantConv1d(3, 4, 3, stride=2, **WITH_BIAS, **q), (3, 9)),
    "conv2d": weighted(lambda **q: qnn.QuantConv2d(2, 4, 3, padding=1, stride=2, bias=False, **q), (2, 5, 4)),
    "conv2d, bias": weighted(lambda **q: qnn.QuantConv2d(2, 4, (1, 2), dilation=(1, 2), **WITH_BIAS, **q), (2, 3, 4)),
    "conv2d, batch norm": weighted(
        lambda **q: (qnn.QuantConv2d(2, 3, 2, bias=False, **q), normed(nn.BatchNorm2d(3))), (2, 4, 3)
    ),
    "depthwise": weighted(lambda **q: qnn.QuantConv2d(3, 3, 3, groups=3, padding=1, **WITH_BIAS, **q), (3, 3, 4)),
    "grouped": weighted(lambda **q: qnn.QuantConv2d(4, 4, 2, groups=2, bias=False, **q), (4, 3, 3)),
}


def normed(norm: Any) -> nn.Module:
    """A batch norm as training leaves it; one factor is negative."""
    for tensor, low, high in ((norm.weight, 0.5, 1.5), (norm.bias, -1, 1), (norm.running_mean, -1, 1)):
        nn.init.uniform_(tensor, low, high)
    nn.init.uniform_(norm.running_var, 0.2, 2)
    norm.weight.data[0] *= -1
    return norm


class Residual(nn.Module):
    def __init__(self, quantiser: Any, bits: int) -> None:
        super().__init__()
        shared = {} if bits < 2 else {"bit_width": bits}
        self.input = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
        self.left = qnn.QuantLinear(6, 6, bias=False, weight_bit_width=3)
        self.add = qnn.QuantEltwiseAdd(
            input_quant=quantiser,
            output_quant=quantiser,
            **{f"{k}_{n}": v for n, v in shared.items() for k in ("input", "output")},
        )

    def forward(self, x: torch.Tensor) -> Any:
        x = self.input(x)
        return self.add(self.left(x), x)


class Concatenated(nn.Module):
    """Both branches through one quantiser, as concatenated integers want it."""

    def __init__(self, quantiser: Any, bits: int) -> None:
        super().__init__()
        self.left, self.right = (qnn.QuantLinear(5, n, bias=False, weight_bit_width=3) for n in (3, 4))
        self.input = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
        self.shared = identity(quantiser, {} if bits < 2 else {"bit_width": bits})
        self.last = qnn.QuantLinear(7, 3, bias=False, weight_bit_width=3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.input(x)
        return self.last(torch.cat([self.shared(self.left(x)), self.shared(self.right(x))], dim=1))


def activation(*layers: Callable[[Any, dict[str, int]], nn.Module]) -> Callable[[Any, int], tuple[nn.Module, Any]]:
    """A quantised layer, then the activation under test."""

    def network(quantiser: Any, bits: int) -> tuple[nn.Module, tuple[int, ...]]:
        shared = {} if bits < 2 else {"bit_width": bits}
        made = [make(quantiser, shared) for make in layers]
        first = qnn.QuantConv2d(2, 3, 2, bias=False, weight_bit_width=3)
        return nn.Sequential(qnn.QuantIdentity(bit_width=4, return_quant_tensor=True), first, *made), (2, 5, 5)

    return network


def identity(quantiser: Any, shared: dict[str, int]) -> nn.Module:
    return qnn.QuantIdentity(act_quant=quantiser, return_quant_tensor=True, **shared)


OF_ACTIVATIONS: dict[str, Callable[[Any, int], tuple[nn.Module, Any]]] = {
    "input": lambda q, bits: (identity(q, {} if bits < 2 else {"bit_width": bits}), (7,)),
    "identity": activation(identity),
    "hard tanh": activation(lambda q, b: qnn.QuantHardTanh(act_quant=q, min_val=-1.0, max_val=1.0, **b)),
    "sigmoid": activation(lambda q, b: qnn.QuantSigmoid(act_quant=q, **b)),
    "tanh": activation(lambda q, b: qnn.QuantTanh(act_quant=q, **b)),
    "sigmoid of a quantised value": activation(identity, lambda q, b: qnn.QuantSigmoid(act_quant=q, **b)),
    "max pool": activation(identity, lambda *_: nn.MaxPool2d(2, 1)),
    "average pool": activation(identity, lambda *_: nn.AvgPool2d(2), identity),
    "trunc average pool": activation(identity, lambda *_: qnn.TruncAvgPool2d(2, bit_width=4)),
    "global average pool": activation(identity, lambda *_: nn.AdaptiveAvgPool2d(1), identity),
    "residual add": lambda q, bits: (Residual(q, bits), (6,)),
    "concatenation": lambda q, bits: (Concatenated(q, bits), (5,)),
    "two layers": activation(identity, lambda *_: qnn.QuantConv2d(3, 2, 2, bias=False, weight_bit_width=4), identity),
}
LAYERS = {**WEIGHTED, **OF_ACTIVATIONS}
QUANTISERS = dict.fromkeys(WEIGHTED, WEIGHTS | ONE_WIDTH_WEIGHTS) | dict.fromkeys(
    OF_ACTIVATIONS, ACTIVATIONS | ONE_WIDTH_ACTIVATIONS
)


def every_case() -> Iterator[Case]:
    for layer, quantisers in QUANTISERS.items():
        for name in quantisers:
            widths = (0,) if name in ("binary", "ternary") else BITS
            if layer != "trunc average pool" or "zero-point" not in name:  # Brevitas itself does not export those
                yield from itertools.product([layer], [name], widths)


def refusal(case: Case) -> str | None:
    """What a refusal of this case says; None where it has to be carried."""
    layer, quantiser, _ = case
    if layer == "input" and quantiser == "ceil":
        return "an input quantiser with rounding CEIL"
    return None


def exported(case: Case, path: Path) -> tuple[onnx.ModelProto, np.ndarray]:
    """The case's network, its scales fitted to samples, as QONNX; and samples with ties and values beyond the range."""
    layer, quantiser, bits = case
    seed = zlib.crc32(repr(case).encode())
    torch.manual_seed(seed)
    model, shape = LAYERS[layer](QUANTISERS[layer][quantiser], bits)
    model.train()
    with torch.no_grad():
        for step in range(3):
            model(torch.from_numpy(reals(seed + step, (16, *shape), reach=40)))
    x = reals(seed, (2, *shape), reach=48)
    export_qonnx(model, torch.from_numpy(x[:1]), path)
    return onnx.load(path), x


CASES = list(every_case())
QUICK = CASES[::41]


def check(case: Case, folder: Path) -> None:
    model, x = exported(case, folder / "net.onnx")
    message = refusal(case)
    if message is None:
        assert_conforms(model, {model.graph.input[0].name: x})
        return
    with pytest.raises(UnsupportedModel, match=re.escape(message)):
        graph_of(model)


@pytest.mark.parametrize("case", QUICK, ids=lambda case: ", ".join(map(str, case)))
def test_round_trip(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def test_quick_cases_have_every_layer() -> None:
    assert {case[0] for case in QUICK} == set(LAYERS)


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_round_trips_of_a_layer(layer: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if case[0] == layer and case not in QUICK]
    assert len(cases) > 40
    for case in cases:
        check(case, tmp_path)
