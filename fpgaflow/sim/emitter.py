"""An ONNX graph under construction, in which a graph's tensors lie in one of three forms, and move where needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op


class Form(Enum):
    LAST = auto()  # float32 integers, laid out as in the graph: channels last
    FIRST = auto()  # float32 integers, channels first, as float convolutions and poolings want them
    BYTES = auto()  # uint8, integer - the type's lowest, laid out as in the graph


@dataclass
class Emitter:
    graph: Graph
    nodes: list[object] = field(default_factory=list)
    initialisers: list[TensorProto] = field(default_factory=list)
    feeds: dict[str, np.ndarray] = field(default_factory=dict)
    exponents: dict[str, int] = field(default_factory=dict)  # of floats: carried = integer × 2^-exponent
    forms: dict[str, Form] = field(default_factory=dict)  # in which tensors are made; LAST where nothing is said
    moved: dict[tuple[str, Form], str] = field(default_factory=dict)  # a tensor's copies in other forms
    wanted: frozenset[str] = frozenset()  # tensors that are read from outside
    joined: dict[str, int] = field(
        default_factory=dict
    )  # of bytes in blocks, even columns first: half a block's columns
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
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def byte(self, value: int) -> str:
        return self.constant(np.array(value, dtype=np.uint8))

    def reshape(self, x: str, shape: tuple[int, ...], output: str) -> str:
        """x under another shape, given without the batch."""
        return self.node("Reshape", [x, self.constant(np.array([-1, *shape], dtype=np.int64))], output)

    def feed(self, array: np.ndarray) -> str:
        """A value given at each run: no optimiser can fold it into weights, where rounding would not be ours."""
        name = self.fresh("feed")
        self.feeds[name] = np.ascontiguousarray(array, dtype=np.float32)
        return name

    def rank(self, tensor: str) -> int:
        return len(self.graph.tensors[tensor].shape)

    def form(self, tensor: str) -> Form:
        return self.forms.get(tensor, Form.LAST)

    def zero_point(self, tensor: str) -> int:
        """The byte of 0, where the type's range holds 0, as all do."""
        return -self.graph.type_of(tensor).low

    def lying(self, tensor: str, form: Form) -> str:
        """The tensor in the form asked for, moved once where it lies otherwise."""
        if self.form(tensor) is form or (self.rank(tensor) == 1 and Form.BYTES not in (form, self.form(tensor))):
            return tensor
        if (tensor, form) not in self.moved:
            self.moved[tensor, form] = self._move(tensor, form)
        return self.moved[tensor, form]

    def _move(self, tensor: str, form: Form) -> str:
        shape, zero = self.graph.tensors[tensor].shape, self.zero_point(tensor)
        if form is Form.FIRST:
            if shape[-1] == 1:  # with one channel that is a reshape
                return self.reshape(self.lying(tensor, Form.LAST), (1, *shape[:-1]), self.fresh())
            return self.node("Transpose", [self.lying(tensor, Form.LAST)], self.fresh(), perm=to_first(len(shape)))
        if form is Form.BYTES:
            x = self.lying(tensor, Form.LAST)
            raised = self.node("Add", [x, self.scalar(zero)], self.fresh()) if zero else x
            return self.node("Cast", [raised], self.fresh(), to=TensorProto.UINT8)
        if self.form(tensor) is Form.FIRST:
            return self.node("Transpose", [tensor], self.fresh(), perm=to_last(len(shape)))
        return self.widened(tensor, self.fresh())

    def widened(self, tensor: str, output: str) -> str:
        """Bytes as float32 integers."""
        if zero := self.zero_point(tensor):
            floats = self.node("Cast", [tensor], self.fresh(), to=TensorProto.FLOAT)
            return self.node("Add", [floats, self.scalar(-zero)], output)
        return self.node("Cast", [tensor], output, to=TensorProto.FLOAT)

    def alike(self, op: Op) -> list[str]:
        """The op's inputs in the float form of its first one, which its output takes."""
        form = Form.FIRST if self.form(op.inputs[0]) is Form.FIRST else Form.LAST
        self.forms[op.output] = form
        return [self.lying(name, form) for name in op.inputs]


def to_first(rank: int) -> tuple[int, ...]:
    """Axes (batch included) from channels-last to channels-first, for an unbatched rank."""
    return (0, rank, *range(1, rank))


def to_last(rank: int) -> tuple[int, ...]:
    """Axes (batch included) from channels-first to channels-last, for an unbatched rank."""
    return (0, *range(2, rank + 1), 1)
