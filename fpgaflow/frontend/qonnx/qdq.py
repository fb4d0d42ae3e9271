"""Importers of ONNX's own quantisation: QuantizeLinear, Clip, DequantizeLinear (QDQ, QCDQ) and its integer operators.

A pair of QuantizeLinear and DequantizeLinear, with a Clip between or not, is the same quantiser as one Quant; ONNX adds
the zero-point after rounding, so that it shifts the range of the integers and no tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from onnx import TensorProto, helper

from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Const, Fractions, Value, fractions, with_affine
from fpgaflow.frontend.qonnx import linear
from fpgaflow.frontend.qonnx.context import Context, Known, Open, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node, element_type
from fpgaflow.frontend.qonnx.quant import positive_scale
from fpgaflow.frontend.qonnx.quantizers import QonnxRounding, Quantizer
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.types import type_for

_TYPES: dict[str, tuple[int, int]] = {  # numpy's name -> lowest and highest integer
    name: (-(1 << bits - 1), (1 << bits - 1) - 1) if name.startswith("i") else (0, (1 << bits) - 1)
    for name, bits in (
        *(("int4", 4), ("uint4", 4), ("int8", 8), ("uint8", 8)),
        *(("int16", 16), ("uint16", 16), ("int32", 32), ("uint32", 32), ("int64", 64)),
    )
}


@dataclass(frozen=True)
class _Grid:
    """Scale and zero-point of a tensor, both of its rank; `axis` is the one they run along, the batch counted."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    @property
    def scales(self) -> tuple[Fraction, ...]:
        return fractions(self.scale)


def _grid(ctx: Context, node: Node, scale_at: int | None, zero_at: int, shape: Sequence[int], axis: int) -> _Grid:
    scale = np.ones(()) if scale_at is None else positive_scale(node, ctx.const(node, scale_at, "scale"))
    stored = ctx.optional(node, zero_at, "zero-point")
    zero = np.zeros(scale.shape, np.int64) if stored is None else stored.values
    if stored is not None and zero.dtype.name not in _TYPES:
        refuse(str(node), f"a zero-point of type {zero.dtype.name}", "Quantise to integers of 4, 8 or 16 bits")
    entries = []
    for array in (scale, zero.astype(np.int64)):
        if array.size == 1:
            entries.append(array.reshape((1,) * len(shape)))
        elif array.ndim == 1 and 0 <= axis < len(shape) and array.size == shape[axis]:
            entries.append(array.reshape([-1 if i == axis else 1 for i in range(len(shape))]))
        else:
            refuse(
                str(node), f"scales or zero-points {array.shape} along axis {axis} of {tuple(shape)}", "Export it again"
            )
    return _Grid(entries[0], entries[1], axis)


def _axis(node: Node, rank: int) -> int:
    if int_attribute(node, "block_size", 0):
        refuse(str(node), "is quantised in blocks", "Use one scale, or one per channel")
    axis = int_attribute(node, "axis", 1)
    return axis + rank if axis < 0 else axis


def _range_of(ctx: Context, node: Node) -> tuple[int, int]:
    """Lowest and highest integer that a QuantizeLinear gives."""
    stored = ctx.optional(node, 2, "zero-point")
    number = int_attribute(node, "output_dtype", 0)
    name = "uint8" if stored is None else stored.values.dtype.name
    if stored is None and number:
        name = helper.tensor_dtype_to_np_dtype(number).name if number in _INTEGER_TYPES else element_type(number)
    if name not in _TYPES or name.endswith(("32", "64")):
        refuse(str(node), f"quantises to {name}", "Quantise to integers of 4, 8 or 16 bits")
    return _TYPES[name]


_INTEGER_TYPES = frozenset(
    {
        *(TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16),
        *(TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64),
    }
)


def quantize_linear(ctx: Context, node: Node) -> Known:
    low, high = _range_of(ctx, node)
    if isinstance(ctx.at(node, 0), Const):
        return _constant(ctx, node, low, high)
    value = ctx.value(node, 0)
    shape = (ctx.batch, *ctx.shape(value))
    grid = _grid(ctx, node, 1, 2, shape, _axis(node, len(shape)))
    return _opened(node, value, grid, low, high)


def _opened(node: Node, value: Value, grid: _Grid, low: int, high: int) -> Open:
    zeros = set(grid.zero.reshape(-1).tolist())
    if grid.scale.size > 1 and grid.axis == 0:
        refuse(str(node), "scales along the batch", "Use one scale, or one per channel")
    if len(zeros) > 1:
        refuse(str(node), "zero-points that differ by channel", "Quantise activations with one zero-point")
    zero = zeros.pop()
    axis = grid.axis - 1 if grid.scale.size > 1 else value.axis
    return Open(value, _quantizer(grid.scales, low - zero, high - zero, axis), zero, node.name, node.outputs[0])


def _quantizer(scale: Fractions, low: int, high: int, axis: int) -> Quantizer:
    type_ = type_for(low, high, 0)
    return Quantizer(scale, 0, low, high, type_.signed, type_.width, QonnxRounding.ROUND, False, axis)


def _constant(ctx: Context, node: Node, low: int, high: int) -> Const:
    """Constant weights to integers, divided in float32 as ONNX Runtime does."""
    weights = ctx.const(node, 0, "tensor").values
    ctx.spend(node, weights.size)
    if weights.dtype not in (np.float32, np.float64):
        refuse(str(node), f"quantises constants of type {weights.dtype}", "Store the weights as float32")
    grid = _grid(ctx, node, 1, 2, weights.shape, _axis(node, weights.ndim))
    with np.errstate(over="ignore"):
        rounded = np.rint(weights.astype(np.float32) / grid.scale.astype(np.float32)).astype(np.float64)
    return Const(np.clip(rounded + grid.zero, low, high).astype(np.int64))


def clip(ctx: Context, node: Node) -> Known:
    """A Clip of a quantiser's integers narrows it."""
    source = ctx.known[node.inputs[0]]
    if not isinstance(source, Open):
        refuse(str(node), "clips what no QuantizeLinear made", "Clip between QuantizeLinear and DequantizeLinear")
    q = source.quantizer
    bounds = [_bound(ctx, node, position, name) for position, name in ((1, "min"), (2, "max"))]
    low = q.low if bounds[0] is None else max(q.low, bounds[0] - source.zero)
    high = q.high if bounds[1] is None else min(q.high, bounds[1] - source.zero)
    if low > high:
        refuse(str(node), "clips everything to one value", "Give a minimum below the maximum")
    return replace(source, quantizer=_quantizer(q.scale, low, high, q.axis), node=node.name, name=node.outputs[0])


def _bound(ctx: Context, node: Node, position: int, name: str) -> int | None:
    if (const := ctx.optional(node, position, name)) is None:
        return None
    if const.values.size != 1 or not float(const.values.reshape(-1)[0]).is_integer():
        refuse(str(node), f"a {name} that is not one whole number", "Clip integers at integers")
    return int(const.values.reshape(-1)[0])


def dequantize_linear(ctx: Context, node: Node) -> Known:
    item = ctx.at(node, 0)
    shape = item.values.shape if isinstance(item, Const) else (ctx.batch, *ctx.shape(ctx.value(node, 0)))
    return _dequantised(ctx, node, 0, 1, 2, _axis(node, len(shape)))


def _dequantised(ctx: Context, node: Node, x_at: int, scale_at: int | None, zero_at: int, axis: int) -> Value | Const:
    """(x - zero) × scale; without a scale the integers alone."""
    if isinstance(ctx.at(node, x_at), Const):
        stored = ctx.const(node, x_at, "tensor").values
        ctx.spend(node, stored.size)
        if stored.dtype.name not in _TYPES:
            refuse(str(node), f"dequantises constants of type {stored.dtype.name}", "Store them as integers")
        grid = _grid(ctx, node, scale_at, zero_at, stored.shape, axis)
        ints = stored.astype(np.int64) - grid.zero
        type_ = type_for(int(ints.min(initial=0)), int(ints.max(initial=0)), 0)
        values = (ints.astype(np.float32) * grid.scale).astype(np.float32)
        return Const(values, ints, grid.scale.astype(np.float64), type_.width, type_.signed)
    value = ctx.value(node, x_at)
    shape = (ctx.batch, *ctx.shape(value))
    grid = _grid(ctx, node, scale_at, zero_at, shape, axis)
    if grid.axis == 0 and max(grid.scale.size, grid.zero.size) > 1:
        refuse(str(node), "scales along the batch", "Use one scale, or one per channel")
    moved = with_affine(value, (ONE,), tuple(-z for z in fractions(grid.zero)), grid.axis - 1)
    scaled = moved and with_affine(moved, grid.scales, (ZERO,), grid.axis - 1)
    if scaled is None:
        refuse(str(node), "per-channel scales along two different axes meet", "Use one scale for the whole activation")
    return scaled


def _on(ctx: Context, node: Node, *inputs: Known | None) -> Node:
    """The real-valued product within a node, of these inputs."""
    return replace(node, inputs=ctx.lend(node, *inputs), outputs=(f"{node.outputs[0]}.sum",))


def qlinear_conv(ctx: Context, node: Node) -> Open:
    """Inputs: x, its scale and zero-point, w, ..., y's scale and zero-point, bias of scale x's × w's."""
    x, w = _dequantised(ctx, node, 0, 1, 2, 1), _dequantised(ctx, node, 3, 4, 5, 0)
    bias = ctx.optional(node, 8, "bias")
    if bias is not None:
        scales = [positive_scale(node, ctx.const(node, i, "scale")).astype(np.float64).reshape(-1) for i in (1, 4)]
        product = np.broadcast_to(scales[0] * scales[1], bias.values.shape)  # exact: 24 bits by 24 bits
        ints = bias.values.astype(np.int64)
        bias = Const((ints * product).astype(np.float32), ints, product, 32)
    return _closed_by(ctx, node, linear.conv(ctx, _on(ctx, node, x, w, bias)))


def qlinear_matmul(ctx: Context, node: Node) -> Open:
    a, b = _dequantised(ctx, node, 0, 1, 2, -1), _dequantised(ctx, node, 3, 4, 5, 1)
    return _closed_by(ctx, node, linear.matmul(ctx, _on(ctx, node, a, b)))


def _closed_by(ctx: Context, node: Node, result: Value) -> Open:
    shape = (ctx.batch, *ctx.shape(result))
    grid = _grid(ctx, node, 6, 7, shape, -1)
    zero = ctx.const(node, 7, "zero-point").values.dtype.name
    if zero not in ("int8", "uint8"):
        refuse(str(node), f"a result of type {zero}", "Let it be int8 or uint8")
    return _opened(node, result, grid, *_TYPES[zero])


def conv_integer(ctx: Context, node: Node) -> Value:
    x, w = _dequantised(ctx, node, 0, None, 2, -1), _dequantised(ctx, node, 1, None, 3, 0)
    return linear.conv(ctx, _on(ctx, node, x, w))


def matmul_integer(ctx: Context, node: Node) -> Value:
    a, b = _dequantised(ctx, node, 0, None, 2, -1), _dequantised(ctx, node, 1, None, 3, 1)
    return linear.matmul(ctx, _on(ctx, node, a, b))


def cast(ctx: Context, node: Node) -> Value:
    """A change of element type that changes no value."""
    value, number = ctx.value(node, 0), int_attribute(node, "to", 0)
    if number in (TensorProto.FLOAT, TensorProto.DOUBLE):
        return value
    name = helper.tensor_dtype_to_np_dtype(number).name if number in _INTEGER_TYPES else element_type(number)
    if name not in _TYPES or value.raw:
        refuse(str(node), f"casts to {name}", "Remove the cast, or quantise with a quantiser")
    step = value.steps[0] if value.steps else Affine((ONE,), (ZERO,))
    type_ = ctx.builder.type(value.tensor)
    if len(value.steps) < 2 and isinstance(step, Affine):
        lsb = Fraction(2) ** -type_.fraction
        ends = [q * lsb * s + o for q in (type_.low, type_.high) for s in step.scale for o in step.offset]
        whole = all((s * lsb).denominator == 1 for s in step.scale) and all(o.denominator == 1 for o in step.offset)
        low, high = _TYPES[name]
        if whole and low <= min(ends) and max(ends) <= high:
            return value
    refuse(str(node), f"casts to {name} what may not fit into it", "Quantise with a quantiser instead")
