"""Targets and sweeps as the command line writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpgaflow.comparison.results import Kind
from fpgaflow.comparison.specs import Point, parse_sweep, parse_targets
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput


def test_targets() -> None:
    found = parse_targets("pynq-z2, cpu,gpu,gpu:rtx-4090,tpu,edge-tpu")
    assert [spec.kind for spec in found] == [Kind.FPGA, Kind.CPU, Kind.GPU, Kind.GPU, Kind.TPU, Kind.TPU]
    assert [spec.device.name for spec in found if spec.device] == ["h200", "rtx-4090", "tpu-v4", "edge-tpu"]
    assert found[0].board is not None and found[0].board.part == "xc7z020clg400-1"


def test_a_board_of_the_user_s_own_bears_its_name_and_not_its_path(tmp_path: Path) -> None:
    text = (data_dir("boards") / "pynq-z2.toml").read_text().replace('"pynq-z2"', '"mine"', 1)
    (tmp_path / "mine.toml").write_text(text)
    (spec,) = parse_targets(str(tmp_path / "mine.toml"))
    assert (spec.name, spec.given) == ("mine", str(tmp_path / "mine.toml"))
    with pytest.raises(BadInput, match="more than once"):
        parse_targets(f"{tmp_path}/mine.toml,{tmp_path}/./mine.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name none"),
        (" , ", "name none"),
        ("cpu,cpu", "more than once"),
        ("pynq-z3", "Did you mean 'pynq-z2'"),
        ("gpu:h300", "Did you mean 'h200'"),
        ("gpu:tpu-v4", "is a TPU"),
        ("missing/board.toml", "cannot be read"),
    ],
)
def test_wrong_targets(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_targets(text)


def test_sweeps() -> None:
    assert parse_sweep([], None) == (Point(),)
    assert parse_sweep([], 50.0) == (Point(fps=50.0),)
    points = parse_sweep(["bits=2,4", "fps=1000,10000"], None)
    assert points == (Point(2, 1000), Point(2, 10000), Point(4, 1000), Point(4, 10000))
    assert points[1].folder == "bits=2,fps=10000" and points[1].title == "2 bits, 10,000/s"
    assert parse_sweep(["bits=8"], 10.0) == (Point(8, 10.0),)


@pytest.mark.parametrize(
    "given",
    [
        *(["bits"], ["bits="], ["clock=1"], ["bits=1"], ["bits=9"], ["bits=2.5"], ["bits=two"], ["bits=2,2"]),
        *(["fps=0"], ["fps=-1"], ["fps=inf"], ["fps=nan"], ["bits=2", "bits=4"]),
    ],
)
def test_wrong_sweeps(given: list[str]) -> None:
    with pytest.raises(BadInput):
        parse_sweep(given, None)


def test_a_rate_is_given_once() -> None:
    with pytest.raises(BadInput, match="swept too"):
        parse_sweep(["fps=1,2"], 3.0)
