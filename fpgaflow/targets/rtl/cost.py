"""First-order estimates of what the generated hardware takes, before any synthesis. Every figure says "estimated".

Products, additions, comparisons and memories are counted by the rules of `fpgaflow.cost.estimate`, for as many lanes as
a folding has. Besides, each layer has counters and the handshake, and a FIFO of two beats of its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from fpgaflow.cost.estimate import layer_cost
from fpgaflow.cost.parts import DSP_BITS, Cost, memory
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import (
    Divide,
    Elementwise,
    ElementwiseKind,
    Embed,
    MatMul,
    OrderedDense,
    OrderedSum,
    Patches,
    Scale,
    Take,
)
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import type_for
from fpgaflow.targets.rtl.fold import Fold, Folding
from fpgaflow.targets.rtl.unrolled.choice import is_unrolled, unrolled_cost

CONTROL_LUT, CONTROL_FF = 60, 60  # of one layer: counters and the handshake


def estimate(graph: Graph, folding: Folding) -> Cost:
    """A whole design."""
    total = Cost()
    for op in graph.ops:
        total += op_cost(op, graph, folding.folds[op.name])
    several = {port.tensor for port in graph.inputs} if len(graph.inputs) > 1 else set()
    given = [port.tensor for port in graph.outputs]
    for name, tensor in graph.tensors.items():
        readers = sum(op.inputs.count(name) for op in graph.ops) + given.count(name)
        if readers > 1 or name in several:  # each has a FIFO for a sample
            total += _times(readers, _ram(prod(tensor.shape), tensor.type.width))
    return Cost(total.lut, total.ff, total.dsp, total.bram36, folding.interval, total.latency)


def op_cost(op: Op, graph: Graph, fold: Fold) -> Cost:
    """One op, folded."""
    if isinstance(op, Reshape):
        return Cost()
    if isinstance(op, Dense | Conv) and is_unrolled(op, graph, fold):
        return unrolled_cost(op, graph)
    if isinstance(op, Linear):
        return layer_cost(op, graph, max(1, prod(graph.constants[op.weights].shape) // fold.multipliers))
    if isinstance(op, Threshold):
        return layer_cost(op, graph, max(1, graph.tensors[op.output].shape[-1] // fold.lanes))
    width = graph.type_of(op.output).width
    ends = Cost(CONTROL_LUT + fold.pe * width, CONTROL_FF + 3 * fold.pe * width, 0, 0, fold.cycles, fold.cycles)
    return ends + (_COSTS[type(op)](op, graph, fold) if type(op) in _COSTS else Cost())


def _times(count: int, cost: Cost) -> Cost:
    return Cost(count * cost.lut, count * cost.ff, count * cost.dsp, count * cost.bram36)


def _ram(words: int, bits: int) -> Cost:
    blocks, lut = memory(words, bits)
    return Cost(lut, 0, 0, blocks)


def _product(a: int, b: int) -> Cost:
    return Cost(dsp=1) if max(a, b) >= DSP_BITS else Cost(lut=a * b)


def _widths(op: Op, graph: Graph) -> tuple[int, int]:
    return graph.type_of(op.inputs[0]).width, graph.type_of(op.output).width


def _of_lanes(cost: Callable[[Op, Graph], Cost]) -> Callable[[Op, Graph, Fold], Cost]:
    return lambda op, graph, fold: _times(fold.pe, cost(op, graph))


def _cast(op: Op, graph: Graph) -> Cost:
    return Cost(lut=1.5 * sum(_widths(op, graph)))  # rounded by an adder, compared with two ends


def _join(op: Op, graph: Graph) -> Cost:
    if isinstance(op, Elementwise) and op.kind is ElementwiseKind.MULTIPLY:
        return _product(*(graph.type_of(name).width for name in op.inputs))
    return Cost(lut=1.5 * graph.type_of(op.output).width)


def _constants(op: Op, graph: Graph, names: tuple[str | None, ...], bits: int) -> Cost:
    arrays = [graph.constants[name] for name in names if name is not None]
    return _ram(max(array.size for array in arrays), bits) if max(array.size for array in arrays) > 1 else Cost()


def _scale(op: Scale, graph: Graph, fold: Fold) -> Cost:
    a, result = _widths(op, graph)
    bits = op.weight_type.width + (0 if op.bias_type is None else op.bias_type.width)
    lanes = _times(fold.lanes, _product(a, op.weight_type.width) + Cost(lut=result))
    return lanes + _constants(op, graph, (op.weights, op.bias), bits)


def _divide(op: Divide, graph: Graph, fold: Fold) -> Cost:
    a, _ = _widths(op, graph)
    bits = a + int(graph.constants[op.divisors].max()).bit_length()
    return _times(fold.lanes, _product(a, bits) + Cost(lut=2 * a)) + _constants(op, graph, (op.divisors,), bits)


def _piecewise(op: Piecewise, graph: Graph, fold: Fold) -> Cost:
    slopes, offsets = graph.constants[op.slopes], graph.constants[op.offsets]
    (a, result), segments = _widths(op, graph), slopes.shape[-1]
    wide = [type_for(int(array.min()), int(array.max()), 0).width for array in (slopes, offsets)]
    chosen = Cost(lut=(segments - 1) * (a / 2 + sum(wide) / 2) + result)
    entries = max(slopes.size, offsets.size) // segments
    words = _ram(entries, segments * sum(wide)) if entries > 1 else Cost()
    return _times(fold.lanes, _product(a, wide[0]) + chosen) + words


def _cast_each(op: CastEach, graph: Graph, fold: Fold) -> Cost:
    types = graph.constants[op.types].reshape(3, -1)
    kinds = len({*map(tuple, types.T.tolist())})
    return _times(fold.lanes * kinds, _cast(op, graph)) + _ram(types.shape[1], kinds.bit_length())


def _lookup(op: Lookup, graph: Graph, fold: Fold) -> Cost:
    return _times(fold.lanes, _ram(graph.constants[op.table].size, graph.type_of(op.output).width))


def _embed(op: Embed, graph: Graph, fold: Fold) -> Cost:
    return _ram(graph.constants[op.table].size // fold.pe, fold.pe * graph.type_of(op.output).width)


def _buffers(op: Op, graph: Graph, fold: Fold) -> Cost:
    tensor = graph.tensors[op.inputs[0]]
    return _ram(2 * prod(tensor.shape) // fold.lanes, fold.lanes * tensor.type.width)


def _pool(op: Pool, graph: Graph, fold: Fold) -> Cost:
    *_, columns, channels = graph.tensors[op.inputs[0]].shape
    result = graph.type_of(op.output).width
    running = _ram(columns * channels // fold.lanes, fold.lanes * result)
    return running + _times(fold.lanes * prod(op.size), Cost(lut=result, ff=result))


def _ordered_sum(op: OrderedSum, graph: Graph, fold: Fold) -> Cost:
    channels = graph.tensors[op.output].shape[-1]
    result = graph.type_of(op.output).width
    return _times(fold.lanes, _cast(op, graph)) + _ram(channels // fold.pe, fold.pe * result)


def _ordered_dense(op: OrderedDense, graph: Graph, fold: Fold) -> Cost:
    (a, result), weights = _widths(op, graph), graph.constants[op.weights]
    one = _product(a, op.weight_type.width) + Cost(lut=4.5 * result, ff=2 * result)
    return _times(fold.pe, one) + _ram(weights.size // fold.pe, fold.pe * op.weight_type.width)


def _matmul(op: MatMul, graph: Graph, fold: Fold) -> Cost:
    left, right = (graph.tensors[name] for name in op.inputs)
    one = _product(left.type.width, right.type.width) + Cost(lut=graph.type_of(op.output).width)
    matrix = _ram(2 * prod(right.shape[-2:]) // fold.pe, fold.pe * right.type.width)
    return _times(fold.pe, one) + matrix + _ram(2 * left.shape[-1], left.type.width)


def _recurrent(op: Recurrent, graph: Graph, fold: Fold) -> Cost:
    state, (units, columns) = graph.type_of(op.output).width, graph.constants[op.weights].shape
    accum, gates = op.accum.width, op.cell.gates
    sums = _times(gates, _product(state, op.weight_type.width) + Cost(lut=3 * accum, ff=3 * accum))
    tables = [(op.gate_table, gates - 1), (op.candidate_table, op.cell.states)]
    for name, copies in tables:
        if name is not None:
            sums += _times(copies, _ram(graph.constants[name].size, accum))
    products = _times(3, _product(accum, accum) + Cost(lut=3 * accum, ff=5 * accum))
    weights = _ram(units * columns // (gates * fold.pe), gates * fold.pe * op.weight_type.width)
    return _times(fold.pe, sums + products) + weights + _ram(2 * columns // fold.pe, fold.pe * accum)


def _maximum(op: OneHotMax, graph: Graph, fold: Fold) -> Cost:
    return _times(fold.lanes, Cost(lut=1.5 * _widths(op, graph)[0]))


_COSTS: Mapping[type[Op], Callable[..., Cost]] = {
    Cast: _of_lanes(_cast),
    Add: _of_lanes(_join),
    Elementwise: _of_lanes(_join),
    Scale: _scale,
    Divide: _divide,
    Piecewise: _piecewise,
    CastEach: _cast_each,
    Lookup: _lookup,
    Embed: _embed,
    Transpose: _buffers,
    Take: _buffers,
    Patches: _buffers,
    Pool: _pool,
    OrderedSum: _ordered_sum,
    OrderedDense: _ordered_dense,
    MatMul: _matmul,
    OneHotMax: _maximum,
    Recurrent: _recurrent,
}
