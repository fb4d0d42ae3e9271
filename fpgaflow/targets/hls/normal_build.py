"""The new graph of a normal form while it grows: what every rewrite of normal.py needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph, Ints, Output, Tensor, constant_names
from fpgaflow.ir.index_map import IndexMap, places
from fpgaflow.ir.ops import Cast, Conv, Op, Pool, PoolKind, Relu, Reshape, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding

Shape = tuple[int, ...]


@dataclass
class Builder:
    """The new graph so far; `known` maps tensors of the old graph to those of the new one."""

    old: Graph
    stream: bool
    ops: dict[str, Op] = field(default_factory=dict)  # by output
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Ints] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for port in self.old.inputs:
            self.tensors[port.tensor] = self.old.tensors[port.tensor]
            self.known[port.tensor] = port.tensor

    @cached_property
    def depthwise_2d(self) -> bool:
        """Whether the graph has depthwise convolutions over images, or what becomes one."""
        return any(
            len(op.strides) == 2 and (op.groups > 1 if isinstance(op, Conv) else op.kind is not PoolKind.MAX)
            for op in self.old.ops
            if isinstance(op, Conv | Pool)
        )

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def count(self, name: str) -> int:
        return prod(self.shape(name))

    def type(self, name: str) -> FixedType:
        return self.tensors[name].type

    def asked(self, op: Op) -> Tensor:
        """What the old graph says of the op's output."""
        return self.old.tensors[op.output]

    def emit(self, op: Op, shape: Shape, type_: FixedType, **changed: Ints) -> str:
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
        if fits(self.type(source), target, op.overflow):
            op = replace(op, rounding=Rounding.TRN, overflow=Overflow.WRAP)
            if self.type(source) == target:
                return source
        if isinstance(before, Reshape):
            inner = replace(op, inputs=before.inputs, output=op.output + ".flat")
            return self.reshape(op, self.cast(inner, target), self.shape(source))
        return self.emit(replace(op, inputs=(source,)), self.shape(source), target)

    def _lossless(self, op: Cast) -> bool:
        return fits(self.type(op.inputs[0]), self.type(op.output), op.overflow)

    def reshape(self, like: Op, source: str, shape: Shape) -> str:
        while isinstance(before := self.ops.get(source), Reshape):
            source = before.inputs[0]
        if self.shape(source) == shape:
            return source
        if isinstance(before, IndexMap):
            return self.index_map(like, source, places(shape))
        suffix = "" if isinstance(like, (Reshape, Transpose)) else ".reshape"
        op = Reshape(like.name + suffix, (source,), like.output, like.node)
        return self.emit(op, shape, self.type(source))

    def index_map(self, like: Op, source: str, indices: Ints, value: int = 0) -> str:
        """`indices` into the source's elements, as of IndexMap; one op with what only moved elements before it."""
        shape = indices.shape
        while True:
            before = self.ops.get(source)
            if isinstance(before, Transpose):
                inner = places(self.shape(before.inputs[0])).transpose(before.perm)
            elif isinstance(before, IndexMap):
                inner = self.constants[before.indices]
                if value != before.value and (indices < 0).any() and (inner < 0).any():
                    break
                value = value if (indices < 0).any() else before.value
            elif isinstance(before, Reshape):
                inner = places(self.shape(before.inputs[0]))
            else:
                break
            indices = np.where(indices < 0, -1, inner.ravel()[indices])
            source = before.inputs[0]
        if indices.size == self.count(source) and (indices == places(shape)).all():
            return self.reshape(like, source, shape)
        if isinstance(before, IndexMap):  # of another value around; a shape between the two would be any
            flat = replace(before, name=f"{like.name}.before", output=f"{like.output}.before")
            source = self.emit(flat, (self.count(source),), self.type(source), indices=inner.ravel())
        op = IndexMap(like.name, (source,), like.output, like.node, "", value if (indices < 0).any() else 0)
        return self.emit(op, shape, self.type(source), indices=indices)

    def narrow(self, op: Op, shape: Shape, exact: FixedType, asked: FixedType) -> str:
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


def fits(source: FixedType, target: FixedType, overflow: Overflow) -> bool:
    """Whether every value of one type is a value of the other."""
    shift = target.fraction - source.fraction
    low = target.low + int(target.signed and overflow is Overflow.SAT_SYM)
    return shift >= 0 and source.low << shift >= low and source.high << shift <= target.high
