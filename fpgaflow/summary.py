"""The summaries that people read after `build` and `validate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fpgaflow.building import BuildResult
from fpgaflow.console import Console
from fpgaflow.quantize import Quantised
from fpgaflow.validate import Validation

_RESOURCE_NAMES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram36": "BRAM36"}


def percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.2%}"


def print_build(result: BuildResult, console: Console) -> None:
    """Accuracy, mismatches, resources, timing and what to do next, each figure with its source."""
    manifest = result.manifest
    console.text(f"\n{manifest['model']['source']} for {manifest['board']} ({manifest['part']})", "bold")
    stages = [(s["name"], s["status"], f"{s['seconds']:.1f}", (s["digest"] or "")[:12]) for s in manifest["stages"]]
    console.table(("stage", "", "seconds>", "digest"), stages)
    console.text("")
    share = manifest["accuracy"]
    console.table(
        ("accuracy", ">", ""),
        [
            (
                "float",
                percent(share["float"]),
                "recorded by fpgaflow train" if share["float"] is not None else "not known",
            ),
            ("quantised", percent(share["quantized"]), f"QONNX executor, {manifest['data']}"),
            ("simulated", percent(share["simulated"]), f"{share['samples']} samples, bit-accurate"),
        ],
    )
    console.text("")
    rows = [
        (name.replace("_vs_", " against "), f"{m['different']:,} of {m['values']:,}", f"{m['samples']} samples")
        for name, m in manifest["mismatches"].items()
    ]
    console.table(("bit differences", "values>", ""), rows)
    for reason in manifest["left_out"].values():
        console.text(f"left out: {reason}", "yellow")
    console.text("")
    _print_figures(manifest, console)
    console.text("")
    if manifest["firmware"] is not None:
        console.text(f"Firmware: {result.folder / manifest['firmware']}")
    if manifest["bitstream"] is not None:
        console.text(f"Bitstream: {result.folder / manifest['bitstream']}")
    else:
        console.text(f"No bitstream: {manifest['why_no_bitstream']}")
    if result.ok:
        console.text(f"Next: fpgaflow validate {result.folder}")


def print_quantised(done: Quantised, console: Console) -> None:
    """Bits of each layer, accuracy before and after, what differs, and what to do next."""
    rows = [
        (layer.name, layer.what, str(layer.bits), "signed" if layer.signed else "unsigned", str(layer.scales))
        for layer in done.layers
    ]
    console.table(("layer", "quantised", "bits>", "", "scales>"), rows)
    console.text("")
    if done.float_accuracy is None:
        console.text("Accuracy: not known, the data have no labels y")
    else:
        source = f"the {done.samples} calibration samples"
        console.table(
            ("accuracy", ">", "measured on"),
            [
                ("float", percent(done.float_accuracy), f"{source}, torch"),
                ("quantised", percent(done.quantised_accuracy), f"{source}, simulator, bit-accurate"),
            ],
        )
    console.text(f"Simulator against Brevitas: {done.different:,} of {done.values:,} output values differ")
    if done.different:
        console.text("Brevitas sums in float32, which may round a tie the other way; the file's own integers are exact")
    console.text(f"Written to {done.out}\nNext: fpgaflow build {done.out}")


def _print_figures(manifest: Mapping[str, Any], console: Console) -> None:
    rows = []
    for name, entry in manifest["resources"].items():
        used, available = entry["used"], entry["available"]
        share = "—" if used is None or not available else f"{used / available:.0%}"
        rows.append(
            (
                _RESOURCE_NAMES[name],
                "—" if used is None else f"{used:,.1f}".removesuffix(".0"),
                f"{available:,}",
                share,
                entry["source"],
            )
        )
    console.table(("resource", "used>", "of>", ">", "source"), rows)
    console.text("")
    timing = manifest["timing"]
    clock_source = "board file" if manifest["bitstream"] is None else "reported"
    lines = [("clock", f"{timing['clock_mhz']:g} MHz", clock_source)]
    for key, label, unit in (
        ("latency_cycles", "latency", "cycles"),
        ("interval_cycles", "initiation interval", "cycles"),
        ("samples_per_second", "throughput", "samples/s"),
        ("fmax_mhz", "fmax", "MHz"),
    ):
        if timing[key]["value"] is not None:
            lines.append((label, f"{timing[key]['value']:,.0f} {unit}", timing[key]["source"]))
    console.table(("timing", ">", "source"), lines)


def print_validation(validation: Validation, console: Console) -> None:
    """Accuracy of each way to compute, and the differences between neighbours."""
    console.text(f"{validation.samples} samples: {validation.data}", "bold")
    ways = [("float", percent(validation.float_accuracy))] + [(w.name, percent(w.accuracy)) for w in validation.ways]
    console.table(("computed by", "accuracy>"), ways)
    console.text("")
    rows = []
    for step in validation.steps:
        m = step.mismatches
        note = step.excuse or ("" if step.first_layer is None else f"first at {step.first_layer}")
        rows.append(
            (
                "✓" if step.ok else "✗",
                f"{step.left} against {step.right}",
                f"{m.different:,} of {m.values:,}",
                str(m.samples),
                note,
            )
        )
    console.table(("", "compared", "different values>", "samples>", ""), rows)
    for reason in validation.skipped:
        console.text(f"left out: {reason}", "yellow")
