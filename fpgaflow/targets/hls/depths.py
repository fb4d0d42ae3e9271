"""How deep the FIFOs of an HLS design are: as deep as its simulated dataflow needs, instead of a whole sample each.

A layer is a process that reads and writes in an order that the data does not change; a network of such processes and
bounded FIFOs deadlocks or not whatever the times are (Kahn, "The semantics of a simple language for parallel
programming", 1974; Parks, "Bounded scheduling of process networks", 1995). So one run that ends excludes a deadlock. A
pipelined loop may hold what it began until it begins more: processes hold their results back accordingly.

With a whole sample in each FIFO, which hls4ml makes, nothing waits that need not. From there, each FIFO becomes the
shallowest of 32, 64, 128 ... words with which the samples come and go in the same cycles. 32 words cost no more than
2: a LUT's shift register for each bit (AMD UG474).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from fpgaflow.targets.hls.processes import Dataflow, Process

SAMPLES = 3
SHALLOW = 32
MOST_BEATS = 2_000_000  # of all runs together; what was not tried until then stays as deep as it got


@dataclass(frozen=True)
class Run:
    """Cycles at which each sample has left whole; and the most beats that each FIFO held."""

    ends: tuple[int, ...]
    deepest: dict[str, int]


@dataclass(frozen=True)
class Fifo:
    """`depth` in words of `bits`; `whole` is that of a whole sample."""

    depth: int
    bits: int
    whole: int


@dataclass(frozen=True)
class FifoDepths:
    """By hls4ml's name of the stream; `interval` of samples, simulated from the estimated cycles of layers."""

    fifos: dict[str, Fifo]
    interval: int


def fifo_depths(dataflow: Dataflow, most_beats: int = MOST_BEATS) -> FifoDepths | None:
    """The depths; None where one run is more than `most_beats`, or ends in a deadlock even so."""
    whole = {name: stream.whole for name, stream in dataflow.streams.items()}
    beats = SAMPLES * sum(process.beats * len(process.outputs) + sum(process.totals) for process in dataflow.processes)
    left = most_beats // max(beats, 1)
    if left < 1 or (run := simulate(dataflow, whole)) is None:
        return None
    depths = {name: min(n, max(SHALLOW, run.deepest[name])) for name, n in whole.items()}
    deep = [name for name, depth in depths.items() if depth > SHALLOW]
    tried = depths | dict.fromkeys(deep, SHALLOW)
    left -= 1
    if deep and left and _as_fast(dataflow, tried, run):
        depths, deep = tried, []
    for name in sorted(deep, key=lambda name: -depths[name] * dataflow.streams[name].bits):
        steps = [*_steps(depths[name]), depths[name]]
        low, high = 0, len(steps) - 1
        while low < high and left:
            middle = (low + high) // 2
            left -= 1
            if _as_fast(dataflow, depths | {name: steps[middle]}, run):
                high = middle
            else:
                low = middle + 1
        depths[name] = steps[high]
    fifos = {name: Fifo(depths[name], stream.bits, stream.whole) for name, stream in dataflow.streams.items()}
    return FifoDepths(fifos, run.ends[-1] - run.ends[-2])


def _steps(depth: int) -> Iterator[int]:
    step = SHALLOW
    while step < depth:
        yield step
        step *= 2


def _as_fast(dataflow: Dataflow, depths: Mapping[str, int], as_run: Run) -> bool:
    run = simulate(dataflow, depths)
    return run is not None and run.ends == as_run.ends


@dataclass
class _Channel:
    """When each beat was written, and when read; `depth` None: as many as come."""

    depth: int | None
    written: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)


def simulate(dataflow: Dataflow, depths: Mapping[str, int], samples: int = SAMPLES) -> Run | None:
    """Runs the dataflow, a beat a cycle at its ends; None where it deadlocks."""
    channels = {name: _Channel(depths[name]) for name in dataflow.streams}
    for name, beats in dataflow.sources.items():
        channels[name] = _Channel(None, written=list(range(beats * samples)))
    channels |= {name: _Channel(None) for name in dataflow.sinks if name not in channels}
    running = [_run(process, channels, samples) for process in dataflow.processes]
    while running:
        moved, still = False, []
        for process in running:
            steps = next(process, None)
            if steps is not None:
                still.append(process)
            moved = moved or steps != 0
        if not moved:
            return None
        running = still
    last = [(channels[name].written, beats) for name, beats in dataflow.sinks.items()]
    ends = tuple(max(written[n * beats - 1] for written, beats in last) for n in range(1, samples + 1))
    return Run(ends, {name: _deepest(channels[name]) for name in dataflow.streams})


def _run(process: Process, channels: Mapping[str, _Channel], samples: int) -> Iterator[int]:
    """Goes on until it has to wait, then yields how many beats it moved since."""
    sources = [channels[name] for name in process.inputs]
    results = [channels[name] for name in process.outputs]
    pairs = zip(process.needs, process.totals, strict=True)
    held = [[*np.minimum(need + process.hold, total).tolist(), total] for need, total in pairs]
    time, moved = 0, 0
    for sample in range(samples):
        for beat in range(process.beats + 1):
            wanted = [sample * total + needs[beat] for needs, total in zip(held, process.totals, strict=True)]
            missing = [n - len(source.read) for n, source in zip(wanted, sources, strict=True)]
            for count in range(max(missing), 0, -1):  # what several inputs lack is read together, or not at all
                taking = [source for source, n in zip(sources, missing, strict=True) if n >= count]
                while any(len(source.written) == len(source.read) for source in taking):
                    yield moved
                    moved = 0
                time = max([time, *(source.written[len(source.read)] + 1 for source in taking)]) + process.skip
                for source in taking:
                    source.read.append(time)
                moved += len(taking)
            if beat == process.beats:
                break
            time += process.cost - (process.skip if max(missing) > 0 else 0)
            for result in results:  # all of a beat in one cycle: none is written before all have room
                if result.depth is not None and len(result.written) >= result.depth:
                    while len(result.read) <= len(result.written) - result.depth:
                        yield moved
                        moved = 0
                    time = max(time, result.read[len(result.written) - result.depth])
            for result in results:
                result.written.append(time)
                moved += 1
    yield moved


def _deepest(channel: _Channel) -> int:
    """The most beats that were written and not yet read."""
    most, gone = 0, 0
    for count, time in enumerate(channel.written, start=1):
        while gone < len(channel.read) and channel.read[gone] <= time:
            gone += 1
        most = max(most, count - gone)
    return most
