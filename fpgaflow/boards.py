"""Boards: one TOML file each in `boards/`, read strictly into one frozen dataclass. The fields: boards/README.md."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput

_Record = TypeVar("_Record")


class Family(StrEnum):
    """Device family: what the fabric's LUTs, DSPs and memories are."""

    ZYNQ_7000 = "zynq-7000"
    ARTIX_7 = "artix-7"
    ZYNQ_ULTRASCALE_PLUS = "zynq-ultrascale+"
    VIRTEX_ULTRASCALE_PLUS = "virtex-ultrascale+"
    ICE40 = "ice40"
    ECP5 = "ecp5"
    GOWIN = "gowin"


class Interface(StrEnum):
    """How samples reach the accelerator."""

    AXI_STREAM_DMA = "axi-stream-dma"
    AXI_LITE = "axi-lite"
    XRT = "xrt"
    UART = "uart"


class Toolchain(StrEnum):
    """What turns the design into a bitstream."""

    VIVADO = "vivado"
    VITIS = "vitis"
    NEXTPNR_ICE40 = "nextpnr-ice40"
    NEXTPNR_ECP5 = "nextpnr-ecp5"
    NEXTPNR_GOWIN = "nextpnr-gowin"

    @property
    def is_open(self) -> bool:
        """Whether this is free software from the Verilog to the bitstream."""
        return self in (Toolchain.NEXTPNR_ICE40, Toolchain.NEXTPNR_ECP5, Toolchain.NEXTPNR_GOWIN)


@dataclass(frozen=True)
class Resources:
    """What the whole device has; `bram36` in blocks of 36 kbit, `uram` in blocks of 288 kbit.

    `ram_blocks` counts block RAMs of the part's own size, where that is not 36 kbit.
    """

    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int
    source: str
    ram_blocks: int | None = None


@dataclass(frozen=True)
class Clock:
    """`design_mhz` is the default of a build; the other fields are facts of the board (None: there is none)."""

    design_mhz: float
    source: str
    ps_reference_mhz: float | None = None
    pl_mhz: float | None = None
    pl_pin: str | None = None
    resource: str | None = None  # Amaranth's name of the oscillator, where it is not the platform's default clock


@dataclass(frozen=True)
class Uart:
    """How an open board talks to a host: 8N1. The pins are given where Amaranth's platform has no UART.

    `baud` divides every clock that the design may get; `high` is a pin to hold high, which would disturb otherwise.
    """

    baud: int
    source: str
    rx: str | None = None
    tx: str | None = None
    high: str | None = None


@dataclass(frozen=True)
class Board:
    name: str
    title: str
    vendor: str
    part: str
    family: Family
    interface: Interface
    toolchain: Toolchain
    resources: Resources
    clock: Clock
    board_part: str | None = None
    platform: str | None = None
    amaranth: str | None = None  # module.Class of amaranth_boards
    uart: Uart | None = None


MIN_DIVISOR = 4  # clocks of a UART's bit that leave its middle to be found

# These strings end up in Tcl scripts and file names, so their alphabet is closed.
_PATTERNS = {
    "name": re.compile(r"[a-z0-9][a-z0-9.-]*"),
    "part": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*"),
    "board_part": re.compile(r"[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+){3}"),
    "platform": re.compile(r"[A-Za-z0-9_.-]+"),
    "pl_pin": re.compile(r"[A-Z0-9]+"),
    "rx": re.compile(r"[A-Z0-9]+"),
    "tx": re.compile(r"[A-Z0-9]+"),
    "high": re.compile(r"[A-Z0-9]+"),
    "resource": re.compile(r"[a-z0-9_]+"),
    "amaranth": re.compile(r"[a-z0-9_]+\.[A-Za-z0-9_]+"),
}


def is_board_file(name_or_path: str) -> bool:
    """Whether that is the path of a user's own board, and no name of a bundled one."""
    return name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path


def load_board(name_or_path: str) -> Board:
    """The bundled board of that name, or the user's own file (a path that ends in `.toml` or has a separator).

    Raises:
        BadInput: no such board (near misses are named), or a file that breaks the schema (file and field are named).
    """
    if is_board_file(name_or_path):
        return _read(Path(name_or_path))
    known = _bundled()
    if name_or_path not in known:
        raise BadInput(f"board '{name_or_path}'", "no such board", _suggest(name_or_path, known, "Boards"))
    return _read(known[name_or_path])


def list_boards() -> tuple[Board, ...]:
    """Every bundled board, by name."""
    return tuple(_read(path) for path in _bundled().values())


def _bundled() -> dict[str, Path]:
    return {path.stem: path for path in sorted(data_dir("boards").glob("*.toml"))}


def _read(path: Path) -> Board:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", "Give a board name or a .toml file") from error
    except (ValueError, RecursionError) as error:  # ValueError: bad TOML or bad UTF-8
        raise BadInput(str(path), f"is not TOML ({error})", "Correct it after boards/README.md") from error
    board = _build(Board, table, str(path), "")
    if board.name != path.stem:
        found = f"is '{board.name}' in a file named '{path.stem}.toml'"
        raise BadInput(f"{path}: name", found, "Make both the same")
    if (board.interface is Interface.XRT) != (board.platform is not None):
        found = f"platform is {board.platform!r} while interface is '{board.interface}'"
        raise BadInput(f"{path}: platform", found, "Give the Vitis platform for 'xrt', and only for it")
    if (board.clock.pl_mhz is None) != (board.clock.pl_pin is None):
        raise BadInput(f"{path}: clock", "has only one of pl_mhz and pl_pin", "Give both or neither")
    if board.toolchain.is_open:
        _check_open(board, path)
    return board


def _check_open(board: Board, path: Path) -> None:
    """What the open flow needs to know of a board."""
    if board.amaranth is None or board.uart is None or board.clock.pl_mhz is None:
        missing = [name for name, value in (("amaranth", board.amaranth), ("uart", board.uart)) if value is None]
        where = ", ".join(missing) or "clock.pl_mhz"
        raise BadInput(f"{path}: {where}", "is missing", f"'{board.toolchain}' needs it: see boards/README.md")
    if board.interface is not Interface.UART:
        raise BadInput(f"{path}: interface", f"is '{board.interface}'", f"With '{board.toolchain}', use 'uart'")
    if (board.uart.rx is None) != (board.uart.tx is None):
        raise BadInput(f"{path}: uart", "has only one of rx and tx", "Give both or neither")
    for mhz in (board.clock.pl_mhz, board.clock.design_mhz):
        if not board.uart.baud or (mhz * 1e6) % board.uart.baud or mhz * 1e6 < MIN_DIVISOR * board.uart.baud:
            found = f"does not divide the clock of {mhz:g} MHz by {MIN_DIVISOR} or more"
            raise BadInput(f"{path}: uart.baud", found, "Give one that does")


def _build(kind: type[_Record], table: dict[str, Any], file: str, prefix: str) -> _Record:
    """The dataclass `kind` from a TOML table that must have exactly its fields; `prefix` is the table's dotted name."""
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise BadInput(f"{file}: {prefix}{key}", "is no field of a board", _suggest(key, hints, "Fields"))
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]  # every caller gives a dataclass
        if field.name in table:
            values[field.name] = _value(hints[field.name], table[field.name], file, prefix + field.name)
        elif field.default is MISSING:
            raise BadInput(f"{file}: {prefix}{field.name}", "is missing", "Add it; boards/README.md shows every field")
    return kind(**values)


def _value(kind: Any, value: Any, file: str, name: str) -> Any:
    """`value` as the annotated type `kind` of the field `name`."""
    where = f"{file}: {name}"
    if get_origin(kind) is UnionType:  # `X | None`: TOML has no null, so a value that is there is an X
        (kind,) = (member for member in get_args(kind) if member is not NoneType)
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise BadInput(where, f"is {value!r}", f"Write it as the table [{name}]")
        return _build(kind, value, file, f"{name}.")  # type: ignore[arg-type]  # a class, by the annotations above
    if issubclass(kind, StrEnum):
        if value in list(kind):
            return kind(value)
        raise BadInput(where, f"is {value!r}", "Use one of: " + ", ".join(kind))
    if kind is int:
        if type(value) is int and value >= 0:
            return value
        raise BadInput(where, f"is {value!r}", "Give a whole number, 0 or more")
    if kind is float:
        if type(value) in (int, float) and 0 < value < math.inf:
            return float(value)
        raise BadInput(where, f"is {value!r}", "Give a number above 0")
    if not isinstance(value, str) or not value.strip():
        raise BadInput(where, f"is {value!r}", "Give a text that is not empty")
    pattern = _PATTERNS.get(name.rpartition(".")[2])
    if pattern and not pattern.fullmatch(value):
        raise BadInput(where, f"is {value!r}", f"Match {pattern.pattern}")
    return value


def _suggest(wrong: str, known: dict[str, Any], what: str) -> str:
    near = difflib.get_close_matches(wrong, known, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}{what}: {', '.join(known)}"
