"""The report as Markdown: the same figures, each with its provenance behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fpgaflow.comparison.beside import Ratio, beside_text
from fpgaflow.comparison.figures import Figure
from fpgaflow.comparison.judge import Gate, verdict
from fpgaflow.comparison.results import Report
from fpgaflow.comparison.words import GROUPS, LABELS, LAYER_COLUMNS, LETTERS, shown


def markdown(report: Report, gates: Mapping[str, Gate], ratios: Sequence[Ratio]) -> str:
    """The whole report."""
    model = report.model
    lines = [
        f"# {_text(report.title)}",
        "",
        _text(verdict(report)),
        "",
        f"Model {_code(model.source)} ({model.sha256[:12]}), {shown(model.macs)} multiply-adds and "
        f"{shown(model.weight_bits)} weight bits; data: {_text(model.data)}, {model.samples} samples. "
        f"fpgaflow {report.version}, {report.created}.",
        "",
        "Behind each figure: "
        + ", ".join(f"{letter} {kind.value}" for kind, letter in LETTERS.items())
        + ". Sources are in report.json and on the page.",
        "",
        *_table(
            ["", *(_text(target.name) for target in report.targets)],
            [
                ["passes", *("yes" if gates[t.name].passed else _text(gates[t.name].why) for t in report.targets)],
                *(
                    [f"{title}: {LABELS[key]}", *(_cell(t.figures.get(key)) for t in report.targets)]
                    for title, keys in GROUPS
                    for key in keys
                    if any(key in t.figures for t in report.targets)
                ),
            ],
        ),
    ]
    if ratios:
        lines += ["", "## Beside what others published", "", _text(beside_text(ratios)), ""]
        rows = [
            [
                _text(r.what),
                f"{_text(r.ours)}: {_cell(r.our)}",
                f"{_text(r.theirs)}: {_cell(r.their)}",
                f"{_cell(r.ratio)}, {r.standing}",
            ]
            for r in ratios
        ]
        lines += _table(["", "ours", "theirs", "ours / theirs"], rows)
    for target in report.targets:
        lines += ["", f"## {_text(target.name)}", "", _text(target.device), ""]
        lines += [f"- {_text(note)}" for note in target.notes]
        lines += [f"- Failed: {_text(target.failure)}"] if target.failure else []
        lines += [
            f"- {_text(step.left)} against {_text(step.right)}: {shown(step.different)} of {step.values:,} values "
            f"differ, {step.samples} samples ({step.different.provenance})"
            + (f"; {_text(step.excuse)}" if step.excuse else "")
            for step in target.chain
        ]
        lines += [f"- Bottleneck: {_text(target.bottleneck)}"] if target.bottleneck else []
        lines += [f"- {_code(target.command)}"] if target.command else []
        if target.layers:
            names = [n for n in LAYER_COLUMNS if any(n in layer.figures for layer in target.layers)]
            rows = [
                [
                    *map(_text, (layer.name, layer.kind, layer.shape, layer.type, layer.folding)),
                    *(_cell(layer.figures.get(name)) for name in names),
                ]
                for layer in target.layers
            ]
            lines += [
                "",
                *_table(["layer", "kind", "shape", "type", "folding", *(LAYER_COLUMNS[n] for n in names)], rows),
            ]
    return "\n".join([*lines, "", "## Reproduce", "", _code(report.command), ""])


def _cell(figure: Figure | None) -> str:
    return "—" if figure is None else f"{shown(figure)} {LETTERS[figure.provenance]}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _code(text: str) -> str:
    """Inline code, in which nothing is markup."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"


def _text(text: str) -> str:
    """One line that is no markup, and breaks no table."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
