"""A comparison from the request to its files: what the command line and `fpgaflow.compare` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fpgaflow.comparison.collect import Notify, compare, report_of
from fpgaflow.comparison.judge import holds, verdict
from fpgaflow.comparison.page.render import write_report
from fpgaflow.comparison.request import Request
from fpgaflow.comparison.results import Report


@dataclass(frozen=True)
class CompareResult:
    """The report as data, in which every figure has its provenance, and the three files of the same."""

    report: Report
    html: Path
    markdown: Path
    json: Path

    @property
    def ok(self) -> bool:
        """Whether a target passes, and no bit differs on any."""
        return holds(self.report)

    @property
    def verdict(self) -> str:
        return verdict(self.report)

    @property
    def files(self) -> tuple[Path, ...]:
        return self.html, self.markdown, self.json


def compared(request: Request, notify: Notify) -> CompareResult:
    """Builds what is missing, takes every target's figures, and writes the report into the request's folder.

    Raises:
        FpgaflowError: as `compare` and `write_report` do; then no report is written.
    """
    return _written(compare(request, notify), request.out, notify)


def reported(build: Path, data: str | None, out: Path | None, notify: Notify) -> CompareResult:
    """The report of one build, into its own folder if there is no other.

    Raises:
        BadInput: no finished build, or broken samples.
    """
    return _written(report_of(build, data, notify), out or build, notify)


def _written(report: Report, out: Path, notify: Notify) -> CompareResult:
    notify("writing the page")
    return CompareResult(report, *write_report(report, out))
