"""Every importer against the oracle, bit by bit, on both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Pool, PoolKind, Relu, Threshold
from fpgaflow.sim.run import Simulator
from tests.models import DOMAIN, Net, assert_conforms, graph_of, inputs_of, reals
from tests.networks import networks

MODES = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
INPUT_MODES = ("ROUND", "HALF_EVEN", "FLOOR", "DOWN", "HALF_UP", "HALF_DOWN")

scales = st.one_of(
    st.integers(-6, 3).map(lambda k: 2.0**k),
    st.floats(1 / 64, 4.0, width=32),
)
offsets = st.one_of(
    st.integers(-64, 64).map(lambda n: n / 16),  # often on a rounding boundary
    st.integers(-(2**20), 2**20).map(lambda n: n / 2**18),  # dyadic, finer than any accumulator here
    st.floats(-4, 4, width=32),
)
factors = st.one_of(st.sampled_from([1.0, -1.0, 0.0, 0.5, -2.0]), st.floats(-3, 3, width=32))


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def codes(bits: int, channels: int, *, signed: bool = True) -> np.ndarray:
    """Every code of a type, (codes, channels), in another order for each channel."""
    low = -(2 ** (bits - 1)) if signed else 0
    every = np.arange(low, low + 2**bits, dtype=np.float32)
    return np.stack([np.roll(every, 7 * c) for c in range(channels)], axis=1)


# Quantisers


@given(
    st.sampled_from(INPUT_MODES),
    st.integers(1, 8) | st.just(12),
    st.booleans(),
    st.booleans(),
    scales,
    st.sampled_from([1.0, 0.5, 3.0]),
    offsets,
)
@settings(max_examples=60)
def test_input_quantiser(
    mode: str, bits: int, signed: bool, narrow: bool, scale: float, gain: float, offset: float
) -> None:
    net = Net(5)
    x = "x" if gain == 1.0 else net.node("Mul", "x", net.const(gain))
    x = x if offset == 0 else net.node("Add", x, net.const(offset))
    model = net.model(net.quant(x, scale, bits, signed=signed, narrow=narrow, mode=mode))
    reach = 40
    grid = np.random.default_rng(bits).integers(-reach, reach, (40, 5)) * scale / 2
    assert_conforms(model, {"x": ((grid - offset) / gain).astype(np.float32)})


@given(
    st.sampled_from(MODES),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.lists(scales, min_size=1, max_size=3).map(lambda s: s if len(s) == 3 else s[:1]),
    st.integers(-5, 5),
    st.lists(st.tuples(factors, offsets, st.booleans()), max_size=3),
    st.booleans(),
)
@settings(max_examples=120)
def test_quantiser_of_every_integer(
    mode: str,
    bits: int,
    signed: bool,
    narrow: bool,
    scale: list[float],
    zero: int,
    steps: list[tuple[float, float, bool]],
    per_channel: bool,
) -> None:
    """Any chain of factors, offsets and ReLUs, then any quantiser, for each of the 64 integers before them."""
    net = Net(3)
    x = net.quant("x", 0.25, 6)
    for factor, offset, with_relu in steps:
        spread = [factor, -factor, factor / 2] if per_channel else factor
        x = net.node("Mul", x, net.const(spread))
        x = net.node("Add", net.const([offset, 0, -offset] if per_channel else offset), x)
        x = net.node("Relu", x) if with_relu else x
    zero = 0 if bits == 1 and signed else zero
    y = net.quant(x, scale if len(scale) > 1 else scale[0], bits, zero=zero, signed=signed, narrow=narrow, mode=mode)
    assert_conforms(net.model(y), {"x": codes(6, 3) / 4})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zero", [0, 3])
def test_rounding_modes_on_ties(mode: str, zero: int) -> None:
    net = Net(1)
    model = net.model(net.quant(net.quant("x", 0.25, 6), 1.0, 3, zero=zero, mode=mode))
    assert_conforms(model, {"x": codes(6, 1) / 4})


@pytest.mark.parametrize("mode", ["ROUND", "HALF_UP", "HALF_DOWN", "DOWN", "FLOOR"])
@pytest.mark.parametrize("zero", [-3, 1, 2])
@pytest.mark.parametrize("scale", [0.25, 0.3])
def test_zero_points_at_the_input(mode: str, zero: int, scale: float) -> None:
    """Ties to even, or around zero, are so before the zero-point is taken away."""
    net = Net(2, 3, 3)
    x = net.quant(net.node("Mul", "x", net.const(0.5)), scale, 4, zero=zero, mode=mode)
    y = net.node("Conv", x, net.quant(normal(1, 3, 2, 2, 2), 0.25, 3), pads=[1, 1, 1, 1])
    graph = assert_conforms(net.model(y, x), {"x": reals(0, (3, 2, 3, 3), grid=scale / 2, reach=40)})
    assert graph.type_of(graph.inputs[0].tensor).width <= 5


def test_a_zero_point_and_a_clip_at_the_input() -> None:
    net = Net(3)
    x = net.quant(net.node("Clip", "x", net.const(-0.4), net.const(0.6)), 0.25, 4, zero=1)
    assert_conforms(net.model(net.node("MatMul", x, net.quant(normal(1, 3, 2), 0.25, 3))))


@pytest.mark.parametrize("zeros", [[[0, 3, -1]], [[1], [2], [5], [9]], [2]])
def test_weights_with_zero_points(zeros: Any) -> None:
    net = Net(4)
    w = net.node("Quant", net.const(normal(1, 4, 3)), net.const(0.1), net.const(zeros), net.const(4), domain=DOMAIN)
    assert_conforms(net.model(net.node("MatMul", net.quant("x", 0.25, 4), w)))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("signed", [0, 1])
def test_power_of_two_quantiser_is_a_cast(relu: bool, signed: int) -> None:
    net = Net(1)
    x = net.quant("x", 0.25, 6)
    x = net.node("Relu", x) if relu else x
    graph = assert_conforms(net.model(net.quant(x, 1.0, 3, signed=signed)), {"x": codes(6, 1) / 4})
    kinds = [type(op) for op in graph.ops]
    assert kinds == ([Relu, Cast] if relu and signed else [Cast])


@pytest.mark.parametrize("kind", ["Quant", "IntQuant"])
@pytest.mark.parametrize("domain", ["", "onnx.brevitas", "finn.custom_op.general", DOMAIN])
def test_quantiser_domains(kind: str, domain: str) -> None:
    net = Net(2)
    assert_conforms(net.model(net.quant(net.quant("x", 0.25, 6), 0.5, 3, kind=kind, domain=domain)))


def test_bipolar_quantisers() -> None:
    net = Net(3)
    x = net.bipolar("x", 0.5)
    y = net.node("MatMul", x, net.bipolar(normal(0, 3, 4), 0.25))
    y = net.node("Add", y, net.const([0.1, -0.2, 0, 0.3]))
    assert_conforms(net.model(net.bipolar(y, 0.3)), {"x": codes(3, 3) / 2})


def test_bipolar_by_one_signed_bit() -> None:
    net = Net(3)
    x = net.quant("x", 0.25, 6)
    assert_conforms(net.model(net.quant(x, 0.3, 1)), {"x": codes(6, 3) / 4})


def test_bit_width_behind_a_ceil() -> None:
    net = Net(2)
    bits = net.node("Ceil", net.const(3.2))
    y = net.node("Quant", net.quant("x", 0.25, 6), net.const(0.5), net.const(0), bits, domain=DOMAIN)
    assert_conforms(net.model(y))


@pytest.mark.parametrize("levels", [1, 2])
def test_quantiser_of_few_levels(levels: int) -> None:
    """One unsigned bit, and that in narrow range: a quantiser with no threshold at all."""
    net = Net(2)
    y = net.quant(net.quant("x", 0.5, 4), 0.3, 1, signed=0, narrow=2 - levels)
    assert_conforms(net.model(y), {"x": codes(4, 2) / 2})


def test_quantising_twice_alike_is_once() -> None:
    net = Net(2)
    x = net.quant("x", 0.5, 4)
    graph = assert_conforms(net.model(net.quant(net.quant(x, 0.5, 4), 0.5, 4)), {"x": codes(5, 2) / 4})
    assert graph.ops == ()


def test_sixteen_bit_activations() -> None:
    net = Net(6)
    x = net.quant("x", 2.0**-12, 16)
    y = net.node("MatMul", x, net.quant(normal(1, 6, 3), 2.0**-14, 16))
    model = net.model(net.quant(y, 2.0**-9, 16))
    assert_conforms(model, inputs_of(model, 0, 20, 2.0**-13, 2**16))


def test_thirty_two_bits() -> None:
    """Products and thresholds beyond 64 bits; weights at a bound that float32 rounds up."""
    net = Net(4)
    x = net.quant("x", 2.0**-26, 32)
    y = net.node("MatMul", x, net.quant(normal(1, 4, 3), 2.0**-31, 32))
    model = net.model(net.quant(y, 0.3, 3), net.quant(y, 2.0**-20, 32), y)
    assert_conforms(model, inputs_of(model, 0, 8, 2.0**-27, 2**30))


# Products with constant weights


def weight_scale(kind: str, filters: int, *ones: int) -> np.ndarray:
    """(filters, 1, ...) scales, or (1, filters) of a matrix where `ones` is empty."""
    steps = np.arange(filters)
    values = {
        "power": np.full(filters, 0.125),
        "real": np.full(filters, 0.11),
        "powers": 2.0 ** -(1 + steps % 4),
        "reals": 0.1 + 0.03 * steps,
    }[kind]
    shape = (filters, *ones) if ones else (1, filters)
    return (values[:1] if kind in ("power", "real") else values.reshape(shape)).astype(np.float32)


SCALES = ("power", "real", "powers", "reals")
BIASES = {
    "none": None,
    "grid": lambda n: np.arange(n) / 8 - 0.25,
    "fine": lambda n: (np.arange(n) * 7919 % 1024 - 512) / 2**14,  # bits below the accumulator's grid
    "real": lambda n: normal(5, n),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize(
    ("mode", "relu", "activation"),
    [("ROUND", False, 0.25), ("FLOOR", True, 0.5), ("HALF_UP", False, 0.3), ("CEIL", True, 0.25)],
)
def test_conv_bias_and_quantiser(scale: str, bias: str, mode: str, relu: bool, activation: float) -> None:
    net = Net(2, 4, 3)
    x = net.quant("x", 0.125, 4)
    weights = net.quant(normal(1, 5, 2, 3, 2), weight_scale(scale, 5, 1, 1, 1), 4)
    biases = [] if bias == "none" else [net.const(BIASES[bias](5))]
    y = net.node("Conv", x, weights, *biases, pads=[1, 0, 1, 1])
    y = net.node("Relu", y) if relu else y
    assert_conforms(net.model(net.quant(y, activation, 3, signed=not relu, mode=mode)))


def test_a_fine_bias_stays_a_cast() -> None:
    """A bias off the accumulator's grid cannot tie: one sticky bit says all that rounding needs."""
    net = Net(1)
    y = net.node("MatMul", net.quant("x", 0.25, 6), net.quant([[1.0]], 1.0, 2))
    y = net.node("Add", y, net.const([2.0**-20]))
    graph = assert_conforms(net.model(net.quant(y, 1.0, 4, mode="HALF_DOWN")), {"x": codes(6, 1) / 4})
    assert [type(op) for op in graph.ops] == [Dense, Cast]
    assert graph.ops[0].accum.width <= 9


@pytest.mark.parametrize("mode", MODES)
def test_a_bias_finer_than_the_accumulator_and_the_quantiser(mode: str) -> None:
    """Sums of whole numbers, and biases about a half: only their own low bits tell which side of a tie they are on."""
    net = Net(1)
    bias = np.array([0.25, 0.5, 0.75, 0.5 + 2.0**-20, 0.5 - 2.0**-20, -0.25, -0.5, -0.75, 2.0**-20, -(2.0**-20)])
    y = net.node("MatMul", net.quant("x", 1.0, 4), net.quant(np.ones((1, 10)), 1.0, 2))
    y = net.quant(net.node("Add", y, net.const(bias)), 1.0, 6, mode=mode)
    assert_conforms(net.model(y), {"x": codes(4, 1)})


@pytest.mark.parametrize("mode", MODES)
def test_a_factor_of_zero_leaves_a_constant_on_the_boundary(mode: str) -> None:
    net = Net(7)
    y = net.node("Mul", net.quant("x", 1.0, 4), net.const(np.zeros(7)))
    y = net.node("Add", y, net.const([-1, -0.5, -(2.0**-20), 0, 0.5, 1, 1.5]))
    assert_conforms(net.model(net.quant(y, 1.0, 3, mode=mode), net.quant(y, 0.3, 3, mode=mode)))


@pytest.mark.parametrize("scale", SCALES)
def test_scales_of_an_unquantised_output(scale: str) -> None:
    net = Net(2, 4, 3)
    weights = net.quant(normal(1, 5, 2, 3, 2), weight_scale(scale, 5, 1, 1, 1), 4)
    y = net.node("Conv", net.quant("x", 0.1, 4), weights, net.const(BIASES["real"](5)))
    assert_conforms(net.model(y))


@pytest.mark.parametrize(
    ("shape", "weights", "attributes"),
    [
        ((4, 5, 6), (6, 4, 1, 1), {}),
        ((4, 5, 6), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
        ((4, 5, 6), (4, 1, 3, 2), {"group": 4}),  # depthwise
        ((3, 6, 5), (6, 1, 2, 2), {"group": 3, "strides": [2, 1]}),  # depthwise, two filters a channel
        ((2, 7, 9), (3, 2, 3, 3), {"dilations": [2, 3]}),
        ((2, 7, 9), (3, 2, 3, 2), {"dilations": [2, 3], "strides": [1, 2], "auto_pad": "SAME_UPPER"}),
        ((2, 5, 6), (3, 2, 2, 3), {"strides": [2, 3], "auto_pad": "SAME_LOWER"}),
        ((2, 5, 6), (3, 2, 2, 3), {"auto_pad": "VALID"}),
        ((2, 5, 6), (3, 2, 2, 3), {"pads": [0, 2, 1, 0]}),
        ((2, 3, 3), (3, 2, 1, 1), {"pads": [2, 2, 2, 2], "strides": [3, 3]}),
        ((3, 9), (4, 3, 3), {"pads": [1, 2], "strides": [2]}),  # 1-D
        ((4, 9), (4, 1, 3), {"group": 4, "dilations": [2]}),
        ((2, 1, 1), (3, 2, 1, 1), {}),
        ((1, 4, 4), (1, 1, 4, 4), {}),
    ],
)
def test_conv_geometry(shape: tuple[int, ...], weights: tuple[int, ...], attributes: dict[str, object]) -> None:
    net = Net(*shape)
    w = net.quant(normal(2, *weights), weight_scale("reals", weights[0], *(1,) * (len(weights) - 1)), 3)
    y = net.node("Conv", net.quant("x", 0.25, 4), w, net.const(normal(3, weights[0])), **attributes)
    assert_conforms(net.model(net.quant(y, 0.4, 5)))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("scale", SCALES)
def test_matmul(shape: tuple[int, ...], scale: str) -> None:
    net = Net(*shape)
    y = net.node("MatMul", net.quant("x", 0.1, 4), net.quant(normal(1, 5, 3), weight_scale(scale, 3), 4))
    y = net.node("Add", net.const([0.3, -0.1, 0.7]), y)
    assert_conforms(net.model(net.quant(y, 0.25, 4), y))


@pytest.mark.parametrize(("trans_b", "alpha", "beta"), [(0, 1.0, 1.0), (1, 0.5, 2.0), (1, 0.3, -0.7), (0, -1.0, 1.0)])
def test_gemm(trans_b: int, alpha: float, beta: float) -> None:
    net = Net(5)
    w = normal(1, 3, 5) if trans_b else normal(1, 5, 3)
    scale = weight_scale("reals", 3, 1) if trans_b else weight_scale("reals", 3)
    inputs = net.quant("x", 0.25, 4), net.quant(w, scale, 4), net.const(normal(2, 3))
    y = net.node("Gemm", *inputs, transB=trans_b, alpha=alpha, beta=beta)
    assert_conforms(net.model(net.quant(y, 0.25, 4), y))


def test_quantised_bias_is_exact() -> None:
    """Its value is integer × scale, which float32 would round."""
    net = Net(2)
    bias = net.quant([3.0, -5.0], 0.017, 16)
    assert_conforms(net.model(net.node("Gemm", net.quant("x", 0.1, 4), net.quant(normal(1, 2, 2), 0.3, 4), bias)))


def test_transposed_weights_stay_quantised() -> None:
    net = Net(5)
    w = net.node("Transpose", net.quant(normal(1, 3, 5), weight_scale("reals", 3, 1), 3), perm=[1, 0])
    assert_conforms(net.model(net.node("MatMul", net.quant("x", 0.25, 4), w)))


def test_weights_on_a_coarse_grid_need_no_quantiser() -> None:
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 0.25, 4), net.const([[0.5, 2], [-1.25, 0], [0.75, 64]]))
    assert_conforms(net.model(y))


def test_weights_with_a_zero_point() -> None:
    net = Net(4)
    w = net.quant(np.abs(normal(1, 4, 3)), 0.1, 4, signed=0, zero=3)
    assert_conforms(net.model(net.node("MatMul", net.quant("x", 0.25, 4, zero=2, mode="FLOOR"), w)))


def test_power_of_two_scales_far_apart() -> None:
    """Aligned to the finest, these weights would leave 64 bits: the scales stay beside the integers."""
    net = Net(2)
    w = net.quant(np.array([[1e-19, 0.5], [-1e-19, 1]]), np.array([2.0**-64, 0.5]), 4)
    y = net.node("MatMul", net.quant("x", 0.125, 6), w)
    assert_conforms(net.model(y, net.quant(y, 0.25, 4)))


@given(st.sampled_from(MODES), st.integers(1, 16), st.booleans(), st.booleans(), scales, st.integers(-3, 3))
@settings(max_examples=60)
def test_weight_quantisers(mode: str, bits: int, signed: bool, narrow: bool, scale: float, zero: int) -> None:
    net = Net(1)
    values = np.concatenate([np.arange(-12, 13) * np.float32(scale) / 2, normal(bits, 8)])
    zero = 0 if bits == 1 and signed else zero
    w = net.quant(values.reshape(1, -1), scale, bits, signed=signed, narrow=narrow, mode=mode, zero=zero)
    assert_conforms(net.model(net.node("MatMul", net.quant("x", 1.0, 2), w)), {"x": codes(2, 1)})


# Batch norm


@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from([(0.25, "ROUND"), (0.31, "ROUND"), (0.31, "FLOOR"), (0.5, "CEIL"), (0.7, "UP")]),
    st.integers(1, 4),
)
@settings(max_examples=40)
def test_batch_norm_and_quantiser(seed: int, relu: bool, quantiser: tuple[float, str], bits: int) -> None:
    """Gammas of either sign and zero, tiny and large variances."""
    random = np.random.default_rng(seed)
    net = Net(2, 3, 3)
    w = net.quant(normal(1, 4, 2, 2, 2), weight_scale("reals", 4, 1, 1, 1), 3)
    y = net.node("Conv", net.quant("x", 0.25, 3), w)
    gamma = random.choice([0.0, -1.0, 1.0, -0.3, 2.5], 4)
    y = net.batch_norm(y, gamma, random.normal(size=4), random.normal(size=4), random.choice([1e-6, 0.3, 4.0, 50.0], 4))
    y = net.node("Relu", y) if relu else y
    assert_conforms(net.model(net.quant(y, quantiser[0], bits, signed=not relu, mode=quantiser[1])))


def test_batch_norm_at_the_output() -> None:
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 0.25, 4), net.quant(normal(1, 3, 4), 0.125, 3))
    y = net.batch_norm(y, [1, -0.5, 2, 0], normal(2, 4), normal(3, 4), [0.5, 1, 2, 3], epsilon=1e-3)
    assert_conforms(net.model(y), root=True)


def test_batch_norm_with_rational_roots_hits_ties_exactly() -> None:
    net = Net(2)
    x = net.quant("x", 0.25, 6)
    y = net.batch_norm(x, [1.5, -3], [0.5, 0.25], [0.25, -0.5], [0.75, 3.75], epsilon=0.25)
    assert_conforms(net.model(net.quant(y, 0.5, 4, mode="HALF_DOWN")), {"x": codes(6, 2) / 4})


# Elementwise


def test_constants_on_either_side() -> None:
    net = Net(2, 3)
    x = net.quant("x", 0.25, 5)
    y = net.node("Sub", net.const([[1.0], [2.5]]), x)
    y = net.node("Div", y, net.const([[3.0], [-0.7]]))
    y = net.node("Mul", net.const(0.3), y)
    y = net.node("Sub", y, net.const([[[0.1], [0.2]]]))
    y = net.node("Identity", net.node("Dropout", y))
    assert_conforms(net.model(net.quant(y, 0.1, 5)))


def test_constants_along_the_last_axis() -> None:
    net = Net(2, 3)
    y = net.node("Mul", net.quant("x", 0.25, 5), net.const([1.0, -2.0, 0.3]))
    y = net.node("Add", y, net.const([0.5, 0.25, 0.125]))
    y = net.node("Transpose", y, perm=[0, 2, 1])
    assert_conforms(net.model(net.quant(y, 0.2, 4), y))


@pytest.mark.parametrize("scale", [0.25, 0.3])
def test_residual_add(scale: float) -> None:
    """Fan-out: one quantised tensor is read by a convolution and by the addition."""
    net = Net(2, 4, 4)
    x = net.quant("x", scale, 4)
    w = net.quant(normal(1, 2, 2, 3, 3), 0.125, 3)
    y = net.node("Relu", net.node("Conv", x, w, net.const([0.3, -0.2]), pads=[1, 1, 1, 1]))
    y = net.quant(y, scale, 4)
    total = net.node("Relu", net.node("Add", y, x))
    graph = assert_conforms(net.model(net.quant(total, 2 * scale, 3, signed=0), total))
    assert any(isinstance(op, Add) for op in graph.ops)


def test_residual_add_of_accumulators() -> None:
    net = Net(3)
    x = net.quant("x", 0.25, 4)
    left = net.node("MatMul", x, net.quant(normal(1, 3, 4), 0.125, 3))
    right = net.node("Gemm", x, net.quant(normal(2, 3, 4), 0.5, 3), net.const([0.5, -1, 0.125, 3]))
    assert_conforms(net.model(net.quant(net.node("Add", left, right), 0.5, 5)))


def test_doubling_by_adding_to_itself() -> None:
    net = Net(3)
    x = net.quant("x", 0.25, 4)
    assert_conforms(net.model(net.node("Add", x, x)))


def test_one_accumulator_under_two_quantisers() -> None:
    net = Net(3, 4, 4)
    y = net.node("Conv", net.quant("x", 0.25, 4), net.quant(normal(1, 4, 3, 2, 2), 0.125, 3), net.const(normal(2, 4)))
    low, high = net.quant(net.node("Relu", y), 0.5, 2, signed=0), net.quant(y, 0.3, 5)
    assert_conforms(net.model(low, high, y))


def test_several_inputs_and_outputs() -> None:
    net = Net(3)
    net.input("z", (3,))
    a, b = net.quant("x", 0.25, 4), net.quant("z", 0.25, 6, signed=0)
    assert_conforms(net.model(b, net.node("Add", a, b), a))


# Pooling


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((3, 4, 6), {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ((3, 5, 5), {"kernel_shape": [2, 3]}),
        ((3, 7), {"kernel_shape": [3], "strides": [2]}),
        ((2, 6, 6), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ],
)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("before", ["quantiser", "batch norm"])
def test_pooling(kind: str, shape: tuple[int, ...], attributes: dict[str, object], before: str) -> None:
    """After a quantiser, and with a batch norm still to be closed by the next one."""
    net = Net(*shape)
    channels = shape[0]
    y = net.quant("x", 0.25, 4)
    if before == "batch norm":
        gamma = np.abs(normal(1, channels)) + 0.1
        y = net.batch_norm(y, gamma, normal(2, channels), normal(3, channels), np.full(channels, 0.4))
    y = net.node(kind, y, **attributes)
    assert_conforms(net.model(net.quant(y, 0.3, 5)))


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 1, 1, 0]])
@pytest.mark.parametrize("size", [[2, 2], [3, 3], [2, 4]])
def test_padded_average(pads: list[int], size: list[int]) -> None:
    net = Net(2, 4, 4)
    x = net.quant("x", 0.25, 4)
    y = net.node("AveragePool", x, kernel_shape=size, strides=[2, 1], pads=pads, count_include_pad=1)
    assert_conforms(net.model(net.quant(y, 0.25, 4), y))


def test_average_with_padding_as_large_as_its_window() -> None:
    net = Net(1, 4, 4)
    x = net.quant("x", 0.125, 6)
    y = net.node("AveragePool", x, kernel_shape=[2, 2], pads=[2, 2, 2, 2], count_include_pad=1)
    assert_conforms(net.model(y))


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 3, 5), (2, 7)])
@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling(kind: str, shape: tuple[int, ...]) -> None:
    net = Net(*shape)
    y = net.node(kind, net.quant("x", 0.25, 4))
    y = net.node("Flatten", y)
    assert_conforms(net.model(net.node("MatMul", net.quant(y, 0.125, 5), net.quant(normal(1, shape[0], 2), 0.5, 3)), y))


def test_average_of_a_power_of_two_window_keeps_no_factor() -> None:
    net = Net(1, 4, 4)
    graph = graph_of(net.model(net.node("AveragePool", net.quant("x", 0.25, 4), kernel_shape=[2, 2])))
    assert [op.kind for op in graph.ops if isinstance(op, Pool)] == [PoolKind.AVERAGE]


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])
def test_scales_that_differ_inside_a_window(kind: str) -> None:
    """A factor for each column does not change places with a maximum over columns, nor with a mean."""
    net = Net(1, 4, 4)
    y = net.node("Mul", net.quant("x", 0.125, 6), net.const(np.array([1, 8, 0.5, 0.25]).reshape(1, 1, 1, 4)))
    window = {} if kind.startswith("Global") else {"kernel_shape": [2, 2]}
    assert_conforms(net.model(net.quant(net.node(kind, y, **window), 0.3, 4)))


# Shapes


def test_shapes_before_and_after_quantising() -> None:
    net = Net(2, 3, 4)
    y = net.node("Transpose", "x", perm=[0, 2, 3, 1])
    y = net.quant(net.shaped(y, 1, 12, 2), 0.25, 4)
    y = net.node("Unsqueeze", y, net.const([2], np.int64))
    y = net.node("Squeeze", y, net.const([2], np.int64))
    y = net.shaped(y, 0, -1)
    y = net.node("MatMul", y, net.quant(normal(1, 24, 3), 0.125, 3))
    assert_conforms(net.model(y))


def test_per_channel_scales_through_flatten() -> None:
    net = Net(2, 3, 3)
    y = net.node(
        "Conv", net.quant("x", 0.25, 4), net.quant(normal(1, 4, 2, 2, 2), weight_scale("reals", 4, 1, 1, 1), 3)
    )
    y = net.node("Flatten", net.batch_norm(y, [1, -1, 0, 2], normal(2, 4), normal(3, 4), [0.4, 1, 2, 3]))
    assert_conforms(net.model(net.quant(y, 0.3, 4), y), root=True)


def test_reshape_at_run_time() -> None:
    """What exporters write for x.view(x.size(0), -1), and for Shape with bounds."""
    net = Net(2, 3, 4)
    x = net.quant("x", 0.25, 4)
    first = net.node("Gather", net.node("Shape", x), net.const(0, np.int64), axis=0)
    first = net.node("Unsqueeze", first, net.const([0], np.int64))
    target = net.node("Concat", first, net.const([-1], np.int64), axis=0)
    graph = graph_of(net.model(net.node("Reshape", x, target)))
    assert graph.tensors[graph.outputs[0].tensor].shape == (24,)
    net = Net(2, 3, 4)
    x = net.quant("x", 0.25, 4)
    target = net.node("Concat", net.node("Shape", x, start=0, end=2), net.const([-1], np.int64), axis=0)
    graph = graph_of(net.model(net.node("Reshape", x, target)))
    assert graph.tensors[graph.outputs[0].tensor].shape == (2, 12)


def test_channels_last_models() -> None:
    """A Transpose on each side of what works channels-first."""
    net = Net(4, 4, 3)
    y = net.node("Transpose", net.quant("x", 0.25, 4), perm=[0, 3, 1, 2])
    y = net.node("Conv", y, net.quant(normal(1, 4, 3, 3, 3), 0.125, 3), net.const(normal(2, 4)), pads=[1, 1, 1, 1])
    y = net.quant(net.node("Relu", y), 0.25, 3, signed=0)
    y = net.node("Transpose", y, perm=[0, 2, 3, 1])
    assert_conforms(net.model(y))


# Inputs that hold integers already


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (TensorProto.INT8, -128, 127),
        (TensorProto.UINT8, 0, 255),
        (TensorProto.INT16, -(2**15), 2**15 - 1),
        (TensorProto.UINT16, 0, 2**16 - 1),
    ],
)
def test_integer_inputs(kind: int, low: int, high: int) -> None:
    net = Net()
    net.input("x", (3,), kind)
    model = net.model(net.node("MatMul", "x", net.quant(normal(1, 3, 2), 0.25, 3)))
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    assert_conforms(model, {"x": np.array([[low, high, 0], [high, low, 1]], dtype=dtype)})


def test_annotated_inputs() -> None:
    net = Net(3)
    model = net.model(net.node("MatMul", "x", net.quant(normal(1, 3, 2), 0.25, 3)))
    annotation = model.graph.quantization_annotation.add()
    annotation.tensor_name = "x"
    entry = annotation.quant_parameter_tensor_names.add()
    entry.key, entry.value = "finn_datatype", "INT6"
    assert_conforms(model, {"x": codes(6, 3)})


# Whole networks


def lenet() -> Net:
    """Channels-first convolutions with more than one channel, poolings, flatten, dense layers."""
    net = Net(2, 8, 8)
    x = net.quant("x", 0.25, 4)
    y = net.node("Conv", x, net.quant(normal(1, 3, 2, 3, 3), 0.125, 3), net.const(normal(2, 3)), pads=[1, 1, 1, 1])
    y = net.quant(net.node("Relu", y), 0.25, 3, signed=0)
    y = net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.node("Conv", y, net.quant(normal(3, 4, 3, 3, 3), weight_scale("reals", 4, 1, 1, 1), 3))
    y = net.batch_norm(y, [1, -1, 0.5, 2], normal(4, 4), normal(5, 4), [1, 0.5, 2, 1])
    y = net.quant(net.node("Relu", y), 0.3, 3, signed=0)
    y = net.node("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.quant(net.node("Flatten", y), 0.3, 4, signed=0)
    y = net.node("Gemm", y, net.quant(normal(6, 5, 4), 0.125, 3), net.const(normal(7, 5)), transB=1)
    net.node("Gemm", net.quant(net.node("Relu", y), 0.5, 4, signed=0), net.quant(normal(8, 5, 3), 0.25, 3), output="y")
    return net


def test_lenet() -> None:
    graph = assert_conforms(lenet().model("y"))
    assert [type(op) for op in graph.ops if isinstance(op, Conv | Dense)] == [Conv, Conv, Dense, Dense]


@given(networks())
@settings(max_examples=150)
def test_random_networks(model: ModelProto) -> None:
    assert_conforms(model, root=True)


def test_traces_bear_the_model_s_names_and_layouts() -> None:
    """`assert_conforms` compares every name that both know; here those that have to be there."""
    net = lenet()
    model = net.model("y")
    feeds = inputs_of(model, 0)
    names = set(Simulator(graph_of(model)).trace(feeds))
    quantised = {node.output[0] for node in net.nodes[3:] if node.op_type == "Quant" and node.input[0] in made(net)}
    assert {"maxpool5", "y"} | quantised <= names


def made(net: Net) -> set[str]:
    return {name for node in net.nodes for name in node.output}


def test_a_tensor_of_other_values_does_not_bear_the_model_s_name() -> None:
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 0.25, 4), net.quant(normal(1, 3, 2), weight_scale("reals", 2), 3), output="y")
    graph = assert_conforms(net.model("y"))
    assert y not in Simulator(graph).trace(np.ones((1, 3)))
    assert any(isinstance(op, Dense) for op in graph.ops)


def test_arbitrary_scales_become_thresholds() -> None:
    net = Net(3)
    graph = graph_of(net.model(net.quant(net.quant("x", 0.25, 4), 0.3, 3)))
    assert [type(op) for op in graph.ops] == [Threshold]
