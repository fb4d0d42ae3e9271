"""Who may be compared, who wins what, and the verdict in words. Only figures decide; what is estimated is called so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fpgaflow.compare.figures import Figure, Key, Limit, Provenance
from fpgaflow.compare.results import Kind, Report, Target
from fpgaflow.compare.words import shown


@dataclass(frozen=True)
class Gate:
    """Whether a target passes: no bit differs, and its accuracy is not more than the allowance below the best."""

    passed: bool
    why: str


_UNKNOWN = "neither its bits nor its accuracy are known"


def best_accuracy(targets: Sequence[Target]) -> float | None:
    """The highest accuracy of the targets that compete, quantised or on the target."""
    keys = (Key.ACCURACY, Key.ACCURACY_QUANTISED)
    known = [value for t in targets if t.competes for key in keys if (value := t.get(key)) is not None]
    return max(known, default=None)


def gate(target: Target, targets: Sequence[Target], max_drop: float) -> Gate:
    """The same gate for every target."""
    if target.failure:
        return Gate(False, target.failure)
    if any(not step.ok for step in target.chain):
        wrong = next(step for step in target.chain if not step.ok)
        return Gate(False, f"{wrong.different.value:,.0f} of {wrong.values:,} output values differ ({wrong.right})")
    best, own = best_accuracy(targets), target.get(Key.ACCURACY)
    if best is None:
        return Gate(bool(target.chain), "no labels: bits decide" if target.chain else _UNKNOWN)
    if own is None:
        return Gate(bool(target.chain), "its bits are the simulator's" if target.chain else _UNKNOWN)
    if own < best - max_drop - 1e-12:
        return Gate(False, f"accuracy {own:.2%} is more than {max_drop:.1%} below the best, {best:.2%}")
    return Gate(True, f"accuracy {own:.2%}, at most {max_drop:.1%} below the best, {best:.2%}")


def front(targets: Sequence[Target], energy: Key = Key.ENERGY_SINGLE) -> frozenset[str]:
    """Names of the targets that no other beats in both latency and energy: the Pareto front. Bounds are not on it."""
    points = {
        t.name: (t.figures[Key.LATENCY_P50].value, t.figures[energy].value)
        for t in targets
        if t.competes
        and all(key in t.figures and t.figures[key].limit is Limit.NONE for key in (Key.LATENCY_P50, energy))
    }
    return frozenset(
        name
        for name, (x, y) in points.items()
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())
    )


def winner(targets: Sequence[Target], key: Key, *, most: bool = False) -> Target | None:
    """The target with the least (or most) of a figure; of equals the first. A bound wins nothing."""
    known = [t for t in targets if key in t.figures and t.figures[key].limit is Limit.NONE]
    if not known:
        return None
    return (max if most else min)(known, key=lambda target: target.figures[key].value)


# (figure, more is better, what the winner does, what a bound allows, what a target without rivals does)
_QUESTIONS = (
    (Key.LATENCY_P50, False, "answers soonest", "answer sooner", "answers"),
    (
        Key.ENERGY_SINGLE,
        False,
        "takes the least energy for an answer",
        "take less energy",
        "takes energy for an answer",
    ),
    (Key.THROUGHPUT, True, "does most in batches", "do more in batches", "does batches"),
)


def verdict(report: Report) -> str:
    """Who answers soonest, who takes the least energy, who does most offline; FPGA against GPU; what is not settled."""
    passed = [t for t in report.targets if t.competes and gate(t, report.targets, report.max_drop).passed]
    if not passed:
        return "No target passes: see what each one lacks below."
    wins: dict[str, list[str]] = {}
    allowed: dict[str, list[str]] = {}
    decided: list[Figure] = []
    alone = len([target for target in report.targets if target.competes]) == 1
    for key, most, words, more, single in _QUESTIONS:
        best = winner(passed, key, most=most)
        if best is not None:
            figure = best.figures[key]
            decided.append(figure)
            wins.setdefault(best.name, []).append(
                f"{single if alone else words} ({shown(figure)}, {figure.provenance})"
            )
        for name in _better_by_bound(passed, key, best, most=most):
            allowed.setdefault(name, []).append(more)
    sentences = [f"{name} {_joined(reasons)}." for name, reasons in wins.items()]
    if (duel := _duel(passed)) is not None:
        sentences.append(duel)
    if allowed:
        same: dict[str, list[str]] = {}
        for name, claims in allowed.items():
            same.setdefault(_joined(claims), []).append(name)
        could = "; ".join(f"{_joined(names)} could {claims}" for claims, names in same.items())
        sentences.append(f"By data sheet alone {could}: measure before you decide.")
    elif any(figure.provenance is Provenance.ESTIMATED for figure in decided):
        sentences.append("Estimates decide here: measure before you buy.")
    return " ".join(sentences)


def _better_by_bound(targets: Sequence[Target], key: Key, best: Target | None, *, most: bool) -> list[str]:
    """Names of those whose bound is better than the best figure that is none."""
    found = []
    for target in targets:
        figure = target.figures.get(key)
        if figure is None or figure.limit is Limit.NONE:
            continue
        least = None if best is None else best.figures[key].value
        if least is None or (figure.value > least if most else figure.value < least):
            found.append(target.name)
    return found


def _duel(passed: Sequence[Target]) -> str | None:
    """The fastest FPGA against the fastest GPU, one sample at a time; a GPU's bound only where even that is slower."""
    key = Key.LATENCY_P50
    fpga = winner([t for t in passed if t.kind is Kind.FPGA], key)
    gpus = [t for t in passed if t.kind is Kind.GPU and key in t.figures]
    if fpga is None or not gpus:
        return None
    gpu = min(gpus, key=lambda target: target.figures[key].value)
    ours, theirs = fpga.figures[key], gpu.figures[key]
    ratio = theirs.value / ours.value
    if theirs.limit is not Limit.NONE:
        if ratio < 1:
            return None
        return (
            f"One sample at a time, {fpga.name} is at least {factor(ratio)} as fast as {gpu.name}, whatever its engine."
        )
    faster, slower = (fpga, gpu) if ratio >= 1 else (gpu, fpga)
    text = f"One sample at a time, {faster.name} is {factor(max(ratio, 1 / ratio))} as fast as {slower.name}"
    energies = [t.figures.get(Key.ENERGY_SINGLE) for t in (fpga, gpu)]
    if all(figure is not None and figure.limit is Limit.NONE for figure in energies):
        share = gpu.figures[Key.ENERGY_SINGLE].value / fpga.figures[Key.ENERGY_SINGLE].value
        more, less = (gpu, fpga) if share >= 1 else (fpga, gpu)
        text += f"; {more.name} takes {factor(max(share, 1 / share))} the energy of {less.name}"
    return text + "."


def factor(ratio: float) -> str:
    """`2.3 times`, `120 times`."""
    return f"{ratio:.2g} times" if ratio < 10 else f"{ratio:,.0f} times"


def _joined(reasons: Sequence[str]) -> str:
    if len(reasons) < 3:
        return " and ".join(reasons)
    return ", ".join(reasons[:-1]) + " and " + reasons[-1]


@dataclass(frozen=True)
class Ratio:
    """Ours beside what others published: `ratio` is ours over theirs."""

    ours: str
    theirs: str
    what: str
    our: Figure
    their: Figure

    @property
    def ratio(self) -> float:
        return self.our.value / self.their.value


# (ours, theirs, in words): a published closed loop is one sample at a time; ours back to back stands beside it too.
_BESIDE = (
    (Key.RATE, Key.RATE, "samples a second, one at a time"),
    (Key.THROUGHPUT, Key.RATE, "samples a second, ours back to back"),
    (Key.LATENCY_P50, Key.LATENCY_P50, "latency of one sample"),
    (Key.ENERGY_SINGLE_BOARD, Key.ENERGY_SINGLE_BOARD, "energy of a sample, one at a time, whole board"),
    (Key.ENERGY_OFFLINE_BOARD, Key.ENERGY_SINGLE_BOARD, "energy of a sample, ours back to back, whole board"),
    (Key.POWER_BOARD, Key.POWER_BOARD, "power, whole board"),
    (Key.ACCURACY, Key.ACCURACY, "accuracy"),
)


def beside_published(targets: Sequence[Target], pairs: Sequence[tuple[str, str]]) -> tuple[Ratio, ...]:
    """Each of our figures over the published one, for pairs (published row, our row) of names."""
    named = {target.name: target for target in targets}
    found = []
    for theirs, ours in pairs:
        if theirs not in named or ours not in named:
            continue
        for our_key, their_key, what in _BESIDE:
            our, their = named[ours].figures.get(our_key), named[theirs].figures.get(their_key)
            if our is not None and their is not None and their.value:
                found.append(Ratio(ours, theirs, what, our, their))
    return tuple(found)
