"""Branches of different scales and quantisers of any scale, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.ops import Cast, Conv, Threshold
from fpgaflow.ir.ops_merge import Concat, Scale
from tests.models import Net, assert_conforms, graph_of, inputs_of

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
# Powers of two, a real one, its double, and reals whose mantissas share nothing.
PAIRS = [(0.25, 0.0625), (0.3, 0.3), (0.3, 0.6), (0.3, 0.7), (0.25, 0.3), (1 / 3, 0.017), (3.0, 5.0)]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def branches(net: Net, left: float, right: float, bits: int = 4) -> tuple[str, str]:
    """One input through two quantisers of their own scale."""
    x = net.quant("x", 2.0**-5, 7)
    return net.quant(x, left, bits), net.quant(net.node("Neg", x), right, bits, signed=0)


@pytest.mark.parametrize("scales", PAIRS)
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Max", "Min"])
def test_two_scales_meet(kind: str, scales: tuple[float, float]) -> None:
    net = Net(4, 5)
    y = net.node(kind, *branches(net, *scales))
    assert_conforms(net.model(net.quant(y, 0.2, 4), y), inputs_of(net.model(y), 1, 4, 2.0**-5))


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Max"])
def test_channels_of_their_own_scales_meet(kind: str) -> None:
    net = Net(3, 4)
    a, b = branches(net, 0.3, 0.7)
    a = net.node("Mul", a, net.const(np.array([[1.5], [-0.3], [0.0]])))
    b = net.node("Add", net.node("Mul", b, net.const(np.array([[0.75], [1.25], [2.0]]))), net.const([[0.3], [-1], [0]]))
    y = net.node(kind, a, b)
    assert_conforms(net.model(net.quant(y, 0.2, 5), y), inputs_of(net.model(y), 1, 4, 2.0**-5))


def test_scales_along_two_axes_meet() -> None:
    net = Net(3, 4)
    a, b = branches(net, 0.3, 0.7)
    a = net.node("Mul", a, net.const(np.array([[1.5], [0.25], [0.5]])))
    b = net.node("Mul", b, net.const(np.array([0.7, 0.1, 2.0, 1.0])))
    y = net.node("Add", a, b)
    assert_conforms(net.model(net.quant(y, 0.2, 5)), inputs_of(net.model(y), 1, 4, 2.0**-5))


def test_a_gate_for_each_channel() -> None:
    """A product with a tensor of one element a channel, as squeeze-and-excitation makes it."""
    net = Net(3, 4, 4)
    x = net.quant("x", 0.3, 4)
    gate = net.quant(net.node("GlobalAveragePool", x), 0.11, 4, signed=0)
    y = net.node("Mul", x, gate)
    assert_conforms(net.model(net.quant(y, 0.2, 5), net.quant(net.node("Add", y, gate), 0.7, 4)))


def test_scales_beyond_any_grid_are_refused_by_name() -> None:
    net = Net(2)
    a, b = branches(net, 0.3, 0.7)
    for _ in range(3):
        a = net.node("Mul", a, net.const(0.3))
    with pytest.raises(UnsupportedModel, match=r"different scales \(0.0081\d* and 0.69\d*\)"):
        graph_of(net.model(net.quant(net.node("Add", a, b), 0.5, 4)))


@pytest.mark.parametrize("scales", PAIRS)
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concatenation(scales: tuple[float, float], axis: int) -> None:
    net = Net(3, 4, 4)
    y = net.node("Concat", *branches(net, *scales), axis=axis)
    assert_conforms(net.model(net.quant(y, 0.2, 4), y), inputs_of(net.model(y), 1, 3, 2.0**-5))


def test_concatenation_of_accumulators_lies_channels_last() -> None:
    """Branches of convolutions with channel scales, biases and ReLUs: the transposes around them cancel."""
    net = Net(2, 4, 4)
    x, parts = net.quant("x", 0.25, 4), []
    for k in range(2):
        scale = (0.1 + 0.07 * np.arange(3 + k)).reshape(-1, 1, 1, 1)
        y = net.node("Conv", x, net.quant(normal(k, 3 + k, 2, 1, 1), scale, 3), net.const(normal(9 + k, 3 + k)))
        parts.append(net.quant(net.node("Relu", y), 0.3 + k, 3, signed=0))
    y = net.quant(net.node("Concat", *parts, axis=1), 0.3, 5, signed=0)
    y = net.node("Conv", y, net.quant(normal(5, 2, 7, 2, 2), 0.2, 3))
    graph = assert_conforms(net.model(y))
    kinds = [type(op).__name__ for op in graph.ops]
    assert kinds.count("Transpose") <= 2 and "Concat" in kinds  # at the borders alone


def test_one_scale_in_all_branches_costs_nothing() -> None:
    net = Net(2, 3)
    y = net.node("Concat", *branches(net, 0.3, 0.3), axis=1)
    graph = assert_conforms(net.model(net.quant(y, 0.2, 4)))
    assert not any(isinstance(op, Scale) for op in graph.ops)
    assert any(isinstance(op, Concat) for op in graph.ops)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_scales_that_differ_inside_a_window(kind: str) -> None:
    """A factor for each column, of either sign, becomes part of the integers."""
    net = Net(2, 4, 4)
    y = net.node("Mul", net.quant("x", 0.125, 6), net.const(np.array([1, -8, 0.3, 0.25]).reshape(1, 1, 1, 4)))
    y = net.node(kind, y, kernel_shape=[2, 2])
    assert_conforms(net.model(net.quant(y, 0.3, 4), y))


@pytest.mark.parametrize("target", [(1, 2, 2, 6), (1, 4, 6), (1, 2, 12), (1, 24), (1, 6, 4)])
def test_channel_scales_through_any_reshape(target: tuple[int, ...]) -> None:
    net = Net(4, 2, 3)
    y = net.node("Mul", net.quant("x", 0.25, 4), net.const(np.array([1.5, -0.25, 3, 0.5]).reshape(4, 1, 1)))
    y = net.shaped(y, *target)
    assert_conforms(net.model(net.quant(y, 0.3, 4), y))


def test_a_biased_convolution_is_shared_by_its_quantisers() -> None:
    net = Net(3, 4, 4)
    y = net.node("Conv", net.quant("x", 0.25, 4), net.quant(normal(1, 4, 3, 2, 2), 0.125, 3), net.const(normal(2, 4)))
    graph = assert_conforms(net.model(net.quant(net.node("Relu", y), 0.5, 4, signed=0), net.quant(y, 0.5, 5)))
    assert [type(op) for op in graph.ops if isinstance(op, Conv)] == [Conv]


# Quantisers


@pytest.mark.parametrize("factor", [0.5, 4.0, 2.0**-7])
@pytest.mark.parametrize("bits", [4, 20])
def test_a_power_of_two_before_a_power_of_two_quantiser_is_a_cast(factor: float, bits: int) -> None:
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 0.25, 6), net.quant(normal(1, 3, 3), 2.0**-6, 8))
    y = net.node("Mul", net.node("Add", y, net.const([0.3, -0.25, 0])), net.const(factor))
    y = net.quant(y, 2.0**-9, bits)
    y = net.node("MatMul", y, net.quant(normal(2, 3, 2), 0.25, 3))
    graph = assert_conforms(net.model(net.quant(y, 0.5, 4)))
    assert [type(op) for op in graph.ops if isinstance(op, Cast | Threshold | Scale)] == [Cast, Cast]


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "DOWN", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize(("bits", "ratio"), [(4, 2.0), (16, 4.0), (20, 0.5)])
def test_scales_in_a_ratio_of_a_power_of_two_are_a_cast(mode: str, bits: int, ratio: float) -> None:
    """Ties that are rounded to even, which no line does."""
    net = Net(1)
    x = net.quant("x", 0.3, 8)
    y = net.quant(net.node("Relu", net.node("Neg", x)), 0.3 * ratio, bits, mode=mode)
    graph = assert_conforms(net.model(net.quant(x, 0.3 * ratio, bits, mode=mode), y), inputs_of(net.model(y), 1, 99))
    assert sum(isinstance(op, Cast) for op in graph.ops) >= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("bits", "zero", "signed", "narrow"), [(14, 0, 1, 0), (14, 0, 1, 1), (13, 1000, 0, 0), (14, 7, 0, 1)]
)
def test_wide_quantisers_multiply_and_shift(mode: str, bits: int, zero: int, signed: int, narrow: int) -> None:
    """Integers of all the 2^12 before it, with the range ending inside."""
    net = Net(1)
    x = net.quant("x", 1.0, 12)
    y = net.node("Mul", net.node("Add", x, net.const(0.5)), net.const(-3.1))
    y = net.quant(y, 0.75, bits, zero=zero, signed=signed, narrow=narrow, mode=mode)
    if mode == "UP" and signed and not zero:  # away from 0 on both sides: no line and no shift does that
        with pytest.raises(UnsupportedModel, match="no multiplication"):
            graph_of(net.model(y))
        return
    graph = assert_conforms(net.model(y), {"x": np.arange(-2048, 2048, 7, dtype=np.float32).reshape(-1, 1)})
    assert not any(isinstance(op, Threshold) for op in graph.ops)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("bits", "mode"), [(13, "ROUND"), (13, "HALF_DOWN"), (16, "FLOOR")])
def test_wide_quantisers_behind_a_convolution(bits: int, mode: str, relu: bool) -> None:
    """Scales for each channel, batch norm of either sign, ReLU."""
    net = Net(3, 4)
    scale = (0.01 + 0.003 * np.arange(4)).reshape(4, 1, 1)
    y = net.node("Conv", net.quant("x", 0.013, 8), net.quant(normal(1, 4, 3, 2), scale, 6), net.const(normal(2, 4)))
    y = net.node("Mul", y, net.const(np.array([1.1, -0.7, 2.0, 0.0]).reshape(4, 1)))
    y = net.node("Relu", y) if relu else y
    y = net.quant(y, 0.00037, bits, signed=not relu, mode=mode)
    assert_conforms(net.model(y), inputs_of(net.model(y), 3, 6, 0.0065, 300))


@pytest.mark.parametrize(("bits", "mode"), [(18, "ROUND"), (24, "FLOOR"), (24, "ROUND"), (30, "CEIL")])
def test_very_wide_quantisers(bits: int, mode: str) -> None:
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 2.0**-12, 16), net.quant(normal(1, 3, 3), 2.0**-6, 8))
    y = net.quant(y, 0.3 * 2.0 ** (4 - bits), bits, mode=mode)
    assert_conforms(net.model(y), inputs_of(net.model(y), 3, 20, 2.0**-12, 1 << 15))


def test_a_wide_quantiser_that_no_multiplication_equals_is_refused() -> None:
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 2.0**-26, 32), net.quant(normal(1, 3, 3), 0.3, 8))
    y = net.batch_norm(y, [0.3, 1, 2], [0, 0, 0], [0, 0, 0], [1, 2, 3])
    with pytest.raises(UnsupportedModel, match=r"30-bit quantiser of the scale 0\.00069.*no multiplication"):
        graph_of(net.model(net.quant(y, 0.0007, 30)))
