"""Reads Keras model files as untrusted data: configuration and weights, no layer of Keras is made, no code is run."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput, MissingTool

KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
CONFIG = "model_config"
MAX_BYTES, _MAX_DEPTH, _SECONDS = 1 << 30, 16, 120


@dataclass(frozen=True)
class Layer:
    """`kind` is the class name, `inputs` the names of the layers that it reads, `weights` arrays by variable name.

    Keras 3 numbers its variables instead of naming them: '0', '1', ..., and 'batchnorm/0' of a fused batch norm.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: Mapping[str, np.ndarray]

    def __str__(self) -> str:
        return f"layer '{self.name}' ({self.kind})"


@dataclass(frozen=True)
class KerasModel:
    """`layers` in the file's order, which Keras writes inputs first; `outputs` names layers."""

    name: str
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]


def read_keras(path: Path) -> KerasModel:
    """The Sequential or Functional model in `path`: HDF5 (.h5, .hdf5), or Keras 3's archive (.keras).

    Raises:
        BadInput: no whole model file, weights outside of it, or a kind of model that is no chain or graph of layers.
        MissingTool: h5py is not installed.
    """
    if importlib.util.find_spec("h5py") is None:
        raise MissingTool(str(path), "is read with h5py, which is not installed", "pip install 'fpgaflow[keras]'")
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                text = archive_member(archive, "config.json")
                arrays = _hdf5(archive_member(archive, "model.weights.h5"))
        else:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError("the file is too large")
            arrays = _hdf5(path.read_bytes())
            text = arrays[CONFIG].tobytes()
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()  # text that is none fails here
        return _model(path, document, arrays, keras3=path.suffix == ".keras")
    except BadInput:
        raise
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror or error})", _WHOLE) from None
    except Exception as error:  # zipfile and json raise whatever a damaged file makes them
        found = f"is no whole Keras model ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        raise BadInput(str(path), found, _WHOLE) from None


def _hdf5(content: bytes) -> dict[str, np.ndarray]:
    """Arrays by path; another process reads the file, for the HDF5 library may crash on a damaged one."""
    script = str(Path(__file__).with_name("hdf5_dump.py"))
    ran = subprocess.run(
        [sys.executable, "-I", script], input=content, capture_output=True, timeout=_SECONDS, check=False
    )
    if ran.returncode:
        lines = ran.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(lines[-1] if lines else f"the HDF5 library crashed, status {ran.returncode}")
    with np.load(io.BytesIO(ran.stdout), allow_pickle=False) as loaded:
        return dict(loaded)


_WHOLE = "Save it again with model.save(path)"


def archive_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of an archive, whole; ValueError where it would fill the memory."""
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise ValueError(f"{name} is too large")
    return archive.read(name)


def _model(path: Path, document: Any, arrays: Mapping[str, np.ndarray], *, keras3: bool) -> KerasModel:
    kind, config = document["class_name"], document["config"]
    entries = config["layers"]
    if kind == "Sequential":
        if entries[0]["class_name"] != "InputLayer":
            shape = entries[0]["config"].get("batch_input_shape", config.get("build_input_shape"))
            first = {"class_name": "InputLayer", "config": {"name": "input", "batch_input_shape": shape}}
            entries = [first, *entries]
        names = [entry["config"]["name"] for entry in entries]
        inputs = [(), *((name,) for name in names[:-1])]
        outputs: tuple[str, ...] = (names[-1],)
    elif kind in ("Functional", "Model"):
        inputs = [_inbound(path, entry) for entry in entries]
        ends = config["output_layers"]
        outputs = tuple(end[0] for end in (ends if isinstance(ends[0], list) else [ends]))
    else:
        raise BadInput(str(path), f"holds a model of class '{kind}'", "Build it as a Sequential or Functional model")
    groups: Counter[str] = Counter()
    layers = []
    for entry, read in zip(entries, inputs, strict=True):
        name, kind = str(entry["config"]["name"]), str(entry["class_name"])
        weights = _numbered(arrays, kind, groups) if keras3 else _named(arrays, name)
        layers.append(Layer(name, kind, entry["config"], read, weights))
    if len({layer.name for layer in layers}) < len(layers):
        raise BadInput(str(path), "two layers share a name", _WHOLE)
    return KerasModel(str(config.get("name", path.stem)), tuple(layers), outputs)


def _inbound(path: Path, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The layers that a layer reads, by Keras 2's [[[name, node, tensor, {}], ...]] or Keras 3's serialised tensors."""
    nodes = entry["inbound_nodes"]
    if len(nodes) > 1:
        raise BadInput(
            f"{path}: layer '{entry['config']['name']}'", "is called more than once", "Give each call a layer"
        )
    if not nodes:
        return ()
    return tuple(_tensors(nodes[0], 0))


def _tensors(node: Any, depth: int) -> list[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [str(node["config"]["keras_history"][0])]
        return _tensors(node.get("args", []), depth + 1)
    if isinstance(node, list):
        if node and isinstance(node[0], str):
            return [node[0]]
        return [name for part in node for name in _tensors(part, depth + 1)]
    return []


def _named(arrays: Mapping[str, np.ndarray], layer: str) -> dict[str, np.ndarray]:
    """'/model_weights/dense/dense/kernel:0' → 'kernel'."""
    below = f"/model_weights/{layer}/"
    return {name.rsplit("/", 1)[-1].split(":")[0]: array for name, array in arrays.items() if name.startswith(below)}


def _numbered(arrays: Mapping[str, np.ndarray], kind: str, groups: Counter[str]) -> dict[str, np.ndarray]:
    """Keras 3 keeps weights below the snake-case class name, numbered by use: '/layers/dense_1/vars/0'."""
    stem = re.sub(
        r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    ).lower()
    name = f"{stem}_{groups[stem]}" if groups[stem] else stem
    groups[stem] += 1
    below, fused = f"/layers/{name}/vars/", f"/layers/{name}/batchnorm/vars/"
    own = {path.removeprefix(below): array for path, array in arrays.items() if path.startswith(below)}
    norm = {f"batchnorm/{p.removeprefix(fused)}": array for p, array in arrays.items() if p.startswith(fused)}
    return own | norm
