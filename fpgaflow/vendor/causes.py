"""Why AMD's tools fail: the causes that users meet, recognised in the log, each with what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_MOST_RUNS = 200  # of one Vivado project: one for each IP, and two


@dataclass(frozen=True)
class Cause:
    """`name` for people; `pattern` matches one line of a log; `fix` is what helps."""

    name: str
    pattern: re.Pattern[str]
    fix: str


def _cause(name: str, pattern: str, fix: str) -> Cause:
    return Cause(name, re.compile(pattern, re.IGNORECASE), fix)


# The most telling first: an out-of-memory kill is often followed by lesser errors, a missing licence by none.
# Their texts are those of logs that users of hls4ml, FINN and others reported; the numbers are AMD's own.
CAUSES = (
    _cause(
        "no licence",
        r"\[Common 17-34[58]\]|valid license was not found|no valid licen[cs]e"
        r"|failed to (get|check ?out) (the|a) licen[cs]e|license checkout failed|FLEXnet Licensing error",
        "Set XILINXD_LICENSE_FILE to a licence for this part, or use a part of the free edition: fpgaflow boards",
    ),
    _cause(
        "out of memory",
        r"std::bad_alloc|out of memory|cannot allocate memory|virtual memory exhausted|memory allocation failed"
        r"|\b\d+ Killed\b|unable to execute command: Killed|abnormal program termination \((9|SIGKILL)\)|^Killed$",
        "Run where there is more memory, with fewer parallel jobs, or raise reuse factors: --fps, --max-utilisation",
    ),
    _cause(
        "disk full",
        r"no space left on device|disk quota exceeded",
        "Free some space where the build folder lies, then build again: it goes on where it stopped",
    ),
    _cause(
        "unroll limit",
        r"\[XFORM 203-504\]|stop unrolling loop|\[XFORM 203-103\]|elements number \(\d+\) has exc?eeded the threshold"
        r"|exceeds the (unroll|complete partition)",
        "Raise the reuse factor of the layer that the line names: a lower --fps or --max-utilisation does",
    ),
    _cause(
        "does not fit the part",
        r"\[Place 30-(640|487)\]|\[DRC UTLZ-1\]|over-?utili[sz]ed|requires more .* cells than are available",
        "Ask for less with --fps, a lower --max-utilisation or fewer bits, or choose a larger board",
    ),
    _cause(
        "timing not met",
        r"\[fpgaflow\] timing is not met|\[Timing 38-282\]|\[Route 35-39\]|did not meet timing"
        r"|failed to meet the timing",
        "Lower the clock: design_mhz in a board file of your own (--board ./mine.toml), or raise reuse factors",
    ),
    _cause(
        "board files missing",
        r"\[fpgaflow\] this Vivado has no board files|\[Board 49-71\]|board_part definition was not found",
        "Install the board's files from Tools > Vivado Store > Boards, or from the board's vendor",
    ),
    _cause(
        "Vitis platform missing",
        r"no valid platform was found|no device was found that matches|platform .* (was )?not found"
        r"|xpfm.* does not exist",
        "Install the card's development platform, and set PLATFORM_REPO_PATHS to where it lies",
    ),
    _cause(
        "part missing",
        r"\[Coretcl 2-106\]|specified part could not be found|part '?\S+'? is not (installed|supported)",
        "Add the device family to the installation: Help > Add Design Tools or Devices",
    ),
    _cause(
        "export after 2021",
        r"y2k22|bad lexical cast: source type value could not be interpreted as target",
        "Apply AMD's y2k22 patch (answer record 76960) to this version of the tools",
    ),
    _cause(
        "path too long",
        r"\[Common 17-143\]|path length exceeds|file name too long",
        "Build in a folder with a shorter path: --out",
    ),
    _cause(
        "library missing",
        r"error while loading shared libraries: \S+",
        "Install the library that the line names: the tools' release notes (UG973) list them",
    ),
    _cause(
        "tool crashed",
        r"segmentation fault|abnormal program termination|unexpected error has occurred|hs_err_pid",
        "Run it again; where it comes back, try another version of the tools",
    ),
)


def explain(line: str) -> Cause | None:
    """The cause that a line of a log tells, if it is a known one."""
    return next((cause for cause in CAUSES if cause.pattern.search(line)), None)


def known_cause(log: Path) -> tuple[Cause, str] | None:
    """The most telling known cause in a log, and the first line that tells it."""
    best: tuple[Cause, str] | None = None
    with log.open("rb") as file:
        for raw in file:
            line = raw.decode(errors="replace").strip()
            here = explain(line)
            if here is not None and (best is None or CAUSES.index(here) < CAUSES.index(best[0])):
                best = here, line
    return best


def cause_of_failure(log: Path, folder: Path) -> tuple[Cause, str] | None:
    """That of the command's own log, else of the logs of the runs that Vivado and v++ start below `folder`."""
    best = known_cause(log)
    if best is not None:
        return best
    for other in sorted(folder.rglob("runme.log"))[:_MOST_RUNS]:
        if other.is_file() and (found := known_cause(other)) is not None:
            return found
    return None
