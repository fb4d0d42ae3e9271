from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.errors import BadInput
from fpgaflow.samples import Samples, accuracy, by_input, by_name, generated_samples, joined, load_samples
from fpgaflow.sim.run import Simulator
from tests.builds import perceptron
from tests.conformance.test_engines import two_ports
from tests.models import Net, graph_of

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def saved(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def test_x_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, x=X, y=np.array([0, 2], dtype=np.uint8))
    samples = load_samples(path)
    assert np.array_equal(samples.x, X) and samples.x.dtype == np.float32
    assert samples.y is not None and samples.y.tolist() == [0, 2] and samples.y.dtype == np.int64
    assert len(samples) == 2 and samples.source == str(path)
    monkeypatch.chdir(tmp_path)
    assert load_samples(Path("data.npz")).source == str(path)


def test_no_labels_and_plain_npy(tmp_path: Path) -> None:
    assert load_samples(saved(tmp_path, x=X, other=X)).y is None
    np.save(tmp_path / "x.npy", X)
    samples = load_samples(tmp_path / "x.npy")
    assert np.array_equal(samples.x, X) and samples.y is None


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64, np.float16, bool])
def test_other_dtypes_become_float32(tmp_path: Path, dtype: type) -> None:
    x = (X + 1 / 3).astype(dtype)
    samples = load_samples(saved(tmp_path, x=x))
    assert samples.x.dtype == np.float32 and np.array_equal(samples.x, x.astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": X, "b": X}, "holds a, b, but no x"),
        ({}, "holds nothing, but no x"),
        ({"x": np.array(["1", "2"])}, "dtype <U1"),
        ({"x": X + 1j}, "dtype complex64"),
        ({"x": np.float32(1)}, r"shape \(\)"),
        ({"x": X[:0]}, r"shape \(0, 3\)"),
        ({"x": np.array([{}], dtype=object)}, "Object arrays cannot be loaded"),
        ({"x": X, "y": np.array([0])}, r"y of shape \(1,\)"),
        ({"x": X, "y": np.array([[0], [1]])}, r"y of shape \(2, 1\)"),
        ({"x": X, "y": np.array([0.0, 1.0])}, "dtype float64"),
        ({"x": X, "y": np.array(["cat", "dog"])}, "dtype <U3"),
        ({"x": X, "y": np.array([{}, {}], dtype=object)}, "Object arrays cannot be loaded"),
    ],
)
def test_wrong_contents(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load_samples(saved(tmp_path, **arrays))
    assert caught.value.problem.where == str(tmp_path / "data.npz")


def flipped(content: bytes) -> bytes:
    middle = len(content) // 3
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 60]) + content[middle + 60 :]


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: b"x,y\n1,2\n", lambda c: c[: len(c) // 2], flipped, lambda c: c[:2] + b"rest"],
    ids=["empty", "text", "half", "flipped", "start"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_file(tmp_path: Path, damage, compressed: bool) -> None:
    path = tmp_path / "data.npz"
    random = np.random.default_rng(0).normal(size=(50, 3))
    (np.savez_compressed if compressed else np.savez)(path, x=random)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match="is no whole"):
        load_samples(path)


def test_shape_beyond_any_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    wide = (tmp_path / "x.npy").read_bytes().replace(b"(2, 3), }" + b" " * 12, b"(2000000000000, 3), }")
    (tmp_path / "x.npy").write_bytes(wide)
    with pytest.raises(BadInput, match="is no whole"):
        load_samples(tmp_path / "x.npy")


def test_entry_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as bundle:
        bundle.writestr("x", b"bytes")
    with pytest.raises(BadInput, match=r"dtype \|S5"):
        load_samples(tmp_path / "data.npz")


@pytest.mark.parametrize("name", ["missing.npz", "."])
def test_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_samples(tmp_path / name)


def test_what_float32_cannot_hold_is_refused_by_the_simulator(tmp_path: Path) -> None:
    samples = load_samples(saved(tmp_path, x=np.array([[1e300, 0, 0, 0]])))
    with pytest.raises(BadInput, match="finite"):
        Simulator(graph_of(perceptron())).predict(samples.x)


def test_digest_is_of_the_contents() -> None:
    y = np.array([0, 1])
    same = {Samples(X, y, "a").digest, Samples(X.copy(), y.copy(), "b").digest, Samples(X, y, "c").digest}
    assert len(same) == 1
    others = [Samples(X, None, "a"), Samples(X + 1, y, "a"), Samples(X.reshape(3, 2), y, "a"), Samples(X, y[::-1], "a")]
    assert len(same | {samples.digest for samples in others}) == 5


def test_generated_samples_are_the_quantisers_own_values() -> None:
    graph = graph_of(perceptron())
    samples, again = generated_samples(graph, 4000), generated_samples(graph, 4000)
    assert np.array_equal(samples.x, again.x) and samples.x.dtype == np.float32 and samples.y is None
    assert samples.x.shape == (4000, 4)
    integers = Simulator(graph).input_integers(samples.x)["x"]
    assert (integers.min(), integers.max()) == (-128, 127) == (graph.inputs[0].low, graph.inputs[0].high)
    assert np.array_equal(integers / 16, samples.x), "nothing saturates, nothing rounds"
    assert "generated" in samples.source


def test_generated_samples_with_zero_point() -> None:
    net = Net(3)
    x = net.quant("x", 1 / 4, 4, zero=5, signed=0, mode="FLOOR")
    net.node("MatMul", x, net.quant(np.ones((3, 2)), 1, 3), output="y")
    samples = generated_samples(graph_of(net.model("y")), 500)
    assert (samples.x.min(), samples.x.max()) == (-5 / 4, 10 / 4)


def test_accuracy_is_of_the_largest_output_and_the_first_of_equals() -> None:
    outputs = np.array([[1, 3, 2], [5, 5, 4], [0, 0, 0], [1, 2, 3]])
    assert accuracy(outputs, np.array([1, 0, 0, 2])) == 1.0
    assert accuracy(outputs, np.array([1, 1, 2, 2])) == 0.5
    assert accuracy(outputs.reshape(4, 3, 1), np.array([1, 0, 0, 0])) == 0.75
    assert accuracy(outputs, None) is None
    assert accuracy(outputs[:0], np.array([], dtype=int)) is None


def test_several_inputs_are_fields_of_one_array(tmp_path: Path) -> None:
    image, numbers = np.arange(12).reshape(2, 2, 3), np.array([[1.5], [2.5]])
    path = saved(tmp_path, image=image, numbers=numbers, y=np.array([0, 2]), ids=np.arange(5))
    samples = load_samples(path, ["numbers", "image"])
    assert samples.x.dtype.names == ("numbers", "image") and len(samples) == 2 and samples.y is not None
    assert np.array_equal(samples.x["image"], image) and samples.x["image"].dtype == np.float32
    cut = by_name(samples.x[1:], ["image", "numbers"])
    assert np.array_equal(cut["image"], image[1:]) and np.array_equal(cut["numbers"], numbers[1:])
    assert by_name(X, ["x"])["x"] is X and joined({"x": X}) is X
    with pytest.raises(BadInput, match="but no other"):
        load_samples(path, ["image", "other"])
    with pytest.raises(BadInput, match="as many samples"):
        load_samples(path, ["image", "ids"])


def test_arrays_of_a_model_that_is_not_known_yet(tmp_path: Path) -> None:
    one = load_samples(saved(tmp_path, x=X, other=X), None)
    assert np.array_equal(one.x, X)
    two = load_samples(saved(tmp_path, a=X, b=X[:, 0], y=np.array([0, 1])), None)
    assert two.x.dtype.names == ("a", "b") and two.x["b"].shape == (2,)
    with pytest.raises(BadInput, match="but no x"):
        load_samples(saved(tmp_path, a=X, y=np.array([0, 1])), None)


def test_a_simulator_takes_what_is_joined() -> None:
    graph = graph_of(two_ports(4))
    samples, simulator = generated_samples(graph, 5), Simulator(graph)
    arrays = by_input(graph, samples.x)
    assert [array.shape for array in arrays.values()] == [(5, 16), (5, 8)]
    for found, wanted in zip(simulator.predict(samples.x), simulator.predict(list(arrays.values())), strict=True):
        assert np.array_equal(found, wanted)
