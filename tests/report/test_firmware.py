from __future__ import annotations

import json
from pathlib import Path

import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import ToolFailed
from fpgaflow.report.firmware import Figure, Figures, estimated_figures, reported_figures
from tests.builds import REPORTS
from tests.report.test_parse import HLS_XML, TIMING

COST = {"lut": 1234.56, "ff": 2000, "dsp": 0, "bram36": 1.5, "cycles": 50, "latency": 321}
ESTIMATED = estimated_figures(load_board("pynq-z2"), 100.0, COST)


def reports(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_estimates() -> None:
    document = ESTIMATED.as_json()
    assert document["resources"] == {
        "lut": {"used": 1234.6, "available": 53_200, "source": "estimated"},
        "ff": {"used": 2000, "available": 106_400, "source": "estimated"},
        "dsp": {"used": 0, "available": 220, "source": "estimated"},
        "bram36": {"used": 1.5, "available": 140, "source": "estimated"},
    }
    assert document["timing"] == {
        "clock_mhz": 100.0,
        "fmax_mhz": {"value": None, "source": "estimated"},
        "latency_cycles": {"value": 321, "source": "estimated"},
        "interval_cycles": {"value": 50, "source": "estimated"},
        "samples_per_second": {"value": 2e6, "source": "estimated"},
    }
    assert json.loads(json.dumps(document)) == document


def test_nothing_known() -> None:
    document = estimated_figures(load_board("pynq-z2"), 100.0, None).as_json()
    assert {figure["used"] for figure in document["resources"].values()} == {None}
    assert document["timing"]["samples_per_second"] == {"value": None, "source": "estimated"}


def test_no_reports_leave_the_estimates(tmp_path: Path) -> None:
    assert reported_figures(tmp_path, ESTIMATED) == ESTIMATED
    assert reported_figures(tmp_path / "missing", ESTIMATED) == ESTIMATED


def test_every_report(tmp_path: Path) -> None:
    for name, text in REPORTS.items():
        (tmp_path / name).write_text(text)
    figures = reported_figures(tmp_path, ESTIMATED)
    assert figures == Figures(
        ESTIMATED.available,
        {name: Figure(value, "reported") for name, value in (("lut", 100), ("ff", 200), ("dsp", 3), ("bram36", 2.5))},
        99.999001,
        Figure(round(1000 / (1000 / 99.999001 - 0.521), 1), "reported"),
        Figure(17, "reported"),
        Figure(8, "reported"),
        Figure(31.531, "reported"),
    )
    assert figures.as_json()["power_w"] == {"value": 31.531, "source": "reported"}
    assert "power_w" not in ESTIMATED.as_json(), "nothing is estimated"


def test_each_figure_has_its_own_source(tmp_path: Path) -> None:
    figures = reported_figures(reports(tmp_path, csynth_xml=REPORTS["csynth.xml"]), ESTIMATED)
    assert {figure.source for figure in figures.used.values()} == {"estimated"}
    assert figures.latency_cycles == Figure(17, "reported") and figures.fmax_mhz == Figure(None, "estimated")
    assert figures.as_json()["timing"]["samples_per_second"] == {"value": 12.5e6, "source": "reported"}


def test_undefined_latency_leaves_the_estimate(tmp_path: Path) -> None:
    """Vitis HLS writes `undef` where a loop's length depends on data."""
    assert "undef" in HLS_XML
    figures = reported_figures(reports(tmp_path, csynth_xml=HLS_XML), ESTIMATED)
    assert figures.latency_cycles == ESTIMATED.latency_cycles == Figure(321, "estimated")
    assert figures.interval_cycles == ESTIMATED.interval_cycles


def test_negative_slack_is_a_slower_clock(tmp_path: Path) -> None:
    assert "-0.521" in TIMING
    figures = reported_figures(reports(tmp_path, timing_rpt=TIMING), ESTIMATED)
    assert figures.fmax_mhz == Figure(95.0, "reported")  # 1 / (10 ns + 0.521 ns)


def test_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "utilization_hierarchical.rpt").write_text("no report")
    assert reported_figures(tmp_path, ESTIMATED) == ESTIMATED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("utilization.rpt", "hello"),
        ("timing.rpt", ""),
        ("power.rpt", "no report"),
        ("csynth.xml", HLS_XML[:200]),
        ("clock.json", "{"),
        ("clock.json", "[]"),
        ("clock.json", '{"asked_mhz": 100}'),
        ("clock.json", '{"actual_mhz": null}'),
    ],
)
def test_report_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ToolFailed) as caught:
        reported_figures(tmp_path, ESTIMATED)
    assert str(tmp_path / name) in caught.value.problem.where
