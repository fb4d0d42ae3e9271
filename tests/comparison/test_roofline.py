"""Work counted in graphs, and what data sheets allow for it."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from fpgaflow.comparison.figures import Key, Limit, Provenance
from fpgaflow.comparison.results import Kind
from fpgaflow.comparison.roofline import OFFLINE_BATCH, device, devices, roofline, transfer_seconds
from fpgaflow.comparison.work import Work, work_of
from fpgaflow.data import data_dir
from fpgaflow.frontend.load import load
from fpgaflow.ir.store import load_graph

WORK = Work(macs=10_000_000, weights=1_000_000, weight_bits=4_000_000, io_elements=3_000, products=4, kernels=5)


def test_lenet_s_work() -> None:
    """By hand: LeCun et al., 1998, figure 2, with C3 fully connected."""
    work = work_of(load(data_dir("examples/lenet_digits") / "model.onnx"))
    conv = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150
    dense = 400 * 120 + 120 * 84 + 84 * 10
    assert work.macs == conv + dense
    assert work.weights == 6 * 25 + 16 * 150 + dense and work.weight_bits == 4 * work.weights
    assert work.io_elements == prod((1, 32, 32)) + 10 and (work.products, work.kernels) == (5, 7)


def test_the_perceptron_s_work(finished: Path) -> None:
    work = work_of(load_graph(finished / "build" / "graph.json"))
    assert (work.macs, work.weights, work.io_elements, work.kernels) == (42, 42, 7, 2)


@pytest.mark.parametrize("name", devices())
def test_bounds(name: str) -> None:
    found = device(name)
    figures = roofline(found, WORK)
    overhead = {Kind.GPU: 2.5e-6 + 5 * 0.5e-6, Kind.TPU: 4 * 122e-9 if name == "tpu-v4" else 0}[found.kind]
    one = max(2e7 / found.int8_ops, 3_000 / found.bytes_per_second) + overhead
    assert figures[Key.LATENCY_P50].value == pytest.approx(one)
    assert figures[Key.LATENCY_P50].limit is Limit.AT_LEAST and figures[Key.THROUGHPUT].limit is Limit.AT_MOST
    assert figures[Key.THROUGHPUT].value >= 0.999 / one and figures[Key.THROUGHPUT].value <= found.int8_ops / 2e7
    chip = found.scope == "chip"
    energy = figures[Key.ENERGY_SINGLE if chip else Key.ENERGY_SINGLE_BOARD]
    assert energy.value == pytest.approx(found.watts * one) and energy.limit is Limit.ROUGH
    assert (Key.ENERGY_SINGLE_BOARD in figures, Key.POWER_BOARD in figures) == (not chip, not chip)  # never mixed
    assert {f.provenance for f in figures.values()} <= {Provenance.ESTIMATED, Provenance.PUBLISHED, Provenance.DEFINED}
    assert found.source in figures[Key.LATENCY_P50].source and str(OFFLINE_BATCH) in figures[Key.THROUGHPUT].source


def test_weights_beyond_the_chip_are_fetched() -> None:
    found = device("edge-tpu")
    small, large = replace(WORK, weights=8_000_000), replace(WORK, weights=9_000_000)
    times = [roofline(found, work)[Key.LATENCY_P50].value for work in (WORK, small, large)]
    assert times[0] == times[1] and times[2] == pytest.approx((9_000_000 + 3_000) / 500e6)


def test_a_systolic_array_s_depth_is_its_data_sheet_s() -> None:
    """275 TOPS are 8 arrays of 128 x 128 multiply-adds at 1,050 MHz, and a result passes 128 of them."""
    found = device("tpu-v4")
    assert found.int8_ops == pytest.approx(2 * 8 * 128 * 128 * 1.05e9, rel=1e-2)
    assert found.product_s == pytest.approx(128 / 1.05e9, rel=1e-2)


def test_transfers_are_known() -> None:
    assert transfer_seconds(device("h200"), WORK) == pytest.approx(3000 / 64e9)
