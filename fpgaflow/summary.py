"""The summaries that people read after `build` and `validate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fpgaflow.building import BuildResult
from fpgaflow.console import Console
from fpgaflow.quantize import Quantised
from fpgaflow.validate import Validation

if TYPE_CHECKING:
    from fpgaflow.training.trainer import TrainResult

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
    if manifest["rounding"] is not None:
        _print_rounding(manifest["rounding"], console)
    for reason in manifest["left_out"].values():
        console.text(f"left out: {reason}", "yellow")
    console.text("")
    _print_folding(manifest, console)
    _print_figures(manifest, console)
    console.text("")
    if manifest.get("router") is not None:
        _print_router(manifest["router"], console)
    if manifest.get("rtl") is not None:
        console.text(f"RTL: {result.folder / manifest['rtl']}")
    if manifest["firmware"] is not None:
        console.text(f"Firmware: {result.folder / manifest['firmware']}")
    if manifest["bitstream"] is not None:
        console.text(f"Bitstream: {result.folder / manifest['bitstream']}")
    else:
        console.text(f"No bitstream: {manifest['why_no_bitstream']}")
    if result.ok:
        console.text(f"Next: fpgaflow validate {result.folder}")


def print_trained(result: TrainResult, console: Console) -> None:
    """What each network reaches, and where the files are."""
    if result.resumed_at:
        console.text(f"Went on from batch {result.resumed_at:,} of an earlier run")
    shares = result.scores.get("mean_squared_error") or result.scores["accuracy"]
    wrong = "mean_squared_error" in result.scores
    made = [f"{shares[name]:.6g}" if wrong else percent(shares[name]) for name in ("float", "quantized")]
    console.text(
        f"Test {'mean squared error' if wrong else 'accuracy'} over {result.samples} samples (measured): "
        f"float {made[0]}, quantised {made[1]}; {result.seconds:.0f} s"
    )
    console.text("Simulator against the trained network: no output value differs")
    console.text(f"Written to {result.out}: model.onnx (QONNX), checkpoint.pt, test.npz, train.json")
    console.text(f"Next: fpgaflow build {result.out / 'model.onnx'} --data {result.out / 'test.npz'}")


def _print_folding(manifest: Mapping[str, Any], console: Console) -> None:
    """How each layer is built, what sets the pace, and, of the HLS flow, what more speed would cost."""
    folding = manifest["folding"]
    if "folds" in folding:
        _print_folds(folding, console)
    if "reuse_factors" not in folding:
        return
    unrolled = set(folding.get("unrolled", ()))
    rows = [
        (name, "unrolled, weights as constants" if name in unrolled else f"reuse factor {reuse:,}")
        for name, reuse in folding["reuse_factors"].items()
    ]
    console.table(("layer", f"built ({folding['io_type']})"), rows)
    console.text(f"Bottleneck: {folding['bottleneck']}, {folding['cost']['cycles']:,} cycles a sample (estimated)")
    if (fifos := manifest.get("fifos")) is not None and fifos["depths"]:
        depths, whole = fifos["depths"].values(), fifos["whole"].values()
        console.text(
            f"FIFOs: {len(depths)}, words in all {sum(depths):,}, in the deepest {max(depths):,}; "
            f"a sample in each would be {sum(whole):,} (simulated)"
        )
    if (trade := folding.get("trade")) is not None:
        shares = sorted(trade["utilisation"].items(), key=lambda item: -item[1])
        told = ", ".join(f"{_RESOURCE_NAMES[name]} {share:.0%}" for name, share in shares if share >= 0.005)
        verdict = "fits too" if trade["fits"] else "does not fit"
        console.text(
            f"Next faster: {trade['samples_per_second']:,.0f} samples/s for {told} of the part (estimated): {verdict}"
        )
    console.text("")


def _print_folds(folding: Mapping[str, Any], console: Console) -> None:
    """Of the RTL flow: what each op takes and gives at a time, and which have their weights in adders."""
    built = dict.fromkeys(folding["unrolled"], "unrolled, weights in adders")
    built |= {inside: f"in {name}" for name, absorbed in folding["unrolled"].items() for inside in absorbed}
    for name, fold in folding["folds"].items():
        lanes = fold["simd"] == 1 and fold["pe"] == fold["lanes"]
        built.setdefault(name, f"lanes {fold['pe']}" if lanes else f"PE {fold['pe']} × SIMD {fold['simd']}")
    rows = [(name, built[name], f"{fold['cycles']:,}") for name, fold in folding["folds"].items()]
    console.table(("layer", "built", "cycles a sample>"), rows)
    console.text(f"Bottleneck: {folding['bottleneck']}, {folding['interval']:,} cycles a sample (estimated)")
    console.text("")


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
    if (link := manifest.get("link")) is not None and link["samples_per_second"]["value"] is not None:
        carried = link["samples_per_second"]
        lines.append((f"UART, {link['baud']:,} baud", f"{carried['value']:,.0f} samples/s", carried["source"]))
    if (power := manifest.get("power_w")) is not None:
        lines.append(("power of the part", f"{power['value']:g} W", power["source"]))
    console.table(("timing", ">", "source"), lines)


def _print_router(router: Mapping[str, Any], console: Console) -> None:
    """The router's own counts, by its names of cells."""
    rows = [(name, f"{used:,}", f"{have:,}" if have else "") for name, (used, have) in router["utilisation"].items()]
    console.table(("placed cells", "used>", "of>"), rows)
    console.text(f"seed {router['seed']}, sha256 {router['sha256'][:16]}")
    console.text("")


def _print_rounding(rounding: Mapping[str, Any], console: Console) -> None:
    """How often float32 rounds otherwise than exact arithmetic, with the quantisers where it does."""
    console.text(
        f"Float32, as QONNX's executor computes, rounds {rounding['different']:,} of {rounding['values']:,} values "
        f"otherwise than exact arithmetic ({rounding['samples']} samples, measured)"
    )
    rows = [(q["node"], f"{q['different']:,} of {q['values']:,}") for q in rounding["quantisers"] if q["different"]]
    if rows:
        console.table(("quantiser, from exact inputs", "rounded otherwise>"), rows)
    if rounding["not_compared"]:
        console.text(f"not compared: {', '.join(rounding['not_compared'])}")


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
    if validation.rounding is not None:
        console.text("")
        _print_rounding(validation.rounding.as_json(), console)
    for reason in validation.skipped:
        console.text(f"left out: {reason}", "yellow")
