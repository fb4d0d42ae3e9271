"""What a comparison keeps, so that the next one is quick and the same; and what every report says of its model."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fpgaflow
from fpgaflow.boards import Board
from fpgaflow.build_folder import MANIFEST, manifest_of
from fpgaflow.comparison.build import Build
from fpgaflow.comparison.figures import Figure, Provenance, Unit
from fpgaflow.comparison.fpga import fpga_target
from fpgaflow.comparison.results import ModelFacts, Target, target_from_json
from fpgaflow.comparison.work import work_of
from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph
from fpgaflow.samples import Samples
from fpgaflow.stages import STATE, digest, file_digest

_FIRMWARE = re.compile(r"[^\s`]*/firmware/")  # the path of a build's firmware, wherever it was built


def kept(record: Path, key: str, make: Callable[[], Target]) -> Target:
    """The target in the record, if it was made under the same key; else a new one, which is then recorded."""
    try:
        document = json.loads(record.read_text())
        if document["key"] == key:
            return target_from_json(document["target"], str(record))
    except (OSError, ValueError, KeyError, TypeError, BadInput):
        pass  # none, or the rest of a damaged one: the figures are taken again
    target = make()
    write_atomic(record, json.dumps({"key": key, "target": target.as_json()}) + "\n")
    return target


def build_target(folder: Path, board: Board, samples: Samples, name: str, command: str, place: str) -> Target:
    """The target of a build; taken again where the build, the board, the samples or this package changed.

    Args:
        place: the folder as the report names it.
    """
    key = digest(
        {
            "code": code(),
            "board": repr(board),
            "manifest": file_digest(folder / MANIFEST),
            "samples": samples.digest,
            "naming": [name, command, place],
        }
    )

    def make() -> Target:
        manifest, graph_file = manifest_of(folder)
        build = Build(folder, manifest, load_graph(graph_file), board, samples)
        target = fpga_target(build, name, command, place)
        return replace(target, notes=tuple(_FIRMWARE.sub(f"{place}/firmware/", note) for note in target.notes))

    return kept(folder / STATE / "target.json", key, make)


def code() -> str:
    """SHA-256 of what takes figures: this package."""
    state = hashlib.sha256(fpgaflow.__version__.encode())
    folder = Path(__file__).resolve().parent
    for path in sorted([*folder.glob("*.py"), *(folder / "data").glob("*.toml")]):
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()


def title_of(model: str) -> str:
    """A model's name for people: its file's, or its folder's where that is called model."""
    path = Path(model.partition(":")[0])
    return path.resolve().parent.name if path.stem == "model" else path.stem


def facts_of(graph: Graph, samples: Samples, source: str, sha256: str) -> ModelFacts:
    """The model and data as the report names them."""
    work = work_of(graph)
    counted = "counted in the integer graph"
    return ModelFacts(
        source=Path(source).name,
        sha256=sha256,
        name=graph.name,
        data=Path(samples.source).name if Path(samples.source).is_absolute() else samples.source,
        samples=len(samples),
        labelled=samples.y is not None,
        macs=Figure(work.macs, Unit.COUNT, Provenance.DEFINED, f"multiply-adds of one sample, {counted}"),
        weight_bits=Figure(
            work.weight_bits, Unit.BITS, Provenance.DEFINED, f"width times number of weights, {counted}"
        ),
    )


def created() -> str:
    """Today's date, or that of SOURCE_DATE_EPOCH, as reproducible builds set it."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = float(seconds) if seconds.isdigit() else time.time()
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
