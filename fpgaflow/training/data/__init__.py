"""Data sets, read from files that the user has; only scikit-learn's digits come with the training extra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fpgaflow.errors import BadInput
from fpgaflow.training.data.arrays import hugging_face, npz
from fpgaflow.training.data.dataset import Dataset as Dataset
from fpgaflow.training.data.dataset import padded, standardised
from fpgaflow.training.data.images import cifar10, digits, image_folder, mnist
from fpgaflow.training.data.tables import jets_hdf5, table_csv
from fpgaflow.training.schema import check_ranges, within


class DatasetKind(StrEnum):
    DIGITS = "digits"
    MNIST = "mnist"
    CIFAR10 = "cifar10"
    JETS = "jets"
    CSV = "csv"
    NPZ = "npz"
    IMAGES = "images"
    HUGGINGFACE = "huggingface"


# What each kind reads of a DataSpec, besides `pad` and `standardise`.
_READ: Mapping[DatasetKind, tuple[str, ...]] = {
    DatasetKind.DIGITS: (),
    DatasetKind.MNIST: ("path", "test_samples"),
    DatasetKind.CIFAR10: ("path",),
    DatasetKind.JETS: ("path", "test_samples"),
    DatasetKind.CSV: ("path", "test_samples", "label"),
    DatasetKind.NPZ: ("path", "test_samples"),
    DatasetKind.IMAGES: ("path", "test_samples"),
    DatasetKind.HUGGINGFACE: ("path", "test_samples", "input", "label", "name"),
}


@dataclass(frozen=True)
class DataSpec:
    """Which data set: its kind, where it lies (relative to the recipe's folder), and how it is prepared.

    `test_samples` are held out, stratified, where the data have no part to test of their own. `pad` adds zeros around
    images. `standardise` takes the training samples' mean and deviation out of each feature. `input` and `label` name
    columns, `name` a data set of the Hugging Face hub.

    Raises:
        BadInput: a value is out of range, a path is missing, or a key means nothing to that kind.
    """

    kind: DatasetKind = DatasetKind.DIGITS
    path: str | None = None
    test_samples: int | None = within(None, 1, 2**31)
    pad: int = within(0, 0, 64)
    standardise: bool = False
    input: str | None = None
    label: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "train.dataset")
        for key in ("path", "test_samples", "input", "label", "name"):
            if getattr(self, key) is not None and key not in _READ[self.kind]:
                raise BadInput(f"train.dataset.{key}", f"means nothing to '{self.kind}'", "Leave it out.")
        if self.path is None and "path" in _READ[self.kind] and self.kind is not DatasetKind.HUGGINGFACE:
            raise BadInput("train.dataset.path", f"is missing for '{self.kind}'", "Say where the data lie.")


def load_dataset(spec: DataSpec, folder: Path = Path()) -> Dataset:
    """The data set that `spec` names; `folder` is where its relative paths begin.

    Raises:
        BadInput: a file is missing or damaged, labels do not fit, a class is empty.
        MissingTool: it needs a package that is not installed.
    """
    path = folder / (spec.path or "")
    match spec.kind:
        case DatasetKind.DIGITS:
            data = digits()
        case DatasetKind.MNIST:
            data = mnist(path, spec.test_samples)
        case DatasetKind.CIFAR10:
            data = cifar10(path)
        case DatasetKind.JETS:
            data = jets_hdf5(path, spec.test_samples)
        case DatasetKind.CSV:
            data = table_csv(path, spec.label, spec.test_samples)
        case DatasetKind.NPZ:
            data = npz(path, spec.test_samples)
        case DatasetKind.IMAGES:
            data = image_folder(path, spec.test_samples)
        case DatasetKind.HUGGINGFACE:
            columns = spec.input, spec.label
            data = hugging_face(path if spec.path else None, spec.name, columns, spec.test_samples)
    data = padded(data, spec.pad)
    return standardised(data) if spec.standardise else data
