"""A figure without provenance cannot be made, read, or shown; and then no report is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fpgaflow.comparison.figures import (
    Figure,
    Key,
    Limit,
    Provenance,
    Unit,
    derived,
    figure_from_json,
    figures_from_json,
    weakest,
)
from fpgaflow.comparison.page import render
from fpgaflow.comparison.results import Kind, Layer, Target
from fpgaflow.errors import BadInput
from tests.comparison.reports import report, target

GOOD = Figure(1.5, Unit.SECONDS, Provenance.MEASURED, "a stopwatch")


@pytest.mark.parametrize(
    "wrong",
    [
        {"provenance": None},
        {"provenance": "measured"},
        {"source": ""},
        {"source": "  "},
        {"source": None},
        {"unit": "s"},
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": None},
        {"value": True},
    ],
)
def test_a_figure_needs_value_unit_provenance_and_source(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        replace(GOOD, **wrong)


@pytest.mark.parametrize("figure", [GOOD, replace(GOOD, limit=Limit.AT_LEAST)])
def test_json_and_back(figure: Figure) -> None:
    assert figure_from_json(json.loads(json.dumps(figure.as_json())), "here") == figure


@pytest.mark.parametrize("missing", ["value", "unit", "provenance", "source"])
def test_a_figure_from_a_file_needs_all_too(missing: str) -> None:
    document = {name: value for name, value in GOOD.as_json().items() if name != missing}
    with pytest.raises(BadInput, match=r"results\.json: latency_p50"):
        figures_from_json({"latency_p50": document}, "results.json")


def test_unknown_figures_are_named() -> None:
    with pytest.raises(BadInput, match="speed"):
        figures_from_json({"speed": GOOD.as_json()}, "results.json")


def test_a_target_takes_figures_alone() -> None:
    with pytest.raises(BadInput, match="latency_p50"):
        Target("x", Kind.FPGA, "x", {Key.LATENCY_P50: 1.5})  # type: ignore[dict-item]
    layer = Layer("conv", "Conv", "1", "fixed<8,8>", "", {"cycles": 7})  # type: ignore[dict-item]
    with pytest.raises(BadInput, match="cycles"):
        Target("x", Kind.FPGA, "x", {}, layers=(layer,))


@pytest.mark.parametrize("place", ["target", "layer", "model"])
def test_a_number_without_provenance_ends_the_report(place: str, tmp_path: Path) -> None:
    """Even where it got past the types: nothing is written, and what an earlier run wrote stays."""
    made = report()
    render.write_report(made, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("report.*")}
    if place == "model":
        object.__setattr__(made.model, "macs", 1000)
    elif place == "target":
        made.targets[0].figures[Key.LATENCY_P50] = 1.5  # type: ignore[index]
    else:
        made.targets[0].layers[0].figures["cycles"] = 7  # type: ignore[index]
    with pytest.raises(BadInput, match="no provenance"):
        render.write_report(made, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("report.*")} == before
    assert before.keys() == {"report.html", "report.md", "report.json"}


def test_what_is_computed_is_as_weak_as_its_weakest_part() -> None:
    estimated = Figure(2, Unit.HERTZ, Provenance.ESTIMATED, "a guess")
    assert weakest(GOOD, estimated) is weakest(estimated, GOOD) is Provenance.ESTIMATED
    assert weakest(GOOD, replace(GOOD, provenance=Provenance.DEFINED)) is Provenance.MEASURED
    made = derived(3.0, Unit.COUNT, "time times rate", time=GOOD, rate=estimated)
    assert (made.value, made.provenance) == (3.0, Provenance.ESTIMATED)
    assert made.source == "time times rate; time measured: a stopwatch; rate estimated: a guess"


def test_every_figure_of_the_json_names_its_source() -> None:
    document = render.document(report())
    figures: list[dict[str, Any]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if {"value", "unit"} <= node.keys():
                figures.append(node)
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)
    assert len(figures) == 18
    assert all(figure["source"].strip() and figure["provenance"] in list(Provenance) for figure in figures)


def test_a_target_survives_json() -> None:
    from fpgaflow.comparison.results import target_from_json

    made = target()
    assert target_from_json(json.loads(json.dumps(made.as_json())), "here") == made
    with pytest.raises(BadInput, match="damaged"):
        target_from_json({"name": "x"}, "here")
