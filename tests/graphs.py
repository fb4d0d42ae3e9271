"""Random integer graphs of every op, and integers that use the whole range of their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np
from hypothesis import strategies as st

from fpgaflow.ir.bounds import accumulator, pool_sum_type, sum_type
from fpgaflow.ir.graph import Graph, Input, Output, Source, Tensor
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import MAX_CONSTANT_WIDTH, conv_shape, pool_shape, verify
from fpgaflow.sim.fixed_point import SAFE_BITS
from tests.graphs_more import ADDERS

WIDTHS = ((1, 8), (1, 8), (10, 26), (26, 56), (56, 70))  # small; about 2^24; about 2^53; beyond int64


def fixed_types(low: int = 1, high: int = 8, fractions: tuple[int, int] = (-3, 8)) -> st.SearchStrategy[FixedType]:
    return st.builds(FixedType, st.booleans(), st.integers(low, high), st.integers(*fractions))


def full_range(random: np.random.Generator, shape: tuple[int, ...], type_: FixedType) -> np.ndarray:
    """Integers of a type: a third of them its extremes or next to them, zero and ±1 among the others."""
    edges = [
        v for v in (type_.low, type_.low + 1, type_.high - 1, type_.high, 0, 1, -1) if type_.low <= v <= type_.high
    ]
    values = np.empty(shape, dtype=object)
    flat = values.reshape(-1)
    for i in range(flat.size):
        any_ = type_.low + int.from_bytes(random.bytes(-(-type_.width // 8)), "little") % (type_.high - type_.low + 1)
        flat[i] = edges[int(random.integers(len(edges)))] if random.random() < 0.35 else any_
    return values.astype(np.int64) if type_.width <= SAFE_BITS else values


def random_inputs(graph: Graph, seed: int, samples: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    names = [port.tensor for port in graph.inputs]
    return {n: full_range(random, (samples, *graph.tensors[n].shape), graph.type_of(n)) for n in names}


def one_op(
    op: Op, source: FixedType, shape: tuple[int, ...], result: FixedType, out: tuple[int, ...], **constants: object
) -> Graph:
    """A graph of one op from 'x' to 'y', with these constants."""
    tensors = {"x": Tensor("x", shape, source), "y": Tensor("y", out, result)}
    port = Input(
        "x", "x", Fraction(2) ** source.fraction, Fraction(0), Rounding.TRN, Overflow.WRAP, source.low, source.high
    )
    output = Output("y", "y", (Fraction(1),), (Fraction(0),), 0)
    arrays = {name: np.asarray(array, dtype=np.int64) for name, array in constants.items()}
    return verify(Graph("one", (port,), (output,), (op,), tensors, arrays), "the test's own maker")


@st.composite
def graphs(draw: st.DrawFn, *, narrow: bool = False, dead: bool = True, every: bool = False) -> Graph:
    """One to seven ops; accumulators exact, too narrow, unsigned, or with fewer fraction bits than the products.

    Args:
        every: ops of `ops_merge` and `ops_table` as well.
        narrow: keeps to small widths.
        dead: leaves ops and tensors that no output depends on.
    """
    maker = Maker(draw, (1, 8) if narrow else draw(st.sampled_from(WIDTHS)))
    more = ADDERS if every else ()
    for _ in range(draw(st.integers(1, 7))):
        maker.add_op(more)
    return maker.graph(dead)


class Maker:
    """A graph under construction; the adders of `graphs_more` use it too."""

    def __init__(self, draw: st.DrawFn, widths: tuple[int, int]) -> None:
        self.draw, self.widths = draw, widths
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.ops: list[Op] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, np.ndarray] = {}
        rank = draw(st.integers(1, 3))
        shape = tuple(draw(st.integers(1, 5)) for _ in range(rank))
        self.inputs = [self.input(f"x{i}", shape) for i in range(draw(st.integers(1, 2)))]

    def input(self, name: str, shape: tuple[int, ...]) -> Input:
        type_ = self.draw(fixed_types(*self.widths))
        self.tensors[name] = Tensor(name, shape, type_)
        gain = Fraction(2) ** type_.fraction
        return Input(name, name, gain, Fraction(0), Rounding.RND_CONV, Overflow.SAT, type_.low, type_.high)

    def graph(self, dead: bool) -> Graph:
        last = self.ops[-1].output
        chosen = dict.fromkeys([*self.draw(st.lists(st.sampled_from(sorted(self.tensors)), max_size=2)), last])
        if not dead:
            read = {name for op in self.ops for name in op.inputs}
            chosen |= dict.fromkeys(name for name in self.tensors if name not in read)
        scale = {name: (Fraction(2) ** -self.tensors[name].type.fraction,) for name in chosen}
        outputs = tuple(Output(name, f"out.{name}", scale[name], (Fraction(0),), 0) for name in chosen)
        graph = Graph("random", tuple(self.inputs), outputs, tuple(self.ops), self.tensors, self.constants)
        return verify(graph, "the test's own maker")

    def add_op(self, more: Sequence[Callable[[Maker, str], None]]) -> None:
        x = self.draw(st.sampled_from(list(self.tensors)[-3:]))
        if more and self.draw(st.booleans()):
            self.draw(st.sampled_from(more))(self, x)
            return
        kinds = [self.cast, self.relu, self.threshold, self.dense, self.reshape, self.add]
        if 1 < len(self.tensors[x].shape) <= 3:
            kinds += [self.conv, self.pool]
        if len(self.tensors[x].shape) > 1:
            kinds.append(self.transpose)
        self.draw(st.sampled_from(kinds))(x)

    def emit(self, op: Op, shape: tuple[int, ...], type_: FixedType) -> None:
        source = None
        if self.draw(st.booleans()):
            perm = tuple(self.draw(st.permutations(range(len(shape)))))
            source = Source(f"m.{op.output}", perm, (prod(shape),), Fraction(1, self.draw(st.integers(1, 5))))
        self.ops.append(op)
        self.tensors[op.output] = Tensor(op.output, shape, type_, source)

    def common(self, *inputs: str) -> dict[str, object]:
        name = f"op{len(self.ops)}"
        return {"name": name, "inputs": inputs, "output": f"t{len(self.ops)}", "node": f"n{len(self.ops) // 2}"}

    def cast(self, x: str) -> None:
        rounding, overflow = self.draw(st.sampled_from(Rounding)), self.draw(st.sampled_from(Overflow))
        type_ = self.draw(st.one_of(fixed_types(), fixed_types(*self.widths), st.just(self.tensors[x].type)))
        self.emit(Cast(**self.common(x), rounding=rounding, overflow=overflow), self.tensors[x].shape, type_)

    def relu(self, x: str) -> None:
        type_ = self.tensors[x].type
        self.emit(Relu(**self.common(x)), self.tensors[x].shape, type_for(0, type_.high, type_.fraction))

    def add(self, x: str) -> None:
        shape = self.tensors[x].shape
        alike = [name for name, tensor in self.tensors.items() if tensor.shape == shape]
        other = self.draw(st.sampled_from(alike))
        self.emit(Add(**self.common(x, other)), shape, sum_type(self.tensors[x].type, self.tensors[other].type))

    def threshold(self, x: str) -> None:
        shape, type_ = self.tensors[x].shape, self.tensors[x].type
        if type_.width >= MAX_CONSTANT_WIDTH:
            return self.cast(x)
        axis, levels = self.draw(st.integers(0, len(shape) - 1)), self.draw(st.integers(0, 20))
        rows = self.draw(st.sampled_from([1, shape[axis]]))
        beyond = FixedType(True, min(type_.width + 2, MAX_CONSTANT_WIDTH), 0)
        table = np.sort(full_range(self.random, (rows, levels), self.draw(st.sampled_from([type_, beyond]))), axis=1)
        if self.draw(st.booleans()):  # on a line, as quantisers make them
            table = np.cumsum(np.full((rows, levels), self.draw(st.integers(1, 5))), axis=1)
            table = np.clip(table - int(table.mean()) if levels else table, beyond.low, beyond.high)
        common = self.common(x)
        self.constants[f"{common['name']}.t"] = table.astype(np.int64)
        signs = None
        if self.draw(st.booleans()):
            signs = f"{common['name']}.s"
            self.constants[signs] = self.random.choice(np.array([-1, 1]), shape[axis])
        step, offset = self.draw(st.sampled_from([1, 1, 2, -1])), self.draw(st.integers(-9, 9))
        ends = sorted((offset, offset + step * levels))
        result = type_for(*ends, self.draw(st.integers(-2, 4)))
        self.emit(
            Threshold(**common, thresholds=f"{common['name']}.t", signs=signs, step=step, offset=offset, axis=axis),
            shape,
            result,
        )
        return None

    def linear(self, x: str, shape: tuple[int, ...]) -> dict[str, object]:
        """The fields of a dense or conv with weights of this shape, its accumulator among them."""
        common, source = self.common(x), self.tensors[x].type
        weight_type = self.draw(st.one_of(fixed_types(1, 6), fixed_types(1, min(self.widths[1], MAX_CONSTANT_WIDTH))))
        weights = full_range(self.random, shape, weight_type).astype(np.int64)
        self.constants[f"{common['name']}.w"] = weights
        bias = bias_type = None
        if self.draw(st.booleans()):
            bias_type = self.draw(fixed_types(1, min(self.widths[1], MAX_CONSTANT_WIDTH), (-3, 18)))
            bias = self.constants[f"{common['name']}.b"] = full_range(self.random, shape[-1:], bias_type).astype(
                np.int64
            )
        accum = accumulator(weights, weight_type, bias, bias_type, source)
        kind = self.draw(st.sampled_from(["exact", "exact", "wider", "narrower", "coarser", "any"]))
        if kind == "wider":
            accum = replace(accum, width=accum.width + 3, fraction=accum.fraction + self.draw(st.integers(0, 2)))
        elif kind == "narrower":
            accum = replace(
                accum, width=max(1, accum.width - self.draw(st.integers(1, 4))), signed=self.draw(st.booleans())
            )
        elif kind == "coarser":
            cut = self.draw(st.integers(1, 6))
            accum = FixedType(
                accum.signed, max(1, accum.width - self.draw(st.sampled_from([0, cut, cut + 2]))), accum.fraction - cut
            )
        elif kind == "any":
            accum = self.draw(fixed_types(*self.widths))
        return {
            **common,
            "weights": f"{common['name']}.w",
            "weight_type": weight_type,
            "bias": None if bias is None else f"{common['name']}.b",
            "bias_type": bias_type,
            "accum": accum,
        }

    def dense(self, x: str) -> None:
        shape, filters = self.tensors[x].shape, self.draw(st.integers(1, 4))
        op = Dense(**self.linear(x, (shape[-1], filters)))
        self.emit(op, (*shape[:-1], filters), op.accum)

    def conv(self, x: str) -> None:
        shape, rank = self.tensors[x].shape, len(self.tensors[x].shape) - 1
        padding = tuple((self.draw(st.integers(0, 2)), self.draw(st.integers(0, 2))) for _ in range(rank))
        kernel, dilations = [], []
        for size, pads in zip(shape, padding, strict=False):
            kernel.append(self.draw(st.integers(1, min(3, size + sum(pads)))))
            room = (size + sum(pads) - 1) // max(1, kernel[-1] - 1)
            dilations.append(self.draw(st.integers(1, max(1, min(2, room)))))
        groups = self.draw(st.sampled_from([g for g in range(1, shape[-1] + 1) if shape[-1] % g == 0]))
        filters = groups * self.draw(st.integers(1, 2))
        places = {
            "strides": tuple(self.draw(st.integers(1, 2)) for _ in range(rank)),
            "dilations": tuple(dilations),
            "padding": padding,
            "groups": groups,
        }
        op = Conv(**self.linear(x, (*kernel, shape[-1] // groups, filters)), **places)
        self.emit(op, conv_shape(shape, tuple(kernel), filters, op), op.accum)

    def pool(self, x: str) -> None:
        shape, type_, rank = self.tensors[x].shape, self.tensors[x].type, len(self.tensors[x].shape) - 1
        kind = self.draw(st.sampled_from(PoolKind))
        pads = (0, 0) if kind is PoolKind.MAX else (0, 3)
        padding = tuple((self.draw(st.integers(*pads)), self.draw(st.integers(*pads))) for _ in range(rank))
        sizes = [self.draw(st.integers(1, min(3, n + sum(p)))) for n, p in zip(shape, padding, strict=False)]
        if kind is PoolKind.AVERAGE:
            sizes = [2 if n > 1 else 1 for n in sizes]
        strides = tuple(self.draw(st.integers(1, 2)) for _ in range(rank))
        op = Pool(**self.common(x), kind=kind, size=tuple(sizes), strides=strides, padding=padding)
        if kind is not PoolKind.MAX:
            extra = prod(sizes).bit_length() - 1 if kind is PoolKind.AVERAGE else 0
            type_ = pool_sum_type(type_, prod(sizes), padded=any(map(any, padding)), extra_fraction=extra)
        self.emit(op, pool_shape(shape, op), type_)

    def reshape(self, x: str) -> None:
        shape, type_ = self.tensors[x].shape, self.tensors[x].type
        count = prod(shape)
        front = self.draw(st.sampled_from([n for n in range(1, count + 1) if count % n == 0]))
        result = self.draw(st.sampled_from([(count,), (front, count // front), (1, front, count // front)]))
        self.emit(Reshape(**self.common(x)), result, type_)

    def transpose(self, x: str) -> None:
        shape = self.tensors[x].shape
        perm = tuple(self.draw(st.permutations(range(len(shape)))))
        self.emit(Transpose(**self.common(x), perm=perm), tuple(shape[i] for i in perm), self.tensors[x].type)
