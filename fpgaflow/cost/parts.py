"""What the estimates are made of: costs, and memories. See estimate.py for the rules and their sources."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from fpgaflow.boards import Board

DSP_BITS = 10
SEARCHED_LEVELS = 15  # from so many thresholds on HLS layers search them, one after the other, instead of comparing all
LAYER_LUT, LAYER_FF = 250, 300  # control and stream handshake of one layer
LATENCY_PER_LAYER = 10  # cycles from a layer's first input to its pipeline being full
_SMALL_MEMORY_BITS = 1024


@dataclass(frozen=True)
class Cost:
    """Resources and cycles of one layer or a design; `cycles` is the interval between samples, `latency` the delay."""

    lut: float = 0
    ff: float = 0
    dsp: float = 0
    bram36: float = 0
    cycles: int = 1
    latency: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Side by side in one dataflow: resources and delays add up, the slowest sets the interval."""
        return Cost(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram36 + other.bram36,
            max(self.cycles, other.cycles),
            self.latency + other.latency,
        )

    def utilisation(self, board: Board) -> dict[str, float]:
        """Share of the board's part that each resource takes."""
        have = board.resources
        pairs = {
            "lut": (self.lut, have.lut),
            "ff": (self.ff, have.ff),
            "dsp": (self.dsp, have.dsp),
            "bram36": (self.bram36, have.bram36),
        }
        return {
            name: used / total if total else (0.0 if used == 0 else float("inf"))
            for name, (used, total) in pairs.items()
        }


def memory(words: int, bits: int) -> tuple[float, int]:
    """(blocks of 36 kbit, LUTs) of a read-only memory of `words` × `bits`."""
    if words * bits <= _SMALL_MEMORY_BITS:
        return 0.0, ceil(words * bits / 64)
    shapes = ((512, 72, 1.0), (1024, 36, 1.0), (2048, 18, 1.0), (512, 36, 0.5), (1024, 18, 0.5))
    return min(ceil(words / depth) * ceil(bits / width) * blocks for depth, width, blocks in shapes), 0
