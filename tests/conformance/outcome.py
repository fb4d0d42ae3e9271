"""Random networks put before the judge: which were judged, which were not and why, and what differs."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from traceback import format_exc
from typing import Any

import numpy as np

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from tests.conformance.judge import Verdict, judge
from tests.conformance.networks import Network, inputs_of

JUDGED, REFUSED, NOT_BUILT, NO_JUDGE = "judged", "refused", "not built by hls4ml", "hls4ml's C++ fails"
BATCH = 36


@dataclass(frozen=True)
class Outcome:
    """What became of a network.

    Attributes:
        why: fpgaflow's refusals, or what hls4ml failed with.
        different: the first layer, in hls4ml's order, whose values differ, and how; empty where none does.
    """

    network: Network
    status: str
    why: str = ""
    different: str = ""


def outcomes(networks: Iterable[Network]) -> list[Outcome]:
    """Every network's outcome, in batches of one compile each."""
    pending: dict[str, list[Network]] = {}
    found: list[Outcome] = []
    for network in networks:
        batch = pending.setdefault(network.net.backend, [])
        batch.append(network)
        if len(batch) == BATCH:
            found += _batch(batch)
            batch.clear()
    return found + [outcome for batch in pending.values() if batch for outcome in _batch(batch)]


def _batch(networks: Sequence[Network]) -> list[Outcome]:
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch:
        read: dict[str, tuple[Network, Any, Graph]] = {}
        for index, network in enumerate(networks):
            name = f"n{index}"
            try:
                with redirect_stdout(StringIO()):  # hls4ml prints what it changes
                    model = network.model(Path(scratch, name))
            except Exception as error:  # hls4ml's own passes fail on some: there is no firmware to be compared with
                found.append(Outcome(network, NOT_BUILT, f"{type(error).__name__}: {error}"))
                continue
            if set(model.inputs) & set(model.outputs):
                found.append(Outcome(network, NO_JUDGE, "does not compile: what is left is an input that is an output"))
                continue
            try:
                read[name] = network, model, from_hls4ml(model)
            except UnsupportedModel as error:
                why = "\n".join(f"{problem.where}: {problem.found}" for problem in error.problems)
                found.append(Outcome(network, REFUSED, why))
            except Exception:
                found.append(Outcome(network, JUDGED, different=format_exc()))
        models = {name: model for name, (_, model, _) in read.items()}
        inputs = {name: inputs_of(model, graph.inputs) for name, (_, model, graph) in read.items()}
        verdicts = judge(models, inputs, Path(scratch)) if models else {}
    for name, (network, model, graph) in read.items():
        verdict = verdicts[name]
        if verdict.failure:
            found.append(Outcome(network, NO_JUDGE, verdict.failure))
        else:
            try:
                different = _different(model, graph, inputs[name], verdict)
            except Exception:
                different = format_exc()
            found.append(Outcome(network, JUDGED, different=different))
    return found


def _different(model: Any, graph: Graph, inputs: list[np.ndarray], verdict: Verdict) -> str:
    feed = {port.name: x for port, x in zip(graph.inputs, inputs, strict=True)}
    traced = Simulator(graph, "reference").trace(feed)
    for layer in model.get_layers():
        if (want := verdict.results.get(f"t.{layer.name}")) is not None and layer.name in traced:
            got = np.asarray(traced[layer.name], dtype=np.float64).reshape(want.shape)
            if text := _unequal(got, want):
                return f"layer {layer.name} ({layer.class_name}): {text}"
    for engine in ("reference", "fast"):
        found = Simulator(graph, engine).predict(feed)
        arrays = found if isinstance(found, list) else [found]
        for variable, got in zip(model.get_output_variables(), arrays, strict=True):
            want = verdict.results[f"y.{variable.name}"]
            if text := _unequal(got.reshape(want.shape), want):
                return f"output {variable.name} of the {engine} engine: {text}"
    return ""


def _unequal(got: np.ndarray, want: np.ndarray) -> str:
    places = np.argwhere(got != want)
    if not len(places):
        return ""
    first = tuple(places[0])
    return f"{len(places)} of {want.size}; at {tuple(map(int, first))} {got[first]!r}, hls4ml {want[first]!r}"


def tally(found: Sequence[Outcome]) -> dict[str, Counter[str]]:
    """Counts of statuses, and of differences, of the networks that each family is in."""
    table: dict[str, Counter[str]] = {}
    for outcome in found:
        for kind in sorted(outcome.network.kinds):
            counts = table.setdefault(kind, Counter())
            counts["generated"] += 1
            counts[outcome.status] += 1
            counts["different"] += bool(outcome.different)
    return table


def report(found: Sequence[Outcome]) -> str:
    """The tally as a table, then why networks were not judged."""
    heads = ("generated", JUDGED, REFUSED, NOT_BUILT, NO_JUDGE, "different")
    lines = [f"{'':14}" + "".join(f"{head:>20}" for head in heads)]
    for kind, counts in sorted(tally(found).items()):
        lines.append(f"{kind:14}" + "".join(f"{counts[head]:20}" for head in heads))
    whole = Counter(outcome.status for outcome in found)
    lines.append(f"{'networks':14}{len(found):20}" + "".join(f"{whole[head]:20}" for head in heads[1:-1]))
    return "\n".join(lines)
