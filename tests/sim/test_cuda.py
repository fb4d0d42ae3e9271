"""The torch engine's bits, on the processor: the same operators run on a GPU."""

# ruff: noqa: E402  (without torch there is nothing to import)

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput, MissingTool, ToolFailed
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.choice import Arithmetic
from fpgaflow.sim.cuda import TorchMachinery, cuda_runner, exact_products
from fpgaflow.sim.fast import OnnxRuntime
from fpgaflow.sim.reference import ReferenceRunner
from fpgaflow.sim.run import Simulator
from tests.graphs import graphs, random_inputs

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def no_other_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part in floats has to run in torch."""

    def refuse(*_: object) -> None:
        raise AssertionError("a float graph went to ONNX Runtime")

    monkeypatch.setattr(OnnxRuntime, "session", refuse)
    monkeypatch.setattr(OnnxRuntime, "product", refuse)


def assert_same(graph: Graph, seed: int, samples: int) -> None:
    values = random_inputs(graph, seed, samples)
    truth = ReferenceRunner(graph)(values, list(graph.tensors))
    runner = cuda_runner(graph, DEVICE)
    for wanted in ([port.tensor for port in graph.outputs], list(graph.tensors)):
        for name, array in runner(values, wanted).items():
            assert array.shape == truth[name].shape
            assert (array == truth[name]).all(), f"{name} differs"


@given(graphs(), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 3]))
@settings(max_examples=80)
def test_random_graphs(graph: Graph, seed: int, samples: int) -> None:
    assert_same(graph, seed, samples)


@given(graphs(narrow=True), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_random_graphs_of_small_widths(graph: Graph, seed: int) -> None:
    assert_same(graph, seed, 4)


def test_a_real_model_whole() -> None:
    graph = load(data_dir("examples/lenet_digits") / "model.onnx")
    x = np.load(data_dir("examples/lenet_digits") / "test.npz")["x"]
    simulator = Simulator(graph, "cuda", device=DEVICE)
    assert {entry.arithmetic for entry in simulator.explain()} == {Arithmetic.FLOAT32}
    assert np.array_equal(simulator.predict(x), Simulator(graph, "reference").predict(x))


@pytest.fixture
def careless() -> Iterator[None]:
    """A program that asked torch for quick and coarse arithmetic."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def test_the_programs_own_precision_neither_matters_nor_changes(careless: None) -> None:
    graph = load(data_dir("examples/lenet_digits") / "model.onnx")
    x = np.load(data_dir("examples/lenet_digits") / "test.npz")["x"][:20]
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        assert np.array_equal(
            Simulator(graph, "cuda", device=DEVICE).predict(x), Simulator(graph, "reference").predict(x)
        )
        assert torch.is_autocast_enabled(DEVICE)
    with exact_products():
        assert torch.backends.cuda.matmul.fp32_precision == torch.backends.mkldnn.matmul.fp32_precision == "ieee"
    assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.parametrize(("dtype", "kept"), [(torch.float32, torch.bfloat16), (torch.float64, torch.float32)])
def test_a_device_of_coarse_products_is_refused(
    dtype: torch.dtype, kept: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of products with ten bits of mantissa, as TF32 has them, or with 24 instead of 53."""
    product = torch.Tensor.__matmul__

    def coarse(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return product(left.to(kept).to(left.dtype), right) if left.dtype == dtype else product(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", coarse)
    with pytest.raises(ToolFailed, match="products are not exact"):
        TorchMachinery("cpu")


@pytest.mark.parametrize(
    ("device", "match"),
    [("cuda:99", r"torch sees \d+ CUDA GPUs"), ("gpu!", "no device of torch"), ("meta", "not supported")],
)
def test_devices_that_are_not_there(device: str, match: str) -> None:
    graph = load(data_dir("examples/lenet_digits") / "model.onnx")
    with pytest.raises(BadInput, match=match):
        Simulator(graph, "cuda", device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_default_device_is_refused() -> None:
    with pytest.raises(BadInput, match="torch sees 0 CUDA GPUs"):
        Simulator(load(data_dir("examples/lenet_digits") / "model.onnx"), "cuda")


def test_torch_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fpgaflow.sim.cuda")
    with pytest.raises(MissingTool, match=r"torch.*pip install"):
        Simulator(load(data_dir("examples/lenet_digits") / "model.onnx"), "cuda")
