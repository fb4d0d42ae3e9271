"""What to compare, checked once, whoever asks: the command line or `fpgaflow.compare`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fpgaflow.comparison.specs import Axis, Point, TargetSpec, plain
from fpgaflow.errors import BadInput
from fpgaflow.frontend.qonnx.input_types import Given
from fpgaflow.project import Flow
from fpgaflow.workers import check_workers


@dataclass(frozen=True)
class Request:
    """What to compare, with paths as the user gave them; `points` is one point without a sweep.

    Attributes:
        data: samples (.npz) of all targets; None: generated ones.
        recipe: the fpgaflow.yaml that trains a sweep's models; None: a float model is quantised.
        flow: None: RTL where it carries model and board, else HLS.
        board_results, gpu_results: `[TARGET=]FILE`, measured elsewhere.
        costs: prices in dollars by target name, the user's own.
        max_drop: share of accuracy that a target may lose against the best.
        seconds: how long each measurement here runs.
        workers: builds at a time here; None: half the cores in a sweep, else one.
        scheduler: address of a Dask scheduler whose workers build instead.

    Raises:
        BadInput: a value that means nothing, or two that exclude each other.
    """

    model: str
    targets: tuple[TargetSpec, ...]
    points: tuple[Point, ...]
    data: str | None
    out: Path
    recipe: str | None = None
    flow: str | None = None
    input_type: tuple[str, ...] = ()
    board_results: tuple[str, ...] = ()
    gpu_results: tuple[str, ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)
    max_drop: float = 0.01
    seconds: float = 1.0
    workers: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.flow is not None and self.flow not in list(Flow):
            raise BadInput("flow", f"'{self.flow}' is none", f"Choose one of {', '.join(Flow)}, or leave it out")
        check_workers(self.workers, self.scheduler)
        if not 0 < self.seconds < float("inf"):
            raise BadInput("seconds", f"are {self.seconds}", "Give more than 0")
        if not 0 <= self.max_drop <= 1:
            raise BadInput("max-drop", f"is {self.max_drop}", "Give a share, as 0.01 for one point")
        for name, price in self.costs.items():
            if not name or not 0 <= price < float("inf"):
                raise BadInput(f"cost of '{name}'", f"{price} is no price", "Give dollars, as pynq-z2=119")

    @property
    def swept(self) -> bool:
        return len(self.points) > 1

    @property
    def at_a_time(self) -> int:
        """Builds at a time on this machine."""
        return self.workers or (max(1, (os.cpu_count() or 1) // 2) if self.swept else 1)

    def model_folder(self, point: Point) -> Path:
        return self.out / "models" / f"bits={point.bits}"

    def model_of(self, point: Point) -> str:
        return self.model if point.bits is None else str(self.model_folder(point) / "model.onnx")

    def data_of(self, point: Point) -> str | None:
        """The samples of all targets: the user's, else the test samples that training wrote beside its model."""
        trained = self.model_folder(point) / "test.npz"
        return str(trained) if self.data is None and point.bits is not None and trained.is_file() else self.data

    def build_folder(self, point: Point, spec: TargetSpec) -> Path:
        base = self.out / "builds"
        return base / spec.name if point == Point() or not self.swept else base / point.folder / spec.name

    @property
    def command(self) -> str:
        """The command line of the same comparison, with file names alone: the same wherever the files lie."""
        parts = ["fpgaflow", "compare", Path(self.model).name]
        parts += ["--targets", ",".join(_file_name(spec.given) for spec in self.targets)]
        parts += ["--data", Path(self.data).name] if self.data is not None else []
        parts += ["--flow", self.flow] if self.flow is not None else []
        for axis, values in (
            (Axis.BITS, [point.bits for point in self.points]),
            (Axis.FPS, [point.fps for point in self.points]),
        ):
            known = [plain(value) for value in dict.fromkeys(values) if value is not None]
            if axis is Axis.FPS and len(known) == 1:
                parts += ["--fps", *known]
            elif known:
                parts += ["--sweep", f"{axis}={','.join(known)}"]
        parts += [f"--input-type={given}" for given in self.input_type]
        parts += [f"--cost={name}={plain(price)}" for name, price in self.costs.items()]
        parts += _option("--board-results", map(_file_name, self.board_results))
        parts += _option("--gpu-results", map(_file_name, self.gpu_results))
        parts += ["--max-drop", plain(self.max_drop)] if self.max_drop != Request.max_drop else []
        return shlex.join(parts)


def type_texts(given: Given) -> tuple[str, ...]:
    """The types of inputs as the command line writes them, `TYPE` or `NAME=TYPE`."""
    if given is None or isinstance(given, str):
        return () if given is None else (given,)
    return tuple(f"{name}={kind}" for name, kind in given.items()) if isinstance(given, Mapping) else tuple(given)


def _option(name: str, values: Iterable[str]) -> Sequence[str]:
    given = list(values)
    return [name, *given] if given else []


def _file_name(given: str) -> str:
    name, equals, path = given.partition("=")
    return f"{name}={Path(path).name}" if equals else Path(given).name
