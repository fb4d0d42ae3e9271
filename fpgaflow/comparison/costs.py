"""What a unit costs: a price that a document names is published, any other is rough and says so."""

from __future__ import annotations

from fpgaflow.comparison.figures import Figure, Limit, Provenance, Unit
from fpgaflow.comparison.power import data_table


def board_cost(name: str) -> Figure | None:
    """The price of a board in data/costs.toml; None where there is none."""
    entry = data_table("costs").get(name)
    if entry is None:
        return None
    if "document" in entry:
        return published_cost(entry["usd"], entry["document"])
    source = f"about {entry['about']}; no document at hand confirms it: --cost {name}=USD puts your price in"
    return Figure(float(entry["usd"]), Unit.DOLLARS, Provenance.ESTIMATED, source, Limit.ROUGH)


def published_cost(usd: float, document: str) -> Figure:
    """A price that the document names."""
    return Figure(float(usd), Unit.DOLLARS, Provenance.PUBLISHED, document)
