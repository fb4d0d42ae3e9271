"""`validate`: every way to compute a build's outputs, each compared with its neighbour, down to the first layer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.build_folder import CSIM, QONNX, manifest_of
from fpgaflow.building import QONNX_SAMPLES, ROUNDING_SAMPLES
from fpgaflow.compare_bits import Mismatches, count_different, float32_is_exact, output_integers
from fpgaflow.errors import BadInput, FpgaflowError
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.qonnx.rounding import FloatRounding, float_rounding
from fpgaflow.ir.graph import Graph, Output
from fpgaflow.ir.store import load_graph
from fpgaflow.passes.rewrite import without_dead
from fpgaflow.project import Flow
from fpgaflow.samples import Samples, accuracy, by_input, generated_samples, input_names, load_samples
from fpgaflow.sim.fixed_point import dequantise
from fpgaflow.sim.run import Engine, Simulator
from fpgaflow.targets.engine_layers import load_for
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.layers import HlsOptions
from fpgaflow.targets.hls.project import make_project
from fpgaflow.targets.hls.stage import CSIM_SAMPLES, folded_options
from fpgaflow.validate_rtl import (
    Array,
    Find,
    Hardware,
    Notify,
    Outputs,
    long_netlist,
    run_netlist,
    run_rtl,
    write_waves,
)


@dataclass(frozen=True)
class Way:
    """One way to compute: integers of each output, and the accuracy where there are labels."""

    name: str
    outputs: Mapping[str, Array]
    accuracy: float | None


@dataclass(frozen=True)
class Step:
    """Two neighbours compared. `first_layer` is the first tensor that differs; `excuse` says why a difference is none
    of the graph's (float32 rounds where the graph is exact)."""

    left: str
    right: str
    mismatches: Mismatches
    first_layer: str | None
    excuse: str | None

    @property
    def ok(self) -> bool:
        return self.mismatches.different == 0 or self.excuse is not None


@dataclass(frozen=True)
class Validation:
    samples: int
    data: str
    float_accuracy: float | None
    ways: tuple[Way, ...]
    steps: tuple[Step, ...]
    skipped: tuple[str, ...]
    rounding: FloatRounding | None = None  # of QONNX's executor, in float32

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "samples": self.samples,
            "data": self.data,
            "accuracy": {"float": self.float_accuracy} | {way.name: way.accuracy for way in self.ways},
            "steps": [{**asdict(step), "ok": step.ok} for step in self.steps],
            "rounding": None if self.rounding is None else self.rounding.as_json(),
            "skipped": list(self.skipped),
        }


def validate(
    folder: Path,
    data: Path | None,
    notify: Notify,
    engine: Path | None = None,
    vcd: Path | None = None,
    *,
    netlist: bool = False,
) -> Validation:
    """Compares QONNX's executor, the reference and fast simulator, and hls4ml's C++ or the RTL and its netlist.

    Args:
        folder: what `fpgaflow build` wrote.
        data: other samples than the build's own.
        engine: what `fpgaflow engine` wrote of the same graph, to be compared too.
        vcd: a file for the waveforms of an RTL build.
        netlist: simulate the netlist of an RTL build however long that takes; small ones are anyway.

    Raises:
        BadInput: no finished build, samples that do not fit, or an engine of another graph.
    """
    manifest, graph_file = manifest_of(folder)
    graph = load_graph(graph_file)
    samples = _samples(graph, manifest, data)
    skipped: list[str] = []
    ways: list[Way] = []
    steps: list[Step] = []
    rounding: FloatRounding | None = None
    simulator, reference = Simulator(graph), Simulator(graph, Engine.REFERENCE)
    notify("simulating")
    exact = _way("reference", reference.predict_integers(samples.x), graph, samples)
    fast = _way("fast", simulator.predict_integers(samples.x), graph, samples)

    if manifest.get("qonnx"):
        notify("QONNX executor")
        x = samples.x[:QONNX_SAMPLES]
        try:
            theirs = run_qonnx(folder / QONNX, by_input(graph, x))
            found = {port.name: output_integers(theirs[port.name], port) for port in graph.outputs}
            ways.append(_way("qonnx", found, graph, samples))
            steps.append(_qonnx_step(folder, graph, ways[-1], exact, x))
            notify("rounding of float32")
            rounding = float_rounding(folder / QONNX, graph, x[:ROUNDING_SAMPLES])
        except FpgaflowError as error:
            skipped.append(f"qonnx: {error}")
    ways += [exact, fast]
    steps.append(_step(exact, fast, lambda row: _first_difference(reference, simulator, samples.x[row : row + 1])))

    x = samples.x[:CSIM_SAMPLES]
    is_rtl = manifest.get("flow") == Flow.RTL
    hardware_ways: dict[str, Hardware] = {"rtl": run_rtl, "netlist": run_netlist} if is_rtl else {"csim": _csim}
    if is_rtl and not netlist and (why := long_netlist(manifest)) is not None:
        skipped.append(why)
        del hardware_ways["netlist"]
    for name, hardware in hardware_ways.items():
        try:
            outputs, find = hardware(folder, graph, manifest, simulator, x, notify)
        except FpgaflowError as error:
            skipped.append(f"{name}: {error}")
        else:
            ways.append(_way(name, outputs, graph, samples))
            steps.append(_step(fast, ways[-1], partial(_found_by, find, outputs)))
    if vcd is not None:
        notify("waveforms")
        write_waves(folder, graph, x, vcd, is_rtl=is_rtl)
    if engine is not None:
        notify("the engine")
        loaded = load_for(graph, engine)
        ways.append(_way(loaded.title, loaded.output_integers(samples.x), graph, samples))
        excuse = None if loaded.exact else f"its certificate says so: {loaded.causes}"
        steps.append(_step(fast, ways[-1], lambda row: loaded.first_difference(samples.x[row : row + 1]), excuse))
    float_accuracy = manifest.get("accuracy", {}).get("float")
    return Validation(len(samples), samples.source, float_accuracy, tuple(ways), tuple(steps), tuple(skipped), rounding)


def _csim(
    folder: Path, graph: Graph, manifest: Mapping[str, Any], simulator: Simulator, x: Array, notify: Notify
) -> tuple[Outputs, Find]:
    """What hls4ml's compiled C++ gives, and what finds the first layer that differs."""
    notify("hls4ml C simulation")
    try:
        options = folded_options(manifest["folding"], manifest["part"])
    except KeyError:
        raise BadInput(str(folder), "the build failed before its folding", "Build it again") from None
    firmware = _Firmware(graph, options, simulator, x, notify)
    return firmware.outputs(graph, folder / CSIM), firmware.first_difference


def _found_by(find: Find, outputs: Outputs, row: int) -> str | None:
    """The first layer that differs, whichever sample does."""
    return find(outputs)


def _samples(graph: Graph, manifest: Mapping[str, Any], data: Path | None) -> Samples:
    if data is not None:
        return load_samples(data, input_names(graph))
    recorded = Path(manifest.get("data") or "")
    if recorded.suffix not in (".npz", ".npy"):
        return generated_samples(graph)
    return load_samples(recorded, input_names(graph))


def _way(name: str, outputs: Mapping[str, Array], graph: Graph, samples: Samples) -> Way:
    port = graph.outputs[0]
    first = outputs[port.name]
    labels = None if samples.y is None else samples.y[: len(first)]
    return Way(name, outputs, accuracy(dequantise(first, port.scale, port.offset, port.axis), labels))


def _step(left: Way, right: Way, find: Callable[[int], str | None], excuse: str | None = None) -> Step:
    total: Mismatches | None = None
    for name, theirs in left.outputs.items():
        count = min(len(theirs), len(right.outputs[name]))
        here = count_different(theirs[:count], right.outputs[name][:count])
        total = here if total is None else total + here
    assert total is not None
    row = total.first_sample
    first = None if row is None else find(row)
    return Step(left.name, right.name, total, first, excuse if total.different else None)


def _qonnx_step(folder: Path, graph: Graph, theirs: Way, exact: Way, x: Array) -> Step:
    def find(row: int) -> str | None:
        sample = x[row : row + 1]
        layers = run_qonnx(folder / QONNX, by_input(graph, sample), layers=True)
        for name, ours in Simulator(graph, Engine.REFERENCE).trace(sample).items():
            if name in layers and not np.allclose(layers[name], ours, rtol=1e-5, atol=0):
                return name
        return None

    exact_there = float32_is_exact(graph)
    excuse = None if exact_there else "scales are no powers of two: float32 rounds across a quantiser's boundary there"
    return _step(theirs, exact, find, excuse)


def _first_difference(left: Simulator, right: Simulator, sample: Array) -> str | None:
    theirs = right.trace(sample)
    return next((name for name, ours in left.trace(sample).items() if not np.array_equal(ours, theirs[name])), None)


@dataclass(frozen=True)
class _Firmware:
    """hls4ml's C simulation on the samples x, of the whole network or of its beginning."""

    graph: Graph
    options: HlsOptions
    simulator: Simulator
    x: Array
    notify: Notify

    def outputs(self, graph: Graph, folder: Path) -> dict[str, Array]:
        """Output integers by name; `graph` is the whole one or the beginning of it."""
        kept = {op.name for op in graph.ops}
        reuse = {name: factor for name, factor in self.options.reuse_factors.items() if name in kept}
        project = make_project(graph, replace(self.options, reuse_factors=reuse))
        codes = self.simulator.input_integers(self.x)
        results = CSim(project, folder).predict_integers([codes[port.name] for port in graph.inputs])
        return {port.name: result for port, result in zip(graph.outputs, results, strict=True)}

    def first_difference(self, found: Mapping[str, Array]) -> str:
        """The output of a layer that differs while its inputs do not; `found` is what the whole network gives."""
        integers = self.simulator.trace_integers(self.x)
        wrong = next(p for p in self.graph.outputs if not np.array_equal(found[p.name], integers[p.tensor]))
        layers = [op.output for op in without_dead(replace(self.graph, outputs=(wrong,))).ops]
        differs = cache(lambda tensor: self._differs(tensor, integers[tensor]))
        low, high = 0, len(layers) - 1  # the last one differs: it makes the output
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if differs(layers[middle]) else (middle + 1, high)
        first = layers[high]
        # Of parallel branches the bisection may have met the later one: back to where nothing before differs.
        while earlier := [name for name in self.graph.producers[first].inputs if name in layers and differs(name)]:
            first = earlier[0]
        return first

    def _differs(self, tensor: str, expected: Array) -> bool:
        self.notify(f"hls4ml C simulation up to {tensor}")
        scale = (Fraction(2) ** -self.graph.type_of(tensor).fraction,)
        beginning = replace(self.graph, outputs=(Output(tensor, tensor, scale, (Fraction(0),), 0),))
        try:
            with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
                found = self.outputs(without_dead(beginning), Path(scratch))
        except FpgaflowError:  # nothing can be said of a layer after which hls4ml cannot end
            return False
        return not np.array_equal(found[tensor], expected)
