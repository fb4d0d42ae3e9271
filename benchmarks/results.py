"""Raw results of the benchmarks as JSON, with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("results")
_PACKAGES = ("fpgaflow", "onnxruntime", "numpy", "hls4ml")


def cores() -> int:
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """When and on what; `load` is the number of processes that ran or waited over the last 1, 5 and 15 minutes."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": name,
        "cores": cores(),
        "load": os.getloadavg(),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def write(name: str, content: dict[str, Any]) -> Path:
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(machine() | content, indent=2) + "\n")
    return path
