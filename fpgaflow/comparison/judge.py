"""Who may be compared, who wins what, and the verdict in words. Only figures decide; what is estimated is called so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fpgaflow.comparison.figures import Figure, Key, Limit, Provenance
from fpgaflow.comparison.results import Kind, Report, Target
from fpgaflow.comparison.words import joined, shown


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


def holds(report: Report) -> bool:
    """Whether a target passes the gate, and no bit differs on any without an excuse."""
    exact = all(step.ok for target in report.targets for step in target.chain)
    competing = [target for target in report.targets if target.competes]
    return exact and any(gate(target, report.targets, report.max_drop).passed for target in competing)


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


@dataclass(frozen=True)
class _Question:
    """`wins` is what the winner does, `more` what a bound allows, `alone` what a target without rivals does."""

    key: Key
    most: bool
    wins: str
    more: str
    alone: str


_QUESTIONS = (
    _Question(Key.LATENCY_P50, False, "answers soonest", "answer sooner", "answers in {}"),
    _Question(
        Key.ENERGY_SINGLE, False, "takes the least energy for an answer", "take less energy", "takes {} per answer"
    ),
    _Question(Key.THROUGHPUT, True, "does most in batches", "do more in batches", "does {} back to back"),
)


def verdict(report: Report) -> str:
    """The decision, and what is open about it."""
    return f"{decision(report)} {caveats(report)}".strip()


def decision(report: Report) -> str:
    """Who answers soonest, takes the least energy, does most offline; FPGA against GPU; which board costs least."""
    competing, passed = _passed(report)
    if not passed:
        return "No target passes: see what each one lacks below."
    wins: dict[str, list[str]] = {}
    for question, best in _winners(passed):
        figure = best.figures[question.key]
        if len(competing) == 1:
            text = question.alone.format(f"{shown(figure)} ({figure.provenance})")
        else:
            text = f"{question.wins} ({shown(figure)}, {figure.provenance})"
        wins.setdefault(best.name, []).append(text)
        if question.key is Key.LATENCY_P50 and (late := _at_the_tail(passed)) is not None:
            tail = late.figures[Key.LATENCY_P99]
            text = f"answers soonest at the 99th percentile ({shown(tail)}, {tail.provenance})"
            wins.setdefault(late.name, []).append(text)
    sentences = [f"{name} {joined(reasons)}." for name, reasons in wins.items()]
    return " ".join([*sentences, *filter(None, (_duel(passed), _cheapest(passed)))])


def caveats(report: Report) -> str:
    """What has to be measured or confirmed before the decision stands; empty where nothing has."""
    competing, passed = _passed(report)
    decided = [(best, best.figures[question.key]) for question, best in _winners(passed)]
    if (late := _at_the_tail(passed)) is not None:
        decided.append((late, late.figures[Key.LATENCY_P99]))
    sentences = [text for text in (_clock(decided), _bounds(passed)) if text]
    if not _bounds(passed) and any(figure.provenance is Provenance.ESTIMATED for _, figure in decided):
        alone, among = "Only a board can confirm estimates.", "Estimates decide here: measure before you buy."
        sentences.append(alone if len(competing) == 1 else among)
    return " ".join(sentences)


def _passed(report: Report) -> tuple[list[Target], list[Target]]:
    """The targets that compete, and those of them that pass."""
    competing = [target for target in report.targets if target.competes]
    return competing, [t for t in competing if gate(t, report.targets, report.max_drop).passed]


def _at_the_tail(passed: Sequence[Target]) -> Target | None:
    """Who overtakes the one that answers soonest, at the 99th percentile."""
    soonest, late = winner(passed, Key.LATENCY_P50), winner(passed, Key.LATENCY_P99)
    return None if soonest is None or late is soonest or Key.LATENCY_P99 not in soonest.figures else late


def _winners(passed: Sequence[Target]) -> list[tuple[_Question, Target]]:
    found = [(question, winner(passed, question.key, most=question.most)) for question in _QUESTIONS]
    return [(question, best) for question, best in found if best is not None]


def _cheapest(passed: Sequence[Target]) -> str | None:
    """Which board costs least, where there are several."""
    boards = {target.device: target for target in reversed(passed) if target.kind is Kind.FPGA}
    priced = [target for target in boards.values() if Key.COST in target.figures]
    if len(boards) < 2 or len(priced) < len(boards):
        return None
    least = min(priced, key=lambda target: target.figures[Key.COST].value)
    cost = least.figures[Key.COST]
    name = least.name.partition(",")[0]
    return f"Of the {len(boards)} boards that pass, {name} costs least ({shown(cost)}, {cost.provenance})."


def _clock(decided: Sequence[tuple[Target, Figure]]) -> str | None:
    """Whose clock no place and route has met, although the verdict rests on it."""
    unmet = dict.fromkeys(t.name for t, _ in decided if Key.CLOCK in t.figures and Key.FMAX not in t.figures)
    if not unmet:
        return None
    clocks = "clock" if len(unmet) == 1 else "clocks"
    verb = "is" if len(unmet) == 1 else "are"
    return f"The {clocks} of {joined(list(unmet))} {verb} only asked for: place and route has to confirm the times."


def _bounds(passed: Sequence[Target]) -> str | None:
    """Who could do better than the winners by its data sheet."""
    allowed: dict[str, list[str]] = {}
    for question in _QUESTIONS:
        best = winner(passed, question.key, most=question.most)
        for name in _better_by_bound(passed, question.key, best, most=question.most):
            allowed.setdefault(name, []).append(question.more)
    if not allowed:
        return None
    same: dict[str, list[str]] = {}
    for name, claims in allowed.items():
        same.setdefault(joined(claims), []).append(name)
    could = "; ".join(f"{joined(names)} could {claims}" for claims, names in same.items())
    return f"By data sheet alone {could}: measure before you decide."


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
