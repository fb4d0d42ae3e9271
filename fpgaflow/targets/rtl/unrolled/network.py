"""A network of adders: every value is a sum of two others, shifted and perhaps inverted, and none is negative.

A number x of [low, high] is carried as u = x - offset >= 0. Minus u of w bits is its inversion less 2^w - 1, so that a
difference needs no sign, no extension of one, and no carry in: inversion lies in the adder's own LUTs, and the
constants of a whole sum come together in the offset of its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Operand:
    """(the value of `node`, or its inversion) × 2^shift."""

    node: int
    shift: int = 0
    inverted: bool = False


@dataclass(frozen=True)
class Sum:
    """left + right; one of them has shift 0."""

    left: Operand
    right: Operand


@dataclass(frozen=True)
class Result:
    """A number that comes out: its operand's value, or 0 where there is none, plus `offset`."""

    operand: Operand | None
    offset: int


@dataclass(frozen=True)
class Network:
    """Nodes 0 to len(sources) - 1 are the inputs, of the range (lowest, highest) each; then come the sums."""

    sources: tuple[tuple[int, int], ...]
    sums: tuple[Sum, ...]
    results: tuple[Result, ...]
    highs: tuple[int, ...]  # the largest value of each node

    def width(self, node: int) -> int:
        return max(1, self.highs[node].bit_length())

    def levels(self) -> list[int]:
        """Of each node, how many additions lie one after the other up to it."""
        found = [0] * len(self.sources)
        for each in self.sums:
            found.append(1 + max(found[each.left.node], found[each.right.node]))
        return found

    def overlap(self, each: Sum) -> int:
        """Places where both operands of a sum have bits: the LUTs that it takes."""
        (a, b) = each.left, each.right
        top = min(self.width(a.node) + a.shift, self.width(b.node) + b.shift)
        return max(0, top - max(a.shift, b.shift))

    @property
    def luts(self) -> int:
        return sum(map(self.overlap, self.sums))

    def evaluate(self, values: np.ndarray) -> np.ndarray:
        """Results (N, results) for source values (N, sources), as the hardware computes them.

        Values are Python integers or int64; where they may pass 63 bits, give dtype object.
        """
        nodes = list(values.T)
        for each in self.sums:
            nodes.append(self._shown(each.left, nodes) + self._shown(each.right, nodes))
        zero = np.zeros(len(values), values.dtype)
        columns = [
            (zero if result.operand is None else self._shown(result.operand, nodes)) + result.offset
            for result in self.results
        ]
        return np.stack(columns, axis=1)

    def _shown(self, operand: Operand, nodes: Sequence[np.ndarray]) -> np.ndarray:
        value = nodes[operand.node]
        if operand.inverted:
            value = (1 << self.width(operand.node)) - 1 - value
        return value << operand.shift


class Builder:
    """Makes a network sum by sum, and keeps of each node its largest value and what its number is above its value.

    Args:
        sources: (lowest, highest) value of each source, none below 0.
        offsets: what the number of each source is above its value.
    """

    def __init__(self, sources: Sequence[tuple[int, int]], offsets: Sequence[int]) -> None:
        self.sources = tuple(sources)
        self.highs = [high for _, high in sources]
        self.offsets, self.levels = list(offsets), [0] * len(sources)
        self.sums: list[Sum] = []
        # Each node as an affine form of the sources, so that its range is exact where terms depend on one another.
        self._forms = list(np.eye(len(sources), dtype=object))
        self._constants = [0] * len(sources)
        self._low = np.array([low for low, _ in sources], dtype=object)
        self._high = np.array([high for _, high in sources], dtype=object)

    def width(self, node: int) -> int:
        return max(1, self.highs[node].bit_length())

    def add(self, left: Operand, right: Operand) -> int:
        """The node of left + right; its number is the sum of the operands' numbers."""
        forms = [self._form(operand) for operand in (left, right)]
        form, constant = forms[0][0] + forms[1][0], forms[0][1] + forms[1][1]
        high = constant + int(np.where(form > 0, form * self._high, form * self._low).sum())
        self.sums.append(Sum(left, right))
        self._forms.append(form)
        self._constants.append(constant)
        self.highs.append(high)
        self.offsets.append(self.offset(left) + self.offset(right))
        self.levels.append(1 + max(self.levels[left.node], self.levels[right.node]))
        return len(self.highs) - 1

    def offset(self, operand: Operand) -> int:
        """What the number of an operand is above its value; an inverted one's number is minus its node's."""
        own = self.offsets[operand.node]
        return (-own - self._mask(operand.node) if operand.inverted else own) << operand.shift

    def network(self, results: Sequence[Operand | None]) -> Network:
        outs = [Result(r, 0 if r is None else self.offset(r)) for r in results]
        return Network(self.sources, tuple(self.sums), tuple(outs), tuple(self.highs))

    def _mask(self, node: int) -> int:
        return (1 << self.width(node)) - 1

    def _form(self, operand: Operand) -> tuple[np.ndarray, int]:
        form, constant = self._forms[operand.node], self._constants[operand.node]
        if operand.inverted:
            form, constant = -form, self._mask(operand.node) - constant
        return form << operand.shift, constant << operand.shift
