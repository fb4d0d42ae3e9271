from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from fpgaflow.errors import BadInput
from fpgaflow.training.distil import Distil, distilling
from fpgaflow.training.objective import Objective, Task
from tests.training.networks import write_clusters
from tests.training.test_trainer import small

X = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3
PLAIN = Objective(Task.CLASSIFICATION)


def network(seed: int, units: int = 8, outputs: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, units), nn.ReLU(), nn.Linear(units, outputs))


def loss(how: Distil, teacher: nn.Module, student: nn.Module) -> float:
    return float(distilling(PLAIN, how, teacher, student, X[:2]).mean_loss(student, X, Y).detach())


def test_without_weight_it_is_the_cross_entropy():
    student = network(1)
    plain = float(PLAIN.mean_loss(student, X, Y).detach())
    assert loss(Distil(weight=0), network(0), student) == pytest.approx(plain)


def test_logits_are_hintons():
    teacher, student = network(0), network(1)
    with torch.no_grad():
        theirs, ours = teacher(X) / 2, student(X) / 2
        share = functional.softmax(theirs, 1)
        expected = 4 * (share * (share.log() - functional.log_softmax(ours, 1))).sum(1).mean()
    assert loss(Distil(weight=1, temperature=2), teacher, student) == pytest.approx(float(expected), rel=1e-5)
    assert loss(Distil(weight=1), teacher, teacher) == pytest.approx(0, abs=1e-6)


def test_features_of_layers_that_are_alike():
    teacher, student = network(0), network(1)
    with torch.no_grad():
        theirs, ours = teacher[:2](X), student[:2](X)
        expected = float(3 * functional.mse_loss(ours, theirs) / theirs.square().mean())
    plain = loss(Distil(), teacher, student)
    assert loss(Distil(features=3), teacher, student) == pytest.approx(plain + expected, rel=1e-5)


def test_no_gradient_reaches_the_teacher_and_no_hook_stays():
    teacher, student = network(0), network(1)
    distilling(PLAIN, Distil(features=1), teacher, student, X[:2]).mean_loss(student, X, Y).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert not any(module._forward_hooks for net in (teacher, student) for module in net.modules())


@pytest.mark.parametrize(
    ("teacher", "how", "says"),
    [
        (network(0, units=5), Distil(features=1), r"train\.distil\.features.*alike"),
        (network(0, outputs=4), Distil(), "the same classes"),
        (nn.Linear(7, 3), Distil(), "takes no samples"),
    ],
    ids=["features", "classes", "shape"],
)
def test_teachers_that_do_not_fit(teacher, how, says):
    with pytest.raises(BadInput, match=says):
        distilling(PLAIN, how, teacher, network(1), X[:2])


def test_the_float_network_or_a_checkpoint_teaches(tmp_path):
    write_clusters(tmp_path / "clusters.npz")
    plain = small(tmp_path, tmp_path / "plain")
    weights = {(tmp_path / "plain" / "model.onnx").read_bytes()}
    for name, teacher in (("float", Distil(features=0.5)), ("file", Distil("plain/checkpoint.pt"))):
        assert small(tmp_path, tmp_path / name, distil=teacher).quantised_score >= min(0.9, plain.quantised_score)
        weights.add((tmp_path / name / "model.onnx").read_bytes())
    assert len(weights) == 3


def test_a_missing_teacher_is_named(tmp_path):
    write_clusters(tmp_path / "clusters.npz")
    with pytest.raises(BadInput, match=r"none\.pt"):
        small(tmp_path, tmp_path / "out", distil=Distil("none.pt"))
