"""Layout: channels-first models bring a transpose on each side of every convolution and pooling; most of them cancel.

One step moves one transpose or reshape downward past one op, or cancels it; `simplify_layout` repeats until none can
move. Values never change: only where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fpgaflow.ir.graph import Graph, Source, Tensor
from fpgaflow.ir.ops import Cast, Dense, Op, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.passes.movement import before_transpose
from fpgaflow.passes.rewrite import fresh, rebuilt

Unary = Cast | Relu | Lookup | Threshold


@dataclass(frozen=True)
class _Change:
    """What replaces `old`: these ops in its place, with their new tensors and constants, and readers renamed."""

    old: Op
    new: tuple[Op, ...]
    tensors: dict[str, Tensor]
    constants: dict[str, np.ndarray]
    renamed: dict[str, str]


def simplify_layout(graph: Graph) -> Graph:
    while (change := _first_change(graph)) is not None:
        ops = [new for op in graph.ops for new in (change.new if op is change.old else (op,))]
        graph = rebuilt(graph, ops, change.tensors, change.constants, change.renamed)
    return graph


def _first_change(graph: Graph) -> _Change | None:
    for op in graph.ops:
        change = _transposed(op, graph) or _reshaped(op, graph) or _below_transpose(op, graph)
        change = change or _below_reshape(op, graph) or _absorbed(op, graph)
        if change is not None:
            return change
    return None


def _transposed(op: Op, graph: Graph) -> _Change | None:
    """Two transposes are one; one that moves nothing is none; one that moves axes of size 1 only is a reshape."""
    if not isinstance(op, Transpose):
        return None
    if op.perm == tuple(range(len(op.perm))):
        return _Change(op, (), {}, {}, {op.output: op.inputs[0]})
    before = graph.producers.get(op.inputs[0])
    if isinstance(before, Transpose):
        perm = tuple(before.perm[i] for i in op.perm)
        return _Change(op, (replace(op, inputs=before.inputs, perm=perm),), {}, {}, {})
    shape = graph.tensors[op.inputs[0]].shape
    moved = [axis for axis in op.perm if shape[axis] != 1]
    if moved == sorted(moved):
        return _Change(op, (Reshape(op.name, op.inputs, op.output, op.node),), {}, {}, {})
    return None


def _reshaped(op: Op, graph: Graph) -> _Change | None:
    """Two reshapes are one; one that changes nothing is none."""
    if not isinstance(op, Reshape):
        return None
    if graph.tensors[op.inputs[0]].shape == graph.tensors[op.output].shape:
        return _Change(op, (), {}, {}, {op.output: op.inputs[0]})
    before = graph.producers.get(op.inputs[0])
    if isinstance(before, Reshape):
        return _Change(op, (replace(op, inputs=before.inputs),), {}, {}, {})
    return None


def _below_transpose(op: Op, graph: Graph) -> _Change | None:
    """Ops that can move above the transposes of their inputs, where those are all alike."""
    movers = [graph.producers.get(name) for name in op.inputs]
    transposes = [m for m in movers if isinstance(m, Transpose)]
    if len(transposes) < len(movers) or len({m.perm for m in transposes}) != 1:
        return None
    perm = transposes[0].perm
    moved = before_transpose(op, perm, graph)
    if moved is None:
        return None
    shape = graph.tensors[op.output].shape
    upper = tuple(shape[perm.index(axis)] for axis in range(len(perm)))
    early = replace(moved.op, inputs=tuple(m.inputs[0] for m in transposes))
    change = _sunk(op, early, Transpose("", (), "", transposes[0].node, perm), upper, graph)
    return replace(change, constants=dict(moved.constants))


def _below_reshape(op: Op, graph: Graph) -> _Change | None:
    """Elementwise ops that treat all channels alike move above a reshape of their input."""
    if not isinstance(op, Unary):
        return None
    before = graph.producers.get(op.inputs[0])
    if not isinstance(before, Reshape):
        return None
    upper = graph.tensors[before.inputs[0]].shape
    early: Op = replace(op, inputs=before.inputs)
    if isinstance(op, Threshold):
        if op.signs is not None or graph.constants[op.thresholds].shape[0] != 1:
            return None
        early = replace(op, inputs=before.inputs, axis=len(upper) - 1)
    return _sunk(op, early, Reshape("", (), "", before.node), upper, graph)


def _sunk(op: Op, early: Op, mover: Op, upper: tuple[int, ...], graph: Graph) -> _Change:
    """`early` on the mover's input, then the mover, which takes over the name of the op's output."""
    result = graph.tensors[op.output]
    name = fresh(f"{op.output}.moved", graph.tensors)
    source = None
    if result.source is not None and isinstance(mover, Transpose):
        perm = tuple(mover.perm[i] for i in result.source.perm)
        source = replace(result.source, perm=perm)
    elif result.source is not None and result.source.perm == tuple(range(len(result.shape))):
        source = Source(result.source.name, tuple(range(len(upper))), result.source.shape, result.source.unit)
    tensors = {name: Tensor(name, upper, result.type, source)}
    names = {other.name: other for other in graph.ops}
    last = replace(
        mover, name=fresh(f"{op.name}.{type(mover).__name__.lower()}", names), inputs=(name,), output=op.output
    )
    return _Change(op, (replace(early, output=name), last), tensors, {}, {})


def _absorbed(op: Op, graph: Graph) -> _Change | None:
    """A dense layer over a flattened transpose takes its weights in the other order instead."""
    if not isinstance(op, Dense):
        return None
    flat = graph.producers.get(op.inputs[0])
    if not isinstance(flat, Reshape) or len(graph.tensors[flat.output].shape) != 1:
        return None
    turned = graph.producers.get(flat.inputs[0])
    if not isinstance(turned, Transpose):
        return None
    shape = graph.tensors[turned.output].shape
    weights = graph.constants[op.weights]
    back = tuple(int(i) for i in np.argsort(turned.perm))
    reordered = weights.reshape(*shape, -1).transpose(*back, len(shape)).reshape(weights.shape)
    constant = fresh(f"{op.weights}.reordered", graph.constants)
    straight = fresh(f"{flat.output}.straight", graph.tensors)
    names = {other.name: other for other in graph.ops}
    reshape = Reshape(fresh(f"{flat.name}.straight", names), turned.inputs, straight, flat.node)
    tensors = {straight: Tensor(straight, graph.tensors[flat.output].shape, graph.type_of(flat.output))}
    early = replace(op, inputs=(straight,), weights=constant)
    return _Change(op, (reshape, early), tensors, {constant: np.ascontiguousarray(reordered)}, {})
