"""The power model against the real report and boards that it was made from, and its error as the docs state it."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest

from fpgaflow.boards import load_board
from fpgaflow.comparison.power import data_table, power_of
from fpgaflow.report.parse import PowerReport, UtilizationReport, parse_report
from tests.third_party import third_party

BOARD = load_board("pynq-z2")
LOGS = (
    "tinymlperf_pynqz2_results/AD08.power.txt",
    "tinymlperf_pynqz2_results/CNV-W1A1.power.txt",
    "tinymlperf_pynqz2_results/RN07.power.txt",
    "kws_w3a3_pynqz2/board_logs/pynq-z2.power.txt",
)


def board_watts(path: Path) -> float:
    """The median window of an MLPerf Tiny power log."""
    return median(float(uw) * 1e-6 for uw in re.findall(r"Power +: +([0-9.]+) uW", path.read_text()))


def vivado() -> tuple[PowerReport, dict[str, float]]:
    folder = third_party("reports/vivado_hls_2019.2_jets")
    power, used = parse_report(folder / "impl_power_routed.rpt"), parse_report(folder / "impl_utilization_placed.rpt")
    assert isinstance(power, PowerReport) and isinstance(used, UtilizationReport)
    return power, {name: getattr(used.resources, name).used for name in ("lut", "ff", "dsp", "bram36")}


def test_the_report_it_was_made_from() -> None:
    """1.393 W dynamic less 1.256 W of the processor (PS7): 0.137 W."""
    report, used = vivado()
    model = power_of(BOARD, used, 100, 0.125, "the report's default activity")
    assert model is not None
    assert model.dynamic == pytest.approx(report.dynamic_w - 1.256, abs=0.001)
    assert model.static == pytest.approx(report.static_w, abs=1e-9)


def test_the_boards_it_was_made_from() -> None:
    """The rest of a PYNQ-Z2 is the mean of four logs less the reference design; each log is within the stated error."""
    _, used = vivado()
    model = power_of(BOARD, used, 100, 0.125, "")
    assert model is not None and model.rest_of_board is not None and model.board is not None
    watts = [board_watts(third_party(name)) for name in LOGS]
    entry = data_table("power")["board"]["pynq-z2"]
    assert model.rest_of_board == pytest.approx(sum(watts) / len(watts) - model.chip, abs=0.002)
    assert entry["low"] == pytest.approx(min(watts) - model.chip, abs=0.002)
    assert entry["high"] == pytest.approx(max(watts) - model.chip, abs=0.002)
    errors = [model.board / real - 1 for real in watts]
    assert min(errors) > -0.06 and max(errors) < 0.05


def test_it_grows_with_clock_activity_and_size() -> None:
    used = {"lut": 1000, "ff": 1000, "dsp": 10, "bram36": 4}

    def dynamic(scale: float, mhz: float, activity: float) -> float:
        model = power_of(BOARD, {name: scale * count for name, count in used.items()}, mhz, activity, "")
        assert model is not None
        return model.dynamic

    base = dynamic(1, 100, 0.2)
    assert dynamic(1, 200, 0.2) == pytest.approx(2 * base) == dynamic(2, 100, 0.2)
    idle = dynamic(1, 100, 0)
    assert 0 < idle < base  # clock trees switch whatever the data do
    assert dynamic(1, 100, 0.4) - idle == pytest.approx(2 * (base - idle))


@pytest.mark.parametrize(("name", "unchecked"), [("pynq-z2", False), ("arty-a7-100t", False), ("zcu104", True)])
def test_other_processes_are_marked(name: str, unchecked: bool) -> None:
    model = power_of(load_board(name), {"lut": 1, "ff": 1, "dsp": 0, "bram36": 0}, 100, 0.1, "a test")
    assert model is not None and ("unchecked there" in model.source) == unchecked
    assert (model.board is None) == (name == "zcu104")
