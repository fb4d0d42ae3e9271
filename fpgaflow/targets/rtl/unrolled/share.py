"""Products with a constant matrix as additions: signed digits, common pairs of them shared, the rest summed in trees.

Each output is a set of terms ±2^shift × node. The pair of terms that saves most is made a node of its own wherever it
stands, and so on until no pair stands twice: two-term common sub-expression elimination (Hosangadi, Fallah, Kastner,
"Optimizing polynomial expressions by algebraic factorization and common subexpression elimination", IEEE TCAD 25
(2006), on digits as in Potkonjak, Srivastava, Chandrakasan, IEEE TCAD 15 (1996)). A pair saves the LUTs of its adder
for each time it stands but once, as weighed by Sun et al., arXiv 2507.04535.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from fpgaflow.targets.rtl.unrolled.digits import signed_digits
from fpgaflow.targets.rtl.unrolled.network import Builder, Network, Operand

_Term = tuple[int, int, int]  # node, shift, sign
_Pair = tuple[int, int, int, int]  # node, node, shift of the second above the first, product of the signs


def shared_sums(matrix: np.ndarray, sources: Sequence[tuple[int, int]], offsets: Sequence[int]) -> Network:
    """The network of numbers (taps,) times `matrix` (taps, filters), integers.

    Args:
        sources, offsets: range of the value of each tap, and what its number is above it (see `Builder`).
    """
    builder = Builder(sources, offsets)
    rows = _Rows(matrix, builder)
    rows.share()
    return builder.network([_tree(terms, builder) for terms in rows.terms])


class _Rows:
    """The terms of each output, and how often each pair of them stands in which."""

    def __init__(self, matrix: np.ndarray, builder: Builder) -> None:
        self.builder = builder
        self.terms: list[set[_Term]] = [
            {(tap, place, sign) for tap, weight in enumerate(column) for place, sign in signed_digits(int(weight))}
            for column in matrix.T
        ]
        self.places: defaultdict[_Pair, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.counts: defaultdict[_Pair, int] = defaultdict(int)
        for row, terms in enumerate(self.terms):
            ordered = sorted(terms)
            for number, term in enumerate(ordered):
                self._count(row, term, ordered[:number], 1)
        self.heap: list[tuple[int, _Pair]] = []
        self._push(self.counts)

    def share(self) -> None:
        """Makes nodes of pairs while one stands twice."""
        while self.heap:
            claimed, pair = heapq.heappop(self.heap)
            gain = self._gain(pair)
            if gain <= 0:
                continue
            if gain != -claimed:  # it was counted anew since
                heapq.heappush(self.heap, (-gain, pair))
                continue
            found = self._matches(pair)
            if len(found) < 2:  # the others share a term
                self.counts[pair] = 1
                continue
            self._replace(pair, found)

    def _gain(self, pair: _Pair) -> int:
        """LUTs saved, at least 1 where it stands twice."""
        first, second, shift, _ = pair
        overlap = min(self.builder.width(first) - shift, self.builder.width(second))
        return (self.counts[pair] - 1) * max(1, overlap)

    def _matches(self, pair: _Pair) -> list[tuple[int, _Term, _Term]]:
        first, second, shift, sign = pair
        found = []
        for row in sorted(self.places[pair]):
            terms, used = self.terms[row], set[_Term]()
            for term in sorted(each for each in terms if each[0] == first):
                other = (second, term[1] + shift, term[2] * sign)
                if other in terms and other != term and not used & {term, other}:
                    used |= {term, other}
                    found.append((row, term, other))
        return found

    def _replace(self, pair: _Pair, found: Sequence[tuple[int, _Term, _Term]]) -> None:
        first, second, shift, sign = pair
        node = self.builder.add(Operand(first), Operand(second, shift, inverted=sign < 0))
        grown: set[_Pair] = set()
        for row, term, other in found:
            terms = self.terms[row]
            for gone in (term, other):
                terms.discard(gone)
                self._count(row, gone, terms, -1)
            made = (node, term[1], term[2])
            grown.update(self._count(row, made, terms, 1))
            terms.add(made)
        self._push(grown)

    def _count(self, row: int, term: _Term, others: Iterable[_Term], by: int) -> list[_Pair]:
        """Counts the pairs of a term with others of its row, or takes them back; the pairs."""
        pairs = [_pair(term, other) for other in others]
        for pair in pairs:
            self.counts[pair] += by
            here = self.places[pair]
            here[row] += by
            if not here[row]:
                del here[row]
        return pairs

    def _push(self, pairs: Iterable[_Pair]) -> None:
        for pair in pairs:
            if self.counts[pair] > 1:
                heapq.heappush(self.heap, (-self._gain(pair), pair))


def _pair(one: _Term, two: _Term) -> _Pair:
    low, high = (one, two) if (one[1], one[0]) < (two[1], two[0]) else (two, one)
    return low[0], high[0], high[1] - low[1], low[2] * high[2]


def _tree(terms: set[_Term], builder: Builder) -> Operand | None:
    """The sum of all terms, the shallowest and narrowest of them first."""
    waiting = [_entry(Operand(node, shift, sign < 0), builder) for node, shift, sign in terms]
    heapq.heapify(waiting)
    while len(waiting) > 1:
        pair = [heapq.heappop(waiting)[-1], heapq.heappop(waiting)[-1]]
        heapq.heappush(waiting, _entry(_joined(pair, builder), builder))
    return waiting[0][-1] if waiting else None


def _entry(operand: Operand, builder: Builder) -> tuple[int, int, int, bool, Operand]:
    top = builder.width(operand.node) + operand.shift
    return builder.levels[operand.node], top, operand.node, operand.inverted, operand


def _joined(pair: Sequence[Operand], builder: Builder) -> Operand:
    """Their sum as an operand: what they have in common, of shift and sign, is left outside of the adder."""
    low = min(operand.shift for operand in pair)
    inverted = all(operand.inverted for operand in pair)
    inner = [Operand(o.node, o.shift - low, o.inverted and not inverted) for o in pair]
    left, right = sorted(inner, key=lambda o: o.inverted)  # the first one is also the carry's input: not inverted
    return Operand(builder.add(left, right), low, inverted)
