"""Sweeps: what was done is not done again, whoever ended in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fpgaflow.comparison.float_twin import float_model
from fpgaflow.comparison.tasks import BuildTask, ModelTask, Task, make_build, make_model, run_all, run_task
from tests.builds import command, install_vendor_tools, path_with, perceptron, write_project

pytest.importorskip("brevitas", reason="needs the package brevitas")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """`float.onnx`, the perceptron without quantisers, and `data.npz`."""
    write_project(tmp_path)
    onnx.save(float_model(perceptron()), tmp_path / "float.onnx")
    return tmp_path


def model_task(inputs: Path, bits: int, out: str = "made") -> ModelTask:
    return ModelTask(str(inputs / "float.onnx"), None, str(inputs / "data.npz"), bits, str(inputs / out))


def test_a_model_is_made_once(inputs: Path) -> None:
    make_model(model_task(inputs, 4))
    made = inputs / "made" / "model.onnx"
    first = made.stat().st_mtime_ns, made.read_bytes()
    make_model(model_task(inputs, 4))
    assert (made.stat().st_mtime_ns, made.read_bytes()) == first
    make_model(model_task(inputs, 3))
    assert made.read_bytes() != first[1]


def test_other_samples_make_another_model(inputs: Path) -> None:
    make_model(model_task(inputs, 4))
    first = (inputs / "made" / "model.onnx").read_bytes()
    np.savez(inputs / "data.npz", x=np.load(inputs / "data.npz")["x"] * 4)
    make_model(model_task(inputs, 4))
    assert (inputs / "made" / "model.onnx").read_bytes() != first


def test_what_goes_wrong_is_told_and_others_go_on(inputs: Path) -> None:
    good, bad = model_task(inputs, 4), ModelTask(str(inputs / "missing.onnx"), None, str(inputs / "data.npz"), 4, "x")
    failures = run_all([bad, good], 1, None, lambda _: None)
    assert failures.keys() == {bad} and "missing.onnx" in failures[bad]
    assert (inputs / "made" / "model.onnx").is_file()
    assert "needs samples" in str(run_task(ModelTask(good.model, None, None, 4, str(inputs / "other"))))


def test_what_follows_is_done_before_what_waits(inputs: Path) -> None:
    """Builds need not wait for every model; nothing follows a task that failed."""
    first, second = model_task(inputs, 4), model_task(inputs, 3, "second")
    after = ModelTask(str(inputs / "missing.onnx"), None, str(inputs / "data.npz"), 8, str(inputs / "third"))
    told: list[str] = []
    asked: list[Task] = []

    def follow(task: Task) -> list[Task]:
        asked.append(task)
        return [after] if task == first else []

    failures = run_all([first, second], 1, None, told.append, follow)
    assert failures.keys() == {after} and asked == [first, second]
    assert told[:3] == ["model of 4 bits", "model of 8 bits (1 done)", "model of 3 bits (2 done)"]


def build_task(folder: Path, **changes: Any) -> BuildTask:
    settings: dict[str, Any] = {"fps": None, "flow": "hls", "input_type": ()} | changes
    return BuildTask(
        str(folder / "model.onnx"), "pynq-z2", str(folder / "data.npz"), out=str(folder / "build"), **settings
    )


def test_a_build_that_somebody_made_is_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = project / "build" / "manifest.json"
    document = json.loads(manifest.read_text()) | {"data": str(project / "data.npz")}
    manifest.write_text(json.dumps(document))
    monkeypatch.setattr("fpgaflow.building.build", None)  # calling it would fail
    make_build(build_task(project))


@pytest.mark.parametrize(
    ("changes", "entry"), [({"flow": "rtl"}, {}), ({"fps": 1e12}, {}), ({}, {"failure": "x"}), ({}, {"data": "y.npz"})]
)
def test_a_build_of_other_settings_is_not_taken(
    changes: dict[str, Any], entry: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = project / "build" / "manifest.json"
    document = json.loads(manifest.read_text()) | {"data": str(project / "data.npz")} | entry
    manifest.write_text(json.dumps(document))

    class Built(Exception):
        pass

    def build(*given: Any, **more: Any) -> None:
        raise Built

    monkeypatch.setattr("fpgaflow.building.build", build)
    with pytest.raises(Built):
        make_build(build_task(project, **changes))


@pytest.mark.parametrize("change", [{"fps": 1000.0}, {"flow": None}])
def test_another_goal_builds_again(change: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        failure = None

    asked: list[Any] = []

    def record(*given: Any, **more: Any) -> Done:
        asked.append((given, more))
        return Done()

    monkeypatch.setattr("fpgaflow.building.build", record)
    monkeypatch.setattr("fpgaflow.comparison.tasks.choose_flow", lambda task: "hls")
    (project / "build" / "manifest.json").write_text("{}")
    for _ in range(2):
        make_build(build_task(project))
    make_build(build_task(project, **change))
    assert len(asked) == 2


def sweep(folder: Path, out: Path) -> list[str]:
    """12 builds: three widths, two rates, two boards."""
    files = ("--data", folder / "data.npz", "--out", out)
    axes = ("--sweep", "bits=3,4,8", "--sweep", "fps=1000,100000", "--workers", "2")
    targets = ("--targets", "pynq-z2,zcu104", "--flow", "hls", "--max-drop", "1")
    return command("compare", folder / "float.onnx", *targets, *files, *axes)


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_with_the_same_page(inputs: Path) -> None:
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    whole, killed = inputs / "whole", inputs / "killed"
    subprocess.run(sweep(inputs, whole), check=True, env=environment, capture_output=True)
    process = subprocess.Popen(
        sweep(inputs, killed), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def built() -> list[Path]:
        return list(killed.glob("builds/*/*/.fpgaflow/compare.json"))

    while len(built()) < 5 and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(built()) < 12 and not (killed / "report.html").exists()
    stamps = {path: path.stat().st_mtime_ns for path in built()}
    subprocess.run(sweep(inputs, killed), check=True, env=environment, capture_output=True)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    for name in ("report.html", "report.md", "report.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert len(json.loads((whole / "report.json").read_text())["targets"]) == 12


@pytest.mark.slow
def test_dask_does_the_same(inputs: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the package distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        failures = run_all([model_task(inputs, 4)], 1, cluster.scheduler_address, lambda _: None)
    assert failures == {}
    there = (inputs / "made" / "model.onnx").read_bytes()
    make_model(model_task(inputs, 4, "here"))
    assert (inputs / "here" / "model.onnx").read_bytes() == there


def test_the_workers_of_a_scheduler_run_the_vendors_tools(project: Path, tmp_path: Path) -> None:
    """Vivado is where the workers are, not here: what was built here without it goes on there to the bitstream."""
    distributed = pytest.importorskip("distributed", reason="needs the package distributed")
    manifest = project / "build" / "manifest.json"
    before = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(before | {"data": str(project / "data.npz")}))
    tools = tmp_path / "tools"
    install_vendor_tools(tools)
    task = build_task(project)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, env={"PATH": path_with(tools)}
    ) as cluster:
        assert run_all([task], 1, cluster.scheduler_address, lambda _: None) == {}
        after = json.loads(manifest.read_text())
        assert run_all([task], 1, cluster.scheduler_address, lambda _: None) == {}
    assert before["bitstream"] is None and (project / "build" / after["bitstream"]).read_text() == "bits\n"
    assert after["resources"]["lut"]["source"] == "reported"
    assert (tools / "runs").read_text().split() == ["hls", "vivado"], "once each"
