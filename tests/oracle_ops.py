"""More operators of the oracle: what moves, joins and reduces elements, and functions to 250 digits (mpmath).

Tensors are object arrays of Fractions, as in `tests.oracle`. Meanings are those of the ONNX operator specification.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor, prod

import mpmath
import numpy as np
from onnx import NodeProto, helper

Array = np.ndarray  # of Fractions
_HALF = Fraction(1, 2)


def _attribute(node: NodeProto, name: str, default: object) -> object:
    found = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}.get(name, default)
    return found.decode() if isinstance(found, bytes) else found


def _each(function: Callable[..., object], *arrays: Array) -> Array:
    return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), dtype=object)


def _float32(value: object) -> Fraction:
    return Fraction(float(np.float32(value)))  # type: ignore[arg-type]


def _real(function: Callable[..., object]) -> Callable[..., Array]:
    """A real function of one element, to 250 digits."""

    def one(v: Fraction) -> Fraction:
        with mpmath.workdps(260):
            found = mpmath.mpf(function(mpmath.mpf(v.numerator) / v.denominator))
            return Fraction(*map(int, mpmath.libmp.to_rational(found._mpf_)))

    return lambda node, x: _each(one, x)


def _hard_sigmoid(alpha: Fraction, beta: Fraction, v: Fraction) -> Fraction:
    return max(Fraction(0), min(Fraction(1), alpha * v + beta))


def _hard_sigmoids(node: NodeProto, x: Array) -> Array:
    alpha, beta = _float32(_attribute(node, "alpha", 0.2)), _float32(_attribute(node, "beta", 0.5))
    return _each(lambda v: _hard_sigmoid(alpha, beta, v), x)


def _sloped(node: NodeProto, x: Array, slope: Array | None = None) -> Array:
    slope = np.array(_float32(_attribute(node, "alpha", 0.01)), dtype=object) if slope is None else slope
    return _each(lambda v, s: v if v >= 0 else v * s, x, slope)


def _elus(node: NodeProto, x: Array) -> Array:
    alpha = float(np.float32(_attribute(node, "alpha", 1.0)))  # type: ignore[arg-type]
    return _real(lambda v: v if v >= 0 else alpha * mpmath.expm1(v))(node, x)


def _celus(node: NodeProto, x: Array) -> Array:
    alpha = float(np.float32(_attribute(node, "alpha", 1.0)))  # type: ignore[arg-type]
    return _real(lambda v: v if v >= 0 else alpha * mpmath.expm1(v / alpha))(node, x)


def _selus(node: NodeProto, x: Array) -> Array:
    alpha = _float32(_attribute(node, "alpha", 1.6732632423543772))
    gamma = _float32(_attribute(node, "gamma", 1.0507009873554805))
    bent = _real(lambda v: v if v >= 0 else mpmath.mpf(alpha.numerator) / alpha.denominator * mpmath.expm1(v))
    return _each(lambda v: gamma * v, bent(node, x))


def _integers(array: Array | None) -> list[int] | None:
    return None if array is None else [int(n) for n in array.reshape(-1)]


def _slice(node: NodeProto, x: Array, *rest: Array) -> Array:
    lists = [_integers(part) for part in rest] or [_attribute(node, k, None) for k in ("starts", "ends", "axes")]
    starts, ends, axes, steps = (*lists, None, None)[:4]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):  # type: ignore[arg-type, call-overload]
        cut = slice(start, end, 1 if steps is None else steps[i])  # type: ignore[index]
        axis = i if axes is None else axes[i]  # type: ignore[index]
        x = np.moveaxis(np.moveaxis(x, axis, 0)[cut], 0, axis)
    return x


def _split(node: NodeProto, x: Array, sizes: Array | None = None) -> tuple[Array, ...]:
    axis, count = int(_attribute(node, "axis", 0)), len(node.output)  # type: ignore[call-overload]
    lengths = _integers(sizes) or _attribute(node, "split", None)
    if lengths is None:
        each = -(-x.shape[axis] // count)
        lengths = [each] * (count - 1)
    return tuple(np.split(x, np.cumsum(lengths)[: count - 1], axis=axis))  # type: ignore[call-overload]


def _pad(
    node: NodeProto, x: Array, pads: Array | None = None, value: Array | None = None, axes: Array | None = None
) -> Array:
    given = _integers(pads) or list(_attribute(node, "pads", []))  # type: ignore[call-overload]
    places = _integers(axes) or list(range(x.ndim))
    around = [(0, 0)] * x.ndim
    for i, axis in enumerate(places):
        around[axis] = given[i], given[i + len(places)]
    for axis, (before, after) in enumerate(around):
        n = x.shape[axis]
        x = x.take(range(max(0, -before), n - max(0, -after)), axis=axis)
    outside = [(max(0, a), max(0, b)) for a, b in around]
    mode = str(_attribute(node, "mode", "constant"))
    if mode == "constant":
        fill = Fraction(_float32(_attribute(node, "value", 0.0))) if value is None else value.reshape(-1)[0]
        return np.pad(x, outside, constant_values=fill)
    return np.pad(x, outside, mode=mode)  # type: ignore[call-overload]


def _depth_to_space(node: NodeProto, x: Array) -> Array:
    block = int(_attribute(node, "blocksize", 1))  # type: ignore[call-overload]
    samples, depth, height, width = x.shape
    channels = depth // block**2
    result = np.empty((samples, channels, height * block, width * block), dtype=object)
    for n, c, i, j in np.ndindex(*result.shape):
        part = i % block * block + j % block
        from_ = part * channels + c if _attribute(node, "mode", "DCR") == "DCR" else c * block**2 + part
        result[n, c, i, j] = x[n, from_, i // block, j // block]
    return result


def _space_to_depth(node: NodeProto, x: Array) -> Array:
    block = int(_attribute(node, "blocksize", 1))  # type: ignore[call-overload]
    parts = [x[:, :, i::block, j::block] for i in range(block) for j in range(block)]
    return np.concatenate(parts, axis=1)


def _place(mode: str, x: int, scale: Fraction, n: int, m: int) -> Fraction:
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return Fraction(0) if m == 1 else Fraction(x) * (n - 1) / (m - 1)
    if mode == "tf_half_pixel_for_nn":
        return (x + _HALF) / scale
    if mode == "pytorch_half_pixel" and m == 1:
        return Fraction(0)
    middle = (x + _HALF) / scale - _HALF
    return middle + Fraction(n, 2) * (1 - m / (scale * n)) if mode == "half_pixel_symmetric" else middle


def _nearest(mode: str, v: Fraction) -> int:
    if mode == "floor":
        return floor(v)
    if mode == "ceil":
        return ceil(v)
    tie = (v - _HALF).denominator == 1
    return round(v) if not tie else floor(v) if mode == "round_prefer_floor" else ceil(v)


def _resize(node: NodeProto, x: Array, *rest: Array | None) -> Array:
    place = str(_attribute(node, "coordinate_transformation_mode", "half_pixel" if len(rest) > 1 else "asymmetric"))
    nearest = str(_attribute(node, "nearest_mode", "round_prefer_floor" if len(rest) > 1 else "floor"))
    scales, sizes = rest[0] if len(rest) == 1 else rest[1], rest[2] if len(rest) > 2 else None
    for axis, n in enumerate(x.shape):
        scale = Fraction(int(sizes[axis]), n) if sizes is not None else scales[axis]  # type: ignore[index]
        m = floor(n * scale)
        if str(_attribute(node, "mode", "nearest")) == "linear":
            x = _interpolated(x, axis, [_place(place, i, scale, n, m) for i in range(m)])
            continue
        chosen = [min(max(_nearest(nearest, _place(place, i, scale, n, m)), 0), n - 1) for i in range(m)]
        x = x.take(chosen, axis=axis)
    return x


def _interpolated(x: Array, axis: int, places: list[Fraction]) -> Array:
    """Each place weighs the entries by tents of width 2 around them (triangle kernel)."""
    n = x.shape[axis]
    inside = [min(max(place, Fraction(0)), Fraction(n - 1)) for place in places]
    weights = [[max(Fraction(0), 1 - abs(place - j)) for j in range(n)] for place in inside]
    rows = np.moveaxis(x, axis, -1)
    return np.moveaxis(rows @ np.array(weights, dtype=object).reshape(-1, n).T, -1, axis)


def _softmax(node: NodeProto, x: Array) -> Array:
    """e^v over the sum of those of its row, to 250 digits."""
    rows = np.moveaxis(x, int(_attribute(node, "axis", -1)), -1)  # type: ignore[call-overload]
    powers = _real(mpmath.exp)(node, rows)
    return np.moveaxis(powers / powers.sum(axis=-1, keepdims=True), -1, int(_attribute(node, "axis", -1)))  # type: ignore[call-overload]


def _hardmax(node: NodeProto, x: Array) -> Array:
    axis = int(_attribute(node, "axis", -1))  # type: ignore[call-overload]
    first = np.argmax(np.asarray(x == x.max(axis=axis, keepdims=True), dtype=bool), axis=axis)
    return np.moveaxis(_each(Fraction, np.eye(x.shape[axis], dtype=int)[first]), -1, axis)


def _reduced(reduce: Callable[[Array], object]) -> Callable[..., Array]:
    def run(node: NodeProto, x: Array, axes: Array | None = None) -> Array:
        found = _integers(axes) or list(_attribute(node, "axes", []))  # type: ignore[call-overload]
        gone = sorted(axis % x.ndim for axis in found)
        kept = [axis for axis in range(x.ndim) if axis not in gone]
        rows = x.transpose(*kept, *gone).reshape(prod(x.shape[a] for a in kept), -1)
        flat = np.array([reduce(row) for row in rows], dtype=object)
        keep = _attribute(node, "keepdims", 1)
        return flat.reshape([1 if a in gone else n for a, n in enumerate(x.shape) if keep or a not in gone])

    return run


def _arg(sign: int) -> Callable[[NodeProto, Array], Array]:
    def run(node: NodeProto, x: Array) -> Array:
        axis = int(_attribute(node, "axis", 0))  # type: ignore[call-overload]
        rows = np.moveaxis(sign * x, axis, -1)
        found = np.empty(rows.shape[:-1], dtype=object)
        for index in np.ndindex(*found.shape):
            row = list(rows[index])
            places = [place for place, value in enumerate(row) if value == max(row)]
            found[index] = Fraction(places[-1 if _attribute(node, "select_last_index", 0) else 0])
        return np.expand_dims(found, axis) if _attribute(node, "keepdims", 1) else found

    return run


def _conv_transpose(node: NodeProto, x: Array, w: Array, bias: Array | None = None) -> Array:
    """Each element of the input adds its multiple of the kernel to the output."""
    rank, groups = x.ndim - 2, int(_attribute(node, "group", 1))  # type: ignore[call-overload]
    strides, dilations = (list(_attribute(node, k, [1] * rank)) for k in ("strides", "dilations"))  # type: ignore[call-overload]
    more = list(_attribute(node, "output_padding", [0] * rank))  # type: ignore[call-overload]
    pads = list(_attribute(node, "pads", [0] * 2 * rank))  # type: ignore[call-overload]
    kernel, filters = w.shape[2:], w.shape[1]
    full = [
        (n - 1) * s + d * (k - 1) + 1 + m
        for n, s, d, k, m in zip(x.shape[2:], strides, dilations, kernel, more, strict=True)
    ]
    result = np.full((len(x), filters * groups, *full), Fraction(0), dtype=object)
    share = x.shape[1] // groups
    for index in np.ndindex(*x.shape):
        sample, channel, *place = index
        for filter_, *tap in np.ndindex(filters, *kernel):
            to = tuple(p * s + t * d for p, s, t, d in zip(place, strides, tap, dilations, strict=True))
            result[(sample, channel // share * filters + filter_, *to)] += x[index] * w[(channel, filter_, *tap)]
    for axis in range(rank):
        result = result.take(range(pads[axis], full[axis] - pads[axis + rank]), axis=axis + 2)
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


MORE_OPERATORS: dict[str, Callable[..., object]] = {
    "Abs": lambda n, x: abs(x),
    "ArgMax": _arg(1),
    "ArgMin": _arg(-1),
    "Celu": _celus,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "Elu": _elus,
    "Erf": _real(mpmath.erf),
    "Exp": _real(mpmath.exp),
    "Gelu": _real(lambda v: v * mpmath.ncdf(v)),
    "HardSigmoid": _hard_sigmoids,
    "Hardmax": _hardmax,
    "HardSwish": lambda n, x: _each(lambda v: v * _hard_sigmoid(_float32(1 / 6), _HALF, v), x),
    "LeakyRelu": _sloped,
    "Max": lambda n, *x: np.asarray(_each(max, *x)) if len(x) > 1 else x[0],
    "Min": lambda n, *x: np.asarray(_each(min, *x)) if len(x) > 1 else x[0],
    "LogSoftmax": lambda n, x: _real(mpmath.log)(n, _softmax(n, x)),
    "Mish": _real(lambda v: v * mpmath.tanh(mpmath.log1p(mpmath.exp(v)))),
    "Neg": lambda n, x: -x,
    "PRelu": _sloped,
    "Pad": _pad,
    "ReduceMax": _reduced(max),
    "ReduceMean": _reduced(lambda row: sum(row, Fraction(0)) / len(row)),
    "ReduceMin": _reduced(min),
    "ReduceSum": _reduced(lambda row: sum(row, Fraction(0))),
    "Resize": _resize,
    "Selu": _selus,
    "Sigmoid": _real(lambda v: 1 / (1 + mpmath.exp(-v))),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _real(lambda v: mpmath.log1p(mpmath.exp(v))),
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Tanh": _real(mpmath.tanh),
    "Upsample": _resize,
}
