"""Inputs of a model of one or several inputs, by name: what engines are compared on."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import GENERATED_SAMPLES, Samples, check_samples, generated_samples, load_samples


@dataclass(frozen=True)
class Feeds:
    """float32 arrays (N, ...) by the model's input names, in its order; `source` says where they come from."""

    arrays: Mapping[str, np.ndarray]
    source: str

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def first(self, count: int) -> Feeds:
        return Feeds({name: array[:count] for name, array in self.arrays.items()}, self.source)


def feeds_of(graph: Graph, samples: Samples) -> Feeds:
    """The samples of a model of one input."""
    return Feeds({graph.inputs[0].name: np.asarray(samples.x, dtype=np.float32)}, samples.source)


def generated_feeds(graph: Graph, count: int = GENERATED_SAMPLES) -> Feeds:
    """Values over the whole range of each input's quantiser, the same each time."""
    if len(graph.inputs) == 1:
        return feeds_of(graph, generated_samples(graph, count))
    random, arrays = np.random.default_rng(0), {}
    for port in graph.inputs:
        shape = (count, *graph.tensors[port.tensor].shape)
        integers = random.integers(port.low, port.high, size=shape, endpoint=True)
        arrays[port.name] = ((integers - float(port.offset)) / float(port.gain)).astype(np.float32)
    return Feeds(arrays, "generated: uniform over the range of each input's quantiser")


def load_feeds(graph: Graph, path: Path) -> Feeds:
    """The arrays of an `.npz` file: `x`, or for several inputs one of each name.

    Raises:
        BadInput: no such file, a damaged one, or one that does not fit the model.
    """
    if len(graph.inputs) == 1:
        return feeds_of(graph, load_samples(path))
    names = [port.name for port in graph.inputs]
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror or error})", "Give an .npz file") from None
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        found = f"is no whole .npz file ({error})"
        raise BadInput(str(path), found, f"Write it with numpy.savez(path, {names[0]}=..., ...)") from None
    check_samples(path, arrays, names)
    return Feeds({name: arrays[name].astype(np.float32) for name in names}, str(path.resolve()))
