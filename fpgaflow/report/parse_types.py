"""What a tool's report says, as one family of frozen dataclasses, and how the parsers read text and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fpgaflow.errors import BadInput

_LARGEST_REPORT = 64 * 2**20  # bytes; the largest real ones are below one megabyte


@dataclass(frozen=True)
class Usage:
    """`used` of `available`; halves happen with 36-kbit block RAM."""

    used: float
    available: float


@dataclass(frozen=True)
class ResourceUsage:
    """`bram36` in blocks of 36 kbit, where two blocks of 18 kbit make one; `uram` is None where no row says it."""

    lut: Usage
    ff: Usage
    dsp: Usage
    bram36: Usage
    uram: Usage | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """`part` and `design` as the tool spells them; `source` marks every figure as the tool's own, read from `file`."""

    file: Path
    tool: str
    design: str
    part: str
    source: str = field(default="reported", init=False)


@dataclass(frozen=True, kw_only=True)
class HlsReport(Report):
    """C synthesis: clock in ns, latency and interval in cycles (None: depends on data); resources are estimates."""

    clock_target_ns: float
    clock_estimated_ns: float
    latency_min: int | None
    latency_max: int | None
    interval_min: int | None
    interval_max: int | None
    resources: ResourceUsage


@dataclass(frozen=True, kw_only=True)
class UtilizationReport(Report):
    """Vivado's report_utilization; `state` is "Synthesized", "Fully Placed", "Routed" ..."""

    state: str
    resources: ResourceUsage


@dataclass(frozen=True, kw_only=True)
class PowerReport(Report):
    """Vivado's report_power, in W; `confidence` is the tool's own: "Low", "Medium" or "High"."""

    state: str
    total_w: float
    dynamic_w: float
    static_w: float
    confidence: str


@dataclass(frozen=True, kw_only=True)
class TimingReport(Report):
    """Vivado's report_timing_summary: worst negative and hold slack, total negative slack, in ns.

    None where the report says NA: nothing is constrained.
    """

    wns_ns: float | None
    tns_ns: float | None
    whs_ns: float | None


def read_report(path: Path) -> str:
    """The text of a report.

    Raises:
        BadInput: it cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_REPORT + 1)
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", "Give a report file") from error
    if len(content) > _LARGEST_REPORT:
        raise BadInput(str(path), "is larger than any report", "Give a report of Vivado, Vivado HLS or Vitis HLS")
    return content.decode("utf-8", errors="replace").replace("\r\n", "\n")


def broken(path: Path, what: str) -> BadInput:
    """The error for a report that lacks `what`."""
    return BadInput(
        str(path), f"has no readable {what}: cut short, or not this kind of report", "Write the report again"
    )


def number(path: Path, what: str, text: str) -> float:
    """The finite number that `text` begins with ("5.00 ns" is 5.0)."""
    match = re.match(r"-?[0-9]{1,15}(\.[0-9]{1,15})?(?!\S)", text)
    if match is None:
        raise broken(path, what)
    return float(match.group())


def count(path: Path, what: str, text: str) -> int:
    """A whole number of 0 or more."""
    if not re.fullmatch("[0-9]{1,15}", text):
        raise broken(path, what)
    return int(text)


def whole(value: float) -> float:
    """The same number, as an int where it is one."""
    return int(value) if value == int(value) else value


def rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """The cells, stripped, of every whole table row `| a | b |`."""
    for line in lines:
        stripped = line.strip()
        if len(stripped) > 1 and stripped[0] == stripped[-1] == "|":
            yield [cell.strip() for cell in stripped[1:-1].split("|")]
