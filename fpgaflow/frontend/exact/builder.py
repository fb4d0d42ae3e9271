"""The graph under construction: adds ops with fresh names, exact accumulators, and where each tensor came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np

from fpgaflow.frontend.exact.advice import QUANTISE_BEFORE
from fpgaflow.frontend.exact.values import Fractions, Step
from fpgaflow.frontend.refuse import refuse
from fpgaflow.ir.bounds import accumulator, pool_sum_type, sum_type
from fpgaflow.ir.graph import Graph, Input, Output, Source, Tensor
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import MAX_TYPE_BITS, conv_shape, pool_shape

PLACEHOLDER = FixedType(True, 1, 0)  # of an input whose quantiser has not been read yet


class Builder:
    """Mutable while a model is read; `graph()` freezes it. Shapes leave out the batch."""

    def __init__(self) -> None:
        self.ops: dict[str, Op] = {}  # by output tensor
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, Input] = {}  # by tensor, once quantised
        self.raw: dict[str, str] = {}  # tensors that still hold an unquantised input's elements -> that input
        self.pending: dict[tuple[str, Step], str] = {}  # a tensor with one step to go -> the model's name of the result
        self.biased: dict[tuple[str, Fractions], str] = {}  # a sum and an offset -> the same sum with that bias
        self.sticky: dict[tuple[str, Fractions], tuple[int, str]] = {}  # likewise, cut for rounding on a grid of 2^-k
        self._names: set[str] = set()

    def fresh(self, wish: str) -> str:
        """`wish`, or `wish` with a number where it is taken."""
        name, count = wish, 1
        while name in self._names:
            count += 1
            name = f"{wish}_{count}"
        self._names.add(name)
        return name

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def type(self, tensor: str) -> FixedType:
        return self.tensors[tensor].type

    def constant(self, wish: str, array: np.ndarray) -> str:
        name = self.fresh(wish)
        try:
            self.constants[name] = np.ascontiguousarray(array, dtype=np.int64)
        except OverflowError:
            refuse(
                f"node '{wish.rpartition('.')[0]}'",
                "needs constants of more than 64 bits: its input is that wide",
                QUANTISE_BEFORE,
            )
        return name

    def set_source(self, tensor: str, name: str, unit: Fraction) -> None:
        """Marks `tensor` as the model's tensor `name`, in the model's layout, and likewise what it was moved from."""
        shape = self.shape(tensor)
        perm = tuple(range(len(shape)))
        while self.tensors[tensor].source is None:
            self.tensors[tensor] = replace(self.tensors[tensor], source=Source(name, perm, shape, unit))
            op = self.ops.get(tensor)
            if isinstance(op, Transpose):
                perm = tuple(op.perm[axis] for axis in perm)
            elif isinstance(op, Reshape) and perm == tuple(range(len(perm))):
                perm = tuple(range(len(self.shape(op.inputs[0]))))
            else:
                return
            tensor = op.inputs[0]

    def rename(self, tensor: str, wish: str) -> str:
        """Gives another name to a tensor that nothing reads yet."""
        name = self.fresh(wish)
        self.ops[name] = replace(self.ops.pop(tensor), output=name)
        self.tensors[name] = replace(self.tensors.pop(tensor), name=name)
        return name

    def add_input(self, name: str, shape: tuple[int, ...]) -> str:
        tensor = self.fresh(name)
        self.tensors[tensor] = Tensor(tensor, shape, PLACEHOLDER)
        self.raw[tensor] = tensor
        return tensor

    def quantise_input(self, tensor: str, port: Input, type_: FixedType) -> bool:
        """Gives an input its quantiser; False where it already has a different one."""
        root = self.raw[tensor]
        settled = replace(port, tensor=root, name=root)
        if root in self.inputs:
            return self.inputs[root] == settled and self.type(root) == type_
        self.inputs[root] = settled
        for name in [n for n, r in self.raw.items() if r == root]:
            self.tensors[name] = replace(self.tensors[name], type=type_)
        return True

    def emit(self, op: Op, shape: tuple[int, ...], type_: FixedType) -> str:
        if max(type_.width, abs(type_.fraction)) > MAX_TYPE_BITS:
            refuse(
                f"node '{op.node}'",
                f"its exact result has {type_.width} bits, {type_.fraction} of them fraction",
                QUANTISE_BEFORE,
            )
        self.ops[op.output] = op
        self.tensors[op.output] = Tensor(op.output, shape, type_)
        return op.output

    def named(self, node: str, wish: str) -> tuple[str, str]:
        return self.fresh(f"{node}"), self.fresh(wish)

    def cast(self, x: str, type_: FixedType, rounding: Rounding, overflow: Overflow, node: str, wish: str) -> str:
        name, output = self.named(node, wish)
        return self.emit(Cast(name, (x,), output, node, rounding, overflow), self.shape(x), type_)

    def relu(self, x: str, node: str, wish: str) -> str:
        source = self.type(x)
        name, output = self.named(node, wish)
        return self.emit(Relu(name, (x,), output, node), self.shape(x), type_for(0, source.high, source.fraction))

    def threshold(
        self,
        x: str,
        levels: np.ndarray,
        signs: np.ndarray | None,
        step: int,
        offset: int,
        axis: int,
        type_: FixedType,
        node: str,
        wish: str,
    ) -> str:
        thresholds = self.constant(f"{node}.thresholds", levels)
        signs_name = None if signs is None else self.constant(f"{node}.signs", signs)
        name, output = self.named(node, wish)
        op = Threshold(name, (x,), output, node, thresholds, signs_name, step, offset, axis)
        return self.emit(op, self.shape(x), type_)

    def dense(
        self,
        x: str,
        weights: np.ndarray,
        weight_type: FixedType,
        bias: np.ndarray | None,
        bias_type: FixedType | None,
        node: str,
        wish: str,
    ) -> str:
        accum = accumulator(weights, weight_type, bias, bias_type, self.type(x))
        names = self.constant(f"{node}.weights", weights), self._bias(node, bias)
        name, output = self.named(node, wish)
        op = Dense(name, (x,), output, node, names[0], weight_type, names[1], bias_type, accum)
        return self.emit(op, (*self.shape(x)[:-1], weights.shape[-1]), accum)

    def conv(
        self,
        x: str,
        weights: np.ndarray,
        weight_type: FixedType,
        strides: tuple[int, ...],
        dilations: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        groups: int,
        node: str,
        wish: str,
    ) -> str:
        accum = accumulator(weights, weight_type, None, None, self.type(x))
        constant = self.constant(f"{node}.weights", weights)
        name, output = self.named(node, wish)
        op = Conv(
            name, (x,), output, node, constant, weight_type, None, None, accum, strides, dilations, padding, groups
        )
        return self.emit(op, conv_shape(self.shape(x), weights.shape[:-2], weights.shape[-1], op), accum)

    def with_bias(self, x: str, bias: np.ndarray, bias_type: FixedType, wish: str) -> str:
        """The dense or conv that made `x` again, with a bias; the one without goes if nothing else reads it."""
        op = self.ops[x]
        assert isinstance(op, Dense | Conv) and op.bias is None
        weights = self.constants[op.weights]
        accum = accumulator(weights, op.weight_type, bias, bias_type, self.type(op.inputs[0]))
        name, output = self.named(op.node, wish)
        biased = replace(op, name=name, output=output, bias=self._bias(op.node, bias), bias_type=bias_type, accum=accum)
        return self.emit(biased, self.shape(x), accum)

    def _bias(self, node: str, bias: np.ndarray | None) -> str | None:
        return None if bias is None else self.constant(f"{node}.bias", bias)

    def pool(
        self,
        x: str,
        kind: PoolKind,
        size: tuple[int, ...],
        strides: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        node: str,
        wish: str,
    ) -> str:
        name, output = self.named(node, wish)
        op = Pool(name, (x,), output, node, kind, size, strides, padding)
        source, window = self.type(x), prod(size)
        if kind is not PoolKind.MAX:
            extra = window.bit_length() - 1 if kind is PoolKind.AVERAGE else 0
            source = pool_sum_type(source, window, padded=any(map(any, padding)), extra_fraction=extra)
        return self.emit(op, pool_shape(self.shape(x), op), source)

    def add(self, left: str, right: str, node: str, wish: str) -> str:
        name, output = self.named(node, wish)
        type_ = sum_type(self.type(left), self.type(right))
        return self.emit(Add(name, (left, right), output, node), self.shape(left), type_)

    def reshape(self, x: str, shape: tuple[int, ...], node: str, wish: str) -> str:
        if shape == self.shape(x):
            return x
        name, output = self.named(node, wish)
        return self._moved(x, self.emit(Reshape(name, (x,), output, node), shape, self.type(x)))

    def transpose(self, x: str, perm: tuple[int, ...], node: str, wish: str) -> str:
        if perm == tuple(range(len(perm))):
            return x
        name, output = self.named(node, wish)
        shape = tuple(self.shape(x)[i] for i in perm)
        return self._moved(x, self.emit(Transpose(name, (x,), output, node, perm), shape, self.type(x)))

    def _moved(self, x: str, output: str) -> str:
        if x in self.raw:
            self.raw[output] = self.raw[x]
        return output

    def graph(self, name: str, outputs: Iterable[Output]) -> Graph:
        inputs = tuple(self.inputs[tensor] for tensor in self.raw if tensor in self.inputs)
        return Graph(name, inputs, tuple(outputs), tuple(self.ops.values()), self.tensors, self.constants)
