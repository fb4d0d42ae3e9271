"""The command `search`: what was tried as a table, a plot and a file; the winner trained in full, built and checked."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpgaflow import building
from fpgaflow.console import Console, Meter
from fpgaflow.files import write_atomic
from fpgaflow.summary import percent, print_build

if TYPE_CHECKING:
    from fpgaflow.training.recipe import Recipe
    from fpgaflow.training.search.study import Searched, Tried
    from fpgaflow.training.trainer import TrainResult

_FILE = "search.json"


def run(recipe_file: Path, options: Namespace, console: Console) -> int:
    """Exit status 1 where no network holds the accuracy, or the winner does not when it is trained in full."""
    from fpgaflow.training.bits import MOST
    from fpgaflow.training.recipe import load_recipe
    from fpgaflow.training.search.plot import plot
    from fpgaflow.training.search.space import Goal, load_space, recipe_of
    from fpgaflow.training.search.study import search

    recipe, space = load_recipe(recipe_file), load_space(recipe_file)
    goal, out = Goal(options.board, options.fps, options.accuracy_drop), Path(options.out)
    with console.meter() as meter:

        def notify(stage: str, done: int, total: int) -> None:
            meter.stage(stage, f"{done} of {total}" if total > 1 else "")
            meter.count(done, total)

        found = search(
            recipe,
            goal,
            out,
            options.trials,
            options.epochs,
            notify,
            recipe_file.parent,
            space=space,
            workers=options.workers or 1,
            scheduler=options.scheduler,
        )
        document: dict[str, Any] = {"goal": asdict(goal), **_as_json(found), "out": str(out)}
        plot(found, goal, out / "pareto.svg")
        write_atomic(out / _FILE, json.dumps(document, indent=2) + "\n")
        _print(found, console)
        if found.winner is None:
            console.result(document)
            console.text("No network holds the accuracy: allow a larger drop, or try more networks", "red")
            return 1
        widest = replace(recipe, weight_bits=MOST, activation_bits=MOST)
        uniform = _trained(widest, out / "uniform", recipe_file.parent, "uniform 8-bit network", meter)
        winner = recipe_of(recipe, found.winner.choice, goal)
        best = _trained(winner, out / "winner", recipe_file.parent, "winner", meter)
        meter.stage("building the winner")
        data = out / "winner" / "test.npz"
        model = out / "winner" / "model.onnx"
        built = building.build(str(model), goal.board, str(out / "build"), data=data, fps=goal.fps)
    holds = best.quantised_score >= uniform.float_score - goal.accuracy_drop / 100
    document["trained"] = {
        "accuracy": {
            "float": uniform.float_score,
            "uniform_8_bit": uniform.quantised_score,
            "winner_float": best.float_score,
            "winner": best.quantised_score,
            "samples": best.samples,
        },
        "holds": holds,
    }
    document["build"] = str(out / "build")
    write_atomic(out / _FILE, json.dumps(document, indent=2) + "\n")
    console.result(document)
    console.text(
        f"Trained in full, measured on {best.samples} test samples: float {percent(uniform.float_score)}, "
        f"uniform 8 bits {percent(uniform.quantised_score)}, winner {percent(best.quantised_score)}",
        "" if holds else "red",
    )
    if not holds:
        points = 100 * (uniform.float_score - best.quantised_score)
        console.text(
            f"{points:.2f} points below the float network, {goal.accuracy_drop:g} are allowed: try more networks, tune "
            "them for more epochs, or take a larger one of the front",
            "red",
        )
    print_build(built, console)
    if built.failure is not None:
        console.explain(built.failure)
        return built.failure.exit_code
    return 0 if holds else 1


def _trained(recipe: Recipe, out: Path, folder: Path, what: str, meter: Meter) -> TrainResult:
    from fpgaflow.training.trainer import Progress, train

    def show(step: Progress) -> None:
        meter.stage(f"{what}: {step.phase}, loss {step.loss:.3f}")
        meter.count(step.step, step.total)

    return train(recipe, out, show, folder)


def _as_json(found: Searched) -> dict[str, Any]:
    reference = found.reference
    cost = {"none": reference.problem} if reference.taken is None else reference.taken.as_json()
    return {
        "float_accuracy": found.float_accuracy,
        "uniform_8_bit": {"accuracy": reference.accuracy, "resources": cost},
        "sensitivity": dict(reference.sensitivity),
        "front": [each.as_json() for each in found.front],
        "winner": None if found.winner is None else {**found.winner.as_json(), "tuned_in_full": found.confirmed},
        "trials": found.trials,
        "given_up": found.given_up,
        "source": {"accuracy": "measured on held-out training samples", "resources": "estimated"},
    }


def _print(found: Searched, console: Console) -> None:
    reference = found.reference
    console.text(f"Float network: {percent(found.float_accuracy)} on the held-out samples (measured)")
    console.text(f"{found.trials} networks tried, {found.given_up} of them given up before they were tuned")
    rows = sorted(reference.sensitivity.items(), key=lambda item: item[1])
    console.table(("alone at 2 bits", "accuracy, untuned>"), [(name, percent(share)) for name, share in rows])
    console.text("")
    columns = ("", "accuracy>", "LUT (estimated)>", "DSP>", "BRAM36>", "bits, mean>", "width>", "channels pruned>")
    rows_front = [_row("winner" if each is found.winner else "", each) for each in found.front]
    cost = reference.taken
    if cost is None:
        console.table(columns, rows_front)
        console.text(f"Uniform 8 bits, {percent(reference.accuracy)}: {reference.problem}")
    else:
        uniform = ("uniform 8", percent(reference.accuracy), f"{cost.lut:,}", str(cost.dsp), f"{cost.bram36:g}", "8")
        console.table(columns, [*rows_front, (*uniform, "", "")])
    if found.winner is not None:
        choice, share = found.winner.choice, ""
        if cost is not None:
            share = f", {found.winner.taken.lut / cost.lut:.0%} of the LUTs of uniform 8 bits"
        bits = ", ".join(f"{name} {width}" for name, width in choice.bits.items())
        console.text(f"Winner: tuned in full {percent(found.confirmed or 0.0)} on the held-out samples{share}")
        console.text(
            f"Its bits: {bits}; tuned by {choice.optimiser} at {choice.learning_rate:.2g} in batches of "
            f"{choice.batch_size}"
        )


def _row(mark: str, each: Tried) -> tuple[str, ...]:
    cost, bits = each.taken, each.choice.bits.values()
    return (
        mark,
        percent(each.accuracy),
        f"{cost.lut:,}",
        str(cost.dsp),
        f"{cost.bram36:g}",
        f"{sum(bits) / len(bits):.1f}",
        f"{each.choice.width:g}",
        f"{each.choice.prune:.0%}",
    )
