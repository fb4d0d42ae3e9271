"""HGQ2 files: the same bits as Keras computes, through hls4ml's converter; and none that would run code."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", minversion="3", reason="Keras 3: pip install 'fpgaflow[keras]'")
pytest.importorskip("hgq", reason="HGQ2: pip install 'fpgaflow[keras]'")

from hgq.config import QuantizerConfigScope  # noqa: E402
from hgq.layers import QConv2D, QDense  # noqa: E402
from hgq.utils import trace_minmax  # noqa: E402

from fpgaflow.cli import main  # noqa: E402
from fpgaflow.errors import BadInput, UnsupportedModel  # noqa: E402
from fpgaflow.frontend.load import load  # noqa: E402
from fpgaflow.sim.run import Simulator  # noqa: E402


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A model file, inputs, and what Keras computes of them."""
    keras.utils.set_random_seed(0)
    weights = QuantizerConfigScope(place=("weight", "bias"), default_q_type="kbi", overflow_mode="SAT_SYM")
    data = QuantizerConfigScope(place="datalane", default_q_type="kif", overflow_mode="WRAP")
    with weights, data:
        first = QConv2D(3, 2, activation="relu", name="conv")
        model = keras.Sequential([keras.Input((4, 4, 2)), first, keras.layers.Flatten(), QDense(5, name="fc")])
    x = (np.random.default_rng(0).integers(-64, 64, (50, 4, 4, 2)) / 16).astype(np.float32)
    trace_minmax(model, x, verbose=False)
    path = tmp_path_factory.mktemp("hgq") / "model.keras"
    model.save(path)
    return path, x, model.predict(x, verbose=0)


def test_same_bits_as_keras(saved: tuple[Path, np.ndarray, np.ndarray]) -> None:
    path, x, expected = saved
    assert np.ptp(expected) > 0
    assert np.array_equal(Simulator(load(path)).predict(x), expected)


def changed(path: Path, out: Path, change: dict[str, Any]) -> Path:
    """The archive with its last layer changed."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                document = json.loads(content)
                document["config"]["layers"][-2] |= change
                content = json.dumps(document).encode()
            copy.writestr(name, content)
    return out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_name": "Lambda"}, "names keras.layers.Lambda"),
        ({"module": "os", "class_name": "system"}, "names os.system"),
        ({"module": "keras.utils", "class_name": "get_file"}, "names keras.utils.get_file"),
        ({"module": "keras.layers", "class_name": "deserialize"}, "names keras.layers.deserialize"),
        ({"module": "builtins", "class_name": "function"}, "names builtins.function"),
        ({"class_name": "NoSuchLayer"}, "cannot be converted"),
    ],
)
def test_files_that_name_other_code(
    saved: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        load(changed(saved[0], tmp_path / "model.keras", change))


def test_float_keras_models_are_refused_by_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="plain")])
    model.save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedModel, match=r"layer 'plain' \(Dense\).*QDense"):
        load(tmp_path / "model.keras")
    assert main(["check", str(tmp_path / "model.keras")]) == 1
    assert "Use QDense of QKeras" in capsys.readouterr().out
