"""What a search is to reach, what it may choose, and a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from fpgaflow.boards import load_board
from fpgaflow.errors import BadInput
from fpgaflow.training.bits import LEAST, MOST
from fpgaflow.training.optimise import TAKES_MOMENTUM, OptimiserName
from fpgaflow.training.prune import Prune
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.schema import check_ranges, load_section, within

# How much larger than Adam's a learning rate is that makes steps of like size, for networks with normed inputs.
_RATES = {OptimiserName.SGD: 30.0, OptimiserName.ADAGRAD: 10.0}
_TOO_FEW_STEPS = (OptimiserName.GRADIENT_DESCENT,)
_MOMENTUM = 0.9
_BITS = "bits "


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
        if not 0 < self.fps < float("inf"):
            raise BadInput("--fps", f"{self.fps} is no rate", "Give samples per second, above 0.")
        if not 0 <= self.accuracy_drop <= 100:
            raise BadInput("--accuracy-drop", f"{self.accuracy_drop} is out of range", "Give 0 to 100 points.")


@dataclass(frozen=True)
class Space:
    """What may be chosen: the `search:` section of a recipe's file.

    Bits of each layer from `least_bits` to `most_bits`; values of `width`, a float network is trained for each; the
    share of channels that `prune` takes; `qat_optimiser`, `qat_batch_size`, and `qat_learning_rate` up to
    `learning_rate_factor` times larger or smaller. None: half, three quarters and all of the recipe's width (of a
    module of one's own: its only one); the recipe's optimiser and SGD; half, once and twice its batch size.

    Raises:
        BadInput: a value is out of range, given twice, or a list is empty.
    """

    least_bits: int = within(LEAST, LEAST, MOST)
    most_bits: int = within(MOST, LEAST, MOST)
    widths: tuple[float, ...] | None = None
    prune: tuple[float, ...] = (0.0, 0.25, 0.5)
    optimisers: tuple[OptimiserName, ...] | None = None
    batch_sizes: tuple[int, ...] | None = None
    learning_rate_factor: float = within(4.0, 1, 1000)

    def __post_init__(self) -> None:
        check_ranges(self, "search")
        if self.least_bits > self.most_bits:
            found = f"{self.least_bits} is more than most_bits, {self.most_bits}"
            raise BadInput("search.least_bits", found, "Give less.")
        for name, low, high in (("widths", 0.01, 64), ("prune", 0.01, 0.99), ("batch_sizes", 2, 65_536)):
            for value in getattr(self, name) or ():
                if not low <= value <= high and not (name == "prune" and value == 0):
                    fix = f"Give {'0, or ' if name == 'prune' else ''}{low:g} to {high:g}."
                    raise BadInput(f"search.{name}", f"{value} is out of range", fix)
        for name in ("widths", "prune", "optimisers", "batch_sizes"):
            values = getattr(self, name)
            if values is not None and (not values or len(set(values)) < len(values)):
                found = "is empty" if not values else f"has a value twice: {', '.join(map(str, values))}"
                raise BadInput(f"search.{name}", found, "Give each value to try once.")
        if set(_TOO_FEW_STEPS) & set(self.optimisers or ()):
            found = "gradient-descent makes one step an epoch: too few to tell networks apart"
            raise BadInput("search.optimisers", found, "Leave it out.")

    def of(self, recipe: Recipe, samples: int) -> Space:
        """The space with all that is None filled in, for that many training samples.

        Raises:
            BadInput: widths of a module of one's own, or a batch larger than the training set.
        """
        if recipe.is_own_model and self.widths not in (None, (1.0,)):
            raise BadInput("search.widths", "mean nothing to a module of your own", "Leave them out.")
        if self.batch_sizes is not None and max(self.batch_sizes) > samples:
            found = f"{max(self.batch_sizes)} is more than the {samples} training samples"
            raise BadInput("search.batch_sizes", found, "Give smaller ones.")
        usual = recipe.tuning
        widths = [1.0] if recipe.is_own_model else [max(0.01, recipe.width * share) for share in (0.5, 0.75, 1.0)]
        optimisers = [name for name in (usual.optimiser, OptimiserName.SGD) if name not in _TOO_FEW_STEPS]
        sizes = [min(samples, max(2, size)) for size in (usual.batch_size // 2, usual.batch_size, usual.batch_size * 2)]
        return replace(
            self,
            widths=self.widths or tuple(dict.fromkeys(widths)),
            optimisers=self.optimisers or tuple(dict.fromkeys(optimisers)),
            batch_sizes=self.batch_sizes or tuple(dict.fromkeys(sizes)),
        )


def load_space(path: Path) -> Space:
    """The space of the `search:` section of a recipe's file; without one, the usual.

    Raises:
        BadInput: no such file, no YAML, an unknown key, or a value of the wrong type or range.
    """
    return load_section(Space, path, "search") or Space()


@dataclass(frozen=True)
class Choice:
    """A network and how it is tuned: bits by layer, scale of the width, share of the channels that go."""

    bits: Mapping[str, int] = field(default_factory=dict)
    width: float = 1.0
    prune: float = 0.0
    optimiser: OptimiserName = OptimiserName.ADAM
    batch_size: int = 64
    learning_rate: float = 0.001

    @property
    def parameters(self) -> dict[str, Any]:
        """As Optuna names them; each optimiser has a learning rate of its own."""
        return {
            **{f"{_BITS}{name}": width for name, width in self.bits.items()},
            "width": self.width,
            "prune": self.prune,
            "optimiser": str(self.optimiser),
            "batch size": self.batch_size,
            _rate_of(self.optimiser): self.learning_rate,
        }


class Suggests(Protocol):
    """Optuna's trial."""

    params: dict[str, Any]

    def suggest_int(self, name: str, low: int, high: int) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def suggested(trial: Suggests, space: Space, recipe: Recipe, layers: Sequence[str]) -> Choice:
    """What the trial chooses from a space whose values are all there."""
    for name in layers:
        trial.suggest_int(f"{_BITS}{name}", space.least_bits, space.most_bits)
    trial.suggest_categorical("width", space.widths or ())
    trial.suggest_categorical("prune", space.prune)
    optimiser = OptimiserName(trial.suggest_categorical("optimiser", [str(name) for name in space.optimisers or ()]))
    trial.suggest_categorical("batch size", space.batch_sizes or ())
    rate = usual_rate(recipe, optimiser)
    factor = space.learning_rate_factor
    trial.suggest_float(_rate_of(optimiser), rate / factor, rate * factor, log=True)
    return choice_of(trial.params)


def choice_of(parameters: Mapping[str, Any]) -> Choice:
    """What parameters of a trial mean."""
    bits = {name.removeprefix(_BITS): value for name, value in parameters.items() if name.startswith(_BITS)}
    optimiser = OptimiserName(parameters["optimiser"])
    rate = parameters[_rate_of(optimiser)]
    return Choice(bits, parameters["width"], parameters["prune"], optimiser, parameters["batch size"], rate)


def usual_rate(recipe: Recipe, optimiser: OptimiserName) -> float:
    """The recipe's learning rate of the tuning, for another optimiser in its own measure."""
    return recipe.qat_learning_rate * _RATES.get(optimiser, 1.0) / _RATES.get(recipe.tuning.optimiser, 1.0)


def _rate_of(optimiser: OptimiserName) -> str:
    return f"learning rate of {optimiser}"


def recipe_of(recipe: Recipe, choice: Choice, goal: Goal) -> Recipe:
    """The recipe that trains the choice in full; SGD gets a momentum where the recipe has none."""
    momentum = recipe.momentum
    if recipe.optimiser not in TAKES_MOMENTUM:  # else the float phase would change with it
        if choice.optimiser is OptimiserName.SGD:
            momentum = momentum or _MOMENTUM
        elif choice.optimiser not in TAKES_MOMENTUM:
            momentum = 0.0
    return replace(
        recipe,
        width=choice.width,
        layer_bits=dict(choice.bits),
        prune=Prune(choice.prune, board=goal.board, fps=goal.fps) if choice.prune else None,
        qat_optimiser=choice.optimiser,
        qat_batch_size=choice.batch_size,
        qat_learning_rate=choice.learning_rate,
        momentum=momentum,
    )
