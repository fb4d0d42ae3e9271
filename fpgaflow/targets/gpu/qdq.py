"""The strict QDQ ONNX of a graph: one file that no engine can misread, with the proof that its bits are the graph's.

Weights are int8 initialisers behind a DequantizeLinear, activations go through QuantizeLinear (int8, zero-point 0,
power-of-two scale, clamped in float before) and DequantizeLinear, biases are float32, and all else is float32 on
values that float32 holds. So an engine that fuses int8 kernels and one that runs every node in float32 give the same
bits. TF32, float16 and bfloat16 must be off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from onnx import ModelProto, TensorProto, checker, helper

from fpgaflow.errors import Problem, UnsupportedModel
from fpgaflow.frontend.exact.values import is_power_of_two
from fpgaflow.ir.graph import Graph, Input, Output, rename_inputs
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Concat, Elementwise, MatMul, Pad, Scale, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import Overflow
from fpgaflow.passes.rewrite import fresh
from fpgaflow.targets.certificate import Certificate, Entry
from fpgaflow.targets.gpu import elementwise, products, rounding
from fpgaflow.targets.gpu.emitter import EXACT, Emitter, in_int8, unit
from fpgaflow.targets.refused import Refused

OPSET, IR_VERSION = 17, 9

EMITTERS: Mapping[type[Op], Callable[[Emitter, Any], None]] = {
    Add: elementwise.add,
    Cast: elementwise.cast,
    Concat: elementwise.concat,
    Conv: products.conv,
    Dense: products.dense,
    Elementwise: elementwise.elementwise,
    Lookup: elementwise.lookup,
    MatMul: elementwise.matmul,
    OneHotMax: elementwise.one_hot_max,
    Pad: elementwise.pad,
    Piecewise: elementwise.piecewise,
    Pool: products.pool,
    Relu: elementwise.relu,
    Reshape: elementwise.reshape,
    Scale: elementwise.scale,
    Take: elementwise.take,
    Threshold: elementwise.threshold,
    Transpose: elementwise.transpose,
}


@dataclass(frozen=True)
class Layout:
    """The name of a tensor in the ONNX model, and whether it lies channels-first there."""

    onnx: str
    first: bool


@dataclass(frozen=True)
class Qdq:
    """The ONNX model (inputs and outputs bear the model's own names and layouts, float32, batch N) and its proof.

    `layouts` tells how each tensor of the graph lies there, in the graph's order.
    `saturating` are the nodes whose weights some int8 kernels of ONNX Runtime saturate on: see `Int8.saturates`.
    """

    model: ModelProto
    certificate: Certificate
    saturating: tuple[str, ...]
    layouts: Mapping[str, Layout]


def check_qdq(graph: Graph) -> list[Problem]:
    """What of the graph cannot be carried exactly; empty where `emit_qdq` succeeds."""
    return _emitted(_with_free_names(graph), False)[1]


def emit_qdq(graph: Graph, *, dense_as_conv: bool = False) -> Qdq:
    """The graph's QDQ model and its certificate.

    Args:
        dense_as_conv: dense layers over vectors become convolutions over one place.

    Raises:
        UnsupportedModel: with one problem per op that an engine cannot carry exactly.
    """
    own_names, graph = list(graph.tensors), _with_free_names(graph)
    emitter, problems, entries = _emitted(graph, dense_as_conv)
    if problems:
        raise UnsupportedModel(problems)

    def info(name: str, tensor: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *graph.tensors[tensor].shape])

    proto = helper.make_graph(
        emitter.nodes,
        graph.name or "fpgaflow",
        [info(f"{port.name}", port.tensor) for port in graph.inputs],
        [info(_output_name(graph, port), port.tensor) for port in graph.outputs],
        emitter.initialisers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION, producer_name="fpgaflow")
    checker.check_model(model, full_check=True)
    saturating = tuple(op.node for op in graph.ops if emitter.int8.get(op.name, False))
    layouts = {own: Layout(new, new in emitter.first) for own, new in zip(own_names, graph.tensors, strict=True)}
    order = [*(port.tensor for port in graph.inputs), *(op.output for op in graph.ops)]
    in_order = {own: layout for name in order for own, layout in layouts.items() if layout.onnx == name}
    return Qdq(model, Certificate(tuple(entries)), saturating, in_order)


def _with_free_names(graph: Graph) -> Graph:
    """The graph with no tensor that bears the name of an input or output of the model, which hold reals."""
    ports = {port.name for port in graph.inputs} | {port.name for port in graph.outputs}
    names = {
        name: fresh(f"{name}.integers", {**graph.tensors, **dict.fromkeys(ports)})
        for name in graph.tensors
        if name in ports
    }
    if not names:
        return graph

    def new(name: str) -> str:
        return names.get(name, name)

    return replace(
        graph,
        inputs=tuple(replace(port, tensor=new(port.tensor)) for port in graph.inputs),
        outputs=tuple(replace(port, tensor=new(port.tensor)) for port in graph.outputs),
        ops=tuple(replace(rename_inputs(op, names), output=new(op.output)) for op in graph.ops),
        tensors={new(name): replace(tensor, name=new(name)) for name, tensor in graph.tensors.items()},
    )


def _emitted(graph: Graph, dense_as_conv: bool) -> tuple[Emitter, list[Problem], list[Entry]]:
    problems: list[Problem] = []
    entries: list[Entry] = []
    emitter = Emitter(graph, dense_as_conv)
    emitter.reserve([*(port.name for port in graph.inputs), *(_output_name(graph, port) for port in graph.outputs)])
    for port in graph.inputs:
        entries.append(_input(emitter, port))
    for op in graph.ops:
        emit = EMITTERS.get(type(op))
        try:
            if emit is None:
                raise Refused(f"{type(op).__name__} has no exact form in an engine", "Leave it to the host, or to FPGA")
            emit(emitter, op)
            entries.append(_entry(op, emitter))
        except Refused as refusal:
            problems.append(refusal.problem(op))
            emitter.nodes.append(helper.make_node("Identity", [op.inputs[0]], [op.output]))
    for out in graph.outputs:
        entries.append(_output(emitter, out))
    return emitter, problems, entries


def _entry(op: Op, emitter: Emitter) -> Entry:
    name, kind, graph = op.name, type(op).__name__, emitter.graph
    result = graph.type_of(op.output)
    if isinstance(op, Linear):
        reached = products.reach(op, graph)
        arithmetic = "int8 products, int32 or float32 sums" if name in emitter.int8 else "float32 (TF32 off)"
        return Entry(name, kind, arithmetic, True, f"every partial sum is an integer below 2^24 = {EXACT}", reached)
    reached = max(-result.low, result.high)
    return Entry(name, kind, "float32", True, "power-of-two units, integers within 2^24", reached)


def _output_name(graph: Graph, port: Output) -> str:
    """The port's own name, which an input may bear too."""
    taken = {other.name for other in graph.inputs}
    return f"{port.name}.out" if port.name in taken else port.name


def _input(e: Emitter, port: Input) -> Entry:
    """The quantiser at the border: integer = overflow(round(x × gain + offset))."""
    type_ = e.graph.type_of(port.tensor)
    exact = is_power_of_two(port.gain) and port.offset == 0
    why = "a power-of-two factor is exact in float32"
    if not exact:
        why = f"x × {float(port.gain)} + {float(port.offset)} is rounded to float32: inputs next to a tie may differ"
    if port.overflow not in (Overflow.SAT, Overflow.SAT_SYM):
        exact, why = (
            False,
            f"{why}; beyond ±2^24 units the overflow {port.overflow.value} is computed from rounded sums",
        )
    if port.ap_int:
        exact, why = False, f"{why}; hls4ml's conversion to ap_int of values in (-0.5, 0) is not followed"
    near, one = port.tensor, unit(type_)
    whole = port.name
    plain = exact and port.rounding.value == "RND_CONV" and in_int8(port.low, port.high)
    if plain:
        grid = 1 / port.gain
        clamped = rounding.clamp(e, whole, port.low * grid, port.high * grid, near)
        if grid == one:
            e.quantise_as(clamped, grid, port.tensor)
        else:
            e.node("Mul", [e.quantise(clamped, grid, near), e.number(one / grid, f"{near}.unit")], port.tensor)
        return Entry(port.name, "Input", "float32", exact, why)
    whole = e.step("Mul", [whole, e.nearest(port.gain, f"{near}.gain")], near)
    if port.offset:
        whole = e.step("Add", [whole, e.nearest(port.offset, f"{near}.offset")], near)
    if port.overflow in (Overflow.SAT, Overflow.SAT_SYM):  # first, so that what is rounded is small
        whole = rounding.clamp(e, whole, Fraction(port.low), Fraction(port.high), near)
        whole = rounding.round_(e, whole, port.rounding, near)
    else:
        whole = rounding.round_(e, whole, port.rounding, near)
        whole = rounding.wrapped(e, whole, type_, port.overflow, near)
    e.node("Mul", [whole, e.number(one, f"{near}.unit")], port.tensor)
    return Entry(port.name, "Input", "float32", exact, why)


def _output(e: Emitter, port: Output) -> Entry:
    """value = integer × scale + offset, of which float32 may round the last bit where the scale is no power of two."""
    type_, name = e.graph.type_of(port.tensor), _output_name(e.graph, port)
    x, one = e.lying(port.tensor, False), unit(type_)
    scales = [scale / one for scale in port.scale]
    if len(scales) == 1 and scales[0] == 1 and not any(port.offset):
        e.node("Identity", [x], name)
        return Entry(name, "Output", "float32", True, "the value itself")
    exact = all(is_power_of_two(abs(s)) for s in scales if s) and not any(port.offset)
    for kind, values, neutral in (("Mul", scales, 1), ("Add", list(port.offset), 0)):
        if any(value != neutral for value in values):
            x = e.step(kind, [x, e.entries(values, port)], name)
    e.node("Identity", [x], name)
    why = (
        "power-of-two scales"
        if exact
        else "its scale or offset is applied in float32, which rounds; integers are exact"
    )
    return Entry(name, "Output", "float32", exact, why)
