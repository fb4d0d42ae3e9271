"""The commands of the parallel path: engines for GPUs and other accelerators, and the linter of their files."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fpgaflow.console import Console
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph


def engine(options: Namespace, console: Console, graph: Graph) -> int:
    """Builds an engine of a loaded graph."""
    from fpgaflow.targets.engine import build_engine
    from fpgaflow.targets.engine_kinds import EngineOptions, Target
    from fpgaflow.targets.feeds import generated_feeds, load_feeds
    from fpgaflow.targets.gpu.triton.units import Units

    data = None if options.data is None else Path(options.data)
    feeds = generated_feeds(graph) if data is None else load_feeds(graph, data)
    wanted = EngineOptions(
        Target(options.target), _architectures(options.sm), options.batch, Units(options.units or Units.INT8)
    )
    with console.meter() as meter:
        result = build_engine(graph, wanted, Path(options.out), feeds, options.model, meter.stage)
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
    kernels = [name for name in result.files if name.startswith("kernels/")]
    listed = [name for name in result.files if name not in kernels]
    listed += [f"{len(kernels)} files in kernels/"] if kernels else []
    console.text(f"Written to {result.folder}: {', '.join(listed)}")
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
    from fpgaflow.targets.bench import measure
    from fpgaflow.targets.steps import steps_of

    if not options.seconds > 0:
        raise BadInput("--seconds", f"is {options.seconds}", "Give more than 0")
    with console.meter() as meter:
        meter.stage("loading")
        steps = steps_of(Path(options.engine), options.batch)
        found = measure(steps, options.seconds, meter.stage)
    figures = {name: asdict(one) for name, one in found.items()}
    console.result({"engine": options.engine, "device": steps.device, "source": "measured", **figures})
    console.text(f"{options.engine} on {steps.device} (measured)")
    console.table(("scenario", "measured", "energy per sample above idle"), [_row(*item) for item in found.items()])
    return 0


def _row(name: str, found: Any) -> tuple[str, str, str]:
    title = name.replace("_", " ")
    if hasattr(found, "samples_per_second"):
        title, measured = f"{title}, batch {found.batch}", f"{found.samples_per_second:,.0f} samples/s"
    else:
        measured = " / ".join(f"{value * 1e6:,.1f} µs" for value in (found.p50, found.p90, found.p99))
        title = f"{title}, p50 / p90 / p99"
    if not hasattr(found, "joules"):
        return title, measured, "not measured apart"
    return title, measured, _energy(found.joules)


def _energy(joules: float | None) -> str:
    return "no counter can be read" if joules is None else f"{joules * 1e6:,.1f} µJ"
