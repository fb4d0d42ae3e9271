"""One function per command: options in, output through the console, exit status out."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fpgaflow import boards as board_files
from fpgaflow import building
from fpgaflow import doctor as doctoring
from fpgaflow import validate as validating
from fpgaflow.build_folder import manifest_of
from fpgaflow.console import Console
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.frontend.load import load
from fpgaflow.frontend.torch import to_qonnx
from fpgaflow.ir.graph import Graph
from fpgaflow.project import NO_PROJECT, Flow, Project, bundled_project, find_project
from fpgaflow.sim.run import Simulator
from fpgaflow.sim.stream import Run, count_file, output_names, simulate_file
from fpgaflow.summary import print_build, print_quantised, print_validation
from fpgaflow.targets.flow import MAX_UTILISATION, VendorTools
from fpgaflow.targets.remote import Remote

DEFAULT_BOARD = "pynq-z2"


def doctor(options: Namespace, console: Console) -> int:
    tools = doctoring.examine()
    console.result({"tools": [asdict(tool) for tool in tools]})
    rows = [
        ("✓" if t.found else "·", t.name, t.version or "", t.unlocks if t.found else f"{t.unlocks} — {t.how_to_get}")
        for t in tools
    ]
    console.table(("", "tool", "version", "unlocks"), rows)
    return 0


def boards(options: Namespace, console: Console) -> int:
    if options.name is not None:
        board = asdict(board_files.load_board(options.name))
        console.result(board)
        flat = {k: v for k, v in board.items() if not isinstance(v, dict) and v is not None}
        nested = {
            f"{k}.{n}": v for k, sub in board.items() if isinstance(sub, dict) for n, v in sub.items() if v is not None
        }
        console.table(("field", "value"), [(k, str(v)) for k, v in {**flat, **nested}.items()])
        return 0
    listed = board_files.list_boards()
    console.result({"boards": [asdict(board) for board in listed]})
    rows = [
        (
            b.name,
            b.title,
            b.part,
            f"{b.resources.lut:,}",
            f"{b.resources.dsp:,}",
            f"{b.resources.bram36:,}",
            str(b.toolchain),
        )
        for b in listed
    ]
    console.table(("name", "board", "part", "LUT>", "DSP>", "BRAM36>", "toolchain"), rows)
    return 0


def init(options: Namespace, console: Console) -> int:
    folder = Path(options.dir)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(str(folder), "is there and not empty", "Name a new folder")
    example = sorted(path for path in data_dir("examples/lenet_digits").iterdir() if path.is_file())
    for path in example:
        write_atomic(folder / path.name, path.read_bytes())
    files = [path.name for path in example]
    console.result({"project": str(folder), "files": files})
    console.text(f"{folder}: {', '.join(files)}")
    console.text(f"Next: cd {folder} && fpgaflow build")
    return 0


def train(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_training

    return commands_training.train(options, console)


def search(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_training

    return commands_training.search(options, console)


def quantize(options: Namespace, console: Console) -> int:
    from fpgaflow.quantize import quantize as run_quantisation
    from fpgaflow.training.ptq import Ptq, Scale

    corrections = {name: getattr(options, name) for name in ("bias_correction", "equalize", "gptq")}
    chosen = Ptq(options.weight_bits, options.activation_bits, Scale(options.scale), **corrections)
    with console.meter() as meter:
        done = run_quantisation(options.model, options.data, options.out, chosen, meter.stage)
    console.result(
        {
            "out": str(done.out),
            "accuracy": {"float": done.float_accuracy, "quantized": done.quantised_accuracy, "samples": done.samples},
            "layers": [asdict(layer) for layer in done.layers],
            "different_from_brevitas": {"values": done.values, "different": done.different},
        }
    )
    print_quantised(done, console)
    return 0


def engine(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_engine

    return commands_engine.engine(options, console, _load(options))


def bench(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_engine

    return commands_engine.bench(options, console)


def compare(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_compare

    return commands_compare.run_compare(options, console)


def report(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_compare

    return commands_compare.run_report(options, console)


def check(options: Namespace, console: Console) -> int:
    if options.tool is not None:
        from fpgaflow import commands_engine

        return commands_engine.check_for_tensorrt(options, console)
    problems: list[Any] = []
    graph: Graph | None = None
    try:
        graph = _load(options)
        if options.board is not None:
            board = board_files.load_board(options.board)
            problems += building.hardware_problems(graph, board)
    except UnsupportedModel as refusal:
        problems += refusal.problems
    ok = not problems
    console.result({"model": options.model, "ok": ok, "problems": [problem.as_json() for problem in problems]})
    if ok and graph is not None:
        console.text(f"{options.model}: every node can be carried exactly ({len(graph.ops)} operations)", "green")
    elif not ok:
        console.text(f"{options.model}: {len(problems)} of its nodes or ports cannot be carried exactly", "red")
        console.table(("where", "found", "what to do"), [(p.where, p.found, p.fix) for p in problems])
    return 0 if ok else 1


def build(options: Namespace, console: Console) -> int:
    project = _project(options, console)
    board = options.board or project.board or DEFAULT_BOARD
    flow = options.flow or project.flow
    if options.flow is None and (toolchain := board_files.load_board(board).toolchain).is_open:
        flow = Flow.RTL
        console.note(f"{board} is built with flow rtl, the only one for {toolchain}")
    fps = options.fps if options.fps is not None else project.fps
    data = options.data or project.data
    spec = options.model or str(project.model)
    types = options.input_type or project.input_type
    with console.meter() as meter:
        result = building.build(
            spec,
            board,
            options.out,
            flow,
            data=data,
            fps=fps,
            progress=meter.stage,
            input_type=types,
            tools=_tools(options),
            latency_us=options.latency_us,
            max_utilisation=MAX_UTILISATION if options.max_utilisation is None else options.max_utilisation,
        )
    console.result(result.manifest)
    print_build(result, console)
    if result.failure is None:
        return 0
    console.explain(result.failure)
    return result.failure.exit_code


def _tools(options: Namespace) -> VendorTools:
    """Where a vendor's tools run."""
    minutes = options.tool_timeout
    if minutes is not None and not minutes > 0:
        raise BadInput("--tool-timeout", f"is {minutes:g} minutes", "Give a time above 0")
    if options.remote is not None:
        Remote(options.remote)  # refuses what is no name of a machine before any work
    return VendorTools(options.remote, None if minutes is None else 60 * minutes)


def _project(options: Namespace, console: Console) -> Project:
    """What the command line leaves open: of this folder's fpgaflow.yaml, else of the bundled one."""
    if options.model is not None:
        return NO_PROJECT
    project = find_project(Path.cwd())
    if project is None:
        console.note("No model named and no fpgaflow.yaml here: building the bundled LeNet-5 on scikit-learn's digits")
        return bundled_project()
    if project.model is None:
        raise BadInput(str(project.path), "names no model", "Add `model: FILE.onnx`, or give MODEL on the command line")
    return project


def simulate(options: Namespace, console: Console) -> int:
    if options.trace and options.out is None:
        raise BadInput("--trace", "has nowhere to write to", "Add --out Y.npz")
    if options.scheduler is not None and options.workers is not None:
        raise BadInput("--workers", "are this machine's threads, and --scheduler names others", "Leave out one of them")
    simulator = Simulator(_load(options), options.engine, workers=options.workers)
    data, out = Path(options.data), None if options.out is None else Path(options.out)
    with console.meter() as meter:
        meter.stage("simulating")
        with _elsewhere(options, simulator) as run:
            done = simulate_file(simulator, data, out, trace=options.trace, run=run, progress=meter.count)
        if options.explain:
            meter.stage("counting overflows")
            counts = count_file(simulator, data, meter.count)
    names = output_names(simulator)
    shapes = {port.name: done.shapes[name] for port, name in zip(simulator.graph.outputs, names, strict=True)}
    document: dict[str, Any] = {
        "samples": done.samples,
        "outputs": {name: [done.samples, *shape] for name, shape in shapes.items()},
        "accuracy": done.accuracy,
        "out": options.out,
        "engine": options.engine,
    }
    if options.explain:
        explanation = simulator.explain()
        document["explain"] = explanation.as_json()
        document["overflows"] = {name: asdict(count) for name, count in counts.items()}
        console.table(*explanation.table(counts))
    console.result(document)
    share = "" if done.accuracy is None else f", accuracy {done.accuracy:.2%} (simulated)"
    console.text(f"{done.samples} samples simulated{share}")
    if options.out is not None:
        others = f" and {len(done.shapes) - len(names)} tensors" if options.trace else ""
        console.text(f"Written to {options.out}: {', '.join(names)}{others}")
    return 0


@contextmanager
def _elsewhere(options: Namespace, simulator: Simulator) -> Iterator[Run | None]:
    """What computes blocks on a Dask scheduler's workers, where one is named."""
    if options.scheduler is None:
        yield None
        return
    from fpgaflow.sim.spread import connected, spread

    with connected(options.scheduler) as client:
        yield spread(client, simulator, trace=options.trace)


def validate(options: Namespace, console: Console) -> int:
    with console.meter() as meter:
        given = (options.data, options.engine, options.vcd)
        data, engine, vcd = (None if name is None else Path(name) for name in given)
        validation = validating.validate(Path(options.build), data, meter.stage, engine, vcd, netlist=options.netlist)
    if options.board_results is None:
        console.result(validation.as_json())
        print_validation(validation, console)
        return 0 if validation.ok else 1
    from fpgaflow.commands_board import print_results
    from fpgaflow.deploy.results import bring_back

    results = bring_back(Path(options.build), Path(options.board_results))
    ok = validation.ok and results.ok
    console.result({**validation.as_json(), "ok": ok, "board": results.as_json()})
    print_validation(validation, console)
    print_results(results, console)
    return 0 if ok else 1


def deploy(options: Namespace, console: Console) -> int:
    from fpgaflow import commands_board

    return commands_board.deploy(options, console)


def _load(options: Namespace) -> Graph:
    """The graph of a build folder, or of anything that names a model."""
    folder = Path(options.model)
    if folder.is_dir():
        return load(manifest_of(folder)[1], input_type=options.input_type)
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        return load(to_qonnx(options.model, Path(scratch) / "exported.onnx"), input_type=options.input_type)
