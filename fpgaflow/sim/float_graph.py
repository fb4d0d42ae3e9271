"""Parts of a graph as an ONNX graph of integer-valued float32 tensors, in which every step is exact.

An op is taken if its integers, and every partial sum on the way, stay within 2^24: float32 holds those exactly, in
whatever order they are added. A tensor may be carried scaled by a power of two, which float32 also holds exactly.
Around convolutions and poolings tensors lie channels-first, as ONNX Runtime wants them; elsewhere as in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.choice import fits_float32, threshold_form
from fpgaflow.sim.fixed_point import limits
from fpgaflow.sim.kernels import lift
from fpgaflow.sim.lines import Line


@dataclass
class _Emitter:
    graph: Graph
    nodes: list[object] = field(default_factory=list)
    initialisers: list[TensorProto] = field(default_factory=list)
    feeds: dict[str, np.ndarray] = field(default_factory=dict)
    exponents: dict[str, int] = field(default_factory=dict)  # carried = integer × 2^-exponent
    first: set[str] = field(default_factory=set)  # tensors that lie channels-first
    moved: dict[tuple[str, bool], str] = field(default_factory=dict)  # (tensor, channels-first) -> its copy there
    names: int = 0  # given so far

    def node(self, kind: str, inputs: Iterable[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"n{len(self.nodes)}", **attributes))
        return output

    def fresh(self, kind: str = "t") -> str:
        """A name that nothing bears yet, no tensor of the graph either."""
        self.names += 1
        name = f"{kind}.{self.names}"
        return self.fresh(kind) if name in self.graph.tensors else name

    def constant(self, array: np.ndarray) -> str:
        name = self.fresh("c")
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def feed(self, array: np.ndarray) -> str:
        """A value given at each run: no optimiser can fold it into weights, where rounding would not be ours."""
        name = self.fresh("feed")
        self.feeds[name] = np.ascontiguousarray(array, dtype=np.float32)
        return name

    def rank(self, tensor: str) -> int:
        return len(self.graph.tensors[tensor].shape)

    def lying(self, tensor: str, first: bool) -> str:
        """The tensor in the layout asked for, moved once where it lies otherwise."""
        if (tensor in self.first) == first or self.rank(tensor) == 1:
            return tensor
        if (tensor, first) not in self.moved:
            perm = to_first(self.rank(tensor)) if first else to_last(self.rank(tensor))
            self.moved[tensor, first] = self.node("Transpose", [tensor], self.fresh(), perm=perm)
        return self.moved[tensor, first]

    def alike(self, op: Op) -> list[str]:
        """The op's inputs in the layout of its first one, which its output takes."""
        first = op.inputs[0] in self.first
        if first:
            self.first.add(op.output)
        return [self.lying(name, first) for name in op.inputs]


@dataclass(frozen=True)
class FloatGraph:
    """An ONNX model over the graph's tensors.

    `feeds` are its constant inputs; `exponents` are the outputs' scales to take back; `first` are the outputs that lie
    channels-first. Its inputs lie as in the graph.
    """

    model: ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    feeds: dict[str, np.ndarray]
    exponents: dict[str, int]
    first: frozenset[str]


def to_first(rank: int) -> tuple[int, ...]:
    """Axes (batch included) from channels-last to channels-first, for an unbatched rank."""
    return (0, rank, *range(1, rank))


def to_last(rank: int) -> tuple[int, ...]:
    """Axes (batch included) from channels-first to channels-last, for an unbatched rank."""
    return (0, *range(2, rank + 1), 1)


def emit(graph: Graph, ops: list[Op], inputs: list[str], outputs: list[str]) -> FloatGraph:
    """The float graph of consecutive `ops`, all of which satisfy `fits_float32`."""
    emitter = _Emitter(graph)
    for op in ops:
        emitter.exponents[op.output] = _wished_exponent(op, graph, emitter)
        _EMITTERS[type(op)](emitter, op)

    def info(name: str, shape: tuple[int, ...], batch: bool) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, (["N", *shape] if batch else list(shape)))

    def shape(name: str) -> tuple[int, ...]:
        whole = graph.tensors[name].shape
        return (whole[-1], *whole[:-1]) if name in emitter.first else whole

    onnx_graph = helper.make_graph(
        emitter.nodes,
        "integers",
        [info(n, shape(n), True) for n in inputs] + [info(n, a.shape, False) for n, a in emitter.feeds.items()],
        [info(n, shape(n), True) for n in outputs],
        emitter.initialisers,
    )
    model = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    exponents = {name: emitter.exponents.get(name, 0) for name in outputs}
    first = frozenset(emitter.first & set(outputs))
    return FloatGraph(model, tuple(inputs), tuple(outputs), emitter.feeds, exponents, first)


def _wished_exponent(op: Op, graph: Graph, emitter: _Emitter) -> int:
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


def _scaled_weights(e: _Emitter, op: Linear) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights and bias such that plain products and sums give the carried output."""
    gain = 2.0 ** (lift(op, e.graph) - e.exponents[op.output] + e.exponents.get(op.inputs[0], 0))
    weights = (e.graph.constants[op.weights] * gain).astype(np.float32)
    if op.bias is None or op.bias_type is None:
        return weights, None
    bias_gain = 2.0 ** (op.accum.fraction - op.bias_type.fraction - e.exponents[op.output])
    return weights, (e.graph.constants[op.bias] * bias_gain).astype(np.float32)


def _dense(e: _Emitter, op: Dense) -> None:
    weights, bias = _scaled_weights(e, op)
    product = op.output if bias is None else e.fresh()
    e.node("MatMul", [e.lying(op.inputs[0], False), e.constant(weights)], product)
    if bias is not None:
        e.node("Add", [product, e.constant(bias)], op.output)


def _pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def _channels_first(e: _Emitter, tensor: str) -> str:
    """The tensor channels-first; with one channel that is a reshape."""
    shape = e.graph.tensors[tensor].shape
    if tensor in e.first or shape[-1] != 1:
        return e.lying(tensor, True)
    if (tensor, True) not in e.moved:
        target = e.constant(np.array([-1, 1, *shape[:-1]], dtype=np.int64))
        e.moved[tensor, True] = e.node("Reshape", [tensor, target], e.fresh())
    return e.moved[tensor, True]


def _conv(e: _Emitter, op: Conv) -> None:
    weights, bias = _scaled_weights(e, op)
    rank = weights.ndim
    e.first.add(op.output)
    inputs = [_channels_first(e, op.inputs[0]), e.constant(weights.transpose(rank - 1, rank - 2, *range(rank - 2)))]
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


def _pool(e: _Emitter, op: Pool) -> None:
    window, source = prod(op.size), _channels_first(e, op.inputs[0])
    e.first.add(op.output)
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


def _add(e: _Emitter, op: Add) -> None:
    fraction = e.graph.type_of(op.output).fraction
    terms = []
    for name, lying in zip(op.inputs, e.alike(op), strict=True):
        shift = fraction - e.graph.type_of(name).fraction
        terms.append(lying if shift == 0 else e.node("Mul", [lying, e.scalar(2.0**shift)], e.fresh()))
    e.node("Add", terms, op.output)


def _relu(e: _Emitter, op: Relu) -> None:
    e.node("Relu", e.alike(op), op.output)


def _cast(e: _Emitter, op: Cast) -> None:
    source, target = e.graph.type_of(op.inputs[0]), e.graph.type_of(op.output)
    drop = source.fraction - target.fraction
    gain = 2.0 ** (e.exponents.get(op.inputs[0], 0) - drop)
    (x,) = e.alike(op)
    if gain != 1:
        x = e.node("Mul", [x, e.scalar(gain)], e.fresh())
    rounded = _round(e, x, op.rounding) if drop > 0 else x
    _overflow(e, rounded, op, target, rounded_bounds(source.low, source.high, drop))


def _round(e: _Emitter, x: str, rounding: Rounding) -> str:
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


def _overflow(e: _Emitter, x: str, op: Cast, target: FixedType, reach: tuple[int, int]) -> None:
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


def _threshold(e: _Emitter, op: Threshold) -> None:
    levels = e.graph.constants[op.thresholds]
    form = threshold_form(op, e.graph)
    (x,) = e.alike(op)
    rank = e.rank(op.output)
    along = [1] * (rank + 1)
    along[to_first(rank).index(op.axis + 1) if op.output in e.first else op.axis + 1] = -1
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


def _reshape(e: _Emitter, op: Reshape) -> None:
    target = e.constant(np.array([-1, *e.graph.tensors[op.output].shape], dtype=np.int64))
    e.node("Reshape", [e.lying(op.inputs[0], False), target], op.output)


def _transpose(e: _Emitter, op: Transpose) -> None:
    e.node("Transpose", [e.lying(op.inputs[0], False)], op.output, perm=[0, *(axis + 1 for axis in op.perm)])


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
