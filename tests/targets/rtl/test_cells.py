"""fpgaflow's models of cells beside those that Yosys ships: random inputs, the same for both in every cycle."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.boards import Family
from fpgaflow.errors import ToolFailed
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.targets.interface import Interface, Quantiser, StreamPort
from fpgaflow.targets.rtl import gates
from fpgaflow.targets.rtl.cells import cells_of
from fpgaflow.targets.rtl.netlist import RUNTIME
from fpgaflow.targets.rtl.simulate import Bench
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import find_yosys, run_yosys

BITS, CYCLES = 512, 3000


@dataclass(frozen=True)
class Pair:
    """Two cells of a type; `wires` are their inputs as Verilog over the random bits `x`, `outputs` what is compared.

    With `other`, Yosys' cell has those parameters in place of `parameters`: then the two have to differ.
    """

    kind: str
    parameters: str
    wires: str
    outputs: Sequence[tuple[str, int]]
    other: str | None = None

    def verilog(self, number: int) -> str:
        lines = []
        for side, kind, parameters in (
            ("ours", self.kind, self.parameters),
            ("theirs", f"shipped_{self.kind}", self.other or self.parameters),
        ):
            lines += [f"wire [{width - 1}:0] {side}_{number}_{name};" for name, width in self.outputs]
            ports = ", ".join(f".{name}({side}_{number}_{name})" for name, _ in self.outputs)
            lines.append(f"{kind} #({parameters}) {side}_{number} ({self.wires}, {ports});")
        both = (
            f"{{{', '.join(f'{side}_{number}_{name}' for name, _ in self.outputs)}}}" for side in ("ours", "theirs")
        )
        return "\n".join([*lines, f"assign same[{number}] = {' == '.join(both)};"])


def equal(pairs: Sequence[Pair], family: Family, folder: Path) -> np.ndarray:
    """Whether the cells of each pair gave the same: (cycles, pairs)."""
    body = "\n".join(pair.verilog(number) for number, pair in enumerate(pairs))
    (folder / "pairs.v").write_text(f"""
module {TOP}(input aclk, aresetn, input [{BITS - 1}:0] s_axis_tdata, input s_axis_tvalid, s_axis_tlast,
             output s_axis_tready, output [63:0] m_axis_tdata, output m_axis_tvalid, m_axis_tlast, input m_axis_tready);
  wire [{BITS - 1}:0] x = s_axis_tdata;
  wire [{len(pairs) - 1}:0] same;
  assign m_axis_tdata = same, m_axis_tvalid = s_axis_tvalid && aresetn, m_axis_tlast = 1;
  assign s_axis_tready = m_axis_tready && aresetn;
{body}
endmodule
""")
    cells, kinds = cells_of(family), sorted({pair.kind for pair in pairs})
    shipped = (find_yosys().share / cells.shipped).read_text()
    texts = (re.search(rf"^module {kind} \(.*?^endmodule", shipped, re.MULTILINE | re.DOTALL) for kind in kinds)
    (folder / "shipped.v").write_text("\n".join(t[0].replace("module ", "module shipped_", 1) for t in texts if t))
    commands = ["read_verilog pairs.v", "read_verilog shipped.v", *cells.commands(), f"hierarchy -check -top {TOP}"]
    left = [
        f"select -assert-none t:{kind}" for kind in kinds
    ]  # of ours: taken by a map, so that two models are compared
    run_yosys([*commands[:-2], *left, *commands[-2:], *gates.TO_GATES, "write_json n.json"], folder, "log")
    netlist = gates.flatten(json.loads((folder / "n.json").read_text())["modules"], TOP, "aclk")
    (folder / gates.PROGRAM).write_bytes(gates.program_of(netlist))
    (folder / "design.cpp").write_text(gates.design_of(netlist, "aclk", TOP, str(RUNTIME)))
    one, zero = (Fraction(1),), (Fraction(0),)
    source = StreamPort("x", (BITS // 32,), BITS // 32, 32, BITS, 32, False, one, zero)
    result = StreamPort("y", (8,), 8, 8, 64, 8, False, one, zero)
    quantiser = Quantiser(Fraction(1), Fraction(0), Rounding.RND, Overflow.SAT, 0, 2**32 - 1)
    bench = Bench(Interface(source, (quantiser,), result), folder)
    bench.compile("-O1", ["pairs"])
    codes = np.random.default_rng(0).integers(0, 2**32, (CYCLES, BITS // 32))
    told = bench.run(codes).codes.astype(np.uint8)
    return np.unpackbits(told, axis=1, bitorder="little")[:, : len(pairs)].astype(bool)


OUTPUTS = (("P", 48), ("PCOUT", 48), ("ACOUT", 30), ("BCOUT", 18))
REGISTERS = ("AREG", "BREG", "CREG", "DREG", "ADREG", "MREG", "PREG")
NONE = "ALUMODEREG CARRYINREG CARRYINSELREG INMODEREG OPMODEREG"


def dsp(
    registers: str,
    opmode: str = "7'b0000101",
    inmode: int = 0,
    more: str = "",
    other: str | None = None,
    rest: str = ".ALUMODE(4'b0), .CARRYIN(1'b0), .CARRYINSEL(3'b0)",
) -> Pair:
    """A DSP48E1 with as many registers as the digits of `registers` say, for each of REGISTERS."""

    def parameters(digits: str) -> str:
        each = [f".{name}({digit})" for name, digit in zip(REGISTERS, digits, strict=True)]
        each += [f".{name}(0)" for name in NONE.split()]
        return ", ".join(
            [*each, f'.USE_DPORT("{"TRUE" if inmode else "FALSE"}")', *([more] if more else [".ACASCREG(0)"])]
        )

    data = ".A(x[29:0]), .B(x[47:30]), .C(x[95:48]), .D(x[120:96]), .PCIN(x[168:121])"
    data += ", .ACIN(x[198:169]), .BCIN(x[216:199])"
    enables = ("CEA1", "CEA2", "CEB1", "CEB2", "CEC", "CED", "CEAD", "CEM", "CEP")
    resets = ("RSTA", "RSTB", "RSTC", "RSTD", "RSTM", "RSTP")
    wires = [data, f".OPMODE({opmode})", f".INMODE(5'd{inmode})", rest, ".CLK(aclk)"]
    wires += [f".{name}(x[{220 + place}])" for place, name in enumerate(enables)]
    wires += [f".{name}(&x[{240 + 4 * place} +: 4])" for place, name in enumerate(resets)]
    idle = ("CEALUMODE", "CECARRYIN", "CECTRL", "CEINMODE", "RSTALLCARRYIN", "RSTALUMODE", "RSTCTRL", "RSTINMODE")
    wires += [f".{name}(1'b0)" for name in (*idle, "CARRYCASCIN", "MULTSIGNIN")]
    return Pair("DSP48E1", parameters(registers), ", ".join(wires), OUTPUTS, other and parameters(other))


CASCADE = '.A_INPUT("CASCADE"), .B_INPUT("CASCADE"), .ACASCREG(1), .BCASCREG(2)'
EITHER = "{2'b01, x[300], 4'b0101}"  # P or C, as a signal says
DSPS = [
    dsp("0000000"),
    dsp("1100011"),
    dsp("2100010"),
    dsp("0010010", "7'b0110101"),
    dsp("1210001", "7'b0110101"),
    dsp("1100011", "7'b0100101"),
    dsp("0010011", EITHER),
    dsp("0000000", "7'b0010101"),
    dsp("1100001", "7'b1010101"),
    dsp("1100011", "7'b1100101"),
    dsp("1101111", inmode=4),
    dsp("1110010", "7'b0110101", inmode=4),
    dsp("2101101", EITHER, inmode=12),
    dsp("2200010", more=CASCADE),
]
WRONG = [dsp("1100001", other="1100011"), dsp("1100011", more=CASCADE, other="2100011")]


def test_multipliers_are_yosys_own(tmp_path: Path) -> None:
    same = equal([*DSPS, *WRONG], Family.ZYNQ_7000, tmp_path)
    assert same[:, : len(DSPS)].all(), same.all(axis=0)
    assert not same[:, len(DSPS) :].all(axis=0).any(), "a register more or less is seen"


def test_a_multiplier_in_another_mode_is_not_taken(tmp_path: Path) -> None:
    others = [
        dsp("1100000", rest=".ALUMODE(4'b0011), .CARRYIN(1'b0), .CARRYINSEL(3'b0)"),
        dsp("1100000", rest=".ALUMODE(4'b0), .CARRYIN(x[400]), .CARRYINSEL(3'b0)"),
        dsp("1100000", rest=".ALUMODE(4'b0), .CARRYIN(1'b0), .CARRYINSEL(3'b010)"),
        dsp("1100000", "7'b0110011"),
        dsp("1100000", "7'b0100101"),
        dsp("1100000", "x[406:400]"),
        dsp("1100000", inmode=17),
        dsp("1100000", more='.USE_SIMD("TWO24")'),
        dsp("1100000", more='.USE_PATTERN_DETECT("PATDET")'),
        dsp("1100000", more=".IS_OPMODE_INVERTED(7'd1)"),
        dsp("1100000", more=".IS_CLK_INVERTED(1'b1)"),
    ]
    body = "\n".join(pair.verilog(number) for number, pair in enumerate(others))
    text = f"module top(input aclk, input [{BITS - 1}:0] x, output [{len(others) - 1}:0] same);\n{body}\nendmodule\n"
    (tmp_path / "top.v").write_text(text)
    commands = ["read_verilog top.v", *cells_of(Family.ZYNQ_7000).commands()[:-1]]
    run_yosys([*commands, f"select -assert-count {len(others)} t:DSP48E1"], tmp_path, "log")


@pytest.mark.parametrize(
    ("family", "cell", "taken"),
    [
        (Family.ECP5, "MULT18X18D u (.SOURCEA(1'b0), .SOURCEB(1'b0))", True),
        (Family.ECP5, "MULT18X18D u (.SOURCEA(1'b1), .SOURCEB(1'b0))", False),
        (Family.ECP5, "DP16KD u (.RSTA(1'b0), .RSTB(1'b0))", True),
        (Family.ECP5, "DP16KD #(.REGMODE_A(\"OUTREG\")) u (.RSTA(1'b0), .RSTB(1'b0))", False),
        (Family.ECP5, 'DP16KD #(.RESETMODE("ASYNC")) u (.RSTA(x), .RSTB(1\'b0))', False),
        (Family.GOWIN, "SP u (.RESET(1'b0), .BLKSEL(3'b0))", True),
        (Family.GOWIN, "SP u (.RESET(1'b0), .BLKSEL(3'b1))", False),
        (Family.GOWIN, "SP #(.READ_MODE(1)) u (.RESET(1'b0), .BLKSEL(3'b0))", False),
        (Family.GOWIN, "MULT18X18 #(.AREG(1)) u (.ASEL(1'b0), .BSEL(1'b0))", False),
        (Family.ZYNQ_ULTRASCALE_PLUS, "DSP48E2 #(.PREG(1)) u (.OPMODE(9'd5))", False),
    ],
)
def test_a_cell_in_another_mode_is_not_taken(family: Family, cell: str, taken: bool, tmp_path: Path) -> None:
    (tmp_path / "top.v").write_text(f"module top(input x);\n(* keep *) {cell};\nendmodule\n")
    commands = ["read_verilog top.v", *cells_of(family).commands()[:-1]]
    run_yosys([*commands, f"select -assert-count {int(not taken)} t:{cell.split(maxsplit=1)[0]}"], tmp_path, "log")


def test_a_parameter_that_no_model_has_is_an_error(tmp_path: Path) -> None:
    cell = "MULT18X18D #(.REG_INPUTA_CLK(\"CLK0\")) u (.SOURCEA(1'b0), .SOURCEB(1'b0))"
    (tmp_path / "top.v").write_text(f"module top; {cell}; endmodule\n")
    with pytest.raises(ToolFailed, match="REG_INPUTA_CLK"):
        run_yosys(["read_verilog top.v", *cells_of(Family.ECP5).commands()[:-1]], tmp_path, "log")


def lut_ram(kind: str, places: str, abits: int, bits: int) -> Pair:
    start = np.random.default_rng(abits)
    parameters = ", ".join(f".INIT_{place}(64'h{start.bytes(8).hex()})" for place in places)
    wires, at = [".WCLK(aclk)", ".WE(x[500])"], 0
    for place in places:
        wires += [f".ADDR{place}(x[{at} +: {abits}])", f".DI{place}(x[{at + abits} +: {bits}])"]
        at += abits + bits
    return Pair(kind, parameters, ", ".join(wires), [(f"DO{place}", bits) for place in places])


@pytest.mark.parametrize(
    "family",
    [Family.ZYNQ_7000, pytest.param(Family.ZYNQ_ULTRASCALE_PLUS, marks=pytest.mark.slow)],
    ids=lambda family: family.value,
)
def test_memories_in_luts_are_yosys_own(family: Family, tmp_path: Path) -> None:
    pairs = [lut_ram("RAM32M", "ABCD", 5, 2), lut_ram("RAM64M", "ABCD", 6, 1)]
    if family is Family.ZYNQ_ULTRASCALE_PLUS:
        pairs += [lut_ram("RAM32M16", "ABCDEFGH", 5, 2), lut_ram("RAM64M8", "ABCDEFGH", 6, 1)]
    assert equal(pairs, family, tmp_path).all()
