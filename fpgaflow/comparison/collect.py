"""`compare`: builds what is missing, takes every target's figures, and makes the report of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import fpgaflow
from fpgaflow.build_folder import MANIFEST, board_of, manifest_of
from fpgaflow.comparison.accelerators import Bench, accelerator_target, cpu_float_target, cpu_target
from fpgaflow.comparison.figures import Figure, Key, Provenance, Unit
from fpgaflow.comparison.imported import board_result, gpu_result, merged, published_results
from fpgaflow.comparison.kept import build_target, code, created, facts_of, kept, title_of
from fpgaflow.comparison.request import Request
from fpgaflow.comparison.results import Kind, Report, Target
from fpgaflow.comparison.specs import Point, TargetSpec, plain
from fpgaflow.comparison.tasks import BuildTask, ModelTask, Task, run_all
from fpgaflow.errors import BadInput, FpgaflowError
from fpgaflow.frontend.load import load
from fpgaflow.frontend.torch import to_qonnx
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph
from fpgaflow.samples import Samples, generated_samples, input_names, load_samples
from fpgaflow.stages import STATE, digest, file_digest, locked

Notify = Callable[[str], None]


def compare(request: Request, notify: Notify = lambda _: None) -> Report:
    """The report of all targets, at every point of the sweep.

    Raises:
        FpgaflowError: bad input, or a model that cannot be carried. What one target refuses becomes its row's failure.
    """
    with locked(request.out):
        failures = _make(request, notify)
        return _report(request, failures, notify)


def report_of(folder: Path, data: str | None, notify: Notify = lambda _: None) -> Report:
    """The report of one build, on its own samples if there are no others.

    Raises:
        BadInput: no finished build, or samples that cannot be read.
    """
    manifest, graph_file = manifest_of(folder)
    graph = load_graph(graph_file)
    path = Path(data or manifest.get("data") or "")
    samples = load_samples(path, input_names(graph)) if path.suffix in (".npz", ".npy") else generated_samples(graph)
    board = board_of(folder, manifest)
    notify("figures")
    source = str(manifest["model"]["source"])
    return Report(
        title=f"{title_of(source)} on {board.title}",
        model=facts_of(graph, samples, source, str(manifest["model"]["sha256"])),
        targets=(build_target(folder, board, samples, board.name, "", "."),),
        command=f"fpgaflow report {folder.name}",
        version=str(manifest["fpgaflow"]),
        created=created(),
        max_drop=Request.max_drop,
    )


def _make(request: Request, notify: Notify) -> dict[str, str]:
    """Does what is left of the work, a model's builds as soon as it is there; what went wrong, by folder."""
    models: dict[Task, int] = {
        ModelTask(request.model, request.recipe, request.data, bits, str(request.model_folder(Point(bits)))): bits
        for bits in sorted({point.bits for point in request.points if point.bits is not None})
    }

    def builds_of(task: Task) -> list[Task]:
        return _builds(request, models[task]) if task in models else []

    failed = run_all(
        list(models) or _builds(request, None), request.at_a_time, request.scheduler, notify, follow=builds_of
    )
    if models and failed.keys() >= models.keys():
        raise BadInput("sweep of bits", next(iter(failed.values())), "Mend that, or leave out the sweep of bits")
    return {task.out: reason for task, reason in failed.items()}


def _builds(request: Request, bits: int | None) -> list[Task]:
    return [
        BuildTask(
            request.model_of(point),
            spec.given,
            request.data_of(point),
            point.fps,
            request.flow,
            request.input_type,
            str(request.build_folder(point, spec)),
        )
        for point in request.points
        for spec in request.targets
        if spec.board is not None and point.bits == bits
    ]


def _report(request: Request, failures: dict[str, str], notify: Notify) -> Report:
    best = max(request.points, key=lambda point: point.bits or 0)
    model_path, graph = _graph(request, best)
    data = request.data_of(best)
    samples = generated_samples(graph) if data is None else load_samples(Path(data), input_names(graph))
    targets: list[Target] = []
    for point in request.points:
        for spec in request.targets:
            if spec.board is not None:
                targets.append(_fpga(request, point, spec, samples, failures, notify))
    bench = Bench(graph, model_path, request.model, samples, request.out, request.seconds, notify)
    imported = dict(_gpu_results(request))
    for spec in request.targets:
        if spec.name in imported:
            targets += [_with_bits(imported.pop(spec.name), known) for known in _software(request, bench, spec)[:1]]
        elif spec.board is None:
            targets += _software(request, bench, spec)
    targets += imported.values()
    targets += merged([board_result(given, graph.digest) for given in request.board_results])
    sha = file_digest(model_path) if model_path.is_file() else graph.digest
    beside = {spec.name for spec in request.targets}
    targets += [t for t in published_results(sha) if t.name.rpartition(" on ")[2] in beside]
    targets = [_with_cost(target, request.costs) for target in targets]
    facts = facts_of(graph, samples, request.model, sha)
    return Report(
        title=f"{title_of(request.model)} on {_count(request, targets)}",
        model=facts,
        targets=tuple(targets),
        command=request.command,
        version=fpgaflow.__version__,
        created=created(),
        max_drop=request.max_drop,
        swept=tuple(dict.fromkeys(point.title for point in request.points)) if request.swept else (),
    )


def _count(request: Request, targets: Sequence[Target]) -> str:
    count = len(request.targets) if request.swept else len(targets)
    rows = f"{count} target{'s' if count != 1 else ''}"
    return f"{rows}, {len(request.points)} settings each" if request.swept else rows


def _graph(request: Request, point: Point) -> tuple[Path, Graph]:
    """The model's file, exported if need be, and its graph."""
    exported = request.out / STATE / "model.onnx"
    path = to_qonnx(request.model_of(point), exported)
    return path, load(path, input_type=list(request.input_type) or None)


def _fpga(
    request: Request, point: Point, spec: TargetSpec, samples: Samples, failures: dict[str, str], notify: Notify
) -> Target:
    folder = request.build_folder(point, spec)
    name = f"{spec.name}, {point.title}" if request.swept else spec.name
    assert spec.board is not None
    command = _build_command(request, point, spec)
    reason = failures.get(str(folder)) or failures.get(str(request.model_folder(point)))
    device = f"{spec.board.title} ({spec.board.part})"
    if reason is not None or not (folder / MANIFEST).is_file():
        return Target(name, Kind.FPGA, device, {}, failure=reason or "was not built", command=command)
    notify(f"figures of {name}")
    place = folder.relative_to(request.out).as_posix()
    target = build_target(folder, spec.board, samples, name, command, place)
    if point.fps is None:
        return target
    goal = f"Folded for {point.fps:,.10g} samples a second, as asked, and no faster: other boards are asked the same."
    return replace(target, notes=(goal, *target.notes))


def _build_command(request: Request, point: Point, spec: TargetSpec) -> str:
    parts = ["fpgaflow build", Path(request.model_of(point)).name, f"--board {Path(spec.given).name}"]
    data = request.data_of(point)
    parts += [f"--data {Path(data).name}"] if data else []
    parts += [f"--fps {plain(point.fps)}"] if point.fps else []
    parts += [f"--flow {request.flow}"] if request.flow else []
    return " ".join(parts)


def _software(request: Request, bench: Bench, spec: TargetSpec) -> list[Target]:
    """A processor's rows, or an accelerator's; measurements are kept, so that another run shows the same."""
    made = []
    jobs: list[tuple[str, Callable[[], Target]]]
    if spec.kind is Kind.CPU:
        command = f"fpgaflow engine {bench.model.name} --target onnxruntime && fpgaflow bench engine"
        jobs = [
            ("cpu", lambda: cpu_target(bench, "cpu", command)),
            ("cpu, float32", lambda: cpu_float_target(bench, "cpu, float32", "")),
        ]
    else:
        kind = "stablehlo" if spec.kind is Kind.TPU else "onnxruntime"
        command = f"fpgaflow engine {bench.model.name} --target {kind}"
        jobs = [(spec.name, lambda: accelerator_target(bench, spec, command))]
    for name, make in jobs:
        key = digest({"graph": bench.graph.digest, "samples": bench.samples.digest, "code": code(), "name": name})
        record = request.out / STATE / "targets" / f"{name.replace(':', '-').replace(', ', '-')}.json"
        try:
            made.append(kept(record, key, make))
        except FpgaflowError as error:
            device = spec.device.title if spec.device is not None else "this processor"
            made.append(Target(name, spec.kind, device, {}, failure=str(error)))
    return made


def _gpu_results(request: Request) -> list[tuple[str, Target]]:
    """Imported measurements by the target whose place they take: the one named, else `gpu` where that was asked for."""
    asked = {spec.name for spec in request.targets}
    found: list[tuple[str, Target]] = []
    for given in request.gpu_results:
        name, target = gpu_result(given)
        if name is None and "gpu" in asked and not any(taken == "gpu" for taken, _ in found):
            name, target = "gpu", replace(target, name="gpu")
        name = name or target.name
        if any(taken == name for taken, _ in found):
            raise BadInput(f"--gpu-results {given}", f"is a second result for '{name}'", "Name the target: NAME=FILE")
        found.append((name, replace(target, name=name)))
    return found


def _with_bits(measured: Target, known: Target) -> Target:
    """Imported speed with what was found here of the bits of the same program."""
    shared = {key: known.figures[key] for key in (Key.ACCURACY, Key.DIFFERENCES) if key in known.figures}
    note = "Bits and accuracy are those of the program run on this machine's processor."
    notes = (*measured.notes, note) if known.chain else measured.notes
    return replace(measured, figures={**shared, **measured.figures}, chain=measured.chain or known.chain, notes=notes)


def _with_cost(target: Target, costs: Mapping[str, float]) -> Target:
    price = costs.get(target.name, costs.get(target.name.partition(",")[0]))
    if price is None:
        return target
    figure = Figure(price, Unit.DOLLARS, Provenance.DEFINED, "the user's own price")
    return replace(target, figures={**target.figures, Key.COST: figure})
