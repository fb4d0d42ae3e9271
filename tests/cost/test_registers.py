"""The schedule that flip-flops follow: a slower clock holds less, and some figures are those of reports."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.cost.hls_layers import ConstantLayer, FoldedLayer, LaneLayer
from fpgaflow.cost.registers import Clock

ZYNQ, PLUS = Clock(5, 1.35), Clock(5, 1.35, ultrascale=True)
LAYER = ConstantLayer(nonzero=451, wide_products=0, shift_adders=318, n_in=64, n_out=32, a=6, w=6, acc=16)


def test_the_clock_of_a_part() -> None:
    assert Clock.of("xc7z020clg400-1", 100) == Clock(10, 2.7)
    assert Clock.of("xck26-sfvc784-2LV-c", 200).ultrascale and Clock.of("xcu50-fsvh2104-2-e", 200).budget == 3.65
    assert Clock(2.5, 3.12).budget == inf


def test_a_faster_clock_cuts_a_tree_of_sums_more_often() -> None:
    found = [LAYER.ffs(Clock(period, 0.27 * period)) for period in (40, 10, 5, 2.5)]
    assert found == sorted(found) and found[0] == 32 * 16 < found[-1], "results alone where all fits a cycle"
    assert LAYER.ffs(PLUS) < LAYER.ffs(ZYNQ)


def test_wide_products_are_pipelined_where_they_take_more_than_a_cycle() -> None:
    wide = replace(LAYER, a=16, wide_products=451, shift_adders=0)
    assert wide.ffs(ZYNQ) - wide.ffs(replace(ZYNQ, ultrascale=True)) >= 451 * 69


@pytest.mark.parametrize(
    ("a", "cast", "clock", "bits"),
    [
        (16, False, Clock(5, 0.62, ultrascale=True), 0),  # svhn-pruned: 18 flip-flops
        (16, True, Clock(5, 0.62, ultrascale=True), 0),  # svhn-6bit: 18
        (23, True, PLUS, 6),  # pulse-conv1d: 205 for 32 lanes
        (32, False, Clock(5, 0.62), 64),  # autoencoder: 597 for 8
    ],
)
def test_cuts_of_a_relu(a: int, cast: bool, clock: Clock, bits: int) -> None:
    out = 6 if cast else a
    found = [LaneLayer("relu", lanes, a, out, cast=cast).ffs(clock) for lanes in (8, 9)]
    assert found[1] - found[0] == bits


def test_a_pooling_holds_its_window() -> None:
    pool = LaneLayer("pool", 8, 32, 32, window=(2, 2)).ffs(Clock(5, 0.62))
    assert pool == pytest.approx(2870, rel=0.02), "autoencoder: 2870"


@given(st.integers(1, 64), st.integers(1, 64), st.integers(2, 24), st.integers(1, 16))
def test_a_folded_layer_keeps_inputs_and_sums(n_in: int, n_out: int, a: int, w: int) -> None:
    layer = FoldedLayer(n_in=n_in, n_out=n_out, reuse=n_in, a=a, w=w, acc=a + w, top=w)
    assert layer.ffs(ZYNQ) >= n_in * a + 2 * n_out * (a + w)
