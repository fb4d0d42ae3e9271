"""A build's manifest as figures: each keeps the source that the manifest gives it."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest

from fpgaflow.boards import load_board
from fpgaflow.build_folder import manifest_of
from fpgaflow.comparison.build import Build
from fpgaflow.comparison.figures import Key, Provenance
from fpgaflow.comparison.fpga import fpga_target
from fpgaflow.comparison.results import Target
from fpgaflow.errors import BadInput
from fpgaflow.ir.store import load_graph
from fpgaflow.samples import load_samples
from fpgaflow.sim.run import Simulator


def taken(project: Path, **changes: Any) -> Target:
    """The target of the project's build, with entries of its manifest replaced by dotted name."""
    manifest, graph_file = manifest_of(project / "build")
    for name, value in changes.items():
        *path, last = name.split("__")
        node = manifest
        for part in path:
            node = node[part]
        node[last] = value
    samples = load_samples(project / "data.npz")
    build = Build(project / "build", manifest, load_graph(graph_file), load_board(manifest["board"]), samples)
    return fpga_target(build, "pynq-z2", "fpgaflow build", "build")


def test_figures_are_the_manifest_s(finished: Path) -> None:
    manifest = json.loads((finished / "build" / "manifest.json").read_text())
    target = taken(finished)
    timing, clock = manifest["timing"], manifest["timing"]["clock_mhz"] * 1e6
    assert target.get(Key.INTERVAL_CYCLES) == timing["interval_cycles"]["value"]
    assert target.get(Key.LATENCY_P50) == pytest.approx(timing["latency_cycles"]["value"] / clock)
    assert target.get(Key.LATENCY_P50) == target.get(Key.LATENCY_P99)
    assert target.get(Key.THROUGHPUT) == pytest.approx(clock / timing["interval_cycles"]["value"])
    assert target.get(Key.LUT) == manifest["resources"]["lut"]["used"]
    assert target.get(Key.ACCURACY) == manifest["accuracy"]["simulated"]
    assert target.get(Key.MEMORY) == (4 * 6 + 6 * 3) * 4 / 8
    shares = [entry["used"] / entry["available"] for entry in manifest["resources"].values()]
    assert target.get(Key.UTILISATION) == pytest.approx(max(shares))
    assert target.figures[Key.LATENCY_P50].provenance is Provenance.ESTIMATED
    assert [(step.left, step.right, step.different.value) for step in target.chain] == [
        ("QONNX executor", "simulator", 0),
        ("simulator", "hls4ml C simulation", 0),
    ]


def test_energy_is_power_times_time(finished: Path) -> None:
    target = taken(finished)
    for power, single, offline in (
        (Key.POWER, Key.ENERGY_SINGLE, Key.ENERGY_OFFLINE),
        (Key.POWER_BOARD, Key.ENERGY_SINGLE_BOARD, Key.ENERGY_OFFLINE_BOARD),
    ):
        watts = target.figures[power].value
        assert target.get(single) == pytest.approx(watts * target.figures[Key.LATENCY_P50].value)
        assert target.get(offline) == pytest.approx(watts / target.figures[Key.THROUGHPUT].value)
    assert target.figures[Key.POWER_BOARD].value > 1 > target.figures[Key.POWER].value


def test_layers(finished: Path) -> None:
    target = taken(finished)
    graph = load_graph(finished / "build" / "graph.json")
    counts = Simulator(graph).count_overflows(load_samples(finished / "data.npz").x)
    assert [layer.name for layer in target.layers] == [op.name for op in graph.ops]
    manifest = json.loads((finished / "build" / "manifest.json").read_text())
    assert target.bottleneck == manifest["folding"]["bottleneck"] != ""
    for layer, op in zip(target.layers, graph.ops, strict=True):
        shape, width = graph.tensors[op.output].shape, graph.type_of(op.output).width
        assert layer.figures["output_bits"].value == prod(shape) * width
        if op.name in counts:
            found = counts[op.name]
            assert layer.figures["saturated"].value == found.saturated - found.rectified
            assert layer.figures["wrapped"].value == found.wrapped


def timing(cycles: str, fmax: float | None, clock: str) -> dict[str, Any]:
    """Entries of a manifest whose cycles and highest clock have those sources."""
    return {
        "timing__latency_cycles": {"value": 500, "source": cycles},
        "timing__interval_cycles": {"value": 100, "source": cycles},
        "timing__fmax_mhz": {"value": fmax, "source": clock},
    }


@pytest.mark.parametrize(
    ("cycles", "fmax", "clock", "provenance"),
    [
        ("simulated", None, "estimated", Provenance.ESTIMATED),  # the clock is only asked for
        ("simulated", 150, "routed", Provenance.SYNTHESISED),
        ("simulated", 150, "estimated", Provenance.ESTIMATED),
        ("reported", 150, "reported", Provenance.SYNTHESISED),
        ("estimated", 150, "routed", Provenance.ESTIMATED),
        ("measured", 150, "measured", Provenance.MEASURED),
    ],
)
def test_times_are_as_weak_as_cycles_and_clock(
    cycles: str, fmax: float | None, clock: str, provenance: Provenance, finished: Path
) -> None:
    target = taken(finished, **timing(cycles, fmax, clock))
    for key in (Key.LATENCY_P50, Key.LATENCY_P99, Key.RATE, Key.THROUGHPUT):
        assert target.figures[key].provenance is provenance
        assert "cycles " in target.figures[key].source and "clock " in target.figures[key].source
    assert target.get(Key.LATENCY_P50) == pytest.approx(500 / 100e6)
    assert target.get(Key.THROUGHPUT) == pytest.approx(100e6 / 100)
    for key in (Key.ENERGY_SINGLE, Key.ENERGY_OFFLINE, Key.ENERGY_SINGLE_BOARD, Key.ENERGY_OFFLINE_BOARD):
        assert target.figures[key].provenance is Provenance.ESTIMATED  # of an estimated power
    assert ("asked for" in target.figures[Key.LATENCY_P50].source) == (fmax is None)


def test_a_clock_that_is_not_reached_is_not_used(finished: Path) -> None:
    target = taken(finished, **timing("simulated", 50, "routed"))
    assert target.get(Key.LATENCY_P50) == pytest.approx(500 / 50e6)
    assert any("Timing is not met" in note for note in target.notes)


@pytest.mark.parametrize("source", [None, "", "guessed"])
def test_a_manifest_s_figure_without_a_source_ends_the_report(source: str | None, finished: Path) -> None:
    with pytest.raises(BadInput, match=r"manifest\.json"):
        taken(finished, timing__latency_cycles={"value": 500, "source": source})


def test_a_failed_build_has_its_reason(finished: Path) -> None:
    assert taken(finished, failure="does not fit").failure == "does not fit"
