"""Gate, Pareto front, winners, verdict, and what stands beside published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.compare.figures import Key, Limit, Provenance, Unit
from fpgaflow.compare.judge import beside_published, front, gate, verdict, winner
from fpgaflow.compare.page.render import pairs_of
from fpgaflow.compare.results import Comparison, Kind
from tests.compare.reports import figure, figures, report, target


def test_one_gate_for_all() -> None:
    good, worse, wrong = target("a"), target("b", accuracy=0.889), target("c", different=2)
    failed = target("d", failure="does not fit")
    every = (good, worse, wrong, failed)
    passed = {each.name: gate(each, every, 0.01).passed for each in every}
    assert passed == {"a": True, "b": False, "c": False, "d": False}
    assert gate(worse, every, 0.02).passed
    assert gate(good, (good, target("yardstick", accuracy=1, competes=False)), 0.01).passed  # which sets no bar
    assert "2 of 30" in gate(wrong, every, 1).why
    assert gate(failed, every, 1).why == "does not fit"


def test_what_nobody_knows_does_not_pass() -> None:
    known = target("known")
    speed = replace(target("speed", chain=()), figures=figures({Key.LATENCY_P50: 1e-9}, Provenance.MEASURED))
    assert not gate(speed, (known, speed), 0.01).passed and not gate(speed, (speed,), 0.01).passed
    bits = replace(speed, chain=known.chain)
    assert gate(bits, (known, bits), 0.01).passed and gate(bits, (bits,), 0.01).passed


def test_the_gate_s_edge_is_inside() -> None:
    """0.9 - 0.01 is not what 0.89 is in binary."""
    assert gate(target("b", accuracy=0.89), (target("a"), target("b", accuracy=0.89)), 0.01).passed


def test_a_difference_with_an_excuse_passes() -> None:
    step = Comparison("QONNX", "simulator", 10, 30, figure(1, Unit.COUNT), "float32 rounds")
    assert gate(target(chain=(step,)), (), 0.01).passed


coordinate = st.sampled_from([1.0, 2.0, 3.0, 4.0])


@given(st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    targets = [target(f"t{i}", latency=x, energy=y) for i, (x, y) in enumerate(points)]
    best = front(targets)
    for i, (x, y) in enumerate(points):
        beaten = any((a < x and b <= y) or (a <= x and b < y) for a, b in points)
        assert (f"t{i}" in best) != beaten


def test_bounds_and_yardsticks_win_nothing() -> None:
    ours = target("ours")
    bound = target("bound", Kind.GPU, latency=1e-9, energy=1e-12, rate=1e12, limit=Limit.AT_LEAST)
    yardstick = target("yardstick", latency=1e-9, energy=1e-12, rate=1e12, competes=False)
    made = report(ours, bound, yardstick)
    assert front(made.targets) == {"ours"}
    assert winner([ours, bound], Key.LATENCY_P50) is ours
    text = verdict(made)
    assert text.startswith("ours answers soonest (10.0 µs, simulated), takes the least energy")
    assert "By data sheet alone bound could answer sooner" in text
    assert "yardstick" not in text


def test_fpga_or_gpu() -> None:
    fpga, gpu = target("fpga"), target("gpu", Kind.GPU, latency=4e-5, energy=2e-3)
    assert "fpga is 4 times as fast as gpu; gpu takes 1,000 times the energy of fpga" in verdict(report(fpga, gpu))
    assert "gpu is 4 times as fast as fpga" in verdict(
        report(replace(fpga, name="fpga"), target("gpu", Kind.GPU, 2.5e-6))
    )
    slow_at_best = target("gpu", Kind.GPU, latency=4e-5, limit=Limit.AT_LEAST)
    assert "fpga is at least 4 times as fast as gpu" in verdict(report(fpga, slow_at_best))


def test_estimates_that_decide_are_called_so() -> None:
    weak = figures({Key.LATENCY_P50: 1e-6}, Provenance.ESTIMATED)
    made = target()
    text = verdict(report(replace(made, figures={**made.figures, **weak})))
    assert "(1.00 µs, estimated)" in text and text.endswith("Estimates decide here: measure before you buy.")


def test_one_target_has_no_rivals() -> None:
    assert verdict(report(target("fpga"))).startswith(
        "fpga answers (10.0 µs, simulated), takes energy for an answer (2.00"
    )


def test_no_target_passes() -> None:
    assert verdict(report(target(failure="does not fit"))).startswith("No target passes")


@pytest.mark.parametrize("name", ["pynq-z2", "pynq-z2, 4 bits"])
def test_beside_published(name: str) -> None:
    ours = target(name, rate=3e4)
    theirs = target("FINN on pynq-z2", competes=False)
    theirs = replace(theirs, figures=figures({Key.RATE: 6e4, Key.LATENCY_P50: 2e-5}, Provenance.PUBLISHED))
    targets = (ours, theirs, target("zcu104"))
    ratios = beside_published(targets, pairs_of(targets))
    assert {(r.ours, r.theirs, r.what): r.ratio for r in ratios} == {
        (name, "FINN on pynq-z2", "samples a second, ours back to back"): 0.5,
        (name, "FINN on pynq-z2", "latency of one sample"): 0.5,
    }
