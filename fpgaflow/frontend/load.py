"""`load`: whatever a user names as a model becomes a verified graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fpgaflow.errors import BadInput
from fpgaflow.frontend.keras.hgq import graph_from_hgq, is_hgq
from fpgaflow.frontend.keras.qkeras import is_keras, keras_to_qonnx
from fpgaflow.frontend.qonnx.importer import import_qonnx
from fpgaflow.frontend.qonnx.input_types import Given, parse_types, refuse_types
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph
from fpgaflow.passes import run_passes


def load(model: str | Path, *, input_type: Given = None) -> Graph:
    """The verified integer graph of a model file: QONNX (.onnx), QKeras (.h5, .keras), HGQ2 (.keras), or a saved graph.

    `FILE.h5:QUANTISER` puts a quantiser of QKeras before the inputs of a model that takes real numbers.

    Args:
        input_type: the type of inputs that the model itself leaves real, as "int8", "uint8/255" (integers times 1/255)
            or "fixed<8,1>" (width and integer bits); {NAME: TYPE} where there are several inputs.

    Raises:
        BadInput: no such file, or not a whole one; an input type that says nothing, or that no input can take.
        UnsupportedModel: with `.problems`, every node that cannot be carried exactly.
    """
    path, types = Path(model), parse_types(input_type)
    if is_keras(str(model)):
        with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
            converted = Path(scratch) / "model.onnx"
            keras_to_qonnx(str(model), converted)
            return run_passes(import_qonnx(converted, types))
    if path.is_dir() or not path.exists():
        raise BadInput(str(path), "is no file", "Give the path of an .onnx file")
    if path.suffix == ".onnx":
        return run_passes(import_qonnx(path, types))
    if path.suffix == ".json" or is_hgq(path):
        refuse_types(input_type, str(path))
    if path.suffix == ".json":
        return load_graph(path)
    if is_hgq(path):
        return run_passes(graph_from_hgq(path))
    raise BadInput(
        str(path), f"is of unknown kind '{path.suffix}'", "Give an .onnx, .h5 or .keras file, or a saved graph.json"
    )
