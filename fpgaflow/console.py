"""What people and machines see: tables and progress for the former, one JSON object for the latter."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import rich.console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fpgaflow.errors import FpgaflowError, ModelNote

_DETAIL_WIDTH = 60
_PIPE_WIDTH = 1000  # nothing is folded for a program that reads along


class Meter:
    """One progress line: `stage` names what is going on, `count` fills the bar."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None) if bar is not None else None

    def stage(self, name: str, detail: str = "") -> None:
        if self._bar is not None and self._task is not None:
            text = f"{name} {detail[:_DETAIL_WIDTH]}".strip()
            self._bar.update(self._task, description=escape(text), total=None, completed=0)

    def count(self, done: int, total: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)


class _Rich(rich.console.Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the command line: rich would exit with status 1, which means something else here."""
        raise BrokenPipeError


class Console:
    """Prints results on stdout; progress, notes and errors go to stderr."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        self._out = _Rich(highlight=False, soft_wrap=width is not None, width=width)
        self._err = _Rich(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """A remark for people."""
        self._err.print(escape(text), style="dim", soft_wrap=True)

    @contextmanager
    def notes(self) -> Iterator[None]:
        """Shows what the block warns of by ModelNote as notes."""
        with warnings.catch_warnings():
            otherwise = warnings.showwarning

            def show(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if issubclass(category, ModelNote):
                    self.note(str(message))
                else:
                    otherwise(message, category, filename, lineno, file, line)

            warnings.showwarning = show
            warnings.simplefilter("always", ModelNote)
            yield

    def text(self, text: str, style: str = "") -> None:
        """A line of the result, for people only."""
        if not self.as_json:
            self._out.print(escape(text), style=style or None)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
        """Part of the result, for people only; columns whose name ends in `>` are right-aligned."""
        if self.as_json:
            return
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
        )
        for name in columns:
            table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._out.print(table)

    def result(self, document: Mapping[str, Any]) -> None:
        """The result, for machines only."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2) + "\n")

    def failed(self, error: FpgaflowError) -> int:
        """Tells what went wrong; returns the exit status."""
        problems = [vars(problem) for problem in error.problems]
        self.result({"error": type(error).__name__, "message": str(error), "problems": problems})
        self.explain(error)
        return error.exit_code

    def explain(self, error: FpgaflowError) -> None:
        """What went wrong, for people: on stderr."""
        for problem in error.problems:
            self._err.print(f"[bold red]✗[/] [bold]{escape(problem.where)}[/]: {escape(problem.found)}", soft_wrap=True)
            self._err.print(f"  {escape(problem.fix)}", style="dim", soft_wrap=True)

    @contextmanager
    def meter(self) -> Iterator[Meter]:
        """A progress line while the block runs, on a terminal."""
        if not self._err.is_terminal:
            yield Meter(None)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._err, transient=True) as bar:
            yield Meter(bar)
