"""Pruned networks are smaller, and still computed bit by bit; what is saved is told."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from fpgaflow.errors import BadInput
from fpgaflow.training.bits import Bits
from fpgaflow.training.checkpoint import load_checkpoint
from fpgaflow.training.convert import fit_scales, quantised
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import ModelName
from fpgaflow.training.prune import Prune, PruneKind, Sparsifier, without_channels, zeros
from tests.training.networks import built, samples, write_clusters
from tests.training.test_convert import assert_exact
from tests.training.test_trainer import small

BITS = Bits(4, 4, 8)


def folded(name: ModelName):
    return fold_batch_norm(traced(built(name)))


@pytest.mark.parametrize("name", [ModelName.LENET5, ModelName.RESNET8, ModelName.DS_CNN])
def test_half_of_the_channels(name, tmp_path):
    net, x = folded(name), samples(name)
    made = without_channels(net, Prune(0.5), x[:2])
    layers = [(key, layer) for key, layer in net.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for key, layer in layers[:-1]:
        assert made.get_submodule(key).weight.shape[0] == layer.weight.shape[0] // 2
    assert made.get_submodule(layers[-1][0]).weight.shape[0] == layers[-1][1].weight.shape[0]
    small_net = quantised(made, BITS, signed_input=bool(x.min() < 0))
    fit_scales(small_net, x)
    assert_exact(small_net.eval(), x, tmp_path)


def test_channels_in_multiples():
    made = without_channels(folded(ModelName.RESNET8), Prune(0.4, multiple=8), samples(ModelName.RESNET8, 2))
    kept = [layer.weight.shape[0] for key, layer in made.named_modules() if isinstance(layer, nn.Conv2d)]
    assert all(count % 8 == 0 for count in kept)


def test_nothing_to_prune():
    with pytest.raises(BadInput, match="takes no channel away"):
        without_channels(traced(nn.Sequential(nn.Linear(4, 3))), Prune(0.5), torch.rand(2, 4))


def test_weights_go_gradually_and_may_come_back():
    net = folded(ModelName.MLP)
    sparsify = Sparsifier(net, 0.75, batches=30)
    counts = []
    for batch in range(1, 31):
        sparsify(batch)
        counts.append(int((net.fc1.weight == 0).sum()))
    assert counts == sorted(counts)
    assert 0 < counts[0] < 200
    assert counts[19] == counts[-1] == 0.75 * 64 * 16
    assert not (net.fc4.weight == 0).any(), "the last layer is left"
    with torch.no_grad():
        net.fc1.weight[net.fc1.weight == 0] = 9.0
    sparsify(30)
    assert int((net.fc1.weight == 0).sum()) == counts[-1]
    assert int((net.fc1.weight == 9.0).sum()) == 64 * 16 - counts[-1]


@pytest.mark.parametrize("prune", [Prune(0.5, board="pynq-z2"), Prune(0.8, PruneKind.WEIGHTS, fps=1e6)], ids=str)
def test_what_training_tells(prune, tmp_path):
    write_clusters(tmp_path / "clusters.npz")
    result = small(tmp_path, tmp_path / "out", prune=prune, width=1.0)
    assert result.quantised_score >= 0.9
    told = json.loads((tmp_path / "out" / "train.json").read_text())["pruning"]
    net = load_checkpoint(tmp_path / "out" / "checkpoint.pt").model
    assert told["zeros"]["after"] == zeros(net)
    before, after = told["resources"]["before"], told["resources"]["after"]
    assert after["lut"] < before["lut"]
    if prune.kind is PruneKind.CHANNELS:
        assert told["channels"] == {"fc1": [64, 32], "fc2": [32, 16], "fc3": [32, 16], "fc4": [3, 3]}
    else:
        assert zeros(net) > 0.75
        assert told["zeros"]["after"] > told["zeros"]["before"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"share": 1.0}, r"train\.prune\.share"),
        ({"kind": PruneKind.WEIGHTS, "multiple": 2}, r"train\.prune\.multiple"),
        ({"board": "pynq"}, "no such board"),
    ],
    ids=str,
)
def test_bad_values(values, says):
    with pytest.raises(BadInput, match=says):
        Prune(**values)
