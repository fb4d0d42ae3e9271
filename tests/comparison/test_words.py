"""How figures read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.comparison.figures import Key, Limit, Unit
from fpgaflow.comparison.words import GROUPS, LABELS, shown, si
from tests.comparison.reports import figure


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (17.46e-6, Unit.SECONDS, "17.5 µs"),
        (999.6e-6, Unit.SECONDS, "1.00 ms"),
        (0, Unit.JOULES, "0 J"),
        (1.2345, Unit.WATTS, "1.23 W"),
        (100e6, Unit.HERTZ, "100 MHz"),
        (57268.135, Unit.PER_SECOND, "57,268 /s"),
        (159.2e6, Unit.PER_SECOND, "159 M/s"),
        (0.8250, Unit.SHARE, "82.50 %"),
        (1678, Unit.DOLLARS, "$1,678"),
        (5193, Unit.COUNT, "5,193"),
        (26.5, Unit.COUNT, "26.5"),
        (97344, Unit.BYTES, "95.1 KiB"),
        (12, Unit.BYTES, "12 B"),
    ],
)
def test_shown(value: float, unit: Unit, text: str) -> None:
    assert shown(figure(value, unit)) == text


def test_a_bound_says_so() -> None:
    assert shown(figure(6e-6, Unit.SECONDS, limit=Limit.AT_LEAST)) == "≥ 6.00 µs"


@given(st.floats(1e-12, 1e14))
def test_three_digits_are_right(value: float) -> None:
    number, unit = si(value, "s").split(" ")
    factor = {"ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "ks": 1e3, "Ms": 1e6, "Gs": 1e9, "Ts": 1e12}[
        unit
    ]
    assert float(number.replace(",", "")) * factor == pytest.approx(value, rel=0.0051)


def test_every_figure_has_a_name_and_a_place() -> None:
    placed = [key for _, keys in GROUPS for key in keys]
    assert sorted(placed) == sorted(Key) and LABELS.keys() == set(Key)
