"""Each rule of the ops of tables is broken once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fpgaflow.errors import BrokenGraph
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops_table import TABLE_OPS, CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import verify
from tests.graphs import one_op

S3 = FixedType(True, 3, 1)
BIT = FixedType(False, 1, 0)
TYPES = np.array([[[1, 0]], [[3, 2]], [[1, 0]]])  # fixed<3,2> and ufixed<2,2>
SHRINK = np.array([[[0, 0]], [[-5, 0]], [[0, 0]]])
WIDEN = np.array([[[0, 0]], [[0, 2]], [[0, 0]]])
REFINE = np.array([[[0, 0]], [[0, 0]], [[1, 0]]])


def lookup() -> Graph:
    return made(Lookup("f", ("x",), "y", "n", "t"), FixedType(True, 4, 0), t=np.arange(-4, 4))


def piecewise() -> Graph:
    constants = {"k": [0, 2], "s": [[0, 1, 2], [1, 1, 1]], "o": [0, 0, -2]}
    return made(Piecewise("f", ("x",), "y", "n", "k", "s", "o"), FixedType(True, 4, 1), **constants)


def cast_each() -> Graph:
    op = CastEach("f", ("x",), "y", "n", "t", Rounding.RND, Overflow.SAT)
    return made(op, FixedType(True, 4, 1), t=TYPES)


def one_hot_max() -> Graph:
    return made(OneHotMax("f", ("x",), "y", "n"), BIT)


def made(op: Op, result: FixedType, **constants: Any) -> Graph:
    return one_op(op, S3, (1, 2), result, (1, 2), **constants)


def refilled(graph: Graph, **constants: Any) -> Graph:
    return replace(graph, constants={**graph.constants, **{k: np.asarray(v) for k, v in constants.items()}})


def retyped(graph: Graph, name: str, type_: FixedType) -> Graph:
    return replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], type=type_)})


def reshaped(graph: Graph) -> Graph:
    return replace(graph, tensors={**graph.tensors, "y": replace(graph.tensors["y"], shape=(2, 1))})


def twice(graph: Graph) -> Graph:
    return replace(graph, ops=(replace(graph.ops[0], inputs=("x", "x")),))


def wide_lookup() -> Graph:
    graph = retyped(lookup(), "x", FixedType(True, 21, 1))
    return refilled(replace(graph, inputs=(replace(graph.inputs[0], high=3),)), t=np.zeros(1 << 21, dtype=np.int64))


BROKEN = {
    "two inputs": (twice(lookup()), "takes one input"),
    "shapes": (reshaped(one_hot_max()), "input and output shapes differ"),
    "index width": (wide_lookup(), "a table over 21 bits"),
    "table length": (refilled(lookup(), t=np.arange(7)), r"a table of shape \(7,\) for fixed<3,2>"),
    "table range": (refilled(lookup(), t=np.arange(1, 9)), "the table leaves the type"),
    "knots": (refilled(piecewise(), k=[2, 0]), "knots ascend"),
    "segments": (refilled(piecewise(), o=[0, 0]), r"\(2,\) for 2 knots"),
    "broadcast": (refilled(piecewise(), s=np.zeros((3, 3), dtype=np.int64)), r"\(3, 3\) for 2 knots"),
    "reach": (refilled(piecewise(), o=[0, 0, 7]), r"the result needs fixed<5,4>"),
    "types for other elements": (refilled(cast_each(), t=TYPES[:, :, :1]), r"types \(3, 1, 1\)"),
    "signs": (refilled(cast_each(), t=TYPES * 2), "signed is 0 or 1"),
    "width": (refilled(cast_each(), t=TYPES + SHRINK), "a width not negative"),
    "too wide": (refilled(cast_each(), t=TYPES + WIDEN), "does not hold"),
    "too fine": (refilled(cast_each(), t=TYPES + REFINE), "does not hold"),
    "signed in unsigned": (retyped(cast_each(), "y", FixedType(False, 9, 1)), "does not hold"),
    "no one": (retyped(one_hot_max(), "y", FixedType(True, 1, 0)), "gives 0 and 1"),
}


def test_the_makers_cover_every_op() -> None:
    graphs = [lookup(), piecewise(), cast_each(), one_hot_max()]
    assert {type(graph.ops[0]) for graph in graphs} == set(TABLE_OPS)


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule(name: str) -> None:
    graph, found = BROKEN[name]
    with pytest.raises(BrokenGraph, match=rf"'f': .*{found}"):
        verify(graph, "the test")


def test_widths_of_zero_need_no_room() -> None:
    types = TYPES * [[[1, 1]], [[0, 0]], [[9, 9]]]
    verify(refilled(retyped(cast_each(), "y", BIT), t=types), "the test")
