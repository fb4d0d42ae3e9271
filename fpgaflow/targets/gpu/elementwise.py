"""Ops that look at one place at a time, and ops that move places."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from onnx import TensorProto

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.ops import Add, Cast, Op, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Concat, Elementwise, ElementwiseKind, MatMul, Pad, Scale, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.sim.lines import Line, fit_line
from fpgaflow.targets.gpu import rounding
from fpgaflow.targets.gpu.emitter import EXACT, Emitter, real, unit
from fpgaflow.targets.refused import Refused

_MAX_COMPARISONS = 16  # levels up to which thresholds without a line are compared one by one


def held(e: Emitter, op: Op) -> None:
    """Refuses an op whose operands or result float32 does not hold; operands are aligned to the finest fraction."""
    types = [e.graph.type_of(name) for name in (*op.inputs, op.output)]
    for type_ in types:
        if max(-type_.low, type_.high) > EXACT:
            raise Refused(f"integers of {type_} go beyond 2^24, which float32 holds exactly", "Use fewer bits")


def cast(e: Emitter, op: Cast) -> None:
    held(e, op)
    source, target = e.graph.type_of(op.inputs[0]), e.graph.type_of(op.output)
    drop = source.fraction - target.fraction
    (x,) = e.alike(op)
    mode = op.rounding if drop > 0 else None
    reach = rounded_bounds(source.low, source.high, drop)
    if max(-reach[0], reach[1]) > EXACT:
        raise Refused(f"{source} in units of {target} goes beyond 2^24", "Use fewer bits")
    rounding.cast(e, x, target, mode, op.overflow, reach, op.output, again=e.quantised.get(op.inputs[0]))


def relu(e: Emitter, op: Relu) -> None:
    held(e, op)
    e.node("Relu", e.alike(op), op.output)
    e.carry(op)


def robust(line: Line, thresholds: np.ndarray, low: int, high: int) -> bool:
    """Whether x × m + c gives the right counts however float32 evaluates it: fused, or the product rounded first.

    Either way the error is below 2^-22 (|x m| + |c| + 1). So the floor must be right on both sides of that margin at
    each threshold and one below it; between those points value and margin are monotone.
    """
    levels = thresholds.shape[1]
    slope, intercept = (v.astype(np.float64)[:, None] for v in (line.slope, line.intercept))
    for points in (thresholds, thresholds - 1):
        x = np.clip(points, low, high).astype(np.float64)
        value = x * slope + intercept
        margin = 2.0**-22 * (np.abs(x * slope) + np.abs(intercept) + 1)
        truth = (x[:, :, None] >= thresholds[:, None, :]).sum(axis=2)
        for shifted in (value - margin, value + margin):
            if not np.array_equal(np.clip(np.floor(shifted), 0, levels), truth):
                return False
    return True


def threshold(e: Emitter, op: Threshold) -> None:
    levels, source, target = e.graph.constants[op.thresholds], e.graph.type_of(op.inputs[0]), e.graph.type_of(op.output)
    held(e, op)
    (x,) = e.alike(op)
    whole = e.scaled(x, 1 / unit(source), op.output)
    line = fit_line(levels, source.low, source.high) if levels.shape[1] > 1 and op.signs is None else None
    if line is not None and robust(line, levels, source.low, source.high):
        count = _along_line(e, op, whole, line, levels.shape[1])
    elif levels.shape[1] <= _MAX_COMPARISONS:
        count = _compared(e, op, whole, levels)
    else:
        raise Refused(
            f"{levels.shape[1]} thresholds that lie on no straight line", "Use fewer bits, or a uniform scale"
        )
    stepped = e.scaled(count, Fraction(abs(op.step)), op.output)
    if op.step < 0:
        stepped = e.step("Neg", [stepped], op.output)
    if op.offset:
        stepped = e.step("Add", [stepped, e.number(float(op.offset), f"{op.output}.offset")], op.output)
    e.node("Mul", [stepped, e.number(unit(target), f"{op.output}.unit")], op.output)


def _along_line(e: Emitter, op: Threshold, x: str, line: Line, levels: int) -> str:
    slope, intercept = (e.constant(e.along(op, v, op.axis), f"{op.output}.line") for v in (line.slope, line.intercept))
    straight = e.step("Add", [e.step("Mul", [x, slope], op.output), intercept], op.output)
    floor = e.step("Floor", [straight], op.output)
    return rounding.clamp(e, floor, Fraction(0), Fraction(levels), op.output)


def _compared(e: Emitter, op: Threshold, x: str, levels: np.ndarray) -> str:
    if not levels.shape[1]:
        return e.step("Mul", [x, e.number(0.0, f"{op.output}.none")], op.output)
    if op.signs is not None:
        signs = e.graph.constants[op.signs].astype(np.float32)
        x = e.step("Mul", [x, e.constant(e.along(op, signs, op.axis), f"{op.output}.signs")], op.output)
    reached = []
    for level in range(levels.shape[1]):
        edges = np.clip(levels[:, level], -EXACT, EXACT).astype(np.float32)  # x is never beyond
        edge = e.constant(e.along(op, edges, op.axis), f"{op.output}.threshold")
        over = e.step("GreaterOrEqual", [x, edge], op.output)
        reached.append(e.step("Cast", [over], op.output, to=TensorProto.FLOAT))
    return e.step("Sum", reached, op.output) if len(reached) > 1 else reached[0]


def add(e: Emitter, op: Add) -> None:
    _aligned(e, op)
    e.node("Add", e.alike(op), op.output)


def _aligned(e: Emitter, op: Op) -> None:
    """Refuses operands that go beyond 2^24 in the finer of their units."""
    held(e, op)
    types = [e.graph.type_of(name) for name in op.inputs]
    finest = max(t.fraction for t in types)
    for type_ in types:
        if max(-type_.low, type_.high) << finest - type_.fraction > EXACT:
            raise Refused(f"{type_} in units of 2^-{finest} goes beyond 2^24", "Use scales closer to each other")


_KINDS = {
    ElementwiseKind.SUBTRACT: "Sub",
    ElementwiseKind.MULTIPLY: "Mul",
    ElementwiseKind.MAXIMUM: "Max",
    ElementwiseKind.MINIMUM: "Min",
}


def elementwise(e: Emitter, op: Elementwise) -> None:
    inputs = e.alike(op)
    if op.kind is ElementwiseKind.AVERAGE:
        _aligned(e, op)
        total = e.step("Add", inputs, op.output)
        e.node("Mul", [total, e.number(0.5, f"{op.output}.half")], op.output)
        return
    _aligned(e, op) if op.kind is not ElementwiseKind.MULTIPLY else held(e, op)
    e.node(_KINDS[op.kind], inputs, op.output)


def scale(e: Emitter, op: Scale) -> None:
    held(e, op)
    (x,) = e.alike(op)
    weights = e.broadcast(op, real(e.graph.constants[op.weights], op.weight_type, "factors"))
    product = op.output if op.bias is None else e.fresh(f"{op.output}.product")
    e.node("Mul", [x, e.constant(weights, f"{op.output}.weights")], product)
    if op.bias is None or op.bias_type is None:
        return
    source, finest = e.graph.type_of(op.inputs[0]), e.graph.type_of(op.output)
    largest = int(np.abs(e.graph.constants[op.weights]).max()) * max(-source.low, source.high)
    if largest << finest.fraction - source.fraction - op.weight_type.fraction > EXACT:
        raise Refused("products go beyond 2^24 before the bias is added", "Use fewer bits")
    bias = e.broadcast(op, real(e.graph.constants[op.bias], op.bias_type, "offsets"))
    e.node("Add", [product, e.constant(bias, f"{op.output}.bias")], op.output)


def concat(e: Emitter, op: Concat) -> None:
    e.node("Concat", e.alike(op), op.output, axis=e.axis(op, op.axis))
    e.carry(op)


def pad(e: Emitter, op: Pad) -> None:
    (x,) = e.alike(op)
    before, after = [0] * (len(op.padding) + 1), [0] * (len(op.padding) + 1)
    for axis, (low, high) in enumerate(op.padding):
        before[e.axis(op, axis)], after[e.axis(op, axis)] = low, high
    value = e.number(op.value * unit(e.graph.type_of(op.output)), f"{op.output}.value")
    pads = e.constant(np.array([*before, *after], dtype=np.int64), f"{op.output}.pads")
    e.node("Pad", [x, pads, value], op.output)
    e.carry(op)


def take(e: Emitter, op: Take) -> None:
    (x,) = e.alike(op)
    indices = e.constant(e.graph.constants[op.indices].astype(np.int64), f"{op.output}.indices")
    e.node("Gather", [x, indices], op.output, axis=e.axis(op, op.axis))
    e.carry(op)


def lookup(e: Emitter, op: Lookup) -> None:
    held(e, op)
    (x,) = e.alike(op)
    source = e.graph.type_of(op.inputs[0])
    whole = e.scaled(x, 1 / unit(source), op.output)
    from_zero = e.step("Sub", [whole, e.number(float(source.low), f"{op.output}.low")], op.output)
    index = e.step("Cast", [from_zero], op.output, to=TensorProto.INT32)
    table = real(e.graph.constants[op.table], e.graph.type_of(op.output), "entries")
    e.node("Gather", [e.constant(table, f"{op.output}.table"), index], op.output, axis=0)


def piecewise(e: Emitter, op: Piecewise) -> None:
    """Slope and offset of the first segment, replaced segment by segment from its knot on."""
    held(e, op)
    (x,) = e.alike(op)
    source, target = e.graph.type_of(op.inputs[0]), e.graph.type_of(op.output)
    knots, slopes, offsets = (e.graph.constants[name] for name in (op.knots, op.slopes, op.offsets))
    largest = int(np.abs(slopes).max()) * max(-source.low, source.high)
    if max(largest, int(np.abs(offsets).max()), int(np.abs(knots).max(initial=0))) > EXACT:
        raise Refused("products of its slopes go beyond 2^24", "Use fewer bits")
    whole = e.scaled(x, 1 / unit(source), op.output)

    def at(array: np.ndarray, segment: int, what: str) -> str:
        return e.constant(e.broadcast(op, array[..., segment]).astype(np.float32), f"{op.output}.{what}")

    slope, offset = at(slopes, 0, "slope"), at(offsets, 0, "offset")
    for segment, knot in enumerate(knots, start=1):
        edge = e.number(float(knot), f"{op.output}.knot")
        over = e.step("GreaterOrEqual", [whole, edge], op.output)
        slope = e.step("Where", [over, at(slopes, segment, "slope"), slope], op.output)
        offset = e.step("Where", [over, at(offsets, segment, "offset"), offset], op.output)
    result = e.step("Add", [e.step("Mul", [whole, slope], op.output), offset], op.output)
    e.node("Mul", [result, e.number(unit(target), f"{op.output}.unit")], op.output)


def one_hot_max(e: Emitter, op: OneHotMax) -> None:
    held(e, op)
    x, count = e.lying(op.inputs[0], False), e.graph.tensors[op.output].shape[-1]
    place = e.step("ArgMax", [x], op.output, axis=-1, keepdims=1, select_last_index=0)
    places = e.constant(np.arange(count, dtype=np.int64), f"{op.output}.places")
    e.node("Cast", [e.step("Equal", [places, place], op.output)], op.output, to=TensorProto.FLOAT)


def matmul(e: Emitter, op: MatMul) -> None:
    held(e, op)
    e.node("MatMul", [e.lying(name, False) for name in op.inputs], op.output)


def reshape(e: Emitter, op: Reshape) -> None:
    target = e.shape(e.graph.tensors[op.output].shape, op.output)
    e.node("Reshape", [e.lying(op.inputs[0], False), target], op.output)
    e.carry(op)


def transpose(e: Emitter, op: Transpose) -> None:
    rank = len(op.perm)
    (x,) = op.inputs
    if op.perm == (*range(1, rank), 0) and x not in e.first:  # the model's channels-first is what ONNX wants
        e.first.add(op.output)
        e.node("Identity", [x], op.output)
    elif op.perm == (rank - 1, *range(rank - 1)) and x in e.first:
        e.node("Identity", [x], op.output)
    else:
        e.node("Transpose", [e.lying(x, False)], op.output, perm=[0, *(axis + 1 for axis in op.perm)])
    e.carry(op)
