"""Results from elsewhere: a board's self-test, an MLPerf Tiny runner's log, `fpgaflow bench --json`, and what others
published. Each becomes a row of its own, and every figure names its file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fpgaflow.comparison.figures import Figure, Key, Provenance, Unit, figures_from_json
from fpgaflow.comparison.power import data_table
from fpgaflow.comparison.results import Comparison, Kind, Target
from fpgaflow.errors import BadInput

_LARGEST = 16 * 2**20
_MEDIAN_RATE = re.compile(r"Median throughput is +([0-9.]{1,20}) inf\./sec\.")
_MEDIAN_ENERGY = re.compile(r"Median energy cost is +([0-9.]{1,20}) uJ/inf\.")
_POWER = re.compile(r"Power +: +([0-9.]{1,20}) uW")
_TOP1 = re.compile(r"Top-1: +([0-9.]{1,10})%")
_FORMATS = (
    "Give a board's board.json, the log of an MLPerf Tiny runner as TARGET=FILE, what `fpgaflow bench --json` printed, "
    'or {"name", "device", "figures"}'
)


def board_result(given: str, graph: str) -> Target:
    """A board's measurements out of `[TARGET=]FILE`.

    Args:
        graph: digest of the graph that is compared: a self-test of another one is refused.

    Raises:
        BadInput: no such file, of no known kind, or of another model.
    """
    name, equals, rest = given.partition("=")
    path = Path(rest if equals else given)
    text = _text(path)
    if not text.lstrip().startswith("{"):
        if not equals:
            raise BadInput(given, "is a log that does not say of which board", f"Write pynq-z2={given}")
        return _from_log(name, path, text)
    document = _json(path, text)
    if "figures" in document:
        return _plain(path, document, Kind.FPGA, name if equals else None)
    return _self_test(path, document, name if equals else None, graph)


def gpu_result(given: str) -> tuple[str | None, Target]:
    """An accelerator's measurements out of `[TARGET=]FILE`, and the target whose place they take.

    Raises:
        BadInput: no such file, or of no known kind.
    """
    name, equals, rest = given.partition("=")
    path = Path(rest if equals else given)
    document = _json(path, _text(path))
    target = name if equals else None
    if "figures" in document:
        return target, _plain(path, document, Kind.GPU, target)
    try:
        device = str(document["device"])
        single, many = document["single_stream"], document["offline"]
        source = f"{path.name}: fpgaflow bench on {device}"
        runs = f"{source}; one sample at a time, {int(single['runs'])} runs"
        figures = {
            key: Figure(float(single[name]), Unit.SECONDS, Provenance.MEASURED, runs)
            for key, name in ((Key.LATENCY_P50, "p50"), (Key.LATENCY_P90, "p90"), (Key.LATENCY_P99, "p99"))
        }
        batches = f"{source}; batches of {int(many['batch'])}"
        figures[Key.THROUGHPUT] = Figure(
            float(many["samples_per_second"]), Unit.PER_SECOND, Provenance.MEASURED, batches
        )
        for key, entry, how in ((Key.ENERGY_SINGLE, single, runs), (Key.ENERGY_OFFLINE, many, batches)):
            if entry.get("joules") is not None:
                figures[key] = Figure(float(entry["joules"]), Unit.JOULES, Provenance.MEASURED, f"{how}, above idle")
    except (KeyError, TypeError, ValueError):
        raise BadInput(str(path), "is no result of `fpgaflow bench --json`", _FORMATS) from None
    note = f"Imported from {path.name}. Samples lay in device memory: transfers are no part of the times."
    return target, Target(target or f"gpu, {device}", Kind.GPU, device, figures, notes=(note,))


def merged(targets: Sequence[Target]) -> list[Target]:
    """One row for each name: a runner logs speed, energy and accuracy apart. Of figures given twice the first stays."""
    rows: dict[str, Target] = {}
    for target in targets:
        first = rows.get(target.name, target)
        notes = tuple(dict.fromkeys((*first.notes, *target.notes)))
        chain = first.chain or target.chain
        rows[target.name] = replace(first, figures={**target.figures, **first.figures}, notes=notes, chain=chain)
    return list(rows.values())


def published_results(sha256: str) -> tuple[Target, ...]:
    """What data/published.toml knows of the model whose file has that hash."""
    return tuple(_published(entry) for entry in data_table("published").get("result", ()) if entry["sha256"] == sha256)


def _published(entry: Mapping[str, Any]) -> Target:
    def published(value: float, unit: Unit, how: str) -> Figure:
        return Figure(value, unit, Provenance.PUBLISHED, f"{entry['source']}: {how}")

    rate = float(entry["inferences_per_second"])
    figures = {
        Key.ACCURACY: published(entry["accuracy"], Unit.SHARE, "accuracy log"),
        Key.LATENCY_P50: published(1 / rate, Unit.SECONDS, f"performance log, the inverse of {rate:,.0f} inferences/s"),
        Key.RATE: published(rate, Unit.PER_SECOND, "performance log, median, one sample at a time"),
        Key.ENERGY_SINGLE_BOARD: published(entry["energy_board_uj"] * 1e-6, Unit.JOULES, "energy log, median"),
        Key.POWER_BOARD: published(entry["power_board_w"], Unit.WATTS, "energy log, median window"),
    }
    return Target(
        entry["name"], Kind(entry["kind"]), entry["device"], figures, notes=tuple(entry["notes"]), competes=False
    )


def _from_log(name: str, path: Path, text: str) -> Target:
    def measured(value: float, unit: Unit, how: str) -> Figure:
        return Figure(value, unit, Provenance.MEASURED, f"{path.name}, MLPerf Tiny runner: {how}")

    figures: dict[Key, Figure] = {}
    if (rate := _MEDIAN_RATE.search(text)) is not None and float(rate.group(1)) > 0:
        figures[Key.RATE] = measured(float(rate.group(1)), Unit.PER_SECOND, "median, one sample at a time")
        figures[Key.LATENCY_P50] = measured(
            1 / float(rate.group(1)), Unit.SECONDS, "the inverse of the median throughput, one sample at a time"
        )
    if (energy := _MEDIAN_ENERGY.search(text)) is not None:
        figures[Key.ENERGY_SINGLE_BOARD] = measured(
            float(energy.group(1)) * 1e-6, Unit.JOULES, "median energy of the whole board at its supply"
        )
    if windows := sorted(float(value) for value in _POWER.findall(text)):
        figures[Key.POWER_BOARD] = measured(
            windows[len(windows) // 2] * 1e-6, Unit.WATTS, "median window, the whole board at its supply"
        )
    if (top1 := _TOP1.search(text)) is not None:
        figures[Key.ACCURACY] = measured(float(top1.group(1)) / 100, Unit.SHARE, "top-1, the runner's samples")
    if not figures:
        raise BadInput(str(path), "holds no median throughput, energy or top-1", _FORMATS)
    note = f"Imported from {path.name}: the runner's own samples, one at a time."
    return Target(f"{name}, board", Kind.FPGA, f"{name}, measured by an MLPerf Tiny runner", figures, notes=(note,))


def _self_test(path: Path, document: Mapping[str, Any], name: str | None, graph: str) -> Target:
    """Of selftest.py in the firmware: its times of `transfer` are the DMA's and the network's, without Python."""
    try:
        board, test, speed = str(document["board"]), document["test"], document["speed"]
        found = str(document["graph"])
        source = f"{path.name}: self-test on {board}"
        batch = int(speed["batch"])
        figures = {
            Key.DIFFERENCES: Figure(
                int(test["different"]), Unit.COUNT, Provenance.MEASURED, f"{source}, {test['samples']} samples"
            ),
            Key.LATENCY_P50: Figure(
                float(speed["latency_us"]["transfer"]) * 1e-6,
                Unit.SECONDS,
                Provenance.MEASURED,
                f"{source}; one sample by DMA and back, median, without packing in Python",
            ),
            Key.THROUGHPUT: Figure(
                float(speed["samples_per_second"]["transfer"]),
                Unit.PER_SECOND,
                Provenance.MEASURED,
                f"{source}; {batch} samples in one transfer",
            ),
        }
        clock = document.get("clock_mhz")
        if isinstance(clock, Mapping):
            figures[Key.CLOCK] = Figure(
                float(clock["actual"]) * 1e6, Unit.HERTZ, Provenance.MEASURED, f"{source}; the clock generator's"
            )
        counts = (int(test["samples"]), int(test["values"]))
    except (KeyError, TypeError, ValueError):
        raise BadInput(str(path), "is no board.json of the self-test", _FORMATS) from None
    if found != graph:
        fix = "Give the results of a build of this model"
        raise BadInput(str(path), f"is of another graph ({found[:12]}, not {graph[:12]})", fix)
    step = Comparison("simulator", f"{board}, on the board", *counts, figures[Key.DIFFERENCES])
    note = f"Imported from {path.name}: DMA transfers are part of the times, Python is not."
    title = f"{board}, measured on the board"
    return Target(f"{name or board}, board", Kind.FPGA, title, figures, (step,), notes=(note,))


def _plain(path: Path, document: Mapping[str, Any], kind: Kind, name: str | None) -> Target:
    figures = figures_from_json(document["figures"], str(path))
    device = str(document.get("device") or document.get("name") or path.stem)
    title = name or str(document.get("name") or path.stem)
    return Target(title, kind, device, figures, notes=(f"Imported from {path.name}.",))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", _FORMATS) from None
    if len(content) > _LARGEST:
        raise BadInput(str(path), "is larger than any result", _FORMATS)
    return content.decode("utf-8", errors="replace")


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput(str(path), "is no whole JSON", _FORMATS) from None
    if not isinstance(document, dict):
        raise BadInput(str(path), "holds no result", _FORMATS)
    return document
