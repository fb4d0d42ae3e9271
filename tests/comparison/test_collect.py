"""`compare` and `report` as users run them, on a build that is there already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fpgaflow
from fpgaflow.cli import main
from fpgaflow.comparison.figures import Key, Provenance
from fpgaflow.data import data_dir
from tests.conformance.test_engines import two_ports

FILES = ("report.html", "report.md", "report.json")


@pytest.fixture(scope="module")
def compared(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shared build in its place, compared; read only."""
    folder = tmp_path_factory.mktemp("compared")
    for name in ("model.onnx", "data.npz"):
        shutil.copy(finished / name, folder)
    shutil.copytree(finished / "build", folder / "out" / "builds" / "pynq-z2")
    manifest = folder / "out" / "builds" / "pynq-z2" / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "data": str(folder / "data.npz")}))
    assert main(arguments(folder)) == 0
    return folder


def arguments(folder: Path) -> list[str]:
    files = ["--data", str(folder / "data.npz"), "--out", str(folder / "out")]
    limits = ["--max-drop", "1", "--seconds", "0.02"]
    return ["compare", str(folder / "model.onnx"), "--targets", "pynq-z2,cpu,gpu,tpu", *files, *limits]


def test_every_target_has_its_row(compared: Path) -> None:
    document = json.loads((compared / "out" / "report.json").read_text())
    rows = {target["name"]: target for target in document["targets"]}
    assert rows.keys() == {"pynq-z2", "cpu", "cpu, float32", "gpu", "tpu"}
    assert all(rows[name]["figures"]["bit_differences"]["value"] == 0 for name in ("pynq-z2", "cpu", "gpu", "tpu"))
    shares = {name: row["figures"]["accuracy"]["value"] for name, row in rows.items() if name != "cpu, float32"}
    assert len(set(shares.values())) == 1  # the same bits, the same answers
    latency = {name: row["figures"]["latency_p50"] for name, row in rows.items()}
    assert latency["cpu"]["provenance"] == latency["cpu, float32"]["provenance"] == "measured"
    assert latency["gpu"]["provenance"] == "estimated" and latency["gpu"]["limit"] == "≥"
    assert latency["pynq-z2"]["provenance"] == "estimated"


def test_again_is_the_same_without_new_work(compared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is built, measured or simulated: those functions would fail."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert main(arguments(compared)) == 0
    before = {name: (compared / "out" / name).read_bytes() for name in FILES}
    for name in ("fpgaflow.building.build", "fpgaflow.comparison.accelerators.build_engine"):
        monkeypatch.setattr(name, None)
    monkeypatch.setattr("fpgaflow.comparison.kept.fpga_target", None)
    monkeypatch.setattr("fpgaflow.comparison.accelerators.single_stream", None)
    assert main(arguments(compared)) == 0
    assert {name: (compared / "out" / name).read_bytes() for name in FILES} == before
    assert b"2023-11-14" in before["report.html"]


def test_imported_figures_take_the_estimate_s_place(compared: Path, tmp_path: Path) -> None:
    result = tmp_path / "h200.json"
    single = {"runs": 100, "p50": 3e-5, "p90": 4e-5, "p99": 5e-5, "joules": None}
    many = {"batch": 256, "samples_per_second": 1e6, "joules": None}
    result.write_text(json.dumps({"device": "NVIDIA H200", "single_stream": single, "offline": many}))
    out = shutil.copytree(compared / "out", tmp_path / "out")
    given = [word if word != str(compared / "out") else str(out) for word in arguments(compared)]
    assert main([*given, "--gpu-results", str(result), "--cost", "gpu=30000"]) == 0
    (gpu,) = [t for t in json.loads((out / "report.json").read_text())["targets"] if t["kind"] == "GPU"]
    assert gpu["device"] == "NVIDIA H200" and gpu["figures"]["latency_p50"]["provenance"] == "measured"
    assert gpu["passes"] and gpu["figures"]["bit_differences"]["value"] == 0  # of the program, run here
    assert gpu["figures"]["unit_cost"] == {
        "value": 30000.0, "unit": "USD", "provenance": "defined", "source": "the user's own price"
    }  # fmt: skip


def test_the_api_does_the_same(compared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the same builds, byte for byte: the command line in the report too."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert main(arguments(compared)) == 0
    before = {name: (compared / "out" / name).read_bytes() for name in FILES}
    told: list[str] = []
    result = fpgaflow.compare(
        compared / "model.onnx",
        ["pynq-z2", "cpu", "gpu", "tpu"],
        compared / "out",
        data=compared / "data.npz",
        max_drop=1,
        progress=told.append,
    )
    assert {path.name: path.read_bytes() for path in result.files} == before
    assert result.ok and result.verdict in before["report.md"].decode() and told
    row = next(target for target in result.report.targets if target.name == "pynq-z2")
    assert row.figures[Key.LATENCY_P50].provenance is Provenance.ESTIMATED


def test_a_graph_can_be_compared(compared: Path, tmp_path: Path) -> None:
    graph = fpgaflow.load(compared / "model.onnx")
    result = fpgaflow.compare(graph, "tpu", tmp_path, costs={"tpu": 5})
    (row,) = result.report.targets
    assert result.ok and row.figures[Key.DIFFERENCES].value == 0 and row.figures[Key.COST].value == 5
    assert result.report.title.startswith(graph.name)
    assert "--cost=tpu=5" in result.report.command


def test_several_inputs(tmp_path: Path) -> None:
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    onnx.save(two_ports(8), model)
    x = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    np.savez(data, x=x[:, :16], other=x[:, 16:])
    result = fpgaflow.compare(model, ["cpu", "tpu"], tmp_path / "out", data=data, seconds=0.02)
    figures = {target.name: target.figures for target in result.report.targets}
    assert figures.keys() == {"cpu", "cpu, float32", "tpu"}
    assert result.ok and figures["cpu"][Key.DIFFERENCES].value == figures["tpu"][Key.DIFFERENCES].value == 0
    assert Key.LATENCY_P50 in figures["cpu, float32"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"flow": "vhdl"}, "'vhdl' is none"),
        ({"workers": 0}, "are 0"),
        ({"costs": {"tpu": -1.0}}, "no price"),
        ({"sweep": {"speed": [1]}}, "no axis"),
        ({"sweep": {"bits": [2.5]}}, "cannot be had"),
        ({"sweep": {"fps": [1, 2]}, "fps": 3}, "swept too"),
        ({"max_drop": -0.1}, "max-drop"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_the_api_refuses_what_means_nothing(wrong: dict[str, Any], says: str, compared: Path, tmp_path: Path) -> None:
    with pytest.raises(fpgaflow.BadInput, match=says):
        fpgaflow.compare(compared / "model.onnx", "tpu", tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_report_of_a_build_for_a_board_of_one_s_own(finished: Path, tmp_path: Path) -> None:
    """The build keeps the board's file: the report needs no other."""
    board = (data_dir("boards") / "pynq-z2.toml").read_text().replace('"pynq-z2"', '"mine"', 1)
    (tmp_path / "mine.toml").write_text(board)
    out = tmp_path / "build"
    fpgaflow.build(finished / "model.onnx", str(tmp_path / "mine.toml"), out, data=finished / "data.npz")
    (tmp_path / "mine.toml").unlink()
    assert main(["report", str(out)]) == 0
    (row,) = json.loads((out / "report.json").read_text())["targets"]
    assert row["name"] == "mine" and row["figures"]["utilisation"]["value"] > 0
    (out / "mine.toml").unlink()
    assert main(["report", str(out)]) == 2


def test_report_of_one_build(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = compared / "out" / "builds" / "pynq-z2"
    assert main(["report", str(build), "--out", str(compared / "single"), "--json"]) in (0, 1)
    document = json.loads(capsys.readouterr().out)
    assert [target["name"] for target in document["targets"]] == ["pynq-z2"]
    assert all((compared / "single" / name).is_file() for name in FILES)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--targets", "nothing"],
        ["--sweep", "speed=1"],
        ["--cost", "gpu"],
        ["--cost", "gpu=-1"],
        ["--workers", "0"],
        ["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
        ["--seconds", "0"],
        ["--max-drop", "2"],
        ["--gpu-results", "missing.json"],
        ["--data", "missing.npz"],
    ],
)
def test_bad_input(wrong: list[str], compared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    given = ["compare", str(compared / "model.onnx"), "--targets", "tpu", "--out", str(out), *wrong]
    assert main(given) == 2
    assert "✗" in capsys.readouterr().err
    assert not any((out / name).exists() for name in FILES)


def test_a_board_that_is_refused_is_a_row_with_its_reason(compared: Path, tmp_path: Path) -> None:
    data = str(compared / "data.npz")
    given = ["compare", str(compared / "model.onnx"), "--targets", "pynq-z2,tpu", "--data", data, "--max-drop", "1"]
    assert main([*given, "--fps", "1e12", "--flow", "hls", "--out", str(tmp_path)]) == 0
    rows = {t["name"]: t for t in json.loads((tmp_path / "report.json").read_text())["targets"]}
    assert rows["pynq-z2"]["failure"] and not rows["pynq-z2"]["passes"] and rows["tpu"]["passes"]
