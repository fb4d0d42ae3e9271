"""`fpgaflow.yaml`: what a project folder says of its model, data and board."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput

FILE = "fpgaflow.yaml"


class Flow(StrEnum):
    """How the hardware is made: hls4ml and Vitis HLS, or fpgaflow's own RTL."""

    HLS = "hls"
    RTL = "rtl"


@dataclass(frozen=True)
class Project:
    """Paths are absolute; what the file leaves out is None. `fpgaflow.training` reads `train` and `search`."""

    path: Path
    model: Path | None
    data: Path | None
    board: str | None
    flow: Flow | None
    fps: float | None
    has_recipe: bool
    input_type: str | Mapping[str, str] | None = None  # of inputs that the model leaves real, as `load` takes it


NO_PROJECT = Project(Path(FILE), None, None, None, None, None, has_recipe=False)

_TEXT, _NUMBER, _MAPPING = ("text", (str,)), ("number", (int, float)), ("mapping", (dict,))
_KEYS = {
    "model": _TEXT,
    "input_type": ("text, or mapping from inputs to texts", (str, dict)),
    "data": _TEXT,
    "board": _TEXT,
    "flow": _TEXT,
    "fps": _NUMBER,
    "train": _MAPPING,
    "search": _MAPPING,
}


def load_project(path: Path) -> Project:
    """The project file `path`.

    Raises:
        BadInput: no such file, no YAML, an unknown key, or a value of the wrong type; names the key.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BadInput(str(path), f"cannot be read: {' '.join(str(error).split())}", "Write YAML") from None
    if not isinstance(document, dict):
        raise BadInput(str(path), "holds no keys", f"Known keys: {', '.join(_KEYS)}")
    for key, value in document.items():
        _check(path, key, value)
    folder = path.resolve().parent
    flow = document.get("flow")
    if flow is not None and flow not in list(Flow):
        raise BadInput(f"{path}: flow", f"'{flow}' is unknown", f"Choose one of {', '.join(Flow)}")
    fps = document.get("fps")
    if fps is not None and not fps > 0:
        raise BadInput(f"{path}: fps", f"{fps} is not positive", "Give samples per second")
    return Project(
        path,
        folder / document["model"] if "model" in document else None,
        folder / document["data"] if "data" in document else None,
        document.get("board"),
        None if flow is None else Flow(flow),
        None if fps is None else float(fps),
        "train" in document,
        document.get("input_type"),
    )


def _check(path: Path, key: Any, value: Any) -> None:
    if key not in _KEYS:
        near = difflib.get_close_matches(str(key), _KEYS, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(_KEYS)}"
        raise BadInput(f"{path}: {key}", "is not a known key", hint)
    name, types = _KEYS[key]
    if not isinstance(value, types) or isinstance(value, bool):
        raise BadInput(f"{path}: {key}", f"{value!r} is no {name}", f"Give a {name}")


def find_project(folder: Path) -> Project | None:
    """The project of `folder`, if it has one."""
    path = folder / FILE
    return load_project(path) if path.is_file() else None


def bundled_project() -> Project:
    """The LeNet on scikit-learn's digits that comes with fpgaflow."""
    return load_project(data_dir("examples/lenet_digits") / FILE)
