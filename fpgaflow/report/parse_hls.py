"""Reports of Vivado HLS (AMD UG902) and Vitis HLS (AMD UG1399): `csynth.xml` and `TOP_csynth.rpt`."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

from fpgaflow.errors import BadInput
from fpgaflow.report.parse_types import HlsReport, ResourceUsage, Usage, broken, count, number, read_report, rows, whole

_NO_CYCLES = ("undef", "?", "-")  # what the tools write where a loop's trip count depends on data
HLS_TITLE = r"^== (Vivado|Vitis) HLS Report for '(.+)'$"


def parse_hls_xml(path: Path) -> HlsReport:
    """Reads `csynth.xml`, of the whole design or of one function.

    Where nothing is pipelined, Vivado HLS 2019.2 writes an interval here that is one more than in its text report.

    Raises:
        BadInput: not such a file, cut short, or with a DOCTYPE (entities could expand without bound).
    """
    text = read_report(path)
    if "<!DOCTYPE" in text:
        raise BadInput(str(path), "has a DOCTYPE, which no HLS report has", "Give the csynth.xml that the tool wrote")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # no DOCTYPE, so no entities; size is bounded
    except (ElementTree.ParseError, ValueError) as error:
        raise BadInput(str(path), f"is not whole XML ({error})", "Give the csynth.xml that the tool wrote") from error

    def get(name: str) -> str:
        element = root.find(name)
        if element is None or not (element.text or "").strip():
            raise broken(path, f"element {name}")
        return (element.text or "").strip()

    def usage(name: str) -> Usage:
        used, available = (get(f"AreaEstimates/{kind}/{name}") for kind in ("Resources", "AvailableResources"))
        return Usage(count(path, name, used), count(path, name, available))

    assigned, summary = "UserAssignments", "PerformanceEstimates/SummaryOfOverallLatency"
    version = get("ReportVersion/Version")
    # Vivado HLS ends with 2020.1 and counts DSP48E; Vitis HLS begins with 2020.2 and counts DSP.
    vivado = root.find("AreaEstimates/Resources/DSP48E") is not None
    return HlsReport(
        file=path,
        tool=f"{'Vivado' if vivado else 'Vitis'} HLS {version}",
        design=get(f"{assigned}/TopModelName"),
        part=get(f"{assigned}/Part"),
        clock_target_ns=number(path, "target clock", get(f"{assigned}/TargetClockPeriod")),
        clock_estimated_ns=number(
            path, "estimated clock", get("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")
        ),
        latency_min=_cycles(path, get(f"{summary}/Best-caseLatency")),
        latency_max=_cycles(path, get(f"{summary}/Worst-caseLatency")),
        interval_min=_cycles(path, get(f"{summary}/Interval-min")),
        interval_max=_cycles(path, get(f"{summary}/Interval-max")),
        resources=ResourceUsage(
            lut=usage("LUT"),
            ff=usage("FF"),
            dsp=usage("DSP48E" if vivado else "DSP"),
            bram36=_halved(usage("BRAM_18K")),
            uram=usage("URAM") if root.find("AreaEstimates/Resources/URAM") is not None else None,
        ),
    )


def parse_hls_text(path: Path) -> HlsReport:
    """Reads `TOP_csynth.rpt`, or that of one function.

    Raises:
        BadInput: not such a file, or cut short.
    """
    text = read_report(path)
    title = re.search(HLS_TITLE, text, re.MULTILINE)
    if title is None:
        raise broken(path, "title '== Vitis HLS Report for ...'")
    clock = _last_row(path, text, "+ Timing:")
    latency = _last_row(path, text, "+ Latency:")
    if len(clock) != 4 or len(latency) not in (5, 7):  # without and with the columns of absolute latency
        raise broken(path, "table of clock and latency")
    intervals = latency[-3:-1]
    return HlsReport(
        file=path,
        tool=f"{title.group(1)} HLS {_field(path, text, 'Version').split()[0]}",
        design=title.group(2),
        part=_field(path, text, "Target device"),
        clock_target_ns=number(path, "target clock", clock[1]),
        clock_estimated_ns=number(path, "estimated clock", clock[2]),
        latency_min=_cycles(path, latency[0]),
        latency_max=_cycles(path, latency[1]),
        interval_min=_cycles(path, intervals[0]),
        interval_max=_cycles(path, intervals[1]),
        resources=_resources(path, text),
    )


def _resources(path: Path, text: str) -> ResourceUsage:
    table = _summary(path, text, "== Utilization Estimates")
    header = table[0]
    used, available = (
        next((row for row in table if row[0] == name and len(row) == len(header)), None)
        for name in ("Total", "Available")
    )
    if used is None or available is None:
        raise broken(path, "row Total or Available of the utilization estimates")

    def usage(name: str) -> Usage:
        if name not in header:
            raise broken(path, f"column {name} of the utilization estimates")
        column = header.index(name)
        return Usage(count(path, name, used[column]), count(path, name, available[column]))

    return ResourceUsage(
        lut=usage("LUT"),
        ff=usage("FF"),
        dsp=usage("DSP48E" if "DSP48E" in header else "DSP"),
        bram36=_halved(usage("BRAM_18K")),
        uram=usage("URAM") if "URAM" in header else None,
    )


def _summary(path: Path, text: str, section: str) -> list[list[str]]:
    """The rows of the first table `* Summary:` after the line `section`, header included."""
    lines = iter(text.splitlines())
    for wanted in (section, "* Summary:"):
        if not any(line.strip() == wanted for line in lines):
            raise broken(path, f"section '{section}'")
    table = list(rows(takewhile(lambda line: line.strip().startswith(("+-", "|")), lines)))
    if not table:
        raise broken(path, f"summary of section '{section}'")
    return table


def _last_row(path: Path, text: str, section: str) -> list[str]:
    return _summary(path, text, section)[-1]


def _field(path: Path, text: str, name: str) -> str:
    match = re.search(rf"^\* {name}: +(\S.*)$", text, re.MULTILINE)
    if match is None:
        raise broken(path, f"line '* {name}:'")
    return match.group(1).strip()


def _cycles(path: Path, text: str) -> int | None:
    return None if text in _NO_CYCLES else count(path, "number of cycles", text)


def _halved(blocks: Usage) -> Usage:
    """Blocks of 18 kbit as blocks of 36."""
    return Usage(whole(blocks.used / 2), whole(blocks.available / 2))
