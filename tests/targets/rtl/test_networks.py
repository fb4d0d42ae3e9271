"""Whole networks: the generated Verilog, compiled, against the simulator, with stalls and across resets."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import CheckFailed, UnsupportedModel
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, PoolKind
from fpgaflow.ir.ops_merge import Concat, Elementwise, ElementwiseKind, MatMul, OrderedSum, Pad, Take
from fpgaflow.ir.ops_table import Lookup, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type
from fpgaflow.ir.verify_table import piecewise_type
from fpgaflow.samples import joined
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.rtl.folding import choose_folding, fold_for
from fpgaflow.targets.rtl.generate import check_rtl, generate
from fpgaflow.targets.rtl.simulate import Run, Traffic
from tests.graphs import one_op
from tests.targets.hls.hls_graphs import S6, U4, Net, lenet
from tests.targets.rtl.harness import assert_exact, compiled
from tests.third_party import third_party

Case = tuple[tuple[int, ...], int, tuple[int, ...], int, dict[str, Any]]
LENET = Path(__file__).parents[3] / "examples" / "lenet_digits"


def jets(bits: int = 4) -> Graph:
    """The perceptron 16-64-32-32-5 of the jet-tagging papers, its weights and activations of some bits."""
    net = Net()
    x = net.input((16,), FixedType(True, 8, 4))
    weights, activations = FixedType(True, bits, bits - 1), FixedType(False, bits, 2)
    for width in (64, 32, 32):
        x = net.cast(net.relu(net.dense(x, width, weights)), activations)
    net.output(net.dense(x, 5, weights))
    return net.graph()


def residual() -> Graph:
    """Branches of different latency, joined by a sum and side by side; then twice the size, a rim, an average."""
    net = Net()
    same = ((1, 1), (1, 1))
    y = net.cast(net.conv(net.input((6, 6, 3), FixedType(True, 5, 3)), 4, (3, 3), padding=same), S6)
    z = net.cast(net.relu(net.conv(y, 4, (3, 3), padding=same)), S6)
    z = net.cast(net.conv(z, 4, (3, 3), padding=same), S6)
    joined = net.op(Concat, [net.cast(net.add(y, z), S6), y], (6, 6, 8), S6, axis=2)
    slopes = np.stack([np.arange(-4, 4), np.full(8, 4)], axis=-1)  # a PReLU, its slopes in quarters
    knots, offsets = np.array([0]), np.zeros((8, 2), np.int64)
    bent = piecewise_type(S6, knots, slopes, offsets, S6.fraction + 2)
    constants = {"knots": knots, "slopes": slopes, "offsets": offsets}
    joined = net.cast(net.op(Piecewise, [joined], (6, 6, 8), bent, constants), S6)
    wide = net.op(Take, [joined], (6, 12, 8), S6, {"indices": np.repeat(np.arange(6), 2)}, axis=1)
    rim = net.op(Pad, [wide], (8, 12, 8), S6, padding=((1, 1), (0, 0), (0, 0)), value=-3)
    pooled = net.pool(rim, PoolKind.AVERAGE, (4, 4))
    net.output(net.dense(net.reshape(pooled, (48,)), 3))
    return net.graph()


def attention() -> Graph:
    """Two rows of queries, keys and values; products of activations, a table of exponentials, a division by a table."""
    net = Net()
    x = net.input((4, 6), S6)
    q, k, v = (net.cast(net.dense(x, 6), FixedType(True, 5, 2)) for _ in range(3))
    scores = net.op(MatMul, [q, net.transpose(k, (1, 0))], (4, 4), matmul_type(net.type(q), net.type(k), 6))
    index = net.cast(scores, FixedType(True, 5, -1))
    table = np.minimum(255, np.exp2((np.arange(32) - 16) / 4) * 8).astype(np.int64)
    exps = net.op(Lookup, [index], (4, 4), FixedType(False, 8, 6), {"table": table})
    column = net.reshape(exps, (4, 4, 1))
    fields = {"bias": None, "tree": True, "rounding": Rounding.TRN, "overflow": Overflow.SAT}
    total = net.reshape(net.op(OrderedSum, [column], (4, 1), FixedType(False, 8, 6), **fields), (4, 1))
    inverse = net.op(Lookup, [total], (4, 1), FixedType(False, 7, 6), {"table": 127 // (1 + np.arange(256) // 64)})
    each = net.op(Take, [inverse], (4, 4), net.type(inverse), {"indices": [0, 0, 0, 0]}, axis=1)
    product = elementwise_type(ElementwiseKind.MULTIPLY, net.type(exps), net.type(each))
    shares = net.cast(net.op(Elementwise, [exps, each], (4, 4), product, kind=ElementwiseKind.MULTIPLY), U4)
    mixed = net.op(MatMul, [shares, v], (4, 6), matmul_type(U4, net.type(v), 4))
    net.output(net.cast(net.add(net.cast(mixed, S6), x), S6))
    return net.graph()


def small_conv() -> Graph:
    """Channels first at the input, as torch has them; strides, padding, thresholds, a depthwise layer."""
    net = Net()
    x = net.transpose(net.input((2, 7, 6), FixedType(True, 4, 2)), (1, 2, 0))
    x = net.conv(x, 4, (3, 3), strides=(2, 1), padding=((1, 1), (0, 1)))
    levels = np.sort(net.rng.integers(-90, 90, (4, 7)), axis=1)
    x = net.threshold(x, levels, FixedType(False, 3, 0))
    x = net.cast(net.conv(x, 4, (2, 2), groups=4), S6)
    net.output(net.dense(net.reshape(x, (48,)), 7))
    return net.graph()


def assert_on_data(graph: Graph, x: np.ndarray, interval: int, name: str) -> Run:
    """A model's RTL gives the simulator's bits on real inputs, its streams stalling; the run without stalls."""
    simulator = Simulator(graph)
    codes, want = joined(simulator.input_integers(x)), joined(simulator.predict_integers(x))
    simulation = compiled(graph, fold_for(graph, interval), name)
    for traffic in (Traffic(1, 20, 30), Traffic()):
        run = simulation.run(codes, traffic)
        assert (run.codes == want).all()
    return run


def test_jets_are_exact_at_the_ideal_interval() -> None:
    run = assert_exact(jets(), 256, "jets")
    assert run.interval == 256  # 16 × 64 products on 4 multipliers, and 64 × 32 on 8


def test_a_convolution_loses_less_than_a_tenth_of_its_interval() -> None:
    folding = fold_for(lenet(PoolKind.MAX).graph(), 1000)
    run = assert_exact(lenet(PoolKind.MAX).graph(), 1000, "lenet")
    assert folding.interval <= run.interval <= 1.1 * folding.interval


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 6])
def test_jets_on_many_samples(bits: int) -> None:
    assert_exact(jets(bits), 64, f"jets{bits}", samples=200)


@pytest.mark.slow
def test_residual_networks_and_attention_on_many_samples() -> None:
    assert_exact(residual(), 2000, "residual200", samples=200)
    assert_exact(attention(), 150, "attention", samples=200)


@pytest.mark.slow
def test_keyword_spotting_is_faster_than_the_board_that_was_measured() -> None:
    folder = third_party("kws_w3a3_pynqz2")
    graph = load(folder / "QONNX_model.onnx")
    x = np.load(folder / "inputs_int8_1000x1x10x49.npy")[:200].astype(np.float32)
    run = assert_on_data(graph, x, 100_000_000 // 57_268, "kws")
    assert 100e6 / run.interval > 57_268  # samples per second at 100 MHz: board_logs, PYNQ-Z2


CONVS = [  # image, filters, kernel, multipliers, the rest
    ((16, 16, 8), 16, (3, 3), 64, {"padding": ((1, 1), (1, 1))}),
    ((16, 16, 8), 16, (3, 3), 64, {"padding": ((1, 1), (1, 1)), "strides": (2, 2)}),
    ((28, 28, 1), 6, (5, 5), 30, {}),
    ((12, 12, 8), 8, (3, 3), 3, {"padding": ((1, 1), (1, 1)), "groups": 8}),
    ((32, 4), 8, (3,), 8, {}),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", CONVS, ids=str)
def test_a_convolution_takes_at_most_a_tenth_more_than_its_products_over_its_multipliers(case: Case) -> None:
    shape, filters, kernel, multipliers, rest = case
    net = Net()
    net.output(net.conv(net.input(shape, U4), filters, kernel, **rest))
    graph = net.graph()
    products = prod(net.shape("conv0")) * prod(net.constants["conv0.w"].shape[:-1])
    fold = fold_for(graph, products * 11 // (10 * multipliers)).folds["conv0"]
    run = assert_exact(graph, fold.cycles, "_".join(map(str, shape)), samples=5)
    assert run.interval <= 1.1 * products / fold.multipliers
    assert 0.97 * fold.cycles <= run.interval <= 1.03 * fold.cycles  # what was estimated


def test_branches_do_not_deadlock() -> None:
    run = assert_exact(residual(), 400, "residual")
    assert run.interval <= 1.1 * fold_for(residual(), 400).interval


def test_strides_padding_thresholds_depthwise() -> None:
    assert_exact(small_conv(), 300, "conv")


@pytest.mark.slow
def test_lenet_of_the_examples() -> None:
    x = np.load(LENET / "test.npz")["x"][:200].astype(np.float32)
    run = assert_on_data(load(LENET / "model.onnx"), x, 10_000, "digits")
    assert run.interval <= 10_000


@pytest.mark.parametrize(
    ("type_", "shape", "found"),
    [
        (FixedType(True, 600, 0), (4,), "has 600 bits in an element, and the RTL generator takes 512 at most"),
        (S6, (4096, 4096), "has 100,663,296 bits in a tensor, and the RTL generator takes 67,108,864 at most"),
    ],
)
def test_what_is_too_large_is_refused_with_its_count(type_: FixedType, shape: tuple[int, ...], found: str) -> None:
    graph = one_op(Cast("c", ("x",), "y", "quant_3", Rounding.TRN, Overflow.WRAP), type_, shape, U4, shape)
    assert f"Cast 'c' (node 'quant_3'): {found}" in str(check_rtl(graph, load_board("pynq-z2"))[0])
    with pytest.raises(UnsupportedModel, match="quant_3"):
        generate(graph, fold_for(graph, 1))


def test_a_convolution_over_three_axes_is_refused() -> None:
    net = Net()
    net.output(net.pool(net.input((4, 4, 4, 2), S6), PoolKind.MAX, (2, 2, 2)))
    (problem,) = check_rtl(net.graph(), load_board("pynq-z2"))
    assert "Pool 'pool0' (node 'pool0'): has 3 spatial axes, and the RTL generator takes 2 at most" in str(problem)


def test_a_rate_beyond_the_streams_is_refused() -> None:
    net = Net()
    net.output(net.dense(net.input((64,), U4), 2))  # in 16 beats
    board = load_board("pynq-z2")
    assert choose_folding(net.graph(), board, 100, None, 0.7).interval == 16
    with pytest.raises(
        CheckFailed, match=r"'the streams' takes 16 cycles a sample at 100 MHz\. Ask for 6250000 at most"
    ):
        choose_folding(net.graph(), board, 100, 10e6, 0.7)


def test_a_board_without_axi_streams_is_refused() -> None:
    (problem,) = check_rtl(jets(), load_board("alveo-u250"))
    assert "board 'alveo-u250': samples reach it by xrt" in str(problem)


def test_the_verilog_is_the_same_each_time() -> None:
    first, second = (generate(graph, fold_for(graph, 300)).files() for graph in (small_conv(), small_conv()))
    assert first == second
    assert {"fpgaflow_top.v", "layer_conv1.v", "interface.json"} <= set(first)
