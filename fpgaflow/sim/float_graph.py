"""Parts of a graph as an ONNX graph of integer-valued float32 tensors, in which every step is exact.

An op is taken if its integers, and every partial sum on the way, stay within 2^24: float32 holds those exactly, in
whatever order they are added. A tensor may be carried scaled by a power of two, which float32 also holds exactly.
Around convolutions and poolings tensors lie channels-first, as ONNX Runtime wants them; elsewhere as in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from onnx import ModelProto, TensorProto, helper

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.choice import fits_float32, threshold_form
from fpgaflow.sim.emitter import Emitter, Form, to_first
from fpgaflow.sim.fixed_point import limits
from fpgaflow.sim.int8 import Unit, fits_byte
from fpgaflow.sim.int8_graph import emit_unit, max_pool
from fpgaflow.sim.kernels import lift
from fpgaflow.sim.lines import Line


@dataclass(frozen=True)
class FloatGraph:
    """An ONNX model over the graph's tensors.

    `feeds` are its constant inputs; `exponents` are the outputs' scales to take back; `first` are the outputs that lie
    channels-first. Its inputs lie as in the graph; those in `zero_points` are bytes, the integer plus that.
    """

    model: ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    feeds: dict[str, np.ndarray]
    exponents: dict[str, int]
    first: frozenset[str]
    zero_points: dict[str, int]


def emit(
    graph: Graph, ops: Sequence[Op], inputs: Sequence[str], outputs: Sequence[str], units: Sequence[Unit] = ()
) -> FloatGraph:
    """The float graph of consecutive `ops`, all of which satisfy `fits_float32`; those of `units` run on bytes."""
    emitter, heads = Emitter(graph, wanted=frozenset(outputs)), {unit.op.name: unit for unit in units}
    absorbed = {op.name for unit in units for op in unit.ops}
    emitter.forms |= {name: Form.BYTES for name in inputs if _as_bytes(name, graph, ops, heads)}
    for op in ops:
        if op.name in heads:
            emit_unit(emitter, heads[op.name])
        elif op.name not in absorbed:
            emitter.exponents[op.output] = _wished_exponent(op, graph, emitter)
            _EMITTERS[type(op)](emitter, op)
    given = {name: name for name in outputs}
    for name in outputs:
        if emitter.form(name) is Form.BYTES:
            given[name] = emitter.lying(name, Form.LAST)

    def info(name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> object:
        return helper.make_tensor_value_info(name, kind, list(shape))

    def shape(name: str) -> tuple[int | str, ...]:
        whole = graph.tensors[name].shape
        return ("N", whole[-1], *whole[:-1]) if emitter.form(name) is Form.FIRST else ("N", *whole)

    kinds = {Form.BYTES: TensorProto.UINT8}
    onnx_graph = helper.make_graph(
        emitter.nodes,
        "integers",
        [info(n, shape(n), kinds.get(emitter.form(n), TensorProto.FLOAT)) for n in inputs]
        + [info(n, a.shape) for n, a in emitter.feeds.items()],
        [info(given[n], shape(n)) for n in outputs],
        emitter.initialisers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(onnx_graph, opset_imports=opsets, ir_version=9)
    exponents = {name: emitter.exponents.get(name, 0) for name in outputs}
    first = frozenset(name for name in outputs if emitter.form(name) is Form.FIRST)
    zero_points = {name: emitter.zero_point(name) for name in inputs if emitter.form(name) is Form.BYTES}
    return FloatGraph(model, tuple(inputs), tuple(outputs), emitter.feeds, exponents, first, zero_points)


def _as_bytes(tensor: str, graph: Graph, ops: Sequence[Op], heads: Mapping[str, Unit]) -> bool:
    """Whether a tensor's readers among `ops` are units alone, or only carry its bytes to units."""
    readers = [op for op in graph.consumers[tensor] if op in ops]
    return (
        bool(readers)
        and fits_byte(graph.type_of(tensor))
        and all(op.name in heads or (_carries_bytes(op) and _as_bytes(op.output, graph, ops, heads)) for op in readers)
    )


def _carries_bytes(op: Op) -> bool:
    return isinstance(op, (Reshape, Transpose)) or (isinstance(op, Pool) and op.kind is PoolKind.MAX)


def _wished_exponent(op: Op, graph: Graph, emitter: Emitter) -> int:
    """A sum whose only reader rounds bits away is scaled down in its weights, which saves a multiplication."""
    if isinstance(op, Relu):
        return emitter.exponents.get(op.inputs[0], 0)
    if not isinstance(op, Linear):
        return 0
    name = op.output
    while len(users := graph.consumers[name]) == 1 and isinstance(users[0], Relu):
        name = users[0].output
    if len(users) != 1 or not isinstance(users[0], Cast) or not fits_float32(users[0], graph):
        return 0
    return max(0, graph.type_of(name).fraction - graph.type_of(users[0].output).fraction)


def _scaled_weights(e: Emitter, op: Linear) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights and bias such that plain products and sums give the carried output."""
    gain = 2.0 ** (lift(op, e.graph) - e.exponents[op.output] + e.exponents.get(op.inputs[0], 0))
    weights = (e.graph.constants[op.weights] * gain).astype(np.float32)
    if op.bias is None or op.bias_type is None:
        return weights, None
    bias_gain = 2.0 ** (op.accum.fraction - op.bias_type.fraction - e.exponents[op.output])
    return weights, (e.graph.constants[op.bias] * bias_gain).astype(np.float32)


def _dense(e: Emitter, op: Dense) -> None:
    weights, bias = _scaled_weights(e, op)
    product = op.output if bias is None else e.fresh()
    e.node("MatMul", [e.lying(op.inputs[0], Form.LAST), e.constant(weights)], product)
    if bias is not None:
        e.node("Add", [product, e.constant(bias)], op.output)


def _pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def _conv(e: Emitter, op: Conv) -> None:
    weights, bias = _scaled_weights(e, op)
    rank = weights.ndim
    e.forms[op.output] = Form.FIRST
    inputs = [e.lying(op.inputs[0], Form.FIRST), e.constant(weights.transpose(rank - 1, rank - 2, *range(rank - 2)))]
    inputs += [] if bias is None else [e.constant(bias)]
    e.node(
        "Conv",
        inputs,
        op.output,
        strides=list(op.strides),
        dilations=list(op.dilations),
        pads=_pads(op.padding),
        group=op.groups,
        kernel_shape=list(weights.shape[:-2]),
    )


def _pool(e: Emitter, op: Pool) -> None:
    if op.kind is PoolKind.MAX and e.form(op.inputs[0]) is Form.BYTES:
        return max_pool(e, op)
    window, source = prod(op.size), e.lying(op.inputs[0], Form.FIRST)
    e.forms[op.output] = Form.FIRST
    places = {"strides": list(op.strides), "pads": _pads(op.padding), "kernel_shape": list(op.size)}
    if op.kind is PoolKind.MAX:
        e.node("MaxPool", [source], op.output, **places)
    elif window & (window - 1) == 0 and all(max(p) < n for p, n in zip(op.padding, op.size, strict=True)):
        # Dividing by 2^k and multiplying again is exact.
        mean = e.node("AveragePool", [source], e.fresh(), count_include_pad=1, **places)
        e.node("Mul", [mean, e.scalar(window)], op.output)
    else:
        channels = e.graph.tensors[op.output].shape[-1]
        ones = e.constant(np.ones((channels, 1, *op.size), dtype=np.float32))
        e.node("Conv", [source, ones], op.output, group=channels, **places)


def _add(e: Emitter, op: Add) -> None:
    fraction = e.graph.type_of(op.output).fraction
    terms = []
    for name, lying in zip(op.inputs, e.alike(op), strict=True):
        shift = fraction - e.graph.type_of(name).fraction
        terms.append(lying if shift == 0 else e.node("Mul", [lying, e.scalar(2.0**shift)], e.fresh()))
    e.node("Add", terms, op.output)


def _relu(e: Emitter, op: Relu) -> None:
    e.node("Relu", e.alike(op), op.output)


def _cast(e: Emitter, op: Cast) -> None:
    source, target = e.graph.type_of(op.inputs[0]), e.graph.type_of(op.output)
    drop = source.fraction - target.fraction
    gain = 2.0 ** (e.exponents.get(op.inputs[0], 0) - drop)
    (x,) = e.alike(op)
    if gain != 1:
        x = e.node("Mul", [x, e.scalar(gain)], e.fresh())
    rounded = _round(e, x, op.rounding) if drop > 0 else x
    _overflow(e, rounded, op, target, rounded_bounds(source.low, source.high, drop))


def _round(e: Emitter, x: str, rounding: Rounding) -> str:
    def away(kind: str, offset: float) -> str:
        size = e.node("Abs", [x], e.fresh())
        if offset:
            size = e.node("Add", [size, e.scalar(offset)], e.fresh())
        whole = e.node(kind, [size], e.fresh())
        sign = e.node("Sign", [x], e.fresh())
        return e.node("Mul", [whole, sign], e.fresh())

    match rounding:
        case Rounding.RND_CONV:
            return e.node("Round", [x], e.fresh())
        case Rounding.TRN:
            return e.node("Floor", [x], e.fresh())
        case Rounding.RND:
            return e.node("Floor", [e.node("Add", [x, e.scalar(0.5)], e.fresh())], e.fresh())
        case Rounding.RND_MIN_INF:
            return e.node("Ceil", [e.node("Add", [x, e.scalar(-0.5)], e.fresh())], e.fresh())
        case Rounding.TRN_ZERO:
            return away("Floor", 0.0)
        case Rounding.RND_INF:
            return away("Floor", 0.5)
        case Rounding.RND_ZERO:
            return away("Ceil", -0.5)


def _overflow(e: Emitter, x: str, op: Cast, target: FixedType, reach: tuple[int, int]) -> None:
    low, high = limits(target, op.overflow)
    if reach[0] >= low and reach[1] <= high:
        e.node("Identity", [x], op.output)
    elif op.overflow in (Overflow.SAT, Overflow.SAT_SYM):
        e.node("Clip", [x, e.scalar(low), e.scalar(high)], op.output)
    elif op.overflow is Overflow.SAT_ZERO:
        inside = e.node("Clip", [x, e.scalar(low), e.scalar(high)], e.fresh())
        kept = e.node("Equal", [inside, x], e.fresh())
        e.node("Where", [kept, x, e.scalar(0.0)], op.output)
    else:  # x - 2^w floor((x - low) / 2^w), each step exact
        size = float(2**target.width)
        above = e.node("Add", [x, e.scalar(-low)], e.fresh())
        turns = e.node("Floor", [e.node("Mul", [above, e.scalar(1 / size)], e.fresh())], e.fresh())
        e.node("Sub", [x, e.node("Mul", [turns, e.scalar(size)], e.fresh())], op.output)


def _threshold(e: Emitter, op: Threshold) -> None:
    levels = e.graph.constants[op.thresholds]
    form = threshold_form(op, e.graph)
    (x,) = e.alike(op)
    rank = e.rank(op.output)
    along = [1] * (rank + 1)
    along[to_first(rank).index(op.axis + 1) if e.form(op.output) is Form.FIRST else op.axis + 1] = -1
    if isinstance(form, Line):
        slope, intercept = (e.feed(v.reshape(along)) for v in (form.slope, form.intercept))
        straight = e.node("Add", [e.node("Mul", [x, slope], e.fresh()), intercept], e.fresh())
        count = e.node(
            "Clip", [e.node("Floor", [straight], e.fresh()), e.scalar(0), e.scalar(levels.shape[1])], e.fresh()
        )
    else:
        if op.signs is not None:
            x = e.node("Mul", [x, e.constant(e.graph.constants[op.signs].reshape(along).astype(np.float32))], e.fresh())
        reached = []
        for level in range(levels.shape[1]):
            edge = e.constant(levels[:, level].reshape(along).astype(np.float32))
            over = e.node("GreaterOrEqual", [x, edge], e.fresh())
            reached.append(e.node("Cast", [over], e.fresh(), to=TensorProto.FLOAT))
        count = e.node("Sum", reached, e.fresh())
    stepped = count if op.step == 1 else e.node("Mul", [count, e.scalar(op.step)], e.fresh())
    e.node("Add", [stepped, e.scalar(op.offset)], op.output)


def _reshape(e: Emitter, op: Reshape) -> None:
    e.reshape(_carried(e, op), e.graph.tensors[op.output].shape, op.output)


def _transpose(e: Emitter, op: Transpose) -> None:
    e.node("Transpose", [_carried(e, op)], op.output, perm=[0, *(axis + 1 for axis in op.perm)])


def _carried(e: Emitter, op: Op) -> str:
    """The op's input laid out as in the graph: bytes stay bytes."""
    form = Form.BYTES if e.form(op.inputs[0]) is Form.BYTES else Form.LAST
    e.forms[op.output] = form
    return e.lying(op.inputs[0], form)


_EMITTERS: dict[type[Op], Callable[..., None]] = {
    Add: _add,
    Cast: _cast,
    Conv: _conv,
    Dense: _dense,
    Pool: _pool,
    Relu: _relu,
    Reshape: _reshape,
    Threshold: _threshold,
    Transpose: _transpose,
}
