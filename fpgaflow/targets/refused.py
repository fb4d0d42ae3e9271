"""What a target says of an op that it cannot carry exactly."""

from __future__ import annotations

from fpgaflow.errors import Problem
from fpgaflow.ir.op import Op


class Refused(Exception):
    """What was found, and what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix

    def problem(self, op: Op) -> Problem:
        return Problem(f"node '{op.node}' ({type(op).__name__})", str(self), self.fix)
