"""A build folder, and what its manifest's sources mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpgaflow.boards import Board
from fpgaflow.comparison.figures import Figure, Provenance, Unit
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import Samples

# A manifest's word for where a figure comes from.
_PROVENANCE = {
    "measured": Provenance.MEASURED,
    "simulated": Provenance.SIMULATED,
    "synthesised": Provenance.SYNTHESISED,
    "reported": Provenance.SYNTHESISED,
    "placed": Provenance.SYNTHESISED,
    "routed": Provenance.SYNTHESISED,
    "estimated": Provenance.ESTIMATED,
    "published": Provenance.PUBLISHED,
}
WORDS = {
    "simulated": "the generated RTL run cycle by cycle, streams without stalls",
    "synthesised": "synthesis of the generated RTL, before placement",
    "reported": "the tool's report of this build",
    "placed": "place and route of this build",
    "routed": "place and route of this build",
    "estimated": "fpgaflow's cost model, before any synthesis",
}


def provenance_of(source: Any, where: str) -> tuple[Provenance, str]:
    """What a manifest's `source` says, and in words.

    Raises:
        BadInput: it says nothing that is known.
    """
    text = str(source or "")
    word = text.split(":", 1)[0].split(",", 1)[0].split(" ", 1)[0].strip().lower()
    if word not in _PROVENANCE:
        raise BadInput(where, f"has the source {source!r}", f"Build again; known: {', '.join(_PROVENANCE)}")
    return _PROVENANCE[word], text if text != word else WORDS.get(word, text)


@dataclass(frozen=True)
class Build:
    """A finished build: its folder, its manifest, the graph, the board, and the samples that all targets get."""

    folder: Path
    manifest: Mapping[str, Any]
    graph: Graph
    board: Board
    samples: Samples

    def entry(self, *path: str) -> Any:
        node: Any = self.manifest
        for name in path:
            node = node.get(name) if isinstance(node, Mapping) else None
        return node

    @property
    def place(self) -> str:
        return f"{self.board.name}, {self.manifest.get('flow')} flow"


def figure_of(entry: Any, key: str, unit: Unit, build: Build, factor: float = 1.0) -> Figure | None:
    """The figure of a manifest's entry, if it has a value.

    Raises:
        BadInput: it has a value and no source.
    """
    if not isinstance(entry, Mapping) or entry.get(key) is None:
        return None
    provenance, words = provenance_of(entry.get("source"), f"{build.folder}/manifest.json")
    return Figure(float(entry[key]) * factor, unit, provenance, f"{words} ({build.place})")
