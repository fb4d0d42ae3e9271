import copy
import json
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from brevitas import nn as qnn
from onnx import numpy_helper
from torch import nn

from fpgaflow.data import data_dir
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.training.bits import Bits
from fpgaflow.training.checkpoint import load_checkpoint
from fpgaflow.training.export import export_qonnx
from fpgaflow.training.models import ModelName
from tests.training.networks import built, fitted, samples

EXAMPLE = data_dir("examples/lenet_digits")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (16, 1, 32, 32), generator=torch.Generator().manual_seed(1)) / 256


@pytest.fixture(scope="module", params=[Bits(4, 4, 8), Bits(2, 3, 5), Bits(8, 8, 8)], ids=str)
def model(request, images) -> torch.nn.Module:
    return fitted(built(ModelName.LENET5), request.param, images)


def constants(path: Path) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    graph = onnx.load(path).graph
    return list(graph.node), {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_the_file_computes_the_models_bits(model, images, tmp_path):
    path = tmp_path / "model.onnx"
    export_qonnx(model, images, path)
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(images).numpy()
    assert np.array_equal(next(iter(run_qonnx(path, images.numpy()).values())), expected)


def test_export_leaves_the_model_as_it_was(model, images, tmp_path):
    before = copy.deepcopy(model.state_dict())
    model.train()
    export_qonnx(model, images, tmp_path / "model.onnx")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.export_mode for module in model.modules() if hasattr(module, "export_mode"))
    export_qonnx(model, images, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


def test_a_model_that_returns_a_quant_tensor(tmp_path):
    model = nn.Sequential(OrderedDict(first=qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)))
    x = torch.linspace(-2, 2, 12).view(2, 6)
    model(x)
    export_qonnx(model.eval(), x, tmp_path / "model.onnx")
    assert [node.name for node in constants(tmp_path / "model.onnx")[0]] == ["first_quant"]
    outputs = next(iter(run_qonnx(tmp_path / "model.onnx", x.numpy()).values()))
    assert np.array_equal(outputs, model(x).value.detach().numpy())


def test_nodes_are_named_by_layer():
    nodes, values = constants(EXAMPLE / "model.onnx")
    names = {node.name: node.op_type for node in nodes}
    layers = {"conv1": "Conv", "conv2": "Conv", "fc1": "Gemm", "fc2": "Gemm", "fc3": "Gemm"}
    for layer, op in layers.items():
        assert names[layer] == op
        assert names[f"{layer}_weight_quant"] == names[f"{layer}_bias_quant"] == "Quant"
    assert "BatchNormalization" not in names.values()
    parameters = [name for node in nodes for name in node.input if name in values]
    assert len(parameters) == len(set(parameters))


def test_the_example_has_the_promised_quantisers():
    nodes, values = constants(EXAMPLE / "model.onnx")
    made_by = {node.output[0]: node for node in nodes}
    expected = {"weight_quant": (4, 1, 1), "bias_quant": (16, 1, 0), "input_quant": (8, 0, 0)}
    scales: dict[str, float] = {}
    for node in nodes:
        if node.op_type != "Quant":
            continue
        scale, zero_point, width = (values[name] for name in node.input[1:])
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        kind = next((kind for kind in expected if node.name.endswith(kind)), None)
        found = (int(width), attributes["signed"], attributes["narrow"])
        assert found == expected.get(kind or "", (4, 0, 0)), node.name
        assert attributes["rounding_mode"] == b"ROUND"
        assert zero_point == 0
        assert scale.size == 1
        assert math.frexp(float(scale.item()))[0] == 0.5
        scales[node.output[0]] = float(scale.item())
    for node in nodes:
        if node.op_type in ("Conv", "Gemm"):
            source = node.input[0]
            while source not in scales:
                source = made_by[source].input[0]
            assert scales[node.input[2]] == scales[source] * scales[node.input[1]]


def test_the_example_file_checkpoint_and_summary_agree():
    test = np.load(EXAMPLE / "test.npz")
    assert test["x"].shape == (297, 1, 32, 32)
    assert test["x"].dtype == np.float32
    assert test["y"].dtype == np.int64
    model = load_checkpoint(EXAMPLE / "checkpoint.pt").model
    with torch.no_grad():
        expected = model(torch.from_numpy(test["x"])).numpy()
    outputs = next(iter(run_qonnx(EXAMPLE / "model.onnx", test["x"]).values()))
    assert np.array_equal(outputs, expected)
    accuracy = json.loads((EXAMPLE / "train.json").read_text())["accuracy"]
    assert accuracy["samples"] == 297
    assert np.mean(outputs.argmax(axis=1) == test["y"]) == accuracy["quantized"]
    assert accuracy["quantized"] >= 0.98
    assert abs(accuracy["quantized"] - accuracy["float"]) <= 0.01


def test_every_float32_sum_of_the_example_is_exact():
    """No input at all can make a partial sum reach 2^24 steps of its grid."""
    model = load_checkpoint(EXAMPLE / "checkpoint.pt").model
    with torch.no_grad():
        for name, input_bits in {"conv1": 8, "conv2": 4, "fc1": 4, "fc2": 4, "fc3": 4}.items():
            layer = getattr(model, name)
            weight, bias = layer.quant_weight(), layer.bias_quant(layer.bias)
            largest = (weight.value / weight.scale).abs().flatten(1).sum(1) * (2**input_bits - 1)
            assert float((largest + (bias.value / bias.scale).abs()).max()) < 2**24


def test_layers_in_blocks_keep_their_names(tmp_path):
    x = samples(ModelName.RESNET8)
    export_qonnx(fitted(built(ModelName.RESNET8), Bits(4, 4, 8), x), x, tmp_path / "model.onnx")
    names = {node.name for node in constants(tmp_path / "model.onnx")[0]}
    assert {"block1_conv1", "block1_conv1_weight_quant", "block3_relu2_quant", "block2_shortcut_bias_quant"} <= names
