"""The nodes of `fpgaflow.sim.int8` units in ONNX Runtime's 8-bit operators, and of what moves bytes between them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from fpgaflow.ir.ops import Add, Conv, Dense, Pool, PoolKind
from fpgaflow.sim.emitter import Emitter, Form
from fpgaflow.sim.int8 import Unit

Array = np.ndarray

_DOMAIN = "com.microsoft"

# Measured, in seconds: for a convolution to start a window, to gather one tap of it where its channels are a multiple
# of 4 or not, and for one product (filters go in groups of 16, channels of 4); for one byte through a padding.
_WINDOW, _GATHER, _GATHER_ODD, _PRODUCT = 6e-9, 1e-9, 2.3e-9, 4.7e-12
_MOVE = 2e-10
_MAX_BLOCK = 32


def emit_unit(e: Emitter, unit: Unit) -> None:
    output = e.fresh()
    match unit.op:
        case Conv():
            _conv(e, unit, unit.op, output)
        case Dense():
            _dense(e, unit, unit.op, output)
        case Add():
            _add(e, unit, output)
    if unit.clip is None:
        e.node("Identity", [output], unit.output)
    else:
        low, high = unit.clip
        e.node("Clip", [output, e.byte(low) if low else "", e.byte(high)], unit.output)
    e.forms[unit.output] = Form.BYTES


def _quantisation(e: Emitter, tensor: str) -> list[str]:
    """Scale and zero-point of a tensor's bytes."""
    return [e.scalar(1.0), e.byte(e.zero_point(tensor))]


def _dense(e: Emitter, unit: Unit, op: Dense, output: str) -> None:
    source, result = e.graph.tensors[op.inputs[0]].shape, e.graph.tensors[op.output].shape
    x = e.lying(op.inputs[0], Form.BYTES)
    flat = x if len(source) == 1 else e.reshape(x, source[-1:], e.fresh())
    product = output if len(result) == 1 else e.fresh()
    inputs = [flat, *_quantisation(e, op.inputs[0]), *_weights(e, unit.weights, unit)]
    inputs[-1] = e.constant(np.zeros(len(unit.line.bias), dtype=np.int8))  # as many as scales
    e.node("QGemm", [*inputs, _bias(e, unit), *_quantisation(e, unit.output)], product, domain=_DOMAIN)
    if product != output:
        e.reshape(product, result, output)


def _weights(e: Emitter, weights: Array, unit: Unit, copies: int = 1) -> list[str]:
    """Weights with their scales, which carry the whole rescaling, and their zero-point."""
    filters = unit.weights.shape[-1]
    scale = np.tile(np.broadcast_to(unit.line.scale, filters), copies)
    return [e.constant(weights), e.constant(scale), e.constant(np.zeros((), dtype=np.int8))]


def _bias(e: Emitter, unit: Unit, copies: int = 1) -> str:
    return e.constant(np.tile(unit.line.bias, copies).astype(np.int32))


@dataclass(frozen=True)
class Blocks:
    """A convolution that makes `size` neighbouring columns at once, from columns joined to blocks of channels.

    Attributes:
        width: of the input with its padding, in columns.
        taps: of the kernel, in blocks.
        seconds: estimated, for one sample.
    """

    size: int
    width: int
    taps: int
    seconds: float


def blocks(op: Conv, source: tuple[int, ...], kernel: tuple[int, ...], result: tuple[int, ...]) -> Blocks:
    """The quickest way; shapes are (height, width, channels), kernel (height, width).

    A kernel over few channels costs more to gather than to multiply. Wider blocks gather less and multiply zeros.
    """
    stride, (rows, columns, filters) = op.strides[-1], result
    left = op.padding[-1][0]
    found = []
    for size in range(1, (min(columns, _MAX_BLOCK) if op.dilations[-1] == 1 else 1) + 1):
        taps = kernel[1] if size == 1 else -(-((size - 1) * stride + kernel[1]) // (size * stride))
        width = source[1] if size == 1 else (columns // size + taps - 1) * size * stride
        if columns % size or width < source[1] + left * (size > 1):
            continue
        channels = source[2] * (1 if size == 1 else size * stride)
        windows = rows * columns // size
        gathered = windows * kernel[0] * taps
        products = gathered * -(-channels // 4) * 4 * -(-filters * size // 16) * 16
        seconds = windows * _WINDOW + gathered * (_GATHER_ODD if channels % 4 else _GATHER) + products * _PRODUCT
        moved = width * source[0] * source[2] if width > source[1] else 0
        found.append(Blocks(size, width, taps, seconds + moved * _MOVE))
    return min(found, key=lambda way: way.seconds)


def blocked(weights: Array, way: Blocks, stride: int, phases: int = 1) -> Array:
    """Weights (height, width, channels, filters) over blocks: (height, taps, block channels, size × filters).

    Of `phases` 2, a block's even columns come first, then its odd ones.
    """
    height, width, channels, filters = weights.shape
    wide = np.zeros((height, way.taps * way.size * stride, channels, way.size, filters), dtype=weights.dtype)
    places = np.arange(way.size).reshape(-1, phases).T.reshape(-1)
    for place, column in enumerate(places.tolist()):
        wide[:, column * stride : column * stride + width, :, place] = weights
    return wide.reshape(height, way.taps, way.size * stride * channels, way.size * filters)


def _conv(e: Emitter, unit: Unit, op: Conv, output: str) -> None:
    source, result = e.graph.tensors[op.inputs[0]].shape, e.graph.tensors[op.output].shape
    weights, flat = unit.weights, len(source) == 2
    strides, padding, dilations = op.strides, op.padding, op.dilations
    x = e.lying(op.inputs[0], Form.BYTES)
    if flat:  # one spatial axis is treated as two
        source, result, weights = (1, *source), (1, *result), weights[None]
        strides, padding, dilations = (1, *strides), ((0, 0), *padding), (1, *dilations)
        x = e.reshape(x, source, e.fresh())
    kernel = weights.shape[:2]
    way = blocks(op, source, kernel, result)
    if way.size > 1:
        left = padding[1][0]
        right = way.width - source[1] - left
        if left or right:
            pads = np.array([0, 0, left, 0, 0, 0, right, 0], dtype=np.int64)
            x = e.node("Pad", [x, e.constant(pads), e.byte(e.zero_point(op.inputs[0]))], e.fresh())
        step = way.size * strides[1]
        x = e.reshape(x, (source[0], way.width // step, step * source[2]), e.fresh())
        phases = 2 if way.size % 2 == 0 and _halved(e, unit) else 1
        weights, kernel = blocked(weights, way, strides[1], phases), (kernel[0], way.taps)
        if phases == 2:
            e.joined[unit.output] = way.size // 2
        strides, padding = (strides[0], 1), (padding[0], (0, 0))
    made = output if way.size == 1 and not flat else e.fresh()
    e.node(
        "QLinearConv",
        [
            *(x, *_quantisation(e, op.inputs[0])),
            *_weights(e, weights.transpose(3, 2, 0, 1), unit, way.size),
            *(*_quantisation(e, unit.output), _bias(e, unit, way.size)),
        ],
        made,
        domain=_DOMAIN,
        channels_last=1,
        kernel_shape=list(kernel),
        strides=list(strides),
        dilations=list(dilations),
        pads=[before for before, _ in padding] + [after for _, after in padding],
    )
    if made != output:
        e.reshape(made, e.graph.tensors[op.output].shape, output)


def _halved(e: Emitter, unit: Unit) -> bool:
    """Whether all that reads the result is a pooling of neighbouring pairs of columns."""
    readers = e.graph.consumers[unit.output]
    return unit.output not in e.wanted and all(
        isinstance(op, Pool) and op.kind is PoolKind.MAX and op.size[-1] == op.strides[-1] == 2 for op in readers
    )


def _add(e: Emitter, unit: Unit, output: str) -> None:
    terms: list[str] = []
    for name, factor in zip(unit.op.inputs, unit.weights, strict=True):
        scale = e.scalar(float(factor) * float(unit.line.scale[0]))
        terms += [e.lying(name, Form.BYTES), scale, e.byte(e.zero_point(name))]
    e.node("QLinearAdd", [*terms, *_quantisation(e, unit.output)], output, domain=_DOMAIN)


def max_pool(e: Emitter, op: Pool) -> None:
    """Of bytes: first along the columns, where whole rows lie side by side, then along the rows.

    The quickest where many channels lie side by side: so do those of half a block, whose pairs are the other half.
    """
    shape, result = e.graph.tensors[op.inputs[0]].shape, e.graph.tensors[op.output].shape
    e.forms[op.output] = Form.BYTES
    x = op.inputs[0]
    if len(shape) == 3:
        x = e.reshape(x, (shape[0], 1, prod(shape[1:])), e.fresh())
        x = _bytes_pool(e, x, (op.size[0], 1), (op.strides[0], 1))
    joined = e.joined.get(op.inputs[0], 1)
    x = e.reshape(x, (prod(result[:-2]), shape[-2] // joined, joined * shape[-1]), e.fresh())
    x = _bytes_pool(e, x, (1, op.size[-1]), (1, op.strides[-1]))
    e.reshape(x, result, op.output)


def _bytes_pool(e: Emitter, x: str, size: tuple[int, int], strides: tuple[int, int]) -> str:
    return e.node("NhwcMaxPool", [x], e.fresh(), domain=_DOMAIN, kernel_shape=list(size), strides=list(strides))
