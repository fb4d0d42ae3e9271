"""Casts: those that change nothing go, and a ReLU before a cast that clamps negative values anyway goes too."""

from __future__ import annotations

from dataclasses import replace

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Op, Relu
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.passes.rewrite import rebuilt


def drop_identity_casts(graph: Graph) -> Graph:
    """A cast to the very type that its input has changes no bit (but SAT_SYM, which moves the most negative value)."""
    renamed = {
        op.output: op.inputs[0]
        for op in graph.ops
        if isinstance(op, Cast)
        and graph.type_of(op.inputs[0]) == graph.type_of(op.output)
        and not (op.overflow is Overflow.SAT_SYM and graph.type_of(op.output).signed)
    }
    return rebuilt(graph, [op for op in graph.ops if op.output not in renamed], renamed=renamed) if renamed else graph


def clamps_negatives(target: FixedType, overflow: Overflow) -> bool:
    """Whether a cast gives 0 for every negative value: saturation to an unsigned type does, whatever the rounding."""
    return not target.signed and overflow in (Overflow.SAT, Overflow.SAT_SYM)


def drop_relu_before_unsigned_cast(graph: Graph) -> Graph:
    """relu(x) then a saturating unsigned cast is the cast alone: rounding a negative value never gives more than 0."""
    ops: list[Op] = []
    for op in graph.ops:
        before = graph.producers.get(op.inputs[0])
        if (
            isinstance(op, Cast)
            and isinstance(before, Relu)
            and clamps_negatives(graph.type_of(op.output), op.overflow)
        ):
            ops.append(replace(op, inputs=before.inputs))
        else:
            ops.append(op)
    return rebuilt(graph, ops)
