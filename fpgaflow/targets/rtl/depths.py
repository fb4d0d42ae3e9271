"""How deep the FIFOs are in which the branches of a fork wait for each other: deep enough that no deadlock can be.

A layer is a process that reads and writes streams in an order that the data does not change, so that whether a network
of layers and bounded FIFOs deadlocks depends on the depths alone, not on when a beat comes or is taken (Kahn, "The
semantics of a simple language for parallel programming", 1974; Parks, "Bounded scheduling of process networks", 1995).
One run that never deadlocks therefore excludes it for all. Here it is the lazy one: a beat is made only when the next
result needs it, and what a fork then gives to the other branches stays there. A FIFO is at least as deep as it gets in
that run; the run is followed until a sample leaves everything as the one before it did. Several inputs that share a
stream are processes fed by one more, which gives each its beats in turn: what comes before the input that is needed
waits in the FIFO of its own. Several outputs are read in turn.

Hardware may be ahead of the lazy run, since layers have registers and FIFOs of their own, and never behind for good:
a layer that has what a beat needs gives it, whatever comes behind (`Stage.needed`), and a FIFO that had room in the
lazy run has it in hardware. Twice that depth lets the next sample come in while this one is at work. A FIFO for a whole
sample always suffices: no layer needs an element of the next one to finish this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.targets.rtl.layers import Join, Layer
from fpgaflow.targets.rtl.stream import Beat

SAMPLES = 3  # of the lazy run
MOST_BEATS = 3_000_000  # in the lazy run; beyond, each branch holds a whole sample
TIMES, SLACK = 2, 16  # what a FIFO holds beyond the lazy run's: the next sample's beginning, and the layers' registers


def streams_of(graph: Graph, layers: Mapping[str, Layer]) -> dict[str, str]:
    """Tensor to the one whose stream it is: an op without a layer passes its input on."""
    streams = {port.tensor: port.tensor for port in graph.inputs}
    for op in graph.ops:
        streams[op.output] = op.output if op.name in layers else streams[op.inputs[0]]
    return streams


@dataclass
class _Reader:
    """One reader of a stream: a layer with the layers in front of it that have one input, or the output."""

    stream: str
    needs: list[int]  # for each beat of a sample that the reader gives, beats of the stream
    beats: int  # of the stream, in a sample
    read: int = 0
    deepest: int = 0


def branch_depths(
    graph: Graph, layers: Mapping[str, Layer], sources: Mapping[str, Beat], most_beats: int = MOST_BEATS
) -> dict[str, tuple[int, ...]]:
    """Of each stream of several readers, in the order of `Graph.ops` and the outputs last: the depth of each FIFO.

    So too of each of several inputs, though it has one reader.

    Args:
        sources: the beats of the graph's inputs.
    """
    streams = streams_of(graph, layers)
    made = [op for op in graph.ops if op.name in layers]
    results = [streams[port.tensor] for port in graph.outputs]
    readers: dict[str, list[_Reader]] = {name: [] for name in streams.values()}
    count = Counter([*(streams[name] for op in made for name in op.inputs), *results])
    beats = {name: -(-prod(graph.tensors[name].shape) // beat.lanes) for name, beat in sources.items()}
    given = [name for name in sources if count[name]]
    inputs: dict[str, list[_Reader]] = {}
    for op in made:
        names = [streams[name] for name in op.inputs]
        needs = _needs(layers[op.name], [beats[name] for name in names])
        beats[op.output] = len(needs[0])
        inputs[op.output] = []
        for name, need in zip(names, needs, strict=True):
            if count[name] == 1 and len(inputs.get(name, ())) == 1:  # what is in front of it has one input too
                (reader,) = inputs[name]
                reader.needs = np.append(0, reader.needs)[need].tolist()
            else:
                reader = _Reader(name, need.tolist(), beats[name])
                readers[name].append(reader)
            inputs[op.output].append(reader)
    outputs = [_Reader(name, list(range(1, beats[name] + 1)), beats[name]) for name in results]
    for output in outputs:
        readers[output.stream].append(output)
    several = given if len(sources) > 1 else ()
    forks = {name: own for name, own in readers.items() if count[name] > 1 or name in several}
    whole = {name: tuple(beats[name] + SLACK for _ in own) for name, own in forks.items()}
    kept = {name: own for name, own in readers.items() if own}
    if not forks or SAMPLES * sum(beats[name] for name in kept) > most_beats:
        return whole
    run = _LazyRun(inputs, kept, beats, [name for name in given for _ in range(beats[name])])
    left = [run.sample(outputs) for _ in range(SAMPLES)]
    if left[-1] != left[-2]:
        return whole
    return {name: tuple(TIMES * reader.deepest + SLACK for reader in own) for name, own in forks.items()}


def _needs(layer: Layer, beats: Sequence[int]) -> list[np.ndarray]:
    return layer.needed(beats) if isinstance(layer, Join) else [layer.needed(beats[0])]


class _LazyRun:
    """The lazy run. Streams count their beats over all samples; `order` is that of the inputs' beats in a sample."""

    def __init__(
        self,
        inputs: Mapping[str, list[_Reader]],
        readers: Mapping[str, list[_Reader]],
        beats: Mapping[str, int],
        order: Sequence[str],
    ) -> None:
        self.inputs, self.readers, self.beats, self.order = inputs, readers, beats, order
        self.written = dict.fromkeys(readers, 0)
        self.samples = self.given = 0

    def sample(self, outputs: Sequence[_Reader]) -> list[int]:
        """One more sample of the outputs, beat by beat; gives what has been made and read beyond the whole samples."""
        self.samples += 1
        for output in outputs:
            while output.read < self.samples * output.beats:
                self._make(output.stream, output.read + 1)
                output.read += 1
        done = [self.written[name] - self.samples * self.beats[name] for name in self.readers]
        return done + [r.read - self.samples * r.beats for own in self.readers.values() for r in own]

    def _make(self, stream: str, count: int) -> None:
        """So many beats of a stream; each goes to all of its readers."""
        while self.written[stream] < count:
            if stream in self.inputs:
                for reader in self.inputs[stream]:
                    self._read(reader, self.written[stream])
                self._write(stream)
            else:
                self._write(self.order[self.given % len(self.order)])
                self.given += 1

    def _write(self, stream: str) -> None:
        self.written[stream] += 1
        for reader in self.readers[stream]:
            reader.deepest = max(reader.deepest, self.written[stream] - reader.read)

    def _read(self, reader: _Reader, beat: int) -> None:
        """What a reader needs of its stream to give its next beat."""
        sample, own = divmod(beat, len(reader.needs))
        wanted = sample * reader.beats + reader.needs[own]
        while reader.read < wanted:
            self._make(reader.stream, reader.read + 1)
            reader.read += 1
