"""What to train and how: the `train:` section of a fpgaflow.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from fpgaflow.errors import BadInput
from fpgaflow.training.bits import LEAST, MOST, Bits
from fpgaflow.training.data import DataSpec
from fpgaflow.training.distil import Distil
from fpgaflow.training.models import ModelName
from fpgaflow.training.objective import Task
from fpgaflow.training.optimise import TAKES_MOMENTUM, OptimiserName, ScheduleName
from fpgaflow.training.prune import Prune
from fpgaflow.training.schema import check_ranges, load_section, suggest, within


class Precision(StrEnum):
    """Arithmetic of training; narrower ones through autocast. Scales, sums of gradients and the result are float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Log(StrEnum):
    NONE = "none"
    CSV = "csv"
    TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Recipe:
    """All that decides the trained weights: the same recipe on the same machine gives the same bits.

    `float_epochs` train with batch norm; then, batch norm folded, `qat_epochs` tune the quantised network and, apart,
    its float twin, by `qat_optimiser` and in `qat_batch_size` where those are given; `prune` makes both smaller before,
    `distil` lets a float network teach the quantised one.
    `accumulate` batches make one step. A share `validation` of the training samples chooses the best
    epoch of each phase, and `patience` epochs without a better one end it. `shift` moves each batch of images by up to
    that many pixels. `checkpoint_steps` is how often the training can be resumed at; 0: after each epoch. `threads`
    belongs here because it decides the order of float sums.

    Raises:
        BadInput: a value is outside its range, or contradicts another.
    """

    model: str = ModelName.LENET5
    width: float = within(1.0, 0.01, 64)
    task: Task | None = None
    dataset: DataSpec = field(default_factory=DataSpec)
    weight_bits: int = within(4, LEAST, MOST)
    activation_bits: int = within(4, LEAST, MOST)
    input_bits: int = within(8, LEAST, MOST)
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    prune: Prune | None = None
    distil: Distil | None = None
    float_epochs: int = within(15, 1, 10_000)
    qat_epochs: int = within(20, 1, 10_000)
    batch_size: int = within(64, 2, 65_536)
    accumulate: int = within(1, 1, 65_536)
    optimiser: OptimiserName = OptimiserName.ADAM
    qat_batch_size: int | None = within(None, 2, 65_536)
    qat_optimiser: OptimiserName | None = None
    momentum: float = within(0.0, 0, 0.9999)
    weight_decay: float = within(0.0, 0, 1)
    schedule: ScheduleName = ScheduleName.ONE_CYCLE
    float_learning_rate: float = within(0.005, 1e-9, 1e9)
    qat_learning_rate: float = within(0.001, 1e-9, 1e9)
    precision: Precision = Precision.FLOAT32
    device: Device = Device.AUTO
    validation: float = within(0.0, 0, 0.5)
    patience: int = within(0, 0, 10_000)
    shift: int = within(0, 0, 16)
    checkpoint_steps: int = within(0, 0, 1_000_000)
    log: Log = Log.CSV
    seed: int = within(0, 0, 2**32 - 1)
    threads: int = within(1, 1, 256)

    def __post_init__(self) -> None:
        check_ranges(self, "train")
        for name, width in self.layer_bits.items():
            if not LEAST <= width <= MOST:
                where = f"train.layer_bits.{name}"
                raise BadInput(where, f"{width} is out of range", f"Give {LEAST} to {MOST}.")
        if not self.is_own_model and self.model not in list(ModelName):
            fix = suggest(self.model, ModelName, "Known, besides FILE.py:FUNCTION")
            raise BadInput("train.model", f"{self.model!r} is unknown", fix)
        if self.is_own_model and self.width != 1:
            raise BadInput("train.width", "means nothing to a module of your own", "Leave it out.")
        if self.distil is not None and self.objective is not Task.CLASSIFICATION:
            raise BadInput("train.distil", "needs the logits of a classification", "Leave it out.")
        if self.momentum and not {self.optimiser, self.qat_optimiser} & set(TAKES_MOMENTUM):
            fix = f"Leave it out, or choose one of {', '.join(TAKES_MOMENTUM)}."
            raise BadInput("train.momentum", f"means nothing to '{self.optimiser}'", fix)
        if self.accumulate > 1 and OptimiserName.GRADIENT_DESCENT in (self.optimiser, self.qat_optimiser):
            found = "means nothing to gradient-descent, whose step takes all samples"
            raise BadInput("train.accumulate", found, "Leave it out; batch_size limits the memory.")
        if self.patience and not self.validation:
            fix = "Give the share of the training samples to stop by, as validation: 0.1."
            raise BadInput("train.patience", "needs validation samples", fix)
        if self.precision is Precision.FLOAT16 and self.device is Device.CPU:
            raise BadInput("train.precision", "float16 needs a GPU", "Choose bfloat16.")

    @property
    def is_own_model(self) -> bool:
        """Whether `model` is FILE.py:FUNCTION."""
        return ".py:" in self.model

    @property
    def tuning(self) -> Recipe:
        """The recipe with the optimiser and the batch size of the phases after the float one."""
        if self.qat_optimiser is None and self.qat_batch_size is None:
            return self
        optimiser = self.qat_optimiser or self.optimiser
        return replace(
            self,
            optimiser=optimiser,
            momentum=self.momentum if optimiser in TAKES_MOMENTUM else 0.0,
            batch_size=self.qat_batch_size or self.batch_size,
            qat_optimiser=None,
            qat_batch_size=None,
        )

    @property
    def bits(self) -> Bits:
        return Bits(self.weight_bits, self.activation_bits, self.input_bits, dict(self.layer_bits))

    @property
    def objective(self) -> Task:
        """The task that was named, else that of the model."""
        usual = Task.RECONSTRUCTION if self.model == ModelName.AUTOENCODER else Task.CLASSIFICATION
        return self.task or usual


def load_recipe(path: Path) -> Recipe:
    """The recipe in the `train:` section of the YAML file `path`; keys that are left out keep their defaults.

    Raises:
        BadInput: no such file, no YAML, no `train:` section, an unknown key, or a value of the wrong type or range.
    """
    recipe = load_section(Recipe, path, "train")
    if recipe is None:
        raise BadInput(str(path), "has no section 'train:' with keys below it", "See docs/training.md for its keys.")
    return recipe
