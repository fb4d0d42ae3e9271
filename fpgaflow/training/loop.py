"""One phase of training on Lightning, which brings devices, autocast, accumulation and data parallelism."""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

import logging
import math
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that Lightning imports
    import lightning.pytorch as lightning

from fpgaflow.errors import BadInput
from fpgaflow.training.batches import Batches, Order, Share
from fpgaflow.training.objective import Objective, Task, score
from fpgaflow.training.optimise import OptimiserName, make_optimiser, make_schedule
from fpgaflow.training.recipe import Device, Precision, Recipe
from fpgaflow.training.resume import PhaseState, copied

_PRECISIONS = {Precision.FLOAT32: "32-true", Precision.BFLOAT16: "bf16-mixed", Precision.FLOAT16: "16-mixed"}


def share() -> Share:
    """Which of the processes that torchrun started this one is."""
    return Share(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def order_of(recipe: Recipe, samples: int, epochs: int) -> Order:
    """The batches of a phase of `epochs` epochs over `samples` training samples."""
    whole = recipe.optimiser is OptimiserName.GRADIENT_DESCENT
    return Order(samples, recipe.batch_size, epochs, recipe.seed, recipe.shift, whole)


@dataclass(frozen=True)
class Held:
    """Validation samples that choose the best epoch."""

    x: Tensor
    y: Tensor | None


def hold_out(x: Tensor, y: Tensor | None, share: float, seed: int) -> tuple[Tensor, Tensor | None, Held]:
    """The samples to train on, their labels, and a stratified share of them held out.

    Raises:
        BadInput: a class has too few samples to be in both.
    """
    try:
        kept, held = train_test_split(np.arange(len(x)), test_size=share, stratify=y, random_state=seed)
    except ValueError as error:
        found = f"{share:g} cannot be held out: {error}"
        raise BadInput("train.validation", found, "Hold more out, or add samples.") from None
    return x[kept], None if y is None else y[kept], Held(x[held], None if y is None else y[held])


@dataclass(frozen=True)
class Epoch:
    """One epoch done: the mean loss of its batches, the learning rate after it, and the validation score, if any."""

    number: int
    loss: float
    learning_rate: float
    validation: float | None


class Diverged(Exception):
    """The loss is no longer finite; `last_good` are the parameters after the last epoch in which all were."""

    def __init__(self, loss: float, last_good: dict[str, Tensor]) -> None:
        super().__init__(f"the loss is {loss}")
        self.loss, self.last_good = loss, last_good


@dataclass(frozen=True)
class Watch:
    """Who is told: `batch` of each batch's loss, `epoch` of each epoch, `save` when the state can be kept."""

    batch: Callable[[float], None]
    epoch: Callable[[Epoch], None]
    save: Callable[[], None]
    stepped: Callable[[int], None] = lambda _: None


def run_phase(
    net: nn.Module,
    objective: Objective,
    batches: Batches,
    recipe: Recipe,
    learning_rate: float,
    state: PhaseState,
    watch: Watch,
    held: Held | None = None,
) -> None:
    """Trains `net` in place from `state` on, which is kept up to date; with `held`, the best epoch's weights stay.

    Raises:
        Diverged: the loss is no longer finite.
    """
    learner = _Learner(net, objective, recipe, learning_rate, batches, state)
    keeper = _Keeper(learner, watch, held)
    processes = batches.share.processes
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    with _quiet(), _own_interrupt():
        trainer = lightning.Trainer(
            accelerator={Device.AUTO: "auto", Device.CPU: "cpu", Device.CUDA: "cuda"}[recipe.device],
            devices=local,
            num_nodes=max(1, processes // local),
            strategy="ddp" if processes > 1 else "auto",
            precision=_PRECISIONS[recipe.precision],
            max_epochs=1,  # the batches are those of all epochs
            accumulate_grad_batches=learner.accumulate,
            callbacks=[keeper],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        if state.random:
            _set_random(state.random)
        if len(batches) and not keeper.waited_enough:
            net.train()
            trainer.fit(learner, train_dataloaders=batches)
    net.to("cpu")
    if state.best:
        net.load_state_dict(state.best)
    state.finished = True


class _Learner(lightning.LightningModule):
    def __init__(
        self,
        net: nn.Module,
        objective: Objective,
        recipe: Recipe,
        learning_rate: float,
        batches: Batches,
        state: PhaseState,
    ) -> None:
        super().__init__()
        self.net, self.objective, self.recipe, self.learning_rate = net, objective, recipe, learning_rate
        self.per_epoch, self.total, self.state = batches.order.per_epoch, batches.order.total, state
        self.whole = recipe.optimiser is OptimiserName.GRADIENT_DESCENT
        self.accumulate = self.per_epoch if self.whole else recipe.accumulate
        if state.model:
            net.load_state_dict(state.model)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _index: int) -> Tensor:
        return self.objective.loss(self.net, *batch)

    def configure_optimizers(self) -> Any:
        recipe, state = self.recipe, self.state
        optimiser = make_optimiser(
            recipe.optimiser, self.net.parameters(), self.learning_rate, recipe.momentum, recipe.weight_decay
        )
        steps = math.ceil(self.total / self.accumulate)
        schedule = make_schedule(recipe.schedule, optimiser, self.learning_rate, steps)
        if state.optimiser:
            optimiser.load_state_dict(state.optimiser)
        if schedule is None:
            return optimiser
        if state.schedule:
            schedule.load_state_dict(state.schedule)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Keeper(lightning.Callback):
    """After each batch: is the loss finite; after each epoch: is it the best; and the state for a later start."""

    def __init__(self, learner: _Learner, watch: Watch, held: Held | None) -> None:
        self.learner, self.watch, self.held = learner, watch, held
        self.last_good = copied(learner.net)

    def on_train_start(self, trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        if self.learner.state.scaler:
            trainer.precision_plugin.load_state_dict(self.learner.state.scaler)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, _module: lightning.LightningModule, outputs: Any, _batch: Any, _index: int
    ) -> None:
        learner, state = self.learner, self.learner.state
        # Lightning has divided the loss by the number of batches in a step.
        loss = float(outputs["loss"]) * learner.accumulate
        state.batches += 1
        state.loss_sum += loss
        self.watch.batch(loss)
        if not math.isfinite(loss):
            raise Diverged(loss, self.last_good)
        stepped = state.batches % learner.accumulate == 0 or state.batches == learner.total
        if stepped:
            self.watch.stepped(state.batches)
        ended = state.batches % learner.per_epoch == 0
        if ended:
            self._epoch(trainer)
        steps = learner.recipe.checkpoint_steps * learner.accumulate
        if stepped and (state.batches % steps == 0 if steps else ended):
            self._keep(trainer)

    def _epoch(self, trainer: lightning.Trainer) -> None:
        learner, state = self.learner, self.learner.state
        if all(bool(parameter.isfinite().all()) for parameter in learner.net.parameters()):
            self.last_good = copied(learner.net)
        validation = None
        if self.held is not None:
            # Batch norms have other statistics in each process: the first one decides for all.
            validation = float(trainer.strategy.broadcast(self._validated(self.held)))
            self._compare(trainer, validation)
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.watch.epoch(
            Epoch(state.batches // learner.per_epoch, state.loss_sum / learner.per_epoch, rate, validation)
        )
        state.loss_sum = 0.0

    def _validated(self, held: Held) -> float:
        learner = self.learner
        learner.net.eval()
        with torch.no_grad():
            outputs = torch.cat([learner.net(x.to(learner.device)).float().cpu() for x in held.x.split(1024)])
        learner.net.train()
        return score(learner.objective.task, outputs, held.x, held.y)

    def _compare(self, trainer: lightning.Trainer, validation: float) -> None:
        state = self.learner.state
        sign = 1 if self.learner.objective.task is Task.CLASSIFICATION else -1
        if state.best_score is None or sign * validation > sign * state.best_score:
            state.best_score, state.best, state.waited = validation, copied(self.learner.net), 0
            return
        state.waited += 1
        if self.waited_enough:
            trainer.should_stop = True

    @property
    def waited_enough(self) -> bool:
        patience = self.learner.recipe.patience
        return bool(patience) and self.learner.state.waited >= patience

    def _keep(self, trainer: lightning.Trainer) -> None:
        state = self.learner.state
        state.model = copied(self.learner.net)
        state.optimiser = trainer.optimizers[0].state_dict()
        state.schedule = trainer.lr_scheduler_configs[0].scheduler.state_dict() if trainer.lr_scheduler_configs else {}
        state.scaler = trainer.precision_plugin.state_dict()
        state.random = _random()
        self.watch.save()


def _random() -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_random(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning tells of devices and gives advice; progress and errors are the caller's to show."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Lightning ignores further interrupts after the first, and exits with status 1; here it stays an interrupt."""
    try:
        handler = signal.getsignal(signal.SIGINT)
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
        raise
