"""What the ops of `fpgaflow.ir.ops_recurrent` compute: part of the specification, in the manner of
`fpgaflow.sim.kernels`. The sources of the arithmetic are hls4ml's nnet_recurrent.h and nnet_activation.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from fpgaflow.ir.bounds import rounded_bounds
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_recurrent import Cell, CellActivation, Recurrent
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.sim.fixed_point import SAFE_BITS, cast, fit, round_shift
from fpgaflow.sim.overflow import Caster

Array = np.ndarray

_INT = FixedType(True, 32, 0)  # C++'s int, in which hls4ml computes where to look into a table
_MAX_WHOLE_WIDTH = 16  # of integers that a table may have an entry for each


@dataclass(frozen=True)
class Fixed:
    """Integers and their type. Sums, differences and products are exact: their types hold all of them."""

    integers: Array
    type: FixedType

    def __add__(self, other: Fixed) -> Fixed:
        a, b, type_ = _aligned(self, other)
        return Fixed(a + b, type_)

    def __sub__(self, other: Fixed) -> Fixed:
        a, b, type_ = _aligned(self, other)
        return Fixed(a - b, type_)

    def __mul__(self, other: Fixed) -> Fixed:
        type_ = product_type(self.type, other.type)
        return Fixed(_held(self.integers, type_.width) * _held(other.integers, type_.width), type_)

    def __getitem__(self, key: slice) -> Fixed:
        """Entries of the last axis."""
        return Fixed(self.integers[..., key], self.type)

    def cast(self, target: FixedType, rounding: Rounding, overflow: Overflow, by: Caster = cast) -> Fixed:
        return Fixed(by(self.integers, self.type, target, rounding, overflow), target)


def _held(x: Array, bits: int) -> Array:
    """x as int64 where `bits` allow it, else as Python integers."""
    return x.astype(np.int64 if bits <= SAFE_BITS else object, copy=False)


def _aligned(a: Fixed, b: Fixed) -> tuple[Array, Array, FixedType]:
    """Two terms at the finer fraction of the two, and a type that holds their sum and their difference."""
    type_ = sum_type(a.type, b.type)
    x, y = (_held(v.integers, type_.width) << (type_.fraction - v.type.fraction) for v in (a, b))
    return x, y, type_


def sum_type(a: FixedType, b: FixedType) -> FixedType:
    fraction = max(a.fraction, b.fraction)
    return FixedType(True, max(a.integer_bits, b.integer_bits) + fraction + 2, fraction)


def product_type(a: FixedType, b: FixedType) -> FixedType:
    return FixedType(a.signed or b.signed, a.width + b.width, a.fraction + b.fraction)


_ONE = Fixed(np.ones((), dtype=np.int64), FixedType(True, 2, 0))


class _Activation:
    """relu, or a table; results are in the accumulator's type."""

    def __init__(self, op: Recurrent, graph: Graph, kind: CellActivation, name: str | None) -> None:
        self.kind, self.accum = kind, (op.accum, op.accum_rounding, op.accum_overflow)
        self.by: Caster = cast
        self.type = op.accum
        if name is not None:
            self.table = Fixed(graph.constants[name], op.table_type).cast(*self.accum).integers
            self.type = type_for(int(self.table.min()), int(self.table.max()), op.accum.fraction)

    def of(self, x: Fixed) -> Fixed:
        if self.kind is CellActivation.RELU:
            return Fixed(np.maximum(x.integers, 0), x.type).cast(*self.accum, self.by)
        return Fixed(self.table[table_index(x, len(self.table), self.kind.reach)], self.type)


def table_index(x: Fixed, size: int, reach: int) -> Array:
    """Where hls4ml looks x up in a table over [-reach, reach) (nnet_activation.h: data_round, index).

    x × size / (2 × reach) truncated toward zero, plus half the size, in C++'s int; clamped to the table.
    """
    if x.type.width <= _MAX_WHOLE_WIDTH and x.integers.size > 1 << x.type.width:  # as quick as it can be
        every = Fixed(np.arange(x.type.low, x.type.high + 1), x.type)
        return table_index(every, size, reach).take(x.integers - x.type.low)
    steps = 2 * reach  # a power of two
    scaled = FixedType(True, x.type.width + size.bit_length() + 1, x.type.fraction + steps.bit_length() - 1)
    rounded = cast(_held(x.integers, scaled.width) * size, scaled, _INT, Rounding.TRN_ZERO, Overflow.WRAP)
    return np.clip(fit(rounded + size // 2, _INT, Overflow.WRAP), 0, size - 1)


class _Cell:
    """One cell's arithmetic, step by step."""

    def __init__(self, op: Recurrent, graph: Graph, by: Caster = cast) -> None:
        self.op, self.state = op, graph.type_of(op.output)
        self._by: Caster = cast
        self.weights = graph.constants[op.weights]
        self.units = len(self.weights)
        self.bias = self.accum(Fixed(graph.constants[op.bias], op.bias_type))
        self.gate = _Activation(op, graph, op.gate, op.gate_table)
        self.candidate = _Activation(op, graph, op.candidate, op.candidate_table)
        self._by = self.gate.by = self.candidate.by = by  # from here on: constants are no samples

    def accum(self, x: Fixed) -> Fixed:
        return x.cast(self.op.accum, self.op.accum_rounding, self.op.accum_overflow, self._by)

    def new_state(self, x: Fixed) -> Fixed:
        return x.cast(self.state, self.op.rounding, self.op.overflow, self._by)

    def lstm(self, part: Fixed, h: Fixed, s: Fixed) -> tuple[Fixed, ...]:
        """The next h and s (nnet_recurrent.h, lstm_static)."""
        n = self.units
        sums = self.accum(part + self.recurrent(h))
        gates, c = self.gate.of(sums[: 3 * n]), self.candidate.of(sums[3 * n :])
        i, f, o = gates[:n], gates[n : 2 * n], gates[2 * n :]
        s = self.new_state(c * i + s * f)
        return self.new_state(o * self.candidate.of(s)), s

    def gru(self, part: Fixed, h: Fixed) -> tuple[Fixed, ...]:
        """The next h (nnet_recurrent.h, gru_static)."""
        n, recurrent = self.units, self.recurrent(h)
        gates = self.gate.of(self.accum(part[: 2 * n] + recurrent[: 2 * n]))
        z, r = gates[:n], gates[n:]
        c = self.candidate.of(self.accum(part[2 * n :] + self.accum(r * recurrent[2 * n :])))
        return (self.new_state(c * (_ONE - z) + h * z),)

    def recurrent(self, h: Fixed) -> Fixed:
        """Recurrent weights × h plus bias: each product is cast to the accumulator, added, and the sum cast again."""
        op = self.op
        if op.accum_overflow is Overflow.WRAP:  # wrapping the sum once gives the same as wrapping each partial sum
            bits = max(self.sum_reach().bit_length(), op.accum.width) + 2
            total = Fixed(self._unwrapped(h) + self.bias.integers, FixedType(True, bits, op.accum.fraction))
            return total.cast(op.accum, Rounding.TRN, Overflow.WRAP, self._by)
        total = Fixed(np.broadcast_to(self.bias.integers, (len(h.integers), len(self.bias.integers))), op.accum)
        for unit in sorted(range(self.units), key=lambda u: (u % op.fold, u)):
            weights = Fixed(self.weights[unit], op.weight_type)
            total = self.accum(total + self.accum(h[unit : unit + 1] * weights))
        return total

    def _unwrapped(self, h: Fixed) -> Array:
        """Sum of the products, each rounded to the accumulator's fraction."""
        drop, reach = self._drop, self.sum_reach()
        if drop <= 0:
            # Float64 holds every partial sum up to 2^53, and its matrix products are the quickest.
            holder = np.float64 if reach <= 1 << 53 else np.int64 if reach.bit_length() <= SAFE_BITS else object
            total = h.integers.astype(holder) @ self.weights.astype(holder)
            return (total.astype(np.int64) if holder is np.float64 else total) << -drop
        holder = np.int32 if reach < 1 << 31 else np.int64 if reach.bit_length() <= SAFE_BITS else object
        inputs, weights = h.integers.astype(holder), self.weights.astype(holder)
        total = np.zeros((len(inputs), weights.shape[1]), dtype=holder)
        for unit in range(self.units):
            total += round_shift(inputs[:, unit, None] * weights[unit], drop, self.op.accum_rounding)
        return _held(total, reach.bit_length())

    @property
    def _drop(self) -> int:
        """Bits that a product loses on its way to the accumulator."""
        return self.state.fraction + self.op.weight_type.fraction - self.op.accum.fraction

    def h_bounds(self) -> tuple[int, int]:
        """The lowest and highest integer, at the state's fraction, that the next h can be before it is cast."""
        gate, candidate, state = self.gate.type, self.candidate.type, self.state
        if self.op.cell is Cell.LSTM:
            ends = [a * b for a, b in product((gate.low, gate.high), (candidate.low, candidate.high))]
            return rounded_bounds(min(ends), max(ends), gate.fraction + candidate.fraction - state.fraction)
        fraction = max(gate.fraction, 0)
        z = gate.low << (fraction - gate.fraction), gate.high << (fraction - gate.fraction)
        rest = (1 << fraction) - z[1], (1 << fraction) - z[0]
        bounds = (0, 0)
        for type_, factors in ((candidate, rest), (state, z)):
            ends = [a * b for a, b in product((type_.low, type_.high), factors)]
            low, high = rounded_bounds(min(ends), max(ends), type_.fraction + fraction - state.fraction)
            bounds = (bounds[0] + low, bounds[1] + high)
        return bounds

    def sum_reach(self) -> int:
        """The largest magnitude on the way to the sum of the products."""
        largest = max(-self.state.low, self.state.high) * max(-int(self.weights.min()), int(self.weights.max()))
        rounded = (largest >> self._drop) + 1 if self._drop > 0 else largest << -self._drop
        return max(largest, self.units * rounded)

    def widest(self) -> int:
        """Width of the widest integer on the way."""
        accum, state, gate, candidate = self.op.accum, self.state, self.gate.type, self.candidate.type
        mixed = product_type(state, gate)
        if self.op.cell is Cell.LSTM:
            results = [sum_type(product_type(candidate, gate), mixed), product_type(gate, candidate)]
        else:
            results = [sum_type(product_type(candidate, sum_type(_ONE.type, gate)), mixed)]
        sums = [product_type(gate, accum), product_type(state, self.op.weight_type), self.op.bias_type]
        casts = [(type_, state) for type_ in results] + [(type_, accum) for type_ in sums]
        bits = (max(source.width + max(1, to.fraction - source.fraction), to.width) for source, to in casts)
        return max(*bits, sum_type(accum, accum).width, self.sum_reach().bit_length() + 2)


def recurrent(op: Recurrent, graph: Graph, parts: Array, *initial: Array, by: Caster = cast) -> Array:
    """The kernel, with every cast of what depends on the inputs done by `by`."""
    cell, state = _Cell(op, graph, by), graph.type_of(op.output)
    zeros = np.zeros((len(parts), cell.units), dtype=np.int64)
    states = tuple(Fixed(x, state) for x in initial or (zeros,) * op.cell.states)
    step = cell.lstm if op.cell is Cell.LSTM else cell.gru
    times = range(parts.shape[1])
    read = {}
    for time in reversed(times) if op.backward else times:
        states = step(Fixed(parts[:, time], op.accum), *states)
        read[time] = states[0].integers
    return np.stack([read[time] for time in times], axis=1) if op.sequence else states[0].integers


def state_bounds(op: Recurrent, graph: Graph) -> tuple[int, int]:
    """What the next h can be before it is cast, in integers at its type's fraction."""
    return _Cell(op, graph).h_bounds()


def _widest_recurrent(op: Recurrent, graph: Graph) -> int:
    return _Cell(op, graph).widest()


RECURRENT_KERNELS: dict[type[Op], Callable[..., Array]] = {Recurrent: recurrent}

# Ops that meet wider integers on the way than those at their ends.
RECURRENT_WIDEST: dict[type[Op], Callable[..., int]] = {Recurrent: _widest_recurrent}
