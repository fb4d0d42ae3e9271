"""Readable names: an op bears the name of the model's node; helpers beside it say what they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Op, Reshape, Transpose
from fpgaflow.passes.rewrite import fresh


def name_ops(graph: Graph) -> Graph:
    """Every op named after its node; moves and second ops of a node get their kind as a suffix."""
    of_node = Counter(op.node for op in graph.ops)
    taken: dict[str, Op] = {}
    named: dict[str, str] = {}
    for first_choice in (True, False):
        for op in graph.ops:
            plain = not isinstance(op, Reshape | Transpose) and op.node not in taken
            if op.name in named or (first_choice and not plain):
                continue
            wish = op.node if first_choice or of_node[op.node] == 1 else f"{op.node}.{type(op).__name__.lower()}"
            named[op.name] = fresh(wish, taken)
            taken[named[op.name]] = op
    return replace(graph, ops=tuple(replace(op, name=named[op.name]) for op in graph.ops))
