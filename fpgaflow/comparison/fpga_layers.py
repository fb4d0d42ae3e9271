"""The layers of an FPGA build: cycles, resources, widths, toggle rates and overflows of each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import prod
from typing import Any

from fpgaflow.comparison.build import WORDS, Build, provenance_of
from fpgaflow.comparison.figures import Figure, Provenance, Unit
from fpgaflow.comparison.results import Layer
from fpgaflow.comparison.toggles import SAMPLES, busy_shares, mean_activity, toggle_rates
from fpgaflow.cost.estimate import layer_cost
from fpgaflow.cost.hls_design import Choice, hls_layer_cost
from fpgaflow.cost.registers import Clock
from fpgaflow.errors import FpgaflowError
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops import Linear
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE
from fpgaflow.targets.hls.layers import IOType

RESOURCES = ("lut", "ff", "dsp", "bram36")


def layers_of(build: Build) -> tuple[tuple[Layer, ...], float | None, str]:
    """The layers; the design's activity, if it can be known, and where it comes from."""
    graph, folding = build.graph, build.entry("folding") or {}
    folds = folding.get("folds") or {}
    reuse = folding.get("reuse_factors") or {}
    if not folds and not reuse:
        return (), None, ""
    counts = _synthesised(build)
    provenance, words = provenance_of(folding.get("source", "estimated"), f"{build.folder}/manifest.json")
    overflows = Simulator(graph).count_overflows(build.samples.x)
    rates = toggle_rates(graph, build.samples.x, {name: int(fold["pe"]) for name, fold in folds.items()})
    layers, logic, cycles = [], {}, {}
    for op in graph.ops:
        figures: dict[str, Figure] = {}
        cost = _cost_of(op, graph, _reuse_of(op, graph, folds, reuse), folding, build.board.part)
        took = folds[op.name]["cycles"] if op.name in folds else cost.get("cycles")
        if took is not None:
            cycles[op.name] = int(took)
            how = "its folding at full speed" if op.name in folds else words
            figures["cycles"] = Figure(float(took), Unit.CYCLES, provenance, f"{how} ({build.place})")
        for resource in RESOURCES:
            if (found := counts.get(_module(op.name))) is not None and resource in found:
                figures[resource] = Figure(
                    float(found[resource]), Unit.COUNT, Provenance.SYNTHESISED, f"this layer's module ({build.place})"
                )
            elif not counts and cost.get(resource) is not None:
                figures[resource] = Figure(
                    round(float(cost[resource]), 1), Unit.COUNT, Provenance.ESTIMATED, f"{WORDS['estimated']}"
                )
        logic[op.name] = figures["lut"].value if "lut" in figures else 0.0
        figures |= _data_figures(op, graph, rates[op.name], overflows, len(build.samples))
        layers.append(
            Layer(
                name=op.name,
                kind=type(op).__name__,
                shape=" × ".join(map(str, graph.tensors[op.output].shape)),
                type=str(graph.type_of(op.output)),
                folding=_folding_text(folds.get(op.name), reuse.get(op.name)),
                figures=figures,
            )
        )
    interval = build.entry("timing", "interval_cycles", "value") or folding.get("interval") or 0
    activity = mean_activity(rates, busy_shares(cycles, float(interval)), logic if any(logic.values()) else {})
    shown = f"a toggle rate of {activity:.1%}, counted on {min(SAMPLES, len(build.samples))} samples in the simulator"
    return tuple(layers), activity, shown


def _data_figures(op: Op, graph: Graph, rate: float, overflows: Mapping[str, Any], samples: int) -> dict[str, Figure]:
    """Widths, toggle rate and overflows: of the numbers that flow, whatever carries them."""
    simulated = f"integer simulator on {samples} samples"
    bits = graph.type_of(op.output).width * prod(graph.tensors[op.output].shape)
    figures = {
        "output_bits": Figure(bits, Unit.BITS, Provenance.DEFINED, "width times elements of the layer's result"),
        "toggle_rate": Figure(
            rate,
            Unit.SHARE,
            Provenance.SIMULATED,
            f"bits that change from beat to beat, simulator on {SAMPLES} samples",
        ),
    }
    if isinstance(op, Linear):
        weights = graph.constants[op.weights].size * op.weight_type.width
        figures["weight_bits"] = Figure(weights, Unit.BITS, Provenance.DEFINED, "width times number of the weights")
    if (count := overflows.get(op.name)) is not None:
        saturated = count.saturated - count.rectified
        figures["saturated"] = Figure(
            saturated, Unit.COUNT, Provenance.SIMULATED, f"{simulated}: results clamped, without what a ReLU clamps"
        )
        figures["wrapped"] = Figure(
            count.wrapped, Unit.COUNT, Provenance.SIMULATED, f"{simulated}: results that wrapped around"
        )
    return figures


def _cost_of(op: Op, graph: Graph, reuse: int, folding: Mapping[str, Any], part: str) -> Mapping[str, float]:
    try:
        if "io_type" in folding:  # hls4ml's
            choice = Choice(reuse, op.name in folding.get("unrolled", ()))
            stream, clock = folding["io_type"] == IOType.STREAM.value, Clock.of(part, folding["clock_mhz"])
            return vars(hls_layer_cost(op, graph, choice, stream=stream, clock=clock))
        return vars(layer_cost(op, graph, reuse))
    except FpgaflowError:  # an op of another normal form: nothing is estimated
        return {}


def _reuse_of(op: Op, graph: Graph, folds: Mapping[str, Any], reuse: Mapping[str, int]) -> int:
    if op.name in folds and isinstance(op, Linear):
        fold = folds[op.name]
        return max(1, graph.constants[op.weights].size // max(1, fold["pe"] * fold["simd"]))
    return int(reuse.get(op.name, 1))


def _folding_text(fold: Mapping[str, int] | None, reuse: int | None) -> str:
    if fold is not None:
        if fold.get("simd", 1) > 1:
            return f"PE {fold['pe']}, SIMD {fold['simd']}"
        return f"{fold['pe']} lane{'s' if fold['pe'] != 1 else ''}"
    return "" if reuse is None else f"reuse {reuse}"


def _module(name: str) -> str:
    return "layer_" + re.sub(r"\W", "_", name, flags=re.ASCII).lower()


def _synthesised(build: Build) -> Mapping[str, Mapping[str, float]]:
    """Counts of each layer's module: the manifest's, else those that the synthesis stage recorded."""
    layers = build.entry("layers")
    if isinstance(layers, Mapping):
        return layers
    try:
        record = json.loads((build.folder / STATE / "synthesis.json").read_text())
        return record["facts"].get("layers") or {}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
