"""Graphs on disk: `graph.json` for the structure, `graph.safetensors` beside it for the constants. No pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save

from fpgaflow.errors import BadInput, BrokenGraph
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import OPS
from fpgaflow.ir.verify import verify

FORMAT = 1
# What reading a file that is no saved graph, or verifying one that was changed, can raise.
_DAMAGE: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
_DAMAGE += (RecursionError, SafetensorError, BrokenGraph)


def save_graph(graph: Graph, path: Path) -> None:
    """Writes `path` (JSON) and its constants beside it (same name, `.safetensors`)."""
    document, constants = to_bytes(graph)
    write_atomic(path.with_suffix(".safetensors"), constants)
    write_atomic(path, document)


def to_bytes(graph: Graph) -> tuple[bytes, bytes]:
    """The graph's JSON and its constants as safetensors."""
    constants = {name: np.ascontiguousarray(array) for name, array in graph.constants.items()}
    document = {
        "format": FORMAT,
        "name": graph.name,
        "digest": graph.digest,
        "inputs": [_plain(port) for port in graph.inputs],
        "outputs": [_plain(port) for port in graph.outputs],
        "tensors": [_plain(tensor) for tensor in graph.tensors.values()],
        "ops": [{"op": type(op).__name__, **_plain(op)} for op in graph.ops],
    }
    return (json.dumps(document, indent=1) + "\n").encode(), save(constants)


def load_graph(path: Path) -> Graph:
    """The graph that `save_graph` wrote.

    Raises:
        BadInput: the files are missing, damaged, of another format, or do not belong together.
    """
    return _graph(str(path), path.read_bytes, lambda: load_file(path.with_suffix(".safetensors")))


def from_bytes(document: bytes, constants: bytes) -> Graph:
    """The graph that `to_bytes` was given; raises as `load_graph` does."""
    return _graph("graph", lambda: document, lambda: load(constants))


def _graph(where: str, read: Callable[[], bytes], read_constants: Callable[[], dict[str, np.ndarray]]) -> Graph:
    try:
        document = json.loads(read())
        if document["format"] != FORMAT:
            raise BadInput(where, f"graph format {document['format']}", f"This fpgaflow reads format {FORMAT}")
        kinds = {kind.__name__: kind for kind in OPS}
        ops = tuple(_built(kinds[entry.pop("op")], entry) for entry in document["ops"])
        tensors = [_built(Tensor, entry) for entry in document["tensors"]]
        graph = Graph(
            name=document["name"],
            inputs=tuple(_built(Input, entry) for entry in document["inputs"]),
            outputs=tuple(_built(Output, entry) for entry in document["outputs"]),
            ops=ops,
            tensors={tensor.name: tensor for tensor in tensors},
            constants=read_constants(),
        )
        verify(graph, "load")
    except OSError as error:
        raise BadInput(
            where, f"cannot be read ({error.strerror or error})", "Give a graph that fpgaflow saved"
        ) from None
    except _DAMAGE as error:
        raise BadInput(where, f"is no whole saved graph ({error})", "Build it again") from None
    if graph.digest != document["digest"]:
        raise BadInput(where, "its digest does not match its contents", "Build it again")
    return graph


def _plain(value: Any) -> Any:
    """A dataclass as JSON-ready values."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _built(kind: Any, value: Any) -> Any:
    """The inverse of `_plain`, led by the dataclass's own type hints."""
    if get_origin(kind) in (Union, UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return None if value is None else _built(options[0], value)
    if get_origin(kind) is tuple:
        item = get_args(kind)
        if len(item) == 2 and item[1] is Ellipsis:
            return tuple(_built(item[0], v) for v in value)
        return tuple(_built(k, v) for k, v in zip(item, value, strict=True))
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        if unknown := value.keys() - hints.keys():
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
        make: Callable[..., Any] = kind  # type: ignore[assignment]
        return make(**{name: _built(hint, value[name]) for name, hint in hints.items()})
    if kind is Fraction or issubclass(kind, Enum):
        return kind(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"expected {kind.__name__}, found {value!r}")
    return value
