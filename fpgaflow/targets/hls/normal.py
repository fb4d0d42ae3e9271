"""The form of a graph in which every op is one hls4ml layer, or the result type of one.

All rewrites are exact. A graph and what hls4ml made of it have the same normal form: `difference.py` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import TypeVar

import numpy as np

from fpgaflow.ir.bounds import pool_sum_type, sum_type
from fpgaflow.ir.graph import Graph, Ints, Output, Tensor, constant_names
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import verify

L = TypeVar("L", bound=Linear)


def normal_form(graph: Graph) -> Graph:
    """The graph of the same integers that hls4ml's layers express one by one.

    - Relu, Add and Pool give their narrowest exact type; where another was asked, a Cast follows.
    - Casts that change nothing go, and what a following cast makes superfluous: a lossless cast, a relu.
    - Casts, relus and sums stand before reshapes; reshapes merge, and go where an output follows: elements travel in
      C order. Transposes that move only axes of size one are reshapes.
    - Sums, and averages whose windows overlap or are padded, are depthwise convolutions with constant weights.
    - Dilation, and groups other than depthwise, become zero weights; a convolution of one tap is a Dense; a bias of
      zeros goes.
    """
    build = _Builder(graph)
    for op in graph.ops:
        inputs = tuple(build.known[name] for name in op.inputs)
        build.known[op.output] = _REWRITES[type(op)](build, replace(op, inputs=inputs))
    outputs = []
    for port in graph.outputs:
        tensor = build.known[port.tensor]
        while isinstance(before := build.ops.get(tensor), Reshape):
            tensor = before.inputs[0]
        scale = Fraction(2) ** -build.type(tensor).fraction
        outputs.append(Output(tensor, port.name, (scale,), (Fraction(0),), 0))
    return verify(build.graph(tuple(outputs)), "hls normal form")


@dataclass
class _Builder:
    """The new graph so far; `known` maps tensors of the old graph to those of the new one."""

    old: Graph
    ops: dict[str, Op] = field(default_factory=dict)  # by output
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Ints] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for port in self.old.inputs:
            self.tensors[port.tensor] = self.old.tensors[port.tensor]
            self.known[port.tensor] = port.tensor

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def type(self, name: str) -> FixedType:
        return self.tensors[name].type

    def asked(self, op: Op) -> Tensor:
        """What the old graph says of the op's output."""
        return self.old.tensors[op.output]

    def emit(self, op: Op, shape: tuple[int, ...], type_: FixedType, **changed: Ints) -> str:
        """Adds the op, with `changed` in place of the old constants of those fields, and returns its output's name."""
        for key, array in changed.items():
            name = f"{op.name}.{key}.hls"  # constants of the old graph may be shared between ops
            op = replace(op, **{key: name})  # type: ignore[arg-type]
            self.constants[name] = array
        for name in constant_names(op):
            if name not in self.constants:
                self.constants[name] = self.old.constants[name]
        self.ops[op.output] = op
        self.tensors[op.output] = Tensor(op.output, shape, type_)
        return op.output

    def cast(self, op: Cast, target: FixedType) -> str:
        source, unsigned = op.inputs[0], not target.signed and op.overflow is not Overflow.WRAP
        while (isinstance(before := self.ops.get(source), Cast) and self._lossless(before)) or (
            isinstance(before, Relu) and unsigned
        ):
            source = before.inputs[0]
        if _fits(self.type(source), target, op.overflow):
            op = replace(op, rounding=Rounding.TRN, overflow=Overflow.WRAP)
            if self.type(source) == target:
                return source
        if isinstance(before, Reshape):
            inner = replace(op, inputs=before.inputs, output=op.output + ".flat")
            return self.reshape(op, self.cast(inner, target), self.shape(source))
        return self.emit(replace(op, inputs=(source,)), self.shape(source), target)

    def _lossless(self, op: Cast) -> bool:
        return _fits(self.type(op.inputs[0]), self.type(op.output), op.overflow)

    def reshape(self, like: Op, source: str, shape: tuple[int, ...]) -> str:
        while isinstance(before := self.ops.get(source), Reshape):
            source = before.inputs[0]
        if self.shape(source) == shape:
            return source
        suffix = "" if isinstance(like, (Reshape, Transpose)) else ".reshape"
        op = Reshape(like.name + suffix, (source,), like.output, like.node)
        return self.emit(op, shape, self.type(source))

    def narrow(self, op: Op, shape: tuple[int, ...], exact: FixedType, asked: FixedType) -> str:
        """The op with its narrowest exact type, then the lossless cast to the type that was asked for."""
        if exact == asked:
            return self.emit(op, shape, exact)
        result = self.emit(replace(op, output=op.output + ".exact"), shape, exact)
        return self.cast(Cast(op.name + ".cast", (result,), op.output, op.node, Rounding.TRN, Overflow.WRAP), asked)

    def graph(self, outputs: tuple[Output, ...]) -> Graph:
        """What the outputs need, in topological order."""
        needed = {port.tensor for port in outputs}
        live: list[Op] = []
        for op in reversed(self.ops.values()):
            if op.output in needed:
                live.append(op)
                needed |= set(op.inputs)
        names = needed | {port.tensor for port in self.old.inputs}
        used = {name for op in live for name in constant_names(op)}
        return Graph(
            self.old.name,
            self.old.inputs,
            outputs,
            tuple(reversed(live)),
            {name: tensor for name, tensor in self.tensors.items() if name in names},
            {name: array for name, array in self.constants.items() if name in used},
        )


def _fits(source: FixedType, target: FixedType, overflow: Overflow) -> bool:
    """Whether every value of one type is a value of the other."""
    shift = target.fraction - source.fraction
    low = target.low + int(target.signed and overflow is Overflow.SAT_SYM)
    return shift >= 0 and source.low << shift >= low and source.high << shift <= target.high


def _cast(build: _Builder, op: Cast) -> str:
    return build.cast(op, build.asked(op).type)


def _zero_bias(build: _Builder, op: L) -> L:
    if op.bias is None or build.old.constants[op.bias].any():
        return op
    return replace(op, bias=None, bias_type=None)


def _dense(build: _Builder, op: Dense) -> str:
    return build.emit(_zero_bias(build, op), build.asked(op).shape, op.accum)


def _conv(build: _Builder, op: Conv) -> str:
    op = _zero_bias(build, op)
    weights, shape = _undilated(build.old.constants[op.weights], op.dilations), build.asked(op).shape
    groups = op.groups
    if groups > 1 and weights.shape[-2:] != (1, groups):
        weights, groups = _ungrouped(weights, groups), 1
    one_tap = {*weights.shape[:-2], *op.strides} == {1} and not any(map(any, op.padding))
    if groups == 1 and one_tap:
        shared = (op.name, op.inputs, op.output, op.node, op.weights, op.weight_type, op.bias, op.bias_type, op.accum)
        return build.emit(Dense(*shared), shape, op.accum, weights=weights.reshape(weights.shape[-2:]))
    op = replace(op, dilations=(1,) * len(op.dilations), groups=groups)
    return build.emit(op, shape, op.accum, weights=weights)


def _undilated(weights: Ints, dilations: tuple[int, ...]) -> Ints:
    kernel = tuple(d * (taps - 1) + 1 for d, taps in zip(dilations, weights.shape[:-2], strict=True))
    full = np.zeros((*kernel, *weights.shape[-2:]), dtype=np.int64)
    full[tuple(slice(None, None, d) for d in dilations)] = weights
    return full


def _ungrouped(weights: Ints, groups: int) -> Ints:
    inner, filters = weights.shape[-2], weights.shape[-1] // groups
    full = np.zeros((*weights.shape[:-2], inner * groups, weights.shape[-1]), dtype=np.int64)
    for group in range(groups):
        mine = slice(group * filters, (group + 1) * filters)
        full[..., group * inner : (group + 1) * inner, mine] = weights[..., mine]
    return full


def _pool(build: _Builder, op: Pool) -> str:
    source, asked = op.inputs[0], build.asked(op)
    if op.kind is PoolKind.MAX:
        return build.emit(op, asked.shape, asked.type)
    window, padded = prod(op.size), any(map(any, op.padding))
    extra = window.bit_length() - 1 if op.kind is PoolKind.AVERAGE else 0
    exact = pool_sum_type(build.type(source), window, padded=padded, extra_fraction=extra)
    if op.kind is PoolKind.AVERAGE and op.strides == op.size and not padded:
        return build.narrow(op, asked.shape, exact, asked.type)
    channels, one = asked.shape[-1], FixedType(False, 1, extra)
    weights = f"{op.name}.weights.hls"
    build.constants[weights] = np.ones((*op.size, 1, channels), dtype=np.int64)
    plain = (1,) * len(op.size)
    conv = Conv(
        *(op.name, op.inputs, op.output, op.node, weights, one, None, None, exact),
        *(op.strides, plain, op.padding, channels),
    )
    return build.narrow(conv, asked.shape, exact, asked.type)


def _add(build: _Builder, op: Add) -> str:
    asked = build.asked(op)
    exact = sum_type(*(build.type(name) for name in op.inputs))
    before = [build.ops.get(name) for name in op.inputs]
    inner = [b.inputs[0] for b in before if isinstance(b, Reshape)]
    if len(inner) == 2 and build.shape(inner[0]) == build.shape(inner[1]):
        moved = replace(op, inputs=tuple(inner), output=op.output + ".flat")
        return build.reshape(op, build.narrow(moved, build.shape(inner[0]), exact, asked.type), asked.shape)
    return build.narrow(op, asked.shape, exact, asked.type)


def _relu(build: _Builder, op: Relu) -> str:
    source, asked = op.inputs[0], build.asked(op)
    kept = build.type(source)
    if not kept.signed:
        return build.cast(Cast(op.name, op.inputs, op.output, op.node, Rounding.TRN, Overflow.WRAP), asked.type)
    exact = type_for(0, max(kept.high, 0), kept.fraction)
    if isinstance(before := build.ops.get(source), Reshape):
        moved = replace(op, inputs=before.inputs, output=op.output + ".flat")
        inner = build.narrow(moved, build.shape(before.inputs[0]), exact, asked.type)
        return build.reshape(op, inner, asked.shape)
    return build.narrow(op, asked.shape, exact, asked.type)


def _threshold(build: _Builder, op: Threshold) -> str:
    asked = build.asked(op)
    thresholds, signs = build.old.constants[op.thresholds], None
    if (thresholds == thresholds[:1]).all():
        thresholds = thresholds[:1]
    if op.signs is not None and (build.old.constants[op.signs] < 0).any():
        signs = build.old.constants[op.signs]
    op = replace(op, signs=None)
    if signs is None and len(thresholds) == 1:  # no axis is special
        source = op.inputs[0]
        if isinstance(before := build.ops.get(source), Reshape):
            shape = build.shape(before.inputs[0])
            moved = replace(op, inputs=before.inputs, output=op.output + ".flat", axis=len(shape) - 1)
            return build.reshape(op, build.emit(moved, shape, asked.type, thresholds=thresholds), asked.shape)
        op = replace(op, axis=len(asked.shape) - 1)
    changed = {"thresholds": thresholds} | ({} if signs is None else {"signs": signs})
    return build.emit(op, asked.shape, asked.type, **changed)


def _reshape(build: _Builder, op: Reshape) -> str:
    return build.reshape(op, op.inputs[0], build.asked(op).shape)


def _transpose(build: _Builder, op: Transpose) -> str:
    source, asked = op.inputs[0], build.asked(op)
    moved = [axis for axis in op.perm if build.shape(source)[axis] > 1]
    if moved == sorted(moved):
        return build.reshape(op, source, asked.shape)
    return build.emit(op, asked.shape, asked.type)


_REWRITES: Mapping[type[Op], Callable[..., str]] = {
    Cast: _cast,
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Add: _add,
    Relu: _relu,
    Threshold: _threshold,
    Reshape: _reshape,
    Transpose: _transpose,
}

CARRIED = frozenset(_REWRITES)  # the ops that a project can hold
