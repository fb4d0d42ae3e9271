"""What every loader returns, and what holds of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from fpgaflow.errors import BadInput

PIXEL_STEPS = 256  # pixels are k / 256, k in 0..255, as a camera gives them: an 8-bit input quantiser loses nothing


@dataclass(frozen=True)
class Dataset:
    """Samples `x_*` (N, ...) float32 in the model's input layout; labels `y_*` (N,) int64 in 0..classes - 1.

    Without labels `y_*` are None and `classes` is 0. `standardisation` has the mean and the deviation of each feature
    where the loader took them out.
    """

    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64] | None
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64] | None
    classes: int = 0
    standardisation: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.x_train.shape[1:]

    @property
    def signed(self) -> bool:
        """Whether any training sample is negative: it decides the input quantiser."""
        return bool(self.x_train.min() < 0)


@dataclass(frozen=True)
class Part:
    """Samples x (N, ...) and their labels y (N,) of whole numbers, or None, as a file holds them."""

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None


def assembled(train: Part, test: Part | None, test_samples: int | None, where: str) -> Dataset:
    """A checked data set of what was read; without a part to test, `test_samples` are held out, stratified by label.

    Raises:
        BadInput: no samples or none to test, NaN or infinity, labels that do not fit, a class without samples.
    """
    if test is None:
        _check(train, where)
        train, test = _held_out(train, test_samples, where)
    elif test_samples is not None:
        found = "is given, and the data have a part to test of their own"
        raise BadInput("train.dataset.test_samples", found, "Leave it out.")
    for name, part in (("training", train), ("test", test)):
        _check(part, f"{where}, {name} part")
    if train.x.shape[1:] != test.x.shape[1:]:
        found = f"has training samples of shape {train.x.shape[1:]} and test samples of shape {test.x.shape[1:]}"
        raise BadInput(where, found, "Give both the same shape.")
    if train.y is None or test.y is None:
        return Dataset(_float32(train.x), None, _float32(test.x), None)
    y_train, y_test = train.y.astype(np.int64), test.y.astype(np.int64)
    counts = np.bincount(y_train)
    if not counts.all():
        found = f"has labels up to {len(counts) - 1}, but no training sample of class {int(np.argmin(counts > 0))}"
        raise BadInput(where, found, "Number the classes from 0 on without gaps, or add samples of that class.")
    if len(counts) < 2:
        raise BadInput(where, "has training samples of one class only", "Give samples of every class.")
    if y_test.max() >= len(counts):
        found = f"has test labels up to {y_test.max()}, training labels up to {len(counts) - 1}"
        raise BadInput(where, found, "Train on every class that is tested.")
    return Dataset(_float32(train.x), y_train, _float32(test.x), y_test, len(counts))


def _float32(x: np.ndarray[Any, Any]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(x, np.float32)


def _held_out(part: Part, test_samples: int | None, where: str) -> tuple[Part, Part]:
    if test_samples is None:
        fix = "Say how many to hold out: train.dataset.test_samples."
        raise BadInput(where, "has no samples of its own to test on", fix)
    if not 0 < test_samples < len(part.x):
        found = f"{test_samples} cannot be held out of {len(part.x)} samples"
        raise BadInput("train.dataset.test_samples", found, f"Give 1 to {len(part.x) - 1}.")
    try:
        train, test = train_test_split(np.arange(len(part.x)), test_size=test_samples, stratify=part.y, random_state=0)
    except ValueError as error:
        raise BadInput(where, f"cannot be split evenly over its classes: {error}", "Add samples.") from None
    return tuple(  # type: ignore[return-value]  # of two
        Part(part.x[rows], None if part.y is None else part.y[rows]) for rows in (train, test)
    )


def _check(part: Part, where: str) -> None:
    x, y = part.x, part.y
    if x.ndim < 2 or not x.size or x.dtype.kind not in "fiub":
        raise BadInput(where, f"has x of shape {x.shape} and type {x.dtype}", "Give real numbers of shape (N, ...).")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise BadInput(where, "holds NaN or infinity", "Give finite numbers.")
    if y is None:
        return
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        found = f"has labels of shape {y.shape} and type {y.dtype} for {len(x)} samples"
        raise BadInput(where, found, "Give one whole number per sample.")
    if y.min() < 0:
        raise BadInput(where, f"has the label {y.min()}", "Number the classes from 0 on.")


def padded(data: Dataset, pixels: int) -> Dataset:
    """Images (N, C, H, W) with that many zeros on each side.

    Raises:
        BadInput: they are no images.
    """
    if not pixels:
        return data
    if len(data.sample_shape) != 3:
        found = f"is given for samples of shape {data.sample_shape}, which are no images (C, H, W)"
        raise BadInput("train.dataset.pad", found, "Leave it out.")
    edges = [(0, 0), (0, 0), (pixels, pixels), (pixels, pixels)]
    return replace(data, x_train=np.pad(data.x_train, edges), x_test=np.pad(data.x_test, edges))


def standardised(data: Dataset) -> Dataset:
    """Each feature less its mean over the training samples, divided by its deviation there, in float64."""
    mean, deviation = data.x_train.mean(0, dtype=np.float64), data.x_train.std(0, dtype=np.float64)
    deviation = np.where(deviation > 0, deviation, 1.0)

    def scaled(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return ((x - mean) / deviation).astype(np.float32)

    return replace(data, x_train=scaled(data.x_train), x_test=scaled(data.x_test), standardisation=(mean, deviation))
