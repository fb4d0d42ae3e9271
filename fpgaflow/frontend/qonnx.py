"""QONNX to the integer graph: strict, node by node, every refusal collected before anything is given back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import prod
from pathlib import Path

import numpy as np
from onnx import TensorProto

from fpgaflow.errors import BadInput, Problem, UnsupportedModel
from fpgaflow.frontend import elementwise, linear, shapes
from fpgaflow.frontend.builder import Builder
from fpgaflow.frontend.context import Context, Known
from fpgaflow.frontend.folding import fold
from fpgaflow.frontend.integers import integers
from fpgaflow.frontend.onnx_file import Node, OnnxModel, Port, read_model
from fpgaflow.frontend.quantizers import QonnxRounding, Quantizer, close
from fpgaflow.frontend.refuse import RefusedNodeError, refuse
from fpgaflow.frontend.values import ONE, ZERO, Affine, Const, Poison, Value
from fpgaflow.ir.graph import Graph, Output

Importer = Callable[[Context, Node], Known]

ONNX_DOMAINS = ("", "ai.onnx")
QONNX_DOMAINS = ("", "onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general")

QONNX_OPS: dict[str, Importer] = {
    "Quant": elementwise.quant,
    "IntQuant": elementwise.quant,
    "BipolarQuant": elementwise.quant,
}
ONNX_OPS: dict[str, Importer] = {
    "Add": elementwise.add,
    "AveragePool": linear.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "Conv": linear.conv,
    "Div": elementwise.divide,
    "Dropout": elementwise.dropout,
    "Flatten": shapes.flatten,
    "Gemm": linear.gemm,
    "GlobalAveragePool": linear.global_average_pool,
    "GlobalMaxPool": linear.global_max_pool,
    "Identity": elementwise.identity,
    "MatMul": linear.matmul,
    "MaxPool": linear.max_pool,
    "Mul": elementwise.multiply,
    "Relu": elementwise.relu,
    "Reshape": shapes.reshape,
    "Squeeze": shapes.squeeze,
    "Sub": elementwise.subtract,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
INTEGER_INPUTS: dict[int, tuple[bool, int]] = {  # element type -> signed, bits
    TensorProto.INT8: (True, 8),
    TensorProto.UINT8: (False, 8),
    TensorProto.INT16: (True, 16),
    TensorProto.UINT16: (False, 16),
}
MAX_INPUT_ELEMENTS = 1 << 24


def import_qonnx(path: Path) -> Graph:
    """The graph of a QONNX file, before any pass.

    Raises:
        BadInput: the file is no whole ONNX model.
        UnsupportedModel: with one problem per node that cannot be carried exactly.
    """
    return import_model(read_model(path), str(path))


def import_model(model: OnnxModel, where: str) -> Graph:
    ctx = Context(Builder(), model.opset, {name: Const(array) for name, array in model.constants.items()})
    ctx.room += 8 * sum(array.size for array in model.constants.values())
    problems: list[Problem] = []
    for port in model.inputs:
        try:
            ctx.known[port.name] = _input(ctx, port)
        except RefusedNodeError as refusal:
            problems.append(refusal.problem)
            ctx.known[port.name] = Poison()
    read = {name for node in model.nodes for name in node.inputs} | {port.name for port in model.outputs}
    for node in model.nodes:
        result = _import_node(ctx, node, problems)
        for name in filter(None, node.outputs):
            ctx.known[name] = result if isinstance(result, Poison) else Poison()
        if not isinstance(result, Poison):
            if extra := [name for name in node.outputs[1:] if name and name in read]:
                problems.append(Problem(str(node), f"its output '{extra[0]}' is not carried", "Use its first output"))
            ctx.known[node.outputs[0]] = _noted(ctx, node.outputs[0], result)
    outputs = [_output(ctx, port, problems) for port in model.outputs]
    if not model.outputs:
        raise BadInput(where, "has no output", "Export the model again")
    if problems:
        raise UnsupportedModel(problems)
    graph = ctx.builder.graph(model.name, [output for output in outputs if output is not None])
    _check_inputs(graph, model)
    return graph


def _check_inputs(graph: Graph, model: OnnxModel) -> None:
    used = {port.name for port in graph.inputs}
    if unused := [port.name for port in model.inputs if port.name not in used]:
        raise UnsupportedModel(
            [
                Problem(f"input '{name}'", "no node with integers reads it", "Remove it from the model")
                for name in unused
            ]
        )


def _import_node(ctx: Context, node: Node, problems: list[Problem]) -> Known:
    known = [ctx.known[name] for name in node.inputs if name]
    constant = node.kind not in QONNX_OPS and all(
        isinstance(item, Const) or (isinstance(item, Poison) and item.constant) for item in known
    )
    try:
        if not node.outputs or not node.outputs[0]:
            refuse(str(node), "has no output", "Export the model again")
        if constant and "" in node.inputs[: len(known)]:
            refuse(str(node), "leaves out an input between others", "Simplify the model: python -m onnxsim")
        importer = None if constant or node.kind == "Shape" else _importer(node)
        if any(isinstance(item, Poison) for item in known):
            return Poison(constant)
        if importer is not None:
            return importer(ctx, node)
        folded = fold(node, [_as_const(ctx, item) for item in known], ctx.room)
        ctx.spend(node, folded.values.size)
        return folded
    except RefusedNodeError as refusal:
        problems.append(refusal.problem)
        return Poison(constant)


def _importer(node: Node) -> Importer:
    importer = QONNX_OPS.get(node.kind) if node.domain in QONNX_DOMAINS else None
    if importer is None and node.domain in ONNX_DOMAINS:
        importer = ONNX_OPS.get(node.kind)
    if importer is None:
        domain = f" of domain '{node.domain}'" if node.domain else ""
        refuse(str(node), f"operator {node.kind}{domain} cannot be carried exactly", _advice(node.kind))
    return importer


def _as_const(ctx: Context, item: Known) -> Const:
    """The item; of an activation, whose shape alone is asked for, a batch of one of no memory."""
    if isinstance(item, Value):
        return Const(np.broadcast_to(np.False_, (1, *ctx.shape(item))))
    assert isinstance(item, Const)
    return item


_ADVICE = {
    "Softmax": "Leave it out: the largest logit is the largest probability",
    "LogSoftmax": "Leave it out: the largest logit is the largest probability",
    "Sigmoid": "Use ReLU before a quantiser, or leave a last sigmoid out and compare the logit with 0",
    "Tanh": "Use ReLU or a hard tanh before a quantiser",
    "MultiThreshold": "Export QONNX with Quant nodes, before FINN's streamlining",
    "QuantizeLinear": "Export QONNX: brevitas.export.export_qonnx",
    "DequantizeLinear": "Export QONNX: brevitas.export.export_qonnx",
    "FloatQuant": "Use integer quantisers: minifloats are not fixed point",
    "Trunc": "Use an AveragePool followed by a quantiser instead of TruncAvgPool2d",
}


def _advice(kind: str) -> str:
    carried = ", ".join(sorted([*ONNX_OPS, *QONNX_OPS]))
    return _ADVICE.get(kind, f"Carried are: {carried}")


def _input(ctx: Context, port: Port) -> Value:
    where = f"input '{port.name}'"
    if port.shape is None or len(port.shape) < 2 or any(n is None for n in port.shape[1:]):
        refuse(where, f"has the shape {port.shape}", "Export it with fixed dimensions, (N, ...), N being the batch")
    shape = tuple(n for n in port.shape[1:] if n is not None)
    if prod(shape) > MAX_INPUT_ELEMENTS:
        refuse(where, f"has {prod(shape)} elements", f"At most {MAX_INPUT_ELEMENTS} are carried")
    value = Value(ctx.builder.add_input(port.name, shape), (), 0, raw=True)
    kind = _integer_type(port)
    if kind is None:
        return value
    signed, bits = kind
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    exact = Quantizer((ONE,), 0, low, high, signed, bits, QonnxRounding.ROUND, False, 0)
    return close(ctx.builder, value, exact, where, port.name)


def _integer_type(port: Port) -> tuple[bool, int] | None:
    """(signed, bits) of an input that is declared to hold integers, by its element type or a QONNX annotation."""
    if port.elem_type in INTEGER_INPUTS:
        return INTEGER_INPUTS[port.elem_type]
    name = port.datatype or ""
    for prefix, signed in (("UINT", False), ("INT", True)):
        if name.startswith(prefix) and name[len(prefix) :].isdigit() and 1 <= int(name[len(prefix) :]) <= 32:
            return signed, int(name[len(prefix) :])
    return (True, 2) if name in ("BIPOLAR", "TERNARY") else None


def _noted(ctx: Context, name: str, item: Known) -> Known:
    """The item, its tensor marked as the model's `name`; a tensor of other values does not bear that name."""
    if not isinstance(item, Value) or item.raw:
        return item
    if item.unit is not None:
        ctx.builder.set_source(item.tensor, name, item.unit)
        return item
    if item.tensor == name:
        item = replace(item, tensor=ctx.builder.rename(name, f"{name}.integers"))
    if len(item.steps) == 1:
        ctx.builder.pending.setdefault((item.tensor, item.steps[0]), name)
    return item


def _output(ctx: Context, port: Port, problems: list[Problem]) -> Output | None:
    item, where = ctx.known[port.name], f"output '{port.name}'"
    if isinstance(item, Poison):
        return None
    if isinstance(item, Const):
        problems.append(Problem(where, "is a constant", "Remove it from the model"))
        return None
    only = item.steps[0] if len(item.steps) == 1 and not item.raw else None
    try:
        tensor, unit = integers(ctx.builder, item, where, port.name)
    except RefusedNodeError as refusal:
        if isinstance(only, Affine):  # scales that differ by channel stay at the border: the host applies them
            lsb = _lsb(ctx, item.tensor)
            return Output(item.tensor, port.name, tuple(s * lsb for s in only.scale), only.offset, item.axis)
        problems.append(refusal.problem)
        return None
    ctx.builder.set_source(tensor, port.name, unit)
    return Output(tensor, port.name, (unit * _lsb(ctx, tensor),), (ZERO,), 0)


def _lsb(ctx: Context, tensor: str) -> Fraction:
    return Fraction(2) ** -ctx.builder.type(tensor).fraction
