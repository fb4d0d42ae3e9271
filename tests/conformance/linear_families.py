"""Families of linear layers: dense, convolutions, batch norm, products of tensors, with weights of every kind."""

from __future__ import annotations

from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
from hls4ml.model.quantizers import BinaryQuantizer, Quantizer, TernaryQuantizer
from hls4ml.model.types import ExponentPrecisionType, XnorPrecisionType

from tests.conformance.steps import Family, Step, Tensor, Types
from tests.frontend.hls4ml_layer_groups import conv1d, conv2d, dense, depthwise1d, depthwise2d, separable


class PowerOfTwo(Quantizer):
    """Weights ±2^k, as QKeras' quantized_po2 makes them; hls4ml writes their signs and exponents."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits, ExponentPrecisionType(width=bits))

    def __call__(self, data: np.ndarray) -> np.ndarray:
        half = 1 << self.bits - 1
        exponents = np.clip(np.rint(np.log2(np.abs(data) + 1e-9)), -half, half - 1)
        return np.where(data < 0, -1.0, 1.0) * 2.0**exponents

    def serialize_state(self) -> dict[str, Any]:
        return {"bits": self.bits}


def folding(step: Step, inputs: int) -> Types:
    """A strategy, and mostly a reuse factor that divides the inputs of an output: hls4ml mishandles some others."""
    strategy = step.pick(["Latency"] * 4 + ["Resource"] * 4 + ["Resource_Unrolled"] * 2 + ["distributed_arithmetic"])
    if strategy == "distributed_arithmetic" and find_spec("da4ml") is None:
        strategy = "Latency"
    if strategy not in ("Resource", "Resource_Unrolled"):
        return {"Strategy": strategy, "ReuseFactor": 1}
    least = 2 if strategy == "Resource_Unrolled" else 1
    legal = [reuse for reuse in range(least, inputs + 1) if inputs % reuse == 0]
    if legal and step.chance(0.95):
        return {"Strategy": strategy, "ReuseFactor": step.pick(legal)}
    return {"Strategy": "Resource", "ReuseFactor": step.number(1, 9) if step.chance(0.2) else 1}


def sums(step: Step, inputs: int) -> Types:
    """Types of weights, biases, accumulators and results, and how the products of `inputs` are folded."""
    types = {"accum": step.accumulator(), "result": step.type_(), **folding(step, inputs)}
    return types | {"weight": step.draw.type_(4, 8, 8), "bias": step.draw.type_(6, 10)}


def _weights(step: Step) -> dict[str, Any]:
    """Attributes that change the weights or leave out the bias."""
    kinds = [BinaryQuantizer(1), BinaryQuantizer(2), TernaryQuantizer(), PowerOfTwo(step.number(2, 4))]
    rest = {"weight_quantizer": step.pick(kinds)} if step.chance(0.25) else {}
    return rest | ({"bias_data": None} if step.chance(0.2) else {})


def _dense(step: Step) -> Tensor:
    outputs = step.number(1, 6)
    types = sums(step, step.shape[-1])
    dense(step.net, step.name, step.x, step.shape[-1], outputs, types, **_weights(step))
    return step.name, (*step.shape[:-1], outputs)


def _window(step: Step) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, strides, paddings (before and after each axis) and the result's places."""
    *size, _ = step.shape
    kernel = tuple(step.number(1, min(3, n)) for n in size)
    strides = tuple(step.number(1, 2) for _ in size)
    pads = [(step.number(0, k - 1), step.number(0, k - 1)) if step.chance(0.5) else (0, 0) for k in kernel]
    out = tuple((n + sum(p) - k) // s + 1 for n, p, k, s in zip(size, pads, kernel, strides, strict=True))
    return kernel, strides, tuple(n for pair in pads for n in pair), out


def _conv(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    kernel, strides, pads, out = _window(step)
    filters = step.number(1, 4)
    types = sums(step, prod(kernel) * step.shape[-1]) | {"ParallelizationFactor": step.pick([1, 1, 1, *out])}
    types |= {"ConvImplementation": step.pick(["LineBuffer", "LineBuffer", "Encoded"])} if step.stream else {}
    rest = _weights(step)
    if len(step.shape) == 2:
        conv1d(step.net, step.name, step.x, step.shape, filters, *kernel, types, *strides, pads, **rest)  # type: ignore
    else:
        conv2d(step.net, step.name, step.x, step.shape, filters, kernel, types, strides, pads, **rest)  # type: ignore
    return step.name, (*out, filters)


def _pointwise(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    *size, _ = step.shape
    strides = tuple(step.number(1, 2) for _ in size)
    out = tuple((n - 1) // s + 1 for n, s in zip(size, strides, strict=True))
    filters = step.number(1, 4)
    types = sums(step, step.shape[-1]) | {"ParallelizationFactor": step.pick([1, 1, 2])}
    if len(size) == 1:
        conv1d(step.net, step.name, step.x, step.shape, filters, 1, types, *strides, **_weights(step))  # type: ignore
    else:
        conv2d(step.net, step.name, step.x, step.shape, filters, (1, 1), types, strides, **_weights(step))  # type: ignore
    return step.name, (*out, filters)


def _depthwise(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    kernel, strides, pads, out = _window(step)
    types = sums(step, prod(kernel) * step.shape[-1])
    if types["Strategy"] != "Latency" and not step.stream:
        types |= {"Strategy": "Latency", "ReuseFactor": 1}
    if len(step.shape) == 2:
        depthwise1d(step.net, step.name, step.x, step.shape, *kernel, types, *strides, pads)  # type: ignore
    else:
        depthwise2d(step.net, step.name, step.x, step.shape, kernel, types, strides, pads)  # type: ignore
    return step.name, (*out, step.shape[-1])


def _separable(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    kernel, strides, pads, out = _window(step)
    filters = step.number(1, 4)
    types = {"depthwise": step.draw.type_(6), "pointwise": step.draw.type_(6), "bias": step.draw.type_(8)}
    types |= {f"{phase}_accum": step.accumulator() for phase in ("depthwise", "pointwise")}
    types |= {f"{phase}_result": step.type_() for phase in ("depthwise", "pointwise")}
    if step.stream and step.chance(0.4):
        types |= {"Strategy": "Resource", "ReuseFactor": step.pick([1, step.shape[-1]])}
    separable(step.net, step.name, step.x, step.shape, filters, kernel, types, strides, pads)
    return step.name, (*out, filters)


def _binary(step: Step) -> Tensor | None:
    """A binary tanh, whose bits meet binary or ternary weights."""
    bits = {"activation": "binary_tanh", "quantizer_precision": XnorPrecisionType()}
    x = step.net.add("Activation", f"{step.name}_bits", step.x, {}, **bits)
    rest = {"weight_quantizer": step.pick([BinaryQuantizer(1), BinaryQuantizer(1), TernaryQuantizer()])}
    types = {"accum": step.pick(["ap_int<8>", "ap_fixed<12,8>"]), "result": step.type_(), "bias": "ap_int<3>"}
    if len(step.shape) == 3 and step.chance(0.6):
        kernel, strides, pads, out = _window(step)
        filters = step.number(1, 4)
        types |= folding(step, prod(kernel) * step.shape[-1])
        conv2d(step.net, step.name, x, step.shape, filters, kernel, types, strides, pads, **rest)  # type: ignore
        return step.name, (*out, filters)
    outputs = step.number(1, 6)
    types |= folding(step, step.shape[-1])
    dense(step.net, step.name, x, step.shape[-1], outputs, types, **rest)
    return step.name, (*step.shape[:-1], outputs)


def _scaled(step: Step) -> Tensor:
    kind, count = step.pick(["BatchNormalization", "ApplyAlpha"]), step.shape[-1]
    size = prod(step.shape)
    if len(step.shape) == 1:
        count = size
    types = {"scale": step.draw.type_(4, 10), "bias": step.draw.type_(6, 12), **step.result()}
    data = {"scale_data": step.net.numbers(count), "bias_data": step.net.numbers(count)}
    if step.chance(0.15):
        data["scale_data"], types["scale"] = step.draw.random.integers(-1, 2, count).astype(float), "ap_int<2>"
    filters = -1 if len(step.shape) == 1 else count
    return step.add(kind, types, step.shape, n_in=size, n_filt=filters, **data)


_EQUATIONS = [
    ("ij,jk->ik", 2, lambda s, n: (s[1], n), lambda s, n: (s[0], n)),
    ("ij,ij->i", 2, lambda s, n: s, lambda s, n: s[:1]),
    ("ijk,ikl->lij", 3, lambda s, n: (s[0], s[2], n), lambda s, n: (n, *s[:2])),
    ("i,j->ij", 1, lambda s, n: (n,), lambda s, n: (*s, n)),
    ("ijk,kl->ijl", 3, lambda s, n: (s[2], n), lambda s, n: (*s[:2], n)),
]


def _einsum(step: Step) -> Tensor | None:
    found = [equation for equation in _EQUATIONS if equation[1] == len(step.shape)]
    if step.stream or not found:
        return None
    equation, _, right_of, out_of = step.pick(found)
    n = step.number(1, 4)
    right, out = right_of(step.shape, n), out_of(step.shape, n)
    types = {"accum": step.accumulator(), "result": step.type_()}
    shapes = {"equation": equation, "out_shape": out}
    if step.chance(0.5):
        other = step.input(*right)
        shapes |= {"inp0_shape": step.shape, "inp1_shape": right}
        return step.add("Einsum", types, out, (step.x, other), **shapes)
    types |= {"weight": step.draw.type_(8), "bias": step.draw.type_(8)}
    data = {"weight_data": step.net.numbers(*right), "bias_data": step.net.numbers(*out)}
    return step.add("EinsumDense", types, out, inp_shape=step.shape, **shapes, **data)


def _dot(step: Step) -> Tensor | None:
    if step.stream or len(step.shape) != 1:
        return None
    types = {"accum": step.accumulator(), "result": step.type_()}
    return step.add("Dot", types, (1,), (step.x, step.alike()), op="dot1d", axes=1)


def _embedding(step: Step) -> Tensor:
    count, columns, width = step.number(1, 5), step.number(1, 3), step.number(1, 4)
    x = step.input(count, type_=f"ap_uint<{width}>")
    types = {"embeddings": step.draw.type_(10), **step.result()}
    data = {"vocab_size": 1 << width, "embeddings_data": step.net.numbers(1 << width, columns)}
    return step.add("Embedding", types, (count, columns), x, n_in=count, n_out=columns, **data)


LINEAR: dict[str, Family] = {
    "dense": _dense,
    "conv": _conv,
    "pointwise": _pointwise,
    "depthwise": _depthwise,
    "separable": _separable,
    "binary": _binary,
    "batch norm": _scaled,
    "einsum": _einsum,
    "dot": _dot,
    "embedding": _embedding,
}
