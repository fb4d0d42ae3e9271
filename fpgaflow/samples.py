"""Data files: `.npz` with `x` (N, ...) in the model's input layout and, where there are labels, `y` (N,).

Of a model of several inputs, an array of each one's name instead of `x`. In memory these are the fields of one
structured array, so that samples are counted and cut as those of one input.
"""

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
    """`x` (N, ...) float32 inputs, of several ones as `joined`; `y` (N,) int64 labels or None; where they come from."""

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


def joined(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Arrays (N, ...) of several inputs or outputs as the fields of one (N,); the array itself where it is the only."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    layout = [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()]
    together = np.empty(len(next(iter(arrays.values()))), dtype=layout)
    for name, array in arrays.items():
        together[name] = array
    return together


def by_name(x: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """What `joined` has put together: the array of each name; `x` itself for the only one."""
    if len(names) == 1:
        return {names[0]: x}
    return {name: x[name] for name in names}


def by_input(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    """The array of each of a model's inputs."""
    return by_name(x, [port.name for port in graph.inputs])


def input_names(graph: Graph) -> list[str]:
    """The arrays of a model's data file: `x`, or for several inputs their names."""
    return ["x"] if len(graph.inputs) == 1 else [port.name for port in graph.inputs]


def load_samples(path: Path, inputs: Sequence[str] | None = ("x",)) -> Samples:
    """The samples of an `.npz` file, or of an `.npy` file that holds `x` alone; x as float32, as models declare it.

    Args:
        inputs: as `input_names` gives them; None: `x`, or where that is not there, all arrays but labels.

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
        raise BadInput(str(path), f"is no whole .npz file ({error})", _how_to_write(inputs or ["x"])) from None
    if inputs is None:
        others = [name for name in arrays if name != "y"]
        inputs = ["x"] if "x" in arrays or len(others) < 2 else others
    check_samples(path, arrays, inputs)
    y = arrays["y"].astype(np.int64) if "y" in arrays and "y" not in inputs else None
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which the simulator refuses
        x = joined({name: arrays[name].astype(np.float32) for name in inputs})
    return Samples(x, y, str(path.resolve()))


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
        raise BadInput(str(path), found, _how_to_write(inputs))
    for name in inputs:
        x = arrays[name]
        if x.dtype.kind not in "fiub" or not x.shape or not x.shape[0]:
            found = f"has {name} of shape {x.shape} and dtype {x.dtype}"
            raise BadInput(str(path), found, "Give real numbers of shape (N, ...), one sample or more")
    counts = {name: arrays[name].shape[0] for name in inputs}
    if len(set(counts.values())) > 1:
        raise BadInput(str(path), f"has {counts} samples", "Give as many samples to each input")
    x, y = arrays[inputs[0]], None if "y" in inputs else arrays.get("y")
    if y is not None and (y.shape != x.shape[:1] or y.dtype.kind not in "iu"):
        found = f"has labels y of shape {y.shape} and dtype {y.dtype} for x of shape {x.shape}"
        raise BadInput(str(path), found, "Give one integer label per sample")


def _how_to_write(inputs: Sequence[str]) -> str:
    return f"Write it with numpy.savez(path, {', '.join(f'{name}=...' for name in inputs)}, y=...)"


def generated_samples(graph: Graph, count: int = GENERATED_SAMPLES) -> Samples:
    """Inputs without labels that reach the whole range of each model input's quantiser, the same each time."""
    random, arrays = np.random.default_rng(0), {}
    for port in graph.inputs:
        shape = count, *graph.tensors[port.tensor].shape
        integers = random.integers(port.low, port.high, size=shape, endpoint=True)
        arrays[port.name] = ((integers - float(port.offset)) / float(port.gain)).astype(np.float32)
    return Samples(joined(arrays), None, "generated: uniform over the input quantiser's range")


def accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    """Share of samples whose largest output is the labelled one; the first of equals counts."""
    if labels is None or not len(labels):
        return None
    return hits(outputs, labels) / len(labels)


def hits(outputs: np.ndarray, labels: np.ndarray) -> int:
    """Samples whose largest output is the labelled one; the first of equals counts."""
    return int((outputs.reshape(len(outputs), -1).argmax(axis=1) == labels).sum())
