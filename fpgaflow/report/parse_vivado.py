"""Reports of Vivado: utilization, power and timing summary (AMD UG906 and UG907)."""

from __future__ import annotations

import re
from pathlib import Path

from fpgaflow.report.parse_types import (
    PowerReport,
    ResourceUsage,
    TimingReport,
    Usage,
    UtilizationReport,
    broken,
    number,
    read_report,
    rows,
    whole,
)

UTILIZATION_TITLE = r"^Utilization Design Information$"
POWER_TITLE = r"^Power Report$"
TIMING_TITLE = r"^Timing Summary Report$"

# Slice: 7 series; CLB: UltraScale and UltraScale+.
_SITES = {
    "Slice LUTs": "lut",
    "CLB LUTs": "lut",
    "Slice Registers": "ff",
    "CLB Registers": "ff",
    "DSPs": "dsp",
    "Block RAM Tile": "bram36",
    "URAM": "uram",
}


def parse_utilization(path: Path) -> UtilizationReport:
    """Reads report_utilization, of a synthesised, placed or routed design.

    Raises:
        BadInput: not such a file, or cut short.
    """
    text = _text(path, UTILIZATION_TITLE)
    usages: dict[str, Usage] = {}
    header: list[str] = []
    for row in rows(text.splitlines()):
        if row[0] == "Site Type":
            header = row
            continue
        resource = _SITES.get(row[0].rstrip("*"))
        # The first row of a site counts: later tables break the same sites down by other criteria.
        if resource and resource not in usages and "Used" in header and len(row) == len(header):
            cells = dict(zip(header, row, strict=True))
            used, available = (whole(number(path, row[0], cells.get(name, ""))) for name in ("Used", "Available"))
            usages[resource] = Usage(used, available)

    def usage(resource: str) -> Usage:
        if resource not in usages:
            raise broken(path, "row " + " or ".join(site for site, name in _SITES.items() if name == resource))
        return usages[resource]

    return UtilizationReport(
        file=path,
        **_head(path, text),
        state=_head_field(path, text, "Design State"),
        resources=ResourceUsage(
            lut=usage("lut"), ff=usage("ff"), dsp=usage("dsp"), bram36=usage("bram36"), uram=usages.get("uram")
        ),
    )


def parse_power(path: Path) -> PowerReport:
    """Reads report_power.

    Raises:
        BadInput: not such a file, or cut short.
    """
    text = _text(path, POWER_TITLE)
    summary = {row[0]: row[1] for row in rows(text.splitlines()) if len(row) == 2}

    def get(name: str) -> str:
        if name not in summary:
            raise broken(path, f"row '{name}'")
        return summary[name]

    total, dynamic, static = (
        number(path, name, get(name)) for name in ("Total On-Chip Power (W)", "Dynamic (W)", "Device Static (W)")
    )
    return PowerReport(
        file=path,
        **_head(path, text),
        state=_head_field(path, text, "Design State"),
        total_w=total,
        dynamic_w=dynamic,
        static_w=static,
        confidence=get("Confidence Level"),
    )


def parse_timing(path: Path) -> TimingReport:
    """Reads report_timing_summary.

    Raises:
        BadInput: not such a file, or cut short.
    """
    text = _text(path, TIMING_TITLE)
    _, _, after = text.partition("| Design Timing Summary\n")
    # A line of names two or more spaces apart, a line of dashes, a line of numbers, each whole.
    table = re.search(r"^ *(WNS\(ns\).*)\n[ -]+\n *(\S.*)\n", after, re.MULTILINE)
    names, values = (re.split(r"\s{2,}", line.strip()) for line in table.groups()) if table else ([], [])
    cells = dict(zip(names, values, strict=False))

    def slack(name: str) -> float | None:
        if len(names) != len(values) or name not in cells:
            raise broken(path, f"{name} in the design timing summary")
        return None if cells[name] == "NA" else number(path, name, cells[name])

    return TimingReport(
        file=path,
        **_head(path, text),
        wns_ns=slack("WNS(ns)"),
        tns_ns=slack("TNS(ns)"),
        whs_ns=slack("WHS(ns)"),
    )


def _text(path: Path, title: str) -> str:
    text = read_report(path)
    if not re.search(title, text, re.MULTILINE):
        raise broken(path, f"title '{title.strip('^$')}'")
    return text


def _head(path: Path, text: str) -> dict[str, str]:
    """The fields that every Vivado report begins with."""
    tool, design, device = (_head_field(path, text, name) for name in ("Tool Version", "Design", "Device"))
    return {"tool": tool.split(" (")[0], "design": design, "part": device}


def _head_field(path: Path, text: str, name: str) -> str:
    match = re.search(rf"^\| {name} +: (\S.*)$", text, re.MULTILINE)
    if match is None:
        raise broken(path, f"line '| {name} :'")
    return match.group(1).strip()
