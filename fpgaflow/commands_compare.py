"""`compare` and `report`: arguments in, a page, a Markdown file and a JSON file out, a summary on the terminal."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fpgaflow.comparison.figures import Key
from fpgaflow.comparison.judge import gate
from fpgaflow.comparison.outcome import CompareResult, compared, reported
from fpgaflow.comparison.page.render import document
from fpgaflow.comparison.request import Request, type_texts
from fpgaflow.comparison.specs import parse_sweep, parse_targets
from fpgaflow.comparison.words import LABELS, shown
from fpgaflow.console import Console
from fpgaflow.errors import BadInput
from fpgaflow.project import FILE, NO_PROJECT, Project, bundled_project, find_project, load_project

_COLUMNS = (Key.ACCURACY, Key.DIFFERENCES, Key.LATENCY_P50, Key.ENERGY_SINGLE, Key.THROUGHPUT, Key.UTILISATION)


def run_compare(options: Namespace, console: Console) -> int:
    """Compares targets; exit status 1 where bits differ, or no target passes."""
    request = request_of(options, console)
    with console.meter() as meter:
        result = compared(request, meter.stage)
    return _print(result, console)


def run_report(options: Namespace, console: Console) -> int:
    """The page of one build."""
    with console.meter() as meter:
        result = reported(Path(options.build), options.data, Path(options.out) if options.out else None, meter.stage)
    return _print(result, console)


def request_of(options: Namespace, console: Console) -> Request:
    """The request that a command line makes.

    Raises:
        BadInput: an option that means nothing, or no model.
    """
    project, model = _model(options, console)
    sweep = options.sweep or ()
    swept = any(text.startswith("fps=") for text in sweep)
    return Request(
        model=model,
        targets=parse_targets(options.targets),
        points=parse_sweep(sweep, options.fps if options.fps is not None or swept else project.fps),
        data=options.data or (None if project.data is None else str(project.data)),
        out=Path(options.out),
        recipe=str(project.path) if project.has_recipe else None,
        flow=options.flow,
        input_type=type_texts(options.input_type or project.input_type),
        board_results=tuple(options.board_results or ()),
        gpu_results=tuple(options.gpu_results or ()),
        costs=_costs(options.cost or ()),
        max_drop=options.max_drop,
        seconds=options.seconds,
        workers=options.workers,
        scheduler=options.scheduler,
    )


def _model(options: Namespace, console: Console) -> tuple[Project, str]:
    """The project and the model's name: a project folder stands for the model, data and recipe in it."""
    if options.model is None:
        project = find_project(Path.cwd())
        if project is None:
            console.note("No model named and no fpgaflow.yaml here: comparing the bundled LeNet-5 on digits")
            project = bundled_project()
    elif (folder := Path(options.model)).is_dir() or folder.name == FILE:
        project = load_project(folder / FILE if folder.is_dir() else folder)
    else:
        beside = Path(options.model).parent / FILE
        project = load_project(beside) if beside.is_file() else NO_PROJECT
        # A project beside a model is that model's only where it names it.
        if project.model is None or project.model != Path(options.model).resolve():
            return NO_PROJECT, options.model
        return replace(project, board=None, flow=None, fps=None), options.model
    if project.model is None:
        raise BadInput(str(project.path), "names no model", "Add `model: FILE.onnx`, or give MODEL on the command line")
    return project, str(project.model)


def _costs(given: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        name, _, price = text.rpartition("=")
        try:
            found[name] = float(price)
        except ValueError:
            raise BadInput(f"--cost {text}", "is no price", "Write NAME=USD, as pynq-z2=119") from None
    return found


def _print(result: CompareResult, console: Console) -> int:
    report = result.report
    console.result({**document(report), "files": [str(path) for path in result.files]})
    console.text(report.title, "bold")
    console.text(result.verdict)
    console.text("")
    known = [key for key in _COLUMNS if any(key in target.figures for target in report.targets)]
    rows = []
    for target in report.targets:
        passed = gate(target, report.targets, report.max_drop)
        cells = []
        for key in known:
            figure = target.figures.get(key)
            cells.append("—" if figure is None else f"{shown(figure)} {figure.provenance.value}")
        rows.append(
            ("✓" if passed.passed else "✗", target.name, *cells) if target.competes else ("·", target.name, *cells)
        )
    console.table(("", "target", *(f"{LABELS[key]}>" for key in known)), rows)
    for target in report.targets:
        passed = gate(target, report.targets, report.max_drop)
        if target.competes and not passed.passed:
            console.text(f"{target.name}: {passed.why}", "yellow")
    console.text(f"Written: {', '.join(str(path) for path in result.files)}")
    return 0 if result.ok else 1
