"""Tables: CSV with a header, and HDF5 as jet-tagging sets have it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.training.data.dataset import Dataset, Part, assembled

# The 16 observables and 5 classes of Duarte et al., JINST 13 (2018) P07027, table 1, as Zenodo 3602260 names them.
JET_FEATURES = (
    *("j_zlogz", "j_c1_b0_mmdt", "j_c1_b1_mmdt", "j_c1_b2_mmdt", "j_c2_b1_mmdt", "j_c2_b2_mmdt"),
    *("j_d2_b1_mmdt", "j_d2_b2_mmdt", "j_d2_a1_b1_mmdt", "j_d2_a1_b2_mmdt", "j_m2_b1_mmdt", "j_m2_b2_mmdt"),
    *("j_n2_b1_mmdt", "j_n2_b2_mmdt", "j_mass_mmdt", "j_multiplicity"),
)
JET_CLASSES = ("j_g", "j_q", "j_w", "j_z", "j_t")


def table_csv(path: Path, label: str | None, test_samples: int | None) -> Dataset:
    """A CSV file with a header: the column `label` holds the classes, as numbers or names; all others are features.

    Names are numbered in alphabetical order.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(str(path), f"cannot be read: {error}", "Give a CSV file with a header.") from None
    header, body = [name.strip() for name in (rows[:1] or [[]])[0]], rows[1:]
    if label is None or label not in header:
        found = f"names no column of {path}" if label is not None else "is missing"
        raise BadInput("train.dataset.label", found, f"Columns: {', '.join(header)}.")
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise BadInput(f"{path}, row {number}", f"has {len(row)} fields, the header {len(header)}", "Mend it.")
    column = header.index(label)
    try:
        x = np.array([[float(cell) for cell in row[:column] + row[column + 1 :]] for row in body])
    except ValueError as error:
        raise BadInput(str(path), f"has a feature that is no number: {error}", "Give numbers only.") from None
    return assembled(Part(x, _numbered([row[column].strip() for row in body])), None, test_samples, str(path))


def _numbered(names: list[str]) -> np.ndarray[Any, Any]:
    if all(name.lstrip("-").isdigit() for name in names):
        return np.array([int(name) for name in names], np.int64)
    order = {name: index for index, name in enumerate(sorted(set(names)))}
    return np.array([order[name] for name in names])


def jets_hdf5(path: Path, test_samples: int | None) -> Dataset:
    """The hls4ml LHC jets (Zenodo 3602260), one .h5 file or a folder of them; 16 features, 5 classes.

    Each file has a table `jets` (N, columns) and the names of its columns in `jetFeatureNames`; a class is a column
    that is 1.
    """
    files = sorted(path.glob("*.h5")) if path.is_dir() else [path]
    if not files:
        raise BadInput(str(path), "has no .h5 files", "Name a file, or a folder with files, of the hls4ml LHC jets.")
    parts = [_jet_part(file) for file in files]
    x, one_hot = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if not np.array_equal(one_hot.sum(1), np.ones(len(one_hot))):
        raise BadInput(str(path), "has rows without one class", f"Exactly one of {', '.join(JET_CLASSES)} has to be 1.")
    return assembled(Part(x, one_hot.argmax(1)), None, test_samples, str(path))


def _jet_part(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingTool("HDF5 files", "h5py is not installed", "pip install h5py") from None
    try:
        with h5py.File(path) as file:
            table = np.asarray(file["jets"], np.float64)
            names = [name.decode() if isinstance(name, bytes) else str(name) for name in file["jetFeatureNames"]]
    except (OSError, KeyError, ValueError, TypeError) as error:
        fix = "It needs `jets` (N, columns) and `jetFeatureNames`."
        raise BadInput(str(path), f"is no whole HDF5 file of jets: {error}", fix) from None
    if missing := [name for name in (*JET_FEATURES, *JET_CLASSES) if name not in names]:
        raise BadInput(str(path), f"has no column {', '.join(missing)}", "Give a file of the hls4ml LHC jets.")
    if table.ndim != 2 or table.shape[1] != len(names):
        raise BadInput(str(path), f"has {len(names)} names for a table {table.shape}", "Give one name a column.")
    features, classes = ([names.index(name) for name in wanted] for wanted in (JET_FEATURES, JET_CLASSES))
    return table[:, features], table[:, classes]
