"""Each rule of the legality table is broken once: the graph that was legal before is refused, and the op is named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from fpgaflow.errors import BrokenGraph
from fpgaflow.ir.bounds import accumulator, pool_sum_type, sum_type
from fpgaflow.ir.graph import Graph, Input, Output, Source, Tensor
from fpgaflow.ir.ops import OPS, Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import RULES, verify
from tests.graphs import graphs

S4, S8 = FixedType(True, 4, 1), FixedType(True, 8, 1)


def legal() -> Graph:
    """One op of each kind, in a chain but for the addition."""
    ops: list[Op] = []
    tensors = {"x": Tensor("x", (4, 4, 2), S4)}
    constants = {
        "conv.w": np.ones((3, 3, 2, 4), dtype=np.int64),
        "conv.b": np.full(4, -8),
        "act.t": np.tile(np.arange(-3, 4) * 4, (4, 1)),
        "act.s": np.array([1, -1, 1, 1]),
        "fc.w": np.ones((16, 3), dtype=np.int64),
    }

    def add(op: Op, shape: tuple[int, ...], type_: FixedType) -> None:
        ops.append(op)
        tensors[op.output] = Tensor(op.output, shape, type_, Source("m", tuple(range(len(shape))), shape, Fraction(1)))

    weight, bias = FixedType(False, 1, 0), FixedType(True, 4, 0)
    accum = accumulator(constants["conv.w"], weight, constants["conv.b"], bias, S4)
    places = ((1, 1), (1, 1), ((1, 1), (1, 1)), 1)
    add(Conv("conv", ("x",), "a", "n", "conv.w", weight, "conv.b", bias, accum, *places), (4, 4, 4), accum)
    add(Threshold("act", ("a",), "b", "n", "act.t", "act.s", 1, -3, 2), (4, 4, 4), S4)
    add(Pool("max", ("b",), "c", "n", PoolKind.MAX, (1, 1), (1, 1), ((0, 0), (0, 0))), (4, 4, 4), S4)
    mean = pool_sum_type(S4, 4, padded=False, extra_fraction=2)
    add(Pool("mean", ("c",), "d", "n", PoolKind.AVERAGE, (2, 2), (2, 2), ((0, 0), (0, 0))), (2, 2, 4), mean)
    add(Relu("relu", ("d",), "e", "n"), (2, 2, 4), FixedType(False, 5, 3))
    add(Transpose("move", ("e",), "f", "n", (2, 0, 1)), (4, 2, 2), FixedType(False, 5, 3))
    add(Reshape("flat", ("f",), "g", "n"), (16,), FixedType(False, 5, 3))
    add(Cast("cast", ("g",), "h", "n", Rounding.RND, Overflow.SAT), (16,), S4)
    add(Add("add", ("h", "h"), "i", "n"), (16,), sum_type(S4, S4))
    accum = accumulator(constants["fc.w"], weight, None, None, sum_type(S4, S4))
    add(Dense("fc", ("i",), "y", "n", "fc.w", weight, None, None, accum), (3,), accum)
    port = Input("x", "x", Fraction(2), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7)
    output = Output("y", "y", (Fraction(1),) * 3, (Fraction(0),), 0)
    return Graph("legal", (port,), (output,), tuple(ops), tensors, constants)


def test_legal() -> None:
    graph = legal()
    assert verify(graph, "nothing") is graph
    assert {type(op) for op in graph.ops} == {op for op in OPS if op.__module__ == "fpgaflow.ir.ops"}
    assert set(OPS) == set(RULES)


@given(graphs())
@settings(max_examples=20)
def test_random_graphs_are_legal(graph: Graph) -> None:
    verify(graph, "nothing")


def changed(name: str, /, **fields: Any) -> Graph:
    graph = legal()
    return replace(graph, ops=tuple(replace(op, **fields) if op.name == name else op for op in graph.ops))


def retyped(name: str, **fields: Any) -> Graph:
    graph = legal()
    return replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], **fields)})


def refilled(name: str, array: Any) -> Graph:
    graph = legal()
    return replace(graph, constants={**graph.constants, name: np.asarray(array)})


def dropped(op: str) -> Graph:
    graph = legal()
    return replace(graph, ops=tuple(o for o in graph.ops if o.name != op))


def retyped_extra() -> Graph:
    graph = legal()
    return replace(graph, tensors={**graph.tensors, "q": Tensor("q", (1,), S4)})


def ported(**fields: Any) -> Graph:
    graph = legal()
    return replace(graph, inputs=(replace(graph.inputs[0], **fields),))


def ported_out(**fields: Any) -> Graph:
    graph = legal()
    return replace(graph, outputs=(replace(graph.outputs[0], **fields),))


def sourced(perm: tuple[int, ...], shape: tuple[int, ...]) -> Graph:
    return retyped("e", source=Source("m", perm, shape, Fraction(1)))


def mean_of_three() -> Graph:
    graph = changed("mean", size=(3, 1), strides=(1, 3))
    return replace(graph, tensors={**graph.tensors, "d": Tensor("d", (2, 2, 4), graph.tensors["d"].type)})


WIDE = FixedType(True, 30, 1)
BROKEN = {
    "two ops of one name": (lambda: changed("max", name="mean"), "two ops are named 'mean'"),
    "an unknown input": (lambda: changed("relu", inputs=("q",)), "'relu' reads 'q' before it is made"),
    "an op too early": (lambda: replace(legal(), ops=legal().ops[::-1]), "before it is made"),
    "an unknown constant": (lambda: changed("fc", weights="q"), "'fc' reads no constant 'q'"),
    "a tensor made twice": (lambda: changed("relu", output="d"), "'d' is made twice"),
    "an input made again": (lambda: changed("relu", output="x"), "'x' is made twice"),
    "a lost op": (lambda: dropped("fc"), "output 'y' is never made"),
    "an unused constant": (lambda: refilled("q", [1]), "constant 'q' is never read"),
    "a constant of floats": (lambda: refilled("fc.w", np.ones((16, 3))), "'fc.w' is float64, not int64"),
    "two inputs, one tensor": (lambda: replace(legal(), inputs=legal().inputs * 2), "two inputs share a tensor"),
    "a tensor from nowhere": (retyped_extra, "tensor 'q' is never made"),
    "a tensor without a type": (lambda: replace(legal(), tensors={}), "tensor 'x' has no type"),
    "an absurd type": (lambda: retyped("e", type=FixedType(True, 10**12, 0)), "'e' has a type of 1000000000000 bits"),
    "an absurd weight type": (lambda: changed("fc", weight_type=FixedType(True, 4, 10**12)), "'fc' has a type"),
    "an input's gain": (lambda: ported(gain=Fraction(0)), "input 'x': a gain"),
    "an input's range": (lambda: ported(high=8), "input 'x'.*a range outside"),
    "an output's scales": (lambda: ported_out(scale=(Fraction(1),) * 2), "output 'y': scales"),
    "an output's axis": (lambda: ported_out(axis=1), "output 'y': scales"),
    "a source of another size": (lambda: sourced((0, 1, 2), (3,)), "is no view"),
    "a source's permutation": (lambda: sourced((0, 0, 2), (4, 2, 2)), "is no view"),
    "a cast of two": (lambda: changed("cast", inputs=("g", "g")), "Cast 'cast': takes one input"),
    "a cast to another shape": (lambda: retyped("h", shape=(15,)), "Cast 'cast': input and output shapes differ"),
    "weights beyond their type": (
        lambda: refilled("fc.w", np.full((16, 3), 2)),
        "Dense 'fc': weights leave their type",
    ),
    "a wide weight type": (lambda: changed("fc", weight_type=FixedType(True, 64, 0)), "weights leave their type"),
    "a bias without type": (lambda: changed("conv", bias_type=None), "bias and bias type go together"),
    "a bias of another size": (lambda: refilled("conv.b", np.full(3, -8)), r"bias shape \(3,\) for 4 filters"),
    "a bias beyond its type": (lambda: refilled("conv.b", np.full(4, -9)), "bias leaves its type"),
    "an accumulator that differs": (lambda: changed("fc", accum=WIDE), "not the accumulator's"),
    "dense of another depth": (
        lambda: refilled("fc.w", np.ones((15, 3), dtype=np.int64)),
        r"weights \(15, 3\) on input",
    ),
    "weights of one axis": (lambda: refilled("fc.w", np.ones(3, dtype=np.int64)), r"Dense 'fc': weights \(3,\)"),
    "empty weights": (lambda: refilled("fc.w", np.ones((16, 0), dtype=np.int64)), "Dense 'fc': weights"),
    "dense of another shape": (lambda: retyped("y", shape=(4,)), "Dense 'fc': output shape"),
    "a kernel of another rank": (
        lambda: refilled("conv.w", np.ones((3, 2, 4), dtype=np.int64)),
        "Conv 'conv': weights",
    ),
    "one stride": (lambda: changed("conv", strides=(1,)), "one per axis"),
    "no stride": (lambda: changed("conv", strides=(0, 1)), "are positive"),
    "no group": (lambda: changed("conv", groups=0), "are positive"),
    "negative padding": (lambda: changed("conv", padding=((1, 1), (-1, 3))), "padding is not negative"),
    "groups that do not divide": (lambda: changed("conv", groups=3), "2 channels, weights"),
    "a kernel beyond its input": (lambda: changed("conv", dilations=(4, 4)), "larger than its padded input"),
    "a conv of another shape": (
        lambda: changed("conv", padding=((0, 1), (1, 1))),
        r"output shape .* expected \(3, 4, 4\)",
    ),
    "a pool of one axis": (lambda: changed("mean", size=(4,)), "one per axis"),
    "a pool without stride": (lambda: changed("mean", strides=(0, 2)), "are positive"),
    "a pool of no inputs": (lambda: changed("mean", inputs=()), "takes one input"),
    "a pool with negative padding": (lambda: changed("mean", padding=((-1, 1), (0, 0))), "padding is not negative"),
    "a window beyond its input": (lambda: changed("mean", size=(8, 1)), "larger than its padded input"),
    "a pool of another shape": (lambda: changed("mean", strides=(1, 1)), "Pool 'mean': output shape"),
    "max pooling with padding": (
        lambda: changed("max", padding=((0, 1), (0, 0)), size=(2, 1)),
        "max pooling takes no padding",
    ),
    "max pooling that casts": (lambda: retyped("c", type=S8), "max pooling keeps its type"),
    "a mean of three": (mean_of_three, "needs a window of 2.k, not 3"),
    "a mean that keeps its fraction": (lambda: retyped("d", type=FixedType(True, 6, 1)), "fraction of the sum"),
    "a sum beyond its type": (lambda: retyped("d", type=FixedType(True, 5, 3)), "the sum leaves its type"),
    "a mean without sign": (lambda: retyped("d", type=FixedType(False, 6, 3)), "the sum leaves its type"),
    "an addition of one": (lambda: changed("add", inputs=("h",)), "Add 'add': takes two inputs"),
    "an addition of three": (lambda: changed("add", inputs=("h",) * 3), "Add 'add': takes two inputs"),
    "an addition too narrow": (lambda: retyped("i", type=S4), "Add 'add': the sum leaves its type"),
    "an addition of another fraction": (lambda: retyped("i", type=FixedType(True, 9, 2)), "finer of the two"),
    "a relu of another fraction": (lambda: retyped("e", type=FixedType(False, 5, 2)), "Relu 'relu': the result"),
    "a relu too narrow": (lambda: retyped("e", type=FixedType(False, 4, 3)), "Relu 'relu': the result"),
    "an axis beyond the shape": (lambda: changed("act", axis=3), "Threshold 'act': axis 3"),
    "thresholds of two channels": (
        lambda: refilled("act.t", np.zeros((2, 7), dtype=np.int64)),
        "thresholds .2, 7. for 4",
    ),
    "flat thresholds": (lambda: refilled("act.t", np.arange(7)), "Threshold 'act': thresholds"),
    "a sign of two": (lambda: refilled("act.s", np.array([1, -1, 2, 1])), "one sign of ±1 per channel"),
    "three signs": (lambda: refilled("act.s", np.array([1, -1, 1])), "one sign of ±1 per channel"),
    "thresholds that fall": (lambda: refilled("act.t", np.tile(-np.arange(7), (4, 1))), "thresholds ascend"),
    "levels beyond the type": (lambda: changed("act", offset=4), "the levels leave the type"),
    "levels below the type": (lambda: changed("act", step=-2), "the levels leave the type"),
    "a reshape to fewer": (lambda: retyped("g", shape=(15,)), "Reshape 'flat': element counts differ"),
    "a reshape that casts": (lambda: retyped("g", type=S8), "Reshape 'flat': keeps its type"),
    "no permutation": (lambda: changed("move", perm=(2, 0, 2)), "no permutation of 3 axes"),
    "a transpose of another shape": (lambda: changed("move", perm=(0, 1, 2)), "Transpose 'move': output shape"),
    "a transpose that casts": (lambda: retyped("f", type=S8), "Transpose 'move': keeps its type"),
    "a transpose of nothing": (lambda: changed("move", inputs=()), "Transpose 'move': takes one input"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case: str) -> None:
    make, message = BROKEN[case]
    with pytest.raises(BrokenGraph, match=message) as caught:
        verify(make(), "the pass at fault")
    assert "the pass at fault" in str(caught.value)


def test_an_op_without_a_rule() -> None:
    graph = legal()
    unknown = Op("odd", ("y",), "z", "n")
    tensors = {**graph.tensors, "z": Tensor("z", (3,), S4)}
    with pytest.raises(BrokenGraph, match="Op 'odd': no rule for this op"):
        verify(replace(graph, ops=(*graph.ops, unknown), tensors=tensors), "import")
