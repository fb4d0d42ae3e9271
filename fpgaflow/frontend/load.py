"""`load`: whatever a user names as a model becomes a verified graph."""

from __future__ import annotations

from pathlib import Path

from fpgaflow.errors import BadInput
from fpgaflow.frontend.qonnx import import_qonnx
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph
from fpgaflow.passes import run_passes


def load(model: str | Path) -> Graph:
    """The verified integer graph of a model file: QONNX (`.onnx`), or a saved graph (`.json`).

    Raises:
        BadInput: no such file, or not a whole one.
        UnsupportedModel: with `.problems`, every node that cannot be carried exactly.
    """
    path = Path(model)
    if path.is_dir() or not path.exists():
        raise BadInput(str(path), "is no file", "Give the path of an .onnx file")
    if path.suffix == ".json":
        return load_graph(path)
    if path.suffix == ".onnx":
        return run_passes(import_qonnx(path))
    raise BadInput(
        str(path), f"is of unknown kind '{path.suffix}'", "Give an .onnx file (QONNX), or a saved graph.json"
    )
