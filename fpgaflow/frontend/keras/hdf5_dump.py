"""The attribute and the arrays of an HDF5 file on stdin, as .npz on stdout: a program of its own, run by keras_file.

The HDF5 library is written in C and may crash on a damaged file; in here that ends this process alone.
"""

from __future__ import annotations

import io
import sys
from math import prod
from typing import Any

import h5py
import numpy as np

MAX_ELEMENTS, MAX_OBJECTS, MAX_DEPTH = 1 << 26, 1 << 16, 16  # a small file must not fill the memory
CONFIG = "model_config"


def dump(file: h5py.File) -> dict[str, Any]:
    """Arrays of numbers by path, and the attribute `model_config`; links and data that lie elsewhere are left out."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    room = MAX_ELEMENTS

    def visit(group: h5py.Group, path: str, depth: int) -> None:
        nonlocal room
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:  # hard links may make a circle
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS or depth > MAX_DEPTH:
                raise ValueError("too many objects")
            if isinstance(item, h5py.Group):
                visit(item, f"{path}{name}/", depth + 1)
            elif not item.external and not item.is_virtual and item.dtype.kind in "fiu":
                room -= prod(item.shape)
                if room < 0:
                    raise ValueError("its weights are too large")
                found[f"{path}{name}"] = np.asarray(item[()])

    visit(file, "/", 0)
    if CONFIG in file.attrs:
        text = file.attrs[CONFIG]
        found[CONFIG] = np.frombuffer(text.encode() if isinstance(text, str) else bytes(text), np.uint8)
    return found


if __name__ == "__main__":
    buffer = io.BytesIO()
    try:
        with h5py.File(io.BytesIO(sys.stdin.buffer.read()), "r") as opened:
            np.savez(buffer, **dump(opened))
    except Exception as error:  # h5py raises whatever a damaged file makes it
        sys.exit(f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(buffer.getvalue())
