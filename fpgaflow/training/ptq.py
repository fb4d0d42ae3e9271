"""Post-training quantisation: a float torch module becomes a Brevitas module by Brevitas' own tools."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.graph import quantize_impl
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.gptq import gptq_mode
from brevitas.graph.quantize import UNSIGNED_ACT_TUPLE, quantize
from brevitas.inject import BaseInjector
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPointMSE,
    Int8WeightPerTensorFixedPointMSE,
    Uint8ActPerTensorFixedPointMSE,
)
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloatMSE,
    Int8WeightPerChannelFloatMSE,
    Int32Bias,
    Uint8ActPerTensorFloatMSE,
)
from torch import Tensor, fx, nn

from fpgaflow.errors import BadInput
from fpgaflow.training.bits import LEAST, MOST
from fpgaflow.training.ptq_trace import AVERAGES, prepared
from fpgaflow.training.quantisers import TWINS
from fpgaflow.training.reproducible import reproducible

INPUT_BITS = 8  # of the model's input, whatever the activations have: what cameras and converters give
_BATCH, _SEED, _THREADS, _MAX_ALIGNMENTS = 64, 0, 1, 30


class Scale(StrEnum):
    """Powers of two, one per tensor: shifts in hardware. Or any float: one per weight channel, one per activation."""

    POWER_OF_TWO = "power-of-two"
    FLOAT = "float"


@dataclass(frozen=True)
class Ptq:
    """What to quantise to, and which of Brevitas' corrections to run.

    Raises:
        BadInput: a width is out of range.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    scale: Scale = Scale.POWER_OF_TWO
    bias_correction: bool = False
    equalize: bool = False
    gptq: bool = False

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits"):
            if not LEAST <= getattr(self, name) <= MOST:
                raise BadInput(name, f"{getattr(self, name)} is out of range", f"Give {LEAST} to {MOST}")


@dataclass(frozen=True)
class Layer:
    """One quantiser that was put in: `what` is 'weight' or 'activation', `scales` how many scales it has."""

    name: str
    what: str
    bits: int
    signed: bool
    scales: int


_QUANTISERS: dict[Scale, tuple[BaseInjector, BaseInjector, BaseInjector]] = {  # weight, signed and unsigned activation
    Scale.POWER_OF_TWO: (
        Int8WeightPerTensorFixedPointMSE,
        Int8ActPerTensorFixedPointMSE,
        Uint8ActPerTensorFixedPointMSE,
    ),
    Scale.FLOAT: (Int8WeightPerChannelFloatMSE, Int8ActPerTensorFloatMSE, Uint8ActPerTensorFloatMSE),
}


def quantised(model: nn.Module, x: Tensor, options: Ptq, progress: Callable[[str], None] | None = None) -> nn.Module:
    """The quantised twin of `model`, in eval mode, `model` left as it is; the same call gives the same bits.

    Args:
        model: takes (N, ...) float32.
        x: (N, ...) calibration samples; they decide every scale, and that an input without negatives is unsigned.
        progress: called with the name of each step as it begins.

    Raises:
        UnsupportedModel: names every layer that has no quantised form here.
        BadInput: the model cannot be traced, or is quantised already.
    """
    notify = progress or (lambda _: None)
    with reproducible(_SEED, _THREADS), torch.no_grad(), _quiet():
        notify("tracing")
        traced = prepared(model, x, equalize=options.equalize)
        notify("calibration")
        made = _with_quantisers(traced, options, unsigned=bool(x.min() >= 0)).eval()
        with calibration_mode(made):
            _pass_all(made, x)
        made(x[:_BATCH])  # weight quantisers take their scale as they are first used
        if options.gptq:
            with gptq_mode(made, use_quant_activations=True, create_weight_orig=False) as gptq:
                for index in range(gptq.num_layers):
                    notify(f"GPTQ, layer {index + 1} of {gptq.num_layers}")
                    _pass_all(gptq.model, x)
                    gptq.update()
        if options.bias_correction:
            notify("bias correction")
            with bias_correction_mode(made):
                _pass_all(made, x)
    return made


def _pass_all(model: nn.Module, x: Tensor) -> None:
    for batch in x.split(_BATCH):
        model(batch)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about named tensors, at every layer
        yield


def _with_quantisers(traced: fx.GraphModule, options: Ptq, *, unsigned: bool) -> fx.GraphModule:
    weight, signed_act, unsigned_act = _QUANTISERS[options.scale]
    weight = weight.let(bit_width=options.weight_bits)
    identities, input_identities = (
        {
            "signed": (qnn.QuantIdentity, _activation(signed_act, bits)),
            "unsigned": (qnn.QuantIdentity, _activation(unsigned_act, bits)),
        }
        for bits in (options.activation_bits, max(INPUT_BITS, options.activation_bits))
    )
    with_weights = {"weight_quant": weight, "bias_quant": Int32Bias, "return_quant_tensor": True}
    layers: dict[type[nn.Module], Any] = {plain: (made, with_weights) for plain, made in TWINS.items()}
    layers |= dict.fromkeys(AVERAGES)  # the mean is requantised
    with _few_alignments():
        made = quantize(
            traced,
            quant_identity_map=identities,
            compute_layer_map=layers,
            quant_act_map={nn.ReLU: (qnn.QuantReLU, _activation(unsigned_act, options.activation_bits))},
            unsigned_act_tuple=UNSIGNED_ACT_TUPLE,
        )
    for node in made.graph.nodes:
        if node.op == "placeholder":  # Brevitas quantises every input as signed, and like an activation
            kind, settings = input_identities["unsigned" if unsigned else "signed"]
            for user in node.users:
                made.add_submodule(str(user.target), kind(**settings))
    return _without_output_quantisers(made)


@contextmanager
def _few_alignments() -> Iterator[None]:
    """Brevitas looks for scales common to the branches of a sum for 9,999 rounds, minutes, where none can be found."""
    limit = quantize_impl.MAX_RESIDUAL_ITERS
    quantize_impl.MAX_RESIDUAL_ITERS = _MAX_ALIGNMENTS
    try:
        yield
    except Exception as error:  # Brevitas raises RuntimeError for branches, and whatever it meets
        fix = "Let no tensor be read both by a sum and by a concatenation: put a ReLU between"
        raise BadInput("the model", f"Brevitas cannot quantise it: {error}", fix) from None
    finally:
        quantize_impl.MAX_RESIDUAL_ITERS = limit


def _without_output_quantisers(made: fx.GraphModule) -> fx.GraphModule:
    """Brevitas quantises the model's output like an activation; the last accumulator says more, and costs nothing."""
    modules = dict(made.named_modules())
    (end,) = (node for node in made.graph.nodes if node.op == "output")
    for node in end.all_input_nodes:
        if not isinstance(modules.get(str(node.target)), qnn.QuantIdentity) or len(node.users) > 1:
            continue
        source = node.all_input_nodes[0]
        if isinstance(modules.get(str(source.target)), tuple(TWINS.values())):
            node.replace_all_uses_with(source)
            made.graph.erase_node(node)
            modules[str(source.target)].return_quant_tensor = len(source.users) > 1
    made.delete_all_unused_submodules()
    made.recompile()
    return made


def _activation(quantiser: BaseInjector, bits: int) -> dict[str, Any]:
    return {"act_quant": quantiser.let(bit_width=bits), "return_quant_tensor": True}


def layers_of(model: nn.Module) -> tuple[Layer, ...]:
    """The quantisers of weights and activations, in the order in which the model has them."""
    found = []
    for name, module in model.named_modules():
        for what, proxy in (
            ("weight", getattr(module, "weight_quant", None)),
            ("activation", getattr(module, "act_quant", None)),
        ):
            if proxy is not None and proxy.is_quant_enabled:
                found.append(Layer(name, what, int(proxy.bit_width()), bool(proxy.is_signed), proxy.scale().numel()))
    return tuple(found)


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """What the model gives for `x` (N, ...), as a plain tensor, in the arithmetic that quantised it."""
    with reproducible(_SEED, _THREADS), torch.no_grad(), _quiet():
        found = [model(batch) for batch in x.split(_BATCH)]
        return torch.cat([getattr(y, "value", y) for y in found])


def float_outputs(model: nn.Module, x: Tensor, where: str) -> Tensor:
    """`outputs` of the user's own float model.

    Raises:
        BadInput: it does not take `x`, or does not give one tensor per sample.
    """
    try:
        made = outputs(model.eval(), x)
    except Exception as error:  # torch raises whatever it meets
        raise BadInput(where, f"does not take samples of shape {tuple(x.shape[1:])}: {error}", _SHAPE_ADVICE) from None
    if len(made) != len(x):
        raise BadInput(where, f"gives {len(made)} outputs for {len(x)} samples", _SHAPE_ADVICE)
    return made


_SHAPE_ADVICE = "Give the data in the model's input layout, (N, ...), and one output per sample"
