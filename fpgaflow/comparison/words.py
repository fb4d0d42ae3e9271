"""Figures as people read them: three digits, an SI prefix; the names of columns. For the page and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from fpgaflow.comparison.figures import Figure, Key, Provenance, Unit

_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_SI = {Unit.SECONDS: "s", Unit.JOULES: "J", Unit.WATTS: "W", Unit.HERTZ: "Hz"}

LETTERS = {kind: kind.value[0].upper() for kind in Provenance} | {Provenance.SYNTHESISED: "Y", Provenance.DEFINED: "="}

LABELS = {
    Key.ACCURACY_FLOAT: "Accuracy, float",
    Key.ACCURACY_QUANTISED: "Accuracy, quantised",
    Key.ACCURACY: "Accuracy on target",
    Key.DIFFERENCES: "Output values that differ",
    Key.LATENCY_P50: "Latency p50",
    Key.LATENCY_P90: "Latency p90",
    Key.LATENCY_P99: "Latency p99",
    Key.RATE: "Rate in a closed loop",
    Key.THROUGHPUT: "Throughput",
    Key.ENERGY_SINGLE: "Energy, one at a time",
    Key.ENERGY_OFFLINE: "Energy, offline",
    Key.POWER: "Power",
    Key.ENERGY_SINGLE_BOARD: "Energy, one at a time",
    Key.ENERGY_OFFLINE_BOARD: "Energy, offline",
    Key.POWER_BOARD: "Power",
    Key.COST: "Unit cost",
    Key.CLOCK: "Clock",
    Key.FMAX: "Highest clock",
    Key.LATENCY_CYCLES: "Latency in cycles",
    Key.INTERVAL_CYCLES: "Initiation interval in cycles",
    Key.MEMORY: "Weights",
    Key.LUT: "LUT",
    Key.FF: "FF",
    Key.DSP: "DSP",
    Key.BRAM36: "BRAM36",
    Key.UTILISATION: "Fullest resource",
}

# Groups of rows of the comparison, in order. Batch 1 and offline stand apart, and so do chip and board.
GROUPS: tuple[tuple[str, tuple[Key, ...]], ...] = (
    ("Accuracy and bits", (Key.ACCURACY_FLOAT, Key.ACCURACY_QUANTISED, Key.ACCURACY, Key.DIFFERENCES)),
    ("One sample at a time", (Key.LATENCY_P50, Key.LATENCY_P90, Key.LATENCY_P99, Key.RATE, Key.ENERGY_SINGLE)),
    ("Offline, samples back to back", (Key.THROUGHPUT, Key.ENERGY_OFFLINE)),
    ("Chip that computes", (Key.POWER, Key.CLOCK, Key.FMAX, Key.MEMORY)),
    ("Whole board", (Key.POWER_BOARD, Key.ENERGY_SINGLE_BOARD, Key.ENERGY_OFFLINE_BOARD, Key.COST)),
    (
        "FPGA",
        (Key.LATENCY_CYCLES, Key.INTERVAL_CYCLES, Key.UTILISATION, Key.LUT, Key.FF, Key.DSP, Key.BRAM36),
    ),
)

LAYER_COLUMNS = {
    "cycles": "Cycles",
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram36": "BRAM36",
    "weight_bits": "Weight bits",
    "output_bits": "Output bits",
    "toggle_rate": "Toggle rate",
    "saturated": "Saturated",
    "wrapped": "Wrapped",
}


def shown(figure: Figure) -> str:
    """`17.5 µs`, `57,268 /s`, `99.66 %`, `≥ 6.01 µs`."""
    return f"{figure.limit} {_value(figure)}" if figure.limit else _value(figure)


def _value(figure: Figure) -> str:
    value, unit = figure.value, figure.unit
    match unit:
        case Unit.SHARE:
            return f"{value:.2%}".replace("%", " %")
        case Unit.DOLLARS:
            return f"${value:,.0f}"
        case Unit.PER_SECOND:
            return f"{_grouped(value)} /s" if value < 1e6 else si(value, "/s")
        case Unit.BYTES:
            return _bytes(value)
        case Unit.CYCLES | Unit.COUNT | Unit.BITS:
            return _grouped(value)
        case Unit.TIMES:
            return f"{value:,.0f} ×" if value >= 100 else f"{value:#.3g} ×"
    return si(value, _SI[unit])


def si(value: float, unit: str) -> str:
    """Three significant digits with the prefix that fits."""
    if value == 0:
        return f"0 {unit}"
    exponent = min(12, max(-12, 3 * floor(log10(abs(value)) / 3)))
    scaled = value / 10.0**exponent
    if abs(float(f"{scaled:.3g}")) >= 1000 and exponent < 12:  # 999.6 µs are 1.00 ms
        exponent += 3
        scaled = value / 10.0**exponent
    digits = max(0, 2 - floor(log10(abs(float(f"{scaled:.3g}")))))
    return f"{scaled:,.{digits}f} {_PREFIXES[exponent]}{unit}"


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.3g}"


def _bytes(value: float) -> str:
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:,.0f} B"


def joined(reasons: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(reasons) < 3:
        return " and ".join(reasons)
    return ", ".join(reasons[:-1]) + " and " + reasons[-1]
