"""The models of each family's cells, for the simulation of netlists.

They are those that Yosys ships, but for what it has no model of, and for tables, memories and multipliers: of these,
the ones in `models/` cost a fraction, and tests compare them with Yosys' own where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fpgaflow.boards import Family
from fpgaflow.targets.rtl.yosys import find_yosys

_MODELS = Path(__file__).with_name("models")


@dataclass(frozen=True)
class Cells:
    """`shipped` is a file of Yosys' own; `maps` are ours, as lists for one techmap each, files of `models/` by stem.

    A map does not take a cell in a mode that it does not know: that keeps Yosys' own model, or has none and is refused.
    """

    shipped: str
    maps: tuple[tuple[str, ...], ...]

    @property
    def files(self) -> list[Path]:
        return [_MODELS / f"{name}.v" for names in self.maps for name in names]

    def commands(self) -> list[str]:
        """What gives the cells of the netlists that Yosys has read their models; unused ones are not worked out."""
        maps = [" ".join(f"-map {(_MODELS / name).resolve()}.v" for name in names) for names in self.maps]
        return [
            *(command for each in maps for command in (f"techmap -autoproc {each}", "opt_clean")),
            f"read_verilog -defer -overwrite {find_yosys().share / self.shipped}",
        ]


_XC7 = Cells("xilinx/cells_sim.v", (("xilinx_luts", "dsp48e1", "block_ram", "lut_ram"),))
_XCUP = Cells("xilinx/cells_sim.v", (("xilinx_luts", "ultrascale", "block_ram", "lut_ram"),))
# Gowin's constants are cells: the maps that ask for constants come after that of these.
_CELLS = {
    Family.ZYNQ_7000: _XC7,
    Family.ARTIX_7: _XC7,
    Family.ZYNQ_ULTRASCALE_PLUS: _XCUP,
    Family.VIRTEX_ULTRASCALE_PLUS: _XCUP,
    Family.ICE40: Cells("ice40/cells_sim.v", (("ice40_luts",),)),
    Family.ECP5: Cells("lattice/cells_sim_ecp5.v", (("ecp5", "wide_ram"),)),
    Family.GOWIN: Cells("gowin/cells_sim.v", (("gowin_luts",), ("gowin", "wide_ram"))),
}


def cells_of(family: Family) -> Cells:
    return _CELLS[family]
