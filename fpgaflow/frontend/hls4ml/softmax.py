"""hls4ml's softmax, in its four implementations, and its layer norm.

The C++ that is called is in `nnet_activation.h`, `nnet_activation_stream.h` and `nnet_layernorm.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
from hls4ml.model.types import FixedPrecisionType

from fpgaflow.frontend.hls4ml.activations import number, over_index, table_index
from fpgaflow.frontend.hls4ml.emit import Emit
from fpgaflow.frontend.hls4ml.functions import exponential
from fpgaflow.frontend.hls4ml.merge import sum_bits
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, assigned, constant, fixed_type
from fpgaflow.frontend.hls4ml.tables import Floats, table_inputs, table_integers
from fpgaflow.ir.graph import Tensor
from fpgaflow.ir.ops_merge import ElementwiseKind
from fpgaflow.ir.ops_table import OneHotMax
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify_table import MAX_INDEX_WIDTH
from fpgaflow.sim.fixed_point import cast

_LEGACY_TABLE = FixedPrecisionType(18, 8)  # nnet_activation.h, activ_config: a softmax's configuration never says
_LEGACY_SIZE = 1024  # the same, in io_stream


def softmax(reader: Reader, layer: Any) -> None:
    emit = Emit(reader, layer)
    outer, count, inner = _view(emit)
    rows = emit.source
    if inner > 1:
        rows = emit.transpose(emit.reshape(rows, (outer, count, inner), "view"), (0, 2, 1), "slices")
    rows = emit.reshape(rows, (outer * inner, count), "rows")
    shares, integer_bits = _IMPLEMENTATIONS[emit.text("implementation").split("::")[-1]](emit, rows)
    if inner > 1:
        shares = emit.reshape(shares, (outer, inner, count), "shares.slices")
        shares = emit.transpose(shares, (0, 2, 1), "shares.view")
    emit.result(shares, integer_bits)


def _view(emit: Emit) -> tuple[int, int, int]:
    """The input as (outer, slice, inner): a softmax along each slice."""
    shape = emit.source.shape
    if emit.reader.stream:
        if (axis := emit.number("axis")) != -1:
            raise RefusedError(
                f"softmax along axis {axis}: hls4ml's io_stream asserts that it is -1", "Use io_parallel"
            )
        return prod(shape[:-1]), shape[-1], 1
    if "softmax_multidim" in emit.layer.get_attr("function_cpp"):
        return emit.number("n_outer"), emit.number("n_slice"), emit.number("n_inner")
    return 1, prod(shape), 1


def _stable(emit: Emit, rows: Tensor) -> tuple[Tensor, int]:
    largest = emit.repeat(emit.row_max(rows, "max"), 1, rows.shape[1], "max.each")
    below = emit.elementwise(ElementwiseKind.SUBTRACT, largest, rows, "below_max")
    return _latency(emit, emit.convert(below, emit.precision("inp_norm_t"), "normal"), -1)


def _latency(emit: Emit, x: Tensor, sign: int = 1) -> tuple[Tensor, int]:
    """exp(sign × x) over the sum of these, by a table of exponentials and one of reciprocals."""
    index = _top_bits(emit, x, emit.number("exp_table_size"), "exp.index")
    inputs = _floats(index.type) * np.float32(float(emit.text("exp_scale")))
    entries, table_type = table_integers(exponential(sign * inputs), emit.precision("exp_table_t"))
    accum, rounding, overflow = assigned(emit.precision("accum_t"), table_type, table_type.integer_bits)
    exps = emit.lookup(index, cast(entries, table_type, accum, rounding, overflow), accum.fraction, "exp")
    total = emit.convert(emit.row_sum(exps, accum, overflow, True, "sum"), emit.precision("inv_inp_t"), "sum.result")
    index = _top_bits(emit, total, emit.number("inv_table_size"), "inverse.index")
    with np.errstate(divide="ignore"):
        reciprocals = np.float32(1) / _floats(index.type)
    entries, table_type = table_integers(reciprocals, emit.precision("inv_table_t"))
    inverse = emit.lookup(index, entries, table_type.fraction, "inverse")
    inverse = emit.repeat(inverse, 1, x.shape[1], "inverse.each")
    shares = emit.elementwise(ElementwiseKind.MULTIPLY, exps, inverse, "shares")
    return shares, accum.integer_bits + table_type.integer_bits


def _top_bits(emit: Emit, x: Tensor, size: int, wish: str) -> Tensor:
    """The top bits of x, as many as index a table of `size` entries."""
    bits = (size - 1).bit_length()
    if not 0 < bits <= min(x.type.width, MAX_INDEX_WIDTH) or size != 1 << bits:
        raise RefusedError(f"a table of {size} entries for {x.type}", "Use a power of two that its bits can index")
    dropped = x.type.width - bits
    if dropped == 0:
        return x
    type_ = FixedType(x.type.signed, bits, x.type.fraction - dropped)
    return emit.cast(x, type_, Rounding.TRN, Overflow.WRAP, wish)


def _floats(type_: FixedType) -> Floats:
    """Every value of a type, from the lowest on."""
    return (np.arange(type_.low, type_.high + 1) * type_.scale).astype(np.float32)


def _legacy(emit: Emit, x: Tensor) -> tuple[Tensor, int]:
    """The reciprocal of the sum over j of exp(x_j - x_i)."""
    stream, (rows, count) = emit.reader.stream, x.shape
    size = _LEGACY_SIZE if stream else emit.number("exp_table_size")
    if size % 2:
        raise RefusedError(f"a table of {size} entries: it has none for 0", "Use an even number")
    others = emit.repeat(emit.reshape(x, (rows, 1, count), "others"), 1, count, "others.each")
    own = emit.repeat(emit.reshape(x, (rows, count, 1), "own"), 2, count, "own.each")
    differences = emit.elementwise(ElementwiseKind.SUBTRACT, others, own, "differences")
    index = table_index(emit, differences, size, 16, -size // 2, size // 2 - 1, "exp.index")
    entries, type_ = table_integers(exponential(table_inputs(size, 8)), _LEGACY_TABLE)
    exps = emit.lookup(index, over_index(index, entries, -size // 2), type_.fraction, "exp")
    total = emit.row_sum(emit.reshape(exps, (rows * count, count), "exp.rows"), type_, Overflow.WRAP, False, "sum")
    size = _LEGACY_SIZE if stream else emit.number("inv_table_size")
    index = table_index(emit, total, size, 64, 0, size - 1, "inverse.index")
    inputs = (64.0 * np.arange(size) / size).astype(np.float32).astype(np.float64)
    reciprocals = np.divide(1.0, inputs, out=np.zeros(size), where=inputs > 0)
    entries, type_ = table_integers(reciprocals, _LEGACY_TABLE)
    shares = emit.lookup(index, over_index(index, entries, 0), type_.fraction, "inverse")
    return emit.reshape(shares, (rows, count), "shares"), type_.integer_bits


def _argmax(emit: Emit, rows: Tensor) -> tuple[Tensor, int]:
    return emit.add(OneHotMax, "first", [rows], rows.shape, FixedType(False, 1, 0)), 1


_IMPLEMENTATIONS: Mapping[str, Callable[[Emit, Tensor], tuple[Tensor, int]]] = {
    "stable": _stable,
    "latency": _latency,
    "legacy": _legacy,
    "argmax": _argmax,
}


def layer_norm(reader: Reader, layer: Any) -> None:
    emit = Emit(reader, layer)
    if reader.stream:
        raise RefusedError("layer norm in io_stream: hls4ml has no code for it", "Use io_parallel")
    if "nnet::product::mult<" not in layer.get_attr("config_cpp"):
        raise RefusedError(
            "a scale of int<2>: hls4ml then multiplies by the sign of its accumulator", "Use a wider type"
        )
    sequence, precision = emit.number("seq_len"), emit.precision("accum_t")
    accum, _, overflow = fixed_type(precision)
    count = prod(emit.source.shape) // sequence
    one_share, _ = number(1.0 / count, precision)

    def mean(x: Tensor, wish: str) -> Tensor:
        total = emit.row_sum(x, accum, overflow, False, f"{wish}.sum")
        shared = emit.scale(total, np.array([one_share]), accum, f"{wish}.exact")
        return emit.convert(shared, precision, wish)

    x = emit.convert(emit.reshape(emit.source, (sequence, count), "rows"), precision, "accum")
    means = emit.repeat(mean(x, "mean"), 1, count, "mean.each")
    centred = emit.elementwise(ElementwiseKind.SUBTRACT, x, means, "centred.exact")
    centred = emit.convert(centred, precision, "centred")
    squares = emit.elementwise(ElementwiseKind.MULTIPLY, centred, centred, "squares.exact")
    variance = mean(emit.convert(squares, precision, "squares"), "variance")
    size, power = emit.number("table_size"), emit.number("table_range_power2")
    index = table_index(emit, variance, size << power, 1, 0, size - 1)
    roots, root_type = table_integers(_inverse_roots(emit, size, power), emit.precision("table_t"))
    inverse = emit.lookup(index, over_index(index, roots, 0), root_type.fraction, "inverse")
    normal = emit.elementwise(
        ElementwiseKind.MULTIPLY, centred, emit.repeat(inverse, 1, count, "inverse.each"), "normal"
    )
    (scale, scale_type), (bias, bias_type) = constant(layer, "scale"), constant(layer, "bias")
    whole = accum.integer_bits + root_type.integer_bits + scale_type.integer_bits
    product = FixedType(accum.signed or scale_type.signed, 1, 1 - whole)  # its integer bits are all that is asked for
    emit.result(emit.scale(normal, scale, scale_type, "scaled", bias, bias_type), sum_bits(product, bias_type))


def _inverse_roots(emit: Emit, size: int, power: int) -> np.ndarray:
    """nnet_layernorm.h, init_invert_sqr_table: float32 up to the root, double from there on."""
    least = np.float32(10.0 ** -emit.number("epsilon_power_of_10"))
    step = np.float32(2.0**-power) / np.float32(size)
    roots = np.sqrt(least + step * np.arange(size).astype(np.float32))
    return 1.0 / roots.astype(np.float64)


SOFTMAX_READERS: Mapping[str, Callable[[Reader, Any], None]] = {
    "LayerNormalization": layer_norm,
    "Softmax": softmax,
}
