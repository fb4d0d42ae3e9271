"""What is appended block by block is what stands there in the end; nothing stands there before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpgaflow.build_folder import write_npz
from fpgaflow.errors import BadInput
from fpgaflow.sim.readers import open_arrays
from fpgaflow.sim.writers import open_writer

Y = np.random.default_rng(0).normal(size=(7, 2, 3))
ODD = {"/conv1/Relu_output_0": np.arange(7), "a b": np.arange(21.0).reshape(7, 3).T.reshape(7, 3)}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with open_writer(path, 7) as writer:
        for start in range(0, 7, 3):
            writer.append({name: array[start : start + 3] for name, array in arrays.items()})


def test_npz_files_are_those_of_numpy(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", {"y": Y, **ODD})
    write_npz(tmp_path / "b.npz", {"y": Y, **ODD})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_npy_files_are_those_of_numpy(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", {"y": Y})
    np.save(tmp_path / "b.npy", Y)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_npy_files_hold_one_array(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot hold 3 arrays"):
        write(tmp_path / "a.npy", {"y": Y, **ODD})
    assert list(tmp_path.iterdir()) == []


def test_zarr_groups(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    write(tmp_path / "a.zarr", {"y": Y, **ODD})
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    for name, array in {"y": Y, **ODD}.items():
        assert np.array_equal(group[name][:], array)
        assert group[name].dtype == array.dtype
    assert open_arrays(tmp_path / "a.zarr")["y"].shape == Y.shape


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr"])
def test_an_older_file_stays_until_the_new_one_is_whole(suffix: str, tmp_path: Path) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    path = tmp_path / f"a{suffix}"
    write(path, {"x": Y})
    with pytest.raises(ZeroDivisionError), open_writer(path, 7) as writer:
        writer.append({"x": Y[:3] + 1})
        raise ZeroDivisionError
    assert np.array_equal(next(open_arrays(path)["x"].blocks(7)), Y)
    write(path, {"x": Y + 1})
    assert np.array_equal(next(open_arrays(path)["x"].blocks(7)), Y + 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "mine.zarr").mkdir()
    for name, match in [
        ("a.csv", "unknown kind '.csv'"),
        ("file/a.npz", "cannot be written"),
        ("mine.zarr", "cannot be written .it is a folder"),
    ]:
        with pytest.raises(BadInput, match=match), open_writer(tmp_path / name, 7):
            raise AssertionError("a writer was given")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "mine.zarr"]
