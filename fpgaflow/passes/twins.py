"""Ops that compute the same from the same inputs are one op."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from fpgaflow.ir.graph import CONSTANT_FIELDS, Graph, rename_inputs
from fpgaflow.ir.ops import Op
from fpgaflow.passes.rewrite import rebuilt

_NAMES = ("name", "output", "node")


def merge_twins(graph: Graph) -> Graph:
    """Readers of a twin read the first. Outputs stay, and so does what bears a name of the user's model of its own."""
    outputs = {port.tensor for port in graph.outputs}
    first: dict[Any, str] = {}
    renamed: dict[str, str] = {}
    tensors = dict(graph.tensors)
    kept: list[Op] = []
    for op in graph.ops:
        read = rename_inputs(op, renamed)
        twin = first.setdefault(_identity(read, graph), op.output)
        theirs, ours = tensors[op.output].source, tensors[twin].source
        named = theirs is not None and ours not in (None, theirs)
        if twin == op.output or op.output in outputs or named:
            kept.append(op)
            continue
        tensors[twin] = replace(tensors[twin], source=ours or theirs)
        renamed[op.output] = twin
    return rebuilt(graph, kept, tensors, renamed=renamed) if renamed else graph


def _identity(op: Op, graph: Graph) -> Any:
    """What decides an op's result: its kind, inputs, settings, constants' values, and its result's type."""
    settings = []
    for field in fields(op):
        value = getattr(op, field.name)
        if field.name in CONSTANT_FIELDS and value is not None:
            array = graph.constants[value]
            value = (array.shape, array.tobytes())
        if field.name not in _NAMES:
            settings.append(value)
    result = graph.tensors[op.output]
    return type(op), tuple(settings), result.type, result.shape
