"""The ONNX graph under construction: real-valued float32 tensors, in the layout that accelerators want.

Every tensor of the integer graph is carried as its value, integer × 2^-fraction, which float32 holds exactly while the
integer stays within 2^24. Around convolutions and poolings tensors lie channels-first; elsewhere as in the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fpgaflow.ir.graph import Graph, Output
from fpgaflow.ir.ops import Op
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.refused import Refused

INT8_LOW, INT8_HIGH = -128, 127
EXACT = 1 << 24  # float32 holds every integer up to here


@dataclass
class Emitter:
    """Nodes so far.

    Attributes:
        dense_as_conv: dense layers over vectors become convolutions over one place.
        first: tensors that lie channels-first.
        quantised: tensors whose values come out of a DequantizeLinear, moved at most, and its scale. Only that scale
            may quantise them again: ONNX Runtime makes one quantiser of two, which otherwise rounds otherwise.
        direct: those of them that are a DequantizeLinear's own output.
        int8: ops that multiply int8 operands, and whether some int8 kernels may saturate on them.
    """

    graph: Graph
    dense_as_conv: bool = False
    nodes: list[NodeProto] = field(default_factory=list)
    initialisers: list[TensorProto] = field(default_factory=list)
    first: set[str] = field(default_factory=set)
    quantised: dict[str, Fraction] = field(default_factory=dict)
    direct: set[str] = field(default_factory=set)
    int8: dict[str, bool] = field(default_factory=dict)
    _moved: dict[tuple[str, bool], str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def fresh(self, wish: str) -> str:
        name, count = wish, 1
        while name in self._names or name in self.graph.tensors:
            count += 1
            name = f"{wish}.{count}"
        self._names.add(name)
        return name

    def reserve(self, names: Iterable[str]) -> None:
        """Names of the model's inputs and outputs, which nothing else may bear."""
        self._names.update(names)

    def node(self, kind: str, inputs: Iterable[str], output: str, **attributes: object) -> str:
        """A node that is named after its output."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{output}:{kind}", **attributes))
        return output

    def step(self, kind: str, inputs: Iterable[str], near: str, **attributes: object) -> str:
        """A node whose output only the next node reads."""
        return self.node(kind, inputs, self.fresh(f"{near}.{kind.lower()}"), **attributes)

    def constant(self, array: np.ndarray, wish: str) -> str:
        name = self.fresh(wish)
        self.initialisers.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def number(self, value: float | Fraction, wish: str) -> str:
        """A float32 scalar.

        Raises:
            Refused: float32 does not hold the value.
        """
        single = np.float32(float(value))
        if Fraction(float(single)) != value:
            raise Refused(f"{wish} = {float(value)} is no float32", "Use fewer bits, or power-of-two scales")
        return self.constant(np.array(single), wish)

    def nearest(self, value: Fraction, wish: str) -> str:
        """A float32 scalar next to the value."""
        return self.constant(np.array(np.float32(float(value))), wish)

    def entries(self, values: Sequence[Fraction], port: Output) -> str:
        """Float32 entries next to the values, one for all or one along the axis of an output in the graph's layout."""
        array = np.array([float(v) for v in values], dtype=np.float32)
        if len(array) == 1:
            return self.constant(array[0], f"{port.name}.entries")
        shape = [1] * (self.rank(port.tensor) + 1)
        shape[port.axis + 1] = -1
        return self.constant(array.reshape(shape), f"{port.name}.entries")

    def scaled(self, x: str, factor: Fraction, near: str) -> str:
        """x times a power of two."""
        return x if factor == 1 else self.step("Mul", [x, self.number(factor, f"{near}.factor")], near)

    def rank(self, tensor: str) -> int:
        return len(self.graph.tensors[tensor].shape)

    def lying(self, tensor: str, first: bool) -> str:
        """The tensor in the layout asked for, moved once where it lies otherwise."""
        if (tensor in self.first) == first or self.rank(tensor) == 1:
            return tensor
        if (tensor, first) not in self._moved:
            self._moved[tensor, first] = self._move(tensor, first)
        return self._moved[tensor, first]

    def _move(self, tensor: str, first: bool) -> str:
        shape = self.graph.tensors[tensor].shape
        if shape[-1] == 1:  # one channel lies alike in both layouts
            target = (1, *shape[:-1]) if first else shape
            return self.step("Reshape", [tensor, self.shape(target, tensor)], tensor)
        rank = len(shape)
        perm = (0, rank, *range(1, rank)) if first else (0, *range(2, rank + 1), 1)
        return self.step("Transpose", [tensor], tensor, perm=perm)

    def shape(self, target: Sequence[int], near: str) -> str:
        """The target of a Reshape, the batch being whatever it is."""
        return self.constant(np.array([-1, *target], dtype=np.int64), f"{near}.shape")

    def alike(self, op: Op) -> list[str]:
        """The op's inputs in the layout of its first one, which its output takes."""
        first = op.inputs[0] in self.first
        if first:
            self.first.add(op.output)
        return [self.lying(name, first) for name in op.inputs]

    def carry(self, op: Op) -> None:
        """Marks the output of an op that only moves or picks values as quantised, if its inputs are alike."""
        scales = {self.quantised.get(name) for name in op.inputs}
        if len(scales) == 1 and (scale := scales.pop()) is not None:
            self.quantised[op.output] = scale

    def axis(self, op: Op, axis: int) -> int:
        """Where an axis of the op's output, the batch not counted, stands in ONNX."""
        rank = self.rank(op.output)
        if op.output not in self.first or rank == 1:
            return axis + 1
        return 1 if axis == rank - 1 else axis + 2

    def along(self, op: Op, array: np.ndarray, axis: int) -> np.ndarray:
        """Entries along one axis of the op's output, shaped to broadcast against it in ONNX."""
        shape = [1] * (self.rank(op.output) + 1)
        shape[self.axis(op, axis)] = -1
        return array.reshape(shape)

    def broadcast(self, op: Op, array: np.ndarray) -> np.ndarray:
        """A constant that broadcasts against the op's output, shaped to do so in ONNX."""
        rank = self.rank(op.output)
        full = array.reshape((1,) * (1 + rank - array.ndim) + array.shape)
        return full.transpose(0, rank, *range(1, rank)) if op.output in self.first else full

    def quantise(self, x: str, scale: Fraction, near: str) -> str:
        """x on the int8 grid of `scale`: QuantizeLinear, which rounds half to even and saturates, and back."""
        return self.step("DequantizeLinear", self._quantised(x, scale, near), near)

    def quantise_as(self, x: str, scale: Fraction, output: str) -> None:
        """Likewise, as the tensor `output` of the graph."""
        self.node("DequantizeLinear", self._quantised(x, scale, output), output)
        self.quantised[output] = scale
        self.direct.add(output)

    def _quantised(self, x: str, scale: Fraction, near: str) -> list[str]:
        names = [self.number(scale, f"{near}.scale"), self.constant(np.array(0, dtype=np.int8), f"{near}.zero")]
        return [self.step("QuantizeLinear", [x, *names], near), *names]


def unit(type_: FixedType) -> Fraction:
    """Value of one unit in the last place."""
    return Fraction(2) ** -type_.fraction


def real(array: np.ndarray, type_: FixedType, what: str) -> np.ndarray:
    """Integers of a type as float32 values.

    Raises:
        Refused: they go beyond what float32 holds.
    """
    if array.size and max(-int(array.min()), int(array.max())) > EXACT:
        raise Refused(f"{what} beyond 2^24, which float32 does not hold", "Use fewer bits")
    return (array.astype(np.float64) * 2.0**-type_.fraction).astype(np.float32)


def in_int8(low: int, high: int) -> bool:
    return low >= INT8_LOW and high <= INT8_HIGH
