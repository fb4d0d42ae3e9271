"""First-order power of an FPGA design. Every figure made here says "estimated".

    P = P_static(part) + f · k(family) · ( c_ff · FF + α · ( c_lut · LUT + c_dsp · DSP + c_bram · BRAM ) )

f is the clock and α the toggle rate, counted on the simulator's integers (toggles.py). The c are energies at 28 nm and
1.0 V, taken from one real power report; k = (node / 28 nm) · (V / 1.0 V)² scales them to another process (dynamic
energy is C·V², and C goes with the gate length). Clock trees switch whatever the data do, so flip-flops have no α.
Leakage is taken in proportion to the part's LUTs. What comes from where stands in data/power.toml, the error in
docs/measuring.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fpgaflow.boards import Board

DATA = Path(__file__).resolve().parent / "data"


@lru_cache(maxsize=8)
def data_table(name: str) -> Mapping[str, Any]:
    """A table of this package's `data` folder."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Power:
    """In watts: the fabric's leakage, its switching, and, where known, what the rest of the board draws."""

    static: float
    dynamic: float
    rest_of_board: float | None
    source: str
    board_source: str

    @property
    def chip(self) -> float:
        """The programmable logic alone: without a hard processor, which draws what its programs make it draw."""
        return self.static + self.dynamic

    @property
    def board(self) -> float | None:
        return None if self.rest_of_board is None else self.chip + self.rest_of_board


def power_of(board: Board, used: Mapping[str, float], mhz: float, activity: float, what: str) -> Power | None:
    """The power of a design of `used` LUTs, FFs, DSPs and block RAMs; None for a family without coefficients.

    Args:
        used: by "lut", "ff", "dsp", "bram36".
        activity: toggle rate α, 0 to 1 and above where nets glitch.
        what: where α comes from, for the source text.
    """
    tables = data_table("power")
    reference, family = tables["reference"], tables["family"].get(board.family.value)
    if family is None:
        return None
    scale = family["node_nm"] / reference["node_nm"] * (family["volts"] / reference["volts"]) ** 2
    at = reference["mhz"] * reference["toggle_rate"]
    energy = (  # watts for each MHz
        used["ff"] * reference["ff_watts"] / reference["ffs"] / reference["mhz"]
        + activity * used["lut"] * reference["lut_watts"] / reference["luts"] / at
        + activity * used["dsp"] * reference["dsp_watts"] / reference["dsps"] / at
        + activity * used["bram36"] * reference["bram_watts"] / reference["brams"] / at
    )
    leak = family.get("static_watts", board.resources.lut * reference["static_watts"] / reference["static_luts"])
    checked = "" if scale == 1 else f"; scaled to {family['node_nm']} nm and {family['volts']} V, unchecked there"
    source = f"fpgaflow's power model at {mhz:g} MHz and {what}; coefficients: {reference['source']}{checked}"
    rest = tables["board"].get(board.name)
    return Power(
        leak,
        mhz * scale * energy,
        None if rest is None else rest["watts"],
        source,
        "" if rest is None else f"{source}; the rest of the board: {rest['source']}",
    )
