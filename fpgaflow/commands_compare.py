"""`compare` and `report`: arguments in, a page, a Markdown file and a JSON file out, a summary on the terminal."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fpgaflow.boards import load_board
from fpgaflow.build_folder import manifest_of
from fpgaflow.compare.collect import Request, compare
from fpgaflow.compare.figures import Key
from fpgaflow.compare.judge import gate, verdict
from fpgaflow.compare.kept import build_target, created, facts_of, title_of
from fpgaflow.compare.page.render import document, write_report
from fpgaflow.compare.results import Report
from fpgaflow.compare.specs import parse_sweep, parse_targets, plain
from fpgaflow.compare.words import LABELS, shown
from fpgaflow.console import Console
from fpgaflow.errors import BadInput
from fpgaflow.ir.store import load_graph
from fpgaflow.project import FILE, NO_PROJECT, Project, bundled_project, find_project, load_project
from fpgaflow.samples import generated_samples, load_samples

_COLUMNS = (Key.ACCURACY, Key.DIFFERENCES, Key.LATENCY_P50, Key.ENERGY_SINGLE, Key.THROUGHPUT, Key.UTILISATION)


def run_compare(options: Namespace, console: Console) -> int:
    """Compares targets; exit status 1 where bits differ, or no target passes."""
    request = request_of(options, console)
    with console.meter() as meter:
        report = compare(request, meter.stage)
        meter.stage("writing the page")
        files = write_report(report, request.out)
    _print(report, files, console)
    gates = [gate(target, report.targets, report.max_drop) for target in report.targets if target.competes]
    wrong = any(not step.ok for target in report.targets for step in target.chain)
    return 1 if wrong or not any(each.passed for each in gates) else 0


def run_report(options: Namespace, console: Console) -> int:
    """The page of one build."""
    folder = Path(options.build)
    manifest, graph_file = manifest_of(folder)
    graph = load_graph(graph_file)
    given = options.data or manifest.get("data") or ""
    path = Path(given)
    samples = load_samples(path) if path.suffix in (".npz", ".npy") else generated_samples(graph)
    board = load_board(str(manifest["board"]))
    command = f"fpgaflow report {folder.name}"
    with console.meter() as meter:
        meter.stage("figures")
        target = build_target(folder, board, samples, board.name, command, ".")
        source = str(manifest["model"]["source"])
        report = Report(
            title=f"{title_of(source)} on {board.title}",
            model=facts_of(graph, samples, source, str(manifest["model"]["sha256"])),
            targets=(replace(target, command=""),),
            command=command,
            version=str(manifest["fpgaflow"]),
            created=created(),
            max_drop=0.01,
        )
        meter.stage("writing the page")
        files = write_report(report, Path(options.out) if options.out else folder)
    _print(report, files, console)
    return 0 if gate(target, report.targets, report.max_drop).passed else 1


def request_of(options: Namespace, console: Console) -> Request:
    """The request that a command line makes.

    Raises:
        BadInput: an option that means nothing, or no model.
    """
    project, model = _model(options, console)
    sweep = options.sweep or ()
    swept = any(text.startswith("fps=") for text in sweep)
    points = parse_sweep(sweep, options.fps if options.fps is not None or swept else project.fps)
    if options.workers is not None and options.workers < 1:
        raise BadInput("--workers", f"is {options.workers}", "Give 1 or more")
    if options.workers is not None and options.scheduler is not None:
        raise BadInput(
            "--workers", "are this machine's processes, and --scheduler names others", "Leave out one of them"
        )
    if not options.seconds > 0:
        raise BadInput("--seconds", f"is {options.seconds}", "Give more than 0")
    if not 0 <= options.max_drop <= 1:
        raise BadInput("--max-drop", f"is {options.max_drop}", "Give a share, as 0.01 for one point")
    data = options.data or (None if project.data is None else str(project.data))
    return Request(
        model=model,
        targets=parse_targets(options.targets),
        points=points,
        data=data,
        out=Path(options.out),
        recipe=str(project.path) if project.has_recipe else None,
        flow=options.flow,
        input_type=tuple(options.input_type or ()) or _types(project),
        board_results=tuple(options.board_results or ()),
        gpu_results=tuple(options.gpu_results or ()),
        costs=_costs(options.cost or ()),
        max_drop=options.max_drop,
        seconds=options.seconds,
        workers=options.workers or (max(1, (os.cpu_count() or 1) // 2) if len(points) > 1 else 1),
        scheduler=options.scheduler,
        command=_command(options, model),
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


def _types(project: Project) -> tuple[str, ...]:
    """The input types that the project says, as the command line writes them."""
    given = project.input_type
    if given is None or isinstance(given, str):
        return () if given is None else (given,)
    return tuple(f"{name}={kind}" for name, kind in given.items())


def _costs(given: Sequence[str]) -> tuple[tuple[str, float], ...]:
    found = []
    for text in given:
        name, _, price = text.rpartition("=")
        try:
            value = float(price)
        except ValueError:
            value = -1.0
        if not name or not 0 <= value < float("inf"):
            raise BadInput(f"--cost {text}", "is no price", "Write NAME=USD, as pynq-z2=119")
        found.append((name, value))
    return tuple(found)


def _command(options: Namespace, model: str) -> str:
    """The command line again, with file names alone: the same wherever the files lie."""
    parts = ["fpgaflow", "compare", Path(model).name, "--targets", options.targets]
    for name in ("data", "flow", "fps"):
        value = getattr(options, name)
        if value is not None:
            parts += [f"--{name}", Path(value).name if name == "data" else plain(value) if name == "fps" else value]
    for name in ("sweep", "cost", "input_type"):
        for value in getattr(options, name) or ():
            parts += [f"--{name.replace('_', '-')}", value]
    for name in ("board_results", "gpu_results"):
        values = [_file_name(value) for value in getattr(options, name) or ()]
        parts += [f"--{name.replace('_', '-')}", *values] if values else []
    return shlex.join(parts)


def _file_name(given: str) -> str:
    name, equals, path = given.partition("=")
    return f"{name}={Path(path).name}" if equals else Path(given).name


def _print(report: Report, files: Sequence[Path], console: Console) -> None:
    console.result({**document(report), "files": [str(path) for path in files]})
    console.text(report.title, "bold")
    console.text(verdict(report))
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
    console.text(f"Written: {', '.join(str(path) for path in files)}")
