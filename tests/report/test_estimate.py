from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.boards import load_board
from fpgaflow.cost.estimate import design_cost, layer_cost
from fpgaflow.cost.parts import Cost, memory
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Op, PoolKind
from fpgaflow.ir.ops_merge import Divide, Elementwise, ElementwiseKind, MatMul, Take
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type
from fpgaflow.targets.hls.check import legal_reuse
from fpgaflow.targets.hls.normal import normal_form
from tests.conformance.test_ops_on_targets import NAMED
from tests.graphs import one_op
from tests.targets.hls.hls_graphs import B8, U4, W4, Net


def layers(net: Net, output: str) -> tuple[Graph, list[Op]]:
    net.output(output)
    graph = net.graph()
    return graph, list(graph.ops)


def dense(n_in: int, n_out: int, activation: FixedType = U4, weight: FixedType = W4) -> tuple[Graph, Op]:
    net = Net()
    graph, (op,) = layers(net, net.dense(net.input((n_in,), activation), n_out, wt=weight, bt=None))
    return graph, op


def test_small_multipliers_are_luts() -> None:
    graph, op = dense(8, 6)
    accum = op.accum.width
    cost = layer_cost(op, graph, 1)
    assert cost.lut == 250 + 48 * (accum + 4 * 4) and cost.ff == 300 + 48 * (accum + 4 + 4)
    assert (cost.dsp, cost.bram36) == (0, 0)
    assert cost.cycles == 2 and cost.latency == 1 + 1 + 10


@pytest.mark.parametrize(("activation", "weight", "dsps"), [(9, 9, 0), (10, 4, 48), (4, 10, 48), (16, 16, 48)])
def test_large_multipliers_are_dsps(activation: int, weight: int, dsps: int) -> None:
    graph, op = dense(8, 6, FixedType(True, activation, 0), FixedType(True, weight, 0))
    cost = layer_cost(op, graph, 1)
    products = 0 if dsps else activation * weight
    assert cost.dsp == dsps and cost.lut == 250 + 48 * (op.accum.width + products)


def test_folded_layer_shares_multipliers_and_keeps_weights_in_memory() -> None:
    graph, op = dense(64, 32)
    cost, unrolled = layer_cost(op, graph, 64), layer_cost(op, graph, 1)
    assert cost.bram36 == memory(64, 32 * 4)[0] == 2.0
    assert cost.lut - 250 == (unrolled.lut - 250) / 64 and cost.ff - 300 == (unrolled.ff - 300) / 64
    assert cost.cycles == 1 + 64


@pytest.mark.parametrize(
    ("words", "bits", "expected"),
    [
        (16, 64, (0.0, 16)),  # 1 kbit: 64 bits a LUT
        (16, 65, (1.0, 0)),  # 65 bits wide: 512 × 72
        (64, 18, (0.5, 0)),
        (1024, 36, (1.0, 0)),
        (1025, 36, (1.5, 0)),
        (512, 72, (1.0, 0)),
        (2048, 18, (1.0, 0)),
        (3, 5, (0.0, 1)),
    ],
)
def test_memory(words: int, bits: int, expected: tuple[float, int]) -> None:
    assert memory(words, bits) == expected


@given(st.integers(1, 5000), st.integers(1, 500))
def test_memory_holds_its_bits(words: int, bits: int) -> None:
    blocks, luts = memory(words, bits)
    assert blocks * 36 * 1024 + luts * 64 >= words * bits
    assert memory(words + 1, bits)[0] >= blocks and memory(words, bits + 1)[0] >= blocks


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_folding_more_is_slower_and_never_larger(n_in: int, n_out: int, wide: bool) -> None:
    graph, op = dense(n_in, n_out, FixedType(True, 12, 0) if wide else U4)
    costs = [layer_cost(op, graph, factor) for factor in legal_reuse(n_in, n_out)]
    for faster, slower in pairwise(costs):
        assert slower.cycles > faster.cycles and slower.latency > faster.latency
        assert slower.dsp <= faster.dsp and slower.ff <= faster.ff and slower.lut <= faster.lut + 16


def test_convolution_computes_each_window_and_keeps_rows() -> None:
    net = Net()
    graph, (op,) = layers(net, net.conv(net.input((10, 12, 3), U4), 5, (3, 3), bt=None))
    cost = layer_cost(op, graph, 1)
    multipliers, accum = 27 * 5, op.accum.width
    rows = 2 * memory(12, 3 * 4)[1]
    assert cost.lut == 250 + multipliers * (accum + 16) + rows
    assert cost.ff == 300 + multipliers * (accum + 8) + 9 * 12, "the window's registers"
    assert cost.cycles == 120 + 8 * 10 and layer_cost(op, graph, 9).cycles == 120 + 80 * 9


def test_padding_arrives_too() -> None:
    net = Net()
    padding = ((1, 1), (2, 0))
    graph, (op,) = layers(net, net.conv(net.input((10, 12, 3), U4), 5, (3, 3), padding=padding))
    assert layer_cost(op, graph, 1).cycles == 12 * 14 + 10 * 12


def test_line_buffer_of_one_axis_is_its_window() -> None:
    net = Net()
    graph, (op,) = layers(net, net.conv(net.input((20, 3), U4), 2, (5,), bt=None))
    assert layer_cost(op, graph, 1).ff == 300 + 30 * (op.accum.width + 8) + 5 * 12


def test_dense_over_positions_computes_each() -> None:
    net = Net()
    graph, (op,) = layers(net, net.dense(net.input((7, 4), U4), 3))
    assert layer_cost(op, graph, 4).cycles == 7 + 7 * 4


def test_layers_without_products() -> None:
    net = Net()
    x = net.input((4, 6, 3), B8)
    pooled = net.pool(x, PoolKind.MAX, (2, 2))
    summed = net.add(pooled, pooled)
    graph, ops = layers(net, net.reshape(net.cast(net.relu(summed), U4), (18,)))
    pool, add, relu, cast, reshape = (layer_cost(op, graph, 1) for op in ops)
    assert pool == Cost(250 + 3 * 8 * 4, 300 + 3 * 8 * 4, 0, 0, 24, 24)
    assert add == Cost(250 + 27, 300 + 27, 0, 0, 6, 10)
    assert relu == Cost(27, 27, 0, 0, 6, 1) and cast == Cost(12, 12, 0, 0, 6, 1)
    assert reshape == Cost()


def test_threshold_shares_comparators() -> None:
    net = Net()
    levels = np.sort(np.random.default_rng(0).integers(-100, 100, (6, 14)), axis=1)
    graph, (op,) = layers(net, net.threshold(net.input((5, 6), B8), levels, U4))
    assert layer_cost(op, graph, 1) == Cost(250 + 84 * 4, 300 + 24 + 84 * 8, 0, 0, 5, 11)
    folded = layer_cost(op, graph, 6)
    assert folded.bram36 == memory(6, 14 * 8)[0] and folded.lut == 250 + 14 * 4 + memory(6, 14 * 8)[1]
    assert folded.cycles == 30


def test_many_thresholds_are_searched_by_halves() -> None:
    net = Net()
    levels = np.sort(np.random.default_rng(0).integers(-100, 100, (6, 63)), axis=1)
    graph, (op,) = layers(net, net.threshold(net.input((5, 6), B8), levels, FixedType(False, 6, 0)))
    halvings, choices = 2 * 6 * 4, 2 * 63 * 8 / 4
    assert layer_cost(op, graph, 3).lut == 250 + halvings + choices + memory(3, 2 * 63 * 8)[1]
    assert layer_cost(op, graph, 3).bram36 == memory(3, 2 * 63 * 8)[0] > 0
    assert layer_cost(op, graph, 1).lut == 250 + 36 * 4 + 6 * 63 * 8 / 4


def test_design_is_its_layers_side_by_side() -> None:
    net = Net()
    x = net.cast(net.dense(net.input((8,), U4), 6), U4)
    graph, ops = layers(net, net.dense(x, 4))
    reuse = {"dense0": 8}
    parts = [layer_cost(op, graph, reuse.get(op.name, 1)) for op in ops]
    total = design_cost(graph, reuse)
    for name in ("lut", "ff", "dsp", "bram36", "latency"):
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)
    assert total.cycles == max(part.cycles for part in parts) == 9


def test_utilisation() -> None:
    board = load_board("pynq-z2")
    assert Cost(5320, 10640, 22, 14).utilisation(board) == {"lut": 0.1, "ff": 0.1, "dsp": 0.1, "bram36": 0.1}
    none = replace(board, resources=replace(board.resources, dsp=0))
    assert Cost(dsp=0).utilisation(none)["dsp"] == 0 and Cost(dsp=1).utilisation(none)["dsp"] == float("inf")


def test_multipliers_are_rounded_up() -> None:
    graph, op = dense(5, 3)
    cost = layer_cost(op, graph, 4)
    multipliers = ceil(15 / 4)
    assert cost.ff == 300 + multipliers * (op.accum.width + 8)


def made(net: Net, output: str) -> tuple[Graph, Op]:
    """The normal form, and its last op."""
    net.output(output)
    normal = normal_form(net.graph(), stream=True)
    return normal, normal.ops[-1]


@pytest.mark.parametrize(("width", "lut", "dsp"), [(9, 250 + 4 * 9 * 4, 0), (10, 250, 4)])
def test_products_of_two_tensors(width: int, lut: int, dsp: int) -> None:
    net, type_ = Net(), FixedType(True, width, 0)
    inputs = [net.input((5, 4), type_), net.input((5, 4), U4)]
    exact = elementwise_type(ElementwiseKind.MULTIPLY, type_, U4)
    graph, op = made(net, net.op(Elementwise, inputs, (5, 4), exact, kind=ElementwiseKind.MULTIPLY))
    cost = layer_cost(op, graph, 1)
    assert (cost.lut, cost.dsp, cost.cycles) == (lut, dsp, 5)


def test_matrix_product_keeps_one_matrix_and_shares_multipliers() -> None:
    net, exact = Net(), matmul_type(U4, U4, 8)
    op_name = net.op(MatMul, [net.input((3, 6, 8), U4), net.input((3, 8, 2), U4)], (3, 6, 2), exact)
    graph, op = made(net, op_name)
    for reuse in (1, 4, 16):
        cost = layer_cost(op, graph, reuse)
        assert cost.lut == 250 + 16 / reuse * (4 * 4 + exact.width)
        assert cost.ff == 300 + 16 * 4 + 16 / reuse * (exact.width + 4)
        assert cost.cycles == 3 * (8 + 6 * reuse)


def test_a_crop_needs_no_memory_and_a_large_transpose_one() -> None:
    net = Net()
    taken = net.op(Take, [net.input((16, 16, 4), B8)], (4, 16, 4), B8, {"indices": np.arange(4)}, axis=0)
    graph, op = made(net, taken)
    cost = layer_cost(op, graph, 1)
    assert cost.bram36 == 0 and cost.cycles == 16 * 16
    net = Net()
    graph, op = made(net, net.transpose(net.input((16, 16, 16), B8), (2, 0, 1)))
    cost = layer_cost(op, graph, 1)
    assert cost.bram36 >= memory(4096, 8)[0] > 0 and cost.cycles > 4096 and cost.lut < 1000


def test_a_table_is_read_at_two_ports() -> None:
    net, entries = Net(), {"table": np.arange(256)}
    graph, op = made(net, net.op(Lookup, [net.input((3, 6), B8)], (3, 6), FixedType(False, 8, 0), entries))
    assert layer_cost(op, graph, 1).bram36 == 3 * memory(256, 8)[0]


@pytest.mark.parametrize("name", NAMED)
def test_every_layer_that_is_made_has_a_cost(name: str) -> None:
    net = Net()
    NAMED[name](net)
    for stream in (True, False):
        graph = normal_form(net.graph(), stream=stream)
        for op in graph.ops:
            cost = layer_cost(op, graph, 1)
            free = type(op).__name__ == "Reshape"
            assert cost == Cost() if free else cost.lut > 0 and cost.cycles >= 1 and cost.latency >= 1


def test_what_no_layer_computes_has_no_estimate() -> None:
    op = Divide("op", ("x",), "y", "node", "d")
    graph = one_op(op, B8, (3,), B8, (3,), d=[3])
    with pytest.raises(BadInput, match=r"op 'op'.*no layer computes Divide"):
        layer_cost(op, graph, 1)
