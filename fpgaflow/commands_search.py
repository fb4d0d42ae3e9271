"""The command `search`: what was tried as a table, a plot and a file; the winner trained in full, built and checked."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpgaflow import building
from fpgaflow.console import Console
from fpgaflow.files import write_atomic
from fpgaflow.summary import percent, print_build

if TYPE_CHECKING:
    from fpgaflow.training.recipe import Recipe
    from fpgaflow.training.search import Goal, Searched, Tried


def run(recipe: Recipe, folder: Path, options: Namespace, console: Console) -> int:
    """Exit status 1 where no network holds the accuracy, or the winner does not when it is trained in full."""
    from fpgaflow.training.search import Goal, search, winning_recipe
    from fpgaflow.training.trainer import train

    goal, out = Goal(options.board, options.fps, options.accuracy_drop), Path(options.out)
    with console.meter() as meter:

        def notify(stage: str, done: int, total: int) -> None:
            meter.stage(stage)
            meter.count(done, total)

        found = search(recipe, goal, out, options.trials, options.epochs, notify, folder)
        document: dict[str, Any] = {"goal": asdict(goal), **_as_json(found), "out": str(out)}
        _print(found, console)
        plot(found, goal, out / "pareto.svg")
        write_atomic(out / "search.json", json.dumps(document, indent=2) + "\n")
        if found.winner is None:
            console.result(document)
            console.text("No network holds the accuracy: allow a larger drop, or try more networks", "red")
            return 1
        meter.stage("training the winner")
        best = train(winning_recipe(recipe, found.winner), out / "winner", folder=folder)
        meter.stage("building the winner")
        data = out / "winner" / "test.npz"
        model = out / "winner" / "model.onnx"
        built = building.build(str(model), goal.board, str(out / "build"), "hls", data=data, fps=goal.fps)
    holds = best.quantised_score >= best.float_score - goal.accuracy_drop / 100
    document["trained"] = {**best.scores, "holds": holds}
    document["build"] = str(out / "build")
    write_atomic(out / "search.json", json.dumps(document, indent=2) + "\n")
    console.result(document)
    console.text(
        f"The winner, trained in full: float {percent(best.float_score)}, quantised {percent(best.quantised_score)} "
        f"(measured on {best.samples} test samples)",
        "" if holds else "red",
    )
    print_build(built, console)
    if built.failure is not None:
        console.explain(built.failure)
        return built.failure.exit_code
    return 0 if holds else 1


def _as_json(found: Searched) -> dict[str, Any]:
    return {
        "float_accuracy": found.float_accuracy,
        "uniform_8_bit": found.uniform.as_json(),
        "sensitivity": dict(found.sensitivity),
        "front": [each.as_json() for each in found.front],
        "winner": None if found.winner is None else found.winner.as_json(),
        "trials": found.trials,
        "source": {"accuracy": "measured on held-out training samples", "resources": "estimated"},
    }


def _print(found: Searched, console: Console) -> None:
    console.text(f"Float network: {percent(found.float_accuracy)} on the held-out samples (measured)")
    rows = [(name, percent(share)) for name, share in found.sensitivity.items()]
    console.table(("alone at 2 bits", "accuracy, untuned>"), rows)
    console.text("")
    rows_front = [_row(each, found) for each in found.front]
    console.table(
        ("", "accuracy>", "LUT (estimated)>", "DSP>", "BRAM36>", "channels pruned>", "bits by layer"), rows_front
    )


def _row(each: Tried, found: Searched) -> tuple[str, ...]:
    mark = "winner" if each is found.winner else "uniform 8 bits" if each is found.uniform else ""
    bits = " ".join(f"{name}:{width}" for name, width in each.choice.bits.items())
    cost = each.taken
    return (
        mark,
        percent(each.accuracy),
        f"{cost.lut:,}",
        str(cost.dsp),
        f"{cost.bram36:g}",
        f"{each.choice.prune:.0%}",
        bits,
    )


def plot(found: Searched, goal: Goal, path: Path) -> None:
    """The Pareto front: accuracy over LUTs."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.step(
        [e.taken.lut for e in found.front], [100 * e.accuracy for e in found.front], "o-", where="post", label="front"
    )
    axes.plot([found.uniform.taken.lut], [100 * found.uniform.accuracy], "s", label="uniform 8 bits")
    if found.winner is not None:
        axes.plot([found.winner.taken.lut], [100 * found.winner.accuracy], "*", markersize=14, label="winner")
    axes.axhline(100 * found.float_accuracy - goal.accuracy_drop, linestyle="--", color="grey", label="least accuracy")
    axes.set_xlabel(f"LUTs on {goal.board} at {goal.fps:g} samples/s (estimated)")
    axes.set_ylabel("accuracy on held-out samples, %")
    axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    write_atomic(path, image.getvalue())
