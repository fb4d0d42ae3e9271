"""hls4ml's activation functions: piecewise linear ones, those by tables, and quantisers.

The C++ that is called is in `nnet_activation.h` for io_parallel, in `nnet_activation_stream.h` for io_stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from math import floor
from typing import Any

import numpy as np
from hls4ml.model.types import FixedPrecisionType

from fpgaflow.frontend.hls4ml.emit import Emit
from fpgaflow.frontend.hls4ml.functions import elu, selu, sigmoid, softplus, softsign, tanh
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, compared_as_unsigned, constant, fixed_type
from fpgaflow.frontend.hls4ml.tables import Floats, table_inputs, table_integers
from fpgaflow.ir.bounds import sum_type
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops import Add
from fpgaflow.ir.ops_table import CastEach
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify_table import MAX_INDEX_WIDTH
from fpgaflow.sim.kernels_table import element_types

_ONE = FixedType(False, 1, 0)  # of the factor 1
_INT = FixedType(True, 32, 0)
_INT_MAX = (1 << 31) - 1  # hls4ml's table indices are C++ ints


def number(value: Any, precision: Any) -> tuple[int, FixedType]:
    """What C++ makes of a number that hls4ml writes into its code, as an integer of the type."""
    entries, type_ = table_integers(np.array([float(f"{value}")]), precision)
    return int(entries[0]), type_


def _above(value: Fraction | int, type_: FixedType) -> int:
    """The smallest integer of the type that stands for more than `value`."""
    return floor(value * Fraction(2) ** type_.fraction) + 1


def _agreed(*integer_bits: int) -> int | None:
    """Integer bits of a result that is one of several expressions: what matters is whether there are any."""
    return integer_bits[0] if len({bits > 0 for bits in integer_bits}) == 1 else None


# Piecewise linear functions


def _linear(emit: Emit) -> None:
    emit.result(emit.source, emit.source.type.integer_bits)


def _relu(emit: Emit) -> None:
    emit.result(emit.relu(emit.source, "relu"))


def _capped_relu(cap: int, emit: Emit) -> None:
    if emit.reader.stream:
        raise RefusedError(f"relu{cap} in io_stream: hls4ml has no code for it", "Use io_parallel")
    x, up = emit.source, max(-emit.source.type.fraction, 0)
    one = 1 << x.type.fraction + up
    knots = [0, _above(cap, x.type)]
    emit.result(emit.piecewise(x, knots, [0, 1 << up, 0], [0, 0, cap * one], x.type.fraction + up, "capped"))


def _leaky(emit: Emit, alpha: Ints | int, type_: FixedType) -> None:
    """x above 0, else alpha × x; alpha is one for all elements, or one for each."""
    x, one = emit.source, max(type_.fraction, 0)
    slopes = np.stack(
        [np.asarray(alpha, dtype=object) << one - type_.fraction, np.full(np.shape(alpha), 1 << one)], axis=-1
    )
    bent = emit.piecewise(x, [1], slopes, [0, 0], x.type.fraction + one, "bent")
    emit.result(bent, x.type.integer_bits + type_.integer_bits)


def _thresholded(emit: Emit, theta: int, type_: FixedType) -> None:
    x = emit.source
    knot = _above(theta * Fraction(2) ** -type_.fraction, x.type)
    knots, slopes = [knot], [0, 1]
    if compared_as_unsigned(x.type, type_):
        if x.type.signed:
            knots, slopes = [0, knot], [1, 0, 1]
        elif theta < 0:
            slopes = [0, 0]
    offsets = [0] * len(slopes)
    emit.result(emit.piecewise(x, knots, slopes, offsets, x.type.fraction, "thresholded"), x.type.integer_bits)


def prelu(reader: Reader, layer: Any) -> None:
    emit = Emit(reader, layer)
    alpha, type_ = constant(layer, "param")
    if alpha.size != np.prod(emit.source.shape):
        raise RefusedError(f"{alpha.size} slopes for {emit.source.shape}: hls4ml reads one for each element")
    _leaky(emit, alpha.reshape(emit.source.shape), type_)


def hard_activation(reader: Reader, layer: Any) -> None:
    """slope × x + shift, clamped to [0, 1]; hard_tanh then takes it to [-1, 1]."""
    emit, function = Emit(reader, layer), str(layer.get_attr("activation")).lower()
    slope, slope_type = number(layer.get_attr("slope"), layer.get_attr("slope_t").precision)
    shift, shift_type = number(layer.get_attr("shift"), layer.get_attr("shift_t").precision)
    line = emit.scale(emit.source, np.array([slope]), slope_type, "line", np.array([shift]), shift_type)
    fraction = line.type.fraction
    if fraction < 0:
        raise RefusedError(f"{emit.source.type} inputs: hls4ml clamps them to a 1 that their type does not hold")
    one = 1 << fraction
    if function == "hard_sigmoid":
        emit.result(emit.piecewise(line, [0, one], [0, 1, 0], [0, 0, one], fraction, "clamped"))
    elif function == "hard_tanh":
        emit.result(emit.piecewise(line, [0, one], [0, 2, 0], [-one, -one, one], fraction, "clamped"), 34)
    else:
        raise RefusedError(f"activation '{function}'")


def _binary_tanh(emit: Emit) -> None:
    type_, _, _ = fixed_type(emit.layer.get_output_variable().type.precision)
    low = 0 if type_ == FixedType(False, 1, 0) else -1  # nnet_activation.h, binary_cast to ap_uint<1>
    emit.result(emit.piecewise(emit.source, [0], [0, 0], [low, 1], 0, "sign"), 2)


def _ternary_tanh(emit: Emit) -> None:
    """In io_parallel of 2 × x, as far as x's own type holds that; in io_stream of x itself."""
    x = emit.source
    if emit.reader.stream:
        knots = [_above(-1, x.type), _above(1, x.type)]
    else:
        type_, rounding, overflow = fixed_type(emit.layer.get_input_variable().type.precision)
        x = emit.cast(
            emit.scale(x, np.array([2]), FixedType(False, 2, 0), "doubled"), type_, rounding, overflow, "kept"
        )
        knots = [_above(-1, x.type), _above(1, x.type)]
    middle = -1 if compared_as_unsigned(x.type, _INT) else 0
    emit.result(emit.piecewise(x, knots, [0, 0, 0], [-1, middle, 1], 0, "sign"), 32)


# Functions by tables


def table_index(emit: Emit, x: Tensor, size: int, reach: int, low: int, high: int, wish: str = "index") -> Tensor:
    """x × size / reach, toward zero, clamped to [low, high]: the integers of a type that may hold a few more.

    Raises:
        RefusedError: what the index may be before it is clamped is no C++ int.
    """
    bits, fraction = reach.bit_length() - 1, x.type.fraction  # reach = 2^bits
    largest = max(-x.type.low, x.type.high) * size * Fraction(2) ** -(bits + fraction)
    if largest + size > _INT_MAX:
        raise RefusedError(f"{x.type} inputs: hls4ml's table index overflows a C++ int", "Use fewer integer bits")
    if fraction < 0 and size % reach:
        raise RefusedError(f"{x.type} inputs for a table of {size} entries", f"Use a multiple of {reach} entries")
    if size > 1 << MAX_INDEX_WIDTH - 1:
        raise RefusedError(f"a table of {size} entries", f"Use {1 << MAX_INDEX_WIDTH - 1} at most")
    zeros = (size & -size).bit_length() - 1
    odd = size >> zeros
    if odd > 1:
        x = emit.scale(x, np.array([odd]), type_for(0, odd, 0), f"{wish}.scaled")
    return emit.cast(x, type_for(low, high, zeros - bits), Rounding.TRN_ZERO, Overflow.SAT, wish)


def over_index(index: Tensor, entries: Ints, low: int) -> Ints:
    """A table whose first entry belongs to `low`, over all integers of the index's type."""
    places = np.arange(index.type.low, index.type.high + 1) - low
    return entries[np.clip(places, 0, len(entries) - 1)]


def _table(function: Callable[[Floats], Floats], reach: int, emit: Emit) -> None:
    """A function whose table covers -reach to reach."""
    size = emit.number("table_size")
    entries, type_ = table_integers(function(table_inputs(size, reach)), emit.precision("table_t"))
    low = -(size // 2)
    index = table_index(emit, emit.source, size, 2 * reach, low, low + size - 1)
    emit.lookup_result(index, over_index(index, entries, low), type_)


def _exponential(
    emit: Emit, function: Callable[[Floats], Floats], alpha: int, alpha_type: FixedType, slope: Tensor
) -> None:
    """slope from 0 on, alpha × function(x) below, by a table that covers -8 to 0 and begins with 0."""
    size = emit.number("table_size")
    entries, type_ = table_integers(
        function((-8.0 * np.arange(size) / size).astype(np.float32)), emit.precision("table_t")
    )
    product = FixedType(
        type_.signed or alpha_type.signed, type_.width + alpha_type.width, type_.fraction + alpha_type.fraction
    )
    index = table_index(emit, emit.source, size, 8, 1 - size, 0)
    below = emit.lookup(
        index, over_index(index, entries[::-1].astype(object) * alpha, 1 - size), product.fraction, "below"
    )
    joined = emit.add(Add, "joined", [slope, below], slope.shape, sum_type(slope.type, below.type))
    emit.result(joined, _agreed(product.integer_bits, slope.type.integer_bits))


def _elu(emit: Emit, alpha: int = 1, type_: FixedType = _ONE) -> None:
    _exponential(emit, elu, alpha, type_, emit.relu(emit.source, "above"))


def _selu(emit: Emit) -> None:
    stream = emit.reader.stream
    precision = emit.layer.get_input_variable().type.precision if stream else FixedPrecisionType(16, 1, signed=False)
    slope, type_ = number("1.0507009873554805", precision)
    above = emit.scale(emit.relu(emit.source, "above"), np.array([slope]), type_, "sloped")
    _exponential(emit, selu, 1, _ONE, above)


def unary_lut(reader: Reader, layer: Any) -> None:
    """The input's bits are the index; negative numbers come after the others."""
    emit, (entries, type_) = Emit(reader, layer), constant(layer, "table")
    source = emit.source.type
    if source.width > MAX_INDEX_WIDTH or len(entries) < 1 << source.width:
        raise RefusedError(f"{len(entries)} entries for {source} inputs: hls4ml reads one for each pattern of bits")
    emit.lookup_result(emit.source, entries[np.arange(source.low, source.high + 1) % (1 << source.width)], type_)


# Layers


_FUNCTIONS: Mapping[str, Callable[[Emit], None]] = {
    "linear": _linear,
    "relu": _relu,
    "relu1": partial(_capped_relu, 1),
    "relu6": partial(_capped_relu, 6),
    "sigmoid": partial(_table, sigmoid, 8),
    "tanh": partial(_table, tanh, 4),
    "softplus": partial(_table, softplus, 8),
    "softsign": partial(_table, softsign, 8),
    "elu": _elu,
    "selu": _selu,
    "binary_tanh": _binary_tanh,
    "ternary_tanh": _ternary_tanh,
}
_PARAMETRIZED: Mapping[str, Callable[[Emit, int, FixedType], None]] = {
    "leakyrelu": _leaky,
    "leaky_relu": _leaky,
    "thresholdedrelu": _thresholded,
    "thresholded_relu": _thresholded,
    "elu": _elu,
}


def activation(reader: Reader, layer: Any) -> None:
    if (read := _FUNCTIONS.get(function := str(layer.get_attr("activation")).lower())) is None:
        raise RefusedError(f"activation '{function}'")
    read(Emit(reader, layer))


def parametrized_activation(reader: Reader, layer: Any) -> None:
    if (read := _PARAMETRIZED.get(function := str(layer.get_attr("activation")).lower())) is None:
        raise RefusedError(f"activation '{function}'")
    read(Emit(reader, layer), *number(layer.get_attr("activ_param", 1.0), layer.get_attr("param_t").precision))


def fixed_point_quantizer(reader: Reader, layer: Any) -> None:
    """HGQ's: each element goes through a type of its own (backends/fpga/passes/hgq_proxy_model.py)."""
    emit = Emit(reader, layer)
    shape = emit.source.shape
    signed, width, integer = (np.broadcast_to(np.asarray(m)[0], shape).astype(np.int64) for m in layer.mask_kbi)
    if width.min() < 0:
        raise RefusedError(f"a mask of {width.min()} bits: hls4ml's code for it does not compile")
    masks = np.stack([signed, width, width - integer])
    types = [type_ for type_, _ in element_types(masks)] or [_ONE]
    fraction = max(type_.fraction for type_ in types)
    ends = [end << fraction - type_.fraction for type_ in types for end in (type_.low, type_.high)]
    fields = {"types": emit.constant("types", masks), "rounding": Rounding(layer.RND), "overflow": Overflow(layer.SAT)}
    each = emit.add(CastEach, "each", [emit.source], shape, type_for(min(ends), max(ends), fraction), **fields)
    emit.result(each, _agreed(*(type_.integer_bits for type_ in types)))


ACTIVATION_READERS: Mapping[str, Callable[[Reader, Any], None]] = {
    "Activation": activation,
    "FixedPointQuantizer": fixed_point_quantizer,
    "HardActivation": hard_activation,
    "PReLU": prelu,
    "ParametrizedActivation": parametrized_activation,
    "UnaryLUT": unary_lut,
}
