"""The search: trials in any number of processes, the Pareto front, and which of it holds when it is trained in full."""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.training.bits import LEAST, MOST
from fpgaflow.training.hardware import Taken
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.search.bench import Bench, Job, Reference, bench_of
from fpgaflow.training.search.space import Choice, Goal, Space, choice_of, suggested, usual_rate
from fpgaflow.workers import crew

STORAGE = "trials.log"
_TOLERATED = 2  # times the allowed drop: how far below it a network still guides the search
_TAKEN, _SHORTFALL = "taken", "shortfall"
Notify = Callable[[str, int, int], None]


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
    """`front` has those of `tried` that no other beats in accuracy and LUTs, by LUTs; accuracies on held-out samples.

    `winner` has the fewest LUTs of those that keep the accuracy when tuned in full, `confirmed` is its accuracy then.
    `trials` counts those that ended, `given_up` those of them that were not tuned.
    """

    float_accuracy: float
    reference: Reference
    tried: tuple[Tried, ...]
    front: tuple[Tried, ...]
    winner: Tried | None
    confirmed: float | None
    trials: int
    given_up: int


def search(
    recipe: Recipe,
    goal: Goal,
    out: Path,
    trials: int,
    epochs: int = 3,
    notify: Notify = lambda *_: None,
    folder: Path = Path(),
    *,
    space: Space | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> Searched:
    """Tries `trials` networks, each tuned for `epochs`, from one float network of each width; earlier ones count.

    A choice that costs more LUTs than the uniform 8-bit network, or misses the rate, is given up before it is tuned.
    Searches of the same in the same folder at once share their list of trials.

    Args:
        folder: where the recipe's relative paths begin.
        workers: processes of this machine.
        scheduler: the address of a Dask scheduler whose workers see the same files.

    Raises:
        BadInput, UnsupportedModel: as `train`; or the space does not fit the recipe; or no such scheduler.
        CheckFailed: the loss of the float or the uniform 8-bit network is no longer finite.
        MissingTool: Dask is not installed.
    """
    job = Job(recipe, goal, space or Space(), epochs, trials, folder.resolve(), out.resolve())
    with bench_of(job, anew=True) as bench:
        widths = [width for width in bench.widths if not bench.has_float(width)]
    with crew(workers, scheduler) as calls:
        out.mkdir(parents=True, exist_ok=True)
        notify("float networks", 0, len(widths))
        for done, _ in enumerate(calls(_train_float, deque((job, width) for width in widths)), 1):
            notify("float networks", done, len(widths))
        notify("uniform 8-bit network, and each layer alone at 2 bits", 0, 1)
        with bench_of(job) as bench:
            reference, float_accuracy, held = bench.reference, bench.float_accuracy, len(bench.held.x)
            study = _study(bench)
            for guess in _guesses(bench, reference):
                study.enqueue_trial(guess.parameters, skip_if_exists=True)
            cost = reference.taken
            uniform = [] if cost is None else [Tried(bench.uniform(MOST), reference.accuracy, cost)]
        before = len(_ended(study))
        notify("trials", before, trials)
        for number, _ in enumerate(calls(run_trial, deque([job] * (trials - before))), before + 1):
            notify("trials", number, trials)
    ended = _ended(study)
    finished = [trial for trial in ended if trial.state is TrialState.COMPLETE]
    tried = [*map(_tried, finished), *uniform]
    front = _front(tried)

    def tuned_in_full(finalist: Tried) -> float:
        notify("tuning the best in full", 0, 1)
        with bench_of(job) as bench:
            net = bench.network(finalist.choice)
            return bench.tuned(net, finalist.choice, epochs=recipe.qat_epochs, seed=(recipe.seed + 1) % 2**32)

    winner, confirmed = _winner(front, float_accuracy - goal.accuracy_drop / 100, held, tuned_in_full)
    return Searched(
        float_accuracy, reference, tuple(tried), front, winner, confirmed, len(ended), len(ended) - len(finished)
    )


def _winner(
    front: Sequence[Tried], least: float, held: int, tuned_in_full: Callable[[Tried], float]
) -> tuple[Tried, float] | tuple[None, None]:
    """The first of the front that is accurate enough on the `held` samples, and its accuracy when it is tuned in full.

    Both tunings have to reach `least`, and their mean a standard error of the share more, as the front has the lucky
    ones of many trials; if none does, the one with the highest mean that reaches `least` twice.
    """
    safe = least + sqrt(max(0.0, least * (1 - least)) / held)
    reached: list[tuple[Tried, float]] = []
    for finalist in (each for each in front if each.accuracy >= least):
        accuracy = tuned_in_full(finalist)
        if accuracy >= least:
            reached.append((finalist, accuracy))
            if (finalist.accuracy + accuracy) / 2 >= safe:
                return finalist, accuracy
    return max(reached, key=lambda found: found[0].accuracy + found[1], default=(None, None))


def _train_float(what: tuple[Job, float]) -> None:
    job, width = what
    with bench_of(job) as bench:
        bench.train_float(width)


def run_trial(job: Job) -> None:
    """One trial, unless others have made them all."""
    with bench_of(job) as bench:
        study = _study(bench)
        if len(_ended(study)) < job.trials:
            study.optimize(partial(_objective, bench), n_trials=1)


def _objective(bench: Bench, trial: optuna.Trial) -> tuple[float, float]:
    """(accuracy, LUTs) of what Optuna suggests.

    The constraint is above 0 where nothing was tuned, or the accuracy is far below what is allowed: the front there is
    of no use.
    """
    choice = suggested(trial, bench.space, bench.recipe, bench.layers)
    try:
        net = bench.network(choice)
        cost, most = bench.taken(net), bench.reference.taken
        if most is not None and cost.lut > most.lut:
            raise CheckFailed("the choice", "takes more than the uniform 8-bit network", "Give it up.")
        accuracy = bench.tuned(net, choice)
    except (CheckFailed, BadInput) as error:  # the latter where so small a share takes no channel away
        trial.set_constraint(_SHORTFALL, 1.0)
        raise optuna.TrialPruned(str(error)) from None
    least = bench.float_accuracy - _TOLERATED * bench.goal.accuracy_drop / 100
    trial.set_constraint(_SHORTFALL, least - accuracy)
    trial.set_user_attr(_TAKEN, asdict(cost))
    return accuracy, cost.lut


def _guesses(bench: Bench, reference: Reference) -> list[Choice]:
    """What is tried first: few bits where they cost little accuracy, more where they cost more; 4, 3 and 2 bits."""
    space, drops = bench.space, {name: -accuracy for name, accuracy in reference.sensitivity.items()}
    ranked = sorted(drops, key=lambda name: drops[name])
    by_rank = {name: LEAST + round(2 * place / max(1, len(ranked) - 1)) for place, name in enumerate(ranked)}
    found = [dict(by_rank), *(dict.fromkeys(bench.layers, bits) for bits in (4, 3, 2))]
    usual = bench.uniform(MOST)
    nearest = min(space.widths or (), key=lambda width: abs(width - usual.width))
    optimiser = usual.optimiser if usual.optimiser in (space.optimisers or ()) else (space.optimisers or ())[0]
    size = min(space.batch_sizes or (), key=lambda size: abs(size - usual.batch_size))
    return [
        Choice(
            {name: min(max(width, space.least_bits), space.most_bits) for name, width in bits.items()},
            nearest,
            min(space.prune),
            optimiser,
            size,
            usual_rate(bench.recipe, optimiser),
        )
        for bits in found
    ]


def _study(bench: Bench) -> optuna.Study:
    journal = optuna.storages.journal.JournalFileBackend(str(bench.job.out / STORAGE))
    storage = optuna.storages.JournalStorage(journal)
    return optuna.create_study(
        study_name=bench.key,
        storage=storage,
        directions=["maximize", "minimize"],
        sampler=_SeededByTrial(bench.recipe.seed),
        load_if_exists=True,
    )


class _SeededByTrial(optuna.samplers.BaseSampler):
    """Tree-structured Parzen estimators whose draws are a function of the seed, the trial's number and what is known.

    So processes that share a study never draw the same, and a search that goes on draws as an unbroken one.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._of_trial: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        seed = int(np.random.SeedSequence([self.seed, trial.number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`
            self._of_trial = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        self._of_trial.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        return self._of_trial.sample_independent(study, trial, name, distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._of_trial.after_trial(study, trial, state, values)


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _tried(trial: FrozenTrial) -> Tried:
    return Tried(choice_of(trial.params), trial.values[0], Taken(**trial.user_attrs[_TAKEN]))


def _front(tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Those that no other beats in accuracy and LUTs, fewest LUTs first."""
    found: list[Tried] = []
    for each in sorted(tried, key=lambda one: (one.taken.lut, -one.accuracy)):
        if not found or each.accuracy > found[-1].accuracy:
            found.append(each)
    return tuple(found)
