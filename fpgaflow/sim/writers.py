"""Arrays written to disk a block of samples at a time, and seen there whole or not at all: `.npy`, `.npz`, Zarr."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.sim.readers import import_zarr

Array = np.ndarray


class Writer(Protocol):
    """Arrays in the making, in a scratch folder."""

    def append(self, arrays: Mapping[str, Array]) -> None:
        """Takes the next samples of each array, by its name."""
        ...

    def publish(self, path: Path) -> None:
        """Puts everything in its place, at once."""
        ...


@contextmanager
def open_writer(path: Path, samples: int) -> Iterator[Writer]:
    """A writer of arrays of `samples` entries each, which appear at `path` when the block ends without an error.

    The suffix tells the kind: `.npz` and `.zarr` for any number of arrays, `.npy` for one. Equal arrays give equal
    `.npy` and `.npz` files.

    Raises:
        BadInput: another suffix, or a place that cannot be written to.
    """
    kinds: dict[str, Callable[[Path, int], Writer]] = {".npy": _Npy, ".npz": _Npz, ".zarr": _Zarr}
    if path.is_dir() and not (path.suffix == ".zarr" and (path / "zarr.json").is_file()):
        raise BadInput(str(path), "cannot be written (it is a folder)", "Name another place")
    if path.suffix not in kinds:
        raise BadInput(str(path), f"is of unknown kind '{path.suffix}'", "End it in .npz, .npy or .zarr")
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    with scratch:
        writer = kinds[path.suffix](Path(scratch.name), samples)
        yield writer
        with _told(path):
            writer.publish(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(str(path), f"cannot be written ({error.strerror or error})", "Choose another place") from None


class _Npz:
    """One `.npy` file per array, numbered, because names may hold anything; put together at the end."""

    def __init__(self, scratch: Path, samples: int) -> None:
        self._scratch, self._samples = scratch, samples
        self._files: dict[str, Path] = {}

    def append(self, arrays: Mapping[str, Array]) -> None:
        for name, array in arrays.items():
            with _told(self._scratch):
                if name not in self._files:
                    self._start(name, array)
                with self._files[name].open("ab") as file:
                    file.write(np.ascontiguousarray(array).data)

    def _start(self, name: str, array: Array) -> None:
        self._files[name] = self._scratch / f"{len(self._files)}.npy"
        shape = (self._samples, *array.shape[1:])
        header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape}
        with self._files[name].open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)

    def publish(self, path: Path) -> None:
        packed = self._scratch / "packed"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name, file in self._files.items():
                # As numpy.savez does it, so that the dates are always the same.
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member, file.open("rb") as content:
                    shutil.copyfileobj(content, member)
                file.unlink()
        packed.replace(path)


class _Npy(_Npz):
    """The one array itself."""

    def append(self, arrays: Mapping[str, Array]) -> None:
        if len(arrays) != 1:
            raise BadInput("output file", f".npy cannot hold {len(arrays)} arrays", "End its name in .npz or .zarr")
        super().append(arrays)

    def publish(self, path: Path) -> None:
        for file in self._files.values():
            file.replace(path)


class _Zarr:
    """A Zarr group, one chunk per block."""

    def __init__(self, scratch: Path, samples: int) -> None:
        self._scratch, self._samples = scratch, samples
        self._group = import_zarr().open_group(scratch / "group", mode="w")
        self._written: dict[str, int] = {}

    def append(self, arrays: Mapping[str, Array]) -> None:
        for name, array in arrays.items():
            start = self._written.get(name, 0)
            with _told(self._scratch):
                if start == 0:
                    shape = (self._samples, *array.shape[1:])
                    self._group.create_array(name, shape=shape, chunks=array.shape, dtype=array.dtype)
                self._group[name][start : start + len(array)] = array
            self._written[name] = start + len(array)

    def publish(self, path: Path) -> None:
        if path.is_dir():
            path.rename(self._scratch / "old")
        (self._scratch / "group").rename(path)
