"""The float network inside a QONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fpgaflow.comparison.float_twin import float_model, float_session
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.frontend.load import load
from tests.builds import perceptron


def test_quantisers_are_gone_and_weights_are_as_they_were(tmp_path: Path) -> None:
    model = perceptron()
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    first, second = (array.astype(np.float32) for array in held.values() if array.ndim == 2)
    onnx.save(model, tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    feed = {model.graph.input[0].name: x}
    (scores,) = float_session(tmp_path / "net.onnx", feed).run(None, feed)
    np.testing.assert_allclose(scores, np.maximum(x @ first, 0) @ second, rtol=1e-5, atol=1e-6)
    assert {node.op_type for node in float_model(model).graph.node} == {"MatMul", "Relu"}
    assert model.SerializeToString() == perceptron().SerializeToString()  # a copy was changed


def test_lenet_runs_in_batches() -> None:
    path = data_dir("examples/lenet_digits") / "model.onnx"
    x = np.load(path.with_name("test.npz"))["x"][:50].astype(np.float32)
    feed = {load(path).inputs[0].name: x}
    (scores,) = float_session(path, feed).run(None, feed)
    assert scores.shape == (50, 10)


def test_what_has_no_float_counterpart_is_refused(tmp_path: Path) -> None:
    model = perceptron()
    model.graph.node[-1].domain = "finn.custom_op.general"
    onnx.save(model, tmp_path / "net.onnx")
    feed = {model.graph.input[0].name: np.zeros((2, 4), np.float32)}
    with pytest.raises(BadInput, match=r"finn\.custom_op\.general"):
        float_session(tmp_path / "net.onnx", feed)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    for name in ("bad.onnx", "missing.onnx", "net.h5"):
        with pytest.raises(BadInput):
            float_session(tmp_path / name, feed)
    onnx.save(perceptron(), tmp_path / "net.onnx")
    with pytest.raises(BadInput, match="does not run"):
        float_session(tmp_path / "net.onnx", {name: np.zeros((2, 9), np.float32) for name in feed})
