"""`quantize` from a user's files to a QONNX file; how layers are quantised is tests/training/test_ptq.py's."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.cli import main
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.quantize import quantize
from fpgaflow.sim.run import Simulator
from tests.models import Net

pytestmark = pytest.mark.skipif(importlib.util.find_spec("brevitas") is None, reason="torch or Brevitas is missing")

NETWORK = """
import torch


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)), (6,)


def quantised():
    from brevitas import nn as qnn
    return qnn.QuantLinear(6, 3, bias=False), (6,)


def reluless():
    return torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.SELU(), torch.nn.Softmax(1)), (6,)


def one_output():
    return torch.nn.Flatten(0), (6,)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network in Python and as ONNX, and calibration data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape).astype(np.float32) for shape in ((6, 8), (8, 3))]
    net = Net(6)
    x = net.node("Relu", net.node("MatMul", "x", net.const(weights[0])))
    (tmp_path / "net.onnx").write_bytes(net.model(net.node("MatMul", x, net.const(weights[1]))).SerializeToString())
    x = random.normal(size=(80, 6)).astype(np.float32)
    y = (np.maximum(x @ weights[0], 0) @ weights[1]).argmax(1)
    np.savez(tmp_path / "calib.npz", x=x, y=y)
    np.savez(tmp_path / "unlabelled.npz", x=x)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["quantize", *arguments])
    return status, *capsys.readouterr()


def test_onnx_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "net.onnx", "--data", "calib.npz", "--json")
    report: dict[str, Any] = json.loads(out)
    assert status == 0 and report["out"] == "quantized.onnx"
    assert report["accuracy"]["float"] == 1.0 and report["accuracy"]["quantized"] >= 0.95
    assert report["accuracy"]["samples"] == 80
    assert report["different_from_brevitas"] == {"values": 240, "different": 0}
    found = [(layer["what"], layer["bits"], layer["signed"]) for layer in report["layers"]]
    assert sorted(found) == [("activation", 8, False), ("activation", 8, True), *[("weight", 8, True)] * 2]
    x = np.load("calib.npz")["x"]
    simulated = Simulator(load("quantized.onnx")).predict(x)
    assert np.array_equal(next(iter(run_qonnx(folder / "quantized.onnx", x).values())), simulated)


def test_torch_model_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("net.py:network", "--data", "calib.npz", "--out", "q.onnx", "--weight-bits", "4", "--scale", "float")
    status, out, _ = run(capsys, *arguments, "--bias-correction", "--equalize", "--gptq")
    assert status == 0 and (folder / "q.onnx").is_file()
    for text in ("weight         4  signed         8", "the 80 calibration samples, torch", "fpgaflow build q.onnx"):
        assert text in out


def test_without_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = quantize("net.onnx", "unlabelled.npz")
    assert done.float_accuracy is None and done.quantised_accuracy is None and done.samples == 80
    assert "the data have no labels y" in run(capsys, "net.onnx", "--data", "unlabelled.npz")[1]


def test_checkpoint(folder: Path) -> None:
    from fpgaflow.training.checkpoint import Checkpoint, save_checkpoint
    from fpgaflow.training.float_graph import traced
    from fpgaflow.training.models import Architecture, ModelName

    architecture = Architecture(ModelName.LENET5, (1, 32, 32), 10)
    network = traced(architecture.build()).eval()
    save_checkpoint(Checkpoint(architecture, None, False, False, network), folder / "float.pt")
    np.savez(folder / "images.npz", x=np.random.default_rng(0).random((4, 1, 32, 32), np.float32))
    assert quantize("float.pt", "images.npz").different == 0


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


X = np.zeros((4, 6), np.float32)


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        ("net.onnx", npz(x=X[:, :5]), (), "has samples of shape (5,), the model takes (6,)"),
        ("net.py:network", npz(x=X[..., None]), (), "has samples of shape (6, 1), the model takes (6,)"),
        ("net.onnx", npz(y=X), (), "but no x"),
        ("net.onnx", npz(x=X + np.nan), (), "holds NaN or infinity"),
        ("net.onnx", npz(x=X, y=np.zeros(3, np.int64)), (), "labels y of shape (3,)"),
        ("net.onnx", npz(x=X, y=np.full(4, 3)), (), "labels from 3 to 3, the model has 3 outputs"),
        ("net.onnx", b"no data", (), "is no whole .npz file"),
        ("net.onnx", npz(x=X), ("--weight-bits", "9"), "9 is out of range"),
        ("net.onnx", npz(x=X), ("--scale", "int"), "invalid choice"),
        ("none.onnx", npz(x=X), (), "none.onnx"),
        ("net.npz", npz(x=X), (), "is no float model"),
        ("net.py:quantised", npz(x=X), (), "has Brevitas layers already"),
        ("net.py:reluless", npz(x=X), (), "layer '1' (SELU): has no quantised form"),
        ("net.py:reluless", npz(x=X), (), "layer '2' (Softmax)"),
        ("net.py:one_output", npz(x=X), (), "gives 24 outputs for 4 samples"),
        ("bad.pt", npz(x=X), (), "is no checkpoint of fpgaflow"),
    ],
)
def test_bad_input(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str, data: bytes, options: tuple[str, ...], message: str
) -> None:
    (folder / "bad.pt").write_bytes(b"text")
    (folder / "data.npz").write_bytes(data)
    status, _, err = run(capsys, model, "--data", "data.npz", *options)
    assert status == 2 and message in " ".join(err.split())
    assert not (folder / "quantized.onnx").exists()
