"""Post-training quantisation: a small network on scikit-learn's digits, and graphs that Brevitas finds hard."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from brevitas import nn as qnn
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from fpgaflow.errors import BadInput, UnsupportedModel
from fpgaflow.training.export import export_qonnx
from fpgaflow.training.ptq import Ptq, Scale, layers_of, outputs, quantised
from tests.models import assert_conforms

DIGITS = load_digits()
X = torch.from_numpy((DIGITS.images / 16).astype(np.float32))[:, None]
Y = torch.from_numpy(DIGITS.target)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A CNN that was trained for a few seconds."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1)),
        *(nn.Flatten(), nn.Linear(72, 32), nn.ReLU(), nn.Linear(32, 10)),
    )
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(8):
        for batch in torch.randperm(1200).split(50):
            optimiser.zero_grad()
            functional.cross_entropy(model(X[batch]), Y[batch]).backward()
            optimiser.step()
    return model.eval()


def accuracy(model: nn.Module) -> float:
    return float((outputs(model, X[1200:]).argmax(1) == Y[1200:]).float().mean())


@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize("bits", [8, 4])
def test_accuracy_stays(network: nn.Module, scale: Scale, bits: int) -> None:
    made = quantised(network, X[:256], Ptq(bits, bits, scale))
    assert accuracy(made) >= accuracy(network) - (0.01 if bits == 8 else 0.05)
    layers = layers_of(made)
    assert {layer.bits for layer in layers if layer.name != "input_1_quant"} == {bits}
    assert [(layer.bits, layer.signed) for layer in layers if layer.name == "input_1_quant"] == [(8, False)]
    channels = [layer.scales for layer in layers if layer.what == "weight"]
    assert channels == ([8, 32, 10] if scale is Scale.FLOAT else [1, 1, 1])


SLOW = [pytest.param(scale, {name: True}, marks=pytest.mark.slow) for scale in Scale for name in ("equalize", "gptq")]


@pytest.mark.parametrize(
    ("scale", "correction"), [*((scale, {}) for scale in Scale), (Scale.FLOAT, {"bias_correction": True}), *SLOW]
)
def test_the_file_is_carried_bit_by_bit(
    network: nn.Module, scale: Scale, correction: dict[str, bool], tmp_path: Path
) -> None:
    made = quantised(network, X[:128], Ptq(4, 4, scale, **correction))
    export_qonnx(made, X[:1], tmp_path / "q.onnx")
    model = onnx.load(tmp_path / "q.onnx")
    assert_conforms(model, {model.graph.input[0].name: X[1200:1202].numpy()})


def test_corrections_change_the_weights(network: nn.Module) -> None:
    plain = quantised(network, X[:128], Ptq(3, 4))
    for correction in ("bias_correction", "equalize", "gptq"):
        other = quantised(network, X[:128], Ptq(3, 4, **{correction: True}))
        assert not torch.equal(outputs(plain, X[:50]), outputs(other, X[:50])), correction


def test_same_bits_again_and_the_model_stays(network: nn.Module, tmp_path: Path) -> None:
    before, options = copy.deepcopy(network.state_dict()), Ptq(4, 4, gptq=True, equalize=True)
    for name in ("a.onnx", "b.onnx"):
        export_qonnx(quantised(network, X[:128], options), X[:1], tmp_path / name)
        torch.manual_seed(hash(name) % 1000)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_inputs_below_zero_are_signed(network: nn.Module) -> None:
    layers = layers_of(quantised(network, X[:64] - 0.5, Ptq()))
    assert [layer.signed for layer in layers if layer.name == "input_1_quant"] == [True]


class Branches(nn.Module):
    """A residual block, a global pool, and x.view(x.size(0), -1)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = functional.relu(self.norm(self.second(x))) + x
        x = functional.adaptive_avg_pool2d(x, 1)
        return self.last(x.view(x.size(0), -1))


def test_branches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = quantised(Branches().eval(), X[:64], Ptq(4, 4))
    assert [layer.name for layer in layers_of(made) if layer.what == "weight"] == ["first", "second", "last"]
    export_qonnx(made, X[:1], tmp_path / "q.onnx")
    model = onnx.load(tmp_path / "q.onnx")
    assert_conforms(model, {model.graph.input[0].name: X[:2].numpy()})


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layer(torch.relu(self.layer(x))), 1)


class Data(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_refusals_name_the_layers() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        quantised(Shared(), X[:4, 0], Ptq())
    assert [problem.where for problem in caught.value.problems] == ["function 'softmax'", "layer 'layer'"]
    with pytest.raises(UnsupportedModel, match=r"layer '1' \(Sigmoid\).*compare the logit with 0"):
        quantised(nn.Sequential(nn.Linear(8, 2), nn.Sigmoid()), X[:4, 0], Ptq())
    with pytest.raises(BadInput, match=r"torch\.fx cannot trace it"):
        quantised(Data(), X[:4], Ptq())
    with pytest.raises(BadInput, match="Brevitas layers already"):
        quantised(nn.Sequential(qnn.QuantLinear(8, 2, bias=False)), X[:4, 0], Ptq())


def test_branches_that_brevitas_cannot_align() -> None:
    class Tangle(Branches):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.first(x))
            y = functional.relu(self.second(x)) + x
            return torch.cat([y, x], 1)

    with pytest.raises(BadInput, match="align scale factors"):
        quantised(Tangle().eval(), X[:8], Ptq())


@pytest.mark.parametrize("bits", [{"weight_bits": 1}, {"activation_bits": 9}, {"weight_bits": 0}], ids=str)
def test_widths_out_of_range(bits: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="out of range"):
        Ptq(**bits)
