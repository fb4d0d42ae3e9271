"""Unrolled layers, and networks of them, against the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.reference import ReferenceRunner
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.simulate import RtlSimulation, Traffic
from fpgaflow.targets.rtl.stream import Beat
from fpgaflow.targets.rtl.unrolled.choice import is_unrolled, unrolled_cost, unrolled_groups
from fpgaflow.targets.rtl.unrolled.component import Unrolled
from fpgaflow.targets.rtl.unrolled.layers import unrolled_layer
from tests.graphs import fixed_types
from tests.targets.hls.hls_graphs import U4, Net
from tests.targets.rtl.harness import STALLED, as_beats, elements_of, expected, inputs_of, run_stage


def assert_unrolled(graph: Graph, samples: int = 4) -> Unrolled:
    """The graph's one unrolled layer gives the integers of the graph."""
    folds = fold_for(graph, 1).folds
    ((name, absorbed),) = unrolled_groups(graph, folds).items()
    op = graph.ops[0]
    assert op.name == name and graph.outputs[0].tensor == (absorbed[-1] if absorbed else op).output
    source = Beat(folds[name].lanes, graph.type_of(op.inputs[0]).width)
    layer = unrolled_layer(op, absorbed, graph, folds[name], source)
    codes = inputs_of(graph, samples)
    payloads = [beat for sample in codes for beat in as_beats(sample.ravel().tolist(), source)]
    wanted = expected(graph, codes).ravel()
    found = run_stage(layer, payloads, len(wanted) // layer.result.lanes)
    mask = (1 << layer.result.bits) - 1
    assert elements_of(found, layer.result) == [int(value) & mask for value in wanted]
    sums = layer.stages[-1][1]
    assert isinstance(sums, Unrolled)
    return sums


@settings(max_examples=25)
@given(st.data())
def test_dense(data: st.DataObject) -> None:
    net = Net(np.random.default_rng(data.draw(st.integers(0, 99))))
    x = net.input(data.draw(st.sampled_from([(1,), (5,), (2, 6)])), data.draw(fixed_types(1, 6, (0, 4))))
    bias, accum = (data.draw(st.one_of(st.none(), fixed_types(3, 8, (6, 9)))) for _ in range(2))
    x = net.dense(x, data.draw(st.integers(1, 5)), data.draw(fixed_types(1, 5, (0, 2))), bias, accum)
    if data.draw(st.booleans()):
        x = net.relu(x)
    if data.draw(st.booleans()):
        rounding, overflow = data.draw(st.sampled_from(Rounding)), data.draw(st.sampled_from(Overflow))
        x = net.cast(x, data.draw(fixed_types(1, 5, (0, 4))), rounding, overflow)
    net.output(x)
    assert_unrolled(net.graph())


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (0, 1))])
def test_conv(padding: tuple[tuple[int, int], ...]) -> None:
    net = Net()
    x = net.conv(net.input((5, 4, 2), FixedType(True, 3, 1)), 3, (3, 2), padding=padding)
    net.output(net.cast(net.relu(x), U4))
    assert_unrolled(net.graph(), samples=2)


def test_weights_that_are_all_zero() -> None:
    net = Net()
    x = net.dense(net.input((3,), U4), 2)
    net.constants["dense0.w"][:, 0] = 0
    net.output(x)
    assert_unrolled(net.graph())


def test_registers_stand_between_additions() -> None:
    net = Net()
    net.output(net.dense(net.input((64,), U4), 2))
    sums = assert_unrolled(net.graph())
    deepest = max(sums.levels)
    assert (sums.stages, sums.per_stage) == (2, (deepest + 2) // 2) and sums.per_stage <= 5


def test_a_folded_layer_is_not_unrolled() -> None:
    net = Net()
    x = net.cast(net.dense(net.input((8,), U4), 4), U4)
    net.output(net.dense(x, 1))
    graph = net.graph()
    assert list(unrolled_groups(graph, fold_for(graph, 8).folds)) == []
    folds = fold_for(graph, 1).folds
    assert {name: [op.name for op in group] for name, group in unrolled_groups(graph, folds).items()} == {
        "dense0": ["cast1"],
        "dense2": [],
    }
    # Of 32 products with weights of 4 bits, fewer LUTs than half a multiplier's each.
    assert 0 < unrolled_cost(graph.ops[0], graph).lut < 32 * 16 / 2


def test_products_that_are_cut_off_are_not_unrolled() -> None:
    net = Net()
    net.output(net.dense(net.input((4,), U4), 2, accum=FixedType(True, 9, 1)))
    graph = net.graph()
    assert not is_unrolled(graph.ops[0], graph, fold_for(graph, 1).folds["dense0"])


def branches() -> Graph:
    """Two unrolled layers side by side, joined by a sum, and one behind."""
    net = Net()
    x = net.cast(net.relu(net.dense(net.input((6,), FixedType(True, 5, 2)), 5)), U4)
    joined = net.add(net.cast(net.dense(x, 4), U4), net.cast(net.relu(net.dense(x, 4)), U4))
    net.output(net.cast(net.dense(joined, 3), FixedType(True, 6, 1), Rounding.RND, Overflow.SAT))
    return net.graph()


def test_a_sample_every_cycle(tmp_path: object) -> None:
    graph = branches()
    design = generate(graph, fold_for(graph, 1), tdata_bits=64)
    assert {name for name, layer in design.layers.items() if isinstance(layer.result, Beat)} == set(design.layers)
    assert not {op.name for op in graph.ops if type(op).__name__ == "Cast"} & set(design.layers)
    simulation = RtlSimulation(design.verilog(), design.interface, tmp_path, cycles=1)
    codes = inputs_of(graph, 40)
    result = graph.outputs[0].tensor
    wanted = ReferenceRunner(graph)({graph.inputs[0].tensor: codes}, [result])[result]
    for traffic in (*STALLED, Traffic()):
        run = simulation.run(codes, traffic, 10_000)
        assert (run.codes == wanted).all(), traffic
    assert run.interval == 1
