"""Ops on one element at a time, as lines of a kernel: what follows a layer without leaving the registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph, Input, Output
from fpgaflow.ir.ops import Add, Cast, Op, Relu, Threshold
from fpgaflow.ir.ops_merge import Divide, Elementwise, ElementwiseKind, Scale
from fpgaflow.ir.ops_table import Lookup, Piecewise
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.fixed_point import limits
from fpgaflow.sim.lines import fit_line
from fpgaflow.targets.gpu.elementwise import robust
from fpgaflow.targets.gpu.triton.kernel import Kernel
from fpgaflow.targets.int32 import FEWER, LIMIT, factors, held, inside, lifts
from fpgaflow.targets.refused import Refused

_MAX_COMPARISONS = 16
_WORD = 32


def cast(k: Kernel, graph: Graph, op: Cast, v: str) -> str:
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    held(target)
    drop = source.fraction - target.fraction
    if drop > 30:
        raise Refused(f"it drops {drop} bits", FEWER)
    inside(*rounded_bounds(source.low, source.high, min(drop, 0)), "its values in the result's units")
    if drop > 0:
        v = f"rounded({v}, {drop}, {op.rounding.value!r})"
    elif drop < 0:
        v = f"({v} << {-drop})"
    return fit(v, target, op.overflow, rounded_bounds(source.low, source.high, drop))


def fit(v: str, type_: FixedType, overflow: Overflow, reach: tuple[int, int]) -> str:
    """v, within `reach`, brought into the type."""
    low, high = limits(type_, overflow)
    if low <= reach[0] and reach[1] <= high:
        return v
    if overflow is Overflow.WRAP and type_.width == _WORD:
        return v  # int32 wraps by itself
    return f"fitted({v}, {low}, {high}, {overflow.value!r})"


def relu(k: Kernel, graph: Graph, op: Relu, v: str) -> str:
    return f"tl.maximum({v}, 0)"


def threshold(k: Kernel, graph: Graph, op: Threshold, v: str) -> str:
    levels, source = graph.constants[op.thresholds], graph.type_of(op.inputs[0])
    held(graph.type_of(op.output))
    count = levels.shape[1]
    if op.signs is not None:
        inside(-source.high, -source.low, "its negated values")
        v = f"({v} * {k.entries(graph.constants[op.signs].astype(np.int32), op.axis, 'signs')})"
    inside(0, count, "counts")
    line = fit_line(levels, source.low, source.high) if count > 1 and op.signs is None else None
    if line is not None and robust(line, levels, source.low, source.high):
        slope, intercept = (k.entries(a.astype(np.float32), op.axis, "line") for a in (line.slope, line.intercept))
        counted = f"along_line({v}, {slope}, {intercept}, {count})"
    else:
        counted = _counted(k, op, v, levels, source)
    return f"({counted} * {op.step} + {op.offset})"


def _counted(k: Kernel, op: Threshold, v: str, levels: np.ndarray, source: FixedType) -> str:
    if not levels.shape[1]:
        return f"({v} * 0)"
    reach = max(-source.low, source.high)
    if reach + 1 >= LIMIT:
        raise Refused(f"thresholds of {source} go beyond int32", FEWER)
    edges = np.clip(levels, -reach, reach + 1).astype(np.int32)  # x is never beyond
    last = op.axis == len(k.shape) - 1
    index = "0" if len(edges) == 1 else k.coordinate(op.axis)
    table = k.constant(k.per_column(edges) if last and len(edges) > 1 else edges, "thresholds")
    if edges.shape[1] <= _MAX_COMPARISONS:
        return f"counted({v}, {table}, {index}, {edges.shape[1]})"
    return f"searched({v}, {table}, {index}, {edges.shape[1]}, {edges.shape[1].bit_length()})"


def scale(k: Kernel, graph: Graph, op: Scale, v: str) -> str:
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    held(result)
    up = result.fraction - source.fraction - op.weight_type.fraction
    bias_up = 0 if op.bias_type is None else result.fraction - op.bias_type.fraction
    bias = None if op.bias is None else graph.constants[op.bias]
    weights, offsets = factors(graph.constants[op.weights], bias, (up, bias_up), source)
    inside(int(weights.min()), int(weights.max()), "its factors")
    product = f"({v} * {k.elements(weights.astype(np.int32), 'factors')})"
    return product if offsets is None else f"({product} + {k.elements(offsets.astype(np.int32), 'offsets')})"


def divide(k: Kernel, graph: Graph, op: Divide, v: str) -> str:
    divisors = graph.constants[op.divisors]
    inside(int(divisors.min()), int(divisors.max()), "divisors")
    loaded = k.elements(divisors.astype(np.int32), "divisors")
    return f"({v} // tl.maximum({loaded}, 1))"  # toward zero; beyond the columns there are zeros


def lookup(k: Kernel, graph: Graph, op: Lookup, v: str) -> str:
    table, low = graph.constants[op.table], graph.type_of(op.inputs[0]).low
    inside(int(table.min()), int(table.max()), "entries")
    parameter = k.constant(table.astype(np.int32), "table")
    return f"tl.load({parameter} + ({v} - ({low})), mask=inside, other=0)"


def piecewise(k: Kernel, graph: Graph, op: Piecewise, v: str) -> str:
    source = graph.type_of(op.inputs[0])
    held(graph.type_of(op.output))
    knots, slopes, offsets = (graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    if slopes.ndim > 1 or offsets.ndim > 1:
        raise Refused("slopes that differ between elements", "Use one function for all, or --target onnxruntime")
    largest = int(np.abs(slopes).max()) * max(-source.low, source.high)
    inside(-largest, largest, "products of its slopes")
    inside(int(offsets.min()), int(offsets.max()), "offsets")
    reach = max(-source.low, source.high)
    inside(-reach, reach + 1, "its knots")
    edges = k.constant(np.clip(knots, -reach, reach + 1).astype(np.int32), "knots")
    if len(knots):
        k.line(f"segment = searched({v}, {edges}, 0, {len(knots)}, {len(knots).bit_length()})")
    else:
        k.line(f"segment = {v} * 0")
    slope, offset = (k.constant(a.astype(np.int32), wish) for a, wish in ((slopes, "slopes"), (offsets, "offsets")))
    return f"({v} * tl.load({slope} + segment) + tl.load({offset} + segment))"


def merged(k: Kernel, graph: Graph, op: Op, v: str, other: str, *, swapped: bool) -> str:
    """Add, or Elementwise, of v and another tensor's value; `swapped` where v is the second operand."""
    held(graph.type_of(op.output))
    if isinstance(op, Elementwise) and op.kind is ElementwiseKind.MULTIPLY:
        return f"({v} * {other})"
    ups = lifts(op, graph)
    values = (other, v) if swapped else (v, other)
    a, b = (f"({x} << {up})" if up else x for x, up in zip(values, ups, strict=True))
    if isinstance(op, Add) or (isinstance(op, Elementwise) and op.kind is ElementwiseKind.AVERAGE):
        return f"({a} + {b})"
    if isinstance(op, Elementwise) and op.kind is ElementwiseKind.SUBTRACT:
        return f"({a} - {b})"
    assert isinstance(op, Elementwise)
    return f"tl.{op.kind.value}({a}, {b})"  # maximum, minimum


UNARY: Mapping[type[Op], Callable[[Kernel, Graph, Any, str], str]] = {
    Cast: cast,
    Divide: divide,
    Lookup: lookup,
    Piecewise: piecewise,
    Relu: relu,
    Scale: scale,
    Threshold: threshold,
}
BINARY = (Add, Elementwise)


def quantised(port: Input, type_: FixedType, x: str) -> str:
    """The integers of a float32 input: round(x × gain + offset), brought into range."""
    held(type_)
    affine = f"{float(np.float32(float(port.gain)))!r}, {float(np.float32(float(port.offset)))!r}"
    if port.overflow in (Overflow.SAT, Overflow.SAT_SYM):
        return f"quantised({x}, {affine}, {port.low}, {port.high}, {port.rounding.value!r})"
    modes = f"{port.rounding.value!r}, {port.overflow.value!r}"
    return f"quantised_round({x}, {affine}, {type_.low}, {type_.high}, {modes})"


def real(k: Kernel, port: Output, v: str) -> str:
    """The float32 value of an output's integers."""

    def spread(values: list[float], wish: str) -> str:
        if len(values) == 1:
            return repr(float(np.float32(values[0])))
        return k.entries(np.array(values, dtype=np.float32), port.axis, wish)

    text = f"({v}.to(tl.float32) * {spread([float(s) for s in port.scale], 'scale')})"
    return f"({text} + {spread([float(o) for o in port.offset], 'offset')})" if any(port.offset) else text
