"""Synthesised netlists of each family in the bench of the Verilog."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import PoolKind, Transpose
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl import cells
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.netlist import NetlistSimulation, models_digest
from fpgaflow.targets.rtl.simulate import Bench, Traffic
from fpgaflow.targets.rtl.synth import synthesise
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import find_yosys, run_yosys
from tests.graphs import one_op
from tests.targets.hls.hls_graphs import S6, U4, Net
from tests.targets.rtl.harness import expected, inputs_of

TRAFFICS = (Traffic(1, 20, 30), Traffic(2, 0, 60, reset_sample=1))


def boards(*quick: str) -> list[Any]:
    """One of each family; synthesis for the others takes long."""
    names = ("pynq-z2", "kv260", "icebreaker", "ulx3s-85f", "tang-nano-9k")
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in names]


def assert_netlist(
    graph: Graph, interval: int, folder: Path, samples: int = 5, board: str = "pynq-z2"
) -> dict[str, float]:
    """The netlist gives the simulator's bits; what it takes."""
    design, target = generate(graph, fold_for(graph, interval)), load_board(board)
    netlists = synthesise(design.verilog(), target, folder / "synthesis", None)
    assert netlists is not None
    simulation = NetlistSimulation(netlists, target, design.interface, folder / "netlist")
    codes = inputs_of(graph, samples)
    for traffic in TRAFFICS:
        assert (simulation.run(codes, traffic, 100_000).codes == expected(graph, codes)).all(), traffic
    names = ("lut", "ff", "dsp", "bram36")
    return {name: sum(netlist.counts[name] for netlist in netlists.values()) for name in names}


@pytest.mark.parametrize("board", boards("icebreaker", "ulx3s-85f", "tang-nano-9k"))
def test_a_table_in_block_ram(board: str, tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(-256, 256, 1 << 11)
    graph = one_op(
        Lookup("l", ("x",), "y", "l", "t"), FixedType(True, 11, 0), (8,), FixedType(True, 9, 2), (8,), t=table
    )
    assert assert_netlist(graph, 8, tmp_path, samples=50, board=board)["bram36"] > 0


@pytest.mark.parametrize("board", boards("ulx3s-85f", "tang-nano-9k"))
def test_a_buffer_in_block_ram(board: str, tmp_path: Path) -> None:
    graph = one_op(
        Transpose("t", ("x",), "y", "t", (1, 0)), FixedType(True, 9, 0), (48, 32), FixedType(True, 9, 0), (32, 48)
    )
    assert assert_netlist(graph, 1536, tmp_path, samples=4, board=board)["bram36"] > 0


@pytest.mark.parametrize("board", boards("ulx3s-85f", "tang-nano-9k"))
def test_multipliers(board: str, tmp_path: Path) -> None:
    net = Net()
    net.output(net.dense(net.input((12,), FixedType(True, 16, 8)), 3, wt=FixedType(True, 16, 8)))
    counts = assert_netlist(net.graph(), 36, tmp_path, samples=20, board=board)
    assert counts["dsp"] > 0 or board == "icebreaker"  # whose synthesis takes them only where it is told to


def test_a_wrong_cell_is_seen(tmp_path: Path) -> None:
    net, board = Net(), load_board("ulx3s-85f")
    net.output(net.dense(net.input((4,), S6), 3))
    design = generate(net.graph(), fold_for(net.graph(), 12))
    netlists = synthesise(design.verilog(), board, tmp_path / "synthesis", None)
    assert netlists is not None
    name = next(name for name in netlists if name != TOP)
    text = netlists[name].rtlil.read_text()
    codes, wrong = inputs_of(net.graph(), 20), 0
    inits = [match.span(1) for match in re.finditer(r"parameter \\INIT 16'([01]{16})", text)]
    for number, (begin, end) in enumerate(inits[:: max(1, len(inits) // 3)]):
        inverted = text[begin:end].translate(str.maketrans("01", "10"))
        (tmp_path / f"{number}.il").write_text(text[:begin] + inverted + text[end:])
        changed = {**netlists, name: replace(netlists[name], rtlil=tmp_path / f"{number}.il")}
        simulation = NetlistSimulation(changed, board, design.interface, tmp_path / str(number))
        try:
            wrong += bool((simulation.run(codes, TRAFFICS[0], 10_000).codes != expected(net.graph(), codes)).any())
        except CheckFailed:  # it hangs, or breaks the rules of its streams
            wrong += 1
    assert wrong > 0


def test_what_decides_the_result_is_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("ulx3s-85f")
    before = models_digest(board)
    assert before != models_digest(load_board("pynq-z2"))
    copies = tmp_path / "models"
    shutil.copytree(Path(cells.__file__).with_name("models"), copies)
    monkeypatch.setattr(cells, "_MODELS", copies)
    assert models_digest(board) == before, "contents count, not where they lie"
    (copies / "ecp5.v").write_text((copies / "ecp5.v").read_text().replace("a * b", "b * a"))
    assert models_digest(board) != before


@pytest.mark.slow
def test_gates_are_what_the_whole_compiled_to_c_is(tmp_path: Path) -> None:
    """Yosys' own models of all cells, flattened, through CXXRTL and g++: the same bits in the same cycles."""
    net, board = Net(), load_board("pynq-z2")
    net.output(net.relu(net.dense(net.input((4,), S6), 3)))
    design = generate(net.graph(), fold_for(net.graph(), 4))
    netlists = synthesise(design.verilog(), board, tmp_path / "synthesis", None)
    assert netlists is not None
    (tmp_path / "cxxrtl").mkdir()
    shipped = Bench(design.interface, tmp_path / "cxxrtl")
    commands = [*(f"read_rtlil {each.rtlil}" for each in netlists.values())]
    commands += [f"read_verilog {find_yosys().share}/xilinx/cells_sim.v", f"hierarchy -check -top {TOP}"]
    run_yosys([*commands, "proc", "flatten", "opt_clean", "write_cxxrtl -g0 design.cpp"], shipped.folder, "log")
    shipped.compile("-O0", ["shipped"])
    ours = NetlistSimulation(netlists, board, design.interface, tmp_path / "gates")
    codes = inputs_of(net.graph(), 20)
    for traffic in TRAFFICS:
        left, right = ours.run(codes, traffic, 10_000), shipped.run(codes, traffic, 10_000)
        assert (left.codes == right.codes).all() and (left.last_out == right.last_out).all()


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
