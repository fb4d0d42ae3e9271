"""The Pareto front as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from fpgaflow.files import write_atomic
from fpgaflow.training.search.space import Goal
from fpgaflow.training.search.study import Searched, Tried

_BELOW = 5.0  # points under the least accuracy: what is worse is not shown


def plot(found: Searched, goal: Goal, path: Path) -> None:
    """Writes an SVG file: accuracy over LUTs of the front, the other networks, the uniform 8-bit one and the winner."""
    mpl.rcParams["svg.hashsalt"] = "fpgaflow"
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    least, cost = 100 * found.float_accuracy - goal.accuracy_drop, found.reference.taken
    axes.plot(*_points(found.tried), "o", color="0.75", markersize=3, label="tried")
    axes.step(*_points(found.front), "o-", where="post", label="front")
    if cost is not None:
        axes.plot([cost.lut], [100 * found.reference.accuracy], "s", label="uniform 8 bits")
    if found.winner is not None:
        axes.plot(*_points([found.winner]), "*", markersize=14, label="winner")
    axes.axhline(least, linestyle="--", color="grey", label="least accuracy")
    shown = [100 * each.accuracy for each in found.tried if 100 * each.accuracy >= least - _BELOW]
    axes.set_ylim(min([least - 1, *shown]) - 0.5, max([least, *shown, 100 * found.reference.accuracy]) + 0.5)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(f"LUTs on {goal.board} at {goal.fps:,g} samples/s (estimated)")
    axes.set_ylabel("accuracy on held-out samples, %")
    axes.grid(color="0.92")
    axes.legend(loc="lower right")
    image = io.BytesIO()
    figure.savefig(image, format="svg", metadata={"Date": None})
    write_atomic(path, image.getvalue())


def _points(tried: Sequence[Tried]) -> tuple[list[int], list[float]]:
    return [each.taken.lut for each in tried], [100 * each.accuracy for each in tried]
