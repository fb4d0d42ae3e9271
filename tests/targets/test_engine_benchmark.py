"""The parts of benchmarks/engines.py that a processor can run. No figure is asserted."""

from __future__ import annotations

import importlib
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import fpgaflow
from fpgaflow.data import data_dir

torch = pytest.importorskip("torch", reason="torch: pip install 'fpgaflow[train]'")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LENET = data_dir("examples/lenet_digits")


@pytest.fixture(scope="module")
def engines() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("engines")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def net(engines: ModuleType) -> object:
    graph = fpgaflow.load(LENET / "model.onnx")
    return engines.Net("LeNet-5, 4 bits", graph, None, np.load(LENET / "test.npz")["x"][:20])


def test_the_float_network_has_the_shapes(engines: ModuleType, net: object) -> None:
    module = engines.TorchNet(net.graph)  # type: ignore[attr-defined]
    with torch.inference_mode():
        y = module(torch.zeros(3, *module.shape))
    assert tuple(y.shape) == (3, 10)


def test_a_row(engines: ModuleType, net: object, tmp_path: Path) -> None:
    found = engines.row(net, engines.contenders()["onnxruntime"], 4, 0.01, tmp_path)
    assert (found.batch, found.different, found.values, found.why_not) == (4, 0, 200, None)
    assert found.p50_s > 0 and found.samples_per_second > 0


def test_what_cannot_be_measured_is_told(engines: ModuleType, net: object, tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise fpgaflow.errors.MissingTool("a tool", "is not here", "Get it")

    found = engines.row(net, engines.Contender("x", fails), 4, 0.01, tmp_path)
    assert found.why_not == "a tool: is not here. Get it"
    text = engines.table([found], "a device", "2026-01-01")
    assert "- LeNet-5, 4 bits, x, batch 4: a tool: is not here. Get it" in text


def test_the_table_and_its_verdicts(engines: ModuleType) -> None:
    def row(engine: str, batch: int, rate: float, p50: float) -> object:
        return engines.Row("MLP", engine, batch, p50, 2 * p50, p50 / 2, 3 * p50, rate, 1e-6, 0, 320)

    rows = [
        row("torch float16", 4096, 1e6, 4e-3),
        row("triton int8", 4096, 2.5e6, 2e-3),
        row("triton fp8", 1, 1e5, 1.2e-5),
    ]
    assert engines.verdicts(rows) == [
        "MLP, batch 4096: triton int8 is 2.50 times torch float16",
        "MLP, batch 1: triton fp8 takes 12.0 µs",
    ]
    text = engines.table(rows, "a device", "2026-01-01")
    assert "# Engines on a device" in text and "Measured on 2026-01-01" in text
    cells = "| MLP | triton fp8 | 1 | 12.0 µs | 24.0 µs | 6.0 µs | 36.0 µs | 100,000 | 1.00 µJ | 0 of 320 |"
    assert cells in text.splitlines()
    assert engines.Row(**asdict(rows[0])) == rows[0]
