"""Importers of QONNX's channels-last operators (domain qonnx.custom_op.channels_last): activations are (N, ..., C).

Each is its ONNX namesake between two transpositions, which the layout pass removes again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fpgaflow.frontend.exact.values import Const, Value
from fpgaflow.frontend.qonnx import elementwise, linear, pooling
from fpgaflow.frontend.qonnx.context import Context, Known
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse


def conv(ctx: Context, node: Node) -> Value:
    """Weights (filters, *kernel, channels / groups)."""
    weights = ctx.const(node, 1, "weight")
    rank = weights.values.ndim
    if rank < 3:
        refuse(str(node), f"weights {weights.values.shape}", "Give (filters, *kernel, channels)")
    perm = (0, rank - 1, *range(1, rank - 1))
    moved = Const(weights.values.transpose(perm))
    if weights.ints is not None and weights.scale is not None:
        ints, scale = weights.ints.transpose(perm), weights.scale.transpose(perm)
        moved = replace(weights, values=moved.values, ints=ints, scale=scale)
    return _between(ctx, node, linear.conv, moved)


def max_pool(ctx: Context, node: Node) -> Value:
    return _between(ctx, node, pooling.max_pool)


def batch_normalization(ctx: Context, node: Node) -> Value:
    return _between(ctx, node, elementwise.batch_normalization)


def _between(ctx: Context, node: Node, importer: Callable[[Context, Node], Value], *more: Known) -> Value:
    """What the importer makes of the first input, channels first, and of `more` in place of the inputs after it."""
    names = ctx.lend(node, _moved(ctx, node, ctx.value(node, 0), first=True), *more)
    result = importer(ctx, replace(node, inputs=(*names, *node.inputs[len(names) :])))
    return _moved(ctx, node, result, first=False)


def _moved(ctx: Context, node: Node, value: Value, *, first: bool) -> Value:
    rank = len(ctx.shape(value))
    perm = (rank - 1, *range(rank - 1)) if first else (*range(1, rank), 0)
    tensor = ctx.builder.transpose(value.tensor, perm, node.name, f"{node.outputs[0]}.{'first' if first else 'last'}")
    return Value(tensor, value.steps, perm.index(value.axis), value.raw)
