"""Which ops of a graph are unrolled, each with what follows it at once, and about what they take.

A dense or convolution is unrolled where its folding leaves nothing to fold: all filters and all taps at a time. Its
weights are constants then, and adders cost less than multipliers.
"""

from __future__ import annotations

from collections.abc import Mapping

from fpgaflow.cost.parts import Cost
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Conv, Dense, Op, Relu
from fpgaflow.sim.kernels import lift
from fpgaflow.targets.rtl.fold import Fold
from fpgaflow.targets.rtl.unrolled.digits import digit_count

MAX_DIGITS = 12_000  # of a matrix: finding what it shares takes about a minute there
ABSORBED: tuple[type[Op], ...] = (Cast, Relu)


def unrolled_groups(graph: Graph, folds: Mapping[str, Fold]) -> dict[str, tuple[Op, ...]]:
    """The ops that are unrolled, by name, with those that are absorbed into each."""
    readers = {name: [op for op in graph.ops for source in op.inputs if source == name] for name in graph.tensors}
    shown = {port.tensor for port in graph.outputs}
    groups = {}
    for op in graph.ops:
        if not is_unrolled(op, graph, folds[op.name]):
            continue
        absorbed: list[Op] = []
        last = op
        while last.output not in shown and len(after := readers[last.output]) == 1 and isinstance(after[0], ABSORBED):
            last = after[0]
            absorbed.append(last)
        groups[op.name] = tuple(absorbed)
    return groups


def is_unrolled(op: Op, graph: Graph, fold: Fold) -> bool:
    """Whether a folding takes all of an op's weights at a time, products keep their bits, and they are not too many."""
    if not isinstance(op, Dense | Conv) or (isinstance(op, Conv) and op.groups > 1) or lift(op, graph) < 0:
        return False
    weights = graph.constants[op.weights]
    whole = (fold.simd, fold.pe) == (weights.size // weights.shape[-1], weights.shape[-1])
    return whole and digit_count(weights) <= MAX_DIGITS


def unrolled_cost(op: Dense | Conv, graph: Graph) -> Cost:
    """LUTs and registers of the adders: each digit of a weight took 2.9, 3.9 and 4.6 LUTs of inputs of 4, 6 and 8 bits
    in a trained 16-64-32-32-5 perceptron (synthesised by Yosys), and a constant and a cast 14 each output."""
    weights, width = graph.constants[op.weights], graph.type_of(op.inputs[0]).width
    lut = digit_count(weights) * (1.2 + 0.43 * width) + 14 * weights.shape[-1]
    return Cost(lut, lut / 4, 0, 0, 1, 2)
