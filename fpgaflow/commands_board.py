"""The commands around boards: what goes there and what comes back. One function per command, as in commands.py."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from fpgaflow.console import Console
from fpgaflow.deploy.archive import deploy as write_archive
from fpgaflow.deploy.results import BoardResults

_MEANINGS = {"transfer": "DMA and network", "codes": "with packing", "values": "with packing and quantising"}


def deploy(options: Namespace, console: Console) -> int:
    """Writes the archive of a build; one without a bitstream is written too, and says how to get it."""
    archive = write_archive(Path(options.build), None if options.out is None else Path(options.out))
    console.result(archive.as_json())
    console.text(f"{archive.path}: {len(archive.files)} files", "bold")
    if archive.missing:
        console.text(f"Without {' and '.join(archive.missing)}: {archive.why}", "yellow")
    console.text("Next: copy it to the board, unpack it, and do what its README.md says")
    return 0


def print_results(results: BoardResults, console: Console) -> None:
    """What the board measured, and whether its bits are right."""
    m = results.mismatches
    console.text(f"\nOn the board {results.board} (measured)", "bold")
    console.table(
        ("", "compared", "different values>", "samples>"),
        [
            ("✓" if not m.different else "✗", "board against sim", f"{m.different:,} of {m.values:,}", str(m.samples)),
            ("✓" if not results.different_inputs else "✗", "its quantiser", f"{results.different_inputs:,}", ""),
        ],
    )
    rows = [
        (
            meaning,
            f"{results.latency_us[kind]:,.1f} µs",
            f"{results.samples_per_second[kind]:,.0f}" if kind in results.samples_per_second else "—",
        )
        for kind, meaning in _MEANINGS.items()
        if kind in results.latency_us
    ]
    console.table(("time", "one sample>", f"samples/s in batches of {results.batch}>"), rows)
    if results.interval_us is not None:
        console.text(f"One more sample in a transfer: {results.interval_us:,.2f} µs, without starting DMA or driver")
