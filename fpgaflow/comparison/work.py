"""What one sample asks of any target: multiply-adds, weights, activations, kernels; counted in the integer graph."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Dense, Linear, Pool
from fpgaflow.ir.ops_merge import MatMul


@dataclass(frozen=True)
class Work:
    """Of one sample. `kernels` counts the ops that an accelerator cannot fuse into another: products and pools.

    `weights` and `io_elements` take a byte each on int8 accelerators; `weight_bits` is exact.
    """

    macs: int
    weights: int
    weight_bits: int
    io_elements: int
    products: int
    kernels: int


def work_of(graph: Graph) -> Work:
    """Counts of a graph."""
    linear = [op for op in graph.ops if isinstance(op, Linear)]
    weights = sum(graph.constants[op.weights].size for op in linear)
    bits = sum(graph.constants[op.weights].size * op.weight_type.width for op in linear)
    names = [port.tensor for port in graph.inputs] + [port.tensor for port in graph.outputs]
    elements = sum(prod(graph.tensors[name].shape) for name in names)
    products = sum(isinstance(op, Linear | MatMul) for op in graph.ops)
    pools = sum(isinstance(op, Pool) for op in graph.ops)
    return Work(macs_of(graph), weights, bits, elements, products, max(1, products + pools))


def macs_of(graph: Graph) -> int:
    """Multiply-adds of one sample."""
    total = 0
    for op in graph.ops:
        out = graph.tensors[op.output].shape
        match op:
            case Dense():
                total += prod(out[:-1]) * graph.constants[op.weights].size
            case Conv():
                total += prod(out) * prod(graph.constants[op.weights].shape[:-1])
            case MatMul():
                total += prod(out) * graph.tensors[op.inputs[0]].shape[-1]
    return total
