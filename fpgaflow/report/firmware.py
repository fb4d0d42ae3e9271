"""The figures of a build, each with where it comes from: estimated until the vendor's reports are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpgaflow.boards import Board
from fpgaflow.errors import BadInput, ToolFailed
from fpgaflow.report.parse import parse_report
from fpgaflow.report.parse_types import HlsReport, PowerReport, TimingReport, UtilizationReport

RESOURCES = ("lut", "ff", "dsp", "bram36")


@dataclass(frozen=True)
class Figure:
    """`value` is None where nothing is known; `source` is estimated, synthesised, reported, simulated or measured."""

    value: float | None
    source: str

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, "source": self.source}


@dataclass(frozen=True)
class Figures:
    """Resources by name with what the part has, and timing; cycles are of the design's clock."""

    available: Mapping[str, int]
    used: Mapping[str, Figure]
    clock_mhz: float
    fmax_mhz: Figure
    latency_cycles: Figure
    interval_cycles: Figure
    power_w: Figure | None = None  # of the whole part, as Vivado estimates it after routing

    def as_json(self) -> dict[str, Any]:
        interval = self.interval_cycles
        rate = None if not interval.value else round(self.clock_mhz * 1e6 / interval.value, 1)
        return {
            "resources": {
                name: {"used": figure.value, "available": self.available[name], "source": figure.source}
                for name, figure in self.used.items()
            },
            "timing": {
                "clock_mhz": self.clock_mhz,
                "fmax_mhz": self.fmax_mhz.as_json(),
                "latency_cycles": self.latency_cycles.as_json(),
                "interval_cycles": interval.as_json(),
                "samples_per_second": {"value": rate, "source": interval.source},
            },
            **({} if self.power_w is None else {"power_w": self.power_w.as_json()}),
        }


def estimated_figures(board: Board, clock_mhz: float, cost: Mapping[str, float] | None) -> Figures:
    """From the folding's cost model; None everywhere if there was no folding."""

    def figure(name: str) -> Figure:
        return Figure(None if cost is None else round(cost[name], 1), "estimated")

    available = {name: getattr(board.resources, name) for name in RESOURCES}
    return Figures(
        available,
        {name: figure(name) for name in RESOURCES},
        clock_mhz,
        Figure(None, "estimated"),
        figure("latency"),
        figure("cycles"),
    )


def reported_figures(folder: Path, estimated: Figures) -> Figures:
    """The estimates replaced by what the vendor's reports in `folder` say, as far as they say it.

    Raises:
        ToolFailed: a report cannot be read.
    """
    figures = estimated
    if (clock := folder / "clock.json").is_file():  # first: it turns the slack into a frequency
        figures = replace(figures, clock_mhz=_actual_mhz(clock))
    for name in ("csynth.xml", "utilization.rpt", "timing.rpt", "power.rpt"):
        if (folder / name).is_file():
            figures = _with_report(figures, folder / name)
    return figures


def _with_report(figures: Figures, path: Path) -> Figures:
    try:
        report = parse_report(path)
    except BadInput as error:
        raise ToolFailed(error.problem.where, error.problem.found, "Report it with this file") from error

    def reported(value: float | None, estimate: Figure) -> Figure:
        return estimate if value is None else Figure(value, "reported")

    match report:
        case HlsReport():
            latency = reported(report.latency_max, figures.latency_cycles)
            interval = reported(report.interval_max, figures.interval_cycles)
            return replace(figures, latency_cycles=latency, interval_cycles=interval)
        case UtilizationReport():
            used = {name: Figure(getattr(report.resources, name).used, "reported") for name in RESOURCES}
            return replace(figures, used=used)
        case PowerReport():
            return replace(figures, power_w=Figure(report.total_w, "reported"))
        case TimingReport():
            return replace(figures, fmax_mhz=reported(_fmax(report, figures.clock_mhz), figures.fmax_mhz))
    return figures


def _actual_mhz(path: Path) -> float:
    """What the processor's clock generator gives: the nearest that it can to what was asked for."""
    try:
        return float(json.loads(path.read_text())["actual_mhz"])
    except (ValueError, KeyError, TypeError) as error:
        raise ToolFailed(str(path), f"is no clock report ({error})", "Report it with this file") from error


def _fmax(report: TimingReport, clock_mhz: float) -> float | None:
    """The clock at which the worst path would just meet timing: 1 / (period - worst slack)."""
    if report.wns_ns is None:
        return None
    return round(1000 / (1000 / clock_mhz - report.wns_ns), 1)
