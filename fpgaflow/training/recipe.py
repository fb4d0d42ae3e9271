"""What to train and how: the `train:` section of a fpgaflow.yaml."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from fpgaflow.errors import BadInput
from fpgaflow.training.data import DatasetName
from fpgaflow.training.models import Bits, ModelName


def _within(default: float, low: float, high: float) -> Any:
    return dataclasses.field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class Recipe:
    """All that decides the trained weights: the same recipe on the same machine gives the same bits.

    `float_epochs` train with batch norm; then, batch norm folded, `qat_epochs` tune the quantised network and, apart,
    its float twin. `shift` moves each batch of images by up to that many pixels. `threads` belongs here because it
    decides the order of float sums.

    Raises:
        BadInput: a value is outside its range.
    """

    model: ModelName = ModelName.LENET5
    dataset: DatasetName = DatasetName.DIGITS
    weight_bits: int = _within(4, 2, 8)
    activation_bits: int = _within(4, 2, 8)
    input_bits: int = _within(8, 2, 8)
    float_epochs: int = _within(15, 1, 10_000)
    qat_epochs: int = _within(20, 1, 10_000)
    batch_size: int = _within(64, 2, 65_536)
    float_learning_rate: float = _within(0.005, 1e-9, 1e9)
    qat_learning_rate: float = _within(0.001, 1e-9, 1e9)
    shift: int = _within(2, 0, 16)
    seed: int = _within(0, 0, 2**32 - 1)
    threads: int = _within(1, 1, 256)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "range" in field.metadata:
                low, high = field.metadata["range"]
                value = getattr(self, field.name)
                if not low <= value <= high:
                    raise BadInput(f"train.{field.name}", f"{value} is out of range", f"Give {low:g} to {high:g}.")

    @property
    def bits(self) -> Bits:
        return Bits(self.weight_bits, self.activation_bits, self.input_bits)


_KINDS: dict[str, type] = {field.name: type(field.default) for field in dataclasses.fields(Recipe)}


def load_recipe(path: Path) -> Recipe:
    """The recipe in the `train:` section of the YAML file `path`; keys that are left out keep their defaults.

    Raises:
        BadInput: no such file, no YAML, no `train:` section, an unknown key, or a value of the wrong type or range.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        found = f"cannot be read: {' '.join(str(error).split())}"
        raise BadInput(str(path), found, "Name a fpgaflow.yaml; `fpgaflow init` writes one.") from None
    section = document.get("train") if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise BadInput(str(path), "has no section 'train:' with keys below it", f"Known keys: {', '.join(_KINDS)}.")
    try:
        return Recipe(**{str(key): _typed(str(key), value) for key, value in section.items()})
    except BadInput as error:
        problem = error.problem
        raise BadInput(f"{path}: {problem.where}", problem.found, problem.fix) from None


def _typed(key: str, value: Any) -> Any:
    where = f"train.{key}"
    if key not in _KINDS:
        raise BadInput(where, "is not a known key", f"Known keys: {', '.join(_KINDS)}.")
    kind = _KINDS[key]
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise BadInput(where, f"{value!r} is unknown", f"Known: {', '.join(kind)}.")
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        hint = " YAML reads 1e-3 as text: write 0.001." if kind is float else ""
        raise BadInput(where, f"{value!r} is no {kind.__name__}", f"Give one {kind.__name__}.{hint}")
    return value
