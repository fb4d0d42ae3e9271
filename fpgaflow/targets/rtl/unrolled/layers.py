"""The layers of unrolled ops: the constants of a matrix as a network of adders in a pipeline."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Dense, Op
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.cores import conv, dense
from fpgaflow.targets.rtl.fold import Fold
from fpgaflow.targets.rtl.layers import converted
from fpgaflow.targets.rtl.mvu import Matrix
from fpgaflow.targets.rtl.stream import Beat, Chain, Stage
from fpgaflow.targets.rtl.unrolled.activation import activation_of
from fpgaflow.targets.rtl.unrolled.component import Unrolled
from fpgaflow.targets.rtl.unrolled.network import Network
from fpgaflow.targets.rtl.unrolled.share import shared_sums


def unrolled_layer(op: Dense | Conv, absorbed: tuple[Op, ...], graph: Graph, fold: Fold, source: Beat) -> Chain:
    """The layer of an op with its products in adders, and the ops that it absorbs. It has no FIFO at its end."""

    def unit(matrix: Matrix, source: FixedType, _fold: Fold) -> Stage:
        return unrolled(matrix, source, absorbed, graph)

    core = conv(op, graph, fold, 1, unit) if isinstance(op, Conv) else dense(op, graph, fold, 1, unit)
    return Chain([*converted(source, op.inputs[0], graph, core[0][1].source.lanes), *core])


def unrolled(matrix: Matrix, source: FixedType, absorbed: tuple[Op, ...], graph: Graph) -> Unrolled:
    """The component for a matrix of one group."""
    weights = matrix.weights[0].astype(object) << matrix.lift
    network = _network(weights.shape, tuple(weights.ravel().tolist()), source)
    bias, accum = [int(v) for v in matrix.bias[0]], matrix.accum
    wraps = any(lowest < accum.low or highest > accum.high for lowest, highest in _reach(weights, bias, source))
    activation = activation_of(absorbed, graph, accum, exact=not wraps)
    result = graph.type_of(absorbed[-1].output) if absorbed else accum
    return Unrolled(network, source, bias, accum, activation, result, wraps=wraps)


@lru_cache(maxsize=64)
def _network(shape: tuple[int, int], weights: tuple[int, ...], source: FixedType) -> Network:
    taps = shape[0]
    offset = -(1 << (source.width - 1)) if source.signed else 0
    matrix = np.array(weights, dtype=object).reshape(shape)
    return shared_sums(matrix, [(0, (1 << source.width) - 1)] * taps, [offset] * taps)


def _reach(weights: np.ndarray, bias: list[int], source: FixedType) -> list[tuple[int, int]]:
    """The lowest and the highest sum of each filter."""
    ends = [weights * source.low, weights * source.high]
    lows = np.minimum(*ends).sum(axis=0) + np.array(bias, dtype=object)
    highs = np.maximum(*ends).sum(axis=0) + np.array(bias, dtype=object)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))
