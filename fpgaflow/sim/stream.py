"""Simulation of data that need not fit into memory: read, computed and written a block of samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.samples import check_samples, hits
from fpgaflow.sim.counts import OverflowCount
from fpgaflow.sim.readers import Stored, open_arrays
from fpgaflow.sim.run import Progress, Simulator
from fpgaflow.sim.writers import open_writer

Array = np.ndarray
Blocks = Iterator[list[Array]]  # one array per model input
Run = Callable[[Blocks], Iterable[Mapping[str, Array]]]  # named results of each block, in order

_BLOCK_BYTES = 1 << 26
_CHUNKS_PER_WORKER = 64  # of the engine, in a block: enough to keep its threads busy


@dataclass(frozen=True)
class Streamed:
    """What `simulate_file` did.

    Attributes:
        samples: how many.
        shapes: of each array that was computed, by name, without the samples.
        accuracy: share of samples whose largest output is the labelled one; None without labels.
    """

    samples: int
    shapes: Mapping[str, tuple[int, ...]]
    accuracy: float | None


def simulate_file(
    simulator: Simulator,
    data: Path,
    out: Path | None = None,
    *,
    trace: bool = False,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Streamed:
    """The model's exact outputs for a file of samples, with bounded memory.

    Args:
        data: `.npz` or Zarr with x (N, ...) and perhaps labels y (N,), `.npy` with x alone; of a model with several
            inputs one array each, by the inputs' names.
        out: `.npz`, `.npy` or `.zarr` to write float64 arrays to: y, or one per model output by its name.
        trace: writes every tensor too, by its name.
        run: computes the blocks; by default the simulator itself, on this machine.
        progress: called with (samples done, samples in all) after each block.

    Raises:
        BadInput: data that cannot be read, does not fit the model, or is not finite; or a place that cannot be
            written to.
    """
    source = open_samples(data, simulator)
    samples, size = source.samples, block_samples(simulator, trace)
    run = run or (lambda blocks: (results(simulator, block, trace=trace) for block in blocks))
    correct = done = 0
    shapes: dict[str, tuple[int, ...]] = {}
    with open_writer(out, samples) if out is not None else nullcontext() as writer:
        labels = source.labels.blocks(size) if source.labels is not None else None
        for named in run(source.blocks(simulator, size)):
            if writer is not None:
                writer.append(named)
            shapes = {name: array.shape[1:] for name, array in named.items()}
            first = named[output_names(simulator)[0]]
            correct += 0 if labels is None else hits(first, next(labels))
            done += len(first)
            if progress is not None:
                progress(done, samples)
    return Streamed(samples, shapes, None if labels is None else correct / samples)


def count_file(simulator: Simulator, data: Path, progress: Progress | None = None) -> dict[str, OverflowCount]:
    """`Simulator.count_overflows` over a file of samples, with bounded memory; raises as `simulate_file` does."""
    source, totals, done = open_samples(data, simulator), dict[str, OverflowCount](), 0
    for block in source.blocks(simulator, block_samples(simulator, trace=True)):
        found = simulator.count_overflows(simulator.by_name(block))
        totals = {name: count + totals.get(name, OverflowCount()) for name, count in found.items()}
        done += len(block[0])
        if progress is not None:
            progress(done, source.samples)
    return totals


@dataclass(frozen=True)
class Source:
    """Samples on disk that fit a model: `inputs` in its order, integer `labels` where there are any."""

    path: Path
    inputs: tuple[Stored, ...]
    labels: Stored | None

    @property
    def samples(self) -> int:
        return self.inputs[0].shape[0]

    def blocks(self, simulator: Simulator, size: int) -> Blocks:
        """The inputs as float32, `size` samples at a time, checked by the simulator."""
        start = 0
        for parts in zip(*(stored.blocks(size) for stored in self.inputs), strict=True):
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused
                arrays = [part.astype(np.float32, copy=False) for part in parts]
            try:
                yield simulator.checked(simulator.by_name(arrays))
            except BadInput as error:
                where = f"{self.path}, {error.problem.where}"
                raise BadInput(
                    where, f"{error.problem.found}, counted from sample {start}", error.problem.fix
                ) from None
            start += len(arrays[0])


def open_samples(path: Path, simulator: Simulator) -> Source:
    """The samples of a file for a model.

    Raises:
        BadInput: see `simulate_file`.
    """
    ports, stored = simulator.graph.inputs, open_arrays(path)
    names = ["x"] if len(ports) == 1 else [port.name for port in ports]
    check_samples(path, stored, names)
    for name, port in zip(names, ports, strict=True):
        shape = simulator.graph.tensors[port.tensor].shape
        if stored[name].shape[1:] != shape:
            expected = f"The model takes (N, {', '.join(map(str, shape))})"
            raise BadInput(str(path), f"has {name} of shape {stored[name].shape}", expected)
    return Source(path, tuple(stored[name] for name in names), stored.get("y"))


def block_samples(simulator: Simulator, trace: bool) -> int:
    """Samples whose inputs and results take a bounded memory and keep the engine's threads busy."""
    graph = simulator.graph
    ports = [port.tensor for port in graph.inputs] + [port.tensor for port in graph.outputs]
    held = list(graph.tensors) if trace else ports
    sample_bytes = 16 * sum(prod(graph.tensors[name].shape) for name in held)  # integers and float64
    return max(1, min(_BLOCK_BYTES // sample_bytes, simulator.chunk * simulator.workers * _CHUNKS_PER_WORKER))


def output_names(simulator: Simulator) -> list[str]:
    """The outputs' names in result files: y where there is only one."""
    ports = simulator.graph.outputs
    return ["y"] if len(ports) == 1 else [port.name for port in ports]


def results(simulator: Simulator, block: list[Array], *, trace: bool) -> dict[str, Array]:
    """The outputs of one block by their names in result files; with `trace` every other tensor too."""
    x = simulator.by_name(block)
    outputs = simulator.predict(x)
    named = zip(output_names(simulator), outputs if isinstance(outputs, list) else [outputs], strict=True)
    return {**(simulator.trace(x) if trace else {}), **dict(named)}
