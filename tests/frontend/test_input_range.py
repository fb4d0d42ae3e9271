"""Clamps before the model's first quantiser: exact against the oracle, and the range they leave."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.frontend.exact.quantizer import QonnxRounding
from fpgaflow.frontend.qonnx.input_range import rounded
from tests.models import Net, assert_conforms, inputs_of
from tests.oracle_quant import rounded as truth


@pytest.mark.parametrize(
    ("bounds", "quantiser", "expected"),
    [
        ((0.0, None), {"scale": 0.25}, (0, 7)),
        ((None, 0.6), {"scale": 0.25}, (-8, 2)),
        ((-0.3, 0.625), {"scale": 0.25, "mode": "FLOOR"}, (-2, 2)),
        ((-9.0, 9.0), {"scale": 0.25}, (-8, 7)),
        ((5.0, 9.0), {"scale": 0.25}, (7, 7)),
        ((0.0, 1.0), {"scale": 0.3, "zero": 2, "signed": 0}, (0, 3)),
    ],
)
def test_a_clip(
    bounds: tuple[float | None, float | None], quantiser: dict[str, Any], expected: tuple[int, int]
) -> None:
    net = Net(3)
    x = net.node("Clip", "x", *("" if b is None else net.const(b) for b in bounds))
    model = net.model(net.quant(x, bits=4, **quantiser))
    graph = assert_conforms(model, inputs_of(model, 0, samples=40))
    (port,) = graph.inputs
    assert (port.low, port.high) == expected


def test_steps_between_clamps() -> None:
    net = Net(3)
    x = net.node("Sub", net.node("Relu", net.node("Mul", "x", net.const(0.5))), net.const(0.25))
    x = net.node("Clip", x, net.const(-0.125), net.const(1.0))
    model = net.model(net.quant(x, 0.0625, 6))
    assert_conforms(model, inputs_of(model, 0, samples=40))


def test_a_pair_of_onnx() -> None:
    """Clip in float before QuantizeLinear, as TensorRT wants it."""
    net = Net(3)
    parameters = (net.const(0.25), net.const(3, "uint8"))
    x = net.node("QuantizeLinear", net.node("Clip", "x", net.const(-0.5), net.const(2.0)), *parameters)
    model = net.model(net.node("DequantizeLinear", x, *parameters))
    assert_conforms(model, inputs_of(model, 0, samples=40))


@given(st.fractions(min_value=-9, max_value=9, max_denominator=8), st.sampled_from(QonnxRounding))
def test_rounding(value: Fraction, mode: QonnxRounding) -> None:
    assert rounded(value, mode) == truth(value, "ROUND" if mode is QonnxRounding.HALF_EVEN else mode.value)
