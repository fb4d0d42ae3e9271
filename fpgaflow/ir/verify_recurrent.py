"""The rules of the ops of `fpgaflow.ir.ops_recurrent`: part of the legality table of `fpgaflow.ir.verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_recurrent import CellActivation, Recurrent
from fpgaflow.ir.types import FixedType

_MAX_CONSTANT_WIDTH = 63  # constants are stored as int64

Rules = Iterator[tuple[bool, str]]


def _fits(array: Ints, type_: FixedType) -> bool:
    inside = array.size == 0 or (int(array.min()) >= type_.low and int(array.max()) <= type_.high)
    return inside and type_.width <= _MAX_CONSTANT_WIDTH


def _recurrent(op: Recurrent, graph: Graph) -> Rules:
    source, state = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    weights, bias = graph.constants[op.weights], graph.constants[op.bias]
    units = weights.shape[0] if weights.ndim == 2 else 0
    yield units > 0 and weights.shape == (units, op.cell.gates * units), f"recurrent weights {weights.shape}"
    yield bias.shape == weights.shape[1:], f"bias {bias.shape} for weights {weights.shape}"
    yield _fits(weights, op.weight_type) and _fits(bias, op.bias_type), "weights or bias leave their type"
    yield len(source.shape) == 2 and source.shape[1] == weights.shape[1], f"input parts {source.shape}"
    yield source.shape[0] > 0, "a sequence of no steps"
    yield source.type == op.accum, "the input parts' type is not the accumulator's"
    expected = (source.shape[0], units) if op.sequence else (units,)
    yield state.shape == expected, f"output shape {state.shape}, expected {expected}"
    yield len(op.inputs) in (1, 1 + op.cell.states), "an initial state for each state, or none"
    initial = [graph.tensors[name] for name in op.inputs[1:]]
    yield all(t.shape == (units,) and t.type == state.type for t in initial), "initial states unlike the states"
    yield op.fold > 0, f"fold {op.fold}"
    for activation, name in ((op.gate, op.gate_table), (op.candidate, op.candidate_table)):
        yield (name is None) == (activation is CellActivation.RELU), "a table for each activation but relu"
        if name is not None:
            table = graph.constants[name]
            yield table.ndim == 1 and table.size > 0 and _fits(table, op.table_type), f"table {table.shape}"


RECURRENT_RULES: dict[type[Op], Callable[..., Rules]] = {Recurrent: _recurrent}
