"""Distillation: a quantised student learns from a float teacher's logits, and from its features where they match."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fpgaflow.errors import BadInput
from fpgaflow.training.objective import Objective
from fpgaflow.training.schema import check_ranges, within

FLOAT = "float"


@dataclass(frozen=True)
class Distil:
    """`teacher` is the float network of the same training, before pruning, or a checkpoint of `fpgaflow train`.

    The loss is (1 - weight) × cross-entropy + weight × T² × KL(teacher, student) of logits / T, T the `temperature`
    (Hinton et al., 2015), + `features` × the mean squared distance of what equal layers give, relative to the
    teacher's (Romero et al., 2015).

    Raises:
        BadInput: a value is out of range.
    """

    teacher: str = FLOAT
    temperature: float = within(4.0, 0.1, 100)
    weight: float = within(0.5, 0, 1)
    features: float = within(0.0, 0, 1000)

    def __post_init__(self) -> None:
        check_ranges(self, "train.distil")


@dataclass(frozen=True)
class Distilling(Objective):
    """The objective of a student; `teacher` is in eval mode."""

    teacher: nn.Module
    how: Distil
    layers: tuple[str, ...] = field(default=())

    def mean_loss(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        theirs: dict[str, Tensor] = {}
        ours: dict[str, Tensor] = {}
        with ExitStack() as stack:
            for found, network in ((theirs, self.teacher), (ours, net)):
                _record(network, self.layers, found, stack)
            with torch.no_grad():
                taught = self.teacher.to(x.device)(x)
            logits = net(x)
        heat, how = self.how.temperature, self.how
        soft = functional.kl_div(
            functional.log_softmax(logits / heat, 1),
            functional.log_softmax(taught / heat, 1),
            log_target=True,
            reduction="batchmean",
        )
        loss = (1 - how.weight) * functional.cross_entropy(logits, y) + how.weight * heat**2 * soft
        for name in self.layers:
            size = theirs[name].square().mean().clamp_min(1e-12)
            loss = loss + how.features / len(self.layers) * functional.mse_loss(ours[name], theirs[name]) / size
        return loss


def distilling(objective: Objective, how: Distil, teacher: nn.Module, student: nn.Module, x: Tensor) -> Distilling:
    """The student's objective; its features are those of ReLUs of equal name and shape in both networks.

    Args:
        x: (2, ...) samples, for the shapes.

    Raises:
        BadInput: features are asked for and no layer is alike, or the teacher is of other data.
    """
    shapes: list[dict[str, Tensor]] = [{}, {}]
    outputs = []
    for network, found in zip((teacher, student), shapes, strict=True):
        names = [name for name, module in network.named_modules() if _is_relu(module)]
        was = network.training
        with ExitStack() as stack, torch.no_grad():
            _record(network.eval(), names, found, stack)
            try:
                outputs.append(tuple(network(x).shape))
            except RuntimeError:
                fix = "Name a teacher that was trained on such samples."
                raise BadInput("train.distil.teacher", f"takes no samples of shape {tuple(x.shape[1:])}", fix) from None
        network.train(was)
    if outputs[0] != outputs[1]:
        found_classes = f"gives {outputs[0][1:]} outputs, the student {outputs[1][1:]}"
        raise BadInput("train.distil.teacher", found_classes, "Name a teacher with the same classes.")
    alike = tuple(name for name, made in shapes[1].items() if name in shapes[0] and shapes[0][name].shape == made.shape)
    if how.features and not alike:
        found_layers = "asks for features, and no layer of teacher and student is alike"
        raise BadInput("train.distil.features", found_layers, "Leave it out.")
    return Distilling(objective.task, teacher.eval(), how, alike if how.features else ())


def _is_relu(module: nn.Module) -> bool:
    return isinstance(module, nn.ReLU) or hasattr(module, "act_quant")


def _record(network: nn.Module, names: Any, found: dict[str, Tensor], stack: ExitStack) -> None:
    """While `stack` is open, `found` gets what the named layers give."""

    def keep(name: str, _module: nn.Module, _inputs: Any, made: Tensor) -> None:
        found[name] = made

    for name in names:
        stack.callback(network.get_submodule(name).register_forward_hook(partial(keep, name)).remove)
