"""Constant matrices as additions: the same numbers, of fewer additions than digits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.targets.rtl.unrolled.digits import digit_count, signed_digits
from fpgaflow.targets.rtl.unrolled.network import Network
from fpgaflow.targets.rtl.unrolled.share import shared_sums


@given(st.integers(-(1 << 40), 1 << 40))
def test_signed_digits(value: int) -> None:
    digits = signed_digits(value)
    assert sum(sign << place for place, sign in digits) == value
    places = [place for place, _ in digits]
    assert all(high - low >= 2 for low, high in pairwise(places))
    assert len(digits) <= value.bit_length() // 2 + 1
    assert digit_count(np.array([[value, -value]], dtype=object)) == 2 * len(digits)


def of_range(random: np.random.Generator, sources: list[tuple[int, int]], samples: int) -> np.ndarray:
    """Values of sources, the first samples their ends."""
    columns = [random.integers(low, high, samples, endpoint=True) for low, high in sources]
    values = np.stack(columns, axis=1).astype(object)
    values[0], values[1] = [low for low, _ in sources], [high for _, high in sources]
    return values


def assert_network(matrix: np.ndarray, sources: list[tuple[int, int]], offsets: list[int], seed: int) -> Network:
    network = shared_sums(matrix, sources, offsets)
    values = of_range(np.random.default_rng(seed), sources, 20)
    numbers = values + np.array(offsets, dtype=object)
    assert (network.evaluate(values) == numbers @ matrix.astype(object)).all()
    return network


@given(st.data())
def test_any_matrix(data: st.DataObject) -> None:
    taps, filters = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    bits = data.draw(st.sampled_from([1, 3, 6, 12, 40]))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    matrix = random.integers(-(1 << bits), 1 << bits, (taps, filters)) * random.integers(0, 2, (taps, filters))
    lows = random.integers(0, 4, taps).tolist()
    sources = [(low, low + int(more)) for low, more in zip(lows, random.integers(0, 1 << 9, taps), strict=True)]
    offsets = random.integers(-300, 300, taps).tolist()
    assert_network(matrix, sources, offsets, 0)


def test_what_columns_have_in_common_is_computed_once() -> None:
    matrix = np.array([[1, 2, -4, 0], [3, 6, -12, 1], [0, 5, 0, 0]])
    network = assert_network(matrix, [(0, 15)] * 3, [0] * 3, 1)
    # x + 3y of two additions serves three columns, and 5z has one, added with another.
    assert len(network.sums) == 4 and max(network.levels()) == 3


def test_a_dense_matrix_takes_few_additions() -> None:
    matrix = np.random.default_rng(0).integers(-7, 8, (24, 24))
    network = assert_network(matrix, [(0, 15)] * 24, [0] * 24, 2)
    assert len(network.sums) < 0.6 * digit_count(matrix)
    assert all(network.overlap(each) > 0 for each in network.sums[:20])
