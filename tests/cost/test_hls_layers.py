"""The rules that reports of C synthesis obey exactly, and the coefficients, which are those of the reports."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.cost.coefficients import COEFFICIENTS
from fpgaflow.cost.hls_layers import (
    FoldedLayer,
    constant_layer,
    fifo_blocks,
    product_dsps,
    rom_blocks,
    signed_digits,
)

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def estimates() -> ModuleType:
    """benchmarks/estimates.py"""
    pytest.importorskip("scipy")
    spec = importlib.util.spec_from_file_location("fpgaflow_benchmark_estimates", BENCHMARKS / "estimates.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


def test_the_coefficients_are_those_of_the_reports(estimates: ModuleType) -> None:
    designs = json.loads((BENCHMARKS / "data" / "hls_reports.json").read_text())["designs"]
    fitted = estimates.fit(designs)
    assert set(fitted) == set(COEFFICIENTS)
    for name, values in fitted.items():
        assert values == pytest.approx(COEFFICIENTS[name], rel=2e-3, abs=1e-3)


def test_dsps_and_block_rams_are_exact_on_every_report(estimates: ModuleType) -> None:
    """No coefficient is in them: this holds for designs that nobody fitted anything to."""
    count = 0
    for design in json.loads((BENCHMARKS / "data" / "hls_reports.json").read_text())["designs"]:
        for layer in design["layers"]:
            guess = estimates.estimated(layer, design, {})
            for name in ("dsp", "bram18"):
                if name in guess and name in layer["measured"]:
                    assert guess[name] == layer["measured"][name], (design["name"], layer)
                    count += 1
    assert count > 100


@pytest.mark.parametrize(
    ("value", "digits"), [(0, 0), (1, 1), (-8, 1), (3, 2), (7, 2), (6, 2), (11, 3), (13, 3), (-45, 4), (255, 2)]
)
def test_signed_digits(value: int, digits: int) -> None:
    assert signed_digits(value) == digits


@given(st.integers(-(2**40), 2**40))
def test_signed_digits_are_never_more_than_the_binary_ones(value: int) -> None:
    assert signed_digits(value) <= abs(value).bit_count() + (value == 0) and signed_digits(2 * value) == signed_digits(
        value
    )


@pytest.mark.parametrize(
    ("a", "w", "dsps"),
    [(9, 9, 0), (10, 3, 1), (16, 7, 1), (25, 18, 1), (18, 25, 1), (26, 18, 2), (32, 32, 4), (32, 19, 2)],
)
def test_dsps_of_a_product(a: int, w: int, dsps: int) -> None:
    assert product_dsps(a, w) == product_dsps(w, a) == dsps


@pytest.mark.parametrize(
    ("words", "bits", "blocks"),
    [
        (64, 16, 0),
        (64, 111, 4),
        (64, 224, 7),
        (32, 35, 1),
        (512, 36, 1),
        (513, 36, 2),
        (1025, 9, 1),
        (16384, 1, 1),
        (7840, 59, 27),
        (40000, 10, 23),
        (307200, 32, 544),
    ],
)
def test_blocks_of_a_memory(words: int, bits: int, blocks: int) -> None:
    assert rom_blocks(words, bits) == blocks


@pytest.mark.parametrize(
    ("depth", "bits", "blocks"), [(1, 999, 0), (32, 64, 0), (40, 384, 22), (80, 20, 2), (1024, 18, 1), (1156, 32, 4)]
)
def test_blocks_of_a_fifo(depth: int, bits: int, blocks: int) -> None:
    assert fifo_blocks(depth, bits) == blocks


@given(st.integers(1, 20000), st.integers(1, 500))
def test_a_memory_holds_its_bits(words: int, bits: int) -> None:
    blocks = rom_blocks(words, bits)
    assert blocks * 18 * 1024 + (words * bits if not blocks else 0) >= words * bits


def test_equal_products_of_an_input_are_shared() -> None:
    weights = np.array([[11, 11, -11, 3], [11, 0, 4, 45]])
    layer = constant_layer(weights, 16, 8, 20)
    assert (layer.nonzero, layer.wide_products, layer.shift_adders) == (7, 4, 1)
    narrow = constant_layer(weights, 8, 8, 20)
    assert (narrow.wide_products, narrow.shift_adders) == (0, 2 + 2 + 1 + 2 + 0 + 3)


def test_the_last_multiplier_is_as_wide_as_its_weights() -> None:
    layer = FoldedLayer(n_in=36, n_out=4, reuse=36, a=32, w=32, acc=32, top=18, window_bits=1152)
    assert (layer.multipliers, layer.dsp, layer.memory_bits) == (4, 14, 114)


def test_a_reuse_factor_beyond_the_inputs_adds_a_table_and_a_large_one_waits_for_it() -> None:
    within = FoldedLayer(n_in=100, n_out=100, reuse=100, a=8, w=8, acc=20, top=8)
    beyond = FoldedLayer(n_in=100, n_out=100, reuse=10_000, a=16, w=16, acc=16, top=11)
    assert (within.blocks, within.index_cycles) == (rom_blocks(100, 800), 0)
    assert (beyond.blocks, beyond.index_cycles) == (7 + 6, 0)
    large = FoldedLayer(n_in=784, n_out=100, reuse=39_200, a=16, w=16, acc=16, top=10)
    assert (large.blocks, large.reuse + large.index_cycles) == (59 + 72, 823_200)
