"""Which netlists are simulated unasked."""

from __future__ import annotations

from typing import Any

import pytest

from fpgaflow.validate_rtl import long_netlist


def manifest(lut: int, dsp: int, latency: int | None, interval: int) -> dict[str, Any]:
    used = {"lut": lut, "ff": 1000, "dsp": dsp}
    cycles = {"latency_cycles": latency, "interval_cycles": interval}
    return {
        "resources": {name: {"used": count} for name, count in used.items()},
        "timing": {name: {"value": count} for name, count in cycles.items()},
    }


def test_a_large_one_waits_to_be_asked_for() -> None:
    why = long_netlist(manifest(50_000, 15, 280_000, 100_000))
    assert why == "netlist: 51,015 cells for 780,000 cycles take minutes: validate with --netlist"


@pytest.mark.parametrize("given", [manifest(5000, 15, 28_000, 10_000), manifest(50_000, 15, None, 100_000), {}])
def test_a_small_one_or_an_unknown_one_does_not(given: dict[str, Any]) -> None:
    assert long_netlist(given) is None
