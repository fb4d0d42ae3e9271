"""Arrays on disk, read a block of samples at a time: `.npy`, `.npz` and Zarr. Nothing is unpickled."""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from fpgaflow.errors import BadInput, MissingTool

Array = np.ndarray

_KINDS = "Give a .npz, .npy or Zarr file; fpgaflow reads x and y from it"
_WHOLE = "Write it again, with numpy.savez(path, x=..., y=...)"
_DAMAGE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, struct.error)
_COPY_BYTES = 1 << 22


@dataclass(frozen=True)
class Stored:
    """An array on disk; `blocks(n)` gives it as arrays of n entries of its first axis, the last one shorter."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Callable[[int], Iterator[Array]]


def open_arrays(path: Path) -> dict[str, Stored]:
    """The arrays of a file by name; a file that holds one array without a name gives it as `x`.

    Raises:
        BadInput: no such file, one of another kind, or a damaged one, also later, where a block is read.
        MissingTool: it is a Zarr folder, and the package zarr is not there.
    """
    with _told(path):
        if path.is_dir():
            return _zarr_arrays(path)
        with path.open("rb") as file:
            start = file.read(6)
        if start == b"\x93NUMPY":
            return {"x": _npy(path)}
        if start[:2] == b"PK":
            with zipfile.ZipFile(path) as archive:
                members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
                return {info.filename.removesuffix(".npy"): _member(path, archive, info) for info in members}
    raise BadInput(str(path), "is no .npz, .npy or Zarr file", _KINDS)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What reading can run into, as BadInput."""
    try:
        yield
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror or error})", _KINDS) from None
    except _DAMAGE as error:
        raise BadInput(str(path), f"is damaged ({error})", _WHOLE) from None


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype[Any]

    @property
    def order(self) -> Literal["C", "F"]:
        return "F" if self.columns_first else "C"

    @property
    def entry_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def _read_header(file: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of .npy, which is for structured types")
    return _Header(*read(file))


def _unreadable(header: _Header) -> Stored | None:
    """What stands for an array of objects, or one without a first axis: its description alone."""
    if header.shape and not header.dtype.hasobject:
        return None

    def blocks(_size: int) -> Iterator[Array]:
        found = f"dtype {header.dtype} and shape {header.shape}"
        raise BadInput("an array", found, "Give numbers of shape (N, ...)")

    return Stored(header.shape, header.dtype, blocks)


def _npy(path: Path) -> Stored:
    with path.open("rb") as file:
        header = _read_header(file)
        offset = file.tell()
    if (described := _unreadable(header)) is not None:
        return described
    if path.stat().st_size < offset + header.shape[0] * header.entry_bytes:
        raise ValueError("its end is missing")

    def blocks(size: int) -> Iterator[Array]:
        for start in range(0, header.shape[0], size):
            with _told(path):
                # A map for each block: the pages of one map would count as this process's memory until its end.
                whole = np.memmap(path, header.dtype, "r", offset, header.shape, header.order)
                block = np.array(whole[start : start + size])
            yield block

    return Stored(header.shape, header.dtype, blocks)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    """An array of an `.npz` file, which is decompressed as it is read."""
    with archive.open(info) as stream:
        header = _read_header(stream)
    if (described := _unreadable(header)) is not None:
        return described

    def blocks(size: int) -> Iterator[Array]:
        with _told(path), zipfile.ZipFile(path) as opened, opened.open(info) as member:
            if header.columns_first and len(header.shape) > 1:
                yield from _spooled(member, size)
                return
            _read_header(member)
            for start in range(0, header.shape[0], size):
                entries = min(size, header.shape[0] - start)
                content = member.read(entries * header.entry_bytes)
                if len(content) < entries * header.entry_bytes:
                    raise EOFError(f"{info.filename} ends early")
                yield np.frombuffer(content, header.dtype).reshape(entries, *header.shape[1:])

    return Stored(header.shape, header.dtype, blocks)


def _spooled(member: IO[bytes], size: int) -> Iterator[Array]:
    """Blocks of an array that lies column by column, by way of a file that can be read anywhere."""
    with tempfile.NamedTemporaryFile(prefix="fpgaflow-", suffix=".npy") as file:
        while content := member.read(_COPY_BYTES):
            file.write(content)
        file.flush()
        yield from _npy(Path(file.name)).blocks(size)


def import_zarr() -> Any:
    """The package zarr.

    Raises:
        MissingTool: it is not installed.
    """
    try:
        import zarr
    except ImportError:
        raise MissingTool("zarr", "is not installed", "pip install 'fpgaflow[scale]'") from None
    return zarr


def _zarr_arrays(path: Path) -> dict[str, Stored]:
    zarr = import_zarr()
    opened = zarr.open(path, mode="r")
    arrays: Mapping[str, Any] = {"x": opened} if isinstance(opened, zarr.Array) else dict(opened.arrays())
    return {name: _zarr_array(path, array) for name, array in arrays.items()}


def _zarr_array(path: Path, array: Any) -> Stored:
    if array.metadata.zarr_format == 2:
        codecs = [array.metadata.compressor, *(array.metadata.filters or ())]
        if any(getattr(codec, "codec_id", None) == "pickle" for codec in codecs):
            raise ValueError("an array of pickled objects")

    def blocks(size: int) -> Iterator[Array]:
        for start in range(0, array.shape[0], size):
            with _told(path):
                block = np.asarray(array[start : start + size])
            yield block

    return Stored(tuple(array.shape), np.dtype(array.dtype), blocks)
