"""Arrays come back from disk block by block as they were saved; damaged and hostile files are refused."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.sim.readers import open_arrays

Save = Callable[[Path, np.ndarray], Path]


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "a.npy", array)
    return folder / "a.npy"


def npz(folder: Path, array: np.ndarray) -> Path:
    np.savez(folder / "a.npz", first=np.zeros(3), x=array)
    return folder / "a.npz"


def compressed(folder: Path, array: np.ndarray) -> Path:
    np.savez_compressed(folder / "a.npz", first=np.zeros(3), x=array)
    return folder / "a.npz"


def zarr_array(folder: Path, array: np.ndarray) -> Path:
    zarr = pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    zarr.create_array(folder / "a.zarr", data=array, chunks=(2, *array.shape[1:]))
    return folder / "a.zarr"


def zarr_group(folder: Path, array: np.ndarray) -> Path:
    zarr = pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=2)
    group.create_array("x", data=array)
    return folder / "a.zarr"


SAVES = [npy, npz, compressed, zarr_array, zarr_group]


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("size", [1, 3, 7, 50])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(42, dtype=np.float32).reshape(7, 3, 2),
        np.arange(21, dtype=np.int16).reshape(3, 7).T,  # column by column
        np.arange(7, dtype=">f8"),
        np.arange(14).reshape(7, 2) % 3 == 0,
    ],
    ids=["plain", "columns", "big-endian", "bool"],
)
def test_blocks_are_the_array(save: Save, array: np.ndarray, size: int, tmp_path: Path) -> None:
    stored = open_arrays(save(tmp_path, array))["x"]
    assert (stored.shape, stored.dtype.kind, stored.dtype.itemsize) == (array.shape, array.dtype.kind, array.itemsize)
    blocks = list(stored.blocks(size))
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert np.array_equal(np.concatenate(blocks), array)


def test_every_member_is_there_under_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), **{"a/b": np.ones(4)})
    shapes = {name: stored.shape for name, stored in open_arrays(tmp_path / "a.npz").items()}
    assert shapes == {"x": (2, 3), "a/b": (4,)}


def test_reading_goes_on_where_it_is_asked_again(tmp_path: Path) -> None:
    stored = open_arrays(compressed(tmp_path, np.arange(6.0)))["x"]
    first, second = stored.blocks(2), stored.blocks(3)
    assert [next(first).tolist(), next(second).tolist(), next(first).tolist()] == [[0, 1], [0, 1, 2], [2, 3]]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("unpickled",))


def refused(path: Path, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        for stored in open_arrays(path).values():
            list(stored.blocks(2))


def test_files_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    refused(tmp_path / "a.csv", r"a\.csv: is no \.npz")
    refused(tmp_path / "none.npz", "cannot be read")
    (tmp_path / "folder").mkdir()
    pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    refused(tmp_path / "folder", "cannot be read|damaged")


@pytest.mark.parametrize("save", [npy, npz, compressed])
def test_files_cut_short_anywhere(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path, np.random.default_rng(0).normal(size=(5, 4)))
    whole = path.read_bytes()
    for end in range(6, len(whole) - 1, 17):
        path.write_bytes(whole[:end])
        refused(path, "damaged|no .npz")


@pytest.mark.parametrize("save", [npz, compressed])
def test_a_changed_member_is_noticed(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path, np.random.default_rng(0).normal(size=(50, 40)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    refused(path, "damaged")


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_objects_are_not_unpickled(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    array = np.array([Evil()], dtype=object)
    (npy if kind == "npy" else npz)(tmp_path, array)
    assert open_arrays(tmp_path / f"a.{kind}")["x"].dtype == object
    refused(tmp_path / f"a.{kind}", "dtype object")
    assert not Path("unpickled").exists()


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_pickled_chunks_are_not_unpickled(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    monkeypatch.chdir(tmp_path)
    codec = {"id": "pickle"}
    header = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<f4", "fill_value": 0, "order": "C"}
    header |= {"compressor": None, "filters": None} | {place: codec if place == "compressor" else [codec]}
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(header))
    (tmp_path / "a.zarr" / "0").write_bytes(pickle.dumps(Evil()))
    refused(tmp_path / "a.zarr", "damaged")
    assert not Path("unpickled").exists()


def test_zarr_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingTool, match=r"zarr.*fpgaflow\[scale\]"):
        open_arrays(tmp_path)
