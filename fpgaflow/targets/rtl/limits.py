"""What is beyond the generator: sizes for which tables, buffers or trees would take longer than anyone waits."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph, constant_names
from fpgaflow.ir.ops import Conv, Op, Pool
from fpgaflow.ir.ops_merge import OrderedDense, OrderedSum
from fpgaflow.ir.ops_table import CastEach, Piecewise
from fpgaflow.ir.types import type_for
from fpgaflow.targets.rtl.accumulate import order_decides
from fpgaflow.targets.rtl.stream import Beat

SPATIAL_AXES = 2
ELEMENT_BITS = 512
TENSOR_BITS = CONSTANT_BITS = 1 << 26  # twice the block RAM of the largest part of the 7 series
TREE_TERMS = 1 << 12
SEGMENTS = KINDS = 1 << 8
BEAT_BITS = 1 << 17


def beyond(op: Op, graph: Graph) -> list[Problem]:
    """Every limit that an op breaks, with the count."""
    where = f"{type(op).__name__} '{op.name}' (node '{op.node}')"
    return [
        Problem(where, f"has {count:,} {what}, and the RTL generator takes {limit:,} at most", fix)
        for count, what, limit, fix in _counts(op, graph)
        if count > limit
    ]


def beat_problems(name: str, beat: Beat) -> list[Problem]:
    """A layer whose beats a folding has made too wide."""
    if beat.width <= BEAT_BITS:
        return []
    found = f"has beats of {beat.width:,} bits at this rate, and the RTL generator takes {BEAT_BITS:,} at most"
    return [Problem(f"layer '{name}'", found, "Ask for a lower rate")]


def _counts(op: Op, graph: Graph) -> Iterator[tuple[int, str, int, str]]:
    """(count, of what, limit, what to do)."""
    smaller, hls = "Make the layer smaller", "Build it with --flow hls, or leave it out of the hardware"
    tensors = [graph.tensors[name] for name in (*op.inputs, op.output)]
    yield max(tensor.type.width for tensor in tensors), "bits in an element", ELEMENT_BITS, "Quantise it before"
    yield max(prod(t.shape) * t.type.width for t in tensors), "bits in a tensor", TENSOR_BITS, smaller
    constants = [graph.constants[name] for name in constant_names(op)]
    yield sum(map(_bits, constants)), "bits of constants", CONSTANT_BITS, smaller
    if isinstance(op, Conv | Pool):
        yield len(tensors[0].shape) - 1, "spatial axes", SPATIAL_AXES, hls
    if isinstance(op, OrderedSum) and op.tree and order_decides(op, graph):
        yield prod(tensors[0].shape[-2:]), "terms in a sum whose order decides", TREE_TERMS, "Widen its type"
    if isinstance(op, OrderedDense) and (op.bias is not None and _rows(graph.constants[op.bias]) > 1):
        weights, vectors = graph.constants[op.weights], prod(tensors[-1].shape[:-1])
        repeated = vectors * prod(weights.shape[-2:]) * _bits(weights) // weights.size
        yield repeated, "bits of weights, once for each bias", CONSTANT_BITS, smaller
    if isinstance(op, Piecewise):
        yield graph.constants[op.slopes].shape[-1], "segments", SEGMENTS, "Make it a table of fewer bits"
    if isinstance(op, CastEach):
        yield len(np.unique(graph.constants[op.types].reshape(3, -1), axis=1).T), "types", KINDS, hls


def _rows(bias: np.ndarray) -> int:
    return bias.shape[-2] if bias.ndim > 1 else 1


def _bits(array: np.ndarray) -> int:
    return array.size * type_for(int(array.min()), int(array.max()), 0).width if array.size else 0
