from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fpgaflow.compare_bits import Mismatches, count_different, float32_is_exact, output_integers
from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Output
from fpgaflow.sim.fixed_point import dequantise
from tests.builds import perceptron
from tests.models import Net, graph_of

NONE = (Fraction(0),)


def port(scale: tuple[Fraction, ...], offset: tuple[Fraction, ...] = NONE, axis: int = 0) -> Output:
    return Output("y", "y", scale, offset, axis)


def test_counting() -> None:
    left = np.arange(24).reshape(4, 3, 2)
    assert count_different(left, left.astype(float)) == Mismatches(4, 24, 0, None)
    right = left.copy()
    right[2, 1, 0] += 1
    right[3] += 1
    assert count_different(left, right) == Mismatches(4, 24, 7, 2)


def test_flat_samples() -> None:
    assert count_different(np.array([1, 2, 3]), np.array([1, 2, 4])) == Mismatches(3, 3, 1, 2)


def test_nan_and_infinity_differ_from_every_integer() -> None:
    left = np.array([[np.nan, 1.0], [np.inf, 2.0], [3.0, 4.0]])
    assert count_different(left, np.array([[0, 1], [2, 2], [3, 4]])) == Mismatches(3, 6, 2, 0)
    assert count_different(left, left).different == 1, "not even from itself"


@pytest.mark.parametrize("shape", [(4, 2), (4, 1), (4,), (3, 3), (4, 3, 1)])
def test_shapes_are_never_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckFailed, match=r"shapes \(4, 3\) and"):
        count_different(np.zeros((4, 3)), np.zeros(shape))


def test_no_samples() -> None:
    assert count_different(np.zeros((0, 3)), np.zeros((0, 3))) == Mismatches(0, 0, 0, None)


def test_sum_is_over_outputs_of_the_same_samples() -> None:
    total = Mismatches(4, 0, 0) + Mismatches(4, 8, 0) + Mismatches(4, 12, 2, 3) + Mismatches(4, 4, 1, 0)
    assert total == Mismatches(4, 24, 3, 0)
    assert total.as_json() == {"samples": 4, "values": 24, "different": 3, "first_sample": 0}


def test_integers_of_one_scale_and_offset() -> None:
    values = np.array([[-1.0, 0.5, 3.25]], dtype=np.float32)
    assert output_integers(values, port((Fraction(1, 4),))).tolist() == [[-4, 2, 13]]
    assert output_integers(values, port((Fraction(1, 4),), (Fraction(1, 2),))).tolist() == [[-6, 0, 11]]


@pytest.mark.parametrize("axis", [0, 1])
def test_integers_of_a_scale_per_channel(axis: int) -> None:
    scale = (Fraction(1, 10), Fraction(1, 3), Fraction(2))
    offset = (Fraction(0), Fraction(-1, 7), Fraction(1, 2))
    integers = np.random.default_rng(0).integers(-1000, 1000, (5, 3, 3))
    for scales, offsets in ((scale, offset), (scale, NONE), (scale[:1], offset)):
        rounded = dequantise(integers, scales, offsets, axis).astype(np.float32)
        assert np.array_equal(output_integers(rounded, port(scales, offsets, axis)), integers)


def test_integers_keep_nan() -> None:
    assert np.isnan(output_integers(np.array([[np.nan]]), port((Fraction(1),)))).all()


def test_half_an_integer_off_is_seen() -> None:
    integers, scale = np.arange(100).reshape(10, 10), Fraction(1, 3)
    values = (integers + 0.6) * float(scale)
    assert count_different(output_integers(values, port((scale,))), integers).different == 100


def test_float32_is_exact_where_every_scale_is_a_power_of_two() -> None:
    graph = graph_of(perceptron())
    assert float32_is_exact(graph)
    assert not float32_is_exact(graph_of(perceptron(scale=0.1)))
    (output,) = graph.outputs
    assert not float32_is_exact(replace(graph, outputs=(replace(output, scale=(Fraction(3, 8),)),)))
    assert float32_is_exact(
        replace(graph, outputs=(replace(output, scale=(Fraction(1, 8), Fraction(4), Fraction(1))),))
    )


def test_float32_is_not_exact_with_thresholds_inside() -> None:
    net = Net(3)
    hidden = net.node("MatMul", net.quant("x", 1 / 4, 4), net.quant(np.ones((3, 2)), 1 / 4, 4))
    hidden = net.quant(hidden, 0.3, 4)
    net.node("MatMul", hidden, net.quant(np.ones((2, 2)), 1 / 4, 4), output="y")
    assert not float32_is_exact(graph_of(net.model("y")))
