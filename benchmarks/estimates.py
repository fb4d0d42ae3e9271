"""Estimates against what C synthesis reported of designs that had no part in the calibration.

    python benchmarks/estimates.py          the tables of docs/estimates.md
    python benchmarks/estimates.py --fit    the coefficients from all designs, for fpgaflow/cost/coefficients.py

Cross-validated: for each design the coefficients of LUTs are fitted again on the layers of all designs of other
networks, by non-negative least squares of relative errors; flip-flops have none. The facts are in
benchmarks/data/hls_reports.json, each with its source.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls

from fpgaflow.cost.hls_layers import (
    CONV_CYCLES,
    ConstantLayer,
    FoldedLayer,
    LaneLayer,
    fifo_blocks,
    luts,
)
from fpgaflow.cost.registers import Clock

DATA = Path(__file__).parent / "data" / "hls_reports.json"
Layer = dict[str, Any]
Table = dict[str, tuple[float, ...]]


def family_of(design: Mapping[str, Any]) -> str:
    """Vitis HLS rounds and saturates in less logic than Vivado HLS did."""
    return "vitis" if design["tool"].startswith("Vitis") else "vivado"


def clock_of(design: Mapping[str, Any]) -> Clock:
    return Clock(design["period_ns"], design["uncertainty_ns"], not design["part"].startswith("xc7"))


def spec(layer: Layer, family: str) -> tuple[str, FoldedLayer | ConstantLayer | LaneLayer] | None:
    """The kind of coefficients and the description of a layer; None for a FIFO, which has no coefficients."""
    match layer["kind"]:
        case "dense" | "conv":
            fields = {key: layer[key] for key in ("n_in", "n_out", "reuse", "a", "w", "acc", "top")}
            if layer["kind"] == "dense":
                return "folded", FoldedLayer(**fields)
            rows = isqrt(layer["n_in"] // layer["lanes"])
            window = layer["n_in"] * layer["a"]
            return "folded", FoldedLayer(**fields, window_bits=window, lines=(rows - 1) * layer["lanes"])
        case "constant_dense":
            return "constant", ConstantLayer(**{key: layer[key] for key in layer if key not in ("kind", "measured")})
        case "relu":
            held = family == "vivado" and not layer["stream"]  # arrays between the processes of a dataflow
            flags = {"cast": bool(layer["cast"]), "stream": bool(layer["stream"]), "held": held}
            return f"relu.{family}", LaneLayer("relu", layer["lanes"], layer["a"], layer["out"], **flags)
        case "pool" | "encoded_pool":
            side = isqrt(layer["size"])
            return layer["kind"], LaneLayer("pool", layer["lanes"], layer["a"], window=(side, side))
        case "padding":
            return "padding", LaneLayer("padding", layer["lanes"], layer["a"])
    return None


def fit(designs: Iterable[Mapping[str, Any]]) -> Table:
    """Coefficients of LUTs of every kind of layer that these designs show."""
    rows: dict[str, list[tuple[list[float], float]]] = {}
    for family, layer in ((family_of(design), layer) for design in designs for layer in design["layers"]):
        if (found := spec(layer, family)) is not None:
            kind, described = found
            rows.setdefault(f"{kind}.lut", []).append((described.luts(), layer["measured"]["lut"]))
    table = {}
    for name, pairs in rows.items():
        weights = np.array([1 / max(value, 50) for _, value in pairs])
        matrix = np.array([features for features, _ in pairs]) * weights[:, None]
        table[name] = tuple(float(f"{c:.4g}") for c in nnls(matrix, np.array([v for _, v in pairs]) * weights)[0])
    return table


def estimated(layer: Layer, design: Mapping[str, Any], table: Mapping[str, tuple[float, ...]]) -> dict[str, float]:
    """What the model says of a layer, as far as the coefficients go."""
    if layer["kind"] == "fifo":
        return {"bram18": fifo_blocks(layer["depth"], layer["bits"]) * layer["count"]}
    found = spec(layer, family_of(design))
    assert found is not None
    kind, described = found
    result: dict[str, float] = {"dsp": 0, "bram18": 0}
    if isinstance(described, FoldedLayer):
        result = {"dsp": described.dsp, "bram18": described.blocks}
        overhead = CONV_CYCLES if layer["kind"] == "conv" else 3
        result["cycles"] = layer.get("packets", 1) * (described.reuse + described.index_cycles + overhead)
    elif isinstance(described, ConstantLayer):
        result["dsp"] = described.wide_products
    if f"{kind}.lut" in table:
        result["lut"] = luts(f"{kind}.lut", described.luts(), table)
    if kind != "encoded_pool":  # of hls4ml 0.5, whose windows are FIFOs
        result["ff"] = described.ffs(clock_of(design))
    return result


NAMES = ("lut", "ff", "dsp", "bram18")


@dataclass
class Held:
    """What the model says of a design that it was fitted without: by name, (estimate, report) of each layer."""

    pairs: dict[str, list[tuple[float, float]]]

    def sums(self, name: str) -> tuple[float, float]:
        return sum(guess for guess, _ in self.pairs[name]), sum(real for _, real in self.pairs[name])

    def cell(self, name: str) -> str:
        if not self.pairs[name]:
            return "—"
        guess, real = self.sums(name)
        if name == "cycles":
            worst = max((guess / real - 1 for guess, real in self.pairs[name]), key=abs)
            return f"{worst:+.1%} at worst"
        if name in ("dsp", "bram18"):
            return f"{guess:.0f} of {real:.0f}"
        return f"{guess:,.0f} of {real:,.0f} ({guess / real - 1:+.0%})" if real else "0"


def held_out(design: Mapping[str, Any], table: Mapping[str, tuple[float, ...]]) -> Held:
    """The layers of a design by coefficients that it had no part in."""
    held = Held({name: [] for name in (*NAMES, "cycles")})
    for layer in design["layers"]:
        guess, real = estimated(layer, design, table), layer["measured"]
        for name, pairs in held.pairs.items():
            if name in guess and name in real:
                pairs.append((guess[name], real[name]))
    return held


def errors_of(pairs: Iterable[tuple[float, float]], least: float) -> str:
    """Median and worst relative error of the pairs whose report is `least` or more."""
    errors = [abs(guess / real - 1) for guess, real in pairs if real >= least]
    return f"{median(errors):.0%} (worst {max(errors):.0%}, {len(errors)})" if errors else "—"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="print the coefficients from all designs")
    designs = json.loads(DATA.read_text())["designs"]
    if parser.parse_args().fit:
        for name, values in sorted(fit(designs).items()):
            print(f'    "{name}": {values},')
        return
    print("| held out | layers | LUT | FF | DSP | BRAM18 | cycles |\n| --- | --- | --- | --- | --- | --- | --- |")
    results = [held_out(design, fit(d for d in designs if d["network"] != design["network"])) for design in designs]
    for design, held in zip(designs, results, strict=True):
        cells = " | ".join(held.cell(name) for name in (*NAMES, "cycles"))
        print(f"| {design['name']} ({design['tool']}) | {len(design['layers'])} | {cells} |")
    print("\nMedian error of what was held out (worst, how many):")
    for name in ("lut", "ff"):
        by_design = errors_of((held.sums(name) for held in results if held.pairs[name]), 1000)
        by_layer = errors_of((pair for held in results for pair in held.pairs[name]), 100)
        print(f"- {name.upper()}: by design {by_design}, by layer {by_layer}")
    print(f"- cycles: by layer {errors_of((pair for held in results for pair in held.pairs['cycles']), 1)}")
    exact = sum(held.sums(name)[0] == held.sums(name)[1] for held in results for name in ("dsp", "bram18"))
    print(f"- DSP and BRAM: {exact} of {2 * len(results)} sums are exact")


if __name__ == "__main__":
    main()
