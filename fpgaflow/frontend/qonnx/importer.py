"""QONNX to the integer graph: strict, node by node, every refusal collected before anything is given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from fpgaflow.errors import BadInput, Problem, UnsupportedModel
from fpgaflow.frontend.exact.advice import advice
from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.values import Const, Poison, Value
from fpgaflow.frontend.qonnx import (
    activations,
    channels_last,
    elementwise,
    linear,
    merge,
    moves,
    pooling,
    qdq,
    reduce,
    resize,
    shapes,
    softmax,
    transposed,
)
from fpgaflow.frontend.qonnx.context import Context, Known
from fpgaflow.frontend.qonnx.folding import fold
from fpgaflow.frontend.qonnx.input_types import InputType, declare
from fpgaflow.frontend.qonnx.multithreshold import multithreshold
from fpgaflow.frontend.qonnx.onnx_file import Node, OnnxModel, model_of, parse_proto
from fpgaflow.frontend.qonnx.ports import import_input, import_output
from fpgaflow.frontend.qonnx.quant import quant
from fpgaflow.frontend.qonnx.schema import check_node
from fpgaflow.frontend.qonnx.shape_chains import ASK_SHAPE, as_const
from fpgaflow.frontend.qonnx.trunc import trunc
from fpgaflow.frontend.refuse import RefusedNodeError, refuse
from fpgaflow.ir.graph import Graph

Importer = Callable[[Context, Node], Known | tuple[Known | None, ...]]

ONNX_DOMAINS = ("", "ai.onnx")
QONNX_DOMAINS = ("", "onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general")

QONNX_OPS: dict[str, Importer] = {
    "BipolarQuant": quant,
    "IntQuant": quant,
    "MultiThreshold": multithreshold,
    "Quant": quant,
    "Trunc": trunc,
}
ONNX_OPS: dict[str, Importer] = {
    "Abs": activations.absolute,
    "Add": elementwise.add,
    "ArgMax": reduce.arg_max,
    "ArgMin": reduce.arg_min,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "Cast": qdq.cast,
    "Celu": activations.celu,
    "Clip": activations.clip,
    "Concat": merge.concat,
    "Conv": linear.conv,
    "ConvInteger": qdq.conv_integer,
    "ConvTranspose": transposed.conv_transpose,
    "DepthToSpace": moves.depth_to_space,
    "Div": elementwise.divide,
    "Dropout": elementwise.dropout,
    "Elu": activations.elu,
    "Erf": activations.erf,
    "Exp": activations.exponential,
    "Flatten": shapes.flatten,
    "Gather": moves.gather,
    "Gelu": activations.gelu,
    "Gemm": linear.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "HardSigmoid": activations.hard_sigmoid,
    "HardSwish": activations.hard_swish,
    "Hardmax": softmax.hardmax,
    "Identity": elementwise.identity,
    "LeakyRelu": activations.leaky_relu,
    "LogSoftmax": softmax.softmax,
    "MatMul": linear.matmul,
    "MatMulInteger": qdq.matmul_integer,
    "Max": merge.maximum,
    "MaxPool": pooling.max_pool,
    "Min": merge.minimum,
    "Mish": activations.mish,
    "Mul": elementwise.multiply,
    "Neg": elementwise.negate,
    "PRelu": activations.prelu,
    "Pad": moves.pad,
    "QLinearConv": qdq.qlinear_conv,
    "QLinearMatMul": qdq.qlinear_matmul,
    "ReduceMax": reduce.reduce_max,
    "ReduceMean": reduce.reduce_mean,
    "ReduceMin": reduce.reduce_min,
    "ReduceSum": reduce.reduce_sum,
    "Relu": elementwise.relu,
    "Reshape": shapes.reshape,
    "Resize": resize.resize,
    "Selu": activations.selu,
    "Sigmoid": activations.sigmoid,
    "Slice": moves.slice_,
    "Softmax": softmax.softmax,
    "Softplus": activations.softplus,
    "SpaceToDepth": moves.space_to_depth,
    "Split": moves.split,
    "Squeeze": shapes.squeeze,
    "Sub": elementwise.subtract,
    "Tanh": activations.tanh,
    "TopK": reduce.top_k,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
    "Upsample": resize.upsample,
}
QDQ_OPS: dict[str, Importer] = {
    "DequantizeLinear": qdq.dequantize_linear,
    "QuantizeLinear": qdq.quantize_linear,
}
CHANNELS_LAST_OPS: dict[str, Importer] = {
    "BatchNormalization": channels_last.batch_normalization,
    "Conv": channels_last.conv,
    "MaxPool": channels_last.max_pool,
}
TABLES: tuple[tuple[tuple[str, ...], dict[str, Importer]], ...] = (
    (QONNX_DOMAINS, QONNX_OPS),
    ((*ONNX_DOMAINS, "com.microsoft"), QDQ_OPS),
    (ONNX_DOMAINS, ONNX_OPS),
    (("qonnx.custom_op.channels_last",), CHANNELS_LAST_OPS),
)
# Importers that take constants as well, and keep their integers.
OWN_CONSTANTS = frozenset({*QONNX_OPS, "QuantizeLinear", "DequantizeLinear"})


def import_qonnx(path: Path, types: Mapping[str, InputType] = MappingProxyType({})) -> Graph:
    """The graph of a QONNX file, before any pass; `types` are declared for inputs that the file leaves float.

    Raises:
        BadInput: the file is no whole ONNX model, or has no such input.
        UnsupportedModel: with one problem per node that cannot be carried exactly.
    """
    proto = parse_proto(path)
    declare(proto, types, str(path))
    return import_model(model_of(proto, path), str(path))


def import_model(model: OnnxModel, where: str) -> Graph:
    if not model.outputs:
        raise BadInput(where, "has no output", "Export the model again")
    batches = {port.shape[0] or 1 for port in model.inputs if port.shape}
    ctx = Context(Builder(), model.opset, batches.pop() if len(batches) == 1 else 1, readers=_readers(model))
    ctx.known.update({name: Const(array) for name, array in model.constants.items()})
    ctx.room += 8 * sum(array.size for array in model.constants.values())
    problems: list[Problem] = []
    for port in model.inputs:
        try:
            ctx.known[port.name] = import_input(ctx, port)
        except RefusedNodeError as refusal:
            problems.append(refusal.problem)
            ctx.known[port.name] = Poison()
    read = ctx.readers
    for node in model.nodes:
        results = _import_node(ctx, node, problems)
        for position, name in enumerate(node.outputs):
            item = results[position] if position < len(results) else None
            if item is None and name in read:
                problems.append(Problem(str(node), f"its output '{name}' is not carried", "Use its first output"))
            if name:
                ctx.known[name] = Poison() if item is None else _noted(ctx, name, item)
    outputs = [import_output(ctx, port, problems) for port in model.outputs]
    if problems:
        raise UnsupportedModel(problems)
    graph = ctx.builder.graph(model.name, [output for output in outputs if output is not None])
    _check_inputs(graph, model)
    return graph


def _readers(model: OnnxModel) -> dict[str, frozenset[str]]:
    """The operators that read each tensor; "" stands for the model's outputs."""
    pairs = [(name, node.kind) for node in model.nodes for name in node.inputs]
    pairs += [(port.name, "") for port in model.outputs]
    kinds: dict[str, set[str]] = {}
    for name, kind in pairs:
        kinds.setdefault(name, set()).add(kind)
    return {name: frozenset(found) for name, found in kinds.items()}


def _check_inputs(graph: Graph, model: OnnxModel) -> None:
    used = {port.name for port in graph.inputs}
    if unused := [port.name for port in model.inputs if port.name not in used]:
        raise UnsupportedModel(
            [
                Problem(f"input '{name}'", "no node with integers reads it", "Remove it from the model")
                for name in unused
            ]
        )


def _import_node(ctx: Context, node: Node, problems: list[Problem]) -> tuple[Known | None, ...]:
    """What is known of each output; None where it is not carried."""
    known = [ctx.known[name] for name in node.inputs if name]
    constant = node.kind not in OWN_CONSTANTS and all(
        isinstance(item, Const) or (isinstance(item, Poison) and item.constant) for item in known
    )
    nothing = (Poison(constant),) * len(node.outputs)
    try:
        importer = None if constant or node.kind in ASK_SHAPE else _importer(node)
        if not node.outputs or not node.outputs[0]:
            refuse(str(node), "has no first output", "Export the model again")
        if constant and "" in node.inputs[: len(known)]:
            refuse(str(node), "leaves out an input between others", "Simplify the model: python -m onnxsim")
        check_node(node, ctx.opset)
        if any(isinstance(item, Poison) for item in known):
            linear.check_weights(ctx, node)  # of its own faults this one needs no input to be seen
            return nothing
        if importer is not None:
            found = importer(ctx, node)
            return found if isinstance(found, tuple) else (found,)
        folded = fold(node, [as_const(ctx, name) for name in node.inputs if name], ctx.room)
        ctx.spend(node, folded.values.size)
        return (folded,)
    except RefusedNodeError as refusal:
        bare = refusal.problem.where == f"node '{node.name}'"
        problems.append(replace(refusal.problem, where=str(node)) if bare else refusal.problem)
        return nothing


def _importer(node: Node) -> Importer:
    for domains, table in TABLES:
        if node.domain in domains and node.kind in table:
            return table[node.kind]
    domain = f" of domain '{node.domain}'" if node.domain else ""
    refuse(str(node), f"operator {node.kind}{domain} cannot be carried exactly", advice(node.kind, node.domain))


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
