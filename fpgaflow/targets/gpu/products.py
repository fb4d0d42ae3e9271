"""Products with constant weights, and pooling: int8 operands wherever they fit, sums that float32 holds."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Conv, Dense, Linear, Pool, PoolKind
from fpgaflow.sim.choice import sum_reach
from fpgaflow.targets.gpu.emitter import EXACT, Emitter, in_int8, real, unit
from fpgaflow.targets.refused import Refused

_UINT8_HIGH = 255
_OFFSET = 128  # what makes an unsigned 8-bit activation a signed one


def shifts(weights: Ints) -> Ints:
    """Zero bits (filters,) at the end of all weights (..., filters) of a filter."""
    columns = np.bitwise_or.reduce(np.abs(weights).reshape(-1, weights.shape[-1]), axis=0)
    lowest = columns & -columns
    return np.array([max(int(v).bit_length() - 1, 0) for v in lowest], dtype=np.int64)


def int8_operands(op: Linear, graph: Graph) -> bool:
    """Whether activations, shifted by 128 if need be, and weights, scaled by filter, are 8-bit integers."""
    source, weights = graph.type_of(op.inputs[0]), graph.constants[op.weights]
    small = weights >> shifts(weights)
    fits = in_int8(source.low, source.high) or (source.low >= 0 and source.high <= _UINT8_HIGH)
    return fits and in_int8(int(small.min()), int(small.max()))


def reach(op: Linear, graph: Graph) -> int:
    """The largest magnitude of any partial sum, in the accumulator's units.

    Raises:
        Refused: the accumulator loses bits of the exact sum, or float32 does.
    """
    found = sum_reach(op, graph)
    if found is None:
        raise Refused(
            f"its accumulator {op.accum} does not hold the exact sum: wrap-around cannot be expressed",
            "Widen the accumulator",
        )
    if found > EXACT:
        raise Refused(f"its sums reach {found}, beyond 2^24, which float32 holds exactly", "Use fewer bits or inputs")
    return found


def _operand(e: Emitter, op: Linear, first: bool, int8: bool) -> tuple[str, bool]:
    """The activations, and whether they were moved down by 128 units.

    Int8 activations come straight out of a DequantizeLinear: behind anything else, ONNX Runtime makes a MatMul with
    dequantised weights one that quantises its activations in a way of its own (MatMulNBits).
    """
    name = op.inputs[0]
    source, x = e.graph.type_of(name), e.lying(name, first)
    if not int8 or (name in e.direct and x == name):
        return x, False
    if name in e.quantised or in_int8(source.low, source.high):
        return e.quantise(x, e.quantised.get(name, unit(source)), op.output), False
    moved = e.step("Sub", [x, e.number(_OFFSET * unit(source), f"{op.output}.offset")], op.output)
    return e.quantise(moved, unit(source), op.output), True


def _weights(
    e: Emitter, op: Linear, int8: bool, axis: int, order: tuple[int, ...], shape: tuple[int, ...] | None = None
) -> str:
    """Weights in the order of axes, and the shape, that ONNX wants, filters along its `axis`."""
    integers = e.graph.constants[op.weights]

    def placed(array: np.ndarray) -> str:
        moved = array.transpose(order)
        return e.constant(moved if shape is None else moved.reshape(shape), f"{op.output}.weights")

    if not int8:
        return placed(real(integers, op.weight_type, "weights"))
    down = shifts(integers)
    small = placed((integers >> down).astype(np.int8))
    scales = np.exp2(down - op.weight_type.fraction).astype(np.float32)
    zeros = np.zeros(len(scales), dtype=np.int8)
    if (scales == scales[0]).all():
        scales, zeros = scales[0], zeros[0]
    names = [e.constant(scales, f"{op.output}.weights.scale"), e.constant(zeros, f"{op.output}.weights.zero")]
    return e.step("DequantizeLinear", [small, *names], f"{op.output}.weights", axis=axis)


def _bias(e: Emitter, op: Linear, shifted: bool) -> np.ndarray | None:
    """The bias (filters,) as float32, with what a shift of the activations by 128 takes away put back."""
    source = e.graph.type_of(op.inputs[0])
    total: list[Fraction] | None = None
    if op.bias is not None and op.bias_type is not None:
        total = [int(b) * unit(op.bias_type) for b in e.graph.constants[op.bias]]
    if shifted:
        weights = e.graph.constants[op.weights]
        sums = weights.reshape(-1, weights.shape[-1]).sum(axis=0)
        back = [_OFFSET * int(s) * unit(source) * unit(op.weight_type) for s in sums]
        total = back if total is None else [a + b for a, b in zip(total, back, strict=True)]
    if total is None:
        return None
    singles = np.array([float(b) for b in total], dtype=np.float32)
    if any(Fraction(float(s)) != b for s, b in zip(singles, total, strict=True)):
        raise Refused("a bias that float32 does not hold", "Quantise the bias to fewer bits")
    return singles


def _check_shifted(op: Linear, graph: Graph) -> None:
    """Sums of shifted activations reach further than those of the activations."""
    weights = np.abs(graph.constants[op.weights].astype(object)).reshape(-1, graph.constants[op.weights].shape[-1])
    most = int(weights.sum(axis=0).max()) * _OFFSET
    if most > EXACT:
        raise Refused(f"its sums of shifted 8-bit activations reach {most}, beyond 2^24", "Use signed activations")


def dense(e: Emitter, op: Dense) -> None:
    reach(op, e.graph)
    int8 = int8_operands(op, e.graph)
    x, shifted = _operand(e, op, False, int8)
    if shifted:
        _check_shifted(op, e.graph)
    bias = _bias(e, op, shifted)
    if e.dense_as_conv and e.rank(op.inputs[0]) == 1:
        _pointwise(e, op, x, int8, bias)
        return
    product = op.output if bias is None else e.fresh(f"{op.output}.product")
    e.node("MatMul", [x, _weights(e, op, int8, 1, (0, 1))], product)
    if bias is not None:
        e.node("Add", [product, e.constant(bias, f"{op.output}.bias")], op.output)


def _pointwise(e: Emitter, op: Dense, x: str, int8: bool, bias: np.ndarray | None) -> None:
    """As a convolution over one place: TensorRT has int8 kernels of that on every architecture."""
    terms, filters = e.graph.constants[op.weights].shape
    place = e.step("Reshape", [x, e.shape((terms, 1, 1), op.output)], op.output)
    weights = _weights(e, op, int8, 0, (1, 0), (filters, terms, 1, 1))
    inputs = [place, weights] + ([] if bias is None else [e.constant(bias, f"{op.output}.bias")])
    result = e.step("Conv", inputs, op.output, kernel_shape=[1, 1])
    e.node("Reshape", [result, e.shape((filters,), op.output)], op.output)


def _pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def conv(e: Emitter, op: Conv) -> None:
    reach(op, e.graph)
    int8 = int8_operands(op, e.graph)
    x, shifted = _operand(e, op, True, int8)
    pads = _pads(op.padding)
    if shifted:
        _check_shifted(op, e.graph)
        if any(pads):  # zero is -128 now
            zero = e.number(-_OFFSET * unit(e.graph.type_of(op.inputs[0])), f"{op.output}.padding")
            rank = len(op.strides)
            target = e.constant(np.array([0, 0, *pads[:rank], 0, 0, *pads[rank:]], dtype=np.int64), f"{op.output}.pads")
            x, pads = e.step("Pad", [x, target, zero], op.output), [0] * len(pads)
    e.first.add(op.output)
    rank = len(op.strides) + 2
    inputs = [x, _weights(e, op, int8, 0, (rank - 1, rank - 2, *range(rank - 2)))]
    bias = _bias(e, op, shifted)
    inputs += [] if bias is None else [e.constant(bias, f"{op.output}.bias")]
    kernel = list(e.graph.constants[op.weights].shape[:-2])
    places = {"strides": list(op.strides), "dilations": list(op.dilations), "pads": pads, "kernel_shape": kernel}
    e.node("Conv", inputs, op.output, group=op.groups, **places)


def pool(e: Emitter, op: Pool) -> None:
    window, x = prod(op.size), e.lying(op.inputs[0], True)
    source, result = (e.graph.type_of(name) for name in (op.inputs[0], op.output))
    if max(-result.low, result.high, -source.low, source.high) > EXACT:
        raise Refused(f"sums of type {result} go beyond 2^24", "Use fewer bits")
    e.first.add(op.output)
    places = {"strides": list(op.strides), "pads": _pads(op.padding), "kernel_shape": list(op.size)}
    if op.kind is PoolKind.MAX:
        e.node("MaxPool", [x], op.output, **places)
        e.carry(op)
    elif window & (window - 1) == 0 and all(max(p) < n for p, n in zip(op.padding, op.size, strict=True)):
        average = op.kind is PoolKind.AVERAGE
        mean = op.output if average else e.fresh(f"{op.output}.mean")
        e.node("AveragePool", [x], mean, count_include_pad=1, **places)
        if not average:
            e.node("Mul", [mean, e.number(float(window), f"{op.output}.window")], op.output)
    else:
        value = 1.0 if op.kind is PoolKind.SUM else 1.0 / window
        channels = e.graph.tensors[op.output].shape[-1]
        ones = e.constant(np.full((channels, 1, *op.size), value, dtype=np.float32), f"{op.output}.ones")
        e.node("Conv", [x, ones], op.output, group=channels, **places)
