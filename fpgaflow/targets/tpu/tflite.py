"""The graph as int8 TFLite, with its own scales: for LiteRT, and for Edge TPU's compiler.

A layer takes in the quantiser behind it, as TFLite's int8 kernels do; what has no quantiser behind it, such as the
last layer, is computed in float32 on values that float32 holds. Inputs and outputs are float32.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from fpgaflow.errors import Problem, ToolFailed, UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Concat, Pad
from fpgaflow.targets.certificate import Certificate
from fpgaflow.targets.refused import Refused
from fpgaflow.targets.tpu.lite_layers import LayerWriter
from fpgaflow.targets.tpu.lite_writer import INSTEAD, Held

EDGE_TPU = "edgetpu_compiler"
_RUN_BATCH = 64


@dataclass(frozen=True)
class TfLite:
    """`content` is the file, which runtimes that can resize its inputs run with any batch."""

    content: bytes
    certificate: Certificate


def emit_tflite(graph: Graph, batch: int = 1) -> TfLite:
    """
    Raises:
        UnsupportedModel: with one problem per op that has no form in TFLite.
    """
    writer = _Writer(graph, batch)
    content = writer.write()
    if writer.problems:
        raise UnsupportedModel(writer.problems)
    return TfLite(content, Certificate(tuple(writer.entries)))


def check_tflite(graph: Graph) -> list[Problem]:
    writer = _Writer(graph, 1)
    writer.write()
    return writer.problems


class Kernels(Enum):
    """LiteRT's own, without the XNNPACK delegate, which rounds otherwise."""

    REFERENCE = OpResolverType.BUILTIN_REF
    OPTIMISED = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def run_tflite(content: bytes, inputs: Sequence[np.ndarray], kernels: Kernels = Kernels.REFERENCE) -> list[np.ndarray]:
    """Outputs (N, ...) float32 for inputs (N, ...), by LiteRT on this machine's processor."""
    runtime = Interpreter(model_content=content, experimental_op_resolver_type=kernels.value)
    parts: list[list[np.ndarray]] = []
    ports, results = runtime.get_input_details(), runtime.get_output_details()
    size = 0
    for start in range(0, len(inputs[0]), _RUN_BATCH):
        chunk = [np.ascontiguousarray(x[start : start + _RUN_BATCH], dtype=np.float32) for x in inputs]
        if len(chunk[0]) != size:
            size = len(chunk[0])
            for port, x in zip(ports, chunk, strict=True):
                runtime.resize_tensor_input(port["index"], x.shape)
            runtime.allocate_tensors()
        for port, x in zip(ports, chunk, strict=True):
            runtime.set_tensor(port["index"], x)
        runtime.invoke()
        parts.append([runtime.get_tensor(result["index"]).copy() for result in results])
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def tflite_step(content: bytes, inputs: Sequence[np.ndarray], threads: int) -> Callable[[], None]:
    """A run on inputs (N, ...) that are ready, by LiteRT's optimised kernels.

    Raises:
        ToolFailed: they do not carry the model.
    """
    kernels = Kernels.OPTIMISED.value
    runtime = Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=kernels)
    try:
        for port, x in zip(runtime.get_input_details(), inputs, strict=True):
            runtime.resize_tensor_input(port["index"], x.shape)
        runtime.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ToolFailed("LiteRT", f"does not run the engine: {error}", "Please report the model") from None
    for port, x in zip(runtime.get_input_details(), inputs, strict=True):
        runtime.set_tensor(port["index"], x)
    return runtime.invoke


def edge_tpu_command(file: str) -> str | None:
    """The command for Edge TPU's compiler, where it is installed."""
    return f"{EDGE_TPU} --show_operations {file}" if shutil.which(EDGE_TPU) else None


class _Writer(LayerWriter):
    def write(self) -> bytes:
        graph = self.graph
        inputs = [self.input(port) for port in graph.inputs]
        for op in graph.ops:
            if op.output in self.done:
                continue
            try:
                self._op(op)
            except Refused as refusal:
                self.problems.append(refusal.problem(op))
                self.held.setdefault(op.output, Held(0, None))
        if self.problems:
            return b""
        outputs = [self.output(port) for port in graph.outputs]
        self.file.ports(inputs, outputs)
        return self.file.content()

    def _op(self, op: Op) -> None:
        match op:
            case Dense() | Conv():
                self.layer(op, *self.linear(op))
            case Pool(kind=PoolKind.MAX):
                self.max_pool(op)
            case Pool():
                self.layer(op, *self.sum_pool(op))
            case Add():
                self.add(op)
            case Reshape() | Transpose() | Concat() | Pad():
                self.move(op)
            case Relu():
                number = self.step(
                    "MAXIMUM",
                    self.real(op.inputs[0]),
                    self.shape(op.output),
                    op.output,
                    0.0,
                    schema.MaximumMinimumOptionsT(),
                )
                self.in_float(op, number)
            case Cast():
                self.cast(op)
            case Threshold():
                raise Refused("thresholds that stand behind no layer", INSTEAD)
            case _:
                raise Refused(f"{type(op).__name__} has no int8 kernel in TFLite that is followed here", INSTEAD)
