"""Loaders on small files of each real format; what is missing or damaged is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.training.data import DatasetKind, DataSpec, load_dataset
from fpgaflow.training.data.dataset import Part, assembled
from fpgaflow.training.data.images import bilinear, digits
from fpgaflow.training.data.tables import JET_CLASSES, JET_FEATURES
from tests.third_party import third_party

LABELS = np.arange(30) % 3


def loaded(kind: str, path: Path, **more: object):
    return load_dataset(DataSpec(DatasetKind(kind), str(path), **more))  # type: ignore[arg-type]


def test_digits_shapes_types_and_grid():
    data = digits()
    assert data.x_train.shape == (1500, 1, 32, 32)
    assert data.x_test.shape == (297, 1, 32, 32)
    assert (data.classes, data.signed, data.sample_shape) == (10, False, (1, 32, 32))
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        pixels = x * 256
        assert np.array_equal(pixels, np.floor(pixels))
        assert pixels.min() == 0
        assert pixels.max() == 255


def test_digits_split_is_fixed_stratified_and_whole():
    first, second = digits(), digits()
    assert np.array_equal(first.x_test, second.x_test)
    target = load_digits().target
    both = np.concatenate([first.y_train, first.y_test])
    assert np.array_equal(np.bincount(both), np.bincount(target))
    share = np.bincount(first.y_test) / np.bincount(target)
    assert np.all(np.abs(share - 297 / 1797) < 1 / np.bincount(target).min())


def test_no_digit_is_both_trained_and_tested_on():
    data = digits()
    trained = {image.tobytes() for image in data.x_train}
    assert not any(image.tobytes() in trained for image in data.x_test)


def test_bilinear_is_torchs():
    image = np.arange(64.0).reshape(8, 8)
    ours = bilinear(8, 32) @ image @ bilinear(8, 32).T
    theirs = torch.nn.functional.interpolate(torch.from_numpy(image)[None, None], size=(32, 32), mode="bilinear")
    assert np.array_equal(ours, theirs[0, 0].numpy())


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def test_mnist_files(tmp_path):
    images = pixels(30, 28, 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images[:6]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS[:6]))
    data = loaded("mnist", tmp_path, pad=2)
    assert data.x_train.shape == (30, 1, 32, 32)
    assert np.array_equal(data.x_train[:, 0, 2:-2, 2:-2] * 256, images)
    assert not data.x_train[:, :, :2].any()
    assert data.y_test.tolist() == LABELS[:6].tolist()


def test_the_real_mnist_is_split():
    data = loaded("mnist", third_party("mnist"), test_samples=2000)
    assert (data.x_train.shape, data.x_test.shape, data.classes) == ((8000, 1, 28, 28), (2000, 1, 28, 28), 10)
    with pytest.raises(BadInput, match=r"train.dataset.test_samples"):
        loaded("mnist", third_party("mnist"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "no whole idx", id="empty"),
        pytest.param(idx(LABELS)[:-1], "no whole idx", id="a byte short"),
        pytest.param(gzip.compress(idx(LABELS))[:-9], "cannot be read", id="gzip cut off"),
    ],
)
def test_damaged_idx_files(content, says, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels(30, 4, 4)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(BadInput, match=says):
        loaded("mnist", tmp_path, test_samples=3)


def test_missing_idx_files(tmp_path):
    with pytest.raises(BadInput, match="has no idx files"):
        loaded("mnist", tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels(30, 4, 4)))
    with pytest.raises(BadInput, match="0 files train-labels"):
        loaded("mnist", tmp_path)


def test_cifar10_binaries(tmp_path):
    images = pixels(30, 3, 32, 32)
    records = np.concatenate([LABELS[:, None].astype(np.uint8), images.reshape(30, -1)], axis=1)
    for name, rows in (("data_batch_1", records[:15]), ("data_batch_2", records[15:]), ("test_batch", records[:6])):
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    data = loaded("cifar10", tmp_path)
    assert np.array_equal(data.x_train * 256, images)
    assert data.y_train.tolist() == LABELS.tolist()
    assert data.x_test.shape == (6, 3, 32, 32)
    (tmp_path / "data_batch_2.bin").write_bytes(b"0" * 3074)
    with pytest.raises(BadInput, match=r"data_batch_2\.bin.*3074 bytes"):
        loaded("cifar10", tmp_path)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(BadInput, match="lacks"):
        loaded("cifar10", tmp_path)


def jets(path: Path, rows: int = 40, names: tuple[str, ...] = (*JET_FEATURES, "j_pt", *JET_CLASSES)) -> np.ndarray:
    table = np.random.default_rng(0).normal(3, 10, (rows, len(names)))
    table[:, -5:] = np.eye(5)[np.arange(rows) % 5]
    with h5py.File(path, "w") as file:
        file["jets"], file["jetFeatureNames"] = table, np.array(names, "S")
    return table


def test_jets(tmp_path):
    tables = [jets(tmp_path / "a.h5"), jets(tmp_path / "b.h5", 20)]
    data = loaded("jets", tmp_path, test_samples=10)
    assert (data.x_train.shape, data.x_test.shape, data.classes, data.signed) == ((50, 16), (10, 16), 5, True)
    both = np.concatenate(tables)[:, :16].astype(np.float32)
    assert {row.tobytes() for row in np.concatenate([data.x_train, data.x_test])} == {row.tobytes() for row in both}
    scaled = loaded("jets", tmp_path / "a.h5", test_samples=10, standardise=True)
    np.testing.assert_allclose(scaled.x_train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.x_train.std(0), 1, atol=1e-5)
    raw = loaded("jets", tmp_path / "a.h5", test_samples=10)
    mean, deviation = scaled.standardisation
    np.testing.assert_allclose(scaled.x_test * deviation + mean, raw.x_test, rtol=1e-4, atol=1e-4)


def test_damaged_jets(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    jets(tmp_path / "other.h5", names=(*JET_FEATURES[1:], *JET_CLASSES))
    table = jets(tmp_path / "two.h5")
    table[0, -5:] = 1
    with h5py.File(tmp_path / "two.h5", "a") as file:
        file["jets"][...] = table
    for name, says in (("text", "no whole HDF5"), ("other", "no column j_zlogz"), ("two", "without one class")):
        with pytest.raises(BadInput, match=says):
            loaded("jets", tmp_path / f"{name}.h5", test_samples=5)


def test_csv(tmp_path):
    path = tmp_path / "data.csv"
    names = ["cat", "ant", "bee"]
    rows = [f"{i},{names[i % 3]},{-i / 2}" for i in range(30)]
    path.write_text("\n".join(["a,class,b", *rows]))
    data = loaded("csv", path, label="class", test_samples=6)
    both = {tuple(row): y for row, y in zip(data.x_train.tolist(), data.y_train.tolist(), strict=True)}
    assert len(both) == 24
    assert all(y == sorted(names).index(names[int(row[0]) % 3]) and row[1] == -row[0] / 2 for row, y in both.items())
    with pytest.raises(BadInput, match=r"names no column.*Columns: a, class, b"):
        loaded("csv", path, label="kind", test_samples=6)
    path.write_text("\n".join(["a,class,b", "1,cat,x"]))
    with pytest.raises(BadInput, match="no number"):
        loaded("csv", path, label="class", test_samples=6)
    path.write_text("\n".join(["a,class,b", "1,cat"]))
    with pytest.raises(BadInput, match=r"row 2.*2 fields"):
        loaded("csv", path, label="class", test_samples=6)


def test_keyword_features_as_npz(tmp_path):
    """The MFCC of MLPerf Tiny's keyword spotting, int8, as (1, 49, 10)."""
    folder = third_party("mlperf_tiny_int8")
    x = np.load(folder / "kws01_inputs_int8_1000x49x10x1.npy").transpose(0, 3, 1, 2)
    y = np.array([int(line.split()[-1]) for line in (folder / "kws01_labels.txt").read_text().splitlines()])
    np.savez(tmp_path / "kws.npz", x=x, y=y)
    data = loaded("npz", tmp_path / "kws.npz", test_samples=200)
    assert (data.x_train.shape, data.x_test.shape, data.classes, data.signed) == (
        (800, 1, 49, 10),
        (200, 1, 49, 10),
        12,
        True,
    )


def test_npz_with_parts(tmp_path):
    x = np.random.default_rng(0).random((30, 4))
    np.savez(tmp_path / "a.npz", x_train=x[:24], y_train=LABELS[:24], x_test=x[24:], y_test=LABELS[24:])
    data = loaded("npz", tmp_path / "a.npz")
    assert np.array_equal(data.x_test, x[24:].astype(np.float32))
    np.savez(tmp_path / "b.npz", x=x)
    assert loaded("npz", tmp_path / "b.npz", test_samples=3).y_train is None


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"z": LABELS}, "holds z"),
        ({"x": np.ones((30, 4)), "y": LABELS - 1}, "has the label -1"),
        ({"x": np.ones((30, 4)), "y": LABELS * 2}, "no training sample of class 1"),
        ({"x": np.ones((30, 4)), "y": LABELS * 0}, "one class only"),
        ({"x": np.ones((30, 4)), "y": LABELS[:-1]}, "cannot be split|labels of shape"),
        ({"x": np.ones((30, 4)), "y": LABELS / 2}, "type float64"),
        ({"x": np.full((30, 4), np.nan), "y": LABELS}, "NaN or infinity"),
        ({"x": np.array(["a"] * 30)[:, None], "y": LABELS}, "Give real numbers"),
        ({"x": np.ones((2, 4)), "y": LABELS[:2]}, "cannot be held out"),
    ],
    ids=str,
)
def test_unfit_arrays(arrays, says, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(BadInput, match=says):
        loaded("npz", tmp_path / "bad.npz", test_samples=5)


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_unreadable_npz(content, tmp_path):
    if content is not None:
        (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.npz"):
        loaded("npz", tmp_path / "bad.npz", test_samples=5)


def test_a_test_label_that_was_never_trained():
    x = np.ones((30, 4))
    with pytest.raises(BadInput, match="test labels up to 3, training labels up to 2"):
        assembled(Part(x, LABELS), Part(x[:1], np.array([3])), None, "here")


def image_tree(folder: Path, mode: str, size: int = 6) -> None:
    for name in ("cat", "ant"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            shape = (size, size) if mode == "L" else (size, size, 3)
            Image.fromarray(pixels(1, *shape)[0] // (number + 1)).save(folder / name / f"{number}.png")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_image_folders(mode, channels, tmp_path):
    image_tree(tmp_path / "one", mode)
    data = loaded("images", tmp_path / "one", test_samples=4)
    assert (data.x_train.shape, data.x_test.shape, data.classes) == ((12, channels, 6, 6), (4, channels, 6, 6), 2)
    image_tree(tmp_path / "two" / "train", mode)
    image_tree(tmp_path / "two" / "test", mode)
    split = loaded("images", tmp_path / "two")
    assert split.y_train.tolist() == [0] * 8 + [1] * 8
    shape = (6, 6) if mode == "L" else (6, 6, 3)
    first = pixels(1, *shape)[0].reshape(6, 6, channels).transpose(2, 0, 1)
    assert np.array_equal(split.x_train[0] * 256, first)


def test_image_folders_that_do_not_fit(tmp_path):
    with pytest.raises(BadInput, match="has no folders"):
        loaded("images", tmp_path, test_samples=4)
    image_tree(tmp_path, "L")
    (tmp_path / "ant" / "9.png").write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"9\.png.*no readable image"):
        loaded("images", tmp_path, test_samples=4)
    Image.fromarray(pixels(1, 7, 7)[0]).save(tmp_path / "ant" / "9.png")
    with pytest.raises(BadInput, match=r"\(1, 7, 7\), others before it of \(1, 6, 6\)"):
        loaded("images", tmp_path, test_samples=4)
    (tmp_path / "bee").mkdir()
    (tmp_path / "ant" / "9.png").unlink()
    with pytest.raises(BadInput, match=r"bee.*has no image files"):
        loaded("images", tmp_path, test_samples=4)


def test_hugging_face(tmp_path):
    try:
        import datasets
    except ModuleNotFoundError:
        with pytest.raises(MissingTool, match="`datasets` is not installed"):
            loaded("huggingface", tmp_path)
        pytest.skip("the package `datasets` is not installed")
    images = [Image.fromarray(image) for image in pixels(30, 6, 6)]
    made = datasets.Dataset.from_dict({"image": images, "label": LABELS.tolist()})
    made.cast_column("image", datasets.Image()).save_to_disk(str(tmp_path / "hf"))
    data = loaded("huggingface", tmp_path / "hf", test_samples=6)
    assert (data.x_train.shape, data.x_test.shape, data.classes) == ((24, 1, 6, 6), (6, 1, 6, 6), 3)
    with pytest.raises(BadInput, match="has the columns image, label"):
        loaded("huggingface", tmp_path / "hf", test_samples=6, label="kind")
    colours = [Image.fromarray(image) for image in pixels(30, 6, 6, 3)]
    for name, kind in (("colour", "RGB"), ("palette", "P"), ("alpha", "RGBA")):
        of_kind = [image.convert(kind) for image in colours]
        split = datasets.Dataset.from_dict({"image": of_kind, "label": LABELS.tolist()})
        both = datasets.DatasetDict({"train": split, "test": split}).cast_column("image", datasets.Image())
        both.save_to_disk(str(tmp_path / name))
        data = loaded("huggingface", tmp_path / name)
        expected = np.stack([np.asarray(image.convert("RGB")) for image in of_kind]).transpose(0, 3, 1, 2)
        assert np.array_equal(data.x_train, expected.astype(np.float32) / 256)
    numbers = datasets.Dataset.from_dict({"x": np.arange(120.0).reshape(30, 4).tolist(), "y": LABELS.tolist()})
    numbers.save_to_disk(str(tmp_path / "numbers"))
    assert loaded("huggingface", tmp_path / "numbers", test_samples=6).x_train.shape == (24, 4)


def test_images_of_more_than_8_bits(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(np.full((6, 6), 999, np.uint16)).save(tmp_path / name / f"{number}.png")
    with pytest.raises(BadInput, match="more than 8 bits"):
        loaded("images", tmp_path, test_samples=2)


def test_padding_needs_images(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random((30, 4)), y=LABELS)
    with pytest.raises(BadInput, match=r"train.dataset.pad"):
        loaded("npz", tmp_path / "a.npz", test_samples=6, pad=2)
