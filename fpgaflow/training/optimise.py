"""Optimisers and learning-rate schedules, by the names that a recipe has for them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler


class OptimiserName(StrEnum):
    """`gradient-descent` makes one step of plain descent an epoch, by the gradient of all training samples."""

    GRADIENT_DESCENT = "gradient-descent"
    SGD = "sgd"
    ADAGRAD = "adagrad"
    RMSPROP = "rmsprop"
    ADAM = "adam"
    ADAMW = "adamw"


class ScheduleName(StrEnum):
    """The learning rate over the steps of a phase.

    `one-cycle` rises to it over a fifth of the steps, then falls (Smith and Topin, 2018); `cosine` and `linear` fall
    from it to zero; `step` divides it by 10 after one half and after three quarters.
    """

    CONSTANT = "constant"
    ONE_CYCLE = "one-cycle"
    COSINE = "cosine"
    LINEAR = "linear"
    STEP = "step"


TAKES_MOMENTUM = (OptimiserName.SGD, OptimiserName.RMSPROP)


def make_optimiser(
    name: OptimiserName, parameters: Iterable[nn.Parameter], learning_rate: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimiser with torch's defaults for all that is not given."""
    given: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    match name:
        case OptimiserName.GRADIENT_DESCENT:
            return torch.optim.SGD(parameters, **given)
        case OptimiserName.SGD:
            return torch.optim.SGD(parameters, **given, momentum=momentum)
        case OptimiserName.ADAGRAD:
            return torch.optim.Adagrad(parameters, **given)
        case OptimiserName.RMSPROP:
            return torch.optim.RMSprop(parameters, **given, momentum=momentum)
        case OptimiserName.ADAM:
            return torch.optim.Adam(parameters, **given, fused=True)
        case OptimiserName.ADAMW:
            return torch.optim.AdamW(parameters, **given, fused=True)


def make_schedule(
    name: ScheduleName, optimiser: torch.optim.Optimizer, learning_rate: float, steps: int
) -> lr_scheduler.LRScheduler | None:
    """The schedule over `steps` steps of the optimiser; None where nothing changes."""
    match name:
        case ScheduleName.CONSTANT:
            return None
        case ScheduleName.ONE_CYCLE:
            group = optimiser.param_groups[0]
            cycled = "betas" in group or bool(group.get("momentum"))
            rise = 0.25 if steps == 5 else 0.2  # a rise of exactly one step makes torch divide by zero
            return lr_scheduler.OneCycleLR(
                optimiser, learning_rate, total_steps=steps, pct_start=rise, cycle_momentum=cycled
            )
        case ScheduleName.COSINE:
            return lr_scheduler.CosineAnnealingLR(optimiser, steps)
        case ScheduleName.LINEAR:
            return lr_scheduler.LinearLR(optimiser, 1.0, 1e-6, steps)
        case ScheduleName.STEP:
            return lr_scheduler.MultiStepLR(optimiser, sorted({max(1, steps // 2), max(1, steps * 3 // 4)}))
