"""hls4ml's dense layers and convolutions: products of whatever kind, in an accumulator of whatever modes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.da import affine, cast_inputs
from fpgaflow.frontend.hls4ml.limits import check_convolution, check_folding
from fpgaflow.frontend.hls4ml.products import Product, product
from fpgaflow.frontend.hls4ml.reader import (
    Padding,
    Reader,
    RefusedError,
    assigned,
    constant,
    is_integer,
    within,
)
from fpgaflow.frontend.hls4ml.shapes import expect, padded, sides, spatial
from fpgaflow.ir.bounds import accumulator
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops import Cast, Conv, Dense, Reshape
from fpgaflow.ir.ops_merge import OrderedDense, OrderedSum, Patches, Scale, Take
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import conv_shape
from fpgaflow.ir.verify_merge import patches_shape, scale_type
from fpgaflow.sim.fixed_point import cast


@dataclass(frozen=True)
class Window:
    """Where a convolution's taps lie; a dense layer has none."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding
    depthwise: bool


@dataclass(frozen=True)
class Sum:
    """A linear layer as read.

    Attributes:
        by: its products; the weights are (taps, outputs), or (taps, channels) where depthwise.
        bias: (outputs,) integers of `bias_type`, or None for zeros.
        accum, rounding, overflow: the accumulator's type, and what a cast of a product into it does.
    """

    by: Product
    weights: Ints
    bias: Ints | None
    bias_type: FixedType | None
    accum: FixedType
    rounding: Rounding
    overflow: Overflow

    @property
    def exact(self) -> FixedType:
        """The narrowest type of all partial sums, were nothing lost."""
        return accumulator(self.weights, self.by.weight_type, self.bias, self.bias_type, self.by.source.type)

    @property
    def any_order(self) -> bool:
        """Whether no order of the sum gives another result: nothing is lost but by truncation and wrapping."""
        loses = self.rounding is not Rounding.TRN and self.exact.fraction > self.accum.fraction
        return not loses and (self.overflow is Overflow.WRAP or within(self.exact, self.accum))


def dense(reader: Reader, layer: Any) -> None:
    source = reader.source(layer)
    if _by_adders(layer):
        expect(source, (*source.shape[:-1], int(layer.get_attr("n_in"))))
        total, bits = _adders(reader, layer, source, source.shape[-1])
        reader.cast(layer, added(reader, layer, total, total.by.source).name, layer.outputs[0], bits)
        return
    by = product(reader, layer, "weight", source)
    weights = _outputs_last(layer, by.weights)
    expect(source, (*source.shape[:-1], weights.shape[0]))
    check_folding(layer, *weights.shape)
    total = linear_sum(layer, by, weights.shape, *constant(layer, "bias"))
    found = added(reader, layer, total, by.source)
    found = counted(reader, layer, found, weights.shape[0])
    reader.cast(layer, found.name, layer.outputs[0], found.type.integer_bits)


def conv(reader: Reader, layer: Any) -> None:
    depthwise, channels = layer.class_name.startswith("Depthwise"), int(layer.get_attr("n_chan"))
    size = spatial(layer, "filt")
    check_convolution(reader, layer, size, depthwise)
    window = Window(size, spatial(layer, "stride"), sides(layer, "pad"), depthwise)
    source = reader.source(layer)
    expect(source, (*spatial(layer, "in"), channels))
    outputs = channels if depthwise else int(layer.get_attr("n_filt"))
    taps = prod(size) * (1 if depthwise else channels)
    binary = is_integer(layer.get_input_variable().type.precision, 1)
    if binary and any(map(any, window.padding)):
        # Padding is bits of zero, which in a binary network stand for -1.
        source = padded(reader, layer, source, window.padding, 0, f"{layer.name}.padded")
        window = Window(size, window.strides, ((0, 0),) * len(size), depthwise)
    elif not binary and layer.inputs[0] in reader.padded:
        name, before = reader.padded[layer.inputs[0]]
        both = zip(window.padding, before, strict=True)
        window = Window(size, window.strides, tuple((a + c, b + d) for (a, b), (c, d) in both), depthwise)
        source = reader.tensors[name]
    if _by_adders(layer):
        total, bits = _adders(reader, layer, source, taps)
        found = _convolved(reader, layer, total, window)
        reader.cast(layer, found.name, layer.outputs[0], bits)
        return
    by = product(reader, layer, "weight", source)
    if by.weights.size != taps * outputs:
        raise RefusedError(f"weights {by.weights.shape} do not fit its kernel, channels and filters")
    total = linear_sum(layer, by, (taps, outputs), *constant(layer, "bias"))
    found = _convolved(reader, layer, total, window)
    found = counted(reader, layer, found, _mult_inputs(reader, layer, size, channels))
    reader.cast(layer, found.name, layer.outputs[0], found.type.integer_bits)


def _convolved(reader: Reader, layer: Any, total: Sum, window: Window) -> Tensor:
    if not total.any_order:
        return _convolved_in_order(reader, layer, total, window)
    source, outputs = total.by.source, total.weights.shape[-1]
    shape = (*window.size, 1 if window.depthwise else source.shape[-1], outputs)
    constants = _constants(reader, layer, total, shape)
    groups = outputs if window.depthwise else 1
    places = window.strides, (1,) * len(window.size), window.padding, groups
    op = Conv(*_names(layer, source), *constants, total.accum, *places)
    return reader.emit(op, conv_shape(source.shape, window.size, outputs, op), total.accum)


def _by_adders(layer: Any) -> bool:
    return str(layer.get_attr("strategy")).lower() == "distributed_arithmetic"


def _adders(reader: Reader, layer: Any, source: Tensor, taps: int) -> tuple[Sum, int | None]:
    """The layer's sum, and the integer bits of its results in C++."""
    found = affine(layer.get_attr("da_codegen").code, taps)
    data = cast_inputs(reader, layer, source, found)
    exact = accumulator(found.weights, found.weight_type, found.bias, found.bias_type, data.type)
    by = Product(data, found.weights, found.weight_type, None, exact)
    total = Sum(by, found.weights, found.bias, found.bias_type, exact, Rounding.TRN, Overflow.WRAP)
    return total, found.integer_bits


def _strategy(layer: Any) -> str:
    """How the products are added."""
    strategy = str(layer.get_attr("strategy")).lower()
    if strategy not in ("latency", "resource", "resource_unrolled"):
        raise RefusedError(f"strategy '{strategy}'", "Choose Latency or Resource")
    return strategy


def _names(layer: Any, source: Tensor) -> tuple[str, tuple[str, ...], str, str]:
    return layer.name, (source.name,), f"{layer.name}.accum", layer.name


def _outputs_last(layer: Any, weights: Ints) -> Ints:
    """The weights as they were before resource_strategy.py moved their last axis to the front."""
    return np.moveaxis(weights, 0, -1) if layer.get_attr("_weights_transposed", False) else weights


def linear_sum(layer: Any, by: Product, shape: tuple[int, ...], bias: Ints, bias_type: FixedType) -> Sum:
    """The layer's sum, with weights in `shape` (taps, outputs) and bias (outputs,)."""
    if _strategy(layer) == "resource_unrolled" and is_integer(layer.get_attr("weight_t").precision, 1):
        raise RefusedError("binary weights: hls4ml's unrolled code leaves out those that are written as 0")
    precision = layer.get_attr("accum_t").precision
    accum, of_bias, overflow = assigned(precision, bias_type, bias_type.integer_bits)
    _, rounding, _ = assigned(precision, by.type, by.type.integer_bits)
    # An ordered sum starts from the bias in the accumulator's type; another one casts it so itself.
    if by.addend is not None or {of_bias, rounding} != {Rounding.TRN} or overflow is not Overflow.WRAP:
        bias, bias_type = to_int64(cast(bias, bias_type, accum, of_bias, overflow)), accum
    if by.addend is not None:
        count = _outputs_last(layer, by.addend).reshape(shape).sum(axis=0)
        bias = bias + (count << max(accum.fraction, 0))
        bias_type = FixedType(True, accum.width + 32, accum.fraction)
    weights = _outputs_last(layer, by.weights).reshape(shape)
    total = Sum(by, weights, bias, bias_type, accum, rounding, overflow)
    if not bias.any():
        total = replace(total, bias=None, bias_type=None)
    if by.addend is not None and (accum.fraction < 0 or not total.any_order):
        raise RefusedError("a binary network's accumulator that rounds or saturates")
    return total


def to_int64(array: np.ndarray) -> Ints:
    try:
        return array.astype(np.int64)
    except OverflowError:
        raise RefusedError("a bias of more than 63 bits") from None


def _constants(
    reader: Reader, layer: Any, total: Sum, shape: tuple[int, ...]
) -> tuple[str, FixedType, str | None, FixedType | None]:
    """The weights in `shape`, and the bias, as a linear op names them."""
    weights, bias = f"{layer.name}.weight", None
    reader.constants[weights] = total.weights.reshape(shape)
    if total.bias is not None:
        bias = f"{layer.name}.bias"
        reader.constants[bias] = total.bias
    return weights, total.by.weight_type, bias, total.bias_type


def added(reader: Reader, layer: Any, total: Sum, inputs: Tensor) -> Tensor:
    """The sum over the last axis of `inputs`."""
    if not total.any_order:
        return _in_order(reader, layer, total, inputs)
    constants = _constants(reader, layer, total, total.weights.shape)
    op = Dense(*_names(layer, inputs), *constants, total.accum)
    return reader.emit(op, (*inputs.shape[:-1], total.weights.shape[1]), total.accum)


def _in_order(reader: Reader, layer: Any, total: Sum, inputs: Tensor) -> Tensor:
    """The sum over the last axis of `inputs`, tap by tap as hls4ml adds them."""
    taps, outputs = total.weights.shape
    order = np.arange(taps)
    reuse = int(layer.get_attr("reuse_factor"))
    if _strategy(layer) != "latency" and reuse < taps:  # nnet_dense_resource.h, dense_resource_rf_leq_nin
        order = order.reshape(-1, reuse).T.ravel()
        inputs = _taken(reader, layer, inputs, order, f"{layer.name}.ordered")
    weights, weight_type, bias, _ = _constants(reader, layer, total, (taps, outputs))
    reader.constants[weights] = reader.constants[weights][order]
    rules = total.rounding, total.overflow
    op = OrderedDense(*_names(layer, inputs), weights, weight_type, bias, *rules)
    return reader.emit(op, (*inputs.shape[:-1], outputs), total.accum)


def _taken(reader: Reader, layer: Any, tensor: Tensor, indices: Ints, name: str) -> Tensor:
    """Entries of the last axis."""
    reader.constants[f"{name}.indices"] = indices
    op = Take(name, (tensor.name,), name, layer.name, f"{name}.indices", len(tensor.shape) - 1)
    return reader.emit(op, (*tensor.shape[:-1], len(indices)), tensor.type)


def _reshaped(reader: Reader, layer: Any, tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    return reader.emit(Reshape(name, (tensor.name,), name, layer.name), shape, tensor.type)


def _convolved_in_order(reader: Reader, layer: Any, total: Sum, window: Window) -> Tensor:
    name = layer.name
    source = padded(reader, layer, total.by.source, window.padding, 0, f"{name}.around")
    seen = Patches(f"{name}.patches", (source.name,), f"{name}.patches", name, window.size, window.strides)
    patches = reader.emit(seen, patches_shape(source.shape, window.size, window.strides), source.type)
    *places, taps, channels = patches.shape
    if not window.depthwise:
        inputs = _reshaped(reader, layer, patches, (*places, taps * channels), f"{name}.inputs")
        return _in_order(reader, layer, total, inputs)
    reader.constants[f"{name}.weight"] = total.weights
    exact = scale_type(patches.type, total.weights, total.by.weight_type, None, None)
    factors = f"{name}.weight", total.by.weight_type, None, None
    terms = reader.emit(
        Scale(f"{name}.products", (patches.name,), f"{name}.products", name, *factors), patches.shape, exact
    )
    rules = total.rounding, total.overflow
    terms = reader.emit(Cast(f"{name}.terms", (terms.name,), f"{name}.terms", name, *rules), terms.shape, total.accum)
    if _strategy(layer) != "latency":
        # nnet_depthwise_product.h: every reuse-th product of all channels at a time, whichever channel it is of
        reuse = min(int(layer.get_attr("reuse_factor")), taps * channels)
        indices = np.arange(taps * channels).reshape(taps, channels)
        order = np.argsort(indices % reuse, axis=0, kind="stable")
        flat = _reshaped(reader, layer, terms, (*places, taps * channels), f"{name}.flat")
        flat = _taken(reader, layer, flat, np.take_along_axis(indices, order, axis=0).ravel(), f"{name}.ordered")
        terms = _reshaped(reader, layer, flat, (*places, taps, channels), f"{name}.sorted")
    bias = None
    if total.bias is not None:
        bias = f"{name}.bias"
        reader.constants[bias] = total.bias
    op = OrderedSum(*_names(layer, terms), bias, False, *rules)
    return reader.emit(op, (*places, channels), total.accum)


def _mult_inputs(reader: Reader, layer: Any, size: tuple[int, ...], channels: int) -> int:
    """`n_in` of the multiplication's configuration (convolution_templates.py)."""
    alone = layer.class_name.endswith("Conv1D") and size == (1,) and layer.get_attr("n_partitions") == 1
    if alone and not reader.stream and _strategy(layer) == "latency":
        return int(layer.get_attr("in_width")) * channels
    return prod(size) * channels


def counted(reader: Reader, layer: Any, found: Tensor, n_in: int) -> Tensor:
    """The accumulators; a binary network's, which count ones, as sums of ±1 (nnet_mult.h, cast)."""
    precisions = layer.get_input_variable().type.precision, layer.get_attr("weight_t").precision
    if all(is_integer(precision, 1) for precision in precisions):
        name = f"{layer.name}.signed"
        two, less = np.array([2]), np.array([-n_in])
        reader.constants[f"{name}.two"], reader.constants[f"{name}.less"] = two, less
        types = FixedType(False, 2, 0), FixedType(True, 33, 0)
        exact = scale_type(found.type, two, types[0], less, types[1])
        op = Scale(name, (found.name,), name, layer.name, f"{name}.two", types[0], f"{name}.less", types[1])
        found = reader.emit(op, found.shape, exact)
        width = max(1, (n_in - 1).bit_length()) + 2  # ceillog2, which is 1 for 1
        result = FixedType(True, width, 0)
        modes = Rounding.TRN_ZERO, Overflow.WRAP
        op_cast = Cast(f"{name}.cast", (found.name,), f"{name}.cast", layer.name, *modes)
        found = reader.emit(op_cast, found.shape, result)
    return found
