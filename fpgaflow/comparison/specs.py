"""What the user asked for: targets, sweeps and goals, as types."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fpgaflow.boards import Board, load_board
from fpgaflow.comparison.results import Kind
from fpgaflow.comparison.roofline import Device, device, devices
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


def parse_targets(given: str | Sequence[str]) -> tuple[TargetSpec, ...]:
    """The targets of a list like `pynq-z2,zcu104,cpu,gpu,gpu:rtx-4090,tpu`, as one text or several.

    Raises:
        BadInput: an empty list, a repeated name, no such board or device.
    """
    texts = given.split(",") if isinstance(given, str) else given
    names = [name.strip() for name in texts if name.strip()]
    if not names:
        raise BadInput("targets", "name none", f"Write a list like {DEFAULT_TARGETS}")
    found = tuple(_target(name) for name in names)
    rows = [spec.name for spec in found]
    if twice := sorted({name for name in rows if rows.count(name) > 1}):
        raise BadInput("targets", f"name {', '.join(twice)} more than once", "Name each once")
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
    axes: dict[str, list[float]] = {}
    for text in given:
        name, _, values = text.partition("=")
        if name in axes:
            raise BadInput(f"sweep of {name}", "is given a second time", "Give all its values in one list")
        try:
            axes[name] = [float(value) for value in values.split(",") if value.strip()]
        except ValueError:
            raise BadInput(f"sweep of {name}", f"'{values}' are no numbers", f"Write {name}=1,2") from None
    return points_of(axes, fps)


def points_of(axes: Mapping[str, Sequence[float]], fps: float | None) -> tuple[Point, ...]:
    """Every combination of the values of each axis (see Axis); one point without any.

    Raises:
        BadInput: an unknown axis, values that mean nothing or are named twice, or `fps` beside a sweep of it.
    """
    for name, values in axes.items():
        where = f"sweep of {name}"
        if name not in list(Axis):
            raise BadInput(where, f"there is no axis '{name}'", f"Axes: {', '.join(Axis)}; as bits=2,3,4")
        if not values:
            raise BadInput(where, "names no values", f"Give some, as {name}=1,2")
        if len(set(values)) < len(values):
            raise BadInput(where, "names a value twice", "Name each once")
        for value in values:
            _check_value(Axis(name), value, where)
    if Axis.FPS in axes and fps is not None:
        raise BadInput("fps", "is given, and swept too", "Leave out one of them")
    widths: list[int | None] = [int(value) for value in axes.get(Axis.BITS, ())]
    rates: list[float | None] = [*axes.get(Axis.FPS, [])]
    return tuple(Point(bits, rate) for bits, rate in itertools.product(widths or [None], rates or [fps]))


def _check_value(axis: Axis, value: float, where: str) -> None:
    """Returns where a network can have so many bits, or a board be asked for that rate; else raises BadInput."""
    if axis is Axis.BITS and value not in range(2, 9):
        raise BadInput(where, f"{value:g} bits cannot be had", "Give whole numbers from 2 to 8")
    if axis is Axis.FPS and not 0 < value < float("inf"):
        raise BadInput(where, f"{value:g} is no rate", "Give samples per second, above 0")
