"""What is streamed through files is what the simulator gives for the whole array at once."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.frontend.load import load
from fpgaflow.samples import accuracy
from fpgaflow.sim import stream
from fpgaflow.sim.run import Simulator
from fpgaflow.sim.stream import block_samples, simulate_file
from tests.models import Net, graph_of

X = np.random.default_rng(0).integers(-40, 40, (23, 3)).astype(np.float32) / 4
LABELS = np.random.default_rng(1).integers(0, 2, 23)


def two_ports() -> Simulator:
    net = Net(3)
    net.input("z", (3,))
    a, b = net.quant("x", 0.25), net.quant("z", 0.5)
    product = net.node("MatMul", a, net.quant(np.array([[1, -2], [3, 1], [0, 1]]), 1))
    return Simulator(graph_of(net.model(product, b)))


@pytest.fixture
def simulator() -> Simulator:
    net = Net(3)
    product = net.node("MatMul", net.quant("x", 0.25), net.quant(np.array([[1, -2], [3, 1], [0, 1]]), 1))
    return Simulator(graph_of(net.model(net.quant(product, 1, 4))))


@pytest.fixture(params=[1, 5, 23, 1000])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(stream, "block_samples", lambda *_: request.param)
    return int(request.param)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_outputs_and_accuracy(simulator: Simulator, block: int, save: object, tmp_path: Path) -> None:
    save(tmp_path / "x.npz", x=X, y=LABELS)  # type: ignore[operator]
    seen: list[tuple[int, int]] = []
    done = simulate_file(simulator, tmp_path / "x.npz", tmp_path / "y.npz", progress=lambda *at: seen.append(at))
    want = simulator.predict(X)
    with np.load(tmp_path / "y.npz") as written:
        assert written.files == ["y"]
        assert written["y"].dtype == np.float64 and np.array_equal(written["y"], want)
    assert (done.samples, done.shapes, done.accuracy) == (23, {"y": (2,)}, accuracy(want, LABELS))
    assert seen == [(min(i, 23), 23) for i in range(block, 23 + block, block)]


def test_the_trace_is_written_too(simulator: Simulator, block: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    done = simulate_file(simulator, tmp_path / "x.npy", tmp_path / "y.npz", trace=True)
    assert done.accuracy is None
    want = {**simulator.trace(X), "y": simulator.predict(X)}
    with np.load(tmp_path / "y.npz") as written:
        assert set(written.files) == set(want) == set(done.shapes)
        assert all(np.array_equal(written[name], array) for name, array in want.items())


def test_one_array_goes_into_npy(simulator: Simulator, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    simulate_file(simulator, tmp_path / "x.npy", tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy"), simulator.predict(X))
    with pytest.raises(BadInput, match=r"cannot hold \d arrays.*\.npz"):
        simulate_file(simulator, tmp_path / "x.npy", tmp_path / "all.npy", trace=True)
    assert not (tmp_path / "all.npy").exists()


def test_zarr_in_and_out(simulator: Simulator, block: int, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr, of the extra `scale`, is not installed")
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    group.create_array("x", data=X)
    group.create_array("y", data=LABELS)
    done = simulate_file(simulator, tmp_path / "x.zarr", tmp_path / "y.zarr")
    assert done.accuracy == accuracy(simulator.predict(X), LABELS)
    assert np.array_equal(zarr.open_group(tmp_path / "y.zarr", mode="r")["y"][:], simulator.predict(X))


def test_several_inputs_and_outputs_go_by_name(block: int, tmp_path: Path) -> None:
    simulator = two_ports()
    np.savez(tmp_path / "x.npz", x=X, z=X[::-1])
    simulate_file(simulator, tmp_path / "x.npz", tmp_path / "y.npz")
    want = simulator.predict([X, X[::-1]])
    with np.load(tmp_path / "y.npz") as written:
        assert written.files == [port.name for port in simulator.graph.outputs]
        assert all(np.array_equal(written[port], array) for port, array in zip(written.files, want, strict=True))
    np.savez(tmp_path / "short.npz", x=X, z=X[:5])
    with pytest.raises(BadInput, match="as many samples"):
        simulate_file(simulator, tmp_path / "short.npz")


def test_without_a_place_to_write_only_accuracy_is_told(simulator: Simulator, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X.astype(np.float64), y=LABELS)
    assert simulate_file(simulator, tmp_path / "x.npz").accuracy == accuracy(simulator.predict(X), LABELS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]


def test_a_bad_value_is_found_where_it_is(simulator: Simulator, block: int, tmp_path: Path) -> None:
    x = X.copy()
    x[17, 1] = np.nan
    np.savez(tmp_path / "x.npz", x=x)
    start = 17 - 17 % block
    expected = rf"x\.npz, input 'x': nan at index \({17 - start}, 1\), counted from sample {start}"
    with pytest.raises(BadInput, match=expected):
        simulate_file(simulator, tmp_path / "x.npz", tmp_path / "y.npz")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x": X[:, :2]}, r"x of shape \(23, 2\).*takes \(N, 3\)"),
        ({"y": LABELS}, "holds y, but no x"),
        ({"x": X[:0]}, "one sample or more"),
        ({"x": X.astype(str)}, "real numbers"),
        ({"x": X, "y": LABELS[:4]}, r"labels y of shape \(4,\)"),
    ],
)
def test_data_that_does_not_fit(
    simulator: Simulator, arrays: dict[str, np.ndarray], match: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(BadInput, match=match):
        simulate_file(simulator, tmp_path / "x.npz", tmp_path / "y.npz")
    assert not (tmp_path / "y.npz").exists()


def test_blocks_are_bounded_in_memory() -> None:
    graph = load(data_dir("examples/lenet_digits") / "model.onnx")
    one, many = Simulator(graph, workers=1), Simulator(graph, workers=1000)
    held = {False: [graph.inputs[0].tensor, graph.outputs[0].tensor], True: list(graph.tensors)}
    values = {trace: sum(prod(graph.tensors[name].shape) for name in names) for trace, names in held.items()}
    for trace in (False, True):
        assert 1 << 25 < block_samples(many, trace=trace) * values[trace] * 16 <= 1 << 26
    one.chunk = 3
    assert block_samples(one, trace=False) == 3 * 64
