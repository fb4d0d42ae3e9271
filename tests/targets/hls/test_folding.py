from __future__ import annotations

from dataclasses import replace

import pytest
from hls4ml.backends import get_backend
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.boards import Board, load_board
from fpgaflow.cost.hls_design import Choice, design_cost, hls_layer_cost
from fpgaflow.cost.parts import Cost
from fpgaflow.data import data_dir
from fpgaflow.errors import CheckFailed
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_merge import MatMul
from fpgaflow.ir.verify_merge import matmul_type
from fpgaflow.targets.hls.check import check, legal_reuse
from fpgaflow.targets.hls.folding import MAX_MULTIPLIERS, Folding, Goal, choose_folding
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.normal import normal_form
from tests.targets.hls.hls_graphs import B8, U4, Net

BOARD, CLOCK, LIMIT = load_board("pynq-z2"), 100.0, 0.7


def choose(graph: Graph, fps: float | None = None, board: Board = BOARD, latency_us: float | None = None) -> Folding:
    return choose_folding(graph, board, CLOCK, Goal(fps, latency_us, LIMIT))


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
    design = design_cost(normal_form(graph, stream=True), folding.choices)
    assert replace(folding.cost, latency=0) == replace(design, latency=0) and folding.cost.latency >= design.latency
    with pytest.raises(CheckFailed):
        choose(graph, fps=CLOCK * 1e6 / (folding.cost.cycles - 1))


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("fps", [100.0, 3000.0, None])
def test_what_is_chosen_can_be_built(graph: Graph, fps: float | None) -> None:
    folding = choose(graph, fps)
    options = options_of(folding)
    assert check(graph, options) == ()
    unrolled = set(folding.unrolled)
    assert all(choice.reuse == 1 for name, choice in folding.choices.items() if name in unrolled)


def options_of(folding: Folding, io_type: IOType = IOType.STREAM) -> HlsOptions:
    strategies = dict.fromkeys(folding.unrolled, Strategy.LATENCY)
    return HlsOptions(BOARD.part, io_type, Strategy.RESOURCE, reuse_factors=folding.reuse, strategies=strategies)


def test_a_goal_takes_the_least_hardware_that_reaches_it() -> None:
    """Against every combination of a network that has few of them."""
    graph = perceptron(6, 4, 3)
    normal = normal_form(graph, stream=True)
    layers = [op for op in normal.ops if op.name in ("dense0", "dense2")]
    assert len(layers) == 2

    def share(cost: Cost) -> float:
        return sum(cost.utilisation(BOARD).values())

    choices = [
        [Choice(r) for r in legal_reuse(*normal.constants[op.weights].shape)] + [Choice(1, unrolled=True)]
        for op in layers
    ]
    designs = [
        design_cost(normal, {"dense0": first, "dense2": second}) for first in choices[0] for second in choices[1]
    ]
    for fps in (1e6, 4e6, 1e7, 2e7, 3.3e7):
        within = [cost for cost in designs if cost.cycles <= CLOCK * 1e6 / fps]
        assert share(choose(graph, fps).cost) == pytest.approx(min(map(share, within)), rel=1e-4)


def test_a_goal_of_latency_is_met_and_counts_every_layer() -> None:
    quick = choose(MLP, latency_us=2)
    assert quick.cost.latency <= 200 and fits(quick, BOARD)
    slow = choose(MLP, latency_us=50)
    assert 200 < slow.cost.latency <= 5000
    assert sum(slow.cost.utilisation(BOARD).values()) < sum(quick.cost.utilisation(BOARD).values())
    with pytest.raises(CheckFailed, match=r"a sample takes \d+ cycles even with every multiplier .* µs at 100 MHz"):
        choose(MLP, latency_us=0.01)


def test_goal_beyond_every_multiplier_names_the_layer() -> None:
    with pytest.raises(CheckFailed) as caught:
        choose(MLP, fps=1e9)
    problem = caught.value.problem
    assert problem.where == "--fps 1e+09" and "cycles even with every multiplier" in problem.found


@pytest.mark.parametrize(("resource", "count"), [("lut", 500), ("ff", 100)])
def test_board_that_is_too_small_says_by_how_much(resource: str, count: int) -> None:
    with pytest.raises(CheckFailed, match=rf"needs .*{resource} [\d,]+% .*of xc7z020clg400-1, where 70% may be used"):
        choose(MLP, board=board_with(**{resource: count}))


def test_goal_that_does_not_fit_says_what_would() -> None:
    small = board_with(lut=25_000)
    fps = CLOCK * 1e6 / choose(MLP).cost.cycles
    assert choose(MLP, board=small).cost.cycles > choose(MLP).cost.cycles
    with pytest.raises(CheckFailed, match=r"lut \d+% of .*Ask for less: [\d,]+ samples/s at [\d.,]+ µs fits") as caught:
        choose(MLP, fps=fps, board=small)
    offered = float(str(caught.value).split("Ask for less: ")[1].split(" ")[0].replace(",", ""))
    assert choose(MLP, fps=offered - 1, board=small).cost.cycles <= CLOCK * 1e6 / (offered - 1)


def test_the_next_trade_is_faster_and_says_whether_it_fits() -> None:
    folding = choose(LENET, fps=1000)
    assert folding.trade is not None and folding.trade.fits
    assert folding.trade.samples_per_second > CLOCK * 1e6 / folding.cost.cycles
    assert choose(LENET).trade is None or not choose(LENET).trade.fits, "the fastest that fits has no better one"


def test_no_memory_unrolls_or_spreads() -> None:
    """Folded weights lie in block memory: a part without it takes layers that need none."""
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
    with pytest.raises(CheckFailed, match="'pool0' takes 256 cycles"):
        choose(graph, fps=CLOCK * 1e6 / 255)


def test_wide_layer_is_not_unrolled_beyond_the_limit() -> None:
    graph = perceptron(128, 128)
    big = board_with(lut=10**8, ff=10**8, bram36=10**6)
    folding = choose(graph, board=big)
    assert folding.reuse["dense0"] >= 128 * 128 // MAX_MULTIPLIERS and folding.unrolled == []


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
            roomy = board_with(lut=10**7, ff=10**7, bram36=10**5)
            folding = choose_folding(graph, roomy, CLOCK, Goal(fps, None, LIMIT), io_type)
            assert check(graph, options_of(folding, io_type)) == ()


def test_folding_of_products_of_two_matrices() -> None:
    net = Net()
    left, right = net.input((6, 8), U4), net.input((8, 4), U4)
    net.output(net.op(MatMul, [left, right], (6, 4), matmul_type(U4, U4, 8)))
    graph = net.graph()
    assert choose(graph).reuse == {"matmul0": 1} and choose(graph).cost.cycles == 8 + 6
    assert choose(graph, fps=1).reuse == {"matmul0": 32}


def test_streams_bound_a_network_that_is_faster() -> None:
    """A beat of 32 bits carries four inputs of 8."""
    net = Net()
    net.output(net.dense(net.input((400,), B8), 1))
    folding = choose(net.graph())
    assert folding.bottleneck == "samples in and out" and folding.cost.cycles == 100
    with pytest.raises(CheckFailed, match="'samples in and out' takes 100 cycles"):
        choose(net.graph(), fps=CLOCK * 1e6 / 99)


def test_nothing_to_fold() -> None:
    net = Net()
    net.output(net.relu(net.input((5,), B8)))
    assert choose(net.graph()).reuse == {}
    net = Net()
    net.output(net.input((5,), B8))
    assert choose(net.graph()).bottleneck == ""


def test_a_layer_of_the_normal_form_alone_keeps_its_reuse_factor() -> None:
    """What a rewrite added has no name in the model, so that no option could reach it."""
    folding = choose(expanded())
    assert set(folding.choices) <= {op.name for op in expanded().ops}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.floats(10, 1e7), st.integers(1, 50) | st.none())
def test_what_is_chosen_always_holds(sizes: list[int], fps: float, kluts: int | None) -> None:
    board = BOARD if kluts is None else board_with(lut=1000 * kluts)
    graph = perceptron(*sizes)
    try:
        folding = choose(graph, fps, board)
    except CheckFailed:
        roomy = board_with(lut=10**8, ff=10**8, bram36=10**6)
        too_fast = choose(graph, None, roomy).cost.cycles > CLOCK * 1e6 / fps
        assert too_fast or not fits(choose(graph, fps, roomy), board)
    else:
        assert fits(folding, board) and CLOCK * 1e6 / folding.cost.cycles >= fps


def test_costs_of_parts_add_up_to_the_design() -> None:
    folding, normal = choose(LENET), normal_form(LENET, stream=True)
    assert folding.cost.cycles > 1024 // 4, "its streams are faster"
    parts = [hls_layer_cost(op, normal, folding.choices.get(op.name, Choice())) for op in normal.ops]
    for name in ("lut", "ff", "dsp", "bram36"):
        assert getattr(folding.cost, name) == pytest.approx(sum(getattr(part, name) for part in parts))
    assert folding.cost.cycles == max(part.cycles for part in parts)
    assert folding.cost.latency >= folding.cost.cycles
