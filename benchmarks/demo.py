"""Wall time and peak memory of the main job: `fpgaflow build --board pynq-z2` of the bundled LeNet, from nothing.

Memory is the sum of the resident sets of the whole process tree, sampled every 20 ms from /proc (Linux).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

_PERIOD_S = 0.02


def _tree(root: int) -> list[int]:
    """The process and its descendants."""
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def _resident(process: int) -> int:
    """Resident bytes; 0 for a process that has ended."""
    try:
        line = next(x for x in Path(f"/proc/{process}/status").read_text().splitlines() if x.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return 0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fpgaflow-bench-") as folder:
        command = [sys.executable, "-m", "fpgaflow.cli", "build", "--board", "pynq-z2", "--out", f"{folder}/build"]
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_resident, _tree(process.pid))))
            time.sleep(_PERIOD_S)
        seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(f"the build failed with status {process.returncode}")
    print(f"build --board pynq-z2, from nothing: {seconds:.1f} s, peak memory {peak / 2**20:,.0f} MiB (measured)")


if __name__ == "__main__":
    main()
