"""What the user asked for: targets, sweeps and goals, as types."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fpgaflow.boards import Board, load_board
from fpgaflow.compare.results import Kind
from fpgaflow.compare.roofline import Device, device, devices
from fpgaflow.errors import BadInput

DEFAULT_TARGETS = "pynq-z2,cpu,gpu,tpu"
_DEFAULT_DEVICE = {"gpu": "h200", "tpu": "tpu-v4"}


@dataclass(frozen=True)
class TargetSpec:
    """One of `--targets`: a board, this machine's processor, or an accelerator known by its data sheet.

    `name` is the row's; `given` is what the user wrote, which for a board of their own is the path of its file.
    """

    name: str
    kind: Kind
    given: str
    board: Board | None = None
    device: Device | None = None


def parse_targets(text: str) -> tuple[TargetSpec, ...]:
    """The targets of a list like `pynq-z2,zcu104,cpu,gpu,gpu:rtx-4090,tpu`.

    Raises:
        BadInput: an empty list, a repeated name, no such board or device.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadInput("--targets", "names none", f"Write a list like {DEFAULT_TARGETS}")
    found = tuple(_target(name) for name in names)
    rows = [spec.name for spec in found]
    if twice := sorted({name for name in rows if rows.count(name) > 1}):
        raise BadInput("--targets", f"names {', '.join(twice)} more than once", "Name each once")
    return found


def _target(name: str) -> TargetSpec:
    if name == "cpu":
        return TargetSpec(name, Kind.CPU, name)
    family, _, model = name.partition(":")
    if family in _DEFAULT_DEVICE:
        found = device(model or _DEFAULT_DEVICE[family])
        if found.kind.value.lower() != family:
            raise BadInput(f"target '{name}'", f"'{found.name}' is a {found.kind}", f"Write {found.name}")
        return TargetSpec(name, found.kind, name, device=found)
    if name in devices():
        found = device(name)
        return TargetSpec(name, found.kind, name, device=found)
    try:
        board = load_board(name)
    except BadInput as error:
        fix = f"{error.problem.fix}. Or cpu, gpu, tpu, and the devices {', '.join(devices())}"
        raise BadInput(f"target '{name}'", error.problem.found, fix) from None
    return TargetSpec(board.name, Kind.FPGA, name, board=board)


def plain(number: float) -> str:
    """Without an exponent: 1000000, 0.5."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


class Axis(StrEnum):
    """What can be swept: bits of weights and activations; samples per second to reach."""

    BITS = "bits"
    FPS = "fps"


@dataclass(frozen=True)
class Point:
    """One setting of a sweep; None: the axis is not swept."""

    bits: int | None = None
    fps: float | None = None

    @property
    def folder(self) -> str:
        """`bits=4,fps=1000`, or `base` where nothing is swept."""
        parts = [f"bits={self.bits}" if self.bits is not None else "", f"fps={plain(self.fps)}" if self.fps else ""]
        return ",".join(filter(None, parts)) or "base"

    @property
    def title(self) -> str:
        """`4 bits, 1,000/s`."""
        parts = [f"{self.bits} bits" if self.bits is not None else "", f"{self.fps:,.0f}/s" if self.fps else ""]
        return ", ".join(filter(None, parts))


def parse_sweep(given: Sequence[str], fps: float | None) -> tuple[Point, ...]:
    """Every combination of the axes given as `bits=2,3,4`; one point without any.

    Args:
        fps: the rate of every point where that is not swept.

    Raises:
        BadInput: an unknown axis, one given twice, or values that mean nothing.
    """
    axes: dict[Axis, list[Any]] = {}
    for text in given:
        name, _, values = text.partition("=")
        where = f"--sweep {text}"
        if name not in list(Axis):
            raise BadInput(
                where, f"'{name}' is no axis", f"Write bits=2,3,4 or fps=1000,10000; axes: {', '.join(Axis)}"
            )
        axis = Axis(name)
        if axis in axes:
            raise BadInput(where, f"sweeps {axis} a second time", "Give all its values in one list")
        axes[axis] = [_value(axis, value.strip(), where) for value in values.split(",") if value.strip()]
        if not axes[axis]:
            raise BadInput(where, "names no values", f"Write {axis}=1,2")
        if len(set(axes[axis])) < len(axes[axis]):
            raise BadInput(where, "names a value twice", "Name each once")
    if Axis.FPS in axes and fps is not None:
        raise BadInput("--fps", "is given, and swept too", "Leave out one of them")
    return tuple(
        Point(bits, rate) for bits, rate in itertools.product(axes.get(Axis.BITS, [None]), axes.get(Axis.FPS, [fps]))
    )


def _value(axis: Axis, text: str, where: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        raise BadInput(where, f"'{text}' is no number", f"Write {axis}=1,2") from None
    if axis is Axis.BITS:
        if number != int(number) or not 2 <= number <= 8:
            raise BadInput(where, f"{text} bits cannot be had", "Give 2 to 8")
        return int(number)
    if not 0 < number < float("inf"):
        raise BadInput(where, f"{text} is no rate", "Give samples per second, above 0")
    return number
