"""The driver's quantiser on the board against the definition, in fractions, and against the simulator."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import quantise as sim_quantise
from fpgaflow.targets.interface import Interface, interface_for, to_json
from tests.targets.hls.test_firmware_board import SOURCES, load


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What drivers share."""
    folder = tmp_path_factory.mktemp("driver")
    for name in ("fpgaflow_driver.py", "fpgaflow_samples.py", "selftest.py"):
        shutil.copy(SOURCES / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        load(folder, ModuleType("pynq"), patch)
        yield sys.modules["fpgaflow_samples"]


def by_definition(x: float, port: Input, type_: FixedType) -> int:
    """overflow(round(x × gain + offset)) as UG1399 words it, in fractions."""
    value = Fraction(x) * port.gain + port.offset
    floor = value.numerator // value.denominator
    below, above = value - floor, floor + 1 - value
    nearest = floor if below < above else floor + 1
    tie = below == above
    match port.rounding:
        case Rounding.TRN:
            level = floor
        case Rounding.TRN_ZERO:
            level = floor if value >= 0 or below == 0 else floor + 1
        case Rounding.RND:
            level = floor + 1 if tie else nearest
        case Rounding.RND_MIN_INF:
            level = floor if tie else nearest
        case Rounding.RND_INF:
            level = (floor + 1 if value > 0 else floor) if tie else nearest
        case Rounding.RND_ZERO:
            level = (floor if value > 0 else floor + 1) if tie else nearest
        case Rounding.RND_CONV:
            level = (floor if floor % 2 == 0 else floor + 1) if tie else nearest
    if port.overflow is Overflow.WRAP:
        level %= 1 << type_.width
        return level - (1 << type_.width) if level > type_.high else level
    low = max(port.low, -type_.high) if port.overflow is Overflow.SAT_SYM and type_.signed else port.low
    if port.overflow is Overflow.SAT_ZERO:
        return level if low <= level <= port.high else 0
    return min(max(level, low), port.high)


GAINS = (Fraction(1, 2), Fraction(8), Fraction(15), Fraction(3, 7), 1 / Fraction(float(np.float32(0.0173))))
OFFSETS = (Fraction(0), Fraction(1, 2), Fraction(8), Fraction(-1, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
def test_inputs_are_quantised_exactly_as_the_graph_says(
    driver: Any, rounding: Rounding, overflow: Overflow, dtype: type[np.floating]
) -> None:
    for gain, offset, type_ in product(GAINS, OFFSETS, (FixedType(True, 4, 0), FixedType(False, 3, 0))):
        narrow = int(type_.signed and overflow is Overflow.SAT)
        port = Input("x", "x", gain, offset, rounding, overflow, type_.low + narrow, type_.high)
        # Where decisions fall, the floats next to it, and anything.
        steps = [Fraction(twice, 2) for twice in range(2 * type_.low - 5, 2 * type_.high + 6)]
        edges = np.array([float((step - offset) / gain) for step in steps], dtype=dtype)
        beside = np.nextafter(edges, dtype(np.inf)), np.nextafter(edges, dtype(-np.inf))
        x = np.concatenate([edges, *beside, np.linspace(-9, 9, 37).astype(dtype)])
        x[np.abs(x) < 1e-300] = 0
        fields = json.loads(to_json(interface_of(port, type_)))["input"]
        codes = driver.quantise(x, driver.Port(fields), fields["quantiser"])
        assert codes.dtype == np.int64
        assert codes.tolist() == [by_definition(float(value), port, type_) for value in x]


def interface_of(port: Input, type_: FixedType) -> Interface:
    output = Output("x", "y", (Fraction(1),), (Fraction(0),), 0)
    return interface_for(Graph("net", (port,), (output,), (), {"x": Tensor("x", (1,), type_)}, {}))


def test_board_and_simulator_quantise_alike(driver: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, 20_000).astype(np.float32)
    for gain in (Fraction(64), 1 / Fraction(float(np.float32(0.0173)))):
        type_ = FixedType(True, 8, 0)
        port = Input("x", "x", gain, Fraction(0), Rounding.RND_CONV, Overflow.SAT, -127, 127)
        fields = json.loads(to_json(interface_of(port, type_)))["input"]
        codes = driver.quantise(x, driver.Port(fields), fields["quantiser"])
        assert np.array_equal(codes, sim_quantise(x, port, type_))
