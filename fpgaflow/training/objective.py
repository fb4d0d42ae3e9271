"""What training makes small: the loss of the task, and with a teacher that of distillation too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor, nn
from torch.nn import functional


class Task(StrEnum):
    """Labels from samples, or the samples again."""

    CLASSIFICATION = "classification"
    RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of the logits, or the mean squared error of the reconstruction."""

    task: Task

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, factor: Tensor) -> Tensor:
        """The mean over the batch, or its sum × `factor` where that is not 0."""
        mean = self.mean_loss(net, x, y)
        return mean * (factor * len(x)) if factor else mean

    def mean_loss(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        outputs = net(x)
        if self.task is Task.RECONSTRUCTION:
            return functional.mse_loss(outputs, x)
        return functional.cross_entropy(outputs, y)


def score(task: Task, outputs: Tensor, x: Tensor, y: Tensor | None) -> float:
    """Share of samples whose largest output is the labelled one, or the mean squared error."""
    if task is Task.RECONSTRUCTION:
        return float(functional.mse_loss(outputs, x))
    assert y is not None
    return float((outputs.argmax(1) == y).double().mean())
