"""AMD's command-line tools from 2019.2 to 2025.x: which program runs an HLS script, and what its options are called.

| versions         | C synthesis                        | kernels                             |
|------------------|------------------------------------|-------------------------------------|
| 2019.2, 2020.1   | `vivado_hls -f SCRIPT`             | `v++ --kernel_frequency MHZ`        |
| 2020.2 to 2023.1 | `vitis_hls -f SCRIPT`              | `v++ --kernel_frequency MHZ`        |
| 2023.2 to 2024.2 | that, or `vitis-run --mode hls`    | `v++ --freqhz HZ`                   |
| 2025.1 and newer | `vitis-run --mode hls --tcl SCRIPT`| `v++ --freqhz HZ`                   |

Sources: AMD UG902, UG1399 and UG1393 of those versions, UG1702 2023.2.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from fpgaflow.doctor import find_executable

_ANSWERS_WITHIN_S = 60.0  # Vivado takes seconds to say its version, more from a network drive
_VERSION = re.compile(r"v?(20\d\d)\.([1-4])")
FIRST_FREQHZ = (2023, 2)


class HlsTool(StrEnum):
    """The program that runs hls.tcl: AMD renamed it in 2020.2 and 2023.2, and dropped the older name in 2025.1."""

    VITIS_HLS = "vitis_hls"
    VITIS_RUN = "vitis-run"
    VIVADO_HLS = "vivado_hls"


@dataclass(frozen=True, order=True)
class Version:
    """A release, such as 2023.2."""

    year: int
    release: int

    def __str__(self) -> str:
        return f"{self.year}.{self.release}"


Find = Callable[[str], str | None]


def hls_tool(find: Find = find_executable) -> HlsTool:
    """The HLS program that is here, a Vitis one rather than Vivado HLS; `vitis_hls` where none is."""
    return next((tool for tool in HlsTool if find(tool)), HlsTool.VITIS_HLS)


def hls_argv(tool: HlsTool, script: str) -> tuple[str, ...]:
    """The command line that runs an HLS script."""
    if tool is HlsTool.VITIS_RUN:
        return (tool.value, "--mode", "hls", "--tcl", script)
    return (tool.value, "-f", script)


def frequency_option(version: Version | None) -> str:
    """What v++ calls the kernel's clock; the newer name where the version is not known."""
    old = version is not None and (version.year, version.release) < FIRST_FREQHZ
    return "--kernel_frequency" if old else "--freqhz"


def parse_version(text: str) -> Version | None:
    """The release in what a tool prints of itself."""
    found = _VERSION.search(text)
    return None if found is None else Version(int(found[1]), int(found[2]))


@lru_cache
def version_of(tool: str) -> Version | None:
    """The release of a tool on PATH; None where it is not there or does not say."""
    executable = find_executable(tool)
    if executable is None:
        return None
    flag = "--version" if tool == "v++" else "-version"
    try:
        run = subprocess.run(
            [executable, flag], capture_output=True, timeout=_ANSWERS_WITHIN_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version((run.stdout + run.stderr).decode(errors="replace"))
