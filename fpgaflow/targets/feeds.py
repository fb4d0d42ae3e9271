"""Inputs of a model of one or several inputs, by name: what engines are compared on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.samples import GENERATED_SAMPLES, Samples, by_input, generated_samples, input_names, load_samples


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
    arrays = by_input(graph, samples.x)
    return Feeds({name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}, samples.source)


def generated_feeds(graph: Graph, count: int = GENERATED_SAMPLES) -> Feeds:
    """Values over the whole range of each input's quantiser, the same each time."""
    return feeds_of(graph, generated_samples(graph, count))


def load_feeds(graph: Graph, path: Path) -> Feeds:
    """The arrays of an `.npz` file: `x`, or for several inputs one of each name.

    Raises:
        BadInput: no such file, a damaged one, or one that does not fit the model.
    """
    return feeds_of(graph, load_samples(path, input_names(graph)))
