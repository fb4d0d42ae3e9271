"""A linter for QDQ files of any origin: what TensorRT would misread or refuse. What it does not know, it reports.

The traps were seen in TensorRT's ONNX parser and in exports of Brevitas' QCDQ: an int8 Clip between QuantizeLinear
and DequantizeLinear becomes bounds of (0, 0), and a uint8 zero-point becomes an int8 one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpgaflow.errors import Problem
from fpgaflow.frontend.qonnx.onnx_file import Node, OnnxModel, read_model

_INTEGER_OPS = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")
# Float ops without a quantisation meaning of their own.
_PLAIN_OPS = frozenset(
    {
        *("Abs", "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Concat", "Constant", "Conv"),
        *("ConvTranspose", "Div", "Dropout", "Equal", "Exp", "Expand", "Flatten", "Floor", "Gather", "Gemm", "Greater"),
        *("GlobalAveragePool", "GlobalMaxPool", "GreaterOrEqual", "HardSigmoid", "Identity", "LeakyRelu", "Less"),
        *("LayerNormalization", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "Pad", "Pow", "PRelu", "ReduceMax"),
        *("ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Sign", "Slice"),
        *("Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where"),
    }
)
_EXPORT = "fpgaflow engine --target tensorrt writes a file without it, from QONNX"


@dataclass(frozen=True)
class _File:
    model: OnnxModel
    makers: Mapping[str, Node]
    readers: Mapping[str, list[Node]]

    def constant(self, name: str) -> np.ndarray | None:
        """An initialiser, or the value of a Constant node."""
        if name in self.model.constants:
            return self.model.constants[name]
        maker = self.makers.get(name)
        value = maker.attributes.get("value") if maker is not None and maker.kind == "Constant" else None
        return value if isinstance(value, np.ndarray) else None


def lint_tensorrt(path: Path) -> list[Problem]:
    """What TensorRT would misread in an ONNX file; empty where it reads what is written.

    Raises:
        BadInput: the file is no whole ONNX model.
    """
    model = read_model(path)
    readers: dict[str, list[Node]] = {}
    for node in model.nodes:
        for name in filter(None, node.inputs):
            readers.setdefault(name, []).append(node)
    file = _File(model, {out: node for node in model.nodes for out in node.outputs}, readers)
    return [problem for node in model.nodes for problem in _node(file, node)]


def _node(file: _File, node: Node) -> Iterator[Problem]:
    where = str(node)
    if node.domain not in ("", "ai.onnx"):
        yield Problem(where, f"is of domain '{node.domain}', which TensorRT does not know", _EXPORT)
    elif node.kind in _RULES:
        yield from _RULES[node.kind](file, node)
    elif node.kind in _INTEGER_OPS:
        yield Problem(where, f"{node.kind} is not in TensorRT's parser", _EXPORT)
    elif node.kind not in _PLAIN_OPS:
        yield Problem(where, f"{node.kind} is not known to this linter", "Report it; nothing unknown passes")


def _scale_and_zero(file: _File, node: Node) -> Iterator[Problem]:
    where = str(node)
    scale = file.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if scale is None:
        yield Problem(where, "its scale is no constant", "Make it an initialiser")
        return
    if scale.dtype != np.float32:
        yield Problem(where, f"its scale is {scale.dtype}", "Use float32 scales")
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        yield Problem(where, "a scale is not positive and finite", "Calibrate it again")
    zero = file.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if zero is None:
        yield Problem(where, "has no constant zero-point: ONNX then means uint8", "Give an int8 zero-point of 0")
    elif zero.dtype == np.uint8:
        yield Problem(where, "a uint8 zero-point: TensorRT reads it as int8", f"Use int8 activations; {_EXPORT}")
    elif zero.dtype != np.int8:
        yield Problem(where, f"a zero-point of {zero.dtype}", "Use int8: narrower integers go into int8 as they are")
    elif np.any(zero):
        yield Problem(where, "a zero-point other than 0, which TensorRT refuses", "Use symmetric quantisation")


def _quantise(file: _File, node: Node) -> Iterator[Problem]:
    yield from _scale_and_zero(file, node)
    scale = file.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if scale is not None and scale.size > 1 and file.constant(node.inputs[0]) is None:
        yield Problem(str(node), f"{scale.size} scales of an activation", "Use one scale for the whole activation")
    for reader in file.readers.get(node.outputs[0], []):
        if reader.kind == "Clip":
            found = f"its int8 result goes through {reader}: TensorRT reads the bounds as (0, 0)"
            yield Problem(str(node), found, f"Clip in float before QuantizeLinear; {_EXPORT}")
        elif reader.kind not in ("DequantizeLinear", "Transpose", "Reshape"):
            yield Problem(str(node), f"its result goes to {reader}, not to a DequantizeLinear", _EXPORT)
    if node.outputs[0] in {port.name for port in file.model.outputs}:
        yield Problem(str(node), "is an output of the model", "Put a DequantizeLinear behind it")


def _dequantise(file: _File, node: Node) -> Iterator[Problem]:
    where, source = str(node), file.constant(node.inputs[0])
    if source is not None and source.dtype == np.int32:
        found = "dequantises int32 (a bias): TensorRT has no such layer"
        yield Problem(where, found, "Give the bias as float32, exact below 2^24")
        return
    yield from _scale_and_zero(file, node)
    if source is not None and source.dtype != np.int8:
        yield Problem(where, f"dequantises {source.dtype}", "Store weights as int8, whatever their bits")
    if source is None and (maker := file.makers.get(node.inputs[0])) is None:
        yield Problem(where, "dequantises an input of the model", "Let the model take float32")
    elif source is None and maker is not None and maker.kind not in ("QuantizeLinear", "Transpose", "Reshape", "Clip"):
        yield Problem(where, f"dequantises the result of {maker}", _EXPORT)


def _clip(file: _File, node: Node) -> Iterator[Problem]:
    bounds = [name for name in node.inputs[1:3] if name]
    if any(file.constant(name) is None for name in bounds):
        yield Problem(str(node), "its bounds are computed", "Fold them into constants")
    for name in bounds:
        found = file.constant(name)
        if found is not None and found.dtype != np.float32:
            yield Problem(str(node), f"clips {found.dtype}: TensorRT reads the bounds as (0, 0)", "Clip in float32")
            return


_RULES: Mapping[str, Callable[[_File, Node], Iterator[Problem]]] = {
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
    "Clip": _clip,
}
