"""Work counted in graphs, and what data sheets allow for it."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest

from fpgaflow.compare.figures import Key, Limit, Provenance
from fpgaflow.compare.results import Kind
from fpgaflow.compare.roofline import OFFLINE_BATCH, device, devices, roofline, transfer_seconds
from fpgaflow.compare.work import Work, work_of
from fpgaflow.data import data_dir
from fpgaflow.frontend.load import load
from fpgaflow.ir.store import load_graph

WORK = Work(macs=10_000_000, weights=1_000_000, weight_bits=4_000_000, io_elements=3_000, kernels=5)


def test_lenet_s_work() -> None:
    """By hand: LeCun et al., 1998, figure 2, with C3 fully connected."""
    work = work_of(load(data_dir("examples/lenet_digits") / "model.onnx"))
    conv = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150
    dense = 400 * 120 + 120 * 84 + 84 * 10
    assert work.macs == conv + dense
    assert work.weights == 6 * 25 + 16 * 150 + dense and work.weight_bits == 4 * work.weights
    assert work.io_elements == prod((1, 32, 32)) + 10 and work.kernels == 7


def test_the_perceptron_s_work(finished: Path) -> None:
    work = work_of(load_graph(finished / "build" / "graph.json"))
    assert (work.macs, work.weights, work.io_elements, work.kernels) == (42, 42, 7, 2)


@pytest.mark.parametrize("name", devices())
def test_bounds(name: str) -> None:
    found = device(name)
    figures = roofline(found, WORK)
    overhead = (2.5 + 5 * 0.5) * 1e-6 if found.kind is Kind.GPU else 0
    one = max(2e7 / found.int8_ops, 1_003_000 / found.bytes_per_second) + overhead
    assert figures[Key.LATENCY_P50].value == pytest.approx(one)
    assert figures[Key.LATENCY_P50].limit is Limit.AT_LEAST and figures[Key.THROUGHPUT].limit is Limit.AT_MOST
    assert figures[Key.THROUGHPUT].value > 1 / one and figures[Key.THROUGHPUT].value <= found.int8_ops / 2e7
    chip = found.scope == "chip"
    energy = figures[Key.ENERGY_SINGLE if chip else Key.ENERGY_SINGLE_BOARD]
    assert energy.value == pytest.approx(found.watts * one) and energy.limit is Limit.ROUGH
    assert (Key.ENERGY_SINGLE_BOARD in figures, Key.POWER_BOARD in figures) == (not chip, not chip)  # never mixed
    assert {f.provenance for f in figures.values()} <= {Provenance.ESTIMATED, Provenance.PUBLISHED, Provenance.DEFINED}
    assert found.source in figures[Key.LATENCY_P50].source and str(OFFLINE_BATCH) in figures[Key.THROUGHPUT].source


def test_transfers_are_known() -> None:
    assert transfer_seconds(device("h200"), WORK) == pytest.approx(3000 / 64e9)
