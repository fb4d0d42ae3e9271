"""Training: float with batch norm, batch norm folded, then the quantised network and its float twin tuned alike."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.stages import file_digest
from fpgaflow.training.batches import Batches, Order
from fpgaflow.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fpgaflow.training.convert import fit_scales, quantised
from fpgaflow.training.data import Dataset, load_dataset
from fpgaflow.training.distil import FLOAT, distilling
from fpgaflow.training.float_graph import fold_batch_norm
from fpgaflow.training.log import EpochLog
from fpgaflow.training.loop import Diverged, Epoch, Held, Watch, hold_out, order_of, run_phase, share
from fpgaflow.training.network import Start, start
from fpgaflow.training.objective import Objective, Task, score
from fpgaflow.training.prune import PruneKind, Sparsifier, saving, without_channels
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.reproducible import reproducible
from fpgaflow.training.results import Trained, exported, outputs_of, scores_of, write
from fpgaflow.training.resume import FILE as RESUME
from fpgaflow.training.resume import PACKAGES, PhaseState, copied, key_of, load_state

LAST_GOOD = "last_good.pt"


class Phase(StrEnum):
    FLOAT = "float with batch norm"
    TWIN = "float twin"
    QUANTISED = "quantised"


@dataclass(frozen=True)
class Progress:
    """One batch done: `step` of `total` over all phases."""

    phase: Phase
    step: int
    total: int
    loss: float


@dataclass(frozen=True)
class TrainResult:
    """Where the files are, and how each network does on `samples` test samples.

    A score is the share of samples classified right, or the mean squared error of the reconstruction. `resumed_at` is
    the batch, over all phases, from which a half-finished training went on; `leads` is False in all but the first
    process of several, which writes the files.
    """

    out: Path
    task: Task
    float_score: float
    quantised_score: float
    samples: int
    seconds: float
    resumed_at: int
    leads: bool

    @property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """As `--json` and train.json have them."""
        return scores_of(self.task, self.float_score, self.quantised_score, self.samples)


def train(
    recipe: Recipe, out: Path, progress: Callable[[Progress], None] | None = None, folder: Path = Path()
) -> TrainResult:
    """Trains as `recipe` says and writes checkpoint.pt, model.onnx, test.npz, log.csv and, last, train.json into `out`.

    The scores are those of the exported file: its outputs on the test samples are compared bit by bit with those of
    the trained model. Results are written after training, so a failed run leaves earlier files as they were; a killed
    one goes on where it was when it is started again with the same recipe and data, and ends with the same weights.

    Args:
        folder: where the recipe's relative paths begin.

    Raises:
        BadInput: the data or the model are not what they have to be, or the batch is larger than the data set.
        UnsupportedModel: names every layer of a user's own module that has no quantised form.
        CheckFailed: the loss is no longer finite (the last good weights are in out/last_good.pt), or the exported
            file computes other bits than the model.
    """
    started = time.monotonic()
    data = load_dataset(recipe.dataset, folder)
    _check(recipe, data)
    leads = share().rank == 0
    with reproducible(recipe.seed, recipe.threads):
        begun = start(recipe, data, folder)
        run = _Run(recipe, data, begun, out, progress, folder)
        float_net = run.phase(Phase.FLOAT, begun.net)
        folded = fold_batch_norm(float_net)
        channels = recipe.prune is not None and recipe.prune.kind is PruneKind.CHANNELS
        tuned = without_channels(folded, recipe.prune, run.x[:2]) if recipe.prune and channels else folded
        twin = run.phase(Phase.TWIN, copy.deepcopy(tuned))
        net = run.phase(Phase.QUANTISED, run.quantised(tuned), teacher=run.teacher(float_net))
        x = torch.from_numpy(data.x_test)
        y = None if data.y_test is None else torch.from_numpy(data.y_test)
        logits = outputs_of(net, x)
        shares = score(recipe.objective, outputs_of(twin, x), x, y), score(recipe.objective, logits, x, y)
        if leads:
            onnx = exported(net, data.x_test, logits)
            pruned = None
            if recipe.prune is not None:
                pruned = saving(recipe.prune, run.quantised(folded), net, data.sample_shape)
            trained = Trained(run.checkpoint(Phase.QUANTISED, net), onnx, *shares, pruned)
            write(trained, recipe, data, out, {name: version(name) for name in PACKAGES})
            (out / RESUME).unlink(missing_ok=True)
    seconds = time.monotonic() - started
    return TrainResult(out, recipe.objective, *shares, len(data.x_test), seconds, run.resumed_at, leads)


def _check(recipe: Recipe, data: Dataset) -> None:
    if recipe.objective is Task.CLASSIFICATION and data.y_train is None:
        raise BadInput("train.dataset", "has no labels", "Add them, or choose task: reconstruction.")
    if recipe.shift and len(data.sample_shape) != 3:
        found = f"moves images, and the samples have the shape {data.sample_shape}"
        raise BadInput("train.shift", found, "Leave it out.")
    processes = share().processes
    for name, size in _batch_sizes(recipe).items():
        if size % processes:
            raise BadInput(f"train.{name}", f"{size} does not divide by {processes} processes", "Give a multiple.")


def _batch_sizes(recipe: Recipe) -> dict[str, int]:
    given = {"batch_size": recipe.batch_size, "qat_batch_size": recipe.qat_batch_size}
    return {name: size for name, size in given.items() if size is not None}


class _Run:
    """The training data as tensors, and the state over all phases."""

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        begun: Start,
        out: Path,
        progress: Callable[[Progress], None] | None,
        folder: Path,
    ) -> None:
        self.recipe, self.data, self.begun, self.out, self.progress = recipe, data, begun, out, progress
        x, y = channels_last(data.x_train), None if data.y_train is None else torch.from_numpy(data.y_train)
        self.held: Held | None = None
        if recipe.validation:
            x, y, self.held = hold_out(x, y, recipe.validation, recipe.seed)
        self.x, self.y, self.share = x, y, share()
        for name, size in _batch_sizes(recipe).items():
            if size > len(x):
                raise BadInput(
                    f"train.{name}", f"{size} is more than the {len(x)} training samples", "Give a smaller one."
                )
        how = recipe.distil
        self.teacher_file = None if how is None or how.teacher == FLOAT else folder / how.teacher
        self._given = None if self.teacher_file is None else load_checkpoint(self.teacher_file).model
        if how is not None and self._given is not None:  # one that does not fit is refused now
            distilling(Objective(recipe.objective), how, self._given, begun.net, self.x[:2])
        files = {"code": begun.code, "teacher": None if self.teacher_file is None else file_digest(self.teacher_file)}
        self.state = load_state(out, key_of(data, recipe=asdict(recipe), processes=self.share.processes, **files))
        self.resumed_at = self.step = sum(phase.batches for phase in self.state.phases.values())
        self.log = EpochLog(out, recipe.log if self.share.rank == 0 else None, self.state.epochs)
        self.total = sum(self._order(phase).total for phase in Phase)

    def _recipe(self, phase: Phase) -> Recipe:
        return self.recipe if phase is Phase.FLOAT else self.recipe.tuning

    def _order(self, phase: Phase) -> Order:
        recipe = self._recipe(phase)
        return order_of(recipe, len(self.x), recipe.float_epochs if phase is Phase.FLOAT else recipe.qat_epochs)

    def quantised(self, net: fx.GraphModule) -> fx.GraphModule:
        """The untuned quantised twin of a float network, its scales fitted to the training samples."""
        made = quantised(net, self.recipe.bits, signed_input=self.data.signed)
        fit_scales(made, self.x)
        return made

    def teacher(self, float_net: fx.GraphModule) -> fx.GraphModule | None:
        """The network that the quantised one learns from, if any."""
        if self.recipe.distil is None:
            return None
        return float_net if self._given is None else self._given

    def phase(self, phase: Phase, net: fx.GraphModule, teacher: fx.GraphModule | None = None) -> fx.GraphModule:
        """Trains `net` in place, from where an earlier run of this phase was; returns it in eval mode."""
        recipe = self._recipe(phase)
        state = self.state.phases.setdefault(phase, PhaseState())
        if state.finished:
            net.load_state_dict(state.model)
            return net.eval()
        torch.manual_seed(recipe.seed + self.share.rank)
        batches = Batches(self._order(phase), self.x, self.y, state.batches, self.share)
        objective = Objective(recipe.objective)
        if teacher is not None and recipe.distil is not None:
            objective = distilling(objective, recipe.distil, teacher, net, self.x[:2])

        def told(loss: float) -> None:
            self.step += 1
            if self.progress is not None:
                self.progress(Progress(phase, self.step, self.total, loss))

        def epoch(done: Epoch) -> None:
            self.log.add({"phase": str(phase), **vars(done)})

        try:
            watch = Watch(told, epoch, self._save, self._after_step(phase, net))
            rate = recipe.float_learning_rate if phase is Phase.FLOAT else recipe.qat_learning_rate
            run_phase(net, objective, batches, recipe, rate, state, watch, self.held)
        except Diverged as diverged:
            net.load_state_dict(diverged.last_good)
            raise self._diverged(phase, net, diverged.loss) from None
        self.state.phases[phase] = PhaseState(state.batches, copied(net), finished=True)
        self._save()
        return net.eval()

    def _after_step(self, phase: Phase, net: fx.GraphModule) -> Callable[[int], None]:
        prune = self.recipe.prune
        if prune is None or prune.kind is PruneKind.CHANNELS or phase is Phase.FLOAT:
            return lambda _: None
        return Sparsifier(net, prune.share, self._order(phase).total)

    def _save(self) -> None:
        if self.share.rank == 0:
            self.state.save(self.out)

    def checkpoint(self, phase: Phase, net: fx.GraphModule) -> Checkpoint:
        bits = self.recipe.bits if phase is Phase.QUANTISED else None
        return Checkpoint(self.begun.architecture, bits, self.data.signed, phase is not Phase.FLOAT, net)

    def _diverged(self, phase: Phase, net: fx.GraphModule, loss: float) -> CheckFailed:
        kept = self.out / LAST_GOOD
        save_checkpoint(self.checkpoint(phase, net), kept)
        key = "float_learning_rate" if phase is Phase.FLOAT else "qat_learning_rate"
        return CheckFailed(
            f"training, phase '{phase}', step {self.step} of {self.total}",
            f"the loss is {loss}; the last good weights are in {kept}",
            f"Lower {key} ({getattr(self.recipe, key):g}).",
        )


def channels_last(x: npt.NDArray[np.float32]) -> Tensor:
    """Images in the memory layout in which torch's convolutions train fastest; others as they are."""
    if x.ndim != 4:
        return torch.from_numpy(x)
    return torch.from_numpy(x).permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
