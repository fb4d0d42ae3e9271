"""Graphs for the tests, built op by op with exact types and full-range random constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

import numpy as np

from fpgaflow.ir.bounds import accumulator, pool_sum_type, sum_type
from fpgaflow.ir.graph import Graph, Input, Ints, Output, Tensor
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import conv_shape, pool_shape, verify

W4, B8, U4, S6 = FixedType(True, 4, 3), FixedType(True, 8, 6), FixedType(False, 4, 2), FixedType(True, 6, 3)


def integers(rng: np.random.Generator, shape: tuple[int, ...], type_: FixedType) -> Ints:
    """Random integers of a type, its extremes among them."""
    values = rng.integers(type_.low, type_.high, size=shape, endpoint=True)
    flat = values.reshape(-1)
    flat[rng.integers(0, flat.size, size=max(1, flat.size // 8))] = type_.low
    flat[rng.integers(0, flat.size, size=max(1, flat.size // 8))] = type_.high
    return values


@dataclass
class Net:
    """Each method adds one op and returns the name of its output."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    ops: list[Op] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Ints] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def shape(self, x: str) -> tuple[int, ...]:
        return self.tensors[x].shape

    def type(self, x: str) -> FixedType:
        return self.tensors[x].type

    def _tensor(self, name: str, shape: tuple[int, ...], type_: FixedType) -> str:
        self.tensors[name] = Tensor(name, shape, type_)
        return name

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.ops)}"

    def input(self, shape: tuple[int, ...], type_: FixedType) -> str:
        name = f"x{len(self.inputs)}"
        gain = Fraction(2) ** type_.fraction
        port = Input(name, name, gain, Fraction(0), Rounding.TRN, Overflow.WRAP, type_.low, type_.high)
        self.inputs.append(port)
        return self._tensor(name, shape, type_)

    def output(self, x: str) -> None:
        scale = Fraction(2) ** -self.type(x).fraction
        self.outputs.append(Output(x, f"y{len(self.outputs)}", (scale,), (Fraction(0),), 0))

    def graph(self) -> Graph:
        parts = tuple(self.inputs), tuple(self.outputs), tuple(self.ops)
        return verify(Graph("net", *parts, self.tensors, self.constants), "the test")

    def random_input(self, samples: int) -> list[Ints]:
        return [integers(self.rng, (samples, *self.shape(p.tensor)), self.type(p.tensor)) for p in self.inputs]

    def _linear(
        self, name: str, x: str, weights: tuple[int, ...], wt: FixedType, bt: FixedType | None, accum: FixedType | None
    ):
        self.constants[f"{name}.w"] = integers(self.rng, weights, wt)
        if bt is not None:
            self.constants[f"{name}.b"] = integers(self.rng, weights[-1:], bt)
        bias = f"{name}.b" if bt is not None else None
        exact = accumulator(self.constants[f"{name}.w"], wt, self.constants.get(f"{name}.b"), bt, self.type(x))
        return name, (x,), name, name, f"{name}.w", wt, bias, bt, accum or exact

    def dense(
        self, x: str, n: int, wt: FixedType = W4, bt: FixedType | None = B8, accum: FixedType | None = None
    ) -> str:
        name = self._name("dense")
        op = Dense(*self._linear(name, x, (self.shape(x)[-1], n), wt, bt, accum))
        self.ops.append(op)
        return self._tensor(name, (*self.shape(x)[:-1], n), op.accum)

    def conv(
        self,
        x: str,
        filters: int,
        kernel: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        padding: tuple[tuple[int, int], ...] | None = None,
        dilations: tuple[int, ...] | None = None,
        groups: int = 1,
        wt: FixedType = W4,
        bt: FixedType | None = B8,
    ) -> str:
        name, ones = self._name("conv"), (1,) * len(kernel)
        linear = self._linear(name, x, (*kernel, self.shape(x)[-1] // groups, filters), wt, bt, None)
        zeros = ((0, 0),) * len(kernel)
        op = Conv(*linear, strides or ones, dilations or ones, padding or zeros, groups)
        self.ops.append(op)
        return self._tensor(name, conv_shape(self.shape(x), kernel, filters, op), op.accum)

    def pool(self, x: str, kind: PoolKind, size, strides=None, padding=None) -> str:
        name = self._name("pool")
        op = Pool(name, (x,), name, name, kind, size, strides or size, padding or ((0, 0),) * len(size))
        self.ops.append(op)
        type_ = self.type(x)
        if kind is not PoolKind.MAX:
            extra = prod(size).bit_length() - 1 if kind is PoolKind.AVERAGE else 0
            type_ = pool_sum_type(type_, prod(size), padded=padding is not None, extra_fraction=extra)
        return self._tensor(name, pool_shape(self.shape(x), op), type_)

    def add(self, a: str, b: str) -> str:
        name = self._name("add")
        self.ops.append(Add(name, (a, b), name, name))
        return self._tensor(name, self.shape(a), sum_type(self.type(a), self.type(b)))

    def relu(self, x: str) -> str:
        name = self._name("relu")
        self.ops.append(Relu(name, (x,), name, name))
        return self._tensor(name, self.shape(x), self.type(x))

    def cast(
        self, x: str, type_: FixedType, rounding: Rounding = Rounding.RND_CONV, overflow: Overflow = Overflow.SAT
    ) -> str:
        name = self._name("cast")
        self.ops.append(Cast(name, (x,), name, name, rounding, overflow))
        return self._tensor(name, self.shape(x), type_)

    def threshold(
        self,
        x: str,
        thresholds: Ints,
        type_: FixedType,
        axis: int = -1,
        signs: Ints | None = None,
        step: int = 1,
        offset: int = 0,
    ) -> str:
        name = self._name("threshold")
        self.constants[f"{name}.t"] = thresholds
        if signs is not None:
            self.constants[f"{name}.s"] = signs
        axis %= len(self.shape(x))
        named = f"{name}.t", f"{name}.s" if signs is not None else None
        self.ops.append(Threshold(name, (x,), name, name, *named, step, offset, axis))
        return self._tensor(name, self.shape(x), type_)

    def reshape(self, x: str, shape: tuple[int, ...]) -> str:
        name = self._name("reshape")
        self.ops.append(Reshape(name, (x,), name, name))
        return self._tensor(name, shape, self.type(x))

    def op(
        self,
        op: type[Op],
        inputs: Sequence[str],
        shape: tuple[int, ...],
        type_: FixedType,
        constants: Mapping[str, Ints] | None = None,
        **fields: object,
    ) -> str:
        """An op of any kind; `constants` are those of its fields that name one."""
        name = self._name(op.__name__.lower())
        for key, array in (constants or {}).items():
            self.constants[f"{name}.{key}"] = np.asarray(array, dtype=np.int64)
            fields[key] = f"{name}.{key}"
        self.ops.append(op(name, tuple(inputs), name, name, **fields))
        return self._tensor(name, shape, type_)

    def transpose(self, x: str, perm: tuple[int, ...]) -> str:
        name = self._name("transpose")
        self.ops.append(Transpose(name, (x,), name, name, perm))
        return self._tensor(name, tuple(self.shape(x)[a] for a in perm), self.type(x))


def lenet(kind: PoolKind) -> Net:
    """A LeNet of 4-bit weights and unsigned activations: conv, pool, conv, pool, dense, dense, dense."""
    net = Net()
    x = net.input((8, 8, 1), FixedType(False, 4, 4))
    for filters in (4, 6):
        x = net.conv(x, filters, (3, 3), padding=((1, 1), (1, 1)))
        x = net.pool(net.cast(net.relu(x), U4), kind, (2, 2))
    x = net.reshape(x, (24,))
    for width in (20, 12):
        x = net.cast(net.relu(net.dense(x, width)), U4)
    net.output(net.dense(x, 10))
    return net
