"""One FPGA's figures, out of a build's manifest: each keeps the source that the manifest gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fpgaflow.comparison.build import Build, figure_of
from fpgaflow.comparison.costs import board_cost
from fpgaflow.comparison.figures import Figure, Key, Provenance, Unit, derived
from fpgaflow.comparison.fpga_layers import layers_of
from fpgaflow.comparison.power import power_of
from fpgaflow.comparison.results import Comparison, Kind, Target
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Linear
from fpgaflow.report.parse import PowerReport, parse_report

RESOURCES = {"lut": Key.LUT, "ff": Key.FF, "dsp": Key.DSP, "bram36": Key.BRAM36}
POWER_REPORT = Path("firmware") / "reports" / "power.rpt"
_CHAIN = {
    "qonnx": "QONNX executor",
    "csim": "hls4ml C simulation",
    "rtl": "RTL, cycle by cycle",
    "netlist": "gate netlist",
}
_FLOAT32 = "scales are no powers of two: float32 rounds across a quantiser's boundary there"


def fpga_target(build: Build, name: str, command: str, folder: str) -> Target:
    """The target of a build; one that failed has a `failure` and what figures there are.

    Raises:
        BadInput: the manifest holds a figure without a source.
    """
    figures = {
        **_accuracies(build),
        **_resources(build),
        **_speed(build),
        Key.MEMORY: Figure(
            sum(build.graph.constants[op.weights].size * op.weight_type.width for op in _linear(build.graph)) / 8,
            Unit.BYTES,
            Provenance.DEFINED,
            "weights at their own widths on the chip, counted in the integer graph",
        ),
    }
    if (cost := board_cost(build.board.name)) is not None:
        figures[Key.COST] = cost
    chain = _chain(build)
    if chain and (hardware := [step for step in chain if step.left == "simulator"]):
        figures[Key.DIFFERENCES] = hardware[-1].different
    layers, activity, what = layers_of(build)
    figures |= _power(build, figures, activity, what)
    return Target(
        name=name,
        kind=Kind.FPGA,
        device=f"{build.board.title} ({build.board.part})",
        figures=figures,
        chain=chain,
        layers=layers,
        bottleneck=str(build.entry("folding", "bottleneck") or ""),
        notes=_notes(build, figures),
        failure=str(build.manifest.get("failure") or ""),
        folder=folder,
        command=command,
    )


def _notes(build: Build, figures: Mapping[Key, Figure]) -> tuple[str, ...]:
    notes = ["Times are the accelerator's, from the first beat in to the last beat out: no DMA, no driver."]
    clock, fmax = figures.get(Key.CLOCK), figures.get(Key.FMAX)
    if clock is not None and fmax is not None and fmax.value < clock.value:
        notes.append(
            f"Timing is not met: {fmax.value / 1e6:g} MHz of {clock.value / 1e6:g}. Rates are at the lower one."
        )
    if build.manifest.get("bitstream") is None and build.manifest.get("why_no_bitstream"):
        notes.append(f"No bitstream: {build.manifest['why_no_bitstream']}.")
    return tuple(notes)


def _linear(graph: Graph) -> list[Linear]:
    return [op for op in graph.ops if isinstance(op, Linear)]


def _accuracies(build: Build) -> dict[Key, Figure]:
    samples = build.entry("accuracy", "samples")
    data = f"{samples} samples of {Path(str(build.manifest.get('data'))).name}"
    rtl = next((name for name in ("netlist", "rtl", "csim") if build.entry("mismatches", f"{name}_vs_sim")), None)
    checked = build.entry("mismatches", f"{rtl}_vs_sim", "samples") if rtl else 0
    same = build.entry("mismatches", f"{rtl}_vs_sim", "different") == 0 if rtl else False
    target = f"integer simulator on {data}"
    if rtl and same:
        target += f"; {_CHAIN[rtl]} gave the same bits on {checked} of them"
    rows = (
        (Key.ACCURACY_FLOAT, "float", Provenance.MEASURED, "the float network, recorded as it was trained"),
        (Key.ACCURACY_QUANTISED, "quantized", Provenance.MEASURED, f"QONNX executor on {data}"),
        (Key.ACCURACY, "simulated", Provenance.SIMULATED, target),
    )
    found = {}
    for key, name, provenance, source in rows:
        value = build.entry("accuracy", name)
        if value is not None:
            found[key] = Figure(float(value), Unit.SHARE, provenance, source)
    return found


def _resources(build: Build) -> dict[Key, Figure]:
    found: dict[Key, Figure] = {}
    shares: list[tuple[float, str, Figure]] = []
    for name, key in RESOURCES.items():
        entry = build.entry("resources", name)
        figure = figure_of(entry, "used", Unit.COUNT, build)
        if figure is None:
            continue
        found[key] = figure
        if available := entry.get("available"):
            shares.append((figure.value / available, name, figure))
    if shares:
        share, name, figure = max(shares, key=lambda item: item[0])
        found[Key.UTILISATION] = Figure(
            share, Unit.SHARE, figure.provenance, f"{name.upper()}, the fullest resource of the part: {figure.source}"
        )
    return found


def _clock(build: Build) -> tuple[dict[Key, Figure], Figure] | None:
    """The clocks to show, and the one that times are computed with: it counts as estimated until a router met it."""
    timing = build.entry("timing") or {}
    if not timing.get("clock_mhz"):
        return None
    hertz = float(timing["clock_mhz"]) * 1e6
    asked = Figure(hertz, Unit.HERTZ, Provenance.DEFINED, f"the clock that the build asks for ({build.place})")
    fmax = figure_of(timing.get("fmax_mhz"), "value", Unit.HERTZ, build, 1e6)
    if fmax is None:
        source = f"{hertz / 1e6:g} MHz are asked for, and no place and route has confirmed them"
        return {Key.CLOCK: asked}, replace(asked, provenance=Provenance.ESTIMATED, source=source)
    known = {Key.CLOCK: asked, Key.FMAX: fmax}
    if fmax.value < hertz:
        return known, fmax
    within = f"{hertz / 1e6:g} MHz, within the {fmax.value / 1e6:g} MHz of {fmax.source}"
    return known, replace(fmax, value=hertz, source=within)


def _speed(build: Build) -> dict[Key, Figure]:
    """Cycles, and times at the clock: every sample takes the same cycles, so all percentiles are one."""
    clocks = _clock(build)
    if clocks is None:
        return {}
    found, clock = clocks
    timing = build.entry("timing")
    latency = figure_of(timing.get("latency_cycles"), "value", Unit.CYCLES, build)
    interval = figure_of(timing.get("interval_cycles"), "value", Unit.CYCLES, build)
    if latency is not None:
        found[Key.LATENCY_CYCLES] = latency
        how = f"cycles at {clock.value / 1e6:g} MHz, the same for every sample"
        seconds = derived(latency.value / clock.value, Unit.SECONDS, how, cycles=latency, clock=clock)
        found |= dict.fromkeys((Key.LATENCY_P50, Key.LATENCY_P90, Key.LATENCY_P99), seconds)
        if latency.value > 0:
            how = "the inverse of the latency"
            rate = clock.value / latency.value
            found[Key.RATE] = derived(rate, Unit.PER_SECOND, how, cycles=latency, clock=clock)
    if interval is not None and interval.value > 0:
        found[Key.INTERVAL_CYCLES] = interval
        how = f"samples back to back at {clock.value / 1e6:g} MHz"
        rate = clock.value / interval.value
        found[Key.THROUGHPUT] = derived(rate, Unit.PER_SECOND, how, cycles=interval, clock=clock)
    return found


def _chain(build: Build) -> tuple[Comparison, ...]:
    steps = []
    for name, counts in (build.entry("mismatches") or {}).items():
        way = name.removesuffix("_vs_sim")
        title = _CHAIN.get(way, way)
        kind = Provenance.MEASURED if way == "board" else Provenance.SIMULATED
        source = f"{title} against the simulator on {counts['samples']} samples"
        different = Figure(counts["different"], Unit.COUNT, kind, source)
        left, right = (title, "simulator") if way == "qonnx" else ("simulator", title)
        excuse = _FLOAT32 if way == "qonnx" and counts["different"] else ""
        steps.append(Comparison(left, right, counts["samples"], counts["values"], different, excuse))
    return tuple(sorted(steps, key=lambda step: step.left == "simulator"))


def _power(build: Build, figures: Mapping[Key, Figure], activity: float | None, what: str) -> dict[Key, Figure]:
    used = {name: figures[key].value for name, key in RESOURCES.items() if key in figures}
    if Key.CLOCK not in figures or activity is None or len(used) < len(RESOURCES):
        return {}
    hertz = min(figures[key].value for key in (Key.CLOCK, Key.FMAX) if key in figures)
    found: dict[Key, Figure] = {}
    power = power_of(build.board, used, hertz / 1e6, activity, what)
    if power is not None:
        found[Key.POWER] = Figure(
            power.chip, Unit.WATTS, Provenance.ESTIMATED, f"{power.source}; programmable logic without a processor"
        )
        if power.board is not None:
            found[Key.POWER_BOARD] = Figure(power.board, Unit.WATTS, Provenance.ESTIMATED, power.board_source)
    report = build.folder / POWER_REPORT
    if report.is_file() and isinstance(parsed := parse_report(report), PowerReport):
        found[Key.POWER] = Figure(
            parsed.total_w, Unit.WATTS, Provenance.SYNTHESISED, f"{parsed.tool} power report, whole chip with processor"
        )
    for single, offline, watts in (
        (Key.ENERGY_SINGLE, Key.ENERGY_OFFLINE, found.get(Key.POWER)),
        (Key.ENERGY_SINGLE_BOARD, Key.ENERGY_OFFLINE_BOARD, found.get(Key.POWER_BOARD)),
    ):
        if watts is None:
            continue
        if (latency := figures.get(Key.LATENCY_P50)) is not None:
            joules = watts.value * latency.value
            found[single] = derived(joules, Unit.JOULES, "power times latency", power=watts, latency=latency)
        if (rate := figures.get(Key.THROUGHPUT)) is not None:
            joules = watts.value / rate.value
            found[offline] = derived(joules, Unit.JOULES, "power over samples a second", power=watts, rate=rate)
    return found
