"""Products with constant weights, and pooling: int8 operands wherever they fit, sums that float32 holds."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Dense, Linear, Pool, PoolKind
from fpgaflow.sim.choice import sum_reach
from fpgaflow.targets.gpu.emitter import EXACT, Emitter, real, unit
from fpgaflow.targets.gpu.int8 import OFFSET, Int8, int8_form
from fpgaflow.targets.refused import Refused


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


def _form(e: Emitter, op: Linear) -> Int8 | None:
    """The op's int8 operands, noted for the certificate."""
    form = int8_form(op, e.graph, e.quantised.get(op.inputs[0]))
    if form is not None:
        e.int8[op.name] = form.saturates
    return form


def _operand(e: Emitter, op: Linear, first: bool, form: Int8 | None) -> str:
    """The activations.

    Int8 ones come straight out of a DequantizeLinear: behind anything else, ONNX Runtime makes a MatMul with
    dequantised weights one that quantises its activations in a way of its own (MatMulNBits).
    """
    name = op.inputs[0]
    x = e.lying(name, first)
    if form is None or (name in e.direct and x == name):
        return x
    if form.shifted:
        x = e.step("Sub", [x, e.number(OFFSET * form.scale, f"{op.output}.offset")], op.output)
    return e.quantise(x, form.scale, op.output)


def _weights(
    e: Emitter, op: Linear, form: Int8 | None, axis: int, order: tuple[int, ...], shape: tuple[int, ...] | None = None
) -> str:
    """Weights in the order of axes, and the shape, that ONNX wants, filters along its `axis`."""

    def placed(array: np.ndarray) -> str:
        moved = array.transpose(order)
        return e.constant(moved if shape is None else moved.reshape(shape), f"{op.output}.weights")

    if form is None:
        return placed(real(e.graph.constants[op.weights], op.weight_type, "weights"))
    small = placed(form.weights)
    scales, zeros = np.exp2(form.exponents).astype(np.float32), np.zeros(len(form.exponents), dtype=np.int8)
    if (scales == scales[0]).all():
        scales, zeros = scales[0], zeros[0]
    names = [e.constant(scales, f"{op.output}.weights.scale"), e.constant(zeros, f"{op.output}.weights.zero")]
    return e.step("DequantizeLinear", [small, *names], f"{op.output}.weights", axis=axis)


def _bias(e: Emitter, op: Linear, form: Int8 | None) -> np.ndarray | None:
    """The bias (filters,) as float32, with what a shift of the activations by 128 takes away put back."""
    total: list[Fraction] | None = None
    if op.bias is not None and op.bias_type is not None:
        total = [int(b) * unit(op.bias_type) for b in e.graph.constants[op.bias]]
    if form is not None and form.shifted:
        weights = e.graph.constants[op.weights]
        sums = weights.reshape(-1, weights.shape[-1]).sum(axis=0)
        back = [OFFSET * int(s) * form.scale * unit(op.weight_type) for s in sums]
        total = back if total is None else [a + b for a, b in zip(total, back, strict=True)]
    if total is None:
        return None
    singles = np.array([float(b) for b in total], dtype=np.float32)
    if any(Fraction(float(s)) != b for s, b in zip(singles, total, strict=True)):
        raise Refused("a bias that float32 does not hold", "Quantise the bias to fewer bits")
    return singles


def dense(e: Emitter, op: Dense) -> None:
    reach(op, e.graph)
    form = _form(e, op)
    x, bias = _operand(e, op, False, form), _bias(e, op, form)
    if e.dense_as_conv and e.rank(op.inputs[0]) == 1:
        _pointwise(e, op, x, form, bias)
        return
    product = op.output if bias is None else e.fresh(f"{op.output}.product")
    e.node("MatMul", [x, _weights(e, op, form, 1, (0, 1))], product)
    if bias is not None:
        e.node("Add", [product, e.constant(bias, f"{op.output}.bias")], op.output)


def _pointwise(e: Emitter, op: Dense, x: str, form: Int8 | None, bias: np.ndarray | None) -> None:
    """As a convolution over one place: TensorRT has int8 kernels of that on every architecture."""
    terms, filters = e.graph.constants[op.weights].shape
    place = e.step("Reshape", [x, e.shape((terms, 1, 1), op.output)], op.output)
    weights = _weights(e, op, form, 0, (1, 0), (filters, terms, 1, 1))
    inputs = [place, weights] + ([] if bias is None else [e.constant(bias, f"{op.output}.bias")])
    result = e.step("Conv", inputs, op.output, kernel_shape=[1, 1])
    e.node("Reshape", [result, e.shape((filters,), op.output)], op.output)


def _pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def conv(e: Emitter, op: Conv) -> None:
    reach(op, e.graph)
    form = _form(e, op)
    x, pads = _operand(e, op, True, form), _pads(op.padding)
    if form is not None and form.shifted and any(pads):  # zero is -128 now
        zero = e.number(-OFFSET * form.scale, f"{op.output}.padding")
        rank = len(op.strides)
        target = e.constant(np.array([0, 0, *pads[:rank], 0, 0, *pads[rank:]], dtype=np.int64), f"{op.output}.pads")
        padded = e.step("Pad", [x, target, zero], op.output)
        x, pads = e.quantise(padded, form.scale, op.output), [0] * len(pads)
    e.first.add(op.output)
    rank = len(op.strides) + 2
    inputs = [x, _weights(e, op, form, 0, (rank - 1, rank - 2, *range(rank - 2)))]
    bias = _bias(e, op, form)
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
