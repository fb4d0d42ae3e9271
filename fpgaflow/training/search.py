"""Bits of each layer, pruning and learning rate for the least hardware that keeps the accuracy, by Optuna."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import fx

from fpgaflow.boards import Board, load_board
from fpgaflow.errors import BadInput, CheckFailed, MissingTool
from fpgaflow.training.batches import Batches, Order
from fpgaflow.training.bits import LEAST, MOST
from fpgaflow.training.convert import fit_scales, fold_batch_norm, quantised
from fpgaflow.training.data import load_dataset
from fpgaflow.training.hardware import Taken, graph_of, taken
from fpgaflow.training.loop import Diverged, Held, Watch, run_phase
from fpgaflow.training.network import start
from fpgaflow.training.objective import Objective, Task, score
from fpgaflow.training.prune import Prune, without_channels
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.reproducible import reproducible
from fpgaflow.training.results import outputs_of
from fpgaflow.training.resume import PhaseState
from fpgaflow.training.trainer import channels_last

STORAGE = "trials.log"
_HELD = 0.2  # of the training samples judge the trials, where the recipe has no validation samples
_SHARES = (0.0, 0.25, 0.5)
_WIDEST = {"weight": MOST, "activation": MOST}


@dataclass(frozen=True)
class Goal:
    """`fps` samples per second on the board, at most `accuracy_drop` points of percent below the float network.

    Raises:
        BadInput: no such board, or a number that makes no sense.
    """

    board: str
    fps: float
    accuracy_drop: float = 1.0

    def __post_init__(self) -> None:
        load_board(self.board)
        if not self.fps > 0:
            raise BadInput("--fps", f"{self.fps} is no rate", "Give samples per second, above 0.")
        if not 0 <= self.accuracy_drop <= 100:
            raise BadInput("--accuracy-drop", f"{self.accuracy_drop} is out of range", "Give 0 to 100 points.")


@dataclass(frozen=True)
class Choice:
    """A network: bits by layer, share of the channels that go, and the learning rate that tunes it."""

    bits: Mapping[str, int] = field(default_factory=dict)
    prune: float = 0.0
    learning_rate: float = 0.001


@dataclass(frozen=True)
class Tried:
    """A choice, its accuracy on the held-out samples after a short tuning, and what it takes (estimated)."""

    choice: Choice
    accuracy: float
    taken: Taken

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self.choice), "accuracy": self.accuracy, "resources": self.taken.as_json()}


@dataclass(frozen=True)
class Searched:
    """`sensitivity` is the accuracy with one layer alone at 2 bits, untuned; `front` has no better in both, by LUTs."""

    float_accuracy: float
    uniform: Tried
    sensitivity: Mapping[str, float]
    front: tuple[Tried, ...]
    winner: Tried | None
    trials: int


def search(
    recipe: Recipe,
    goal: Goal,
    out: Path,
    trials: int,
    epochs: int = 3,
    notify: Callable[[str, int, int], None] = lambda *_: None,
    folder: Path = Path(),
) -> Searched:
    """Tries `trials` networks, each tuned for `epochs`, from one float network; those tried before in `out` count.

    A choice that costs more LUTs than the uniform 8-bit network, or misses the rate, is given up before it is tuned.
    Several processes may search in the same folder at once: they share its list of trials.

    Raises:
        BadInput, UnsupportedModel: as `train`.
        CheckFailed: the uniform 8-bit network itself does not fit the board at that rate.
        MissingTool: Optuna is not installed.
    """
    optuna = _optuna()
    if recipe.objective is not Task.CLASSIFICATION:
        raise BadInput("train.task", "is no classification", "Search is by accuracy.")
    for key in ("prune", "layer_bits"):
        if getattr(recipe, key):
            raise BadInput(f"train.{key}", "is what the search chooses", "Leave it out.")
    with reproducible(recipe.seed, recipe.threads):
        bench = _Bench(recipe, goal, epochs, folder, notify)
        out.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / STORAGE)))
        study = optuna.create_study(
            study_name=bench.name,
            storage=storage,
            directions=["maximize", "minimize"],
            sampler=optuna.samplers.TPESampler(seed=recipe.seed, multivariate=True),
            load_if_exists=True,
        )
        if not study.trials:
            study.enqueue_trial(bench.by_sensitivity())
        done = len([trial for trial in study.trials if trial.state.is_finished()])
        enough = optuna.study.MaxTrialsCallback(trials, states=None)  # those of other processes count too

        def told(_study: Any, trial: Any) -> None:
            notify("trials", trial.number + 1, trials)

        study.optimize(bench.trial, n_trials=max(0, trials - done), callbacks=[told, enough])
    finished = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    front = _front([*(_tried(trial) for trial in finished), bench.uniform])
    accurate = [each for each in front if each.accuracy >= bench.float_accuracy - goal.accuracy_drop / 100]
    winner = min(accurate, key=lambda each: each.taken.lut, default=None)
    return Searched(bench.float_accuracy, bench.uniform, bench.sensitivity, front, winner, len(study.trials))


def winning_recipe(recipe: Recipe, tried: Tried) -> Recipe:
    """The recipe that trains the choice in full."""
    choice = tried.choice
    prune = Prune(choice.prune) if choice.prune else None
    return replace(recipe, layer_bits=dict(choice.bits), prune=prune, qat_learning_rate=choice.learning_rate)


def _optuna() -> Any:
    try:
        optuna = import_module("optuna")
    except ModuleNotFoundError:
        raise MissingTool("fpgaflow search", "Optuna is not installed", "pip install 'fpgaflow[train]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _tried(trial: Any) -> Tried:
    return Tried(_choice(trial.params), trial.values[0], Taken(**trial.user_attrs["taken"]))


def _choice(parameters: Mapping[str, Any]) -> Choice:
    bits = {name.removeprefix("bits "): value for name, value in parameters.items() if name.startswith("bits ")}
    return Choice(bits, parameters["prune"], parameters["learning rate"])


def _front(tried: list[Tried]) -> tuple[Tried, ...]:
    """Those that no other beats in accuracy and LUTs, fewest LUTs first."""
    found: list[Tried] = []
    for each in sorted(tried, key=lambda one: (one.taken.lut, -one.accuracy)):
        if not found or each.accuracy > found[-1].accuracy:
            found.append(each)
    return tuple(found)


class _Bench:
    """What every trial starts from: the trained float network, the held-out samples, the uniform 8-bit network."""

    def __init__(
        self, recipe: Recipe, goal: Goal, epochs: int, folder: Path, notify: Callable[[str, int, int], None]
    ) -> None:
        data = load_dataset(recipe.dataset, folder)
        if data.y_train is None:
            raise BadInput("train.dataset", "has no labels", "Search is by accuracy.")
        self.recipe, self.goal, self.epochs, self.data = recipe, goal, epochs, data
        self.board: Board = load_board(goal.board)
        rows = np.arange(len(data.x_train))
        share = recipe.validation or _HELD
        kept, held = train_test_split(rows, test_size=share, stratify=data.y_train, random_state=recipe.seed)
        x, y = channels_last(data.x_train), torch.from_numpy(data.y_train)
        self.x, self.y, self.held = x[kept], y[kept], Held(x[held], y[held])
        notify("float network", 0, recipe.float_epochs)
        net = start(recipe, data, folder).net
        self._train(net, recipe.float_epochs, recipe.float_learning_rate)
        self.folded = fold_batch_norm(net.eval())
        self.float_accuracy = self._accuracy(self.folded)
        widest = quantised(self.folded, replace(recipe.bits, **_WIDEST, layers={}), signed_input=data.signed)
        self.names = [name for name, module in widest.named_modules() if _has_bits(module)]
        self.names.remove("input")
        self.name = f"{goal.board} {goal.fps:g} {recipe!r} {epochs}"
        notify("uniform 8-bit network", 0, epochs)
        uniform = Choice(dict.fromkeys(self.names, MOST), 0.0, recipe.qat_learning_rate)
        net = self._network(uniform)
        cost = self._taken(net)
        self.uniform = Tried(uniform, self._tuned(net, uniform), cost)
        self.sensitivity = {}
        for number, name in enumerate(self.names):
            notify("sensitivity", number, len(self.names))
            alone = Choice({**uniform.bits, name: LEAST}, 0.0, uniform.learning_rate)
            self.sensitivity[name] = self._accuracy(self._network(alone))

    def by_sensitivity(self) -> dict[str, Any]:
        """A first guess: 2 bits where that costs little accuracy, more where it costs more."""
        drops = {name: max(0.0, self.float_accuracy - accuracy) for name, accuracy in self.sensitivity.items()}
        ranked = sorted(drops, key=lambda name: drops[name])
        bits = {name: LEAST + round(2 * place / max(1, len(ranked) - 1)) for place, name in enumerate(ranked)}
        found: dict[str, Any] = {f"bits {name}": width for name, width in bits.items()}
        return {**found, "prune": 0.0, "learning rate": self.recipe.qat_learning_rate}

    def trial(self, trial: Any) -> tuple[float, float]:
        """(accuracy, LUTs) of what Optuna suggests."""
        for name in self.names:
            trial.suggest_int(f"bits {name}", LEAST, MOST)
        trial.suggest_categorical("prune", _SHARES)
        rate = self.recipe.qat_learning_rate
        trial.suggest_float("learning rate", rate / 4, rate * 4, log=True)
        choice = _choice(trial.params)
        given_up = _optuna().TrialPruned
        try:
            net = self._network(choice)
            cost = self._taken(net)
            if cost.lut > self.uniform.taken.lut:
                raise given_up("takes more than the uniform 8-bit network")
            trial.set_user_attr("taken", cost.as_json())
            return self._tuned(net, choice), cost.lut
        except (CheckFailed, Diverged) as error:
            raise given_up(str(error)) from None

    def _network(self, choice: Choice) -> fx.GraphModule:
        net = self.folded
        if choice.prune:
            net = without_channels(net, Prune(choice.prune), self.x[:2])
        made = quantised(net, replace(self.recipe.bits, layers=dict(choice.bits)), signed_input=self.data.signed)
        fit_scales(made, self.x)
        return made

    def _taken(self, net: fx.GraphModule) -> Taken:
        return taken(graph_of(net, self.data.sample_shape), self.board, self.goal.fps)

    def _tuned(self, net: fx.GraphModule, choice: Choice) -> float:
        self._train(net, self.epochs, choice.learning_rate)
        return self._accuracy(net)

    def _train(self, net: fx.GraphModule, epochs: int, learning_rate: float) -> None:
        recipe = replace(self.recipe, validation=0.0, patience=0)
        order = Order(len(self.x), min(recipe.batch_size, len(self.x)), epochs, recipe.seed, recipe.shift)
        watch = Watch(lambda _: None, lambda _: None, lambda: None)
        torch.manual_seed(recipe.seed)
        batches = Batches(order, self.x, self.y)
        run_phase(net, Objective(Task.CLASSIFICATION), batches, recipe, learning_rate, PhaseState(), watch)

    def _accuracy(self, net: fx.GraphModule) -> float:
        return score(Task.CLASSIFICATION, outputs_of(net, self.held.x), self.held.x, self.held.y)


def _has_bits(module: Any) -> bool:
    return hasattr(module, "weight_quant") or hasattr(module, "act_quant")
