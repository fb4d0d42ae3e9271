"""The one error hierarchy: each error says where, what was found there, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_NODE = re.compile(r"node '(.*)' \((\w*)\)", re.DOTALL)


@dataclass(frozen=True)
class Problem:
    """One thing that cannot be carried: `where` names the node, file or field."""

    where: str
    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found}. {self.fix}"

    def as_json(self) -> dict[str, str | None]:
        """For machines: as it stands, and the node and operator that `where` names, if it names one."""
        node = _NODE.fullmatch(self.where)
        name, op = node.groups() if node else (None, None)
        return {**asdict(self), "node": name, "op": op, "reason": self.found}


class ModelNote(UserWarning):
    """What the user of a model should know of how it is carried; the command line shows it as a note."""


class FpgaflowError(Exception):
    """Base of every error that fpgaflow raises on purpose; `exit_code` is the command line's (see docs/design.md)."""

    exit_code = 2

    def __init__(self, where: str, found: str, fix: str) -> None:
        self.problem = Problem(where, found, fix)
        super().__init__(str(self.problem))

    def __reduce__(self) -> tuple[Any, ...]:
        """For errors that cross from one process to another."""
        return type(self), (self.problem.where, self.problem.found, self.problem.fix)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return (self.problem,)


class BadInput(FpgaflowError):
    """A file, option or array that the user gave is not what it has to be."""


class Busy(BadInput):
    """Another process is at work in the folder: the same can be asked again later."""


class MissingTool(FpgaflowError):
    """A program or package that this step needs is not on this machine."""


class ToolFailed(FpgaflowError):
    """An external command ended with a failure; the message names its log."""


class CheckFailed(FpgaflowError):
    """Something was checked and did not hold: a mismatch, a budget not met."""

    exit_code = 1


class BrokenGraph(FpgaflowError):
    """A graph breaks the legality table: a defect of the pass named in `where`, never of the user's model."""


class UnsupportedModel(FpgaflowError):
    """The model holds something that cannot be carried exactly; `problems` lists all of it, node by node."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("UnsupportedModel needs at least one problem")
        self._problems = tuple(problems)
        Exception.__init__(self, "\n".join(str(p) for p in self._problems))
        self.problem = self._problems[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._problems,)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._problems
