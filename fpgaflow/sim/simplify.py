"""What the fast engine leaves out where only a graph's outputs are asked for: the graph computes the same ones."""

from __future__ import annotations

from dataclasses import replace

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Op
from fpgaflow.ir.ops_merge import Pad
from fpgaflow.ir.verify import verify
from fpgaflow.passes.casts import drop_identity_casts
from fpgaflow.passes.rewrite import rebuilt


def simplified(graph: Graph) -> Graph:
    """The graph without casts that change nothing, and with zeros around a convolution as its padding.

    Its outputs are in the same order; their tensors may have other names.
    """
    return verify(_fold_pads(drop_identity_casts(graph)), "simplified")


def _fold_pads(graph: Graph) -> Graph:
    return rebuilt(graph, [_padded(op, graph) for op in graph.ops])


def _padded(op: Op, graph: Graph) -> Op:
    pad = graph.producers.get(op.inputs[0])
    if not isinstance(op, Conv) or not isinstance(pad, Pad) or pad.value != 0 or any(pad.padding[-1]):
        return op
    sums = zip(op.padding, pad.padding, strict=False)
    padding = tuple((inner[0] + outer[0], inner[1] + outer[1]) for inner, outer in sums)
    return replace(op, inputs=pad.inputs, padding=padding)
