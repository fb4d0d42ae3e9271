"""How an importer refuses a node: the driver collects every refusal, so that a user sees all of them at once."""

from __future__ import annotations

from typing import NoReturn

from fpgaflow.errors import Problem


class RefusedNodeError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def refuse(where: str, found: str, fix: str) -> NoReturn:
    raise RefusedNodeError(Problem(where, found, fix))
