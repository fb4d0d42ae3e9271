"""Casts and quantisers against rational arithmetic, and casts against AMD's own ap_fixed, compiled here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from math import ceil, floor, trunc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Input
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import boundary, cast, dequantise, quantise, wrap
from fpgaflow.sim.quick_quantise import quantise_float32
from tests.graphs import fixed_types, full_range

HALF = Fraction(1, 2)
ROUND: dict[Rounding, Callable[[Fraction], int]] = {
    Rounding.TRN: floor,
    Rounding.TRN_ZERO: trunc,
    Rounding.RND: lambda v: floor(v + HALF),
    Rounding.RND_MIN_INF: lambda v: ceil(v - HALF),
    Rounding.RND_ZERO: lambda v: ceil(v - HALF) if v > 0 else floor(v + HALF),
    Rounding.RND_INF: lambda v: floor(v + HALF) if v > 0 else ceil(v - HALF),
    Rounding.RND_CONV: round,
}


def fitted(q: int, type_: FixedType, overflow: Overflow) -> int:
    low, high = (-(2 ** (type_.width - 1)), 2 ** (type_.width - 1) - 1) if type_.signed else (0, 2**type_.width - 1)
    match overflow:
        case Overflow.WRAP:
            return (q - low) % 2**type_.width + low
        case Overflow.SAT_ZERO:
            return q if low <= q <= high else 0
        case Overflow.SAT_SYM if type_.signed and type_.width > 1:
            return min(max(q, -high), high)
    return min(max(q, low), high)


def expected(q: int, source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow) -> int:
    return fitted(ROUND[rounding](q * Fraction(2) ** (target.fraction - source.fraction)), target, overflow)


@given(
    fixed_types(1, 70, (-8, 40)),
    fixed_types(1, 70, (-8, 40)),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=400)
def test_cast(source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow, seed: int) -> None:
    x = full_range(np.random.default_rng(seed), (24,), source)
    # Ties, and what lies beside them.
    unit = 1 << max(1, source.fraction - target.fraction)
    near = [k * unit // 2 + d for k in (-3, -1, 1, 3) for d in (-1, 0, 1)]
    x[: len(near)] = [v if source.low <= v <= source.high else 0 for v in near]
    found = cast(x, source, target, rounding, overflow)
    assert found.tolist() == [expected(int(v), source, target, rounding, overflow) for v in x]
    assert found.dtype == (np.int64 if target.width <= 62 else object)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize(
    "target", [FixedType(True, 1, 0), FixedType(False, 1, 1), FixedType(True, 3, -1), FixedType(False, 4, 6)]
)
def test_cast_of_every_value(rounding: Rounding, overflow: Overflow, target: FixedType) -> None:
    for source in (FixedType(True, 6, 2), FixedType(False, 6, 3)):
        x = np.arange(source.low, source.high + 1)
        want = [expected(int(v), source, target, rounding, overflow) for v in x]
        assert cast(x, source, target, rounding, overflow).tolist() == want


@given(st.integers(-(2**40), 2**40), st.integers(1, 30), st.booleans())
def test_wrap(x: int, width: int, signed: bool) -> None:
    type_ = FixedType(signed, width, 0)
    assert wrap(np.array([x]), type_).tolist() == [fitted(x, type_, Overflow.WRAP)]


@given(st.sampled_from(Rounding), st.integers(-5, 5), st.fractions(-6, 6, max_denominator=8))
def test_boundary(rounding: Rounding, level: int, value: Fraction) -> None:
    edge, strict = boundary(level, rounding)
    for v in (value, edge, edge - Fraction(1, 100), edge + Fraction(1, 100)):
        assert (ROUND[rounding](v) >= level) == (v > edge if strict else v >= edge)


# Source and target types whose casts AMD's headers are asked about: widths to 64 bits, one bit, all overlaps of the
# binary points.
PAIRS = [
    (FixedType(True, 8, 4), FixedType(True, 5, 1)),
    (FixedType(True, 8, 4), FixedType(False, 4, 2)),
    (FixedType(False, 8, 6), FixedType(True, 4, 3)),
    (FixedType(True, 7, 2), FixedType(True, 12, 5)),
    (FixedType(True, 6, 9), FixedType(True, 3, 3)),  # the fraction exceeds the width
    (FixedType(True, 8, 4), FixedType(True, 4, -1)),  # steps of 2
    (FixedType(True, 8, 7), FixedType(True, 1, 0)),
    (FixedType(False, 7, 3), FixedType(False, 1, 1)),
    (FixedType(True, 40, 20), FixedType(True, 18, 9)),
    (FixedType(True, 64, 30), FixedType(True, 33, 1)),
]


def cpp(type_: FixedType, *modes: str) -> str:
    signed = "ap_fixed" if type_.signed else "ap_ufixed"
    return f"{signed}<{', '.join([str(type_.width), str(type_.integer_bits), *modes])}>"


@pytest.fixture(scope="module")
def ap_fixed(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[FixedType, FixedType, Rounding, Overflow, list[int], list[int]]]:
    """What AMD's headers, as hls4ml ships them, make of full-range values for each pair of types and each mode."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: AMD's ap_fixed cannot be compiled")
    package = find_spec("hls4ml")
    assert package is not None and package.origin is not None
    headers = Path(package.origin).parent / "templates" / "vivado" / "ap_types"
    folder = tmp_path_factory.mktemp("ap_fixed")
    random, calls, cases = np.random.default_rng(0), [], []
    for source, target in PAIRS:
        every = np.arange(source.low, source.high + 1) if source.width <= 8 else full_range(random, (100,), source)
        values = [int(v) for v in every]
        # Each value as the bits of a 64-bit word.
        words = ", ".join(f"{v % 2**64}ULL" for v in values)
        calls.append(f"{{ static const unsigned long long x[] = {{{words}}};")
        for rounding in Rounding:
            for overflow in Overflow:
                to = cpp(target, f"AP_{rounding.value}", f"AP_{overflow.value}")
                calls.append(f"  run<{cpp(source)}, {to}, {source.width}, {target.width}>(x, {len(values)});")
                cases.append((source, target, rounding, overflow, values))
        calls.append("}")
    (folder / "casts.cpp").write_text(PROGRAM.replace("CALLS", "\n".join(calls)))
    command = [compiler, "-O0", "-std=c++11", "-w", f"-I{headers}", "casts.cpp", "-o", "casts"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    result = subprocess.run([folder / "casts"], check=True, capture_output=True, text=True, timeout=60)
    lines = result.stdout.splitlines()
    return [(*case, [int(v) for v in line.split()]) for case, line in zip(cases, lines, strict=True)]


PROGRAM = """
#include <cstdio>
#include "ap_fixed.h"
template <class From, class To, int FROM, int TO> void run(const unsigned long long* x, int n) {
    for (int i = 0; i < n; i++) {
        From from;
        from.range(FROM - 1, 0) = ap_uint<FROM>(x[i]);
        To to = from;
        printf("%llu ", (unsigned long long)ap_uint<TO>(to.range(TO - 1, 0)).to_uint64());
    }
    printf("\\n");
}
int main() {
CALLS
}
"""


def test_cast_is_amd_s(ap_fixed: list[tuple[FixedType, FixedType, Rounding, Overflow, list[int], list[int]]]) -> None:
    assert len(ap_fixed) == len(PAIRS) * len(Rounding) * len(Overflow)
    differ = []
    for source, target, rounding, overflow, values, bits in ap_fixed:
        x = np.array(values, dtype=object if source.width > 62 else np.int64)
        ours = cast(x, source, target, rounding, overflow)
        theirs = [fitted(b, target, Overflow.WRAP) for b in bits]
        for value, mine, amd in zip(values, ours.tolist(), theirs, strict=True):
            if mine != amd:
                differ.append(f"{value} of {source} to {target} {rounding.name} {overflow.name}: {mine}, AMD {amd}")
    assert not differ, f"{len(differ)} differ\n" + "\n".join(differ[:10])


# The quantiser at a model's input


def port(
    type_: FixedType, gain: Fraction, offset: Fraction, rounding: Rounding, overflow: Overflow, narrow: bool
) -> Input:
    narrow = type_.signed and type_.width > 1 and (narrow or overflow is Overflow.SAT_SYM)
    low = -type_.high if narrow else type_.low
    return Input("x", "x", gain, offset, rounding, overflow, low, type_.high)


def quantised(value: float, into: Input, type_: FixedType) -> int:
    rounded = ROUND[into.rounding](Fraction(value) * into.gain + into.offset)
    if into.overflow in (Overflow.SAT, Overflow.SAT_SYM):
        return min(max(rounded, into.low), into.high)
    return fitted(rounded, type_, into.overflow)


gains = st.one_of(
    st.integers(-12, 12).map(lambda k: Fraction(2) ** k),
    st.fractions(Fraction(1, 50), 50, max_denominator=99),
    st.floats(0.01, 50, width=64).map(Fraction),
)
offsets = st.one_of(st.just(Fraction(0)), st.fractions(-9, 9, max_denominator=16))
floats = st.one_of(
    st.integers(-40, 40).map(lambda n: n / 8), st.floats(-300, 300), st.floats(allow_nan=False, allow_infinity=False)
)


@given(
    fixed_types(1, 18),
    gains,
    offsets,
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
    st.booleans(),
    st.lists(floats, min_size=1, max_size=9),
)
@settings(max_examples=300)
def test_quantise(
    type_: FixedType,
    gain: Fraction,
    offset: Fraction,
    rounding: Rounding,
    overflow: Overflow,
    narrow: bool,
    values: list[float],
) -> None:
    """Every float64, to the largest and the smallest, in exact arithmetic."""
    into = port(type_, gain, offset, rounding, overflow, narrow and overflow is Overflow.SAT)
    edges = [float((boundary(level, rounding)[0] - offset) / gain) for level in (into.low + 1, 0, into.high)]
    x = np.array([*values, *edges, *np.nextafter(edges, np.inf), *np.nextafter(edges, -np.inf)])
    assert quantise(x, into, type_).tolist() == [quantised(v, into, type_) for v in x.tolist()]


@given(
    fixed_types(1, 18),
    st.integers(-3, 20),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1),
)
@settings(max_examples=100)
def test_quantise_in_float32(type_: FixedType, exponent: int, values: list[float]) -> None:
    into = port(type_, Fraction(2) ** exponent, Fraction(0), Rounding.RND_CONV, Overflow.SAT, False)
    x = np.array([*values, *(np.arange(-9, 10) * 2.0**-exponent / 4)], dtype=np.float32)
    found = quantise_float32(x, into)
    assert found is not None or exponent < 0
    if found is not None:
        assert found.dtype == np.float32
        assert found.tolist() == [quantised(v, into, type_) for v in x.tolist()]


@given(
    fixed_types(1, 9),
    st.fractions(Fraction(1, 99), 99, max_denominator=10**9),
    st.fractions(-9, 9, max_denominator=99),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1),
)
@settings(max_examples=100)
def test_quantise_by_any_scale_in_float32(
    type_: FixedType, gain: Fraction, offset: Fraction, values: list[float]
) -> None:
    """At each edge and beside it; `None` is right only where float64 would round a float32 wrongly."""
    into = port(type_, gain, offset, Rounding.RND_CONV, Overflow.SAT, False)
    edges = np.array([float((level - Fraction(1, 2) - offset) / gain) for level in range(into.low, into.high + 2)])
    beside = [np.nextafter(edges.astype(np.float32), np.float32(end)) for end in (-np.inf, np.inf)]
    x = np.array([*values, *edges, *beside[0], *beside[1]], dtype=np.float32)
    found, truth = quantise_float32(x, into), [quantised(v, into, type_) for v in x.tolist()]
    rounded = np.clip(np.rint(x.astype(np.float64) * float(gain) + float(offset)), into.low, into.high)
    assert rounded.tolist() == truth or found is None
    if found is not None:
        assert found.dtype == np.float32
        assert found.tolist() == truth


@pytest.mark.parametrize("width", [33, 54, 62, 63, 70])
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("gain", [Fraction(2) ** 30, Fraction(10**9, 3)])
def test_quantise_wide(width: int, overflow: Overflow, gain: Fraction) -> None:
    type_ = FixedType(True, width, 30)
    into = port(type_, gain, Fraction(0), Rounding.RND_CONV, overflow, False)
    x = np.array([0.0, 1 / 3, -7.1e8, 8e12, -8e12, 1e20, -1e20, 2.0**-31])
    assert quantise(x, into, type_).tolist() == [quantised(v, into, type_) for v in x.tolist()]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint16, np.int64, np.bool_])
def test_quantise_takes_other_dtypes(dtype: type) -> None:
    type_ = FixedType(True, 4, 1)
    x = np.array([0, 1, 1, 0]).astype(dtype)
    for gain in (Fraction(2), Fraction(7, 3)):
        into = port(type_, gain, Fraction(0), Rounding.RND_CONV, Overflow.SAT, False)
        assert quantise(x, into, type_).tolist() == [quantised(float(v), into, type_) for v in x]


def test_quantise_with_a_negative_gain() -> None:
    into = port(FixedType(True, 4, 0), Fraction(-1, 3), Fraction(0), Rounding.RND_CONV, Overflow.SAT, False)
    with pytest.raises(BadInput, match="gain -1/3 is not positive"):
        quantise(np.zeros(2), into, FixedType(True, 4, 0))


# The scales at a model's output


@given(
    st.lists(st.integers(-(2**30), 2**30), min_size=6, max_size=6),
    st.lists(st.fractions(-5, 5, max_denominator=99), min_size=3, max_size=3),
    st.lists(st.fractions(-5, 5, max_denominator=99), min_size=3, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_dequantise(
    q: list[int], scale: list[Fraction], offset: list[Fraction], one_scale: bool, one_offset: bool
) -> None:
    """Within a rounding of each of the two terms; exact where all is dyadic."""
    integers = np.array(q).reshape(2, 3)
    scales, offsets = tuple(scale[: 1 if one_scale else 3]), tuple(offset[: 1 if one_offset else 3])
    found = dequantise(integers, scales, offsets, 0)
    assert (found.dtype, found.shape) == (np.float64, (2, 3))
    for (n, c), value in np.ndenumerate(found):
        product, constant = int(integers[n, c]) * scales[c % len(scales)], offsets[c % len(offsets)]
        error = abs(Fraction(value) - product - constant)
        assert error <= (abs(product) + abs(constant)) * Fraction(1, 2**51)
        if all((v.denominator & (v.denominator - 1)) == 0 for v in (*scales, *offsets)):
            assert error == 0


def test_dequantise_along_an_axis() -> None:
    q = np.arange(12).reshape(1, 2, 3, 2)
    scales = (Fraction(1), Fraction(2), Fraction(4))
    found = dequantise(q, scales, (Fraction(0),), 1)
    assert np.array_equal(found, q * np.array([1, 2, 4]).reshape(1, 1, 3, 1))
