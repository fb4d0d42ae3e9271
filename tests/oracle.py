"""An oracle for QONNX models: rational arithmetic, one element at a time, nothing shared with fpgaflow.

Tensors are object arrays of Fractions. What an operator means is taken from the ONNX operator specification and from
QONNX's own (qonnx/custom_op/general/intquant.py). Two things are not rational: a constant that goes through a Quant is
divided by its scale and rounded in float32, as every executor of QONNX does; and a batch norm's square root, which has
120 digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import product
from math import ceil, floor, isqrt, prod

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from tests.oracle_ops import MORE_OPERATORS
from tests.oracle_quant import RANGES, along, dequantize_linear, dequantized, multithreshold, quantized, trunc

Array = np.ndarray  # of Fractions

_DIGITS = 10**120


def evaluate(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor of the model for one batch of real inputs (N, ...)."""
    stored = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    types = {name: array.dtype for name, array in stored.items()}
    tensors = {name: rational(array) for name, array in stored.items()}
    constant = set(tensors)
    tensors |= {name: rational(array) for name, array in feeds.items()}
    for node in model.graph.node:
        inputs = [tensors[name] if name else None for name in node.input]
        kinds = [types.get(name, np.dtype("uint8")) for name in node.input]
        if node.op_type in ("Quant", "IntQuant", "BipolarQuant") and node.input[0] in constant:
            result = _quantised_constant(node, *inputs)
        elif node.op_type in INTEGER_OPERATORS:
            result = INTEGER_OPERATORS[node.op_type](node, kinds, node.input[0] in constant, *inputs)
        elif node.domain == "qonnx.custom_op.channels_last":
            result = _channels_last(node, *inputs)
        else:
            result = OPERATORS[node.op_type](node, *inputs)
        results = [np.asarray(r, dtype=object) for r in (result if isinstance(result, tuple) else (result,))]
        tensors.update(zip(node.output, results, strict=False))
        if all(name in constant for name in node.input if name):
            constant.update(node.output)
    return tensors


def _channels_last(node: NodeProto, x: Array, *rest: Array) -> Array:
    """The operator of ONNX on (N, C, ...); a Conv's weights are (filters, *kernel, channels) too."""
    moved = [np.moveaxis(rest[0], -1, 1), *rest[1:]] if node.op_type == "Conv" else list(rest)
    return np.moveaxis(OPERATORS[node.op_type](node, np.moveaxis(x, -1, 1), *moved), 1, -1)


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
    "ROUND_TO_ZERO": lambda v: _sign(v) * floor(abs(v)),  # Brevitas' name of DOWN
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
    "ROUND_TO_ZERO": np.fix,
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
    sizes = []
    for i, n in enumerate(spatial):
        room, stride = n + pads[i] + pads[i + rank] - reach[i], strides[i]
        ceiled = _attribute(node, "ceil_mode", 0)
        steps = -(-room // stride) if ceiled else room // stride
        if ceiled and steps * stride >= n + pads[i]:  # no window begins in the padding behind the input
            steps -= 1
        sizes.append(steps + 1)
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


def _windows(
    node: NodeProto, x: Array, kernel: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], list[Fraction], int]]:
    """Of each output element its index, what its window sees of the input, and how much of the padded input."""
    strides, dilations, before, sizes = _geometry(node, x.shape[2:], kernel)
    pads = list(_attribute(node, "pads", [0] * 2 * len(kernel)))[len(kernel) :]
    for index in np.ndindex(*x.shape[:2], *sizes):
        places = [
            tuple(o * s - b + t * d for o, s, b, t, d in zip(index[2:], strides, before, tap, dilations, strict=True))
            for tap in np.ndindex(*kernel)
        ]
        values = [_at(x, index[0], index[1], place) for place in places]
        padded = [all(p < n + e for p, n, e in zip(place, x.shape[2:], pads, strict=True)) for place in places]
        yield index, [v for v in values if v is not None], sum(padded)


def _pooled(node: NodeProto, x: Array, reduce: Callable[[list[Fraction], int], Fraction]) -> Array:
    kernel = tuple(_attribute(node, "kernel_shape", ()))
    result = np.empty((*x.shape[:2], *_geometry(node, x.shape[2:], kernel)[3]), dtype=object)
    for index, values, padded in _windows(node, x, kernel):
        result[index] = reduce(values, padded)
    return result


def _max_pool(node: NodeProto, x: Array) -> Array:
    return _pooled(node, x, lambda values, _: max(values))


def _average_pool(node: NodeProto, x: Array) -> Array:
    with_padding = _attribute(node, "count_include_pad", 0)

    def mean(values: list[Fraction], padded: int) -> Fraction:
        return sum(values, Fraction(0)) / (padded if with_padding else len(values))

    return _pooled(node, x, mean)


def _global_average(node: NodeProto, x: Array) -> Array:
    axes = tuple(range(2, x.ndim))
    return x.sum(axis=axes, keepdims=True) / Fraction(prod(x.shape[2:]))


def _matmul(node: NodeProto, x: Array, w: Array) -> Array:
    return np.asarray(np.matmul(x, w))


def _gemm(node: NodeProto, x: Array, w: Array, bias: Array | None = None) -> Array:
    alpha, beta = (Fraction(float(_attribute(node, name, 1.0))) for name in ("alpha", "beta"))
    result = _matmul(node, x.T if _attribute(node, "transA", 0) else x, w.T if _attribute(node, "transB", 0) else w)
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


def _squeeze(node: NodeProto, x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, _axes_of(node, axes))


def _unsqueeze(node: NodeProto, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, _axes_of(node, axes) or ())


def _quantize_linear(
    node: NodeProto, kinds: list[np.dtype], constant: bool, x: Array, scale: Array, zero: Array | None = None
) -> Array:
    bounds = RANGES[kinds[2] if zero is not None else np.dtype("uint8")]
    zero, axis = np.zeros(1, dtype=object) if zero is None else zero, int(_attribute(node, "axis", 1))
    if not constant:
        return quantized(x, scale, zero, bounds, axis)
    scaled = np.rint(x.astype(np.float32) / along(scale, axis, x.ndim).astype(np.float32)).astype(np.int64)
    return _each(lambda q, z: Fraction(min(max(int(q) + z, bounds[0]), bounds[1])), scaled, along(zero, axis, x.ndim))


def _qlinear(node: NodeProto, kinds: list[np.dtype], constant: bool, *inputs: Array) -> Array:
    x, sx, zx, w, sw, zw, sy, zy, *bias = inputs
    convolution = node.op_type == "QLinearConv"
    left, right = dequantized(x, sx, zx), dequantized(w, sw, zw, 0 if convolution else 1)
    if not convolution:
        return quantized(_matmul(node, left, right), sy, zy, RANGES[kinds[7]])
    offset = bias[0] * sx * sw if bias else None
    return quantized(_conv(node, left, right, offset), sy, zy, RANGES[kinds[7]])


def _integer(node: NodeProto, kinds: list[np.dtype], constant: bool, x: Array, w: Array, *zeros: Array) -> Array:
    one, convolution = np.ones(1, dtype=object), node.op_type == "ConvInteger"
    zx, zw = (zeros[i] if len(zeros) > i else None for i in (0, 1))
    left, right = dequantized(x, one, zx), dequantized(w, one, zw, 0 if convolution else 1)
    return _conv(node, left, right) if convolution else _matmul(node, left, right)


INTEGER_OPERATORS: dict[str, Callable[..., Array]] = {
    "ConvInteger": _integer,
    "MatMulInteger": _integer,
    "QLinearConv": _qlinear,
    "QLinearMatMul": _qlinear,
    "QuantizeLinear": _quantize_linear,
}


def _clip(node: NodeProto, x: Array, *bounds: Array | None) -> Array:
    given = [None if b is None else b.reshape(-1)[0] for b in bounds]
    given = given or [_attribute(node, name, None) for name in ("min", "max")]
    low, high = (None if b is None else Fraction(b) for b in [*given, None, None][:2])

    def one(v: Fraction) -> Fraction:
        v = v if low is None else max(v, low)
        return v if high is None else min(v, high)

    return _each(one, x)


def _axes_of(node: NodeProto, axes: Array | None) -> tuple[int, ...] | None:
    found = _attribute(node, "axes", None) if axes is None else axes.reshape(-1)
    return None if found is None else tuple(int(a) for a in found)


def _topk(node: NodeProto, x: Array, k: Array | None = None) -> tuple[Array, Array]:
    axis, sign = int(_attribute(node, "axis", -1)), -1 if _attribute(node, "largest", 1) else 1
    count = int(_attribute(node, "k", 0) if k is None else k.reshape(-1)[0])
    order = np.argsort(sign * x, axis=axis, kind="stable").take(range(count), axis=axis)
    return np.take_along_axis(x, order, axis), rational(order)


OPERATORS: dict[str, Callable[..., Array]] = {
    **MORE_OPERATORS,
    "Add": lambda n, a, b: _each(lambda v, w: v + w, a, b),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "BipolarQuant": _bipolar,
    "Cast": lambda n, x: x,
    "Ceil": lambda n, x: _each(lambda v: Fraction(ceil(v)), x),
    "Clip": _clip,
    "Concat": lambda n, *x: np.concatenate(x, axis=int(_attribute(n, "axis", 0))),
    "Conv": _conv,
    "DequantizeLinear": dequantize_linear,
    "Div": lambda n, a, b: _each(lambda v, w: v / w, a, b),
    "Dropout": lambda n, x, *_: x,
    "Flatten": lambda n, x: x.reshape(prod(x.shape[: _attribute(n, "axis", 1)]), -1),
    "Gemm": _gemm,
    "Gather": lambda n, x, i: np.take(x, i.astype(np.int64), axis=int(_attribute(n, "axis", 0))),
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": lambda n, x: x.max(axis=tuple(range(2, x.ndim)), keepdims=True),
    "Identity": lambda n, x: x,
    "IntQuant": _quant,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "MultiThreshold": multithreshold,
    "Mul": lambda n, a, b: _each(lambda v, w: v * w, a, b),
    "Quant": _quant,
    "Relu": lambda n, x: _each(lambda v: max(v, Fraction(0)), x),
    "Reshape": _reshape,
    "Shape": lambda n, x: rational(np.array(x.shape)),
    "Squeeze": _squeeze,
    "Sub": lambda n, a, b: _each(lambda v, w: v - w, a, b),
    "TopK": _topk,
    "Transpose": lambda n, x: x.transpose(_attribute(n, "perm", list(range(x.ndim))[::-1])),
    "Trunc": trunc,
    "Unsqueeze": _unsqueeze,
}
