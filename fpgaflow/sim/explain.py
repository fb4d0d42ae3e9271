"""What a simulator does with each op: its arithmetic, the bound that allows it, and what can overflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.types import FixedType, Overflow, type_for
from fpgaflow.sim.choice import Arithmetic, Choice
from fpgaflow.sim.counts import OverflowCount
from fpgaflow.sim.intervals import Interval, results
from fpgaflow.sim.kernels import CASTING, overflow_of


@dataclass(frozen=True)
class OpExplanation:
    """One op.

    Attributes:
        name, kind: of the op.
        arithmetic: what the engine computes it in.
        reach: the largest magnitude that its integers and partial sums can have on the way.
        limit: the magnitude up to which that arithmetic is exact, None where there is none.
        result: the output's type; of a dense or conv the accumulator's.
        exact: bounds of the exact result before overflow handling, in units of `result`, by interval arithmetic from
            the model's inputs on; None where nothing is known of it.
        overflow: what becomes of results outside of the type, or of values on the way to them outside of theirs; None
            where there can be none, or nothing is known.
    """

    name: str
    kind: str
    arithmetic: Arithmetic
    reach: int
    limit: int | None
    result: FixedType
    exact: Interval | None
    overflow: Overflow | None

    @property
    def needed_bits(self) -> int | None:
        """Width of the narrowest type that holds every exact result."""
        return None if self.exact is None else type_for(*self.exact, self.result.fraction).width


class Explanation(tuple[OpExplanation, ...]):
    """One entry per op, in the graph's order; `str()` is a table of them."""

    __slots__ = ()

    def table(self, counts: Mapping[str, OverflowCount] | None = None) -> tuple[list[str], list[list[str]]]:
        """Column names (those of right-aligned columns end in `>`) and rows; with `counts`, of what really happened."""
        columns = ["op", "kind", "arithmetic", "reaches>", "result", "needs bits>", "overflow"]
        rows = [_row(op) for op in self]
        if counts is not None:
            columns += ["wrapped>", "saturated>", "(below 0)>", "values>"]
            rows = [row + _counted(counts.get(op.name)) for op, row in zip(self, rows, strict=True)]
            ops = {op.name for op in self}
            inputs = [[name, "Input", *[""] * 5, *_counted(counts[name])] for name in counts if name not in ops]
            rows = inputs + rows
        return columns, rows

    def as_json(self) -> list[dict[str, Any]]:
        """The entries in JSON's types."""
        return [
            {
                **asdict(op),
                "arithmetic": op.arithmetic.value,
                "result": str(op.result),
                "overflow": None if op.overflow is None else op.overflow.value,
                "needed_bits": op.needed_bits,
            }
            for op in self
        ]

    def __str__(self) -> str:
        return _text(*self.table())


def explain(graph: Graph, choices: Mapping[str, Choice]) -> Explanation:
    """The graph's ops under the engine's `choices` of arithmetic, by op name."""
    reached = results(graph)
    entries = []
    for op in graph.ops:
        choice, result = choices[op.name], reached[op.name]
        can_overflow = type(op) in CASTING and result.overflows
        entries.append(
            OpExplanation(
                name=op.name,
                kind=type(op).__name__,
                arithmetic=choice.arithmetic,
                reach=choice.reach,
                limit=choice.arithmetic.limit,
                result=graph.type_of(op.output),
                exact=result.exact,
                overflow=overflow_of(op) if can_overflow else None,
            )
        )
    return Explanation(entries)


_WORDS = {
    Overflow.WRAP: "can wrap",
    Overflow.SAT: "can saturate",
    Overflow.SAT_SYM: "can saturate",
    Overflow.SAT_ZERO: "can become zero",
}


def _row(op: OpExplanation) -> list[str]:
    overflow = _WORDS[op.overflow] if op.overflow is not None else "unknown" if op.exact is None else "never"
    needed = "unknown" if op.needed_bits is None else str(op.needed_bits)
    return [
        *(op.name, op.kind, op.arithmetic.value),
        _power(op.reach) + ("" if op.limit is None else f" of {_power(op.limit)}"),
        *(str(op.result), needed, overflow),
    ]


def _power(magnitude: int) -> str:
    return f"2^{log2(max(magnitude, 1)):.1f}".removesuffix(".0")


def _counted(count: OverflowCount | None) -> list[str]:
    if count is None:
        return [""] * 4
    return [f"{n:,}" for n in (count.wrapped, count.saturated, count.rectified, count.values)]


def _text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[name.removesuffix(">") for name in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    right = [name.endswith(">") for name in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )
