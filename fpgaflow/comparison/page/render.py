"""From a report to its three files. A number can only be shown as a Figure: anything else ends the rendering."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from fpgaflow.comparison.beside import Ratio, beside_published, beside_text
from fpgaflow.comparison.figures import Figure, Key, Provenance
from fpgaflow.comparison.judge import Gate, caveats, decision, front, gate, verdict
from fpgaflow.comparison.page.bundle import plot_library
from fpgaflow.comparison.page.charts import (
    Chart,
    accuracy_chart,
    layer_chart,
    layer_rows,
    layer_text,
    pareto,
)
from fpgaflow.comparison.page.markdown import markdown
from fpgaflow.comparison.results import Report, check_figure
from fpgaflow.comparison.words import GROUPS, LABELS, LAYER_COLUMNS, LETTERS, shown
from fpgaflow.files import write_atomic
from fpgaflow.stages import STATE

_FOLDER = Path(__file__).resolve().parent
HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"
SUMMARY = (
    Key.LATENCY_P50,
    Key.ENERGY_SINGLE,
    Key.THROUGHPUT,
    Key.ENERGY_OFFLINE,
    Key.ACCURACY,
    Key.DIFFERENCES,
    Key.UTILISATION,
    Key.COST,
)
MEANINGS = {
    Provenance.MEASURED: "on the hardware itself",
    Provenance.SIMULATED: "cycle by cycle in the generated hardware, or bit by bit in the simulator",
    Provenance.SYNTHESISED: "by a synthesis or implementation tool, of this design",
    Provenance.ESTIMATED: "by a cost model, a power model or a roofline: may be off by a factor",
    Provenance.PUBLISHED: "by others, in the document named",
    Provenance.DEFINED: "exact by definition: counted in the graph, or chosen by the user",
}


class Sources:
    """Numbers the sources in the order in which they are first met, and remembers what they stand for."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Provenance, str], int] = {}

    def number(self, figure: Figure) -> int:
        return self._numbers.setdefault((figure.provenance, figure.source), len(self._numbers) + 1)

    def listed(self) -> list[tuple[Provenance, list[tuple[int, str]]]]:
        """By provenance, the strongest first."""
        return [
            (kind, [(number, text) for (found, text), number in self._numbers.items() if found is kind])
            for kind in Provenance
            if any(found is kind for found, _ in self._numbers)
        ]


def cell(figure: Figure | None, sources: Sources) -> Markup:
    """A figure with its badge, which names and links the source.

    Raises:
        BadInput: what is to be shown is no Figure, so that nobody knows where it comes from.
    """
    if figure is None:
        return Markup('<span class="unknown" title="not known">—</span>')
    check_figure(figure, "the report")
    return Markup('<span class="figure">{}{}</span>').format(shown(figure), badge(figure, sources))


def badge(figure: Figure, sources: Sources) -> Markup:
    """The letter of a figure's provenance: names its source, and leads to it."""
    return Markup('<a class="badge {}" href="#source-{}" title="{text}" aria-label="{text}">{}</a>').format(
        figure.provenance.value,
        sources.number(figure),
        LETTERS[figure.provenance],
        text=f"{figure.provenance}: {figure.source}",
    )


def unbroken(text: str) -> str:
    """Text in which no line ends between a number and what belongs to it."""
    unit = r"[$\d%×/]|[pnµmkMGT]?(?:s|J|W|Hz|/s)\b"
    return re.sub(rf"(?<=[\d~≥≤]) (?={unit})", "\N{NO-BREAK SPACE}", text)


def with_code(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    parts = text.split("`")
    marked = [Markup("<code>{}</code>").format(part) if odd % 2 else escape(part) for odd, part in enumerate(parts)]
    return Markup("").join(marked)


def document(report: Report) -> dict[str, Any]:
    """The report as JSON: every figure with value, unit, provenance and source."""
    gates = _gates(report)
    return {
        "fpgaflow": report.version,
        "title": report.title,
        "created": report.created,
        "command": report.command,
        "model": report.model.as_json(),
        "verdict": verdict(report),
        "max_drop": report.max_drop,
        "swept": list(report.swept),
        "pareto": sorted(front(report.targets)),
        "targets": [
            {**target.as_json(), "passes": gates[target.name].passed, "why": gates[target.name].why}
            for target in report.targets
        ],
        "beside_published": [
            {
                "ours": ratio.ours,
                "theirs": ratio.theirs,
                "what": ratio.what,
                "our": ratio.our.as_json(),
                "their": ratio.their.as_json(),
                "ratio": ratio.ratio.as_json(),
                "standing": ratio.standing,
            }
            for ratio in _ratios(report)
        ],
    }


def _gates(report: Report) -> dict[str, Gate]:
    return {target.name: gate(target, report.targets, report.max_drop) for target in report.targets}


def _ratios(report: Report) -> tuple[Ratio, ...]:
    return beside_published(report.targets)


def html(report: Report, library: str) -> str:
    """The page. `library` is the plotting script."""
    sources = Sources()
    charts: list[Chart] = [pareto(report)]
    if (accuracies := accuracy_chart(report)) is not None:
        charts.append(accuracies)
    layered = [target for target in report.targets if target.layers]
    layer_data = {target.name: layer_rows(target) for target in layered}
    metrics = [name for name in LAYER_COLUMNS if any(name in rows for rows in layer_data.values())]
    data = {
        "charts": {chart.name: chart.spec for chart in charts},
        "layers": layer_data,
        "layerCharts": {metric: layer_chart(metric) for metric in metrics},
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(
        report=report,
        decision=unbroken(decision(report)),
        caveats=unbroken(caveats(report)),
        gates=_gates(report),
        front=front(report.targets),
        charts={chart.name: chart for chart in charts},
        layered=layered,
        layer_texts={t.name: layer_text(t, list(layer_data[t.name])) for t in layered if layer_data[t.name]},
        metrics=metrics,
        layer_titles=LAYER_COLUMNS,
        summary=[key for key in SUMMARY if any(key in target.figures for target in report.targets)],
        groups=[
            (title, known)
            for title, keys in GROUPS
            if (known := [key for key in keys if any(key in target.figures for target in report.targets)])
        ],
        layer_columns=[
            (name, title)
            for name, title in LAYER_COLUMNS.items()
            if any(name in layer.figures for target in layered for layer in target.layers)
        ],
        ratios=_ratios(report),
        beside=unbroken(beside_text(_ratios(report))),
        with_code=with_code,
        labels=LABELS,
        meanings=MEANINGS,
        letters=LETTERS,
        cell=lambda figure: cell(figure, sources),
        badge=lambda figure: badge(figure, sources),
        sources=sources,
        css=_asset("page.css"),
        script=_asset("page.js"),
        library=Markup(library),  # noqa: S704  # a library out of a pinned package, made fit for <script>
        data=_embedded(data),
        document=_embedded(document(report)),
    )


def _asset(name: str) -> Markup:
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704  # a file of this package


def _embedded(value: Any) -> Markup:
    """JSON for inside a <script> element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704


def write_report(report: Report, out: Path) -> tuple[Path, ...]:
    """Writes report.html, report.md and report.json into `out`, each whole.

    Raises:
        BadInput: a figure without provenance; then nothing is written.
        MissingTool: the plotting library is not installed.
    """
    report.check()
    files = {
        HTML: html(report, plot_library(out / STATE)),
        MARKDOWN: markdown(report, _gates(report), _ratios(report)),
        JSON: json.dumps(document(report), indent=2, ensure_ascii=False) + "\n",
    }
    for name, content in files.items():
        write_atomic(out / name, content)
    return tuple(out / name for name in files)
