"""What `validate` finds; wrong firmware, whose search takes many compilations, is in test_building.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import load_model, numpy_helper, save_model

from fpgaflow.build_folder import CSIM, MANIFEST, QONNX
from fpgaflow.building import build
from fpgaflow.errors import BadInput
from fpgaflow.ir.store import load_graph
from fpgaflow.samples import generated_samples
from fpgaflow.sim.run import Engine, Simulator
from fpgaflow.targets.engine import EngineOptions, Target, build_engine
from fpgaflow.validate import Validation, validate
from tests.builds import SAMPLES, files_of, perceptron

STEPS = [("qonnx", "reference"), ("reference", "fast"), ("fast", "csim")]


def run(folder: Path, data: Path | None = None) -> Validation:
    return validate(folder, data, lambda _: None)


def test_every_way_computes_the_same(project: Path) -> None:
    before = files_of(project / "build" / "firmware")
    told: list[str] = []
    validation = validate(project / "build", None, told.append)
    assert validation.ok and validation.skipped == ()
    assert validation.samples == SAMPLES
    assert [(step.left, step.right) for step in validation.steps] == STEPS
    for step in validation.steps:
        assert (step.mismatches.samples, step.mismatches.values) == (SAMPLES, 3 * SAMPLES)
        assert step.mismatches.different == 0 and step.first_layer is None and step.excuse is None
    shares = {way.accuracy for way in validation.ways}
    assert [way.name for way in validation.ways] == ["qonnx", "reference", "fast", "csim"]
    assert shares == {json.loads((project / "build" / MANIFEST).read_text())["accuracy"]["simulated"]}
    assert told == ["simulating", "QONNX executor", "rounding of float32", "hls4ml C simulation"]
    assert files_of(project / "build" / "firmware") == before


@pytest.mark.parametrize("target", ["onnxruntime", "tensorrt"])
def test_an_engine_is_compared_too(target: str, project: Path, tmp_path: Path) -> None:
    if target == "tensorrt":
        pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX: pip install 'fpgaflow[gpu]'")
    graph = load_graph(project / "build" / "graph.json")
    build_engine(graph, EngineOptions(Target(target)), tmp_path, generated_samples(graph, 4), "test")
    found = validate(project / "build", None, lambda _: None, tmp_path)
    step = found.steps[-1]
    assert step.right.startswith(target) and step.ok and step.mismatches.different == 0


def test_json_is_plain(project: Path) -> None:
    document = run(project / "build").as_json()
    assert json.loads(json.dumps(document)) == document
    assert document.keys() == {"ok", "samples", "data", "accuracy", "steps", "rounding", "skipped"}
    assert document["accuracy"].keys() == {"float", "qonnx", "reference", "fast", "csim"}
    assert document["rounding"].keys() == {"samples", "values", "different", "quantisers", "not_compared"}
    assert document["rounding"]["different"] == 0 < document["rounding"]["values"]
    assert document["steps"][0].keys() == {"left", "right", "mismatches", "first_layer", "excuse", "ok"}


def test_other_samples(project: Path) -> None:
    x = (np.random.default_rng(5).integers(-200, 200, (20, 4)) / 64).astype(np.float32)
    np.savez(project / "other.npz", x=x)
    validation = run(project / "build", project / "other.npz")
    assert validation.ok and validation.samples == 20 and validation.data == str(project / "other.npz")
    assert [way.accuracy for way in validation.ways] == [None] * 4


def test_deleted_csim_is_made_again_where_the_build_was_moved(project: Path) -> None:
    folder = (project / "build").rename(project / "moved")
    (folder / CSIM / "csim" / "fpgaflow_bridge.o").unlink()
    assert run(folder).ok


def changed_weight(path: Path, shape: tuple[int, ...]) -> None:
    """Another weight, of the matrix of that shape, in a QONNX file."""
    model = load_model(path)
    (tensor,) = [t for t in model.graph.initializer if tuple(t.dims) == shape]
    weights = numpy_helper.to_array(tensor).copy()
    weights[0, 0] -= np.sign(weights[0, 0])
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    save_model(model, path)


@pytest.mark.parametrize(("shape", "layer"), [((4, 6), "hidden"), ((6, 3), "scores")])
def test_first_layer_that_differs_from_qonnx(project: Path, shape: tuple[int, ...], layer: str) -> None:
    changed_weight(project / "build" / QONNX, shape)
    validation = run(project / "build")
    first, *others = validation.steps
    assert not validation.ok and not first.ok and all(step.ok for step in others)
    assert first.mismatches.different > 0 and first.first_layer == layer


def test_difference_of_the_simulators(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are equal, so one is made wrong: from the hidden layer on."""
    right = Simulator._run

    def wrong(self: Simulator, *arguments: object) -> Mapping[str, np.ndarray]:
        found = right(self, *arguments)
        return {n: a + (self.engine is Engine.FAST and n in ("quant4", "scores")) for n, a in found.items()}

    monkeypatch.setattr(Simulator, "_run", wrong)
    monkeypatch.setenv("PATH", str(project))  # no compiler: the firmware is there, parts of it cannot be made
    validation = run(project / "build")
    step = validation.steps[1]
    assert (step.left, step.right) == ("reference", "fast")
    assert not step.ok and step.mismatches.different == 3 * SAMPLES and step.first_layer == "quant4"
    assert validation.steps[2].first_layer == "scores", "as far as can be told"


def test_float32_may_round_where_scales_are_no_powers_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(perceptron(scale=0.1).SerializeToString())
    monkeypatch.setenv("PATH", str(tmp_path))  # no compiler: this is not about the firmware
    build(tmp_path / "model.onnx", out=tmp_path / "build")
    validation = run(tmp_path / "build")
    step = validation.steps[0]
    assert 0 < step.mismatches.different < 20 and step.first_layer == "quant4"
    assert step.ok and "no powers of two" in str(step.excuse)
    assert validation.ok and [reason.split(":")[0] for reason in validation.skipped] == ["csim"]


def test_qonnx_that_does_not_run_is_left_out(project: Path) -> None:
    model = load_model(project / "build" / QONNX)
    model.graph.node[0].input[1] = "nowhere"
    save_model(model, project / "build" / QONNX)
    validation = run(project / "build")
    assert [(step.left, step.right) for step in validation.steps] == STEPS[1:]
    assert validation.ok and validation.skipped[0].startswith("qonnx: QONNX's executor: ")


def test_build_that_failed_before_its_folding(project: Path) -> None:
    assert not build(project / "model.onnx", out=project / "build", data=project / "data.npz", fps=1e12).ok
    validation = run(project / "build")
    assert [(step.left, step.right) for step in validation.steps] == STEPS[:2]
    assert len(validation.skipped) == 1
    assert validation.skipped[0].startswith("csim: ") and "failed before its folding" in validation.skipped[0]


def test_own_board_file_is_not_needed_again(project: Path) -> None:
    manifest = json.loads((project / "build" / MANIFEST).read_text())
    (project / "build" / MANIFEST).write_text(json.dumps({**manifest, "board": "a-board-of-my-own"}))
    assert run(project / "build").skipped == ()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"graph": 1}', '{"graph": "missing.json"}'])
def test_no_finished_build(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(BadInput) as caught:
        run(tmp_path)
    assert str(tmp_path) in caught.value.problem.where


def test_samples_that_do_not_fit(project: Path) -> None:
    np.savez(project / "other.npz", x=np.zeros((3, 5)))
    with pytest.raises(BadInput, match=r"shape \(3, 5\)"):
        run(project / "build", project / "other.npz")
    (project / "build" / MANIFEST).write_text(
        (project / "build" / MANIFEST).read_text().replace("data.npz", "gone.npz")
    )
    with pytest.raises(BadInput, match=r"gone\.npz"):
        run(project / "build")
