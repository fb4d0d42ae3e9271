"""Reads a report of Vivado, Vivado HLS or Vitis HLS, whichever it is. Each names its file and is marked "reported"."""

from __future__ import annotations

import re
from pathlib import Path

from fpgaflow.errors import BadInput
from fpgaflow.report.parse_hls import HLS_TITLE, parse_hls_text, parse_hls_xml
from fpgaflow.report.parse_types import (
    HlsReport,
    PowerReport,
    Report,
    ResourceUsage,
    TimingReport,
    Usage,
    UtilizationReport,
    read_report,
)
from fpgaflow.report.parse_vivado import (
    POWER_TITLE,
    TIMING_TITLE,
    UTILIZATION_TITLE,
    parse_power,
    parse_timing,
    parse_utilization,
)

__all__ = [
    "HlsReport",
    "PowerReport",
    "Report",
    "ResourceUsage",
    "TimingReport",
    "Usage",
    "UtilizationReport",
    "parse_hls_text",
    "parse_hls_xml",
    "parse_power",
    "parse_report",
    "parse_timing",
    "parse_utilization",
]

# What tells the kinds apart, and their parser.
_KINDS = (
    (r"\A\s*(<\?xml[^>]*>\s*)?<(!DOCTYPE|profile)\b", parse_hls_xml),
    (HLS_TITLE, parse_hls_text),
    (UTILIZATION_TITLE, parse_utilization),
    (POWER_TITLE, parse_power),
    (TIMING_TITLE, parse_timing),
)


def parse_report(path: Path) -> Report:
    """The report in `path`, of the kind that its content shows.

    Raises:
        BadInput: of no known kind, or broken.
    """
    text = read_report(path)
    for pattern, parse in _KINDS:
        if re.search(pattern, text, re.MULTILINE):
            return parse(path)
    if "== Synthesis Summary Report of " in text:
        fix = "Give csynth.xml or TOP_csynth.rpt from the same folder"
        raise BadInput(str(path), "is a synthesis summary, which has no clock target", fix)
    raise BadInput(str(path), "is no report of a known kind", "Give a report of Vivado, Vivado HLS or Vitis HLS")
