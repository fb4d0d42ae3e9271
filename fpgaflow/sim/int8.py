"""Which ops run as 8-bit products: a dense or conv together with the quantisers that alone read it.

ONNX Runtime multiplies bytes several times as fast as floats. Its kernels add the products in int32, whatever the CPU;
those for CPUs without VNNI first add two neighbouring products in saturating int16, so weights are taken only where no
two products can leave int16. The quantisers after the sum become one rising step function of it, and that a line of
`fpgaflow.sim.requantise`. Inputs and outputs are bytes, value - lowest of the type.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Linear, Op, Relu, Threshold
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.intervals import Result
from fpgaflow.sim.kernels import lift, run_op
from fpgaflow.sim.requantise import Requantiser, edges, fit

Array = np.ndarray

_BYTE = 8
_PAIR = (1 << 15) - 1  # two neighbouring products stay below this
_WEIGHT = 127
_SUM = 1 << 31
_LEVELS = 1 << _BYTE
_EXACT32 = 1 << 24
_CLAMPS = (Overflow.SAT, Overflow.SAT_SYM)


@dataclass(frozen=True)
class Unit:
    """An op and the quantisers after it, as one step on bytes.

    Attributes:
        op: the dense, conv or addition.
        ops: all ops that it stands for, `op` first.
        weights: int8 integers in the op's own layout; of an addition the two terms' factors.
        line: from the sum of products to the output's values.
        clip: the lowest and highest output byte where the byte's own range is wider, else None.
        reach: the largest magnitude that is rounded.
    """

    op: Linear | Add
    ops: tuple[Op, ...]
    weights: Array
    line: Requantiser
    clip: tuple[int, int] | None
    reach: int

    @property
    def output(self) -> str:
        return self.ops[-1].output


def fits_byte(type_: FixedType) -> bool:
    return type_.width <= _BYTE


def units(graph: Graph, reached: dict[str, Result], ops: Sequence[Op], kept: Collection[str]) -> list[Unit]:
    """What of `ops` runs on bytes, where the tensors `kept` are read from outside of them.

    Args:
        reached: the graph's `fpgaflow.sim.intervals.results`.
    """
    found = []
    for op in ops:
        if isinstance(op, (Linear, Add)) and all(fits_byte(graph.type_of(name)) for name in op.inputs):
            unit = next((u for chain in _chains(op, graph, reached, ops, kept) if (u := _unit(op, chain, graph))), None)
            if unit is not None:
                found.append(unit)
    return found


def _chains(
    op: Op, graph: Graph, reached: dict[str, Result], ops: Sequence[Op], kept: Collection[str]
) -> list[tuple[Op, ...]]:
    """The rising elementwise ops after `op` that alone read it and end in a byte, the longest first."""
    found: list[tuple[Op, ...]] = []
    chain: tuple[Op, ...] = ()
    name = op.output
    while name not in kept and len(users := graph.consumers[name]) == 1 and users[0] in ops:
        user = users[0]
        if not _rises(user, graph, reached, first=not chain):
            break
        chain, name = (*chain, user), user.output
        if fits_byte(graph.type_of(name)):
            found.append(chain)
    return found[::-1]


def _rises(op: Op, graph: Graph, reached: dict[str, Result], *, first: bool) -> bool:
    match op:
        case Cast():
            return op.overflow in _CLAMPS or not reached[op.name].overflows
        case Threshold():
            last = op.axis == len(graph.tensors[op.output].shape) - 1
            return last and op.step == 1 and (op.signs is None or first)
        case Relu():
            return True
    return False


def _unit(op: Linear | Add, chain: tuple[Op, ...], graph: Graph) -> Unit | None:
    # What no input reaches, a type may wrap; clamped instead, the function rises over all that the types allow.
    rising = tuple(_clamped(each) for each in chain)
    unit = _add(op, rising, graph) if isinstance(op, Add) else _linear(op, rising, graph)
    return None if unit is None else replace(unit, ops=(op, *chain))


def _clamped(op: Op) -> Op:
    return replace(op, overflow=Overflow.SAT) if isinstance(op, Cast) and op.overflow not in _CLAMPS else op


def _linear(op: Linear, chain: tuple[Op, ...], graph: Graph) -> Unit | None:
    if isinstance(op, Conv) and op.groups > 1:
        return None
    source, weights, up = graph.type_of(op.inputs[0]), graph.constants[op.weights], lift(op, graph)
    spare = _trailing_zeros(weights)
    weights, up = weights >> spare, up + spare
    bias = np.zeros(weights.shape[-1], dtype=np.int64)
    if op.bias is not None and op.bias_type is not None:
        bias = graph.constants[op.bias] << (op.accum.fraction - op.bias_type.fraction)
    first = chain[0]
    if isinstance(first, Threshold) and first.signs is not None:
        signs, chain = graph.constants[first.signs], (replace(first, signs=None), *chain[1:])
        weights, bias = weights * signs, bias * signs
    flat = weights.reshape(-1, weights.shape[-1])
    span = source.high - source.low  # bytes reach from 0 to here
    largest = max(1, int(np.abs(flat).max()))
    gain = min(_WEIGHT, _PAIR // (2 * span)) // largest
    if gain < 1 or len(flat) * _LEVELS * _WEIGHT >= _SUM:
        return None
    gain = 1 << (gain.bit_length() - 1)
    positive, negative = np.maximum(flat, 0).sum(axis=0), np.minimum(flat, 0).sum(axis=0)
    bottom, top = min(source.low, 0), max(source.high, 0)  # zero is possible too: padding
    low, high = positive * bottom + negative * top, positive * top + negative * bottom
    given = _line(chain, graph, low, high, bias, up, gain, biased=True)
    if given is None:
        return None
    line, clip = given
    reach = int((np.maximum(-low, high) * gain + np.abs(line.bias)).max())
    return Unit(op, (op, *chain), (weights * gain).astype(np.int8), line, clip, reach)


def _add(op: Add, chain: tuple[Op, ...], graph: Graph) -> Unit | None:
    """Two scaled terms, rounded together with the output's zero-point: an odd one would turn the ties around."""
    types, fraction = [graph.type_of(name) for name in op.inputs], graph.type_of(op.output).fraction
    if isinstance(chain[0], Threshold) or _zero_point(graph.type_of(chain[-1].output)) % 2:
        return None
    factors = np.array([1 << (fraction - type_.fraction) for type_ in types], dtype=np.int64)
    low, high = (
        np.array([sum(int(f) * end for f, end in zip(factors, ends, strict=True))])
        for ends in ([t.low for t in types], [t.high for t in types])
    )
    none = np.zeros(1, dtype=np.int64)
    given = _line(chain, graph, low, high, none, 0, 1, biased=False)
    if given is None or not _power_of_two(given[0].scale):
        return None
    # Bytes, zero-points and their sum, in units of the smaller of the terms' and the output's steps.
    if 4 * _LEVELS * int(factors.max()) * max(1.0, 1 / float(given[0].scale[0])) > _EXACT32:
        return None
    return Unit(op, (op, *chain), factors, *given, int(max(-low[0], high[0])))


def _line(
    chain: tuple[Op, ...], graph: Graph, low: Array, high: Array, bias: Array, up: int, gain: int, *, biased: bool
) -> tuple[Requantiser, tuple[int, int] | None] | None:
    """The chain after p × 2^up + bias, p in [low, high] per channel; and the bytes to clip to."""
    result = graph.type_of(chain[-1].output)

    def step(p: Array) -> Array:
        x = (p << up) + bias[:, None]
        return reduce(lambda value, op: _elementwise(op, graph, value), chain, x.T).T

    ends = np.concatenate([step(low[:, None]), step(high[:, None])], axis=1)
    bottom, top = int(ends.min()), int(ends.max())
    levels = range(bottom + 1, top + 1)
    edge = edges(step, levels, low, high) if levels else np.empty((len(low), 0), dtype=np.int64)
    line = fit(edge, levels, low, high, gain, biased=biased) if levels else None
    if line is None:
        return None
    zero = _zero_point(result)
    clip = (bottom + zero, top + zero)
    return line, None if clip == (0, _LEVELS - 1) else clip


def _elementwise(op: Op, graph: Graph, x: Array) -> Array:
    """The op on (n, channels)."""
    return run_op(replace(op, axis=0) if isinstance(op, Threshold) else op, graph, x)


def _zero_point(type_: FixedType) -> int:
    return -type_.low


def _trailing_zeros(weights: Array) -> int:
    joined = int(np.bitwise_or.reduce(weights, axis=None))
    return (joined & -joined).bit_length() - 1 if joined else 0


def _power_of_two(scale: Array) -> bool:
    return bool((np.frexp(scale)[0] == 0.5).all())
