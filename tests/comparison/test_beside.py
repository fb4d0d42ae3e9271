"""Ours beside what others published."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fpgaflow.comparison.beside import beside_published, beside_text
from fpgaflow.comparison.figures import Key, Provenance
from fpgaflow.comparison.results import Target
from tests.comparison.reports import figures, target


def published(rate: float, latency: float, name: str = "FINN on pynq-z2") -> Target:
    theirs = figures({Key.RATE: rate, Key.LATENCY_P50: latency}, Provenance.PUBLISHED)
    return replace(target(name, competes=False), figures=theirs)


@pytest.mark.parametrize("name", ["pynq-z2", "pynq-z2, 4 bits"])
def test_the_same_board_stands_beside(name: str) -> None:
    ratios = beside_published((target(name, rate=3e4), published(6e4, 2e-5), target("zcu104")))
    assert {(r.ours, r.theirs, r.what): (r.ratio.value, r.standing) for r in ratios} == {
        (name, "FINN on pynq-z2", "samples a second, ours back to back"): (0.5, "behind"),
        (name, "FINN on pynq-z2", "latency of one sample"): (0.5, "better"),
    }
    assert {r.ratio.provenance for r in ratios} == {Provenance.PUBLISHED}  # the weaker of simulated and published
    assert beside_text(ratios) == (
        f"Against FINN on pynq-z2, {name} is better in latency of one sample (0.500 ×); "
        "behind in samples a second, ours back to back (0.500 ×)."
    )


def test_others_do_not() -> None:
    assert beside_published((target("zcu104"), published(6e4, 2e-5))) == ()
    assert beside_published((target("pynq-z2"),)) == () and beside_text(()) == ""


def test_a_hair_is_even() -> None:
    ratios = beside_published((target("pynq-z2", rate=1000, latency=2e-5), published(1001, 2e-5)))
    assert [ratio.standing for ratio in ratios] == ["even", "even"]
