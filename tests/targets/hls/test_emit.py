from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.boards import Family, Interface, list_boards, load_board
from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from fpgaflow.targets import plan as plans
from fpgaflow.targets.hls.check import check as check_layers
from fpgaflow.targets.hls.emit import HlsBuild, check, emit, has_block_design, hls_tool, options_for
from fpgaflow.targets.hls.firmware import HlsTool, Vectors
from fpgaflow.targets.hls.layers import IOType, Strategy
from fpgaflow.targets.hls.project import make_project
from tests.builds import install, perceptron
from tests.models import graph_of, reals

BOARD = load_board("pynq-z2")
REUSE = {"n.hidden": 4, "n.scores": 6}
OPTIONS = options_for(BOARD.part, REUSE, 100.0, IOType.STREAM, Strategy.RESOURCE)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_of(perceptron())


def emitted(graph: Graph, **changes: object) -> HlsBuild:
    x, simulator = reals(0, (5, 4)), Simulator(graph)
    vectors = Vectors(x, simulator.input_integers(x)["x"], simulator.predict_integers(x)["scores"])
    arguments = {"board": BOARD, "options": OPTIONS, "vectors": vectors, "clock_mhz": 100.0, **changes}
    return emit(graph, **arguments)


def test_options() -> None:
    assert (OPTIONS.part, OPTIONS.clock_period_ns, OPTIONS.project_name) == ("xc7z020clg400-1", 10.0, "fpgaflow")
    assert OPTIONS.reuse_factors == REUSE and OPTIONS.io_type is IOType.STREAM
    assert options_for("part", {}, 150.0, IOType.PARALLEL, Strategy.LATENCY).clock_period_ns == pytest.approx(20 / 3)


def test_plan_holds_the_hls4ml_project_as_it_is(graph: Graph) -> None:
    hls = emitted(graph)
    project = make_project(graph, OPTIONS)
    assert hls.project.files == project.files
    for name, text in project.files.items():
        assert hls.plan.files[f"hls/{name}"] == text
    assert {"hls/hls.tcl", "hls/firmware/fpgaflow_axi.cpp", "vivado/block_design.tcl"} <= hls.plan.files.keys()
    assert {"board/fpgaflow_driver.py", "board/test_vectors.npz", "board/interface.json"} <= hls.plan.files.keys()


def test_plan_is_the_same_each_time(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = emitted(graph).plan
    monkeypatch.chdir(tmp_path)
    assert emitted(graph).plan.digest == first.digest
    assert list(tmp_path.iterdir()) == [], "nothing is written before the plan is"


def test_plan_follows_what_was_asked(graph: Graph) -> None:
    digests = {
        emitted(graph).plan.digest,
        emitted(graph, options=replace(OPTIONS, reuse_factors={"n.hidden": 2, "n.scores": 6})).plan.digest,
        emitted(graph, options=replace(OPTIONS, io_type=IOType.PARALLEL)).plan.digest,
        emitted(graph, board=load_board("pynq-z1")).plan.digest,
        emitted(graph, clock_mhz=50.0).plan.digest,
    }
    assert len(digests) == 5


def test_commands_lead_to_the_bitstream(graph: Graph, tmp_path: Path) -> None:
    plan = emitted(graph).plan
    assert [command.name for command in plan.commands] == ["C synthesis", "bitstream"]
    assert "board/fpgaflow.bit" in plan.commands[-1].outputs
    plans.write(plan, tmp_path)
    for command in plan.commands:
        script = tmp_path / command.cwd / command.argv[-1]
        assert script.suffix == ".tcl" and script.is_file()


def test_alveo_card_gets_a_kernel(graph: Graph) -> None:
    hls = emitted(graph, board=load_board("alveo-u250"))
    assert [command.tool for command in hls.plan.commands] == ["v++", "v++"]
    assert "hls/firmware/fpgaflow_kernel.cpp" in hls.plan.files
    assert hls.plan.commands[-1].outputs == ("board/fpgaflow.xclbin",)


def test_board_without_block_design_gets_the_project_alone(graph: Graph) -> None:
    board = load_board("arty-a7-100t")
    hls = emitted(graph, board=board)
    assert hls.plan.commands == ()
    assert {name.split("/")[0] for name in hls.plan.files} == {"hls"}
    assert "hls/firmware/fpgaflow.cpp" in hls.plan.files


def test_which_boards_have_a_block_design() -> None:
    assert has_block_design(BOARD)
    assert not has_block_design(replace(BOARD, board_part=None))
    assert not has_block_design(replace(BOARD, interface=Interface.AXI_LITE))
    assert not has_block_design(replace(BOARD, family=Family.ARTIX_7))
    zynq = {Family.ZYNQ_7000, Family.ZYNQ_ULTRASCALE_PLUS}
    for board in list_boards():
        assert has_block_design(board) <= (board.family in zynq or board.interface is Interface.XRT)


def test_check_is_that_of_the_layers(graph: Graph) -> None:
    assert check(graph, OPTIONS) == ()
    illegal = replace(OPTIONS, reuse_factors={"n.hidden": 5})
    assert check(graph, illegal) == check_layers(graph, illegal) != ()
    with pytest.raises(UnsupportedModel, match="reuse factor 5"):
        emitted(graph, options=illegal)


@pytest.mark.parametrize(
    ("here", "tool"),
    [
        ((), HlsTool.VITIS_HLS),
        (("vitis_hls",), HlsTool.VITIS_HLS),
        (("vitis-run",), HlsTool.VITIS_RUN),
        (("vitis-run", "vitis_hls"), HlsTool.VITIS_HLS),
    ],
)
def test_hls_program_is_the_one_that_is_here(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: tuple[str, ...], tool: HlsTool
) -> None:
    for name in here:
        install(tmp_path, name, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hls_tool() is tool
    assert emitted(graph).plan.commands[0].tool == tool


def test_vectors_reach_the_board(graph: Graph, tmp_path: Path) -> None:
    plans.write(emitted(graph).plan, tmp_path)
    stored = np.load(tmp_path / "board" / "test_vectors.npz")
    assert np.array_equal(stored["x"], reals(0, (5, 4)))
    assert np.array_equal(stored["y_codes"], Simulator(graph).predict_integers(stored["x"])["scores"])
