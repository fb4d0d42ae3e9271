import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.training.bits import Bits
from fpgaflow.training.checkpoint import Checkpoint, load_checkpoint, resize, save_checkpoint
from fpgaflow.training.float_graph import traced
from fpgaflow.training.models import Architecture, ModelName
from tests.training.networks import OWN_SHAPES, built, fitted, samples

EXAMPLE = data_dir("examples/lenet_digits")


@pytest.mark.parametrize("name", [ModelName.MLP, ModelName.RESNET8])
def test_round_trip(name, tmp_path):
    x, bits, path = samples(name), Bits(3, 4, 8, {"input": 7}), tmp_path / "checkpoint.pt"
    architecture, net = Architecture(name, *OWN_SHAPES[name]), fitted(built(name), bits, x)
    save_checkpoint(Checkpoint(architecture, bits, bool(x.min() < 0), True, net), path)
    loaded = load_checkpoint(path)
    assert (loaded.architecture, loaded.bits, loaded.input_shape) == (architecture, bits, OWN_SHAPES[name][0])
    assert not loaded.model.training
    with torch.no_grad():
        assert torch.equal(loaded.model(x), net(x))


def test_a_float_network_with_batch_norm(tmp_path):
    path, net, x = tmp_path / "checkpoint.pt", traced(built(ModelName.MLP)).eval(), samples(ModelName.MLP)
    save_checkpoint(Checkpoint(Architecture(ModelName.MLP, (16,), 5), None, True, False, net), path)
    assert torch.equal(load_checkpoint(path).model(x), net(x))


def test_layers_of_other_sizes_come_back(tmp_path):
    net = traced(Architecture(ModelName.DS_CNN, (1, 49, 10), 3, 0.1).build()).eval()
    keep = torch.arange(4)
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = layer.weight[keep] if name != "fc" else layer.weight
            inputs = name not in ("conv1",) and "depthwise" not in name
            resize(layer, weight[:, keep] if inputs else weight, layer.bias[keep] if name != "fc" else layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            for tensor in ("weight", "bias", "running_mean", "running_var"):
                getattr(layer, tensor).data = getattr(layer, tensor).data[keep]
    assert net(torch.rand(2, 1, 49, 10)).shape == (2, 3)
    assert net.depthwise3.groups == 4


def test_a_users_own_module_is_rebuilt_from_their_code_only(tmp_path):
    own, path = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), tmp_path / "checkpoint.pt"
    x = torch.rand(6, 4)
    net = fitted(own, Bits(4, 4, 8), x)
    save_checkpoint(Checkpoint(None, Bits(4, 4, 8), False, True, net), path)
    with pytest.raises(BadInput, match=r"of your own.*model\.onnx"):
        load_checkpoint(path)
    with torch.no_grad():
        assert torch.equal(load_checkpoint(path, own).model(x), net(x))


class Malicious:
    def __reduce__(self):
        return print, ("executed",)


def bad_checkpoints() -> dict[str, bytes]:
    good = (EXAMPLE / "checkpoint.pt").read_bytes()
    return {
        "empty": b"",
        "text": b"no checkpoint",
        "marks": b"text",
        "cut": good[: len(good) // 2],
        "pickle": pickle.dumps(Malicious(), protocol=2),
        "onnx": (EXAMPLE / "model.onnx").read_bytes(),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "marks", "cut", "pickle", "onnx"])
def test_other_files_are_no_checkpoints(kind, tmp_path, capfd):
    path = tmp_path / "bad.pt"
    path.write_bytes(bad_checkpoints()[kind])
    with pytest.raises(BadInput, match=r"bad\.pt"):
        load_checkpoint(path)
    assert "executed" not in capfd.readouterr().out


def example(**change: object) -> dict[str, object]:
    content = torch.load(EXAMPLE / "checkpoint.pt", weights_only=True)
    return {**content, "architecture": {**content["architecture"], **change.pop("architecture", {})}, **change}


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": {"name": "alexnet"}},
        {"architecture": {"input_shape": (3,)}},
        {"architecture": {"colour": 1}},
        {"bits": {"weight": 99, "activation": 4, "input": 8}},
        {"bits": None},
        {"state_dict": {}},
        {"folded": False},
    ],
    ids=str,
)
def test_a_checkpoint_with_foreign_content_is_refused(change, tmp_path):
    path = tmp_path / "bad.pt"
    torch.save(example(**change), path)
    with pytest.raises(BadInput, match=r"bad\.pt"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"none\.pt"):
        load_checkpoint(Path(tmp_path) / "none.pt")
