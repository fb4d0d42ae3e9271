"""A float ONNX model as a torch.fx module of plain torch layers, which Brevitas can quantise."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import fx

from fpgaflow.errors import BadInput, Problem, UnsupportedModel
from fpgaflow.frontend.exact.values import Const
from fpgaflow.frontend.qonnx.folding import fold
from fpgaflow.frontend.qonnx.onnx_file import Node, read_model
from fpgaflow.frontend.refuse import RefusedNodeError, refuse
from fpgaflow.training.onnx_layers import LAYERS, Build

_ROOM, _MAX_INPUT_ELEMENTS = 1 << 26, 1 << 24  # of folded constants, of one sample
_QUANTISED = (
    *("Quant", "IntQuant", "BipolarQuant", "MultiThreshold", "Trunc", "FloatQuant"),
    *("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"),
)
_CARRIED = f"Carried are: {', '.join(sorted(LAYERS))}"
_ADVICE = {
    "Softmax": "Leave it out: the largest logit is the largest probability",
    "LogSoftmax": "Leave it out: the largest logit is the largest probability",
    "Sigmoid": "Leave a last sigmoid out and compare the logit with 0; inside of the model use ReLU",
}


def module_from_onnx(path: Path) -> tuple[fx.GraphModule, tuple[int, ...]]:
    """(the module, shape of one input sample) of a float model with one input and one output.

    Layers bear their nodes' names. Constants are folded, what follows a MatMul as its bias is its bias.

    Raises:
        BadInput: the file is no whole ONNX model, or has more than one input or output, or no fixed shapes.
        UnsupportedModel: names every node that has no torch layer here, or that is quantised already.
    """
    model = read_model(path)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        found = f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise BadInput(str(path), found, "Give a model with one of each")
    (port,) = model.inputs
    if port.shape is None or len(port.shape) < 2 or None in port.shape[1:]:
        raise BadInput(
            f"input '{port.name}'", f"has the shape {port.shape}", "Export it with fixed dimensions, (N, ...)"
        )
    shape = tuple(n for n in port.shape[1:] if n is not None)
    if prod(shape) > _MAX_INPUT_ELEMENTS:
        raise BadInput(
            f"input '{port.name}'", f"has {prod(shape)} elements", f"At most {_MAX_INPUT_ELEMENTS} are carried"
        )
    read = [name for node in model.nodes for name in node.inputs] + [port.name for port in model.outputs]
    build = Build(dict(model.constants), Counter(read))
    build.place(port.name, build.graph.placeholder("x"), torch.zeros(1, *shape))
    problems: list[Problem] = []
    for node in model.nodes:
        if any(name in build.refused for name in node.inputs):
            build.refused.update(node.outputs)
            continue
        try:
            _convert(build, node)
        except RefusedNodeError as refusal:
            problems.append(refusal.problem)
            build.refused.update(node.outputs)
    if problems:
        raise UnsupportedModel(problems)
    if model.outputs[0].name not in build.made:
        raise BadInput(f"output '{model.outputs[0].name}'", "does not depend on the input", "Export the model again")
    build.graph.output(build.made[model.outputs[0].name])
    return fx.GraphModule(build.modules, build.graph).eval(), shape


def _convert(build: Build, node: Node) -> None:
    if node.kind in _QUANTISED:
        refuse(str(node), "is a quantiser already", "Give the float model; this one goes to `fpgaflow build` as it is")
    if not node.outputs or not node.outputs[0]:
        refuse(str(node), "has no output", "Export the model again")
    if node.kind == "Shape" or all(name in build.constants for name in node.inputs if name):
        known = [build.constants.get(name) for name in node.inputs if name]
        inputs = [
            Const(np.broadcast_to(np.False_, tuple(build.example[name].shape)) if array is None else array)
            for name, array in zip(filter(None, node.inputs), known, strict=True)
        ]
        build.constants[node.outputs[0]] = fold(node, inputs, _ROOM).values
        return
    convert = LAYERS.get(node.kind) if node.domain in ("", "ai.onnx") else None
    if convert is None:
        refuse(str(node), f"operator {node.kind} has no quantised form here", _ADVICE.get(node.kind, _CARRIED))
    convert(build, node)
