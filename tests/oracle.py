"""An oracle for QONNX models: rational arithmetic, one element at a time, nothing shared with fpgaflow.

Tensors are object arrays of Fractions. What an operator means is taken from the ONNX operator specification and from
QONNX's own (qonnx/custom_op/general/intquant.py). Two things are not rational: a constant that goes through a Quant is
divided by its scale and rounded in float32, as every executor of QONNX does; and a batch norm's square root, which has
120 digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from math import ceil, floor, isqrt, prod

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

Array = np.ndarray  # of Fractions

_DIGITS = 10**120


def evaluate(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor of the model for one batch of real inputs (N, ...)."""
    tensors = {entry.name: rational(numpy_helper.to_array(entry)) for entry in model.graph.initializer}
    constant = set(tensors)
    tensors |= {name: rational(array) for name, array in feeds.items()}
    for node in model.graph.node:
        inputs = [tensors[name] if name else None for name in node.input]
        if node.op_type in ("Quant", "IntQuant", "BipolarQuant") and node.input[0] in constant:
            result = _quantised_constant(node, *inputs)
        else:
            result = _OPERATORS[node.op_type](node, *inputs)
        tensors[node.output[0]] = result
        if all(name in constant for name in node.input if name):
            constant.add(node.output[0])
    return tensors


def rational(array: Array) -> Array:
    return _each(lambda v: Fraction(v.item() if hasattr(v, "item") else v), np.asarray(array))


def _each(function: Callable[..., object], *arrays: Array) -> Array:
    """The function of each element, after broadcasting."""
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    result = np.empty(shape, dtype=object)
    spread = [np.broadcast_to(a, shape) for a in arrays]
    for index in np.ndindex(*shape):
        result[index] = function(*(a[index] for a in spread))
    return result


def _attribute(node: NodeProto, name: str, default: object) -> object:
    for entry in node.attribute:
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            return value.decode() if isinstance(value, bytes) else value
    return default


def _sign(v: Fraction) -> int:
    return (v > 0) - (v < 0)


_HALF = Fraction(1, 2)
_ROUND: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round,
    "HALF_EVEN": round,
    "CEIL": ceil,
    "FLOOR": floor,
    "UP": lambda v: _sign(v) * ceil(abs(v)),
    "DOWN": lambda v: _sign(v) * floor(abs(v)),
    "HALF_UP": lambda v: _sign(v) * floor(abs(v) + _HALF),
    "HALF_DOWN": lambda v: _sign(v) * ceil(abs(v) - _HALF),
}
_ROUND_FLOAT32: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda v: np.sign(v) * np.ceil(np.abs(v)),
    "DOWN": np.fix,
    "HALF_UP": lambda v: np.sign(v) * np.floor(np.abs(v) + np.float32(0.5)),
    "HALF_DOWN": lambda v: np.sign(v) * np.ceil(np.abs(v) - np.float32(0.5)),
}


def _levels(node: NodeProto, bits: int) -> tuple[int, int]:
    narrow = int(_attribute(node, "narrow", 1))
    if _attribute(node, "signed", 1):
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _quant(node: NodeProto, x: Array, scale: Array, zero: Array, bits: Array) -> Array:
    width = int(bits.reshape(-1)[0])
    low, high = _levels(node, width)
    rounded = _ROUND[str(_attribute(node, "rounding_mode", "ROUND")).upper()]

    def one(v: Fraction, s: Fraction, z: Fraction) -> Fraction:
        scaled = v / s + z
        if width == 1 and _attribute(node, "signed", 1):
            return (Fraction(1 if scaled >= 0 else -1) - z) * s
        return (rounded(min(max(scaled, Fraction(low)), Fraction(high))) - z) * s

    return _each(one, x, scale, zero)


def _bipolar(node: NodeProto, x: Array, scale: Array) -> Array:
    return _each(lambda v, s: s if v >= 0 else -s, x, scale)


def _quantised_constant(node: NodeProto, x: Array, scale: Array, *rest: Array) -> Array:
    """The integers as float32 arithmetic decides them; their value exact."""
    if node.op_type == "BipolarQuant":
        return _bipolar(node, x, scale)
    zero, width = rest[0], int(rest[1].reshape(-1)[0])
    scaled = (x.astype(np.float32) / scale.astype(np.float32) + zero.astype(np.float32)).astype(np.float32)
    if width == 1 and _attribute(node, "signed", 1):
        integers = np.where(scaled >= 0, 1, -1)
    else:
        low, high = _levels(node, width)
        clamped = np.where(scaled > high, np.float32(high), scaled)
        clamped = np.where(clamped < low, np.float32(low), clamped)
        rounded = _ROUND_FLOAT32[str(_attribute(node, "rounding_mode", "ROUND")).upper()](clamped)
        integers = np.minimum(rounded.astype(np.int64), high)  # float32 rounds 2^31 - 1 up
    return _each(lambda q, z, s: (Fraction(int(q)) - z) * s, integers, zero, scale)


def _geometry(node: NodeProto, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[list[int], ...]:
    """Strides, dilations, padding before, output sizes."""
    rank = len(spatial)
    strides = list(_attribute(node, "strides", [1] * rank))
    dilations = list(_attribute(node, "dilations", [1] * rank))
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    mode = _attribute(node, "auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        sizes = [-(-n // s) for n, s in zip(spatial, strides, strict=True)]
        total = [max(0, (o - 1) * s + r - n) for o, s, r, n in zip(sizes, strides, reach, spatial, strict=True)]
        before = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in total]
        return strides, dilations, before, sizes
    pads = list(_attribute(node, "pads", [0] * 2 * rank)) if mode != "VALID" else [0] * 2 * rank
    sizes = [
        (n + pads[i] + pads[i + rank] - reach[i]) // strides[i] + 1 for i, n in enumerate(spatial)
    ]  # ceil_mode is not used here
    return strides, dilations, pads[:rank], sizes


def _at(x: Array, sample: int, channel: int, place: tuple[int, ...]) -> Fraction | None:
    """One element, or None outside of the input."""
    inside = all(0 <= p < n for p, n in zip(place, x.shape[2:], strict=True))
    return x[(sample, channel, *place)] if inside else None


def _conv(node: NodeProto, x: Array, w: Array, bias: Array | None = None) -> Array:
    groups = int(_attribute(node, "group", 1))
    kernel = w.shape[2:]
    strides, dilations, before, sizes = _geometry(node, x.shape[2:], kernel)
    filters, depth = w.shape[:2]
    result = np.empty((len(x), filters, *sizes), dtype=object)
    for index in np.ndindex(*result.shape):
        sample, filter_, out = index[0], index[1], index[2:]
        first = filter_ // (filters // groups) * depth
        total = Fraction(0) if bias is None else bias[filter_]
        for c, tap in product(range(depth), np.ndindex(*kernel)):
            place = tuple(o * s - b + t * d for o, s, b, t, d in zip(out, strides, before, tap, dilations, strict=True))
            value = _at(x, sample, first + c, place)
            if value is not None:
                total += value * w[(filter_, c, *tap)]
        result[index] = total
    return result


def _pool(
    node: NodeProto, x: Array, kernel: tuple[int, ...], reduce: Callable[[list[Fraction], int], Fraction]
) -> Array:
    strides, dilations, before, sizes = _geometry(node, x.shape[2:], kernel)
    result = np.empty((*x.shape[:2], *sizes), dtype=object)
    for index in np.ndindex(*result.shape):
        out = index[2:]
        places = [
            tuple(o * s - b + t * d for o, s, b, t, d in zip(out, strides, before, tap, dilations, strict=True))
            for tap in np.ndindex(*kernel)
        ]
        values = [_at(x, index[0], index[1], place) for place in places]
        result[index] = reduce([v for v in values if v is not None], prod(kernel))
    return result


def _max_pool(node: NodeProto, x: Array) -> Array:
    return _pool(node, x, tuple(_attribute(node, "kernel_shape", ())), lambda values, _: max(values))


def _average_pool(node: NodeProto, x: Array) -> Array:
    with_padding = _attribute(node, "count_include_pad", 0)

    def mean(values: list[Fraction], window: int) -> Fraction:
        return sum(values, Fraction(0)) / (window if with_padding else len(values))

    return _pool(node, x, tuple(_attribute(node, "kernel_shape", ())), mean)


def _global_average(node: NodeProto, x: Array) -> Array:
    axes = tuple(range(2, x.ndim))
    return x.sum(axis=axes, keepdims=True) / Fraction(prod(x.shape[2:]))


def _matmul(node: NodeProto, x: Array, w: Array) -> Array:
    result = np.empty((*x.shape[:-1], w.shape[1]), dtype=object)
    for index in np.ndindex(*result.shape):
        row, column = x[index[:-1]], w[:, index[-1]]
        result[index] = sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0))
    return result


def _gemm(node: NodeProto, x: Array, w: Array, bias: Array | None = None) -> Array:
    alpha, beta = (Fraction(float(_attribute(node, name, 1.0))) for name in ("alpha", "beta"))
    result = _matmul(node, x, w.T if _attribute(node, "transB", 0) else w)
    scaled = _each(lambda v: alpha * v, result)
    return scaled if bias is None else _each(lambda v, b: v + beta * b, scaled, bias)


def _root(value: Fraction) -> Fraction:
    """The square root, to 120 digits."""
    return Fraction(isqrt(value.numerator * value.denominator * _DIGITS**2), value.denominator * _DIGITS)


def _batch_norm(node: NodeProto, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> Array:
    epsilon = Fraction(float(np.float32(_attribute(node, "epsilon", 1e-5))))
    along = (1, -1, *(1,) * (x.ndim - 2))

    def one(v: Fraction, g: Fraction, b: Fraction, m: Fraction, s: Fraction) -> Fraction:
        return g * (v - m) / s + b

    roots = _each(lambda v: _root(v + epsilon), variance)
    return _each(one, x, *(a.reshape(along) for a in (gamma, beta, mean, roots)))


def _reshape(node: NodeProto, x: Array, shape: Array) -> Array:
    wanted = [int(n) for n in shape]
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(wanted)])


def _squeeze(node: NodeProto, x: Array, axes: Array) -> Array:
    return np.squeeze(x, tuple(int(a) for a in axes))


def _unsqueeze(node: NodeProto, x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(int(a) for a in axes))


_OPERATORS: dict[str, Callable[..., Array]] = {
    "Add": lambda n, a, b: _each(lambda v, w: v + w, a, b),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "BipolarQuant": _bipolar,
    "Ceil": lambda n, x: _each(lambda v: Fraction(ceil(v)), x),
    "Conv": _conv,
    "Div": lambda n, a, b: _each(lambda v, w: v / w, a, b),
    "Dropout": lambda n, x, *_: x,
    "Flatten": lambda n, x: x.reshape(len(x), -1),
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": lambda n, x: x.max(axis=tuple(range(2, x.ndim)), keepdims=True),
    "Identity": lambda n, x: x,
    "IntQuant": _quant,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": lambda n, a, b: _each(lambda v, w: v * w, a, b),
    "Quant": _quant,
    "Relu": lambda n, x: _each(lambda v: max(v, Fraction(0)), x),
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Sub": lambda n, a, b: _each(lambda v, w: v - w, a, b),
    "Transpose": lambda n, x: x.transpose(_attribute(n, "perm", list(range(x.ndim))[::-1])),
    "Unsqueeze": _unsqueeze,
}
