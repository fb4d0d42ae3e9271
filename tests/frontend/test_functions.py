"""Functions between quantisers as exact tables and thresholds, and the arithmetic that decides their entries."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.exact.functions import RISING, Enclosure, evaluate, exactly
from fpgaflow.frontend.exact.values import Affine, Clamp, Function, Product
from fpgaflow.ir.ops import Threshold
from fpgaflow.ir.ops_table import Lookup
from tests.models import Net, assert_conforms, graph_of, inputs_of

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
RISING_KINDS = ("Sigmoid", "Tanh", "Erf", "Exp", "Softplus", "Elu", "Selu", "Celu")
TURNING_KINDS = ("Gelu", "Mish")


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def every(bits: int, scale: float) -> dict[str, np.ndarray]:
    return {"x": (np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1)) * scale).astype(np.float32).reshape(-1, 1)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [*RISING_KINDS, *TURNING_KINDS])
def test_tables_of_every_integer(kind: str, mode: str) -> None:
    """Arguments up to 16: saturated values lie next to the boundaries of FLOOR and CEIL."""
    net = Net(1)
    y = net.node(kind, net.quant("x", 0.25, 7))
    graph = assert_conforms(net.model(net.quant(y, 0.0625, 5, mode=mode), opset=20), every(7, 0.25))
    assert [type(op) for op in graph.ops] == [Lookup]


@pytest.mark.parametrize("kind", RISING_KINDS)
def test_thresholds_of_wide_integers(kind: str) -> None:
    """Behind a layer with a scale and a bias for each channel no table would do."""
    net = Net(3, 4)
    scale = (0.01 + 0.003 * np.arange(3)).reshape(3, 1, 1)
    y = net.node("Conv", net.quant("x", 0.13, 8), net.quant(normal(1, 3, 3, 2), scale, 6), net.const(normal(2, 3)))
    y = net.node("Mul", y, net.const(np.array([[1.0], [-0.5], [0.0]])))
    y = net.quant(net.node(kind, y), 0.1, 4, zero=3, signed=0)
    graph = assert_conforms(net.model(y), inputs_of(net.model(y), 3, 6, 0.065, 300))
    assert any(isinstance(op, Threshold) for op in graph.ops)


@pytest.mark.parametrize("parameter", [0.0, 0.3, 2.5])
@pytest.mark.parametrize("scale", [0.3, 0.01])
def test_parameters_and_scales(parameter: float, scale: float) -> None:
    net = Net(1)
    y = net.node("Elu", net.node("Add", net.quant("x", scale, 8), net.const(0.1)), alpha=parameter)
    y = net.node("Mul", net.node("Relu", net.node("Neg", y)), net.const(3.0))
    assert_conforms(net.model(net.quant(y, scale, 6)), every(8, scale))


def test_swish_of_two_nodes() -> None:
    net = Net(1)
    x = net.quant("x", 0.1, 8)
    y = net.node("Mul", x, net.node("Sigmoid", x))
    graph = assert_conforms(net.model(net.quant(y, 0.05, 6)), every(8, 0.1))
    assert [type(op) for op in graph.ops] == [Lookup]


def test_gelu_of_five_nodes() -> None:
    """As exporters below opset 20 write it, with float32 constants."""
    net = Net(1)
    x = net.quant("x", 0.1, 8)
    y = net.node("Erf", net.node("Div", x, net.const(2**0.5)))
    y = net.node("Mul", net.node("Mul", x, net.node("Add", y, net.const(1.0))), net.const(0.5))
    graph = assert_conforms(net.model(net.quant(y, 0.05, 6)), every(8, 0.1))
    assert [type(op) for op in graph.ops] == [Lookup]


def test_maxima_of_functions() -> None:
    """A maximum changes places with what rises."""
    net = Net(2, 4, 4)
    y = net.node("MaxPool", net.node("Tanh", net.quant("x", 0.25, 5)), kernel_shape=[2, 2], pads=[1, 1, 0, 0])
    assert_conforms(net.model(net.quant(net.node("Flatten", y), 0.125, 4)))


def test_bipolar_quantiser_behind_a_function() -> None:
    net = Net(1)
    y = net.node("Sub", net.node("Sigmoid", net.quant("x", 0.25, 6)), net.const(0.75))
    assert_conforms(net.model(net.bipolar(y, 0.3)), every(6, 0.25))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("output", "function that no quantiser has closed.*Put an activation quantiser"),
        ("conv", "function that no quantiser has closed.*Put an activation quantiser"),
        ("turning", "a function that turns"),
        ("wide", "a 16-bit quantiser behind a function"),
        ("huge", "too large"),
        ("tanh", "approximates by tanh"),
    ],
)
def test_what_no_table_holds_is_refused(kind: str, message: str) -> None:
    net = Net(3, 4)
    x = net.quant("x", 1024.0 if kind == "huge" else 0.3, 8)
    if kind == "turning":
        x = net.node("MatMul", x, net.quant(normal(1, 4, 3), [[0.1, 0.2, 0.3]], 6))
        y = net.quant(net.node("Gelu", x), 0.1, 4)
    elif kind == "tanh":
        y = net.quant(net.node("Gelu", x, approximate="tanh"), 0.1, 4)
    elif kind == "huge":
        y = net.quant(net.node("Exp", x), 0.1, 4)
    else:
        y = net.node("Sigmoid", x)
        y = net.node("MatMul", y, net.quant(normal(1, 4, 3), 0.1, 6)) if kind == "conv" else y
        y = net.quant(y, 0.001, 16) if kind == "wide" else y
    with pytest.raises(UnsupportedModel, match=message):
        graph_of(net.model(y, opset=20))


# Enclosures

_EXACT = {
    "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
    "tanh": mpmath.tanh,
    "exp": mpmath.exp,
    "elu": lambda v: v if v >= 0 else mpmath.expm1(v),
    "softplus": lambda v: mpmath.log1p(mpmath.exp(v)),
    "erf": mpmath.erf,
    "erf of halves": lambda v: mpmath.erf(v / mpmath.sqrt(2)),
}
arguments = st.fractions(-25, 25, max_denominator=1 << 24) | st.fractions(-1, 1, max_denominator=1 << 60)


@given(st.sampled_from(sorted(RISING)), arguments, st.sampled_from([25, 60, 150]))
@settings(max_examples=150)
def test_enclosures_hold_the_function(kind: str, x: Fraction, digits: int) -> None:
    found = RISING[kind](x, Fraction(1), digits)
    with mpmath.workdps(400):
        truth = _EXACT[kind](mpmath.mpf(x.numerator) / x.denominator)
        low, high = (mpmath.mpf(end.numerator) / end.denominator for end in (found.low, found.high))
        assert low < truth < high or (found.exact and low == truth)
        assert high - low < mpmath.mpf(10) ** (-digits // 2) * max(1, abs(truth))


@pytest.mark.parametrize("kind", sorted(RISING))
def test_saturated_values_stay_inside_of_their_range(kind: str) -> None:
    for x in (Fraction(-4000), Fraction(-300), Fraction(300), Fraction(4000)):
        found = RISING[kind](x, Fraction(1), 25)
        assert found.low < found.high or found.exact
        if kind in ("sigmoid", "tanh", "erf", "erf of halves"):
            assert (x > 0 and found.high <= 1) or (x < 0 and found.low >= (0 if kind == "sigmoid" else -1))


def test_steps_of_enclosures() -> None:
    half, one = Fraction(1, 2), Fraction(1)
    assert evaluate((Affine((half,), (one,)), Clamp(None, one)), 0, exactly(one), 25) == exactly(one)
    square = Product((), (Function("abs"),))
    assert evaluate((square,), 0, exactly(Fraction(-3)), 25) == exactly(Fraction(-9))
    found = evaluate((Function("sigmoid"), Affine((-one,), (one,))), 0, exactly(one), 25)
    assert isinstance(found, Enclosure) and 0 < found.low < found.high < half
