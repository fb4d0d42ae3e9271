"""What a finished build leaves behind, read back; and array files written whole."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.boards import Board, is_board_file, load_board
from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic

MANIFEST = "manifest.json"
GRAPH, QONNX, FIRMWARE, CSIM, RTL = "graph.json", "model.qonnx", "firmware", "csim", "rtl"


def manifest_of(folder: Path) -> tuple[dict[str, Any], Path]:
    """The manifest of a build folder, and the path of its graph.

    Raises:
        BadInput: the folder holds no finished build.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        return manifest, folder / manifest["graph"]
    except OSError:
        raise BadInput(str(folder), f"holds no {MANIFEST}", "Give a folder that `fpgaflow build` finished") from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(str(path), "is damaged", "Build again") from None


def keep_board(given: str, folder: Path) -> str | None:
    """Copies the user's own board file beside the build, under its name; None where `given` names a bundled board."""
    if not is_board_file(given):
        return None
    path = Path(given)
    write_atomic(folder / path.name, path.read_bytes())
    return path.name


def board_of(folder: Path, manifest: Mapping[str, Any]) -> Board:
    """The board of a build: a bundled one, or the user's own out of the file that `keep_board` wrote.

    Raises:
        BadInput: no such board, or its file is gone or broken.
    """
    own = manifest.get("board_file")
    return load_board(str(folder / Path(str(own)).name if own else manifest["board"]))


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an `.npz` file, whole or not at all; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(buffer, **named)
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise BadInput(str(path), f"cannot be written ({error.strerror})", "Choose another place") from None
