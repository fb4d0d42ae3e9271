from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fpgaflow
from tests.builds import perceptron
from tests.models import Net, graph_of
from tests.targets.hls.hls_graphs import FixedType
from tests.targets.hls.hls_graphs import Net as GraphNet


def saved(net: Net, output: str, path: Path) -> Path:
    path.write_bytes(net.model(output).SerializeToString())
    return path


def test_contract_of_the_api(finished: Path) -> None:
    graph = fpgaflow.load(finished / "model.onnx")
    x = np.load(finished / "data.npz")["x"]
    simulator = fpgaflow.Simulator(graph)
    y = simulator.predict(x)
    assert y.dtype == np.float64 and y.shape == (len(x), 3)
    assert np.array_equal(fpgaflow.simulate(graph, x), y)
    assert np.array_equal(fpgaflow.simulate(finished / "model.onnx", x), y)
    layers = simulator.trace(x)
    assert np.array_equal(layers["scores"], y) and layers["hidden"].shape == (len(x), 6)


def test_build(project: Path) -> None:
    result = fpgaflow.build(
        project / "model.onnx", board="pynq-z2", out=project / "build", flow="hls", data=project / "data.npz"
    )
    assert result.ok and result.folder == project / "build"
    assert result.manifest["mismatches"]["csim_vs_sim"]["different"] == 0


def test_public_names() -> None:
    for name in fpgaflow.__all__:
        assert getattr(fpgaflow, name).__doc__, name
    assert {"load", "check", "build", "simulate", "compare", "Simulator", "Board", "UnsupportedModel"} <= set(
        fpgaflow.__all__
    )
    assert issubclass(fpgaflow.UnsupportedModel, fpgaflow.FpgaflowError)


def test_check_of_a_model_that_can_be_carried(finished: Path) -> None:
    graph = fpgaflow.load(finished / "model.onnx")
    assert fpgaflow.check(graph) == fpgaflow.check(finished / "model.onnx") == ()
    assert fpgaflow.check(graph, board="pynq-z2") == ()


def test_check_names_every_node(tmp_path: Path) -> None:
    net = Net(3)
    x = net.quant("x", 1 / 8, 8)
    net.node("Add", net.node("Softmax", x), net.node("Tan", x), output="y")
    problems = fpgaflow.check(saved(net, "y", tmp_path / "model.onnx"))
    told = " ".join(problem.where for problem in problems)
    assert "Softmax" in told or "n.softmax" in told
    assert "Tan" in told or "n.tan" in told
    with pytest.raises(fpgaflow.UnsupportedModel) as caught:
        fpgaflow.load(tmp_path / "model.onnx")
    assert caught.value.problems == problems


def test_check_of_the_hardware() -> None:
    net = GraphNet()
    x = net.input((2,), FixedType(True, 60, 0))
    net.output(net.dense(x, 2, wt=FixedType(True, 60, 0), bt=None, accum=FixedType(True, 62, 0)))
    graph = net.graph()
    assert fpgaflow.check(graph) == ()
    problems = fpgaflow.check(graph, board="pynq-z2")
    assert any("dense0" in problem.where and "60 bits" in problem.found for problem in problems)


def test_check_of_a_board_that_is_too_small(tmp_path: Path) -> None:
    board = (Path(__file__).parents[1] / "boards" / "pynq-z2.toml").read_text()
    (tmp_path / "tiny.toml").write_text(board.replace('"pynq-z2"', '"tiny"').replace("lut = 53_200", "lut = 500"))
    (problem,) = fpgaflow.check(graph_of(perceptron()), board=str(tmp_path / "tiny.toml"))
    assert problem.where == "board 'tiny'" and "lut" in problem.found and "estimated" in problem.found


def test_check_of_wrong_arguments(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(fpgaflow.BadInput, match="no such board"):
        fpgaflow.check(finished / "model.onnx", board="pynq-z3")
    with pytest.raises(fpgaflow.BadInput, match="is no file"):
        fpgaflow.check(tmp_path / "missing.onnx")


def test_import_is_light() -> None:
    """`import fpgaflow` brings in neither training nor hls4ml nor the build."""
    heavy = "{'torch', 'brevitas', 'hls4ml', 'sklearn', 'fpgaflow.building', 'onnxruntime'}"
    script = f"import sys, fpgaflow; print(sorted({heavy} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
