"""Yosys for each family: counts of a small design that holds one of each, and the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpgaflow.boards import load_board
from fpgaflow.targets.rtl.board.fit import fit_problem
from fpgaflow.targets.rtl.families import Counts
from fpgaflow.targets.rtl.synth import synthesise
from fpgaflow.targets.rtl.top import TOP

# An accumulator of 12 bits, a product of 16 by 16, and 16 kbit of memory.
LAYER = """
module layer_one(input clk, input rst, input [15:0] a, input [15:0] b, input [9:0] at, input [15:0] word, input write,
                 output reg [31:0] product, output reg [11:0] sum, output reg [15:0] read);
  reg [15:0] memory [0:1023];
  always @(posedge clk) begin
    product <= a * b;
    sum <= rst ? 0 : sum + a[11:0];
    if (write) memory[at] <= word;
    read <= memory[at];
  end
endmodule
"""
TOP_V = f"""
module {TOP}(input aclk, input aresetn, input [15:0] s_axis_tdata, output reg m_axis_tvalid);
  layer_one u(.clk(aclk), .rst(!aresetn), .a(s_axis_tdata), .b(s_axis_tdata), .at(10'b0), .word(16'b0), .write(1'b0));
  always @(posedge aclk) m_axis_tvalid <= aresetn;
endmodule
"""


@pytest.mark.parametrize(
    ("board", "dsp", "bram36"),
    [
        pytest.param("pynq-z2", 1, 0.5, marks=pytest.mark.slow),
        pytest.param("zcu104", 1, 0.5, marks=pytest.mark.slow),
        ("icebreaker", 0, 16 / 36),
        ("ulx3s-85f", 1, 0.5),
        ("tang-nano-9k", 1, 0.5),
    ],
)
def test_counts_of_each_family(tmp_path: Path, board: str, dsp: int, bram36: float) -> None:
    target = load_board(board)
    found = synthesise({"layer_one.v": LAYER, f"{TOP}.v": TOP_V, "interface.json": "{}"}, target, tmp_path, None)
    assert found is not None and found.keys() == {"layer_one", TOP}
    counts = found["layer_one"].counts
    assert (counts["dsp"], counts["bram36"]) == (dsp, bram36)
    assert counts["ff"] >= 12 and counts["lut"] >= 12
    assert found[TOP].counts == {"lut": 0, "ff": 1, "dsp": 0, "bram36": 0}, "the layer is not in it"
    assert (
        f"module \\{TOP}" in found[TOP].rtlil.read_text() and "module \\layer_one" not in found[TOP].rtlil.read_text()
    )
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    changed = synthesise({"layer_one.v": LAYER, f"{TOP}.v": TOP_V + "\n"}, target, tmp_path, None)
    assert changed is not None and changed["layer_one"] == found["layer_one"]
    assert {path: path.stat().st_mtime_ns for path in stamps if TOP not in path.name} == {
        path: stamp for path, stamp in stamps.items() if TOP not in path.name
    }, "the unchanged layer was not synthesised again"


def counts(**used: float) -> Counts:
    return {"lut": 0.0, "ff": 0.0, "dsp": 0.0, "bram36": 0.0, **used}


@pytest.mark.parametrize(
    ("board", "used", "found"),
    [
        ("icebreaker", {"lut": 2700}, r"needs 5,400 LUTs of the 5,280 of icebreaker; 'b' alone takes 2,700"),
        ("icebreaker", {"bram36": 16 * 4 / 36}, r"needs 32 block RAMs of the 30 of icebreaker; 'b' alone takes 16"),
        ("ulx3s-25f", {"dsp": 15}, r"needs 30 multipliers of the 28 of ulx3s-25f"),
        ("tang-nano-9k", {"ff": 4000}, r"needs 8,000 flip-flops of the 6,480"),
        ("pynq-z2", {"bram36": 71}, r"needs 284 block RAMs of the 280 of pynq-z2"),
    ],
)
def test_what_does_not_fit_names_layer_count_and_limit(board: str, used: dict[str, float], found: str) -> None:
    target = load_board(board)
    modules = {"a": counts(), "b": counts(**used)}
    assert fit_problem(modules, target) is None
    problem = fit_problem({**modules, "c": counts(**used)}, target)
    assert problem is not None
    with pytest.raises(type(problem), match=found):
        raise problem


def test_too_long_for_the_processor(tmp_path: Path) -> None:
    slow = LAYER.replace("product <= a * b", "product <= {a, b} * {b, a} / {a, ~b} % {b, ~a}")
    assert synthesise({"layer_one.v": slow}, load_board("ulx3s-85f"), tmp_path, 1) is None
    assert not list(tmp_path.glob("*.json"))
