"""What Yosys makes of Verilog for each device family: its command, and how its cells count.

LUTs of memories in LUTs: AMD UG474 and UG574 ("Distributed RAM", "Shift Registers"), Lattice FPGA-TN-02204 (ECP5),
Gowin UG289 (configurable function units).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fpgaflow.boards import Board, Family

Counts = dict[str, float]


@dataclass(frozen=True)
class Fabric:
    """`synth` is the Yosys command for a module without pins; the cells of each resource count by what they take.

    `ram_block` is the size of the part's own block RAM, as a share of 36 kbit. `router` counts the cells that nextpnr
    reports, for the resources of which it does.
    """

    synth: str
    cells: Mapping[str, Mapping[str, float]]
    ram_block: float = 1.0
    router: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def counted(self, found: Mapping[str, int]) -> Counts:
        """Resources from the number of cells by type."""
        return _sums(self.cells, found)

    def placed(self, found: Mapping[str, int]) -> Counts:
        """Resources from nextpnr's number of cells by type, those that it tells."""
        return _sums(self.router, found)


def _sums(table: Mapping[str, Mapping[str, float]], found: Mapping[str, int]) -> Counts:
    return {name: sum(share * found.get(cell, 0) for cell, share in cells.items()) for name, cells in table.items()}


def _cells(
    lut: Mapping[str, float], ff: tuple[str, ...], dsp: Mapping[str, float], ram: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    return {"lut": dict(lut), "ff": dict.fromkeys(ff, 1), "dsp": dict(dsp), "bram36": dict(ram)}


_XILINX_LUTS = {
    **{f"LUT{size}": 1 for size in range(1, 7)},
    **{"SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1, "INV": 1},
    **{"RAM16X1S": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8},
    **{"RAM16X1D": 2, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8, "RAM32M": 4, "RAM64M": 4},
    **{"RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8, "RAM32X16DR8": 8},
}
_XILINX_FFS = ("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "LDCE", "LDPE")
_XC7 = Fabric(
    "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    _cells(_XILINX_LUTS, _XILINX_FFS, {"DSP48E1": 1}, {"RAMB36E1": 1, "RAMB18E1": 0.5}),
    0.5,
)
_XCUP = Fabric(
    "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    _cells(_XILINX_LUTS, _XILINX_FFS, {"DSP48E2": 1}, {"RAMB36E2": 1, "RAMB18E2": 0.5}),
    0.5,
)

_ICE40_FFS = tuple(
    f"SB_DFF{edge}{enable}{reset}" for edge in ("", "N") for enable in ("", "E") for reset in ("", "SR", "R", "SS", "S")
)
_ICE40_RAMS = tuple(f"SB_RAM40_4K{edges}" for edges in ("", "NR", "NW", "NRNW"))
# A carry needs a LUT's place only where no LUT uses its operands: nextpnr knows, this does not count it.
_ICE40 = Fabric(
    "synth_ice40 -device u",
    _cells({"SB_LUT4": 1}, _ICE40_FFS, {"SB_MAC16": 1}, dict.fromkeys(_ICE40_RAMS, 4 / 36)),
    4 / 36,
    # A logic cell is a LUT and a flip-flop, and counts where either is used.
    {"lut": {"ICESTORM_LC": 1}, "dsp": {"ICESTORM_DSP": 1}, "bram36": {"ICESTORM_RAM": 4 / 36}},
)
_ECP5 = Fabric(
    "synth_ecp5",
    _cells(
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        ("TRELLIS_FF",),
        {"MULT18X18D": 1, "MULT9X9D": 0.5, "ALU54B": 0},
        {"DP16KD": 0.5, "PDPW16KD": 0.5},
    ),
    0.5,
    {"lut": {"TRELLIS_COMB": 1}, "ff": {"TRELLIS_FF": 1}, "dsp": {"MULT18X18D": 1}, "bram36": {"DP16KD": 0.5}},
)

_GOWIN_FFS = tuple(
    f"DFF{edge}{reset}{enable}" for edge in ("", "N") for reset in ("", "S", "R", "P", "C") for enable in ("", "E")
)
_GOWIN_RAMS = ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9")
_GOWIN = Fabric(
    "synth_gowin -noiopads",
    _cells(
        {
            **{f"LUT{size}": 1 for size in range(1, 5)},
            "ALU": 1,
            "INV": 1,
            "RAM16SDP4": 6,
            "RAM16SDP2": 6,
            "RAM16SDP1": 6,
        },
        _GOWIN_FFS,
        {"MULT18X18": 1, "MULT9X9": 0.5, "MULT36X36": 4},
        dict.fromkeys(_GOWIN_RAMS, 0.5),
    ),
    0.5,
    {
        "lut": {"LUT4": 1, "ALU": 1},
        "ff": {"DFF": 1},
        "dsp": {"MULT18X18": 1, "MULT9X9": 0.5, "MULT36X36": 4},
        "bram36": {"BSRAM": 0.5},
    },
)

_FABRICS = {
    Family.ZYNQ_7000: _XC7,
    Family.ARTIX_7: _XC7,
    Family.ZYNQ_ULTRASCALE_PLUS: _XCUP,
    Family.VIRTEX_ULTRASCALE_PLUS: _XCUP,
    Family.ICE40: _ICE40,
    Family.ECP5: _ECP5,
    Family.GOWIN: _GOWIN,
}


def fabric_of(board: Board) -> Fabric:
    return _FABRICS[board.family]
