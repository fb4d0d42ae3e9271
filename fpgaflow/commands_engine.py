"""The commands of the parallel path: engines for GPUs and other accelerators, and the linter of their files."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fpgaflow.console import Console
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import generated_samples, load_samples


def engine(options: Namespace, console: Console, graph: Graph) -> int:
    """Builds an engine of a loaded graph."""
    from fpgaflow.targets.engine import EngineOptions, Target, build_engine

    data = None if options.data is None else Path(options.data)
    samples = generated_samples(graph) if data is None else load_samples(data)
    wanted = EngineOptions(Target(options.target), _architectures(options.sm), options.batch)
    with console.meter() as meter:
        result = build_engine(graph, wanted, Path(options.out), samples, options.model, meter.stage)
    console.result(result.manifest)
    for name, count in result.manifest["mismatches"].items():
        console.text(
            f"{name.removesuffix('_vs_sim').replace('_', ', ')} against the simulator: {count['different']:,} of "
            f"{count['values']:,} output integers differ (measured, {result.manifest['data']})"
        )
    if built := result.manifest["engine"]:
        places = [f"SM{sm}" for sm in built.get("architectures", [])] or built.get("platforms", ["this machine's GPU"])
        batch = f", batch {built['batch']}" if "batch" in built else ""
        console.text(f"{built['tool']} {built['version']}: {', '.join(places)}{batch}")
        for note in built.get("notes", []):
            console.text(f"  {note}")
    if result.certificate.exact:
        console.text("Proven exact: every bit is the simulator's", "green")
    else:
        rows = [(entry.name, entry.kind, entry.why) for entry in result.certificate.causes]
        console.table(("where", "kind", "not proven exact, because"), rows)
    console.text(f"Written to {result.folder}: {', '.join(result.files)}")
    return 0


def _architectures(given: str | None) -> tuple[int, ...]:
    """Compute capabilities of a list like 86,89."""
    if given is None:
        return ()
    parts = [part.strip().lower().removeprefix("sm").replace(".", "").replace("_", "") for part in given.split(",")]
    if not all(part.isdigit() and part.isascii() for part in parts):
        raise BadInput(f"--sm {given}", "is no list of compute capabilities", "Write it as 86 or 86,89")
    return tuple(int(part) for part in parts)


def check_for_tensorrt(options: Namespace, console: Console) -> int:
    from fpgaflow.targets.gpu.lint import lint_tensorrt

    problems: list[Any] = lint_tensorrt(Path(options.model))
    console.result({"model": options.model, "ok": not problems, "problems": [asdict(problem) for problem in problems]})
    if not problems:
        console.text(f"{options.model}: TensorRT reads it as it is written", "green")
        return 0
    console.text(f"{options.model}: {len(problems)} things that TensorRT misreads or refuses", "red")
    console.table(("where", "found", "what to do"), [(p.where, p.found, p.fix) for p in problems])
    return 1


def bench(options: Namespace, console: Console) -> int:
    """Measures an engine folder on this machine."""
    from fpgaflow.targets.bench import offline, single_stream
    from fpgaflow.targets.steps import steps_of

    if not options.seconds > 0:
        raise BadInput("--seconds", f"is {options.seconds}", "Give more than 0")
    with console.meter() as meter:
        meter.stage("loading")
        steps = steps_of(Path(options.engine), options.batch)
        meter.stage("single stream")
        single = single_stream(steps.one, options.seconds, steps.counter)
        meter.stage("offline")
        many = offline(steps.many, steps.batch, options.seconds, steps.counter)
    figures = {"single_stream": asdict(single), "offline": asdict(many)}
    console.result({"engine": options.engine, "device": steps.device, "source": "measured", **figures})
    console.text(f"{options.engine} on {steps.device} (measured)")
    latencies = [f"{value * 1e6:,.1f} µs" for value in (single.p50, single.p90, single.p99)]
    rows = [
        ("single stream, p50 / p90 / p99", " / ".join(latencies), _energy(single.joules)),
        (f"offline, batch {many.batch}", f"{many.samples_per_second:,.0f} samples/s", _energy(many.joules)),
    ]
    console.table(("scenario", "measured", "energy per sample above idle"), rows)
    return 0


def _energy(joules: float | None) -> str:
    return "no counter can be read" if joules is None else f"{joules * 1e6:,.1f} µJ"
