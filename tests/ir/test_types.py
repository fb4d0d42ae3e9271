from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.ir.types import FixedType, type_for


@pytest.mark.parametrize(
    ("type_", "low", "high", "text"),
    [
        (FixedType(True, 1, 0), -1, 0, "fixed<1,1>"),
        (FixedType(False, 1, 0), 0, 1, "ufixed<1,1>"),
        (FixedType(True, 8, 3), -128, 127, "fixed<8,5>"),
        (FixedType(False, 4, 7), 0, 15, "ufixed<4,-3>"),
        (FixedType(True, 70, -2), -(2**69), 2**69 - 1, "fixed<70,72>"),
    ],
)
def test_ranges(type_: FixedType, low: int, high: int, text: str) -> None:
    assert (type_.low, type_.high, str(type_)) == (low, high, text)


def test_scale() -> None:
    assert FixedType(True, 8, 3).scale == 0.125
    assert FixedType(True, 8, -3).scale == 8.0


@pytest.mark.parametrize("width", [0, -1])
def test_no_bits(width: int) -> None:
    with pytest.raises(ValueError, match="at least 1 bit"):
        FixedType(True, width, 0)


@given(st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70), st.integers(-9, 9))
def test_narrowest_type(one: int, other: int, fraction: int) -> None:
    low, high = sorted((one, other))
    type_ = type_for(low, high, fraction)
    assert type_.low <= low and high <= type_.high
    assert type_.signed == (low < 0)
    assert type_.fraction == fraction
    if type_.width > 1:
        narrower = FixedType(type_.signed, type_.width - 1, fraction)
        assert low < narrower.low or high > narrower.high


def test_empty_range() -> None:
    with pytest.raises(ValueError, match="empty range"):
        type_for(1, 0, 0)
