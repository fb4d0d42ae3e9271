"""What is absorbed into a sum, for every integer, against the kernels of its ops."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module, Shape, Signal
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.targets.rtl.unrolled.activation import activation_of
from tests.graphs import fixed_types
from tests.targets.hls.hls_graphs import Net
from tests.targets.rtl.harness import expected


def values_of(graph: Graph, *, exact: bool) -> tuple[list[int], list[int]]:
    """Of every integer of the input: what the logic gives, and the kernels, as bits."""
    source, target = graph.type_of(graph.inputs[0].tensor), graph.type_of(graph.outputs[0].tensor)
    activation = activation_of(graph.ops, graph, source, exact=exact)
    m, x, y = Module(), Signal(Shape(source.width + 2, signed=True)), Signal(target.width)
    m.d.comb += y.eq(activation.after(x))
    simulator, found = Simulator(m), []
    codes = range(source.low, source.high + 1)

    async def bench(ctx):
        for code in codes:
            ctx.set(x, code + activation.constant)
            found.append(ctx.get(y))

    simulator.add_testbench(bench)
    simulator.run()
    wanted = expected(graph, np.array(codes)[:, None]).ravel()
    return found, [int(value) & ((1 << target.width) - 1) for value in wanted]


@settings(max_examples=60)
@given(
    fixed_types(2, 8, (-1, 6)),
    fixed_types(1, 6, (-1, 6)),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
    st.booleans(),
    st.booleans(),
)
def test_casts_and_relus(
    source: FixedType, target: FixedType, rounding: Rounding, overflow: Overflow, relu: bool, exact: bool
) -> None:
    net = Net()
    x = net.input((1,), source)
    x = net.relu(x) if relu else x
    net.output(net.cast(x, target, rounding, overflow))
    found, wanted = values_of(net.graph(), exact=exact)
    assert found == wanted


def test_rounding_is_a_constant_where_it_can_be() -> None:
    net = Net()
    net.output(
        net.cast(net.input((1,), FixedType(True, 8, 4)), FixedType(False, 3, 1), Rounding.RND_CONV, Overflow.SAT)
    )
    graph = net.graph()
    assert activation_of(graph.ops, graph, FixedType(True, 8, 4), exact=True).constant == 4
    assert activation_of(graph.ops, graph, FixedType(True, 8, 4), exact=False).constant == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_several_casts_one_after_the_other(count: int) -> None:
    net = Net()
    x = net.input((1,), FixedType(True, 6, 3))
    for width in (5, 4)[:count]:
        x = net.cast(x, FixedType(True, width, 1), Rounding.RND_INF, Overflow.SAT_SYM)
    net.output(net.relu(x))
    found, wanted = values_of(net.graph(), exact=True)
    assert found == wanted
