"""What a build found, in the shape of hls4ml's own reports (hls4ml/report/vivado_report.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Report = dict[str, dict[str, str]]


def report_of(manifest: Mapping[str, Any]) -> Report:
    """The sections of a build's report, all values text as in hls4ml's.

    `CosimReport` has the cycles of the simulated Verilog. The resources stand under `YosysSynthReport` where Yosys
    counted them, else under `EstimateReport`; block RAM in halves of 36 kbit, as hls4ml counts it.
    """
    cycles, used = manifest["timing"], manifest["resources"]
    mismatches = manifest["mismatches"]["rtl_vs_sim"]
    latency, interval = (str(cycles[name]["value"]) for name in ("latency_cycles", "interval_cycles"))
    cosim = {
        "RTL": "Verilog",
        "Status": "Pass" if mismatches["different"] == 0 else "Fail",
        **{f"Latency{which}": latency for which in ("Min", "Max")},
        **{f"Interval{which}": interval for which in ("Min", "Max")},
    }
    counts = {
        "LUT": f"{used['lut']['used']:g}",
        "FF": f"{used['ff']['used']:g}",
        "BRAM_18K": f"{2 * used['bram36']['used']:g}",
        "URAM": "0",
        "DSP48E": f"{used['dsp']['used']:g}",
    }
    section = "YosysSynthReport" if used["lut"]["source"] == "synthesised" else "EstimateReport"
    return {"CosimReport": cosim, section: counts}
