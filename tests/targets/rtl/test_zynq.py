"""fpgaflow's Verilog in the block design of the HLS flow, its script run by a real Tcl interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tkinter", reason="this Python has no Tcl interpreter")

from fpgaflow.boards import load_board
from fpgaflow.samples import Samples
from fpgaflow.targets.plan import write
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.stage import zynq_plan
from tests.builds import perceptron
from tests.models import graph_of
from tests.targets.hls.vendor_tcl import Vivado


@pytest.mark.parametrize("name", ["pynq-z2", "zcu104"])
def test_the_plan_gives_vivado_every_module_of_the_design(tmp_path: Path, name: str) -> None:
    graph, board = graph_of(perceptron()), load_board(name)
    verilog = generate(graph, fold_for(graph, 24)).verilog()
    samples = Samples(np.zeros((3, 4), np.float32), None, "zeros")
    plan = zynq_plan(graph, board, verilog, samples)
    assert [command.tool for command in plan.commands] == ["vivado"]
    write(plan, tmp_path)
    assert board.board_part is not None
    tool = Vivado({board.board_part})
    tool.run(tmp_path / "vivado" / "block_design.tcl")
    (sources,) = (words[-1] for words in tool.called("add_files"))
    files = [Path(word).resolve() for word in tool.words(sources)]
    assert all(file.is_file() for file in files)
    assert {file.name for file in files} == {*verilog, "fpgaflow_axi.v"}
    text = "".join(file.read_text() for file in files)
    assert text.count("module fpgaflow_axi") == 1 and "fpgaflow_top core (" in text
    assert tool.cells["network"] == "fpgaflow_axi" and not tool.called("update_ip_catalog")
    for output in plan.commands[0].outputs:
        assert (tmp_path / output).is_file(), output
    assert zynq_plan(graph, board, verilog, samples).digest == plan.digest
