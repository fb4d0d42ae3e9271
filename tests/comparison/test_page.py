"""The page: self-contained, readable, and working in a real browser (headless Chromium, where it is installed)."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fpgaflow.comparison.figures import Figure, Key, Provenance
from fpgaflow.comparison.page import render
from fpgaflow.comparison.page.charts import accuracy_chart, layer_rows, pareto
from fpgaflow.comparison.results import Kind, Report, Target
from tests.comparison.reports import figures, report, target

STYLE = (Path(render.__file__).parent / "page.css").read_text(encoding="utf-8")
HOSTILE = "</script><script>document.title='taken'</script>|`x`"


def sample() -> Report:
    other = target("zcu104", latency=9e-6, energy=9e-6, layers=(), accuracy=0.895)
    board_only = Target("board log", Kind.FPGA, "x", figures({Key.ENERGY_SINGLE_BOARD: 1e-5}, Provenance.MEASURED))
    gpu = target("gpu", Kind.GPU, 5e-6, 1e-3, 1e6, layers=(), bottleneck="")
    refused = Target("small", Kind.FPGA, "a small board", {}, failure="needs 91% of the BRAM")
    return report(target("pynq-z2"), other, gpu, board_only, refused)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    render.write_report(sample(), folder)
    return folder / "report.html"


def test_it_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 5_000_000
    assert "default-src 'none'" in text
    outside = text.partition('<script type="application/json" id="data">')[0]
    assert not re.search(r"""(src|href)=["'](?!#)""", outside)
    assert "@import" not in outside and "url(" not in outside


def test_every_badge_leads_to_its_source(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wanted = set(re.findall(r'href="#(source-\d+)"', text))
    assert wanted and wanted <= set(re.findall(r'id="(source-\d+)"', text))


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    made = report(target(HOSTILE, notes=(HOSTILE,), command=HOSTILE))
    render.write_report(made, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>document.title" not in text and html.escape(HOSTILE) in text.replace("&#39;", "&#x27;")
    embedded = re.findall(r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)
    assert json.loads(embedded[0])["targets"][0]["name"] == HOSTILE
    for line in (tmp_path / "report.md").read_text(encoding="utf-8").splitlines():
        assert "<script>" not in re.sub(r"`[^`]*`", "", line.replace("\\`", "")).replace("\\<", "")


def test_markdown_and_json_have_every_figure() -> None:
    made = sample()
    document = render.document(made)
    assert [row["name"] for row in document["targets"]] == [t.name for t in made.targets]
    assert document["pareto"] == ["gpu", "pynq-z2", "zcu104"]
    text = render.markdown(made, render._gates(made), ())
    for words in ("10.0 µs S", "needs 91% of the BRAM", "conv2", "| Fullest resource |", "Bottleneck: conv2"):
        assert (words in text) != (words == "| Fullest resource |")


def test_plots_say_what_they_leave_out() -> None:
    chart = pareto(sample())
    assert {row["target"] for row in chart.spec["data"]["values"]} == {"pynq-z2", "zcu104", "gpu"}
    assert "board log (no latency)" in chart.absent and "small (failed)" in chart.absent
    assert "pynq-z2: 10.0 µs (simulated)" in chart.text
    assert accuracy_chart(report(Target("x", Kind.CPU, "x", {}))) is None
    assert pareto(report(Target("x", Kind.CPU, "x", {}))).spec["data"]["values"] == []
    rows = layer_rows(target())
    assert rows.keys() == {"cycles", "lut", "saturated"} and [r["bottleneck"] for r in rows["cycles"]] == [False, True]


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark, chosen", "dark, the system's"])
def test_text_has_contrast(theme: int) -> None:
    """WCAG 2.1, criterion 1.4.3, level AA: 4.5 to 1, on every ground that text stands on."""
    block = re.findall(r"--ground: #.*?(?=\})", STYLE, re.DOTALL)[theme]
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    assert len(colors) == 19
    grounds = [colors.pop(name) for name in ("ground", "panel", "stripe")]
    colors.pop("line")
    for name, color in colors.items():
        for ground in grounds:
            low, high = sorted((luminance(color), luminance(ground)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, color, ground)


Opened = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, page: Path) -> Iterator[Opened]:
    """Opens the page at a width and in a colour scheme; fails on any console message or request of the page's."""
    problems: list[str] = []
    contexts = []

    def open_page(width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: problems.append(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: problems.append(f"error: {error}"))
        tab.on("request", lambda request: problems.append(request.url) if request.url != page.as_uri() else None)
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready=yes]", timeout=60_000)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_plots_are_drawn(opened: Opened, width: int, scheme: str) -> None:
    tab = opened(width, scheme)
    assert tab.locator("[data-chart=pareto] svg .mark-symbol path").count() >= 3
    assert tab.locator("[data-chart=accuracy] svg .mark-symbol path").count() >= 3
    for metric in ("cycles", "lut", "saturated"):
        assert tab.locator(f"[data-layer-chart={metric}] svg .mark-rect path").count() == 2
    assert tab.locator(".chart[role=img]").count() == tab.locator(".chart[aria-label]").count() == 5
    assert tab.evaluate("document.documentElement.scrollWidth") <= width  # nothing pushes the page sideways


def test_search_and_sorting(opened: Opened) -> None:
    tab = opened()
    rows = tab.locator(".layer-block:not([hidden]) tbody tr:not([hidden]) th")
    assert rows.all_text_contents()[0].startswith("conv1") and tab.text_content("#layer-count") == "2 of 2 layers"
    tab.fill("#layer-search", "CONV2")
    assert rows.count() == 1 and tab.text_content("#layer-count") == "1 of 2 layers"
    tab.fill("#layer-search", "no such layer")
    assert rows.count() == 0
    tab.fill("#layer-search", "")
    cycles = tab.locator("table.layers thead button", has_text="Cycles")
    cycles.click()
    cycles.click()  # down
    assert rows.all_text_contents()[0].startswith("conv2")
    assert tab.locator("th[aria-sort=descending]").count() == 1


def test_theme(opened: Opened) -> None:
    tab = opened(scheme="light")

    def ground() -> str:
        return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))

    light, label = ground(), tab.locator("[data-chart=pareto] svg text").first
    ink = label.get_attribute("fill")
    tab.focus("#theme")
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert ground() != light and tab.get_attribute("#theme", "aria-pressed") == "true"
    tab.wait_for_function(f"document.querySelector('[data-chart=pareto] svg text').getAttribute('fill') !== '{ink}'")
    dark = ground()
    tab.keyboard.press("Enter")
    assert ground() == light != dark
    assert str(opened(scheme="dark").evaluate("getComputedStyle(document.body).backgroundColor")) == dark


def test_keyboard_and_print(opened: Opened) -> None:
    tab = opened()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.className"))
    assert "theme" in reached and any(str(name).startswith("badge") for name in reached)
    tab.emulate_media(media="print")
    assert not tab.locator("nav").is_visible() and tab.locator(".verdict").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white_and_wide_enough(opened: Opened, scheme: str) -> None:
    """A4 between margins of 12 mm: 703 pixels."""
    tab = opened(703, scheme)
    tab.emulate_media(media="print", color_scheme=scheme)
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('.verdict')).color") == "rgb(0, 0, 0)"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 703


def test_a_number_keeps_its_unit() -> None:
    assert render.unbroken("takes ~ $5 and 1.2 µs at most") == "takes ~\xa0$5 and 1.2\xa0µs at most"


def test_backticks_are_code() -> None:
    assert str(render.with_code("run `a <b>` there")) == "run <code>a &lt;b&gt;</code> there"


def test_a_tooltip_is_a_source() -> None:
    figure = next(iter(target().figures.values()))
    assert isinstance(figure, Figure)
    shown = str(render.cell(figure, render.Sources()))
    assert f'title="{figure.provenance}: {figure.source}"' in shown
