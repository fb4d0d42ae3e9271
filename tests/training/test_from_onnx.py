"""Float ONNX models as torch modules: the same outputs, or a refusal by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto
from torch import nn

from fpgaflow.errors import BadInput, UnsupportedModel
from fpgaflow.training.from_onnx import module_from_onnx
from tests.models import Net, reals


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def written(model: ModelProto, folder: Path) -> Path:
    path = folder / "float.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def assert_same(model: ModelProto, folder: Path) -> nn.Module:
    """torch sums in another order than ONNX Runtime: equal up to float32's last digits."""
    path = written(model, folder)
    module, shape = module_from_onnx(path)
    x = reals(0, (1, *shape))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: x})
    with torch.no_grad():
        found = module(torch.from_numpy(x)).numpy()
        assert module(torch.zeros(3, *shape)).shape == (3, *expected.shape[1:]), "any batch"
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    return module


def cnn(net: Net, **pool: Any) -> str:
    x = net.node("Conv", "x", net.const(normal(0, 4, 2, 3, 3)), net.const(normal(1, 4)), pads=[1, 1, 1, 1])
    x = net.batch_norm(x, normal(2, 4), normal(3, 4), normal(4, 4), np.abs(normal(5, 4)), epsilon=1e-3)
    x = net.node("Clip", x, net.const(0.0), net.const(6.0))
    y = net.node("Conv", x, net.const(normal(6, 4, 1, 3, 3)), group=4, dilations=[2, 2], pads=[2, 2, 2, 2])
    x = net.node("Add", net.node("Relu", y), x)
    x = net.node("Concat", x, net.node("Identity", y), axis=1)
    return net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


@pytest.mark.parametrize("end", ["Flatten", "Reshape", "shape arithmetic", "GlobalAveragePool", "AveragePool"])
def test_convolutional_network(end: str, tmp_path: Path) -> None:
    net = Net(2, 8, 8)
    x = cnn(net)
    if end == "shape arithmetic":  # x.view(x.size(0), -1) as TorchScript exports it
        batch = net.node("Gather", net.node("Shape", x), net.const(0, np.int64), axis=0)
        batch = net.node("Unsqueeze", batch, net.const([0], np.int64))
        x = net.node("Reshape", x, net.node("Concat", batch, net.const([-1], np.int64), axis=0))
    elif end == "Reshape":
        x = net.shaped(x, -1, 128)
    else:
        x = net.node("AveragePool", x, kernel_shape=[2, 2], pads=[1, 1, 1, 1]) if end == "AveragePool" else x
        x = net.node("GlobalAveragePool", x) if end == "GlobalAveragePool" else x
        x = net.node("Flatten", x)
    inputs = {"GlobalAveragePool": 8, "AveragePool": 8 * 25}.get(end, 128)
    x = net.node("Gemm", x, net.const(normal(7, 5, inputs)), net.const(normal(8, 5)), transB=1, alpha=0.5, beta=2.0)
    assert_same(net.model(x), tmp_path)


def test_dense_network_names_its_layers(tmp_path: Path) -> None:
    net = Net(6)
    x = net.node("MatMul", "x", net.const(normal(0, 6, 4)), output="/fc1/out")
    x = net.node("Relu", net.node("Add", net.const(normal(1, 4)), x))
    x = net.node("MatMul", net.node("Dropout", x), net.const(normal(2, 4, 3)), output="2")
    module = assert_same(net.model(x), tmp_path)
    layers = {name: layer for name, layer in module.named_children() if isinstance(layer, nn.Linear)}
    assert list(layers) == ["n__fc1_out", "n_2"]
    assert layers["n__fc1_out"].bias is not None and layers["n_2"].bias is None


def test_one_dimension(tmp_path: Path) -> None:
    net = Net(3, 12)
    x = net.node("Conv", "x", net.const(normal(0, 4, 3, 3)), strides=[2], auto_pad="VALID")
    x = net.node("MaxPool", net.batch_norm(x, *(np.abs(normal(i, 4)) for i in range(4))), kernel_shape=[2], strides=[1])
    assert_same(net.model(net.node("GlobalAveragePool", x)), tmp_path)


def test_every_refusal_at_once(tmp_path: Path) -> None:
    net = Net(2, 8, 8)
    x = net.node("Conv", "x", net.const(normal(0, 4, 2, 3, 3)), auto_pad="SAME_UPPER", strides=[2, 2])
    y = net.node("LeakyRelu", "x")
    z = net.quant("x", 0.5, 4)
    w = net.node("Add", "x", net.const(normal(1, 1, 2, 1, 1)))
    p = net.node("Clip", "x", net.const(-1.0), net.const(1.0))
    with pytest.raises(UnsupportedModel) as caught:
        module_from_onnx(written(net.model(net.node("Sum", x, y, z, w, p)), tmp_path))
    found = [problem.found for problem in caught.value.problems]
    assert found == [
        "pads by ((0, 1), (0, 1)), not alike on both sides",
        "operator LeakyRelu has no quantised form here",
        "is a quantiser already",
        "adds a constant to what is no MatMul",
        "clips to -1 and 1",
    ]


def test_a_bias_that_another_node_would_see_too(tmp_path: Path) -> None:
    net = Net(6)
    x = net.node("MatMul", "x", net.const(normal(0, 6, 4)))
    with pytest.raises(UnsupportedModel, match="adds a constant to what is no MatMul"):
        module_from_onnx(written(net.model(net.node("Add", net.node("Add", x, net.const(normal(1, 4))), x)), tmp_path))


@pytest.mark.parametrize("shape", [(None, 4), (3, "n")])
def test_open_dimensions(shape: tuple[Any, ...], tmp_path: Path) -> None:
    net = Net(*shape)
    with pytest.raises(BadInput, match=r"input 'x'.*fixed dimensions"):
        module_from_onnx(written(net.model(net.node("Relu", "x")), tmp_path))


def test_two_inputs(tmp_path: Path) -> None:
    net = Net(3)
    net.input("w", (3,), TensorProto.FLOAT)
    with pytest.raises(BadInput, match="2 inputs and 1 outputs"):
        module_from_onnx(written(net.model(net.node("Add", "x", "w")), tmp_path))
