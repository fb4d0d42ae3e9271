import numpy as np
import torch
from sklearn.datasets import load_digits

from fpgaflow.training.data import bilinear, digits


def test_shapes_types_and_grid():
    data = digits()
    assert data.x_train.shape == (1500, 1, 32, 32)
    assert data.x_test.shape == (297, 1, 32, 32)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        pixels = x * 256
        assert np.array_equal(pixels, np.floor(pixels))
        assert pixels.min() == 0
        assert pixels.max() == 255


def test_split_is_fixed_stratified_and_whole():
    first, second = digits(), digits()
    assert np.array_equal(first.x_test, second.x_test)
    target = load_digits().target
    both = np.concatenate([first.y_train, first.y_test])
    assert np.array_equal(np.bincount(both), np.bincount(target))
    share = np.bincount(first.y_test) / np.bincount(target)
    assert np.all(np.abs(share - 297 / 1797) < 1 / np.bincount(target).min())


def test_no_test_image_was_trained_on():
    data = digits()
    trained = {image.tobytes() for image in data.x_train}
    assert not any(image.tobytes() in trained for image in data.x_test)


def test_bilinear_is_torchs():
    image = np.arange(64.0).reshape(8, 8)
    ours = bilinear(8, 32) @ image @ bilinear(8, 32).T
    theirs = torch.nn.functional.interpolate(torch.from_numpy(image)[None, None], size=(32, 32), mode="bilinear")
    assert np.array_equal(ours, theirs[0, 0].numpy())
