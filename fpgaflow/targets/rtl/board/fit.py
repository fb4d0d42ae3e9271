"""Whether synthesised modules fit the part, before any placement."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fpgaflow.boards import Board
from fpgaflow.errors import CheckFailed
from fpgaflow.targets.rtl.families import Counts, fabric_of


def fit_problem(counts: Mapping[str, Counts], board: Board) -> CheckFailed | None:
    """What modules by name need beyond the part; names the largest of them, and the limit. None where they fit."""
    have, block = board.resources, fabric_of(board).ram_block
    blocks = math.floor(have.bram36 / block) if have.ram_blocks is None else have.ram_blocks
    limits = {
        "lut": ("LUTs", 1.0, have.lut),
        "ff": ("flip-flops", 1.0, have.ff),
        "dsp": ("multipliers", 1.0, have.dsp),
        "bram36": ("block RAMs", block, blocks),
    }
    for resource, (what, unit, limit) in limits.items():
        each = {name: round(count[resource] / unit, 3) for name, count in counts.items()}
        if (used := sum(each.values())) > limit:
            name = max(each, key=lambda module: each[module])
            found = f"needs {used:,.0f} {what} of the {limit:,} of {board.name}; '{name}' alone takes {each[name]:,.0f}"
            return CheckFailed("synthesis", found, "Ask for a lower --fps, use fewer bits, or choose a larger board")
    return None
