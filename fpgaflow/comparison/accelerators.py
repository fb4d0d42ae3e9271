"""Processor, GPU and TPU: engines of the same graph, run here for their bits; speed measured, imported or estimated."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fpgaflow.comparison.figures import Figure, Key, Provenance, Unit
from fpgaflow.comparison.float_twin import float_session
from fpgaflow.comparison.results import Comparison, Kind, Target
from fpgaflow.comparison.roofline import roofline, transfer_seconds
from fpgaflow.comparison.specs import TargetSpec
from fpgaflow.comparison.words import si
from fpgaflow.comparison.work import Work, work_of
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import Samples, accuracy
from fpgaflow.sim.fixed_point import dequantise
from fpgaflow.targets.bench import Offline, SingleStream, Step, cpu_counter, offline, single_stream
from fpgaflow.targets.engine import EngineOptions, build_engine, load_engine
from fpgaflow.targets.engine import Target as Engine
from fpgaflow.targets.engine_layers import load_for
from fpgaflow.targets.feeds import feeds_of
from fpgaflow.targets.steps import steps_of

BATCHES = (1, 16, 256)
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What all software targets share: the graph, the model's file where it is ONNX, samples, how long to measure."""

    graph: Graph
    model: Path
    source: str
    samples: Samples
    folder: Path
    seconds: float
    notify: Notify


def cpu_target(bench: Bench, name: str, command: str) -> Target:
    """Our engine on this machine's processor, through ONNX Runtime: measured, bits and speed."""
    folder, figures, chain = _engine(bench, Engine.ONNXRUNTIME, "ONNX Runtime, this processor", Provenance.MEASURED)
    steps = {batch: steps_of(folder, batch) for batch in BATCHES}
    device = processor()
    source = f"ONNX Runtime on {device}, the engine's integers"
    figures |= _measured(bench, {batch: step.many for batch, step in steps.items()}, name, source)
    figures[Key.MEMORY] = _weights(work_of(bench.graph))
    return _target(name, Kind.CPU, device, figures, chain, folder, bench, command, (_energy_note(figures),))


def cpu_float_target(bench: Bench, name: str, command: str) -> Target:
    """The same network without its quantisers, in float32: what the processor does with a plain model.

    Raises:
        BadInput: the file's quantisers cannot be taken out.
    """
    given = feeds_of(bench.graph, bench.samples).arrays
    feeds = {batch: {name: _cycled(x, batch) for name, x in given.items()} for batch in BATCHES}
    session = float_session(bench.model, {name: _cycled(x, 2) for name, x in given.items()})
    device = processor()
    source = f"ONNX Runtime on {device}, float32, quantisers taken out of the file"
    steps = {batch: partial(session.run, None, feed) for batch, feed in feeds.items()}
    figures = _measured(bench, steps, name, source)
    outputs = np.concatenate([session.run(None, part)[0] for part in _batches(given)])
    share = accuracy(outputs, bench.samples.y)
    if share is not None:
        text = f"{source}, {len(bench.samples)} samples of {Path(bench.samples.source).name}"
        figures[Key.ACCURACY] = Figure(share, Unit.SHARE, Provenance.MEASURED, text)
    figures[Key.MEMORY] = Figure(
        4.0 * work_of(bench.graph).weights, Unit.BYTES, Provenance.DEFINED, "weights at four bytes each"
    )
    note = "Not the same numbers: the yardstick for speed that a plain float model gives."
    return Target(name, Kind.CPU, device, figures, notes=(note, _energy_note(figures)), command=command, competes=False)


def _energy_note(figures: Mapping[Key, Figure]) -> str:
    if Key.ENERGY_SINGLE in figures or Key.ENERGY_OFFLINE in figures:
        return "Energy is the processor package's above idle, from its counter."
    return "Energy is not known: the processor's counter (RAPL) cannot be read here."


def accelerator_target(bench: Bench, spec: TargetSpec, command: str) -> Target:
    """A GPU or TPU by its data sheet: bits of its program on this processor, speed by the roofline."""
    assert spec.device is not None
    work = work_of(bench.graph)
    if spec.kind is Kind.TPU:
        folder, figures, chain = _engine(
            bench, Engine.STABLEHLO, "StableHLO, XLA on this processor", Provenance.SIMULATED
        )
    else:
        folder, figures, chain = _engine(
            bench, Engine.ONNXRUNTIME, "the QDQ model, ONNX Runtime on this processor", Provenance.SIMULATED
        )
    figures |= roofline(spec.device, work)
    moved = transfer_seconds(spec.device, work)
    notes = (
        "Speed and energy are a roofline from the data sheet: real engines stay behind it. Import measurements with "
        "--gpu-results.",
        f"Samples lie in device memory; moving one in and its result out takes another {si(moved, 's')} at the "
        "bus' full rate, more in practice.",
    )
    return _target(spec.name, spec.kind, spec.device.title, figures, chain, folder, bench, command, notes)


_WAYS = {"plain": ", optimisations off", "optimised": ", optimisations on"}  # of one engine, both compared


def _engine(
    bench: Bench, kind: Engine, title: str, provenance: Provenance
) -> tuple[Path, dict[Key, Figure], tuple[Comparison, ...]]:
    """Builds the engine unless it is there; its accuracy and what differs from the simulator."""
    folder = bench.folder / "engines" / kind.value
    if not _is_of(folder, bench.graph):
        bench.notify(f"engine {kind.value}")
        build_engine(bench.graph, EngineOptions(kind), folder, bench.samples, bench.source, bench.notify)
    loaded = load_for(bench.graph, folder)
    integers = loaded.output_integers(bench.samples.x)
    port = bench.graph.outputs[0]
    values = dequantise(integers[port.name].astype(np.int64), port.scale, port.offset, port.axis)
    text = f"{title}, {len(bench.samples)} samples of {Path(bench.samples.source).name}"
    figures: dict[Key, Figure] = {}
    if (share := accuracy(values, bench.samples.y)) is not None:
        figures[Key.ACCURACY] = Figure(share, Unit.SHARE, provenance, text)
    chain = []
    excuse = "" if loaded.exact else f"its certificate says so: {loaded.causes}"
    for way, counts in loaded.manifest["mismatches"].items():
        different = Figure(counts["different"], Unit.COUNT, provenance, f"{title}, {counts['samples']} samples")
        right = title + _WAYS.get(way.removesuffix("_vs_sim").removeprefix(f"{kind.value}_"), "")
        chain.append(
            Comparison(
                "simulator",
                right,
                counts["samples"],
                counts["values"],
                different,
                excuse if counts["different"] else "",
            )
        )
    if chain:
        figures[Key.DIFFERENCES] = chain[-1].different
    return folder, figures, tuple(chain)


def _is_of(folder: Path, graph: Graph) -> bool:
    try:
        return bool(load_engine(folder)[0].get("graph") == graph.digest)
    except BadInput:
        return False


def _measured(bench: Bench, steps: Mapping[int, Step], name: str, source: str) -> dict[Key, Figure]:
    """Single samples, and the best of the batches: offline, a system may batch as it likes."""
    bench.notify(f"measuring {name}")
    counter = cpu_counter()
    single = single_stream(steps[1], bench.seconds, counter)
    runs = [offline(step, batch, bench.seconds, counter) for batch, step in steps.items()]
    return measured_figures(single, max(runs, key=lambda run: run.samples_per_second), source)


def measured_figures(single: SingleStream, many: Offline, source: str) -> dict[Key, Figure]:
    """The figures of a measurement, MLPerf's single stream and offline apart."""

    def measured(value: float, unit: Unit, how: str) -> Figure:
        return Figure(value, unit, Provenance.MEASURED, f"{source}; {how}")

    runs = f"one sample at a time, {single.runs} runs"
    batches = f"batches of {many.batch}, the best of {', '.join(map(str, BATCHES))}"
    figures = {
        Key.LATENCY_P50: measured(single.p50, Unit.SECONDS, runs),
        Key.LATENCY_P90: measured(single.p90, Unit.SECONDS, runs),
        Key.LATENCY_P99: measured(single.p99, Unit.SECONDS, runs),
        Key.THROUGHPUT: measured(many.samples_per_second, Unit.PER_SECOND, batches),
    }
    if single.joules is not None and single.joules > 0:
        figures[Key.ENERGY_SINGLE] = measured(single.joules, Unit.JOULES, f"{runs}, above idle")
        figures[Key.POWER] = measured(single.joules / single.p50, Unit.WATTS, f"{runs}, above idle")
    if many.joules is not None and many.joules > 0:
        figures[Key.ENERGY_OFFLINE] = measured(many.joules, Unit.JOULES, f"{batches}, above idle")
    return figures


def processor() -> str:
    """This machine's processor, and how many of its threads there are."""
    name = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    return f"{name or 'this processor'}, {os.cpu_count()} threads"


def _weights(work: Work) -> Figure:
    return Figure(float(work.weights), Unit.BYTES, Provenance.DEFINED, "weights at one byte each, counted in the graph")


def _target(
    name: str,
    kind: Kind,
    device: str,
    figures: dict[Key, Figure],
    chain: tuple[Comparison, ...],
    folder: Path,
    bench: Bench,
    command: str,
    notes: tuple[str, ...],
) -> Target:
    place = folder.relative_to(bench.folder).as_posix()
    return Target(name, kind, device, figures, chain, notes=notes, folder=place, command=command)


def _cycled(x: np.ndarray, count: int) -> np.ndarray:
    return np.resize(x[:count], (count, *x.shape[1:]))


def _batches(given: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    starts = range(0, len(next(iter(given.values()))), BATCHES[-1])
    return [{name: x[start : start + BATCHES[-1]] for name, x in given.items()} for start in starts]
