"""`train` and `search`: a recipe in; networks, a table and a plot out."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from fpgaflow import commands_search
from fpgaflow.console import Console
from fpgaflow.errors import BadInput
from fpgaflow.project import bundled_project, find_project
from fpgaflow.summary import print_trained
from fpgaflow.training.distil import FLOAT, Distil
from fpgaflow.training.recipe import load_recipe
from fpgaflow.training.trainer import Progress
from fpgaflow.training.trainer import train as run_training
from fpgaflow.workers import check_workers


def train(options: Namespace, console: Console) -> int:
    recipe_file, out = _recipe(options, console)
    recipe = load_recipe(recipe_file)
    if options.distil is not None:
        teacher = options.distil if options.distil == FLOAT else str(Path(options.distil).resolve())
        recipe = replace(
            recipe, distil=Distil(teacher) if recipe.distil is None else replace(recipe.distil, teacher=teacher)
        )
    with console.meter() as meter:

        def show(step: Progress) -> None:
            meter.stage(f"{step.phase}, loss {step.loss:.3f}")
            meter.count(step.step, step.total)

        result = run_training(recipe, out, show, recipe_file.parent)
    if not result.leads:
        return 0
    console.result({"out": str(result.out), **result.scores, "seconds": round(result.seconds, 1)})
    print_trained(result, console)
    return 0


def search(options: Namespace, console: Console) -> int:
    if options.trials < 1 or options.epochs < 1:
        raise BadInput("--trials and --epochs", "have to be 1 or more", "Give whole numbers")
    check_workers(options.workers, options.scheduler)
    recipe_file, _ = _recipe(options, console)
    return commands_search.run(recipe_file, options, console)


def _recipe(options: Namespace, console: Console) -> tuple[Path, Path]:
    """The file with the recipe, and the folder to write to."""
    if options.recipe is not None:
        path = Path(options.recipe)
        path = path / "fpgaflow.yaml" if path.is_dir() else path
        return path, Path(options.out) if options.out else path.parent
    project = find_project(Path.cwd())
    if project is not None and project.has_recipe:
        return project.path, Path(options.out) if options.out else project.path.parent
    console.note("No fpgaflow.yaml with a train: section here: training the bundled LeNet on scikit-learn's digits")
    return bundled_project().path, Path(options.out) if options.out else Path("lenet_digits")
