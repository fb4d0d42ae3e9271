"""Data sets that are on every machine with the training extra: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

DIGITS_TRAIN, DIGITS_TEST = 1500, 297
DIGITS_SIZE = 32


@dataclass(frozen=True)
class Dataset:
    """Images `x_*` (N, channels, height, width) float32 in [0, 1), labels `y_*` (N,) int64."""

    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]


def bilinear(size_in: int, size_out: int) -> npt.NDArray[np.float64]:
    """The (size_out, size_in) matrix that resizes one axis linearly, pixel centres at half integers, edges repeated."""
    position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(size_in)))


def digits() -> Dataset:
    """Scikit-learn's 1,797 handwritten 8×8 digits as 8-bit 32×32 images; 1,500 to train, 297 to test, stratified.

    Pixels are k / 256 with k in 0..255, as a camera gives them, so an 8-bit input quantiser loses nothing. All
    interpolation weights are dyadic, so the images are the same bits on every machine.
    """
    raw = load_digits()
    resize = bilinear(raw.images.shape[1], DIGITS_SIZE)
    grey = resize @ (raw.images / 16.0) @ resize.T
    images = (np.minimum(np.rint(grey * 256), 255) / 256).astype(np.float32)[:, None]
    labels = raw.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, train_size=DIGITS_TRAIN, test_size=DIGITS_TEST, stratify=labels, random_state=0
    )
    return Dataset(x_train, y_train, x_test, y_test)


class DatasetName(StrEnum):
    DIGITS = "digits"


DATASETS: dict[DatasetName, Callable[[], Dataset]] = {DatasetName.DIGITS: digits}
