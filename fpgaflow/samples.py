"""Data files: `.npz` with `x` (N, ...) in the model's input layout and, where there are labels, `y` (N,)."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph

GENERATED_SAMPLES = 128


@dataclass(frozen=True)
class Samples:
    """`x` (N, ...) float32 inputs, `y` (N,) int64 labels or None; `source` says where they come from."""

    x: np.ndarray
    y: np.ndarray | None
    source: str

    @cached_property
    def digest(self) -> str:
        state = hashlib.sha256()
        for array in (self.x, self.y):
            if array is not None:
                state.update(f"{array.shape}{array.dtype}".encode())
                state.update(np.ascontiguousarray(array).tobytes())
        return state.hexdigest()

    def __len__(self) -> int:
        return len(self.x)


def load_samples(path: Path) -> Samples:
    """The samples of an `.npz` file, or of an `.npy` file that holds `x` alone; x as float32, as models declare it.

    Raises:
        BadInput: no such file, a damaged one, one without samples `x`, or with labels that do not fit.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            named = loaded if isinstance(loaded, np.lib.npyio.NpzFile) else {"x": loaded}
            arrays = {name: np.asarray(array) for name, array in named.items()}  # an entry that is no .npy gives bytes
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror or error})", "Give an .npz file") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError) as error:
        raise BadInput(
            str(path), f"is no whole .npz file ({error})", "Write it with numpy.savez(path, x=..., y=...)"
        ) from None
    check_samples(path, arrays, ["x"])
    y = arrays["y"].astype(np.int64) if "y" in arrays else None
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which the simulator refuses
        return Samples(arrays["x"].astype(np.float32), y, str(path.resolve()))


class Described(Protocol):
    """An array, in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


def check_samples(path: Path, arrays: Mapping[str, Described], inputs: Sequence[str]) -> None:
    """Returns where every one of `inputs` is there with equally many samples, and the labels y, if any, fit them.

    Raises:
        BadInput: names what is missing or does not fit.
    """
    if missing := [name for name in inputs if name not in arrays]:
        found = f"holds {', '.join(sorted(arrays)) or 'nothing'}, but no {', '.join(missing)}"
        raise BadInput(str(path), found, f"Write it with numpy.savez(path, {missing[0]}=..., y=...)")
    for name in inputs:
        x = arrays[name]
        if x.dtype.kind not in "fiub" or not x.shape or not x.shape[0]:
            found = f"has {name} of shape {x.shape} and dtype {x.dtype}"
            raise BadInput(str(path), found, "Give real numbers of shape (N, ...), one sample or more")
    counts = {name: arrays[name].shape[0] for name in inputs}
    if len(set(counts.values())) > 1:
        raise BadInput(str(path), f"has {counts} samples", "Give as many samples to each input")
    x, y = arrays[inputs[0]], arrays.get("y")
    if y is not None and (y.shape != x.shape[:1] or y.dtype.kind not in "iu"):
        found = f"has labels y of shape {y.shape} and dtype {y.dtype} for x of shape {x.shape}"
        raise BadInput(str(path), found, "Give one integer label per sample")


def generated_samples(graph: Graph, count: int = GENERATED_SAMPLES) -> Samples:
    """Inputs without labels that reach the whole range of each model input's quantiser, the same each time."""
    random = np.random.default_rng(0)
    port = graph.inputs[0]
    integers = random.integers(port.low, port.high, size=(count, *graph.tensors[port.tensor].shape), endpoint=True)
    values = (integers - float(port.offset)) / float(port.gain)
    return Samples(values.astype(np.float32), None, "generated: uniform over the input quantiser's range")


def accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    """Share of samples whose largest output is the labelled one; the first of equals counts."""
    if labels is None or not len(labels):
        return None
    return hits(outputs, labels) / len(labels)


def hits(outputs: np.ndarray, labels: np.ndarray) -> int:
    """Samples whose largest output is the labelled one; the first of equals counts."""
    return int((outputs.reshape(len(outputs), -1).argmax(axis=1) == labels).sum())
