"""How long the simulation of a netlist takes, told without the packages that it needs."""

from __future__ import annotations

from collections.abc import Mapping

NETLIST_SAMPLES = 5
_MOST = 10_000_000_000  # cells times cycles: about a minute of a processor, after some seconds to prepare


def why_long(used: Mapping[str, float], latency_cycles: float, interval_cycles: float) -> str | None:
    """Why a netlist of such resources is not simulated unasked; None where it is."""
    cells = sum(used[name] for name in ("lut", "ff", "dsp"))
    cycles = latency_cycles + NETLIST_SAMPLES * interval_cycles
    if cells * cycles <= _MOST:
        return None
    return f"{cells:,.0f} cells for {cycles:,.0f} cycles take minutes: validate with --netlist"
