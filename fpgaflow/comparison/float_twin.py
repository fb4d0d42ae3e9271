"""The float network inside a QONNX file: the same nodes without quantisers, for a processor's own speed in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, helper

from fpgaflow.errors import BadInput

_QUANTISERS = {"Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant"}
_STANDARD = {"", "ai.onnx", "ai.onnx.ml"}


def float_model(model: ModelProto) -> ModelProto:
    """A copy whose quantisers pass on what they are given, so that only the batch axis and standard nodes are left.

    Raises:
        BadInput: another node of QONNX's or FINN's own computes there.
    """
    made = ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    instead: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
        if node.op_type in _QUANTISERS:
            instead[node.output[0]] = node.input[0]
        elif node.domain not in _STANDARD:
            found = f"computes in the domain '{node.domain}', which float32 has no counterpart for"
            raise BadInput(f"node '{node.name}' ({node.op_type})", found, "Leave out the float row")
        else:
            kept.append(node)
    for output in graph.output:
        if output.name in instead:
            kept.append(helper.make_node("Identity", [instead[output.name]], [output.name]))
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [port for port in graph.input if port.name not in constants]  # old files list constants as inputs too
    del graph.input[:]
    graph.input.extend(inputs)
    held = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(held)
    del graph.value_info[:]
    for port in (*graph.input, *graph.output):
        if port.type.tensor_type.shape.dim:
            port.type.tensor_type.shape.dim[0].dim_param = "N"
    domains = [entry for entry in made.opset_import if entry.domain in _STANDARD]
    del made.opset_import[:]
    made.opset_import.extend(domains)
    return made


def float_session(path: Path, feed: Mapping[str, np.ndarray]) -> Any:
    """An ONNX Runtime session of a QONNX file's float network.

    Args:
        feed: (N, ...) float32 samples of each input, run once: a network that takes one at a time alone is refused.

    Raises:
        BadInput: no ONNX file, or a network that is not there in float32.
    """
    import onnxruntime as ort

    if path.suffix != ".onnx":
        raise BadInput(str(path), "is no ONNX file", "Leave out the float row")
    try:
        made = float_model(onnx.load(path))
        session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, dict(feed))
    except BadInput:
        raise
    except (OSError, ValueError, DecodeError) as error:
        raise BadInput(str(path), f"cannot be read ({error})", "Give an ONNX file") from None
    except Exception as error:  # onnxruntime raises its own kinds
        raise BadInput(str(path), f"does not run in float32: {error}", "Leave out the float row") from None
    return session
