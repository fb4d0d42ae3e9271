"""The legality table: what must hold of every op in every graph. `verify` runs after each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from math import prod

import numpy as np

from fpgaflow.errors import BrokenGraph
from fpgaflow.ir.bounds import sum_type
from fpgaflow.ir.graph import Graph, constant_names
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType
from fpgaflow.ir.verify_merge import MERGE_RULES
from fpgaflow.ir.verify_recurrent import RECURRENT_RULES
from fpgaflow.ir.verify_table import TABLE_RULES

MAX_CONSTANT_WIDTH = 63  # constants are stored as int64
MAX_TYPE_BITS = 1 << 12  # of width and of fraction: far beyond any model, and no memory is lost to a damaged file


def verify(graph: Graph, after: str, own: Mapping[type[Op], Callable[..., Rules]] | None = None) -> Graph:
    """The graph itself, if it is legal; `own` are the rules of ops that a target has for itself.

    Raises:
        BrokenGraph: naming the pass `after`, and of each op and port the first rule that it breaks.
    """
    broken = list(_structure(graph)) or list(_types(graph))
    if not broken:
        broken = list(_ports(graph))
        for op in graph.ops:
            broken += [f"{type(op).__name__} '{op.name}': {message}" for message in _op_problems(op, graph, own or {})]
    if broken:
        raise BrokenGraph(f"after pass '{after}'", "; ".join(broken), "This is a defect of fpgaflow: please report it")
    return graph


def _structure(graph: Graph) -> Iterator[str]:
    known = {port.tensor for port in graph.inputs}
    if len(known) != len(graph.inputs):
        yield "two inputs share a tensor"
    names = [op.name for op in graph.ops]
    yield from (f"two ops are named '{name}'" for name in sorted({n for n in names if names.count(n) > 1}))
    for op in graph.ops:
        yield from (f"'{op.name}' reads '{n}' before it is made" for n in op.inputs if n not in known)
        yield from (f"'{op.name}' reads no constant '{n}'" for n in constant_names(op) if n not in graph.constants)
        if op.output in known:
            yield f"'{op.output}' is made twice"
        known.add(op.output)
    yield from (f"output '{port.name}' is never made" for port in graph.outputs if port.tensor not in known)
    yield from (f"tensor '{name}' has no type" for name in sorted(known - graph.tensors.keys()))
    yield from (f"tensor '{name}' is never made" for name in sorted(graph.tensors.keys() - known))
    used = {name for op in graph.ops for name in constant_names(op)}
    yield from (f"constant '{name}' is never read" for name in sorted(graph.constants.keys() - used))
    for name, array in graph.constants.items():
        if array.dtype != np.int64:
            yield f"constant '{name}' is {array.dtype}, not int64"


def _types(graph: Graph) -> Iterator[str]:
    types = [(name, tensor.type) for name, tensor in graph.tensors.items()]
    for op in graph.ops:
        types += [(op.name, t) for field in fields(op) if isinstance(t := getattr(op, field.name), FixedType)]
    for name, type_ in types:
        if type_.width > MAX_TYPE_BITS or abs(type_.fraction) > MAX_TYPE_BITS:
            yield f"'{name}' has a type of {type_.width} bits, {type_.fraction} of them fraction"


def _ports(graph: Graph) -> Iterator[str]:
    for into in graph.inputs:
        type_ = graph.type_of(into.tensor)
        if into.gain <= 0 or not type_.low <= into.low <= into.high <= type_.high:
            yield f"input '{into.name}': a gain that is not positive, or a range outside of {type_}"
    for out in graph.outputs:
        shape = _shape(graph, out.tensor)
        along = (*shape, 1)[out.axis] if 0 <= out.axis < max(len(shape), 1) else 0  # one number has no axis
        if not along or not {len(out.scale), len(out.offset)} <= {1, along}:
            yield f"output '{out.name}': scales and offsets that do not run along axis {out.axis} of {shape}"
    for tensor in graph.tensors.values():
        if (source := tensor.source) is not None and (
            sorted(source.perm) != list(range(len(tensor.shape))) or prod(source.shape) != prod(tensor.shape)
        ):
            yield f"tensor '{tensor.name}': {source} is no view of {tensor.shape}"


def _op_problems(op: Op, graph: Graph, own: Mapping[type[Op], Callable[..., Rules]]) -> Iterator[str]:
    if (rule := RULES.get(type(op)) or own.get(type(op))) is None:
        yield "no rule for this op"
        return
    # Each rule stands on those before it, so the first that is broken is the last to be asked.
    for holds, message in rule(op, graph):
        if not holds:
            yield message
            return


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    return graph.tensors[name].shape


def _fits(array: np.ndarray, type_: FixedType) -> bool:
    return array.size == 0 or (int(array.min()) >= type_.low and int(array.max()) <= type_.high)


Rules = Iterator[tuple[bool, str]]


def _same_shape(op: Op, graph: Graph) -> Rules:
    yield all(_shape(graph, n) == _shape(graph, op.output) for n in op.inputs), "input and output shapes differ"


def _cast(op: Cast, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    yield from _same_shape(op, graph)


def _linear(op: Linear, graph: Graph) -> Rules:
    weights = graph.constants[op.weights]
    yield len(op.inputs) == 1, "takes one input"
    yield weights.ndim >= 2 and weights.size > 0, f"weights {weights.shape}"
    yield op.weight_type.width <= MAX_CONSTANT_WIDTH and _fits(weights, op.weight_type), "weights leave their type"
    yield (op.bias is None) == (op.bias_type is None), "bias and bias type go together"
    if op.bias is not None and op.bias_type is not None:
        bias = graph.constants[op.bias]
        yield bias.shape == (weights.shape[-1],), f"bias shape {bias.shape} for {weights.shape[-1]} filters"
        yield _fits(bias, op.bias_type), "bias leaves its type"
    yield graph.type_of(op.output) == op.accum, "the output's type is not the accumulator's"


def _dense(op: Dense, graph: Graph) -> Rules:
    yield from _linear(op, graph)
    weights, source, result = graph.constants[op.weights], _shape(graph, op.inputs[0]), _shape(graph, op.output)
    yield weights.ndim == 2 and source[-1:] == weights.shape[:1], f"weights {weights.shape} on input {source}"
    yield result == (*source[:-1], weights.shape[-1]), f"output shape {result} from input {source}"


def conv_shape(source: tuple[int, ...], kernel: tuple[int, ...], filters: int, op: Conv) -> tuple[int, ...]:
    """Output shape (*spatial, filters) of a convolution over (*spatial, channels)."""
    spatial = (
        (size + sum(pad) - dilation * (taps - 1) - 1) // stride + 1
        for size, pad, dilation, taps, stride in zip(
            source[:-1], op.padding, op.dilations, kernel, op.strides, strict=True
        )
    )
    return (*spatial, filters)


def _conv(op: Conv, graph: Graph) -> Rules:
    yield from _linear(op, graph)
    weights, source = graph.constants[op.weights], _shape(graph, op.inputs[0])
    rank = len(source) - 1
    yield rank in (1, 2) and weights.ndim == rank + 2, f"weights {weights.shape} on input {source}"
    yield len(op.strides) == len(op.dilations) == len(op.padding) == rank, "strides, dilations, padding: one per axis"
    yield min(*op.strides, *op.dilations, op.groups) > 0, "strides, dilations and groups are positive"
    yield min(pad for pads in op.padding for pad in pads) >= 0, "padding is not negative"
    yield source[-1] == weights.shape[-2] * op.groups, f"{source[-1]} channels, weights {weights.shape}"
    yield weights.shape[-1] % op.groups == 0, f"{weights.shape[-1]} filters in {op.groups} groups"
    expected = conv_shape(source, weights.shape[:-2], weights.shape[-1], op)
    yield min(expected) > 0, "the kernel is larger than its padded input"
    yield _shape(graph, op.output) == expected, f"output shape {_shape(graph, op.output)}, expected {expected}"


def pool_shape(source: tuple[int, ...], op: Pool) -> tuple[int, ...]:
    """Output shape (*spatial, channels) of a pooling over (*spatial, channels)."""
    spatial = (
        (size + sum(pad) - window) // stride + 1
        for size, pad, window, stride in zip(source[:-1], op.padding, op.size, op.strides, strict=True)
    )
    return (*spatial, source[-1])


def _pool(op: Pool, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    shape = _shape(graph, op.inputs[0])
    rank = len(shape) - 1
    yield rank > 0, f"no spatial axis in {shape}"
    yield len(op.size) == len(op.strides) == len(op.padding) == rank, "size, strides, padding: one per axis"
    yield min(*op.size, *op.strides) > 0, "size and strides are positive"
    yield min(pad for pads in op.padding for pad in pads) >= 0, "padding is not negative"
    yield min(pool_shape(shape, op)) > 0, "the window is larger than its padded input"
    yield _shape(graph, op.output) == pool_shape(shape, op), f"output shape {_shape(graph, op.output)} from {shape}"
    window = prod(op.size)
    if op.kind is PoolKind.MAX:
        yield result == source, "max pooling keeps its type"
        yield not any(any(pad) for pad in op.padding), "max pooling takes no padding"
    else:
        average = op.kind is PoolKind.AVERAGE
        yield not average or window & (window - 1) == 0, f"an exact average needs a window of 2^k, not {window}"
        yield result.fraction == source.fraction + (window.bit_length() - 1 if average else 0), "fraction of the sum"
        yield result.low <= min(source.low * window, 0) or not source.signed, "the sum leaves its type"
        yield result.high >= source.high * window, "the sum leaves its type"


def _add(op: Add, graph: Graph) -> Rules:
    yield len(op.inputs) == 2, "takes two inputs"
    yield from _same_shape(op, graph)
    needed, result = sum_type(*(graph.type_of(n) for n in op.inputs)), graph.type_of(op.output)
    yield result.fraction == needed.fraction, "the sum's fraction is the finer of the two"
    yield result.low <= needed.low and result.high >= needed.high, "the sum leaves its type"


def _relu(op: Relu, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    yield from _same_shape(op, graph)
    source, result = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    yield result.fraction == source.fraction and result.high >= source.high, "the result leaves its type"


def _threshold(op: Threshold, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    yield from _same_shape(op, graph)
    shape, levels, result = _shape(graph, op.output), graph.constants[op.thresholds], graph.type_of(op.output)
    yield 0 <= op.axis < len(shape), f"axis {op.axis} of shape {shape}"
    channels = shape[op.axis]
    yield levels.ndim == 2 and levels.shape[0] in (1, channels), f"thresholds {levels.shape} for {channels} channels"
    if op.signs is not None:
        signs = graph.constants[op.signs]
        yield signs.shape == (channels,) and bool(np.isin(signs, (-1, 1)).all()), "one sign of ±1 per channel"
    yield bool((np.diff(levels, axis=1) >= 0).all()), "thresholds ascend"
    last = op.offset + op.step * levels.shape[1]
    yield result.low <= min(op.offset, last) and result.high >= max(op.offset, last), "the levels leave the type"


def _reshape(op: Reshape, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    yield prod(_shape(graph, op.inputs[0])) == prod(_shape(graph, op.output)), "element counts differ"
    yield graph.type_of(op.inputs[0]) == graph.type_of(op.output), "keeps its type"


def _transpose(op: Transpose, graph: Graph) -> Rules:
    yield len(op.inputs) == 1, "takes one input"
    source = _shape(graph, op.inputs[0])
    yield sorted(op.perm) == list(range(len(source))), f"{op.perm} is no permutation of {len(source)} axes"
    yield _shape(graph, op.output) == tuple(source[i] for i in op.perm), "output shape"
    yield graph.type_of(op.inputs[0]) == graph.type_of(op.output), "keeps its type"


RULES: dict[type[Op], Callable[..., Rules]] = {
    Cast: _cast,
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Add: _add,
    Relu: _relu,
    Threshold: _threshold,
    Reshape: _reshape,
    Transpose: _transpose,
    **MERGE_RULES,
    **RECURRENT_RULES,
    **TABLE_RULES,
}
