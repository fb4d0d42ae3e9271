"""HGQ2 models (.keras): hls4ml's converter derives their exact types, its ModelGraph is read as any other.

Keras has to build the layers for that, so the file is looked at before: it may name classes of Keras and HGQ2 alone,
and none that runs code of the file's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.frontend.keras.file import archive_member
from fpgaflow.ir.graph import Graph

_MODULES = re.compile(
    r"keras(\.(layers|initializers|regularizers|constraints|activations|src\.models\.\w+))?|hgq(\.\w+)+"
)
_CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "DPModel"}
_MAX_DEPTH = 200


def is_hgq(path: Path) -> bool:
    """Whether `path` is a Keras 3 archive with layers of HGQ2; False for what is none or cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(module.startswith("hgq") for module, _ in _classes(_document(archive), 0))
    except Exception:  # zipfile raises whatever a damaged archive makes it
        return False


def graph_from_hgq(path: Path) -> Graph:
    """The graph of an HGQ2 model, before any pass.

    Raises:
        BadInput: the file names what is no class of Keras or HGQ2, or Keras or hls4ml cannot read it.
        UnsupportedModel: with a problem for every layer whose arithmetic a graph cannot hold exactly.
        MissingTool: Keras 3, HGQ2 or torch is not installed.
    """
    with zipfile.ZipFile(path) as archive:
        for module, name in _classes(_document(archive), 0):
            if not _MODULES.fullmatch(module) or not re.fullmatch(r"[A-Z]\w*", name) or name in _CODE:
                found = f"names {module}.{name}, which is no plain layer of Keras or HGQ2"
                raise BadInput(str(path), found, "Build the model of Keras' and HGQ2's own layers, with no code inside")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from fpgaflow.frontend.hls4ml.model import from_hls4ml

    try:
        with (
            contextlib.redirect_stdout(sys.stderr),
            warnings.catch_warnings(),
            tempfile.TemporaryDirectory() as scratch,
        ):
            warnings.simplefilter("ignore")
            import hgq.layers  # noqa: F401  # registers its classes with Keras
            import hls4ml
            import keras

            model = keras.models.load_model(path, compile=False, safe_mode=True)
            config = {"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "Latency"}}  # none is used
            converted = hls4ml.converters.convert_from_keras_model(
                model, hls_config=config, output_dir=scratch, backend="Vitis", io_type="io_parallel"
            )
    except ModuleNotFoundError as error:
        fix = "pip install 'fpgaflow[keras]'"
        raise MissingTool(str(path), f"is read with {error.name}, which is not installed", fix) from None
    except Exception as error:  # both raise whatever they meet
        found = f"cannot be converted ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        raise BadInput(
            str(path), found, "hls4ml has to take the model: hls4ml.converters.convert_from_keras_model"
        ) from None
    return from_hls4ml(converted)


def _document(archive: zipfile.ZipFile) -> Any:
    return json.loads(archive_member(archive, "config.json"))


def _classes(part: Any, depth: int) -> list[tuple[str, str]]:
    """(module, class) of every serialised object."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(part, list):
        return [found for each in part for found in _classes(each, depth + 1)]
    if not isinstance(part, dict):
        return []
    inner = [found for key, each in part.items() if key != "compile_config" for found in _classes(each, depth + 1)]
    if "class_name" in part and part["class_name"] != "__keras_tensor__":
        inner.append((str(part.get("module") or ""), str(part["class_name"])))
    return inner
