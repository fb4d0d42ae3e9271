from __future__ import annotations

from itertools import pairwise

import pytest

from fpgaflow.cost.hls_design import Choice, design_cost, hls_layer_cost
from fpgaflow.cost.hls_layers import fifo_blocks, rom_blocks
from fpgaflow.cost.parts import Cost
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.hls.normal import normal_form
from tests.conformance.test_ops_on_targets import NAMED
from tests.targets.hls.hls_graphs import B8, U4, Net


def conv() -> Net:
    net = Net()
    net.output(net.conv(net.input((10, 12, 3), U4), 5, (3, 3), bt=None))
    return net


def test_a_folded_convolution_computes_window_after_window() -> None:
    graph = conv().graph()
    (op,) = graph.ops
    cost = hls_layer_cost(op, graph, Choice(9))
    assert cost.cycles == 80 * (9 + 11) + 40 * 4 and cost.latency == 9 + 11
    unrolled = hls_layer_cost(op, graph, Choice(1, unrolled=True))
    assert unrolled.cycles == 120, "a pixel a cycle"


def test_padding_arrives_too() -> None:
    net = Net()
    net.output(net.conv(net.input((10, 12, 3), U4), 5, (3, 3), padding=((1, 1), (2, 0))))
    graph = net.graph()
    assert hls_layer_cost(graph.ops[0], graph, Choice(1, unrolled=True)).cycles == 12 * 14


def test_weights_and_fifos_are_block_ram() -> None:
    net = Net()
    net.output(net.dense(net.input((40, 64), FixedType(True, 16, 0)), 32, wt=FixedType(True, 8, 0), bt=None))
    graph = net.graph()
    (op,) = graph.ops
    width = graph.type_of(op.output).width
    fifo = fifo_blocks(40, 32 * width) / 2
    cost = hls_layer_cost(op, graph, Choice(64))
    assert cost.bram36 - fifo == pytest.approx(rom_blocks(64, 32 * 8) / 2, abs=0.5) and cost.dsp == 32
    assert hls_layer_cost(op, graph, Choice(64), stream=False).bram36 == cost.bram36 - fifo


def test_latency_is_the_slowest_layer_and_the_tails_of_the_others() -> None:
    net = Net()
    x = net.cast(net.dense(net.input((16,), U4), 8), U4)
    net.output(net.dense(x, 4))
    graph = normal_form(net.graph(), stream=True)
    cost = design_cost(graph, {"dense0": Choice(16), "dense2": Choice(8)})
    assert cost.cycles == 16 + 3 and cost.latency == (16 + 3) + (8 + 3) + 1, "and a beat on its way"


def test_folding_more_is_smaller_and_slower() -> None:
    graph = conv().graph()
    (op,) = graph.ops
    costs = [hls_layer_cost(op, graph, Choice(reuse)) for reuse in (1, 3, 9, 27, 135)]
    for faster, slower in pairwise(costs):
        assert faster.cycles < slower.cycles and faster.ff > slower.ff and faster.dsp >= slower.dsp


def test_pools_and_relus_are_per_lane() -> None:
    small, large = ({}, {})
    for kind, channels in ((small, 2), (large, 8)):
        net = Net()
        net.output(net.relu(net.pool(net.input((8, 8, channels), B8), PoolKind.MAX, (2, 2))))
        graph = normal_form(net.graph(), stream=True)
        kind.update({type(op).__name__: hls_layer_cost(op, graph).lut for op in graph.ops})
    assert all(small[name] < large[name] < 4 * small[name] for name in small)


@pytest.mark.parametrize("name", NAMED)
def test_every_layer_that_is_made_has_a_cost(name: str) -> None:
    net = Net()
    NAMED[name](net)
    for stream in (True, False):
        graph = normal_form(net.graph(), stream=stream)
        for op in graph.ops:
            cost = hls_layer_cost(op, graph, stream=stream)
            free = type(op).__name__ == "Reshape"
            assert cost == Cost() if free else cost.lut + cost.ff > 0 and cost.cycles >= 1 and cost.latency >= 0
