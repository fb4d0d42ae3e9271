"""Synthesised netlists in the bench of the Verilog, with models of all cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.netlist import has_models, netlist_simulation
from fpgaflow.targets.rtl.simulate import Traffic
from fpgaflow.targets.rtl.synth import synthesise
from tests.graphs import one_op
from tests.targets.hls.hls_graphs import S6, U4, Net
from tests.targets.rtl.harness import expected, inputs_of

TRAFFICS = (Traffic(1, 20, 30), Traffic(2, 0, 60, reset_sample=1))


def assert_netlist(graph: Graph, interval: int, folder: Path, samples: int = 5) -> dict[str, float]:
    """The netlist gives the simulator's bits; what it takes."""
    design = generate(graph, fold_for(graph, interval))
    netlists = synthesise(design.verilog(), load_board("pynq-z2"), folder / "synthesis", None)
    assert netlists is not None
    simulation = netlist_simulation(netlists, design.interface, folder / "netlist")
    codes = inputs_of(graph, samples)
    for traffic in TRAFFICS:
        assert (simulation.run(codes, traffic, 100_000).codes == expected(graph, codes)).all(), traffic
    names = ("lut", "ff", "dsp", "bram36")
    return {name: sum(netlist.counts[name] for netlist in netlists.values()) for name in names}


def test_a_table_in_block_ram(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(-256, 256, 1 << 11)
    graph = one_op(
        Lookup("l", ("x",), "y", "l", "t"), FixedType(True, 11, 0), (8,), FixedType(True, 9, 2), (8,), t=table
    )
    assert assert_netlist(graph, 8, tmp_path, samples=50)["bram36"] > 0


@pytest.mark.slow
def test_an_unrolled_network(tmp_path: Path) -> None:
    net = Net()
    x = net.cast(net.relu(net.dense(net.input((6,), FixedType(True, 5, 2)), 5)), U4)
    net.output(net.dense(x, 3))
    counts = assert_netlist(net.graph(), 1, tmp_path, samples=40)
    assert counts["lut"] > 100 and counts["dsp"] == counts["bram36"] == 0


@pytest.mark.slow
def test_a_convolution_with_multipliers_and_memories(tmp_path: Path) -> None:
    net = Net()
    x = net.conv(net.input((6, 6, 4), FixedType(True, 9, 3)), 6, (3, 3), wt=FixedType(True, 12, 6))
    x = net.pool(net.cast(x, S6), PoolKind.MAX, (2, 2))
    net.output(net.dense(net.reshape(x, (24,)), 3))
    counts = assert_netlist(net.graph(), 2000, tmp_path)
    assert counts["dsp"] > 0


def test_only_parts_with_models_are_simulated() -> None:
    assert has_models(load_board("pynq-z2")) and not has_models(load_board("kv260"))
