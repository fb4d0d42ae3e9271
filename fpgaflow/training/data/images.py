"""Images: scikit-learn's digits, MNIST's idx files, CIFAR-10's binaries, folders of image files."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.training.data.dataset import PIXEL_STEPS, Dataset, Part, assembled

DIGITS_TEST = 297
DIGITS_SIZE = 32
_CIFAR_RECORD = 1 + 3 * 32 * 32
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
_GZIP = b"\x1f\x8b"
_IDX_BYTES = 0x08  # the type code of unsigned bytes


def bilinear(size_in: int, size_out: int) -> npt.NDArray[np.float64]:
    """The (size_out, size_in) matrix that resizes one axis linearly, pixel centres at half integers, edges repeated."""
    position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(size_in)))


def digits() -> Dataset:
    """Scikit-learn's 1,797 handwritten 8×8 digits as 8-bit 32×32 images; 1,500 to train, 297 to test, stratified.

    All interpolation weights are dyadic, so the images are the same bits on every machine.
    """
    raw = load_digits()
    resize = bilinear(raw.images.shape[1], DIGITS_SIZE)
    grey = resize @ (raw.images / 16.0) @ resize.T
    images = np.minimum(np.rint(grey * PIXEL_STEPS), PIXEL_STEPS - 1) / PIXEL_STEPS
    return assembled(Part(images[:, None], raw.target.astype(np.int64)), None, DIGITS_TEST, "digits")


def mnist(folder: Path, test_samples: int | None) -> Dataset:
    """MNIST, Fashion-MNIST and others in its format: `train-*` and `t10k-*` idx files, plain or gzipped.

    Where only one of the two pairs is there, `test_samples` of it are held out.
    """
    parts = [_mnist_part(folder, name) for name in ("train", "t10k")]
    train, test = parts if None not in parts else (parts[0] or parts[1], None)
    if train is None:
        fix = "Put train-images-idx3-ubyte(.gz), train-labels-idx1-ubyte(.gz) and the same of t10k there."
        raise BadInput(str(folder), "has no idx files", fix)
    return assembled(train, test, test_samples, str(folder))


def _mnist_part(folder: Path, name: str) -> Part | None:
    found = [sorted(folder.glob(f"{name}-{kind}*-ubyte*")) for kind in ("images", "labels")]
    if not any(found):
        return None
    for kind, files in zip(("images", "labels"), found, strict=True):
        if len(files) != 1:
            raise BadInput(str(folder), f"has {len(files)} files {name}-{kind}*", "Leave one, plain or gzipped.")
    images, labels = (read_idx(files[0]) for files in found)
    return Part(images[:, None].astype(np.float32) / PIXEL_STEPS, labels)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of bytes in an idx file, plain or gzipped (format: LeCun's MNIST page).

    Raises:
        BadInput: it cannot be read, or is none.
    """
    content = _content(path)
    dimensions = content[3] if len(content) > 4 else 0
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    start = 4 + 4 * dimensions
    if not dimensions or content[:3] != bytes([0, 0, _IDX_BYTES]) or len(content) - start != math.prod(shape):
        raise BadInput(str(path), "is no whole idx file of bytes", "Fetch it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(str(path), f"cannot be read: {error}", "Fetch it again.") from None


def cifar10(folder: Path) -> Dataset:
    """CIFAR-10's binary version: `data_batch_1.bin` to `data_batch_5.bin`, as many as are there, and `test_batch.bin`.

    A record is a label and the red, green and blue plane of 32×32 bytes each.
    """
    train = sorted(folder.glob("data_batch_*.bin"))
    if not train or not (folder / "test_batch.bin").is_file():
        fix = "Unpack the binary version of CIFAR-10 there: data_batch_1.bin and others, test_batch.bin."
        raise BadInput(str(folder), "lacks data_batch_*.bin or test_batch.bin", fix)
    return assembled(_cifar_part(train), _cifar_part([folder / "test_batch.bin"]), None, str(folder))


def _cifar_part(files: Sequence[Path]) -> Part:
    records = []
    for path in files:
        content = _content(path)
        if not content or len(content) % _CIFAR_RECORD:
            found = f"has {len(content)} bytes, no multiple of {_CIFAR_RECORD}"
            raise BadInput(str(path), found, "Fetch the binary version of CIFAR-10 again.")
        records.append(np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD))
    table = np.concatenate(records)
    return Part(table[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / PIXEL_STEPS, table[:, 0])


def image_folder(folder: Path, test_samples: int | None) -> Dataset:
    """A folder for each class with image files of one size; or `train` and `test` with such folders in each.

    Classes are numbered in the order of their names. Images that are all grey have one channel, others three.
    """
    splits = [folder / name for name in ("train", "test")]
    if all(split.is_dir() for split in splits):
        names = _class_names(splits[0])
        if (others := _class_names(splits[1])) != names:
            found = f"has the classes {', '.join(names)}, {splits[1]} has {', '.join(others)}"
            raise BadInput(str(splits[0]), found, "Give both the same classes.")
        parts = [_image_part(split, names) for split in splits]
        return assembled(parts[0], parts[1], test_samples, str(folder))
    return assembled(_image_part(folder, _class_names(folder)), None, test_samples, str(folder))


def _class_names(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise BadInput(str(folder), "has no folders", "Make one folder of images for each class.")
    return names


def _image_part(folder: Path, names: Sequence[str]) -> Part:
    images: list[npt.NDArray[np.uint8]] = []
    labels = []
    for label, name in enumerate(names):
        files = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in _IMAGE_SUFFIXES)
        if not files:
            raise BadInput(str(folder / name), "has no image files", f"Known: {', '.join(sorted(_IMAGE_SUFFIXES))}.")
        for path in files:
            images.append(_image(path))
            labels.append(label)
            if images[-1].shape != images[0].shape:
                found = f"is of shape {images[-1].shape}, others before it of {images[0].shape}"
                raise BadInput(str(path), found, "Give all images one size and kind (grey or colour).")
    return Part(np.stack(images).astype(np.float32) / PIXEL_STEPS, np.array(labels))


def _image(path: Path) -> npt.NDArray[np.uint8]:
    """(channels, height, width) bytes."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise MissingTool("image files", "Pillow is not installed", "pip install pillow") from None
    try:
        with Image.open(path) as image:
            return bytes_of(image, str(path))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(str(path), f"is no readable image: {error}", "Replace or remove it.") from None


def bytes_of(image: Any, where: str) -> npt.NDArray[np.uint8]:
    """(1 or 3, height, width) bytes of an image of Pillow: grey where it is, else red, green and blue.

    Raises:
        BadInput: its pixels have more than 8 bits.
    """
    if image.mode[0] in "IF":
        fix = "Scale them to 8 bits, or give numbers in an .npz file."
        raise BadInput(where, f"has pixels of more than 8 bits (mode {image.mode})", fix)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[None]
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
