from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, load_model

import fpgaflow
from fpgaflow import building
from fpgaflow.boards import load_board
from fpgaflow.build_folder import CSIM, FIRMWARE, GRAPH, MANIFEST, QONNX, manifest_of
from fpgaflow.building import BuildResult, build, hardware_problems
from fpgaflow.compare_bits import float32_is_exact
from fpgaflow.errors import BadInput, CheckFailed, MissingTool, ToolFailed, UnsupportedModel
from fpgaflow.ir.store import load_graph
from fpgaflow.samples import generated_samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE, file_digest, locked
from tests.builds import (
    REPORTS,
    SAMPLES,
    STAGES,
    command,
    digests,
    files_of,
    install,
    install_vendor_tools,
    path_with,
    perceptron,
    statuses,
    wait_for,
)
from tests.models import Net, graph_of
from tests.targets.hls.hls_graphs import B8
from tests.targets.hls.hls_graphs import Net as GraphNet

ALL_SKIPPED = dict.fromkeys(STAGES, "skipped")


def again(project: Path, **changes: Any) -> BuildResult:
    """The build of `project`, anew or changed."""
    arguments: dict[str, Any] = {"out": project / "build", "data": project / "data.npz", **changes}
    return build(arguments.pop("model", project / "model.onnx"), **arguments)


def done(result: BuildResult) -> list[str]:
    return [name for name, status in statuses(result.manifest).items() if status == "done"]


def manifest_in(project: Path) -> dict[str, Any]:
    return manifest_of(project / "build")[0]


def own_board(folder: Path, **replaced: str) -> Path:
    """A board file like the PYNQ-Z2's, some of its lines replaced."""
    text = (Path(__file__).parents[1] / "boards" / "pynq-z2.toml").read_text()
    lines = [line for line in text.splitlines() if line.split(" =")[0] not in replaced]
    path = folder / "mine.toml"
    path.write_text("\n".join(['name = "mine"', *replaced.values(), *(li for li in lines if "name" not in li[:4])]))
    return path


def test_manifest_holds_the_contract(finished: Path) -> None:
    manifest = manifest_in(finished)
    assert manifest["fpgaflow"] == fpgaflow.__version__
    model = finished / "model.onnx"
    assert manifest["model"] == {"source": str(model), "sha256": file_digest(model)}
    assert (manifest["board"], manifest["part"], manifest["flow"]) == ("pynq-z2", "xc7z020clg400-1", "hls")
    assert (manifest["graph"], manifest["qonnx"], manifest["firmware"]) == (GRAPH, QONNX, FIRMWARE)
    assert manifest["failure"] is None
    for stage in manifest["stages"]:
        assert stage.keys() == {"name", "status", "seconds", "digest"}
        assert stage["status"] == "done" and stage["seconds"] >= 0 and len(stage["digest"]) == 64
    assert list(statuses(manifest)) == STAGES
    none_differ = {"samples": SAMPLES, "values": 3 * SAMPLES, "different": 0, "first_sample": None}
    assert manifest["mismatches"] == {"qonnx_vs_sim": none_differ, "csim_vs_sim": none_differ}
    assert manifest["rounding"] is None, "float32 is exact"
    assert manifest["resources"].keys() == {"lut", "ff", "dsp", "bram36"}
    available = load_board("pynq-z2").resources
    for name, figure in manifest["resources"].items():
        assert figure.keys() == {"used", "available", "source"}
        assert figure["available"] == getattr(available, name) and figure["source"] == "estimated"
        assert figure["used"] == manifest["folding"]["cost"][name]
    timing = manifest["timing"]
    assert timing["clock_mhz"] == 100.0
    assert timing["fmax_mhz"] == {"value": None, "source": "estimated"}
    for key in ("latency_cycles", "interval_cycles", "samples_per_second"):
        assert timing[key]["value"] > 0 and timing[key]["source"] == "estimated"
    assert timing["samples_per_second"]["value"] == pytest.approx(100e6 / timing["interval_cycles"]["value"])


def test_accuracies_are_of_the_samples(finished: Path) -> None:
    manifest, data = manifest_in(finished), np.load(finished / "data.npz")
    outputs = Simulator(finished / "build" / GRAPH).predict(data["x"])
    share = float((outputs.argmax(1) == data["y"]).mean())
    assert manifest["accuracy"] == {"float": None, "quantized": share, "simulated": share, "samples": SAMPLES}
    assert manifest["data"] == str(finished / "data.npz")
    assert np.array_equal(np.load(finished / "build" / "simulated.npz")["scores"], outputs)


def test_build_stands_on_its_own(finished: Path) -> None:
    folder = finished / "build"
    assert (folder / QONNX).read_bytes() == (finished / "model.onnx").read_bytes()
    assert fpgaflow.load(folder / GRAPH).digest == fpgaflow.load(finished / "model.onnx").digest
    for name in (
        "build.sh",
        "hls/firmware/fpgaflow.cpp",
        "hls/hls.tcl",
        "vivado/block_design.tcl",
        "board/selftest.py",
    ):
        assert (folder / FIRMWARE / name).is_file()
    vectors = np.load(folder / FIRMWARE / "board" / "test_vectors.npz")
    assert np.array_equal(vectors["x"], np.load(finished / "data.npz")["x"][:64])


def test_no_bitstream_says_where_to_get_it(finished: Path) -> None:
    manifest = manifest_in(finished)
    script = finished / "build" / FIRMWARE / "build.sh"
    assert manifest["bitstream"] is None
    assert manifest["why_no_bitstream"].startswith("vitis_hls, vivado not found: run `sh ")
    assert str(script) in manifest["why_no_bitstream"]
    ran = subprocess.run(["sh", script], check=False, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert ran.returncode == 2 and "not on PATH: vitis_hls vivado" in ran.stderr


def test_float_accuracy_is_of_the_training_record(project: Path) -> None:
    record = {"model_sha256": file_digest(project / "model.onnx"), "accuracy": {"float": 0.75}}
    (project / "train.json").write_text(json.dumps(record))
    assert again(project).manifest["accuracy"]["float"] == 0.75
    (project / "train.json").write_text(json.dumps({**record, "model_sha256": "of another model"}))
    assert again(project).manifest["accuracy"]["float"] is None
    (project / "train.json").write_text("[")
    assert again(project).manifest["accuracy"]["float"] is None


# What runs again


def test_unchanged_build_runs_nothing(project: Path) -> None:
    before, manifest = files_of(project / "build"), manifest_in(project)
    result = again(project)
    assert statuses(result.manifest) == ALL_SKIPPED
    assert digests(result.manifest) == digests(manifest)
    unsaid = {"stages", "model", "data", "why_no_bitstream"}  # states, and paths of the copy
    assert {k: v for k, v in result.manifest.items() if k not in unsaid} == {
        k: v for k, v in manifest.items() if k not in unsaid
    }
    assert files_of(project / "build") == before


def test_changed_data_runs_what_depends_on_them(project: Path) -> None:
    x = np.load(project / "data.npz")["x"]
    np.savez(project / "data.npz", x=x[::-1])
    result = again(project)
    assert done(result) == ["simulate", "qonnx", "firmware", "csim"]
    assert result.manifest["accuracy"]["simulated"] is None
    renamed = (project / "data.npz").rename(project / "other.npz")
    result = again(project, data=renamed)
    assert done(result) == [] and result.manifest["data"] == str(renamed)


def test_changed_goal_runs_the_folding(project: Path) -> None:
    rate = manifest_in(project)["timing"]["samples_per_second"]["value"]
    assert done(again(project, fps=rate)) == ["fold"], "the fastest folding is also the one that just reaches its rate"


def test_changed_board_runs_what_depends_on_it(project: Path) -> None:
    result = again(project, board="pynq-z1")  # the same part: the C simulation is of the same project
    assert done(result) == ["fold", "firmware"]
    assert result.manifest["board"] == "pynq-z1"
    assert '"board": "pynq-z1"' in (project / "build" / FIRMWARE / "board" / "bundle.json").read_text()


def test_damage_is_mended(project: Path) -> None:
    before, firmware = manifest_in(project), project / "build" / FIRMWARE
    (firmware / "hls" / "firmware" / "fpgaflow.cpp").write_text("// edited\n")
    (firmware / "board" / "interface.json").unlink()
    result = again(project)
    assert done(result) == ["firmware"] and digests(result.manifest) == digests(before)
    (project / "build" / QONNX).write_bytes(b"")
    (project / "build" / STATE / "qonnx.json").write_text('{"key": ')
    result = again(project)
    assert done(result) == ["import", "qonnx"] and digests(result.manifest) == digests(before)


def test_same_graph_from_another_file_is_compared_anew(project: Path) -> None:
    model = load_model(project / "model.onnx")
    model.doc_string = "the same computation"
    (project / "model.onnx").write_bytes(model.SerializeToString())
    assert done(again(project)) == ["import", "qonnx"]


def test_graph_as_model(project: Path) -> None:
    graph = fpgaflow.load(project / "model.onnx")
    result = again(project, model=graph)
    assert done(result) == ["import"]
    assert result.manifest["model"] == {"source": "graph", "sha256": graph.digest}
    assert result.manifest["qonnx"] is None and result.manifest["mismatches"].keys() == {"csim_vs_sim"}
    saved = again(project, model=project / "build" / GRAPH)
    assert saved.ok and saved.manifest["qonnx"] is None


def test_function_as_model(project: Path) -> None:
    (project / "net.py").write_text("def network():\n    return 'model.onnx'\n")
    result = again(project, model=f"{project}/net.py:network")
    assert statuses(result.manifest) == ALL_SKIPPED
    assert result.manifest["model"]["source"] == f"{project}/net.py:network"
    assert result.manifest["model"]["sha256"] == file_digest(project / "model.onnx")


def test_what_a_killed_build_leaves_behind_is_harmless(project: Path) -> None:
    """write_atomic writes aside first: such a file may be all that is left of it."""
    for name in (".manifest.json.k3x9", ".graph.json.k3x9", f"{STATE}/.csim.json.k3x9", f"{FIRMWARE}/.build.sh.k3x9"):
        (project / "build" / name).write_text("{")
    (project / "build" / MANIFEST).unlink()
    assert statuses(again(project).manifest) == ALL_SKIPPED
    assert load_graph(project / "build" / GRAPH).digest == fpgaflow.load(project / "model.onnx").digest


def test_relative_paths_and_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    result = build("model.onnx", out="build", data="data.npz")
    assert statuses(result.manifest) == ALL_SKIPPED
    assert result.manifest["data"] == str(project / "data.npz"), "so that validate finds them from anywhere"
    assert Path.cwd() == project


# What fails


def test_failed_goal_keeps_the_manifest_before(project: Path) -> None:
    before = (project / "build" / MANIFEST).read_bytes()
    result = again(project, fps=1e12)
    assert not result.ok and isinstance(result.failure, CheckFailed) and result.failure.exit_code == 1
    assert result.manifest == manifest_in(project)
    assert result.manifest["failure"] == str(result.failure)
    assert statuses(result.manifest)["fold"] == "failed" and "firmware" not in statuses(result.manifest)
    assert result.manifest["firmware"] is None and result.manifest["resources"]["lut"]["used"] is None
    assert result.manifest["why_no_bitstream"] == "the build failed: --fps 1e+12"
    assert (project / "build" / "manifest.previous.json").read_bytes() == before
    mended = again(project)
    assert done(mended) == ["fold"] and digests(mended.manifest) == digests(json.loads(before))


def test_samples_that_do_not_fit(project: Path) -> None:
    before = (project / "build" / MANIFEST).read_bytes()
    np.savez(project / "wrong.npz", x=np.zeros((3, 5)))
    with pytest.raises(BadInput, match=r"shape \(3, 5\)"):
        again(project, data=project / "wrong.npz")
    assert not (project / "build" / MANIFEST).exists(), "no manifest stands for a build that did not end"
    assert (project / "build" / "manifest.previous.json").read_bytes() == before
    assert statuses(again(project).manifest) == {**ALL_SKIPPED, "simulate": "done"}


def test_model_that_cannot_be_carried(tmp_path: Path) -> None:
    net = Net(3)
    net.node("Softmax", net.quant("x", 1 / 8, 8), output="y")
    (tmp_path / "softmax.onnx").write_bytes(net.model("y").SerializeToString())
    with pytest.raises(UnsupportedModel) as caught:
        build(tmp_path / "softmax.onnx", out=tmp_path / "build")
    assert "n.y" in caught.value.problems[0].where
    assert not (tmp_path / "build" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "missing.onnx"}, "missing.onnx: is no file"),
        ({"model": "."}, "is no file"),
        ({"model": "net.py"}, "names no function"),
        ({"board": "pynq-z3"}, "Did you mean 'pynq-z2'"),
        ({"flow": "verilog"}, "Choose one of hls, rtl"),
        ({"fps": 0.0}, "fps: 0 is no rate"),
        ({"fps": -1.0}, "fps: -1 is no rate"),
        ({"fps": float("nan")}, "fps: nan is no rate"),
        ({"fps": float("inf")}, "fps: inf is no rate"),
        ({"data": "missing.npz"}, "missing.npz: cannot be read"),
    ],
)
def test_bad_arguments_leave_no_folder(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"model": finished / "model.onnx", "out": "build", **wrong}
    with pytest.raises(BadInput, match=message):
        build(arguments.pop("model"), **arguments)
    assert not Path("build").exists()


def test_no_compiler(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "build" / STATE / "csim.json").unlink()
    for stamp in (project / "build" / CSIM / ".fpgaflow").iterdir():
        stamp.unlink()
    monkeypatch.setenv("PATH", str(project))
    result = again(project)
    assert isinstance(result.failure, MissingTool) and result.failure.exit_code == 2
    assert "g++: not found" in result.manifest["failure"]
    assert result.manifest["mismatches"].keys() == {"qonnx_vs_sim"}
    assert result.manifest["resources"]["lut"]["used"] > 0, "what was estimated before stays"


def test_difference_from_qonnx_fails(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor itself cannot be made to differ, so its result is."""
    right = building.run_qonnx

    def wrong(path: Path, inputs: Any) -> dict[str, np.ndarray]:
        outputs = right(path, inputs)
        outputs["scores"][7, 1] += 1 / 64
        return outputs

    monkeypatch.setattr(building, "run_qonnx", wrong)
    (project / "build" / STATE / "qonnx.json").unlink()
    result = again(project)
    assert isinstance(result.failure, CheckFailed) and result.failure.exit_code == 1
    mismatch = {"samples": SAMPLES, "values": 3 * SAMPLES, "different": 1, "first_sample": 7}
    assert result.manifest["mismatches"] == {"qonnx_vs_sim": mismatch}
    assert statuses(result.manifest)["qonnx"] == "failed"
    monkeypatch.undo()
    mended = again(project)
    assert mended.ok and done(mended) == ["qonnx"]


def test_difference_from_qonnx_is_told_where_float32_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = perceptron(scale=0.1)
    (tmp_path / QONNX).write_bytes(model.SerializeToString())
    graph = graph_of(model)
    assert not float32_is_exact(graph)
    right = Simulator(graph)
    monkeypatch.setattr(building, "run_qonnx", lambda _, inputs: {"scores": right.predict(inputs["x"]) + 1})
    outcome = building._against_qonnx(graph, generated_samples(graph), tmp_path)
    assert outcome.facts["mismatches"]["different"] > 0 and outcome.failure is None
    assert outcome.facts["rounding"]["samples"] == 100 and outcome.facts["rounding"]["values"] > 0


def branches() -> ModelProto:
    """Two products of the input, `left` and `right`, added; then a third."""
    random, net = np.random.default_rng(0), Net(4)

    def product(source: str, name: str) -> str:
        return net.node("MatMul", source, net.quant(random.normal(size=(4, 4)) / 2, 1 / 8, 4), output=name)

    x = net.quant("x", 1 / 16, 8)
    added = net.node("Add", product(x, "left"), product(x, "right"), output="sum")
    product(net.quant(added, 1 / 8, 6), "last")
    return net.model("last")


def test_wrong_firmware_is_caught_and_its_first_layer_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that puts a wrong weight into one of two parallel layers."""
    (tmp_path / "model.onnx").write_bytes(branches().SerializeToString())
    loads = "s/load_weights_from_txt<n_left_weight_t, [0-9]*>.\\(w[0-9]*\\),.*;/& \\1[0] = \\1[0] + 1;/"
    install(tmp_path / "bin", "g++", f"sed -i '{loads}' firmware/fpgaflow.cpp\nexec /usr/bin/g++ \"$@\"")
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    for _ in range(2):
        result = build(tmp_path / "model.onnx", out=tmp_path / "build")
        assert isinstance(result.failure, CheckFailed) and result.failure.exit_code == 1
        assert "hls4ml's C simulation" in result.manifest["failure"]
        assert statuses(result.manifest)["csim"] == "failed", "a failed comparison is not taken from its record"
        different = result.manifest["mismatches"]["csim_vs_sim"]["different"]
        assert 0 < different <= result.manifest["mismatches"]["csim_vs_sim"]["values"]
    ran = subprocess.run(command("validate", tmp_path / "build", "--json"), check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    *steps, csim = json.loads(ran.stdout)["steps"]
    assert all(step["ok"] for step in steps)
    assert (csim["right"], csim["ok"], csim["first_layer"]) == ("csim", False, "left")
    assert csim["mismatches"]["different"] == different


# Interruptions


def start(project: Path) -> subprocess.Popen[str]:
    argv = command("build", project / "model.onnx", "--data", project / "data.npz", "--out", project / "build")
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupt(project: Path, condition: Callable[[], bool], number: signal.Signals) -> tuple[int, str]:
    """Starts the build, sends the signal as soon as the condition holds: status and stderr."""
    with start(project) as process:
        try:
            wait_for(lambda: condition() or process.poll() is not None)
        finally:
            process.send_signal(number)
        _, errors = process.communicate()
    return process.returncode, errors


def test_killed_after_any_stage_it_goes_on(finished: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "data.npz"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    build_folder = tmp_path / "build"
    for stage in STAGES[:-1]:
        record = build_folder / STATE / f"{stage}.json"
        status, _ = interrupt(tmp_path, record.is_file, signal.SIGKILL)
        assert status == -signal.SIGKILL, f"the build was over before it could be killed after {stage}"
        assert isinstance(json.loads(record.read_text()), dict), "a record is whole as soon as it is there"
        assert not (build_folder / MANIFEST).exists()

    log = build_folder / CSIM / "csim" / "fpgaflow.o.log"  # there while g++ is at work
    for number, expected in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130), (signal.SIGINT, 130)):
        status, errors = interrupt(tmp_path, log.is_file, number)
        assert status == expected and "Traceback" not in errors
        assert ("interrupted; what was finished is kept" in errors) == (expected == 130)
        log.unlink()

    with start(tmp_path) as process:  # to the end, with a second build in its way
        wait_for(log.is_file)
        with pytest.raises(BadInput, match="another build is at work there"):
            again(tmp_path)
        process.communicate()
    assert process.returncode == 0
    manifest = manifest_in(tmp_path)
    assert digests(manifest) == digests(manifest_in(finished))
    assert statuses(manifest) == {**ALL_SKIPPED, "csim": "done"}
    whole = {name: content for name, content in files_of(build_folder / FIRMWARE).items() if Path(name).name[0] != "."}
    assert whole == files_of(finished / "build" / FIRMWARE)


def test_second_build_in_the_folder_is_refused(project: Path) -> None:
    before = files_of(project / "build")
    with locked(project / "build"), pytest.raises(BadInput, match="another build is at work there"):
        again(project)
    assert files_of(project / "build") == before and manifest_in(project)


# Vendor tools: stand-ins that leave what the real ones leave


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", path_with(tmp_path / "tools"))
    return tmp_path / "tools"


def test_bitstream_and_reported_figures(project: Path, tools: Path) -> None:
    install_vendor_tools(tools)
    seen: list[tuple[str, str]] = []
    result = again(project, progress=lambda *step: seen.append(step))
    manifest = result.manifest
    assert result.ok and statuses(manifest) == ALL_SKIPPED
    assert manifest["bitstream"] == "firmware/board/fpgaflow.bit" and manifest["why_no_bitstream"] is None
    assert (project / "build" / manifest["bitstream"]).read_text() == "bits\n"
    used = {name: figure["used"] for name, figure in manifest["resources"].items()}
    assert used == {"lut": 100, "ff": 200, "dsp": 3, "bram36": 2.5}  # UTILIZATION's
    assert {figure["source"] for figure in manifest["resources"].values()} == {"reported"}
    assert manifest["timing"] == {
        "clock_mhz": 99.999001,
        "fmax_mhz": {"value": round(1000 / (1000 / 99.999001 - 0.521), 1), "source": "reported"},
        "latency_cycles": {"value": 17, "source": "reported"},
        "interval_cycles": {"value": 8, "source": "reported"},
        "samples_per_second": {"value": round(99.999001e6 / 8, 1), "source": "reported"},
    }
    assert "bitstream" in dict(seen)
    assert again(project).manifest["bitstream"] == manifest["bitstream"]
    assert (tools / "runs").read_text() == "hls\nvivado\n", "the second build ran neither again"


def test_failed_tool_names_its_log(project: Path, tools: Path) -> None:
    install_vendor_tools(tools)
    install(tools, "vivado", "echo 'ERROR: [Place 30-640] Place Check : 9999 LUTs'; exit 1")
    result = again(project)
    log = project / "build" / FIRMWARE / "logs" / "vivado.log"
    # errors.ToolFailed: the command line's status for it is 2, as for a tool that is missing.
    assert isinstance(result.failure, ToolFailed) and result.failure.exit_code == 2
    assert "ERROR: [Place 30-640]" in result.manifest["failure"] and str(log) in result.manifest["failure"]
    assert log.is_file()
    assert result.manifest["bitstream"] is None
    assert result.manifest["why_no_bitstream"].startswith("the build failed: command 'bitstream'")
    assert result.manifest["resources"]["lut"]["source"] == "estimated"
    (tools / "vivado").unlink()
    (tools / "vitis_hls").write_text("#!/bin/sh\nexit 9\n")
    missing = again(project)
    assert missing.ok and missing.manifest["why_no_bitstream"].startswith("vivado not found: run `sh ")


def test_report_that_cannot_be_read(project: Path, tools: Path) -> None:
    install_vendor_tools(tools, {**REPORTS, "utilization.rpt": "nothing of Vivado's\n"})
    result = again(project)
    assert isinstance(result.failure, ToolFailed)
    assert "utilization.rpt" in result.manifest["failure"]
    assert result.manifest["resources"]["lut"]["source"] == "estimated"


def test_newer_name_of_the_hls_tool(project: Path, tools: Path) -> None:
    install(tools, "vitis-run", "exit 0")
    result = again(project)
    assert done(result) == ["firmware"], "its build.sh calls the tool that is here"
    assert result.manifest["why_no_bitstream"].startswith("vivado not found")
    assert "vitis-run --mode hls" in (project / "build" / FIRMWARE / "build.sh").read_text()


def test_board_without_block_design(project: Path, tools: Path) -> None:
    install_vendor_tools(tools)
    result = again(project, board=str(own_board(project, interface='interface = "axi-lite"')))
    assert result.ok and result.manifest["board"] == "mine"
    assert "no block design for mine: build on from firmware/hls" in result.manifest["why_no_bitstream"]
    assert not (tools / "runs").exists()


# What the hardware cannot carry


def test_hardware_problems() -> None:
    board = load_board("pynq-z2")
    assert hardware_problems(graph_of(perceptron()), board) == ()
    net = GraphNet()
    x = net.input((4,), B8)
    net.output(net.dense(x, 3))
    net.output(net.dense(x, 2))
    (problem,) = hardware_problems(net.graph(), board)
    assert "1 inputs and 2 outputs" in problem.found


def test_environment_is_left_alone(project: Path) -> None:
    before = dict(os.environ), Path.cwd()
    again(project)
    assert (dict(os.environ), Path.cwd()) == before
