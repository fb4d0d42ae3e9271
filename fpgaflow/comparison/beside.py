"""Our figures beside those that others published of the same model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fpgaflow.comparison.figures import Figure, Key, Unit, derived
from fpgaflow.comparison.results import Target
from fpgaflow.comparison.words import joined, shown


@dataclass(frozen=True)
class Ratio:
    """Ours beside what others published: `ratio` is ours over theirs."""

    ours: str
    theirs: str
    what: str
    our: Figure
    their: Figure
    more_is_better: bool

    @property
    def ratio(self) -> Figure:
        value = self.our.value / self.their.value
        return derived(value, Unit.TIMES, "ours over theirs", ours=self.our, theirs=self.their)

    @property
    def standing(self) -> str:
        """`better`, `behind` or `even`, to half a per cent."""
        value = self.ratio.value
        if abs(value - 1) < 0.005:
            return "even"
        return "better" if (value > 1) == self.more_is_better else "behind"


# (ours, theirs, in words, more is better): a published closed loop is one sample at a time; ours back to back stands
# beside it too.
_BESIDE = (
    (Key.RATE, Key.RATE, "samples a second, one at a time", True),
    (Key.THROUGHPUT, Key.RATE, "samples a second, ours back to back", True),
    (Key.LATENCY_P50, Key.LATENCY_P50, "latency of one sample", False),
    (Key.ENERGY_SINGLE_BOARD, Key.ENERGY_SINGLE_BOARD, "energy of a sample, one at a time, whole board", False),
    (Key.ENERGY_OFFLINE_BOARD, Key.ENERGY_SINGLE_BOARD, "energy of a sample, ours back to back, whole board", False),
    (Key.POWER_BOARD, Key.POWER_BOARD, "power, whole board", False),
    (Key.ACCURACY, Key.ACCURACY, "accuracy", True),
)


def beside_published(targets: Sequence[Target]) -> tuple[Ratio, ...]:
    """Each of our figures over the published one, for every published row of a board that we have too."""
    found = []
    for theirs, ours in _pairs(targets):
        for our_key, their_key, what, more in _BESIDE:
            our, their = ours.figures.get(our_key), theirs.figures.get(their_key)
            if our is not None and their is not None and their.value:
                found.append(Ratio(ours.name, theirs.name, what, our, their, more))
    return tuple(found)


def beside_text(ratios: Sequence[Ratio]) -> str:
    """A sentence for each pair: what ours does better and where it is behind."""
    sentences = []
    for ours, theirs in dict.fromkeys((ratio.ours, ratio.theirs) for ratio in ratios):
        of_pair = [ratio for ratio in ratios if (ratio.ours, ratio.theirs) == (ours, theirs)]
        parts = [
            f"{standing} in {joined([f'{r.what} ({shown(r.ratio)})' for r in held])}"
            for standing in ("better", "behind", "even")
            if (held := [ratio for ratio in of_pair if ratio.standing == standing])
        ]
        sentences.append(f"Against {theirs}, {ours} is {'; '.join(parts)}.")
    return " ".join(sentences)


def _pairs(targets: Sequence[Target]) -> list[tuple[Target, Target]]:
    """(published row, our row) by the names `X on BOARD` and `BOARD`, or `BOARD, SETTING`."""
    return [
        (theirs, ours)
        for theirs in targets
        for ours in targets
        if " on " in theirs.name and ours.name.partition(",")[0] == theirs.name.rpartition(" on ")[2]
    ]
