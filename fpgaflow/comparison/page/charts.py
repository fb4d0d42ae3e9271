"""The plots, as Vega-Lite specifications, each with its text: what a reader who cannot see it is told.

Colours and fonts come from the page's theme at the time of drawing; here stand only marks, scales and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10, sqrt
from typing import Any

from fpgaflow.comparison.figures import Key
from fpgaflow.comparison.judge import front
from fpgaflow.comparison.results import Kind, Report, Target
from fpgaflow.comparison.words import LAYER_COLUMNS, shown

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name, not fetched
_KINDS = [kind.value for kind in Kind]
_SHAPES = ["circle", "square", "diamond", "triangle-up"]
_LEAST_AREA, _MOST_AREA = 90.0, 900.0  # of a mark, in square pixels
_STAGES = ((Key.ACCURACY_FLOAT, "float"), (Key.ACCURACY_QUANTISED, "quantised"), (Key.ACCURACY, "on target"))
LAYER_PLOTS = ("cycles", "lut", "ff", "dsp", "bram36", "weight_bits", "output_bits", "saturated", "wrapped")


@dataclass(frozen=True)
class Chart:
    """`text` is the plot in words; `absent` says what it does not show, and why."""

    name: str
    title: str
    spec: dict[str, Any]
    text: str
    absent: str = ""


def _decades(values: Sequence[float], title: str, unit: str) -> dict[str, Any]:
    """Scale and axis of whole powers of ten around the values; labels carry SI prefixes (d3-format's `s`)."""
    room = 0.15  # of a decade, for a mark and its name
    low, high = (floor(log10(min(values)) - room), ceil(log10(max(values)) + room)) if values else (-6, -3)
    ticks = [10.0**power for power in range(low, high + 1)]
    label = f"replace(format(datum.value, '~s'), /([0-9])([a-zA-Zµ]?)$/, '$1 $2{unit}')"
    return {
        "scale": {"type": "log", "domain": [ticks[0], ticks[-1]], "nice": False},
        "axis": {"title": title, "values": ticks, "labelExpr": label, "labelOverlap": "greedy"},
    }


def pareto(report: Report) -> Chart:
    """Latency against energy of one sample at a time, the chip that computes; size by cost."""
    energy = Key.ENERGY_SINGLE
    best = front(report.targets, energy)
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for target in report.targets:
        if Key.LATENCY_P50 not in target.figures or energy not in target.figures:
            left_out.append(f"{target.name} ({_lack(target, energy)})")
            continue
        latency, joules = target.figures[Key.LATENCY_P50], target.figures[energy]
        cost = target.figures.get(Key.COST)
        rows.append(
            {
                "target": target.name,
                "kind": target.kind.value,
                "latency": latency.value,
                "energy": joules.value,
                "cost": 0.0 if cost is None else cost.value,
                "Latency p50": f"{shown(latency)} ({latency.provenance})",
                "Energy": f"{shown(joules)} ({joules.provenance})",
                "Unit cost": "not known" if cost is None else f"{shown(cost)} ({cost.provenance})",
                "front": target.name in best,
                "bound": bool(latency.limit or joules.limit),
            }
        )
    dearest = max((row["cost"] for row in rows), default=0.0) or 1.0
    for row in rows:
        row["area"] = _LEAST_AREA + (_MOST_AREA - _LEAST_AREA) * sqrt(row["cost"] / dearest)
    _name_once(rows)
    tooltip: list[dict[str, str]] = [{"field": name} for name in ("Latency p50", "Energy", "Unit cost")]
    tooltip.insert(0, {"field": "target", "title": "Target"})
    x = {
        "field": "latency",
        "type": "quantitative",
        **_decades([row["latency"] for row in rows], "Latency p50, one sample at a time", "s"),
    }
    y = {
        "field": "energy",
        "type": "quantitative",
        **_decades([row["energy"] for row in rows], "Energy of a sample, one at a time (chip)", "J"),
    }
    points: dict[str, Any] = {
        "mark": {"type": "point", "filled": True, "strokeWidth": 2},
        "encoding": {
            "x": x,
            "y": y,
            "color": {
                "field": "kind",
                "scale": {"domain": _KINDS},
                "legend": {"title": None, "orient": "top", "symbolSize": 120},
            },
            "shape": {"field": "kind", "scale": {"domain": _KINDS, "range": _SHAPES}},
            "size": {"field": "area", "type": "quantitative", "scale": None, "legend": None},
            "stroke": {"field": "kind", "scale": {"domain": _KINDS}},
            "fillOpacity": {"condition": {"test": "datum.bound", "value": 0}, "value": 0.85},
            "tooltip": tooltip,
        },
    }
    line = {
        "transform": [{"filter": "datum.front"}],
        "mark": {"type": "line", "strokeDash": [5, 4], "opacity": 0.7, "interpolate": "step-after", "color": "gray"},
        "encoding": {"x": x, "y": y, "order": {"field": "latency"}},
    }
    names: dict[str, Any] = {
        "mark": {
            "type": "text",
            "baseline": "bottom",
            "dy": {"expr": "-4 - sqrt(datum.area) / 2"},
            "fontSize": 12,
            "limit": 280,
            "style": "label",
        },
        "encoding": {"x": x, "y": y, "text": {"field": "label"}},
    }
    many = len(rows) > 14  # their names would cover each other: the front's alone
    if many:
        names["transform"] = [{"filter": "datum.front"}]
    spec = {
        "$schema": _SCHEMA,
        "width": "container",
        "height": 380,
        "data": {"values": rows},
        "layer": [line, points, names],
    }
    plotted = "; ".join(f"{row['target']}: {row['Latency p50']}, {row['Energy']}" for row in rows)
    text = f"Latency against energy, both logarithmic, less is better. {plotted or 'No target has both figures'}."
    if best:
        text += f" Not beaten in both by any other: {', '.join(row['target'] for row in rows if row['front'])}."
    absent = f"Not in the plot: {', '.join(left_out)}." if left_out else ""
    return Chart("pareto", "Latency against energy", spec, text, absent)


def _name_once(rows: Sequence[dict[str, Any]]) -> None:
    """A label for each place: of marks within 5 % of each other the first is named, and the others are counted."""
    places: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        place = round(log10(row["latency"]) / log10(1.05)), round(log10(row["energy"]) / log10(1.05))
        places.setdefault(place, []).append(row)
    for first, *others in places.values():
        first["label"] = first["target"] + (f" and {len(others)} more" if others else "")
        for row in others:
            row["label"] = ""


def _lack(target: Target, energy: Key) -> str:
    if target.failure:
        return "failed"
    if Key.LATENCY_P50 not in target.figures:
        return "no latency"
    board = Key.ENERGY_SINGLE_BOARD if energy is Key.ENERGY_SINGLE else Key.ENERGY_SINGLE
    return "its energy is the whole board's" if board in target.figures else "its energy is not known"


def accuracy_chart(report: Report) -> Chart | None:
    """Accuracy of each stage, by target; None where there are no labels."""
    rows: list[dict[str, Any]] = []
    for target in report.targets:
        for key, stage in _STAGES:
            if (figure := target.figures.get(key)) is not None:
                rows.append(
                    {
                        "target": target.name,
                        "stage": stage,
                        "accuracy": figure.value,
                        "Accuracy": f"{shown(figure)} ({figure.provenance})",
                    }
                )
    if not rows:
        return None
    stages = [stage for _, stage in _STAGES if any(row["stage"] == stage for row in rows)]
    shapes = ["circle", "square", "diamond"][-len(stages) :]
    shares = [row["accuracy"] for row in rows]
    room = max(0.005, (max(shares) - min(shares)) * 0.1)
    low, high = max(0.0, min(shares) - room), min(1.0, max(shares) + room)
    spec = {
        "$schema": _SCHEMA,
        "width": "container",
        "height": 30 * len({row["target"] for row in rows}),
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "size": 110, "opacity": 0.9},
        "encoding": {
            "x": {
                "field": "accuracy",
                "type": "quantitative",
                "scale": {"domain": [low, high]},
                "axis": {"title": "Accuracy", "format": ".1%", "labelOverlap": "greedy", "tickCount": 6},
            },
            "y": {"field": "target", "type": "nominal", "sort": None, "axis": {"title": None, "labelLimit": 160}},
            "yOffset": {"field": "stage", "sort": stages},
            "color": {
                "field": "stage",
                "scale": {"domain": stages},
                "legend": {"title": None, "orient": "top"},
            },
            "shape": {
                "field": "stage",
                "scale": {"domain": stages, "range": shapes},
                "legend": {"title": None, "orient": "top"},
            },
            "tooltip": [
                {"field": "target", "title": "Target"},
                {"field": "stage", "title": "Stage"},
                {"field": "Accuracy"},
            ],
        },
    }
    text = "; ".join(f"{row['target']}, {row['stage']}: {row['Accuracy']}" for row in rows)
    return Chart("accuracy", "Accuracy of each stage", spec, f"The axis does not begin at zero. {text}.")


def layer_chart(metric: str) -> dict[str, Any]:
    """Bars over the layers, in their order; the page puts the values of the chosen target in."""
    title = LAYER_COLUMNS[metric]
    return {
        "$schema": _SCHEMA,
        "width": "container",
        "height": 18,  # of one layer; the page multiplies it
        "data": {"values": []},
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": {"field": "layer", "type": "nominal", "sort": None, "axis": {"title": None, "labelLimit": 130}},
            "x": {
                "field": "value",
                "type": "quantitative",
                "axis": {
                    "title": title,
                    "labelExpr": "format(datum.value, '~s')",
                    "tickCount": 4,
                    "labelOverlap": "greedy",
                },
            },
            "color": {"condition": {"test": "datum.bottleneck", "value": "bottleneck"}, "value": "plain"},
            "tooltip": [
                {"field": "layer", "title": "Layer"},
                {"field": "shown", "title": title},
                {"field": "provenance", "title": "How"},
            ],
        },
    }


def layer_rows(target: Target) -> dict[str, list[dict[str, Any]]]:
    """By metric, one row for each layer; metrics that are zero everywhere are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for metric in LAYER_PLOTS:
        rows = [
            {
                "layer": layer.name,
                "value": figure.value,
                "shown": shown(figure),
                "provenance": figure.provenance.value,
                "bottleneck": layer.name == target.bottleneck,
            }
            for layer in target.layers
            if (figure := layer.figures.get(metric)) is not None
        ]
        if any(row["value"] for row in rows):
            found[metric] = rows
    return found


def layer_text(target: Target, metrics: Sequence[str]) -> str:
    """The bars in words: the largest of each metric."""
    parts = []
    for metric in metrics:
        known = [(layer.figures[metric], layer.name) for layer in target.layers if metric in layer.figures]
        figure, name = max(known, key=lambda entry: entry[0].value)
        parts.append(f"{LAYER_COLUMNS[metric]}: most in {name}, {shown(figure)}")
    neck = f" The bottleneck, in another colour, is {target.bottleneck}." if target.bottleneck else ""
    return f"{target.name}: {'; '.join(parts)}.{neck} The table below has every value."
