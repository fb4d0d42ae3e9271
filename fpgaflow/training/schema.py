"""Frozen dataclasses from YAML, strictly: an unknown key, a wrong type or a value out of range is named by its path."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from fpgaflow.errors import BadInput

_Record = TypeVar("_Record")


def within(default: Any, low: float, high: float) -> Any:
    """A field that `check_ranges` holds to low..high, both included; None stays None."""
    return dataclasses.field(default=default, metadata={"range": (low, high)})


def check_ranges(record: Any, where: str) -> None:
    """Raises BadInput for the first field of the dataclass that is outside its `within`; `where` is its path."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if "range" not in field.metadata or value is None:
            continue
        low, high = field.metadata["range"]
        if not low <= value <= high:
            raise BadInput(f"{where}.{field.name}", f"{value} is out of range", f"Give {low:g} to {high:g}.")


def load_section(kind: type[_Record], path: Path, name: str) -> _Record | None:
    """The dataclass `kind` from the section `name` of a YAML file; None where the file has no such section.

    Raises:
        BadInput: no such file, no YAML, an unknown key, or a value of the wrong type or range.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        found = f"cannot be read: {' '.join(str(error).split())}"
        raise BadInput(str(path), found, "Name a fpgaflow.yaml; `fpgaflow init` writes one.") from None
    section = document.get(name) if isinstance(document, dict) else None
    if section is None:
        return None
    if not isinstance(section, dict):
        found = f"has no section '{name}:' with keys below it"
        raise BadInput(str(path), found, "See docs/training.md for its keys.")
    try:
        return build(kind, section, name)
    except BadInput as error:
        problem = error.problem
        raise BadInput(f"{path}: {problem.where}", problem.found, problem.fix) from None


def build(kind: type[_Record], section: Any, where: str) -> _Record:
    """The dataclass `kind` from a YAML mapping; keys that are left out keep their defaults.

    Field types are those that YAML has, enums of text, tuples of one type, mappings from text, other dataclasses, and
    each of them or None. Instead of a mapping the value of the first field may stand alone: `dataset: digits`.

    Raises:
        BadInput: names the key by its path below `where`.
    """
    if isinstance(section, str | int | float):
        section = {_names(kind)[0]: section}
    if not isinstance(section, dict):
        raise BadInput(where, f"{section!r} is no mapping", f"Write keys below it: {', '.join(_names(kind))}.")
    hints = get_type_hints(kind)
    values = {}
    for key, value in section.items():
        if key not in _names(kind):
            raise BadInput(f"{where}.{key}", "is not a known key", suggest(str(key), _names(kind), "Known keys"))
        values[key] = _value(hints[key], value, f"{where}.{key}")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # every caller gives a dataclass
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in values:
            raise BadInput(f"{where}.{field.name}", "is missing", "Add it.")
    return kind(**values)


def suggest(wrong: str, known: Iterable[str], what: str) -> str:
    """'Did you mean x? What: x, y.'"""
    names = list(known)
    near = difflib.get_close_matches(wrong, names, 1)
    return f"{f'Did you mean {near[0]}? ' if near else ''}{what}: {', '.join(names)}."


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _value(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is UnionType:
        if value is None:
            return None
        (kind,) = (member for member in get_args(kind) if member is not NoneType)
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)  # type: ignore[arg-type]  # a class, by the annotations
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise BadInput(where, f"{value!r} is no list", "Write it as [a, b].")
        return tuple(_value(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            raise BadInput(where, f"{value!r} is no mapping", "Write it as {name: value}.")
        return {str(key): _value(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    return _scalar(kind, value, where)


def _scalar(kind: type, value: Any, where: str) -> Any:
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise BadInput(where, f"{value!r} is unknown", suggest(str(value), kind, "Known"))
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        hint = " YAML reads 1e-3 as text: write 0.001." if kind is float else ""
        raise BadInput(where, f"{value!r} is no {kind.__name__}", f"Give one {kind.__name__}.{hint}")
    return value
