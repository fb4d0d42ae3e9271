"""Importers of Softmax and its kin: exact where only the order of the results matters, or where two entries compete."""

from __future__ import annotations

from dataclasses import replace

from fpgaflow.frontend.exact import emit
from fpgaflow.frontend.exact.advice import QUANTISE_INPUT, advice
from fpgaflow.frontend.exact.rescale import uniform, with_unit
from fpgaflow.frontend.exact.values import ONE, Function, Value
from fpgaflow.frontend.qonnx import merge
from fpgaflow.frontend.qonnx.context import Context, Ordered, int_attribute
from fpgaflow.frontend.qonnx.moves import behind_batch, taken
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse


def _argument(ctx: Context, node: Node) -> tuple[Value, int]:
    """What is normalised, and along which axis of the unbatched tensor."""
    value = ctx.value(node, 0)
    if value.raw:
        refuse(str(node), "reads the model's input before any quantiser has", QUANTISE_INPUT)
    rank = len(ctx.shape(value)) + 1
    axis = behind_batch(node, int_attribute(node, "axis", -1 if ctx.opset >= 13 else 1), rank)
    if ctx.opset < 13 and axis != rank - 2:
        refuse(str(node), f"normalises over axes {axis + 1} to {rank - 1} at once", "Export with opset 13 or above")
    return value, axis


def softmax(ctx: Context, node: Node) -> Value | Ordered:
    """Of what ArgMax alone reads the order; of two entries the sigmoid of their difference."""
    value, axis = _argument(ctx, node)
    if ctx.readers.get(node.outputs[0], frozenset()) <= {"ArgMax"}:
        return Ordered(value, axis)
    if node.kind != "Softmax" or ctx.shape(value)[axis] != 2:
        refuse(str(node), "its values are no fixed-point numbers", advice(node.kind, ""))
    other = taken(ctx, node, value, (1, 0), axis, f"{node.outputs[0]}.other")
    names = ctx.lend(node, value, other)
    difference = merge.subtract(ctx, replace(node, inputs=names, outputs=(f"{node.outputs[0]}.difference",)))
    return replace(difference, steps=(*difference.steps, Function("sigmoid")))


def hardmax(ctx: Context, node: Node) -> Value:
    """1 at the first maximum, 0 elsewhere."""
    value, axis = _argument(ctx, node)
    wish, rank = node.outputs[0], len(ctx.shape(value))
    tensor, _ = uniform(ctx.builder, value, str(node), wish)
    to_last = (*range(axis), *range(axis + 1, rank), axis)
    last = ctx.builder.transpose(tensor, to_last, node.name, f"{wish}.last")
    first = emit.one_hot_max(ctx.builder, last, node.name, f"{wish}.first")
    back = tuple(to_last.index(a) for a in range(rank))
    return replace(with_unit(ctx.builder.transpose(first, back, node.name, wish), ONE), axis=axis)
