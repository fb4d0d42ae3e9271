"""How fpgaflow's own extension layers are read (targets/hls/extensions.py); the threshold is in hls4ml_layers.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.emit import Emit
from fpgaflow.frontend.hls4ml.linear import to_int64
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, constant, fixed_type, within
from fpgaflow.ir.graph import Ints
from fpgaflow.ir.ops_merge import Embed, MatMul, Pad, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType
from fpgaflow.ir.verify_merge import matmul_type
from fpgaflow.ir.verify_table import piecewise_type


def _exact(layer: Any, key: str) -> tuple[Ints, FixedType]:
    """A constant of any width, of which float64 holds every value."""
    type_, _, _ = fixed_type(layer.weights[key].type.precision)
    values = [Fraction(v) * Fraction(2) ** type_.fraction for v in np.ravel(layer.weights[key].data).tolist()]
    if any(v.denominator > 1 or not type_.low <= v <= type_.high for v in values):
        raise RefusedError(f"{key} holds values that {type_} does not")
    integers = np.array([int(v) for v in values], dtype=object).reshape(np.shape(layer.weights[key].data))
    return to_int64(integers), type_


def index_map(reader: Reader, layer: Any) -> None:
    """Entries of the flat input, which one more entry follows where there is padding."""
    emit, x = Emit(reader, layer), reader.source(layer)
    (outer, _), (inner, _) = (constant(layer, key) for key in ("outer", "inner"))
    total = (outer[:, None] + inner[None]).reshape(-1, 2)
    count, shape = prod(x.shape), tuple(int(n) for n in layer.get_attr("target_shape"))
    if len(total) != prod(shape):
        raise RefusedError(f"{len(total)} indices for {shape}")
    flat = emit.reshape(x, (count,), "flat")
    padding = total[:, 0] < 0
    if padding.any():
        value = int(layer.get_attr("value"))
        flat = emit.add(Pad, "padded", [flat], (count + 1,), x.type, padding=((0, 1),), value=value)
    indices = np.where(padding, count, total[:, 0] * int(layer.get_attr("in_size")) + total[:, 1])
    fields = {"indices": emit.constant("indices", indices), "axis": 0}
    emit.result(emit.add(Take, "taken", [flat], (len(indices),), x.type, **fields))


def lookup(reader: Reader, layer: Any) -> None:
    emit, x = Emit(reader, layer), reader.source(layer)
    table, type_ = _exact(layer, "table")
    columns, name = int(layer.get_attr("n_columns")), emit.constant("table", table)
    if columns:
        emit.result(emit.add(Embed, "rows", [x], (*x.shape, columns), type_, table=name))
    elif int(layer.get_attr("low")) != x.type.low:
        raise RefusedError(f"a table from {layer.get_attr('low')} on, for {x.type}")
    else:
        emit.result(emit.add(Lookup, "entries", [x], x.shape, type_, table=name))


def piecewise(reader: Reader, layer: Any) -> None:
    emit, x = Emit(reader, layer), reader.source(layer)
    pieces, channels = int(layer.get_attr("n_pieces")), x.shape[-1]
    (knots, knot_type), (slopes, _), (offsets, type_) = (_exact(layer, key) for key in ("knot", "slope", "offset"))
    if knot_type.fraction != x.type.fraction or fixed_type(layer.get_attr("slope_t").precision)[0].fraction != (
        type_.fraction - x.type.fraction
    ):
        raise RefusedError(f"knots {knot_type}, slopes and offsets {type_} for inputs {x.type}")
    rows = slopes.reshape(-1, pieces).shape[0]
    if rows not in (1, channels, prod(x.shape)):
        raise RefusedError(f"{rows} rows for inputs {x.shape}")
    axes = {1: (), channels: (channels,), prod(x.shape): x.shape}[rows]
    slopes, offsets = (array.reshape(*axes, pieces) for array in (slopes, offsets))
    knots = knots.ravel()[: pieces - 1]
    exact = piecewise_type(x.type, knots, slopes, offsets, type_.fraction)
    arrays = {"knots": knots, "slopes": slopes, "offsets": offsets}
    names = {key: emit.constant(key, array) for key, array in arrays.items()}
    emit.result(emit.add(Piecewise, "pieces", [x], x.shape, exact, **names))


def matmul(reader: Reader, layer: Any) -> None:
    emit, left, right = Emit(reader, layer), reader.source(layer, 0), reader.source(layer, 1)
    exact = matmul_type(left.type, right.type, left.shape[-1])
    accum = fixed_type(layer.get_attr("accum_t").precision)[0]
    if not within(exact, accum):
        raise RefusedError(f"sums that need {exact}, in the accumulator {accum}")
    emit.result(emit.add(MatMul, "product", [left, right], (*left.shape[:-1], right.shape[-1]), exact))


def one_hot_max(reader: Reader, layer: Any) -> None:
    emit, x = Emit(reader, layer), reader.source(layer)
    emit.result(emit.add(OneHotMax, "first", [x], x.shape, FixedType(False, 1, 0)))


EXTENSION_READERS: Mapping[str, Callable[[Reader, Any], None]] = {
    "FpgaflowIndexMap": index_map,
    "FpgaflowLookup": lookup,
    "FpgaflowPiecewise": piecewise,
    "FpgaflowMatMul": matmul,
    "FpgaflowOneHotMax": one_hot_max,
}
