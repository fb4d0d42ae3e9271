"""A figure and where it comes from. Nothing reaches the report that is not one of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fpgaflow.errors import BadInput


class Provenance(StrEnum):
    """How a figure came about, the strongest first."""

    MEASURED = "measured"  # on the hardware itself
    SIMULATED = "simulated"  # cycle by cycle, or bit by bit
    SYNTHESISED = "synthesised"  # a synthesis or implementation tool's report
    ESTIMATED = "estimated"  # a model of fpgaflow's, or a roofline
    PUBLISHED = "published"  # somebody else's document
    DEFINED = "defined"  # exact by definition: counted in the graph, or chosen by the user


class Limit(StrEnum):
    """What a figure says of the true value. Only one without a limit can win a comparison."""

    NONE = ""
    AT_LEAST = "≥"  # a bound from below
    AT_MOST = "≤"
    ROUGH = "~"  # made of a bound, in a direction that is not known


class Unit(StrEnum):
    SECONDS = "s"
    PER_SECOND = "1/s"
    JOULES = "J"
    WATTS = "W"
    HERTZ = "Hz"
    BYTES = "B"
    SHARE = "share"
    DOLLARS = "USD"
    COUNT = "count"
    CYCLES = "cycles"
    BITS = "bits"
    TIMES = "times"  # one figure over another


class Key(StrEnum):
    """What is compared; the value is the name in the JSON."""

    ACCURACY_FLOAT = "accuracy_float"
    ACCURACY_QUANTISED = "accuracy_quantised"
    ACCURACY = "accuracy"
    DIFFERENCES = "bit_differences"
    LATENCY_P50 = "latency_p50"
    LATENCY_P90 = "latency_p90"
    LATENCY_P99 = "latency_p99"
    RATE = "rate_single"
    THROUGHPUT = "throughput_offline"
    ENERGY_SINGLE = "energy_single_chip"
    ENERGY_OFFLINE = "energy_offline_chip"
    POWER = "power_chip"
    ENERGY_SINGLE_BOARD = "energy_single_board"
    ENERGY_OFFLINE_BOARD = "energy_offline_board"
    POWER_BOARD = "power_board"
    COST = "unit_cost"
    CLOCK = "clock"
    FMAX = "fmax"
    LATENCY_CYCLES = "latency_cycles"
    INTERVAL_CYCLES = "interval_cycles"
    MEMORY = "memory"
    LUT = "lut"
    FF = "ff"
    DSP = "dsp"
    BRAM36 = "bram36"
    UTILISATION = "utilisation"


@dataclass(frozen=True)
class Figure:
    """A finite value in SI units, its provenance, and its source in words.

    Raises:
        BadInput: one of them is missing. A report with such a figure is not written.
    """

    value: float
    unit: Unit
    provenance: Provenance
    source: str
    limit: Limit = Limit.NONE

    def __post_init__(self) -> None:
        fix = "Say how it came about: a provenance, and its source in words"
        if not isinstance(self.provenance, Provenance):
            raise BadInput("a figure", f"{self.value!r} has no provenance, but {self.provenance!r}", fix)
        if not isinstance(self.source, str) or not self.source.strip():
            raise BadInput("a figure", f"{self.value!r} ({self.provenance}) names no source", fix)
        if not isinstance(self.unit, Unit):
            raise BadInput("a figure", f"{self.value!r} has no unit, but {self.unit!r}", "Give one of Unit")
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise BadInput("a figure", f"{self.value!r} is no finite number", "Leave unknown figures out")

    def as_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "unit": self.unit.value,
            "provenance": self.provenance.value,
            "source": self.source,
            **({"limit": self.limit.value} if self.limit else {}),
        }


Figures = Mapping[Key, Figure]


def figure_from_json(document: Any, where: str) -> Figure:
    """The figure that `as_json` wrote.

    Raises:
        BadInput: a field is missing or unknown; `where` names the place.
    """
    try:
        return Figure(
            document["value"],
            Unit(document["unit"]),
            Provenance(document["provenance"]),
            document["source"],
            Limit(document.get("limit", "")),
        )
    except BadInput as error:
        raise BadInput(where, error.problem.found, error.problem.fix) from None
    except (KeyError, TypeError, ValueError):
        fix = f'Write {{"value", "unit", "provenance", "source"}}; provenance is one of {", ".join(Provenance)}'
        raise BadInput(where, f"is no figure: {document!r:.120}", fix) from None


def figures_from_json(document: Any, where: str) -> dict[Key, Figure]:
    """The figures by key.

    Raises:
        BadInput: an unknown key, or a broken figure.
    """
    if not isinstance(document, dict):
        raise BadInput(where, "holds no figures", "Write an object of figures by name")
    found = {}
    for name, entry in document.items():
        if name not in list(Key):
            raise BadInput(f"{where}: {name}", "is no figure that is compared", f"Known: {', '.join(Key)}")
        found[Key(name)] = figure_from_json(entry, f"{where}: {name}")
    return found


_WEAKER = (  # each is weaker than those before it
    Provenance.DEFINED,
    Provenance.MEASURED,
    Provenance.SIMULATED,
    Provenance.SYNTHESISED,
    Provenance.PUBLISHED,
    Provenance.ESTIMATED,
)


def weakest(*figures: Figure) -> Provenance:
    """The provenance of what is computed from several figures."""
    return max((figure.provenance for figure in figures), key=_WEAKER.index)


def derived(value: float, unit: Unit, how: str, **parts: Figure) -> Figure:
    """What is computed from several figures: as weak as the weakest; its source says how, and what each part is."""
    named = "; ".join(f"{name} {part.provenance}: {part.source}" for name, part in parts.items())
    return Figure(value, unit, weakest(*parts.values()), f"{how}; {named}")
