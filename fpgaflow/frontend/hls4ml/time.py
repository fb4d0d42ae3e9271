"""hls4ml's TimeDistributed: two marks around layers that run once for each step of the first axis.

The first mark reads the last step, so that the layers between have the results that hls4ml's trace leaves of them; the
second repeats what they do for the other steps (`nnet_time_distributed.h`, `recurrent_templates.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError
from fpgaflow.ir.graph import rename_inputs
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops import Reshape
from fpgaflow.ir.ops_merge import Concat, Take

_MAX_RANK = 4  # of what nnet_time_distributed.h reads and writes


def time_distributed(reader: Reader, layer: Any) -> None:
    if reader.stream:
        raise RefusedError("hls4ml's TimeDistributed does not compile in io_stream", "Use io_parallel")
    types = [str(variable.type.precision) for variable in (layer.get_input_variable(), layer.get_output_variable())]
    if types[0] != types[1]:
        raise RefusedError(f"from {types[0]} to {types[1]}: hls4ml's C++ does not compile", "Give both the same type")
    if layer.get_attr("wrapped_layer").name == f"{layer.name}_end":
        _start(reader, layer)
    else:
        _end(reader, layer)


def _start(reader: Reader, layer: Any) -> None:
    source = reader.source(layer)
    if len(source.shape) > _MAX_RANK:
        raise RefusedError(f"input {source.shape}: hls4ml takes up to {_MAX_RANK} axes")
    if readers := _misled(layer):
        raise RefusedError(f"{', '.join(readers)} read it too: hls4ml gives only one reader what comes out of it")
    op = _step(reader, layer, source.name, source.shape[0] - 1, layer.outputs[0])
    reader.named(layer, op, source.shape[1:], source.type)


def _misled(layer: Any) -> list[str]:
    """The layers outside that read the first mark: expand_time_distributed.py gives the second one reader alone."""
    nodes = list(layer.model.get_layers())
    last = next(number for number, node in enumerate(nodes) if node.name == f"{layer.name}_end")
    return [node.name for node in nodes[last + 1 :] if layer.outputs[0] in node.inputs]


def _end(reader: Reader, layer: Any) -> None:
    start, inner, node = layer.get_attr("wrapped_layer"), reader.source(layer), layer.name
    first, source = start.outputs[0], reader.source(start)
    if len(inner.shape) >= _MAX_RANK:
        raise RefusedError(f"results {inner.shape} for each step: hls4ml takes up to {_MAX_RANK - 1} axes")
    body, steps = _behind(reader.ops, first), source.shape[0]
    results = []
    for step in range(steps - 1):
        names = {tensor: f"{tensor}.{step}" for tensor in (first, *(op.output for op in body))}
        reader.emit(_step(reader, start, source.name, step, names[first]), source.shape[1:], source.type)
        for op in body:
            copy = replace(rename_inputs(op, names), name=f"{op.name}.{step}", output=names[op.output])
            made = reader.tensors[op.output]
            reader.emit(copy, made.shape, made.type)
        results.append(names.get(inner.name, inner.name))
    rows = []
    for step, result in enumerate([*results, inner.name]):
        row = f"{node}.row.{step}"
        rows.append(reader.emit(Reshape(row, (result,), row, node), (1, *inner.shape), inner.type).name)
    name = layer.outputs[0]
    joined = Concat(name, tuple(rows), name, node, 0) if steps > 1 else Reshape(name, (rows[0],), name, node)
    reader.named(layer, joined, (steps, *inner.shape), inner.type)


def _step(reader: Reader, layer: Any, source: str, step: int, name: str) -> Reshape:
    """The op that makes step `step` of `source` the tensor `name`."""
    tensor, taken = reader.tensors[source], f"{name}.taken"
    reader.constants[f"{taken}.indices"] = np.array([step])
    take = Take(taken, (source,), taken, layer.name, f"{taken}.indices", 0)
    reader.emit(take, (1, *tensor.shape[1:]), tensor.type)
    return Reshape(name, (taken,), name, layer.name)


def _behind(ops: list[Op], first: str) -> list[Op]:
    """The ops that depend on the tensor `first`."""
    reached, found = {first}, []
    for op in ops:
        if reached & set(op.inputs):
            reached.add(op.output)
            found.append(op)
    return found
