"""Whole networks: the generated Verilog, compiled, against the simulator, with stalls and across resets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_merge import Take
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import check_rtl, generate
from fpgaflow.targets.rtl.simulate import Traffic
from tests.graphs import one_op
from tests.targets.hls.hls_graphs import S6, U4, Net, lenet
from tests.targets.rtl.harness import assert_exact, compiled

LENET = Path(__file__).parents[3] / "examples" / "lenet_digits"


def jets() -> Graph:
    """The perceptron 16-64-32-32-5 of the jet-tagging papers, of 4 bits."""
    net = Net()
    x = net.input((16,), FixedType(True, 8, 4))
    for width in (64, 32, 32):
        x = net.cast(net.relu(net.dense(x, width)), U4)
    net.output(net.dense(x, 5))
    return net.graph()


def residual() -> Graph:
    """A convolution with two more beside it, one branch longer than the other, joined by a sum; then an average."""
    net = Net()
    y = net.cast(net.conv(net.input((6, 6, 3), FixedType(True, 5, 3)), 4, (3, 3), padding=((1, 1), (1, 1))), S6)
    z = net.cast(net.relu(net.conv(y, 4, (3, 3), padding=((1, 1), (1, 1)))), S6)
    z = net.cast(net.conv(z, 4, (3, 3), padding=((1, 1), (1, 1))), S6)
    joined = net.pool(net.add(y, z), PoolKind.AVERAGE, (2, 2))
    net.output(net.dense(net.reshape(joined, (36,)), 3))
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


def test_jets_are_exact_at_the_ideal_interval() -> None:
    run = assert_exact(jets(), 256, "jets")
    assert run.interval == 256  # 16 × 64 products on 4 multipliers, and 64 × 32 on 8


def test_a_convolution_loses_less_than_a_tenth_of_its_interval() -> None:
    folding = fold_for(lenet(PoolKind.MAX).graph(), 1000)
    run = assert_exact(lenet(PoolKind.MAX).graph(), 1000, "lenet")
    assert folding.interval <= run.interval <= 1.1 * folding.interval


def test_branches_do_not_deadlock() -> None:
    run = assert_exact(residual(), 400, "residual")
    assert run.interval <= 1.1 * fold_for(residual(), 400).interval


def test_strides_padding_thresholds_depthwise() -> None:
    assert_exact(small_conv(), 300, "conv")


@pytest.mark.slow
def test_lenet_of_the_examples() -> None:
    graph = load(LENET / "model.onnx")
    x = np.load(LENET / "test.npz")["x"][:200].astype(np.float32)
    simulator = Simulator(graph)
    (codes,), (want,) = simulator.input_integers(x).values(), simulator.predict_integers(x).values()
    folding = fold_for(graph, 10_000)
    simulation = compiled(graph, folding, "digits")
    for traffic in (Traffic(1, 20, 30), Traffic()):
        run = simulation.run(codes, traffic)
        assert (run.codes == want).all()
    assert run.interval <= 1.1 * folding.interval


def test_what_has_no_component_is_refused_by_name() -> None:
    op = Take("t", ("x",), "y", "slice_3", "i", 0)
    graph = one_op(op, S6, (4,), S6, (2,), i=[0, 2])
    (problem,) = check_rtl(graph, load_board("pynq-z2"))
    assert "Take 't' (node 'slice_3'): no RTL component computes this op" in str(problem)
    with pytest.raises(UnsupportedModel, match="slice_3"):
        generate(graph, fold_for(graph, 1))


def test_a_board_without_axi_streams_is_refused() -> None:
    (problem,) = check_rtl(jets(), load_board("alveo-u250"))
    assert "board 'alveo-u250': samples reach it by xrt" in str(problem)


def test_the_verilog_is_the_same_each_time() -> None:
    first, second = (generate(graph, fold_for(graph, 300)).files() for graph in (small_conv(), small_conv()))
    assert first == second
    assert {"fpgaflow_top.v", "layer_conv1.v", "interface.json"} <= set(first)
