"""Arrays: `.npz` files, keyword-spotting features among them, and Hugging Face data sets where those are installed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.training.data.dataset import PIXEL_STEPS, Dataset, Part, assembled
from fpgaflow.training.data.images import bytes_of

_SPLIT = ("x_train", "x_test")
_INPUT_COLUMNS, _LABEL_COLUMNS = ("image", "img", "x", "features", "input"), ("label", "labels", "y", "class")


def npz(path: Path, test_samples: int | None) -> Dataset:
    """`x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y` of which `test_samples` are held out; labels optional.

    x is (N, ...) in the model's input layout: (N, 1, 49, 10) for the MFCC of keyword spotting.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except OSError as error:
        raise BadInput(str(path), f"cannot be read: {error.strerror or error}", "Give an .npz file.") from None
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError) as error:
        fix = "Write it with numpy.savez(path, x=..., y=...)."
        raise BadInput(str(path), f"is no whole .npz file: {error}", fix) from None
    if all(name in arrays for name in _SPLIT):
        train, test = (Part(arrays[name], arrays.get(name.replace("x", "y", 1))) for name in _SPLIT)
        return assembled(train, test, test_samples, str(path))
    if "x" not in arrays:
        found = f"holds {', '.join(sorted(arrays)) or 'nothing'}"
        raise BadInput(str(path), found, "It needs x and y, or x_train, y_train, x_test and y_test.")
    return assembled(Part(arrays["x"], arrays.get("y")), None, test_samples, str(path))


def hugging_face(
    path: Path | None, name: str | None, columns: tuple[str | None, str | None], test_samples: int | None
) -> Dataset:
    """A data set that `datasets` saved to the folder `path`, or else one of the hub by `name`; images or numbers.

    Args:
        columns: of the input and the label; None: the usual names, image and label among them.
    """
    try:
        datasets = import_module("datasets")
    except ModuleNotFoundError:
        fix = "pip install datasets, or save it as .npz on a machine that has it"
        raise MissingTool("train.dataset.kind: huggingface", "the package `datasets` is not installed", fix) from None
    if (path is None) == (name is None):
        raise BadInput("train.dataset", "needs a path or a name, one of them", "Give the folder, or the hub's name.")
    where = str(path or name)
    try:
        loaded = datasets.load_dataset(name) if path is None else datasets.load_from_disk(str(path))
    except Exception as error:  # of the hub, of files, of the data set's own description
        raise BadInput(where, f"cannot be loaded by `datasets`: {error}", "Check name and network.") from None
    splits = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    if "train" not in splits:
        raise BadInput(where, f"has the splits {', '.join(splits)}", "It needs one called train.")
    test = splits.get("test") or splits.get("validation")
    parts = [None if split is None else _columns(split, columns, where) for split in (splits["train"], test)]
    assert parts[0] is not None
    return assembled(parts[0], parts[1], test_samples, where)


def _columns(split: Any, columns: tuple[str | None, str | None], where: str) -> Part:
    names = list(split.column_names)
    x = _column(columns[0], _INPUT_COLUMNS, names, f"{where}: input")
    y = _column(columns[1], _LABEL_COLUMNS, names, f"{where}: label")
    labels = np.asarray(split.with_format("numpy")[y])
    images = type(split.features[x]).__name__ == "Image"
    values = split.with_format(None if images else "numpy")[x]
    if any(value is None for value in values):
        raise BadInput(f"{where}: {x}", "has samples that are missing", "Fill or remove them.")
    arrays = [bytes_of(value, f"{where}: {x}") if images else np.asarray(value) for value in values]
    if len({array.shape for array in arrays}) != 1:
        found = f"has samples of several shapes: {', '.join(map(str, sorted({array.shape for array in arrays})))}"
        raise BadInput(f"{where}: {x}", found, "Give all one size, and images one kind (grey or colour).")
    stacked = np.stack(arrays)
    return Part(stacked.astype(np.float32) / PIXEL_STEPS if images else stacked, labels)


def _column(wanted: str | None, usual: Sequence[str], names: Sequence[str], where: str) -> str:
    found = [name for name in ((wanted,) if wanted else usual) if name in names]
    if not found:
        raise BadInput(where, f"has the columns {', '.join(names)}", "Name the right one in train.dataset.")
    return found[0]
