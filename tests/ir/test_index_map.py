"""Index maps: what their tables say is what they are, and hardware that follows the tables beat by beat writes it."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.ir.graph import Ints
from fpgaflow.ir.index_map import BeatTables, beat_tables, places, windows_apart


def streamed(tables: BeatTables, x: Ints, in_size: int, out_size: int) -> list[int]:
    """What nnet_index_map.h does, step by step, with no more memory than it has; -1 for the padding."""
    if tables.serial:
        return streamed_serially(tables, x, out_size)
    kept = np.full((tables.depth, in_size), -9)
    beats, written, arrived = x.reshape(-1, in_size), 0, 0
    result: list[int] = []
    for _ in range(tables.steps):
        needed = tables.arrivals[written]
        if arrived < needed:
            kept[arrived % tables.depth] = beats[arrived]
            arrived += 1
        if arrived >= needed and written < len(tables.arrivals) - 1:
            for i in range(written * out_size, (written + 1) * out_size):
                period = len(tables.inner)
                beat, lane = tables.outer[i // period] + tables.inner[i % period]
                result.append(-1 if beat < 0 else int(kept[beat % tables.depth, lane]))
            written += 1
    assert (arrived, written) == (len(beats), len(tables.arrivals) - 1)
    return result


def streamed_serially(tables: BeatTables, x: Ints, out_size: int) -> list[int]:
    kept, written, arrived = np.full(tables.depth, -9), 0, 0
    result: list[int] = []
    for _ in range(tables.steps):
        needed = tables.arrivals[written]
        if arrived < needed:
            kept[arrived % tables.depth] = x[arrived]
            arrived += 1
        if arrived >= needed and written < len(tables.arrivals) - 1:
            period = len(tables.inner)
            element, lane = tables.outer[len(result) // period] + tables.inner[len(result) % period]
            result.append(-1 if element < 0 else int(kept[element % tables.depth]))
            assert lane == 0
            written = len(result) // out_size
    assert (arrived, written) == (len(x), len(tables.arrivals) - 1)
    return result


@st.composite
def index_maps(draw: st.DrawFn) -> tuple[Ints, tuple[int, ...]]:
    """Entries of a small tensor: takes and pads along axes, transposes, or any at all."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 3))))
    indices = places(shape)
    for axis in range(indices.ndim):
        if draw(st.booleans()):
            indices = np.take(indices, draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=6)), axis)
    if draw(st.booleans()):
        indices = np.pad(indices, [(draw(st.integers(0, 2)), draw(st.integers(0, 2)))] * indices.ndim)
        indices[0] = -1
    if draw(st.booleans()):
        indices = indices.transpose(draw(st.permutations(range(indices.ndim))))
    if draw(st.integers(0, 3)) == 0:
        indices = np.random.default_rng(draw(st.integers(0, 99))).permutation(indices.ravel()).reshape(indices.shape)
    return np.ascontiguousarray(indices), shape


@given(index_maps(), st.booleans())
def test_following_the_tables_gives_the_map(case: tuple[Ints, tuple[int, ...]], stream: bool) -> None:
    indices, shape = case
    in_size, out_size = (shape[-1], indices.shape[-1]) if stream else (prod(shape), indices.size)
    tables = beat_tables(indices, prod(shape), in_size, out_size)
    x = np.arange(prod(shape)) + 100
    expected = np.where(indices.ravel() < 0, -1, x[indices.ravel()])
    assert streamed(tables, x, in_size, out_size) == expected.tolist()
    assert tables.depth & (tables.depth - 1) == 0 and tables.banks in (1, tables.depth)


@pytest.mark.parametrize(
    ("indices", "shape", "expected"),
    [
        (places((4, 6, 3))[1:3, 2:5], (4, 6, 3), (1, 24, 6 + 3)),  # a crop keeps one pixel
        (places((4, 6, 3)).repeat(2, 0).repeat(2, 1), (4, 6, 3), (8, 96, 8 * 12 + 3)),  # a row; all is written out
        (np.pad(places((4, 6, 3)), ((1, 1), (1, 1), (0, 0)), constant_values=-1), (4, 6, 3), (1, 48, 48 + 3)),
        (windows_apart((6, 6, 2), (3, 3), (1, 1)), (6, 6, 2), (16, 144, 0)),  # two rows and a pixel more
    ],
)
def test_memory_and_tables_are_small(indices: Ints, shape: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    """(beats that are kept, entries of `outer` at most, with those of `inner`)."""
    tables = beat_tables(indices, prod(shape), shape[-1], indices.shape[-1])
    depth, pixels, _ = expected
    assert tables.depth == depth and tables.banks == 1
    assert len(tables.outer) <= pixels and len(tables.inner) == shape[-1]
    assert tables.steps <= max(prod(shape[:-1]), len(tables.outer)) * 2


@pytest.mark.parametrize("perm", [(1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_large_transposes_go_through_one_memory(perm: tuple[int, ...]) -> None:
    shape = (3, 16, 16)
    indices = places(shape).transpose(perm)
    tables = beat_tables(indices, 768, 16, indices.shape[-1])
    assert tables.serial and tables.banks == 1 and tables.depth == 1024
    assert len(tables.outer) + len(tables.inner) < 300
    assert streamed(tables, np.arange(768), 16, indices.shape[-1]) == indices.ravel().tolist()


def test_the_windows_of_a_pooling_lie_side_by_side() -> None:
    x = places((5, 4, 1))
    apart = windows_apart((5, 4, 1), (3, 2), (2, 2))
    assert apart.shape == (6, 4, 1)
    for row, column in np.ndindex(2, 2):
        window = apart[3 * row : 3 * row + 3, 2 * column : 2 * column + 2]
        np.testing.assert_array_equal(window, x[2 * row : 2 * row + 3, 2 * column : 2 * column + 2])
