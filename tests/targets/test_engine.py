"""Engine folders: TensorRT-RTX builds them without a GPU, twice alike, audited; damaged ones are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fpgaflow
from fpgaflow.cli import main
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Threshold
from fpgaflow.ir.types import FixedType
from fpgaflow.samples import generated_samples
from fpgaflow.sim.lines import Line
from fpgaflow.targets import engine_kinds as engines
from fpgaflow.targets import engine_targets
from fpgaflow.targets.engine import EngineOptions, Target, build_engine, load_engine
from fpgaflow.targets.engine_layers import load_for
from fpgaflow.targets.feeds import generated_feeds
from fpgaflow.targets.gpu.audit import audit, read_plan
from fpgaflow.targets.gpu.elementwise import robust
from fpgaflow.targets.gpu.qdq import emit_qdq
from fpgaflow.targets.gpu.tensorrt import build_plan, find_tensorrt
from tests.conformance.test_engines import two_ports
from tests.graphs import one_op
from tests.models import graph_of

LENET = data_dir("examples/lenet_digits") / "model.onnx"
NEEDS_RTX = "TensorRT-RTX: pip install 'fpgaflow[gpu]'"


@pytest.fixture(scope="module")
def lenet() -> Graph:
    return fpgaflow.load(LENET)


def test_onnxruntime(lenet: Graph, tmp_path: Path) -> None:
    result = build_engine(lenet, EngineOptions(Target.ONNXRUNTIME), tmp_path, generated_samples(lenet, 20), "lenet")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(result.files)
    manifest, files = load_engine(tmp_path)
    assert sorted(files) == ["exactness.json", "model.onnx"] and manifest["exact"]
    assert {name: count["different"] for name, count in manifest["mismatches"].items()} == {
        "onnxruntime_plain_vs_sim": 0,
        "onnxruntime_optimised_vs_sim": 0,
    }
    assert json.loads((tmp_path / "exactness.json").read_text())["exact"]


def test_stablehlo(lenet: Graph, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="JAX: pip install 'fpgaflow[tpu]'")
    build_engine(lenet, EngineOptions(Target.STABLEHLO), tmp_path, generated_samples(lenet, 20), "lenet")
    manifest, files = load_engine(tmp_path)
    assert sorted(files) == ["exactness.json", "model.mlir", "model.stablehlo"]
    assert manifest["engine"]["platforms"] == ["tpu", "cpu", "cuda"] and manifest["exact"]
    assert manifest["mismatches"]["stablehlo_vs_sim"] == {
        "samples": 20,
        "values": 200,
        "different": 0,
        "first_sample": None,
    }


def test_tflite(lenet: Graph, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT: pip install 'fpgaflow[tpu]'")
    build_engine(lenet, EngineOptions(Target.TFLITE, batch=2), tmp_path, generated_samples(lenet, 20), "lenet")
    manifest, files = load_engine(tmp_path)
    assert sorted(files) == ["exactness.json", "model.tflite"] and manifest["exact"]
    assert manifest["mismatches"]["tflite_reference_vs_sim"]["different"] == 0
    assert manifest["engine"]["batch"] == 2 and "edgetpu_compiler" in manifest["engine"]["notes"][1]


def test_several_inputs(tmp_path: Path) -> None:
    """From the files to the manifest."""
    graph = graph_of(two_ports(4))
    feeds = generated_feeds(graph, 9)
    result = build_engine(graph, EngineOptions(Target.ONNXRUNTIME), tmp_path, feeds, "two")
    assert [port["name"] for port in result.manifest["inputs"]] == ["x", "other"]
    assert result.manifest["mismatches"]["onnxruntime_plain_vs_sim"] == {
        "samples": 9,
        "values": 72,
        "different": 0,
        "first_sample": None,
    }
    engine = load_for(graph, tmp_path)
    assert engine.first_difference(feeds.arrays) is None and len(engine.output_integers(feeds.arrays)) == 2


@pytest.mark.parametrize("batch", [1, 64])
def test_tensorrt_is_the_same_each_time_and_audited(lenet: Graph, batch: int, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason=NEEDS_RTX)
    options = EngineOptions(Target.TENSORRT, (86, 89), batch)
    samples = generated_samples(lenet, 20)
    results = [build_engine(lenet, options, tmp_path / name, samples, "lenet") for name in ("a", "b")]
    plans = [load_engine(result.folder)[1][engines.PLAN] for result in results]
    assert plans[0] == plans[1]
    built = results[0].manifest["engine"]
    assert (built["architectures"], built["batch"], built["notes"]) == ([86, 89], batch, [])
    text = read_plan(plans[0])
    assert text.tf32 is False and {p.operands for p in text.products} == {("int8", "int8")}
    assert [p.high for p in text.products if p.high is not None] == [3.75, 3.75]  # of the two convolutions' ReLUs


def test_turing_is_noted_as_slower(lenet: Graph) -> None:
    pytest.importorskip("tensorrt_rtx", reason=NEEDS_RTX)
    qdq = emit_qdq(lenet, dense_as_conv=True)
    found = audit(build_plan(find_tensorrt(), qdq.model, (75,), 1), qdq.model, (75,))
    assert found.problems == ()
    assert all("float by float" in note.found for note in found.notes) and len(found.notes) == 5


def test_the_audit_finds_other_limits_and_architectures(lenet: Graph) -> None:
    pytest.importorskip("tensorrt_rtx", reason=NEEDS_RTX)
    qdq = emit_qdq(lenet, dense_as_conv=True)
    asked = (75, 86)
    plan = build_plan(find_tensorrt(), qdq.model, asked, 1)
    assert audit(plan, qdq.model, asked).problems == ()
    other = audit(plan, qdq.model, (80, 86)).problems
    assert [p.found for p in other] == ["is for sm75, sm86, asked for was sm80, sm86"]
    assert b"relu_high=40700000" in plan
    wrong = audit(plan.replace(b"relu_high=40700000", b"relu_high=40800000"), qdq.model, asked)
    assert [p.found for p in wrong.problems] == ["clamps at 4.0, where the model's high is 3.75"] * 2
    fast = audit(plan.replace(b"tf32=0", b"tf32=1"), qdq.model, asked)
    assert fast.problems[0].found == "may round float32 operands to TF32"
    assert "no listing" in audit(b"\0" * 1000, qdq.model, asked).problems[0].found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "tensorrt", "--sm", "90"], "does not build for Hopper"),
        (["--target", "tensorrt", "--sm", "87"], "builds for 75, 80"),
        (["--target", "tensorrt", "--sm", "ampere"], "no list of compute capabilities"),
        (["--target", "tensorrt", "--batch", "0"], "is 0"),
        (["--target", "onnxruntime", "--sm", "86"], "means nothing to onnxruntime"),
        (["--target", "stablehlo", "--batch", "8"], "means nothing to stablehlo"),
        (["--target", "tensorrt", "--units", "fp16"], "means nothing to tensorrt"),
        (["--target", "triton", "--sm", "80,90"], "names several"),
    ],
)
def test_bad_options(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorrt_rtx", reason=NEEDS_RTX)
    out = tmp_path / "engine"
    assert main(["engine", str(LENET), "--out", str(out), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture
def folder(lenet: Graph, tmp_path: Path) -> Path:
    pytest.importorskip("tensorrt_rtx", reason=NEEDS_RTX)
    build_engine(lenet, EngineOptions(Target.TENSORRT, (86,)), tmp_path, generated_samples(lenet, 5), "lenet")
    return tmp_path


def truncated(folder: Path) -> None:
    plan = folder / engines.PLAN
    plan.write_bytes(plan.read_bytes()[:1000])


def gone(folder: Path) -> None:
    (folder / engines.PLAN).unlink()


def exchanged(folder: Path) -> None:
    (folder / engines.ONNX).write_bytes(LENET.read_bytes())


def damaged(folder: Path) -> None:
    (folder / engines.MANIFEST).write_text('{"files": 3}')


def elsewhere(folder: Path) -> None:
    path = folder / engines.MANIFEST
    path.write_text(path.read_text().replace('"model.engine"', '"../model.engine"'))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncated, "not the file that the manifest describes"),
        (gone, "cannot be read"),
        (exchanged, "not the file that the manifest describes"),
        (damaged, "is damaged"),
        (elsewhere, "names files that no engine has"),
    ],
)
def test_harmed_folders(harm: object, message: str, folder: Path) -> None:
    harm(folder)  # type: ignore[operator]
    with pytest.raises(BadInput, match=message):
        load_engine(folder)


def test_a_difference_that_was_proven_impossible_is_told(
    lenet: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(lenet, constants={n: np.zeros_like(a) for n, a in lenet.constants.items()})
    wrong = emit_qdq(other)
    monkeypatch.setattr(engine_targets, "emit_qdq", lambda graph: wrong)
    with pytest.raises(CheckFailed, match="output integers differ from the simulator's"):
        build_engine(lenet, EngineOptions(Target.ONNXRUNTIME), tmp_path / "e", generated_samples(lenet, 5), "lenet")
    assert not (tmp_path / "e").exists()


def test_the_linter_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", str(LENET), "--target", "onnxruntime", "--out", str(tmp_path / "e"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "onnxruntime"
    assert main(["check", str(tmp_path / "e" / "model.onnx"), "--for", "tensorrt"]) == 0
    capsys.readouterr()
    assert main(["check", str(LENET), "--for", "tensorrt", "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_a_line_on_the_edge_is_not_robust() -> None:
    """At x = 4 the line gives 1 exactly: rounding of another order may give less."""
    thresholds = np.array([[4, 8]])
    assert not robust(Line(np.float32([0.25]), np.float32([0.0])), thresholds, 0, 15)
    assert robust(Line(np.float32([0.25]), np.float32([0.125])), thresholds, 0, 15)


def test_refusals_name_the_node() -> None:
    levels = np.sort(np.random.default_rng(0).integers(-2000, 2000, (1, 40)) ** 3, axis=1)
    source, result = FixedType(True, 24, 0), FixedType(False, 6, 0)
    op = Threshold("t", ("x",), "y", "the_node", "levels", None, 1, 0, 0)
    graph = one_op(op, source, (3,), result, (3,), levels=np.clip(levels, source.low, source.high))
    with pytest.raises(fpgaflow.UnsupportedModel, match=r"node 'the_node' \(Threshold\): 40 thresholds"):
        emit_qdq(graph)
