"""Ops between two transposes that undo each other: no transpose is left, and the ops' axes and constants follow."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Add, Dense, Op, Transpose
from fpgaflow.ir.ops_merge import Concat, Divide, Elementwise, ElementwiseKind, MatMul, Pad, Scale, Take
from fpgaflow.ir.ops_table import CastEach, Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import verify
from fpgaflow.ir.verify_merge import elementwise_type, scale_type
from fpgaflow.ir.verify_table import piecewise_bounds
from fpgaflow.passes import run_passes
from fpgaflow.passes.twins import merge_twins
from tests.passes.test_passes import assert_kept, kinds

S4 = FixedType(True, 4, 1)
THERE, BACK = (2, 0, 1), (1, 2, 0)
UPPER, LOWER = (3, 4, 2), (2, 3, 4)
RANDOM = np.random.default_rng(0)
Constants = dict[str, np.ndarray]


def sandwich(op: Op, shape: tuple[int, ...], type_: FixedType, constants: Constants) -> Graph:
    """`op` on inputs that were transposed, its result (of this shape) transposed back."""
    raws = [name.removesuffix(".t") for name in op.inputs]
    tensors = {raw: Tensor(raw, UPPER, S4) for raw in raws} | {
        f"{raw}.t": Tensor(f"{raw}.t", LOWER, S4) for raw in raws
    }
    tensors[op.output] = Tensor(op.output, shape, type_)
    tensors["y"] = Tensor("y", tuple(shape[i] for i in BACK), type_)
    ports = tuple(Input(r, r, Fraction(2), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7) for r in dict.fromkeys(raws))
    ops = (
        *(Transpose(f"there.{r}", (r,), f"{r}.t", "there", THERE) for r in dict.fromkeys(raws)),
        op,
        Transpose("back", (op.output,), "y", "back", BACK),
    )
    output = Output("y", "y", (Fraction(1),), (Fraction(0),), 0)
    arrays = {name: np.asarray(array, dtype=np.int64) for name, array in constants.items()}
    return verify(Graph("sandwich", ports, (output,), ops, tensors, arrays), "the test")


def common(*inputs: str) -> tuple[str, tuple[str, ...], str, str]:
    return "op", inputs, "z", "node"


def scale() -> Graph:
    w, b = RANDOM.integers(-9, 9, (3, 1)), RANDOM.integers(-9, 9, (2, 1, 4))
    types = FixedType(True, 5, 2), FixedType(True, 5, 1)
    op = Scale(*common("x.t"), "w", types[0], "b", types[1])
    return sandwich(op, LOWER, scale_type(S4, w, types[0], b, types[1]), {"w": w, "b": b})


def divide() -> Graph:
    return sandwich(Divide(*common("x.t"), "d"), LOWER, S4, {"d": RANDOM.integers(1, 9, (3, 4))})


def piecewise() -> Graph:
    k, s, o = np.array([-1, 2]), RANDOM.integers(-3, 4, (2, 1, 1, 3)), RANDOM.integers(-3, 4, (4, 3))
    type_ = type_for(*piecewise_bounds(-8, 7, k, s, o), 1)
    return sandwich(Piecewise(*common("x.t"), "k", "s", "o"), LOWER, type_, {"k": k, "s": s, "o": o})


def cast_each() -> Graph:
    types = np.stack([RANDOM.integers(0, 2, LOWER), RANDOM.integers(0, 4, LOWER), np.zeros(LOWER)])
    op = CastEach(*common("x.t"), "t", Rounding.RND, Overflow.SAT)
    return sandwich(op, LOWER, FixedType(True, 6, 0), {"t": types})


def elementwise() -> Graph:
    op = Elementwise(*common("x.t", "u.t"), ElementwiseKind.MULTIPLY)
    return sandwich(op, LOWER, elementwise_type(op.kind, S4, S4), {})


CASES = {
    "scale": scale,
    "divide": divide,
    "piecewise": piecewise,
    "cast_each": cast_each,
    "elementwise": elementwise,
    "add": lambda: sandwich(Add(*common("x.t", "u.t")), LOWER, FixedType(True, 5, 1), {}),
    "concat": lambda: sandwich(Concat(*common("x.t", "u.t"), 0), (4, 3, 4), S4, {}),
    "pad": lambda: sandwich(Pad(*common("x.t"), ((0, 1), (2, 0), (1, 1)), 3), (3, 5, 6), S4, {}),
    "take": lambda: sandwich(Take(*common("x.t"), "i", 1), (2, 4, 4), S4, {"i": [2, 0, 0, 1]}),
    "lookup": lambda: sandwich(Lookup(*common("x.t"), "t"), LOWER, S4, {"t": RANDOM.integers(-8, 8, 16)}),
}


@pytest.mark.parametrize("case", CASES)
def test_no_transpose_is_left(case: str) -> None:
    graph = CASES[case]()
    after = run_passes(graph)
    assert len(kinds(after)) == 1
    assert_kept(graph, after, 0, 30)


@pytest.mark.parametrize(
    "op", [OneHotMax(*common("x.t")), MatMul(*common("x.t", "x.t"))], ids=lambda op: type(op).__name__
)
def test_ops_that_know_their_last_axis_stay(op: Op) -> None:
    if isinstance(op, MatMul):
        with_square = Transpose("there.x", ("x",), "x.t", "there", (1, 0, 2))
        tensors = {"x": Tensor("x", (4, 3, 4), S4), "x.t": Tensor("x.t", (3, 4, 4), S4)}
        tensors["z"] = Tensor("z", (3, 4, 4), FixedType(True, 10, 2))
        port = Input("x", "x", Fraction(2), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7)
        output = Output("z", "z", (Fraction(1),), (Fraction(0),), 0)
        graph = verify(Graph("square", (port,), (output,), (with_square, op), tensors, {}), "the test")
        assert kinds(run_passes(graph)) == [Transpose, MatMul]
        return
    graph = sandwich(op, LOWER, FixedType(False, 1, 0), {})
    assert kinds(run_passes(graph)) == [Transpose, OneHotMax, Transpose]


def twins(second: Dense) -> Graph:
    first = Dense("a", ("x",), "a.y", "a", "w", S4, None, None, FixedType(True, 10, 2))
    tensors = {"x": Tensor("x", (3,), S4)} | {n: Tensor(n, (2,), FixedType(True, 10, 2)) for n in ("a.y", "b.y")}
    total = Add("s", ("a.y", "b.y"), "s.y", "s")
    tensors["s.y"] = Tensor("s.y", (2,), FixedType(True, 11, 2))
    port = Input("x", "x", Fraction(2), Fraction(0), Rounding.TRN, Overflow.SAT, -8, 7)
    output = Output("s.y", "y", (Fraction(1),), (Fraction(0),), 0)
    w = RANDOM.integers(-8, 8, (3, 2))
    constants = {"w": w, second.weights: w.copy() if second.weights == "same" else w[::-1].copy()}
    return verify(Graph("twins", (port,), (output,), (first, second, total), tensors, constants), "the test")


@pytest.mark.parametrize(("constant", "left"), [("same", 2), ("other", 3)])
def test_twins_are_one_if_their_constants_are_alike(constant: str, left: int) -> None:
    graph = twins(Dense("b", ("x",), "b.y", "b", constant, S4, None, None, FixedType(True, 10, 2)))
    after = verify(merge_twins(graph), "merge_twins")
    assert len(after.ops) == left
    assert_kept(graph, after, 0, 30)
