"""Gate, Pareto front, winners, verdict, and what stands beside published figures."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.comparison.figures import Key, Limit, Provenance, Unit
from fpgaflow.comparison.judge import caveats, decision, front, gate, verdict, winner
from fpgaflow.comparison.results import Comparison, Kind, Target
from tests.comparison.reports import figure, figures, report, target


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
    weakly = replace(made, figures={**made.figures, **weak})
    assert verdict(report(weakly, target("other"))).endswith("Estimates decide here: measure before you buy.")
    assert caveats(report(weakly)) == "Only a board can confirm estimates."


def test_one_target_has_no_rivals() -> None:
    assert verdict(report(target("fpga"))) == (
        "fpga answers in 10.0 µs (simulated), takes 2.00 µJ (simulated) per answer and does 50,000 /s (simulated) "
        "back to back."
    )


def test_the_cheapest_board_is_named() -> None:
    """Once for each board, however many settings it has; where a price is missing nobody is the cheapest."""

    def priced(name: str, usd: float) -> Target:
        made = target(name.partition(",")[0])
        cost = figure(usd, Unit.DOLLARS, Provenance.ESTIMATED, Limit.ROUGH)
        return replace(made, name=name, figures={**made.figures, Key.COST: cost})

    rows = (priced("small, 2 bits", 100), priced("small, 4 bits", 100), priced("large, 4 bits", 900))
    assert "Of the 2 boards that pass, small costs least (~ $100, estimated)." in verdict(report(*rows))
    assert "costs least" not in verdict(report(*rows[:2]))
    assert "costs least" not in verdict(report(*rows, target("unpriced")))


def test_a_clock_that_nobody_met_is_told() -> None:
    made = target("fpga")
    asked = replace(made, figures={**made.figures, Key.CLOCK: figure(1e8, Unit.HERTZ, Provenance.DEFINED)})
    met = replace(asked, figures={**asked.figures, Key.FMAX: figure(2e8, Unit.HERTZ, Provenance.SYNTHESISED)})
    assert "The clock of fpga is only asked for: place and route has to confirm" in verdict(report(asked))
    assert "clock" not in verdict(report(met)) and "clock" not in verdict(report(made))


def test_the_tail_may_have_another_winner() -> None:
    """A processor is quick at the median and late now and then; hardware takes the same time always."""
    fast, even = target("cpu", Kind.CPU, latency=1e-6), target("fpga", latency=5e-6, energy=1e-6)
    tail = {"cpu": 9e-5, "fpga": 5e-6}
    rows = [
        replace(t, figures={**t.figures, Key.LATENCY_P99: figure(tail[t.name], Unit.SECONDS)}) for t in (fast, even)
    ]
    assert decision(report(*rows)).startswith(
        "cpu answers soonest (1.00 µs, simulated) and does most in batches (50,000 /s, simulated). "
        "fpga answers soonest at the 99th percentile (5.00 µs, simulated) and takes the least energy"
    )
    assert "percentile" not in decision(report(rows[1], fast))  # nobody knows the other's tail


def test_a_verdict_is_decision_and_caveats() -> None:
    made = report(target("ours"), target("bound", Kind.GPU, latency=1e-9, limit=Limit.AT_LEAST))
    assert verdict(made) == f"{decision(made)} {caveats(made)}" and caveats(made).startswith(
        "By data sheet alone bound"
    )
    assert caveats(report(target("a"), target("b"))) == ""


def test_no_target_passes() -> None:
    assert verdict(report(target(failure="does not fit"))).startswith("No target passes")
