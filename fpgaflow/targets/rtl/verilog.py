"""Components as Verilog: Amaranth writes RTLIL, Yosys turns it into Verilog that people can read."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from fpgaflow.targets.rtl.yosys import run_yosys

_DOTTED = re.compile(r"^(\s*(?:module|cell) )\\(\S+)", re.MULTILINE)

# Registers with their reset and enable in one block each, instead of a process for each of their next values.
READABLE = ("proc", "opt_expr", "opt_dff", "opt_clean", "memory_collect")


def rtlil_of(component: Component, name: str) -> str:
    """The RTLIL of a component and what it consists of; modules inside have the component's name before theirs."""
    return _plain_names(rtlil.convert(component, name=name, emit_src=False))


def _plain_names(text: str) -> str:
    """Without the dots in module names, which Verilog would have to escape."""
    return _DOTTED.sub(lambda found: f"{found[1]}\\{found[2].replace('.', '_')}", text)


def to_verilog(modules: Mapping[str, str]) -> dict[str, str]:
    """RTLIL texts by name as Verilog texts by the same names."""
    with tempfile.TemporaryDirectory(prefix="fpgaflow-rtl-") as scratch:
        folder = Path(scratch)
        commands = []
        for name, text in modules.items():
            (folder / f"{name}.il").write_text(text, encoding="utf-8")
            commands += [
                "design -reset",
                f"read_rtlil {name}.il",
                *READABLE,
                f"write_verilog -noattr {name}.v",
            ]
        run_yosys(commands, folder, "verilog.log")
        return {name: (folder / f"{name}.v").read_text(encoding="utf-8") for name in modules}
