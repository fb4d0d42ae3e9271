"""An hls4ml ModelGraph, after its backend's flow, as a graph: what its firmware computes, bit for bit.

Types are read from the layers as they are, never from the configuration that asked for them.
"""

from __future__ import annotations

from typing import Any

from fpgaflow.errors import Problem, UnsupportedModel
from fpgaflow.frontend.hls4ml.layers import READERS, clone, threshold
from fpgaflow.frontend.hls4ml.linear import dense
from fpgaflow.frontend.hls4ml.merge import concatenate
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.verify import verify

BACKENDS = ("Vivado", "VivadoAccelerator", "Vitis", "fpgaflow")


_FLAT = (
    "it reads a flattened stream, whose beats hls4ml leaves shorter than this layer takes them: data is lost",
    "Put this layer before the flattening, or use io_parallel",
)


def from_hls4ml(model: Any) -> Graph:
    """What an hls4ml model computes, as a graph; tensors are named like hls4ml's layers.

    Args:
        model: `hls4ml.model.ModelGraph` of the Vivado or Vitis backend, as its converters return it.

    Raises:
        UnsupportedModel: with a problem for every layer whose arithmetic a graph cannot hold exactly.
    """
    backend = getattr(model.config.backend, "name", None)
    if backend not in BACKENDS:
        found = f"backend '{backend}' has other arithmetic"
        raise UnsupportedModel([Problem("hls4ml model", found, f"Convert it with one of {', '.join(BACKENDS)}")])
    reader = Reader(model)
    problems = _shared_type_names(model)
    unread: set[str] = set()  # what a refused layer gives
    for layer in model.get_layers():
        try:
            if unread & set(layer.inputs):
                unread.update(layer.outputs)
            else:
                _read(reader, layer)
        except RefusedError as refused:
            problems.append(Problem(f"layer '{layer.name}' ({layer.class_name})", str(refused), refused.fix))
            unread.update(layer.outputs)
    if problems:
        raise UnsupportedModel(problems)
    return verify(reader.graph(), "frontend.hls4ml")


def _read(reader: Reader, layer: Any) -> None:
    if (read := READERS.get(layer.class_name)) is None:
        raise RefusedError("this layer is not supported")
    if reader.flat & set(layer.inputs) and read not in (dense, threshold, clone, concatenate):
        raise RefusedError(*_FLAT)
    read(reader, layer)


def _shared_type_names(model: Any) -> list[Problem]:
    """hls4ml writes one typedef per type name, the first it meets: a second type of that name would be lost."""
    first: dict[str, str] = {}
    problems = []
    for layer in model.get_layers():
        for name, type_ in layer.get_layer_precision().items():
            text = str(type_.precision)
            if first.setdefault(name, text) != text:
                found = f"type name '{name}' stands for {first[name]} and {text}"
                fix = "Give each type its own name"
                problems.append(Problem(f"layer '{layer.name}'", found, fix))
    return problems
