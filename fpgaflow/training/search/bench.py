"""What every trial of a search starts from, and the work of one: any process that sees the same files can do it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import fx

from fpgaflow.boards import load_board
from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.files import write_atomic
from fpgaflow.training.batches import Batches
from fpgaflow.training.bits import LEAST, MOST
from fpgaflow.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fpgaflow.training.convert import fit_scales, quantised
from fpgaflow.training.data import load_dataset
from fpgaflow.training.distil import FLOAT, distilling
from fpgaflow.training.float_graph import fold_batch_norm
from fpgaflow.training.hardware import Taken, graph_of, taken
from fpgaflow.training.loop import Diverged, Watch, hold_out, order_of, run_phase
from fpgaflow.training.network import start
from fpgaflow.training.objective import Objective, Task, score
from fpgaflow.training.prune import without_channels
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.reproducible import reproducible
from fpgaflow.training.results import outputs_of
from fpgaflow.training.resume import PhaseState, key_of
from fpgaflow.training.search.space import Choice, Goal, Space, recipe_of
from fpgaflow.training.trainer import channels_last

_HELD = 0.2  # of the training samples judge the trials, where the recipe has no validation samples
_STARTS = "start"


@dataclass(frozen=True)
class Job:
    """What is searched, and where: paths are absolute, for other machines see the same files."""

    recipe: Recipe
    goal: Goal
    space: Space
    epochs: int
    trials: int
    folder: Path
    out: Path


@dataclass(frozen=True)
class Reference:
    """The uniform 8-bit network: its accuracy, what it takes, or why it takes none; and the accuracy with one layer
    alone at 2 bits, untuned."""

    accuracy: float
    taken: Taken | None
    problem: str | None
    sensitivity: Mapping[str, float]


class Bench:
    """The data, the float network of each width, and the reference; what is there in `job.out` is not made again."""

    def __init__(self, job: Job) -> None:
        recipe = self.recipe = job.recipe
        if recipe.objective is not Task.CLASSIFICATION:
            raise BadInput("train.task", "is no classification", "Search is by accuracy.")
        for key in ("prune", "layer_bits"):
            if getattr(recipe, key):
                raise BadInput(f"train.{key}", "is what the search chooses", "Leave it out.")
        self.data = load_dataset(recipe.dataset, job.folder)
        if self.data.y_train is None:
            raise BadInput("train.dataset", "has no labels", "Search is by accuracy.")
        x, y = channels_last(self.data.x_train), torch.from_numpy(self.data.y_train)
        self.x, self.y, self.held = hold_out(x, y, recipe.validation or _HELD, recipe.seed)
        if (size := max(recipe.batch_size, recipe.tuning.batch_size)) > len(self.x):
            found = f"{size} is more than the {len(self.x)} training samples that are not held out"
            raise BadInput("train.batch_size", found, "Give a smaller one.")
        self.job, self.goal, self.board = job, job.goal, load_board(job.goal.board)
        self.space = job.space.of(recipe, len(self.x))
        described = asdict(self.space) | {"recipe": asdict(recipe), "epochs": job.epochs}
        self.key = key_of(self.data, **described, goal=[repr(self.board), job.goal.fps])
        self._floats: dict[float, fx.GraphModule] = {}
        net = quantised(self._untrained(recipe.width), recipe.bits, signed_input=self.data.signed)
        (reader,) = next(node for node in net.graph.nodes if node.op == "placeholder").users  # the input's quantiser
        self.layers = [name for name, module in net.named_modules() if _has_bits(module) and name != reader.target]

    @property
    def widths(self) -> list[float]:
        """Those of the space and the recipe's own, which is what all are compared with."""
        return list(dict.fromkeys([self.recipe.width, *(self.space.widths or ())]))

    def _file(self, what: str) -> Path:
        return self.job.out / _STARTS / f"{self.key[:16]}_{what}"

    def has_float(self, width: float) -> bool:
        return self._file(f"{width:g}.pt").is_file()

    def train_float(self, width: float) -> None:
        """Trains the float network of that width, and keeps it.

        Raises:
            CheckFailed: its loss is no longer finite.
        """
        recipe = replace(self.recipe, width=width)
        torch.manual_seed(recipe.seed)
        begun = start(recipe, self.data, self.job.folder)
        task = Objective(Task.CLASSIFICATION)
        self._train(begun.net, recipe, task, recipe.float_epochs, recipe.float_learning_rate, "float_learning_rate")
        net = fold_batch_norm(begun.net.eval())
        path = self._file(f"{width:g}.pt")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(Checkpoint(begun.architecture, None, self.data.signed, True, net), path)

    def float_net(self, width: float) -> fx.GraphModule:
        """The trained network of that width, batch norms folded."""
        if width not in self._floats:
            own = self._untrained(width) if self.recipe.is_own_model else None
            self._floats[width] = load_checkpoint(self._file(f"{width:g}.pt"), own).model
        return self._floats[width]

    def _untrained(self, width: float) -> fx.GraphModule:
        return fold_batch_norm(start(replace(self.recipe, width=width), self.data, self.job.folder).net)

    @cached_property
    def float_accuracy(self) -> float:
        """Of the recipe's width, on the held-out samples."""
        return self._accuracy(self.float_net(self.recipe.width))

    @cached_property
    def reference(self) -> Reference:
        """Measured once, by whoever asks first.

        Raises:
            CheckFailed: the loss is no longer finite.
        """
        path = self._file("uniform.json")
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            cost = kept.pop("taken")
            return Reference(taken=None if cost is None else Taken(**cost), **kept)
        uniform = self.uniform(MOST)
        net = self.network(uniform)
        cost, problem = None, None
        try:
            cost = self.taken(net)
        except CheckFailed as error:
            problem = str(error)
        accuracy = self.tuned(net, uniform)
        alone = {name: replace(uniform, bits={**uniform.bits, name: LEAST}) for name in self.layers}
        sensitivity = {name: self._accuracy(self.network(choice)) for name, choice in alone.items()}
        found = Reference(accuracy, cost, problem, sensitivity)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(found)) + "\n")
        return found

    def uniform(self, bits: int) -> Choice:
        """All layers of as many bits, tuned by the recipe."""
        recipe = self.recipe
        usual = recipe.tuning
        widths = dict.fromkeys(self.layers, bits)
        return Choice(widths, recipe.width, 0.0, usual.optimiser, usual.batch_size, recipe.qat_learning_rate)

    def network(self, choice: Choice) -> fx.GraphModule:
        """The untuned quantised network of a choice."""
        recipe, net = recipe_of(self.recipe, choice, self.goal), self.float_net(choice.width)
        if recipe.prune is not None:
            net = without_channels(net, recipe.prune, self.x[:2])
        made = quantised(net, recipe.bits, signed_input=self.data.signed)
        fit_scales(made, self.x)
        return made

    def taken(self, net: fx.GraphModule) -> Taken:
        """The least hardware at the rate.

        Raises:
            CheckFailed: none reaches it, or none fits the board.
        """
        return taken(graph_of(net, self.data.sample_shape), self.board, self.goal.fps)

    def tuned(
        self, net: fx.GraphModule, choice: Choice, *, epochs: int | None = None, seed: int | None = None
    ) -> float:
        """The accuracy on the held-out samples after `epochs` epochs of tuning, the job's if not given.

        Raises:
            CheckFailed: the loss is no longer finite.
        """
        recipe = recipe_of(self.recipe, choice, self.goal).tuning
        recipe = recipe if seed is None else replace(recipe, seed=seed)
        objective, how = Objective(Task.CLASSIFICATION), recipe.distil
        if how is not None:
            own, file = how.teacher == FLOAT, self.job.folder / how.teacher
            teacher = self.float_net(choice.width) if own else load_checkpoint(file).model
            objective = distilling(objective, how, teacher, net, self.x[:2])
        self._train(net, recipe, objective, epochs or self.job.epochs, choice.learning_rate, "qat_learning_rate")
        return self._accuracy(net)

    def _train(
        self, net: fx.GraphModule, recipe: Recipe, objective: Objective, epochs: int, learning_rate: float, key: str
    ) -> None:
        recipe = replace(recipe, validation=0.0, patience=0)
        watch = Watch(lambda _: None, lambda _: None, lambda: None)
        batches = Batches(order_of(recipe, len(self.x), epochs), self.x, self.y)
        torch.manual_seed(recipe.seed)
        try:
            run_phase(net, objective, batches, recipe, learning_rate, PhaseState(), watch)
        except Diverged as diverged:
            raise CheckFailed("training", str(diverged), f"Lower {key} ({learning_rate:g}).") from None
        net.eval()

    def _accuracy(self, net: fx.GraphModule) -> float:
        return score(Task.CLASSIFICATION, outputs_of(net, self.held.x), self.held.x, self.held.y)


def _has_bits(module: Any) -> bool:
    return hasattr(module, "weight_quant") or hasattr(module, "act_quant")


_turn = threading.Lock()  # torch's seed and threads are the process', and a Dask worker has several threads
_benches: dict[str, Bench] = {}


@contextmanager
def bench_of(job: Job, *, anew: bool = False) -> Iterator[Bench]:
    """The bench of a job, made once in each process, for the block alone; `anew`: the data are read again."""
    with _turn, reproducible(job.recipe.seed, job.recipe.threads):
        key = repr(job)
        if anew or key not in _benches:
            _benches.clear()
            _benches[key] = Bench(job)
        yield _benches[key]
