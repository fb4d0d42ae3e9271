"""The layer dictionaries of fpgaflow's own extension layers, see extensions.py: what of the ops hls4ml lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from fpgaflow.cost.parts import SEARCHED_LEVELS
from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.index_map import IndexMap, beat_tables
from fpgaflow.ir.ops import Op, Threshold
from fpgaflow.ir.ops_merge import Embed, MatMul
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for

Layer = dict[str, Any]
Shape = tuple[int, ...]
Row = tuple[Layer, dict[str, str]]


def spell(type_: FixedType, rounding: Rounding = Rounding.TRN, overflow: Overflow = Overflow.WRAP) -> str:
    """The type as hls4ml reads it.

    Always ap_fixed: hls4ml multiplies otherwise by ap_uint<1> and ap_int<2>, its binary and ternary weights.

    >>> spell(FixedType(False, 4, 6), Rounding.RND_CONV, Overflow.SAT)
    'ap_ufixed<4,-2,RND_CONV,SAT>'
    """
    sign = "" if type_.signed else "u"
    return f"ap_{sign}fixed<{type_.width},{type_.integer_bits},{rounding.value},{overflow.value}>"


def values(integers: Ints, type_: FixedType) -> np.ndarray:
    return integers.astype(np.float64) * type_.scale


def _constant(integers: Ints, fraction: int = 0) -> tuple[np.ndarray, str]:
    """Values, and the narrowest type that holds them, spelled."""
    type_ = type_for(int(integers.min()), int(integers.max()), fraction)
    return values(integers, type_), spell(type_)


def _threshold(op: Threshold, graph: Graph, stream: bool) -> Row:
    source, thresholds = graph.tensors[op.inputs[0]], graph.constants[op.thresholds]
    falling = graph.constants[op.signs] < 0 if op.signs else np.zeros(len(thresholds), dtype=bool)
    rows = np.broadcast_to(thresholds, (len(falling), thresholds.shape[1]))
    data, type_ = _constant(rows, source.type.fraction)
    layer = {
        "class_name": "FpgaflowThreshold",
        "threshold_data": data,
        "sign_data": falling.astype(np.float64),
        "n_inner": prod(source.shape[op.axis + 1 :]),
        "offset": op.offset,
        "step": op.step,
        "search": int(rows.shape[1] >= SEARCHED_LEVELS),
    }
    return layer, {"threshold": type_, "sign": spell(FixedType(False, 1, 0))}


def _index_map(op: IndexMap, graph: Graph, stream: bool) -> Row:
    return index_map(graph.tensors[op.inputs[0]].shape, graph.constants[op.indices], op.value, stream)


def index_map(shape: Shape, indices: Ints, value: int, stream: bool) -> Row:
    """The layer for entries `indices` of an input of `shape`. In io_parallel a whole tensor is one beat."""
    in_size, out_size = (shape[-1], indices.shape[-1]) if stream else (prod(shape), indices.size)
    tables = beat_tables(indices, prod(shape), in_size, out_size)
    layer: Layer = {"class_name": "FpgaflowIndexMap", "target_shape": list(indices.shape), "value": value}
    layer |= {key: int(getattr(tables, key)) for key in ("in_size", "depth", "banks", "steps", "serial")}
    precision = {}
    for key in ("outer", "inner", "arrivals"):
        layer[f"{key}_data"], precision[key] = _constant(getattr(tables, key))
    return layer, precision


def _lookup(op: Lookup | Embed, graph: Graph, stream: bool) -> Row:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    entries = graph.constants[op.table]
    layer: Layer = {"class_name": "FpgaflowLookup", "low": 0 if isinstance(op, Embed) else source.low}
    layer["n_columns"] = entries.shape[1] if isinstance(op, Embed) else 0
    layer["table_data"], precision = _constant(entries, result.fraction)
    return layer, {"table": precision}


def _piecewise(op: Piecewise, graph: Graph, stream: bool) -> Row:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    knots, slopes, offsets = (graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    pieces = slopes.shape[-1]
    fractions = {"knot": source.fraction, "slope": result.fraction - source.fraction, "offset": result.fraction}
    arrays = {"knot": knots if len(knots) else np.zeros(1, dtype=np.int64)}  # hls4ml has no empty constants
    arrays |= {"slope": slopes.reshape(-1, pieces), "offset": offsets.reshape(-1, pieces)}
    layer: Layer = {"class_name": "FpgaflowPiecewise", "n_pieces": pieces}
    precision = {}
    for key, array in arrays.items():
        layer[f"{key}_data"], precision[key] = _constant(array, fractions[key])
    return layer, precision


def _matmul(op: MatMul, graph: Graph, stream: bool) -> Row:
    return {"class_name": "FpgaflowMatMul"}, {"accum": spell(graph.type_of(op.output))}


def _one_hot_max(op: OneHotMax, graph: Graph, stream: bool) -> Row:
    return {"class_name": "FpgaflowOneHotMax"}, {}


EXTENSION_ROWS: Mapping[type[Op], Callable[..., Row]] = {
    Threshold: _threshold,
    IndexMap: _index_map,
    Lookup: _lookup,
    Embed: _lookup,
    Piecewise: _piecewise,
    MatMul: _matmul,
    OneHotMax: _one_hot_max,
}
