"""How a product runs on int8 operands, so that no engine has a reason to round."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Linear
from fpgaflow.targets.gpu.emitter import EXACT, in_int8, unit

OFFSET = 128  # what makes an unsigned 8-bit activation a signed one
_UINT8_HIGH = 255
_INT16_HIGH = (1 << 15) - 1


@dataclass(frozen=True)
class Int8:
    """`weights` are int8 integers in the graph's order of axes, each filter's in units of 2^`exponents`; activations
    are int8 in units of `scale`, moved down by 128 units if `shifted`."""

    weights: Ints
    exponents: Ints
    scale: Fraction
    shifted: bool

    @property
    def saturates(self) -> bool:
        """Whether kernels that add pairs of products in int16 (x86 without VNNI: `pmaddubsw`) may saturate.

        They shift activations to 0..255, so a pair is safe while 255 (|v| + |w|) is within int16 for any two weights.
        """
        return 2 * _UINT8_HIGH * int(np.abs(self.weights.astype(np.int64)).max()) > _INT16_HIGH


def int8_form(op: Linear, graph: Graph, quantised: Fraction | None) -> Int8 | None:
    """The int8 operands of a dense or conv; None where they do not fit.

    The bias has to be a multiple of the products' unit: ONNX Runtime rounds it to that unit (bias as int32). Weights
    are scaled up by as many bits as that takes.

    Args:
        quantised: the scale of the DequantizeLinear that the activations come out of, if they do.
    """
    source = graph.type_of(op.inputs[0])
    shifted = quantised is None and not in_int8(source.low, source.high)
    if shifted and (source.low < 0 or source.high > _UINT8_HIGH):
        return None
    scale = unit(source) if quantised is None else quantised
    weights = graph.constants[op.weights]
    down = _trailing_zeros(weights) - _missing_bits(op, graph, scale)
    small = np.where(down >= 0, weights >> np.maximum(down, 0), weights << np.maximum(-down, 0))
    if not in_int8(int(small.min()), int(small.max())):
        return None
    if shifted and int(np.abs(small).reshape(-1, small.shape[-1]).sum(axis=0).max()) * OFFSET > EXACT:
        return None
    return Int8(small.astype(np.int8), down - op.weight_type.fraction, scale, shifted)


def _trailing_zeros(weights: Ints) -> Ints:
    """Zero bits (filters,) at the end of all weights (..., filters) of a filter."""
    columns = np.bitwise_or.reduce(np.abs(weights).reshape(-1, weights.shape[-1]), axis=0)
    lowest = columns & -columns
    return np.array([max(int(v).bit_length() - 1, 0) for v in lowest], dtype=np.int64)


def _missing_bits(op: Linear, graph: Graph, scale: Fraction) -> Ints:
    """How much finer than each filter's product unit its bias is: that unit counts from its weights' last one bit."""
    zeros = _trailing_zeros(graph.constants[op.weights])
    if op.bias is None or op.bias_type is None:
        return np.zeros_like(zeros)
    missing = []
    for bias, down in zip(graph.constants[op.bias], zeros, strict=True):
        ratio = int(bias) * unit(op.bias_type) / (scale * unit(op.weight_type) * (1 << int(down)))
        missing.append(ratio.denominator.bit_length() - 1)  # all are powers of two
    return np.array(missing, dtype=np.int64)
