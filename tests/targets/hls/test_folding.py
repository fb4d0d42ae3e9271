from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hls4ml.backends import get_backend
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.boards import Board, load_board
from fpgaflow.cost.estimate import design_cost, layer_cost
from fpgaflow.data import data_dir
from fpgaflow.errors import CheckFailed
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Linear, PoolKind, Threshold
from fpgaflow.ir.ops_merge import MatMul
from fpgaflow.ir.verify_merge import matmul_type
from fpgaflow.targets.hls.check import check, legal_reuse
from fpgaflow.targets.hls.folding import MAX_MULTIPLIERS, Folding, choose_folding
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.normal import normal_form
from tests.targets.hls.hls_graphs import B8, U4, Net

BOARD, CLOCK, LIMIT = load_board("pynq-z2"), 100.0, 0.7


def choose(graph: Graph, fps: float | None = None, board: Board = BOARD) -> Folding:
    return choose_folding(graph, board, CLOCK, fps, LIMIT)


def board_with(**resources: int) -> Board:
    return replace(BOARD, resources=replace(BOARD.resources, **resources))


def perceptron(*sizes: int) -> Graph:
    net = Net()
    x = net.input(sizes[:1], B8)
    for size in sizes[1:]:
        x = net.cast(net.dense(x, size), U4)
    net.output(x)
    return net.graph()


LENET = load(data_dir("examples/lenet_digits") / "model.onnx")
MLP = perceptron(16, 64, 32, 5)
GRAPHS = {"lenet": LENET, "mlp": MLP}


def fits(folding: Folding, board: Board) -> bool:
    return max(folding.cost.utilisation(board).values()) <= LIMIT


@pytest.mark.parametrize("sizes", [(n, m) for n in (1, 2, 3, 8, 25, 64, 150) for m in (1, 2, 5, 12, 16, 84)])
def test_legal_reuse_is_hls4mls(sizes: tuple[int, int]) -> None:
    assert legal_reuse(*sizes) == get_backend("Vitis").get_valid_reuse_factors(*sizes)


@given(st.integers(1, 60), st.integers(1, 60))
def test_legal_reuse_is_hls4mls_for_any_layer(n_in: int, n_out: int) -> None:
    assert legal_reuse(n_in, n_out) == get_backend("Vitis").get_valid_reuse_factors(n_in, n_out)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_fastest_folding_fits_and_no_faster_one_does(graph: Graph) -> None:
    folding = choose(graph)
    assert fits(folding, BOARD)
    assert folding.cost == design_cost(normal_form(graph, stream=True), folding.reuse)
    with pytest.raises(CheckFailed):
        choose(graph, fps=CLOCK * 1e6 / (folding.cost.cycles - 1))


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_every_reuse_factor_is_legal(graph: Graph) -> None:
    ops = {op.name: op for op in graph.ops}
    folding = choose(graph, fps=1000)
    assert folding.reuse.keys() == {name for name, op in ops.items() if isinstance(op, Linear | Threshold)}
    for name, factor in folding.reuse.items():
        op = ops[name]
        if isinstance(op, Linear):
            *taps, filters = graph.constants[op.weights].shape
            assert factor in legal_reuse(int(np.prod(taps)), filters)
            assert graph.constants[op.weights].size / factor <= MAX_MULTIPLIERS
        else:
            assert graph.tensors[op.output].shape[-1] % factor == 0


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_goal_is_met_with_the_least_hardware(graph: Graph) -> None:
    fastest = CLOCK * 1e6 / choose(graph).cost.cycles
    luts = []
    for share in (1.0, 0.5, 0.1, 0.01, 1e-6):
        folding = choose(graph, fps=fastest * share)
        assert fits(folding, BOARD)
        assert CLOCK * 1e6 / folding.cost.cycles >= fastest * share
        luts.append(folding.cost.lut)
    assert luts == sorted(luts, reverse=True) and luts[-1] < luts[0]


def test_bottleneck_sets_the_interval() -> None:
    for graph in (LENET, MLP):
        folding = choose(graph)
        made = normal_form(graph, stream=True)
        (op,) = [op for op in made.ops if op.name == folding.bottleneck]
        assert layer_cost(op, made, folding.reuse.get(op.name, 1)).cycles == folding.cost.cycles


def test_goal_beyond_reach_names_the_layer_and_what_it_reaches() -> None:
    with pytest.raises(CheckFailed) as caught:
        choose(MLP, fps=1e9)
    assert "--fps 1e+09: 'dense0' takes 2 cycles" in str(caught.value)
    assert "50,000,000 samples per second at 100 MHz (estimated)" in str(caught.value)


@pytest.mark.parametrize(("resource", "count"), [("lut", 500), ("ff", 100)])
def test_board_that_is_too_small_says_by_how_much(resource: str, count: int) -> None:
    with pytest.raises(CheckFailed) as caught:
        choose(MLP, board=board_with(**{resource: count}))
    smallest = design_cost(normal_form(MLP, stream=True), choose(MLP, fps=1).reuse)
    share = smallest.utilisation(board_with(**{resource: count}))[resource]
    assert f"needs {resource} {share:.0%} of xc7z020clg400-1, where 70% may be used" in str(caught.value)


def test_goal_that_does_not_fit_says_so() -> None:
    fps = CLOCK * 1e6 / choose(MLP).cost.cycles
    small = board_with(lut=10_000)
    assert choose(MLP, board=small).cost.cycles > choose(MLP).cost.cycles
    with pytest.raises(CheckFailed, match=r"lut \d+% of .* Ask for less than 2e\+07 samples/s"):
        choose(MLP, fps=fps, board=small)


def test_folding_trades_logic_for_memory() -> None:
    """Folded weights lie in block memory: a part without it takes the unrolled layers, however slow they may be."""
    none = board_with(bram36=0, lut=10**6, ff=10**6)
    for folding in (choose(MLP, board=none), choose(MLP, fps=1, board=none)):
        assert folding.cost.bram36 == 0 and fits(folding, none)
    assert choose(MLP, fps=1).cost.bram36 > 0


def test_layer_that_cannot_be_folded_bounds_the_rest() -> None:
    """A pooling takes a cycle for each pixel: nothing else needs to be faster than that."""
    net = Net()
    x = net.pool(net.input((16, 16, 1), B8), PoolKind.MAX, (4, 4))
    net.output(net.dense(net.reshape(x, (16,)), 3))
    graph = net.graph()
    folding = choose(graph)
    assert folding.cost.cycles == 256 and folding.bottleneck == "pool0"
    assert folding.reuse["dense2"] == 48, "the dense layer has the time"
    with pytest.raises(CheckFailed, match="'pool0' takes 256 cycles"):
        choose(graph, fps=CLOCK * 1e6 / 255)


def test_wide_layer_is_not_unrolled_beyond_the_limit() -> None:
    graph = perceptron(128, 128)
    big = board_with(lut=10**9, ff=10**9, bram36=10**6)
    assert choose(graph, board=big).reuse["dense0"] == 128 * 128 // MAX_MULTIPLIERS


def test_depthwise_layers_are_unrolled_only() -> None:
    net = Net()
    x = net.input((6, 6, 4), B8)
    net.output(net.conv(x, 4, (3, 3), groups=4))
    assert choose(net.graph(), fps=1).reuse == {"conv0": 1}


def expanded() -> Graph:
    """Convolutions whose weights grow before hls4ml folds them."""
    net = Net()
    x = net.input((8, 8, 4), B8)
    x = net.cast(net.conv(x, 8, (3, 3), groups=2), U4)
    net.output(net.conv(x, 4, (2, 2), dilations=(2, 2)))
    return net.graph()


@pytest.mark.parametrize("io_type", list(IOType))
def test_reuse_factors_are_those_of_the_layers_that_are_made(io_type: IOType) -> None:
    for graph in (expanded(), LENET):
        for fps in (1.0, None):
            folding = choose_folding(graph, board_with(lut=10**6, ff=10**6), CLOCK, fps, LIMIT, io_type)
            options = HlsOptions(BOARD.part, io_type, Strategy.RESOURCE, reuse_factors=folding.reuse)
            assert check(graph, options) == ()


def test_folding_of_products_of_two_matrices() -> None:
    net = Net()
    left, right = net.input((6, 8), U4), net.input((8, 4), U4)
    net.output(net.op(MatMul, [left, right], (6, 4), matmul_type(U4, U4, 8)))
    graph = net.graph()
    assert choose(graph).reuse == {"matmul0": 1} and choose(graph).cost.cycles == 8 + 6
    assert choose(graph, fps=1).reuse == {"matmul0": 32}


def test_nothing_to_fold() -> None:
    net = Net()
    net.output(net.relu(net.input((5,), B8)))
    assert choose(net.graph()).reuse == {}
    net = Net()
    net.output(net.input((5,), B8))
    assert choose(net.graph()).bottleneck == ""


@settings(max_examples=20)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.floats(10, 1e7), st.integers(1, 50) | st.none())
def test_what_is_chosen_always_holds(sizes: list[int], fps: float, kluts: int | None) -> None:
    board = BOARD if kluts is None else board_with(lut=1000 * kluts)
    graph = perceptron(*sizes)
    try:
        folding = choose(graph, fps, board)
    except CheckFailed:
        roomy = board_with(lut=10**9, ff=10**9, bram36=10**6)
        too_fast = choose(graph, None, roomy).cost.cycles > CLOCK * 1e6 / fps
        assert too_fast or not fits(choose(graph, fps, roomy), board)
    else:
        assert fits(folding, board) and CLOCK * 1e6 / folding.cost.cycles >= fps
