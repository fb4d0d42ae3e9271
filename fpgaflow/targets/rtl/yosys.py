"""Yosys, from the package `pyosys`, in a process of its own: its errors end a process, and its log is a file."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fpgaflow.errors import MissingTool, ToolFailed

_CHILD = """
import sys
from pyosys import libyosys as yosys
design = yosys.Design()
for line in open(sys.argv[1], encoding="utf-8"):
    if line.strip():
        yosys.run_pass(line.strip(), design)
"""


def run_yosys(commands: Sequence[str], folder: Path, log: str, timeout_s: float | None = None) -> bool:
    """Runs Yosys commands in `folder`, where `log` keeps what it prints; False where it took longer than `timeout_s`.

    Raises:
        MissingTool: pyosys is not installed.
        ToolFailed: a command failed.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise MissingTool("Yosys", "the package pyosys is not installed", "Install it: pip install 'fpgaflow[rtl]'")
    script = folder / f"{log}.ys"
    script.write_text("\n".join(commands) + "\n", encoding="utf-8")
    with (folder / log).open("w") as out:
        try:
            done = subprocess.run(
                [sys.executable, "-c", _CHILD, script.name],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    if done.returncode != 0:
        lines = (folder / log).read_text(errors="replace").strip().splitlines()
        raise ToolFailed("Yosys", lines[-1] if lines else f"exit status {done.returncode}", f"Read {folder / log}")
    return True
