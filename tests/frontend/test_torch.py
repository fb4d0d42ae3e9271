"""Models that are Python. What torch exports is tests/training/test_export.py's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput, FpgaflowError
from fpgaflow.frontend.load import load
from fpgaflow.frontend.torch import to_qonnx
from fpgaflow.sim.run import Simulator
from tests.builds import perceptron

needs_torch = pytest.mark.skipif(importlib.util.find_spec("brevitas") is None, reason="torch or Brevitas is missing")

NETWORK = """
import torch
from brevitas import nn as qnn
from layers import HIDDEN

print("this module talks")


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantLinear(4, HIDDEN, bias=False, weight_bit_width=4),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantLinear(HIDDEN, 3, bias=False, weight_bit_width=4),
    ), [4]
"""


def source(folder: Path, text: str) -> str:
    (folder / "net.py").write_text(text)
    return f"{folder / 'net.py'}:network"


@pytest.mark.parametrize("name", ["model.onnx", "missing.onnx", "graph.json", "dir"])
def test_files_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    assert to_qonnx(str(tmp_path / name), tmp_path / "exported.onnx") == tmp_path / name
    assert list(tmp_path.iterdir()) == []


def test_function_that_returns_a_path(tmp_path: Path) -> None:
    (tmp_path / "made.onnx").write_bytes(perceptron().SerializeToString())
    spec = source(tmp_path, "def network():\n    return 'made.onnx'\n")
    assert to_qonnx(spec, tmp_path / "exported.onnx") == tmp_path / "made.onnx"


@needs_torch
def test_function_that_returns_a_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "layers.py").write_text("HIDDEN = 5\n")
    spec, out = source(tmp_path, NETWORK), tmp_path / "exported.onnx"
    assert to_qonnx(spec, out) == out
    printed = capsys.readouterr()
    assert printed.out == "" and "this module talks" in printed.err
    assert str(tmp_path) not in sys.path
    once = out.read_bytes()
    to_qonnx(spec, out)
    assert out.read_bytes() == once, "so that a build of the same model is not done again"
    assert Simulator(load(out)).predict(np.zeros((2, 4))).shape == (2, 3)


@needs_torch
def test_checkpoint(tmp_path: Path) -> None:
    example, out = data_dir("examples/lenet_digits"), tmp_path / "exported.onnx"
    assert to_qonnx(str(example / "checkpoint.pt"), out) == out
    x = np.load(example / "test.npz")["x"][:50]
    assert np.array_equal(Simulator(load(out)).predict(x), Simulator(load(example / "model.onnx")).predict(x))


@needs_torch
@pytest.mark.parametrize(("name", "content"), [("text.pt", b"hello"), ("missing.pt", None), ("empty.pt", b"")])
def test_checkpoint_that_is_none(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name):
        to_qonnx(str(tmp_path / name), tmp_path / "exported.onnx")
    assert not (tmp_path / "exported.onnx").exists()


@needs_torch
def test_module_that_cannot_be_exported(tmp_path: Path) -> None:
    text = "import torch\n\n\ndef network():\n    return torch.nn.Linear(4, 3), (5,)\n"
    with pytest.raises(BadInput, match="torch cannot export it"):
        to_qonnx(source(tmp_path, text), tmp_path / "exported.onnx")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".onnx"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def other():\n    pass\n", "is no function there"),
        ("network = 3\n", "is no function there"),
        ("def network(a):\n    pass\n", "TypeError"),
        ("def network():\n    raise KeyError('weights')\n", "KeyError: 'weights'"),
        ("def network():\n    return [].missing\n", "AttributeError: 'list' object has no attribute 'missing'"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("def network(:\n", "SyntaxError"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("def network():\n    return None\n", "returns NoneType. Return"),
        ("def network():\n    return 1, 2, 3\n", "returns tuple. Return"),
        ("def network():\n    return 'no module', (3,)\n", "returns tuple. Return"),
        ("class M:\n    eval = 1\n\n\ndef network():\n    return M(), (0,)\n", "returns tuple. Return"),
        ("class M:\n    eval = 1\n\n\ndef network():\n    return M(), 'abc'\n", "returns tuple. Return"),
    ],
)
def test_wrong_function(tmp_path: Path, text: str, message: str) -> None:
    spec, before = source(tmp_path, text), list(sys.path)
    with pytest.raises(BadInput) as caught:
        to_qonnx(spec, tmp_path / "exported.onnx")
    assert caught.value.problem.where == spec and message in str(caught.value)
    assert sys.path == before


def test_own_errors_pass(tmp_path: Path) -> None:
    text = "import fpgaflow\n\n\ndef network():\n    raise fpgaflow.BadInput('weights.npz', 'is gone', 'Bring it')\n"
    with pytest.raises(FpgaflowError, match=r"^weights.npz: is gone. Bring it$"):
        to_qonnx(source(tmp_path, text), tmp_path / "exported.onnx")


def test_function_may_change_the_path(tmp_path: Path) -> None:
    text = f"import sys\nsys.path.remove({str(tmp_path)!r})\n\n\ndef network():\n    return 'made.onnx'\n"
    assert to_qonnx(source(tmp_path, text), tmp_path / "x").name == "made.onnx"


@pytest.mark.parametrize("spec", ["net.py", "missing.py:network", ".py:network"])
def test_file_that_is_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"\.py"):
        to_qonnx(spec, tmp_path / "exported.onnx")


def test_without_torch_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"")
    script = "import sys; sys.modules['torch'] = None; from fpgaflow.cli import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", script, "check", str(tmp_path / "model.pt")]
    ran = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    assert "torch is not installed" in ran.stderr and "pip install 'fpgaflow[train]'" in ran.stderr
