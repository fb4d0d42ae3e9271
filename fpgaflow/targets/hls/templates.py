"""The firmware's templates: where they are, and how they are filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jinja2

from fpgaflow.data import data_dir


def templates() -> Path:
    """The folder `hls_templates/firmware`."""
    return data_dir("hls_templates") / "firmware"


def render(name: str, values: Mapping[str, object]) -> str:
    """The template of that name below `templates()`; a value that it names and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # C++ and Tcl, not HTML
    )
    return environment.get_template(name).render(values)
