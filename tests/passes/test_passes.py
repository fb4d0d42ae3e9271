"""Every pass keeps every output bit and every name's values; and does what it is for."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from fpgaflow.errors import BrokenGraph
from fpgaflow.frontend.qonnx.importer import import_model
from fpgaflow.frontend.qonnx.onnx_file import read_model
from fpgaflow.ir.graph import Graph, Input, Output, Source, Tensor
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import pool_shape, verify
from fpgaflow.passes import PIPELINE, Pass, run_passes
from fpgaflow.sim.hoist import hoist_max_pools
from fpgaflow.sim.kernels import run_op
from tests.frontend.test_qonnx import lenet, normal
from tests.graphs import graphs, random_inputs
from tests.models import Net
from tests.networks import networks

S4, U4 = FixedType(True, 4, 1), FixedType(False, 4, 1)


def computed(graph: Graph, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    known = dict(values)
    for op in graph.ops:
        known[op.output] = run_op(op, graph, *(known[name] for name in op.inputs))
    return known


def theirs(tensor: Tensor, integers: np.ndarray) -> tuple[Source, list[Fraction]]:
    """A tensor's values as the user's model has them."""
    source = tensor.source
    assert source is not None
    moved = integers.transpose(0, *(axis + 1 for axis in source.perm)).reshape(-1)
    return source, [int(v) * source.unit * Fraction(2) ** -tensor.type.fraction for v in moved]


def assert_kept(before: Graph, after: Graph, seed: int, samples: int = 2) -> None:
    values = random_inputs(before, seed, samples)
    old, new = computed(before, values), computed(after, values)
    assert after.inputs == before.inputs
    for one, other in zip(before.outputs, after.outputs, strict=True):
        assert replace(one, tensor="") == replace(other, tensor="")
        assert np.array_equal(old[one.tensor], new[other.tensor]), one.name
    named = {t.source.name: theirs(t, old[n]) for n, t in before.tensors.items() if t.source is not None}
    for name, tensor in after.tensors.items():
        if tensor.source is not None:
            source, found = theirs(tensor, new[name])
            assert (source.shape, found) == (named[source.name][0].shape, named[source.name][1]), name


@pytest.mark.parametrize("each", [*PIPELINE, hoist_max_pools, run_passes], ids=lambda each: each.__name__)
@given(graphs(every=True), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_random_graphs(each: Pass, graph: Graph, seed: int) -> None:
    assert_kept(graph, verify(each(graph), each.__name__), seed)


@given(networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_imported_networks(model: ModelProto, seed: int) -> None:
    """Each pass in its order, on what the front end makes."""
    graph = imported(model)
    for each in PIPELINE:
        after = verify(each(graph), each.__name__)
        assert_kept(graph, after, seed, 1)
        graph = after


def imported(model: ModelProto) -> Graph:
    """Before any pass."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return import_model(read_model(path), "the test")


@given(graphs(every=True))
@settings(max_examples=60)
def test_passes_find_nothing_more_to_do(graph: Graph) -> None:
    once = run_passes(graph)
    assert run_passes(once).digest == once.digest


def chain(shape: tuple[int, ...], *ops: Op, types: dict[str, FixedType] | None = None, **constants: object) -> Graph:
    """Ops in a row from 'x'; each keeps its input's type but where `types` says otherwise."""
    tensors = {"x": Tensor("x", shape, S4)}
    arrays = {name: np.asarray(array, dtype=np.int64) for name, array in constants.items()}
    for op in ops:
        source = tensors[op.inputs[0]]
        out = source.shape
        if isinstance(op, Transpose):
            out = tuple(out[i] for i in op.perm)
        elif isinstance(op, Reshape):
            out = (int(np.prod(out)),)
        elif isinstance(op, Pool):
            out = pool_shape(out, op)
        elif isinstance(op, Dense):
            out = (*out[:-1], arrays[op.weights].shape[-1])
        tensors[op.output] = Tensor(op.output, out, (types or {}).get(op.output, source.type))
    port = Input("x", "x", Fraction(2), Fraction(0), Rounding.RND_CONV, Overflow.SAT, -8, 7)
    last = ops[-1].output
    output = Output(last, "y", (Fraction(1),), (Fraction(0),), 0)
    return verify(Graph("chain", (port,), (output,), ops, tensors, arrays), "the test")


def kinds(graph: Graph) -> list[type[Op]]:
    return [type(op) for op in graph.ops]


def cast(name: str, x: str, overflow: Overflow = Overflow.SAT) -> Cast:
    return Cast(name, (x,), f"{name}.y", name, Rounding.TRN, overflow)


@pytest.mark.parametrize("overflow", Overflow)
def test_identity_casts(overflow: Overflow) -> None:
    """All go but symmetric saturation, which moves the most negative value."""
    graph = run_passes(chain((3,), cast("a", "x", overflow), cast("b", "a.y", overflow)))
    assert len(graph.ops) == (2 if overflow is Overflow.SAT_SYM else 0)


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("target", [S4, U4])
def test_relu_before_a_cast(overflow: Overflow, target: FixedType) -> None:
    relu, then = Relu("r", ("x",), "r.y", "r"), cast("c", "r.y", overflow)
    types = {"r.y": FixedType(False, 3, 1), "c.y": replace(target, width=2)}
    graph = chain((3,), relu, then, types=types)
    after = run_passes(graph)
    assert kinds(after) == ([Cast] if target is U4 and overflow in (Overflow.SAT, Overflow.SAT_SYM) else [Relu, Cast])
    assert_kept(graph, after, 0, 20)


def test_transposes_cancel() -> None:
    there, back = Transpose("t", ("x",), "t.y", "t", (2, 0, 1)), Transpose("b", ("c.y",), "b.y", "b", (1, 2, 0))
    types = {"c.y": FixedType(True, 3, 0)}
    assert kinds(run_passes(chain((2, 3, 4), there, cast("c", "t.y"), back, types=types))) == [Cast]


def test_a_threshold_s_channels_move_with_it() -> None:
    there = Transpose("t", ("x",), "t.y", "t", (2, 0, 1))
    act = Threshold("a", ("t.y",), "a.y", "a", "levels", "signs", 1, 0, 0)
    table, signs = np.sort(normal(1, 4, 3) * 5, axis=1).astype(int), [1, -1, 1, -1]
    graph = chain((2, 3, 4), there, act, types={"a.y": FixedType(False, 2, 0)}, levels=table, signs=signs)
    after = run_passes(graph)
    assert kinds(after) == [Threshold, Transpose]
    assert after.ops[0].axis == 2
    assert_kept(graph, after, 0)


def test_a_dense_layer_takes_its_weights_in_another_order() -> None:
    there = Transpose("t", ("x",), "t.y", "t", (2, 0, 1))
    flat = Reshape("f", ("t.y",), "f.y", "f")
    dense = Dense("d", ("f.y",), "d.y", "d", "w", FixedType(True, 3, 0), None, None, FixedType(True, 12, 1))
    weights = np.random.default_rng(0).integers(-4, 4, (24, 5))
    graph = chain((2, 3, 4), there, flat, dense, types={"d.y": dense.accum}, w=weights)
    after = run_passes(graph)
    assert kinds(after) == [Reshape, Dense]
    assert_kept(graph, after, 0)


def test_channels_first_lenet_has_no_transpose_inside() -> None:
    """Only the model's own border is channels-first: the input moves once, all else lies as hardware wants it."""
    graph = run_passes(imported(lenet().model("y")))
    moves = [op for op in graph.ops if isinstance(op, Transpose)]
    assert [op.inputs for op in moves] == [("x",)]
    assert kinds(graph)[1:] == [Conv, Cast, Pool, Conv, Threshold, Pool, Cast, Reshape, Dense, Threshold, Dense]


def test_one_channel_needs_no_transpose() -> None:
    net = Net(1, 6, 6)
    y = net.node("Conv", net.quant("x", 0.25, 4), net.quant(normal(1, 3, 1, 3, 3), 0.125, 3))
    y = net.node("Flatten", net.quant(y, 0.25, 4))
    y = net.node("MatMul", y, net.quant(normal(2, 48, 3), 0.125, 3))
    assert kinds(run_passes(imported(net.model(y)))) == [Reshape, Conv, Cast, Reshape, Dense]


def test_a_residual_block_stays_channels_last() -> None:
    net = Net(3, 4, 4)
    x = net.node("Conv", net.quant("x", 0.25, 4), net.quant(normal(2, 3, 3, 1, 1), 0.125, 3))
    x = net.quant(x, 0.25, 4)
    for _ in range(3):
        y = net.node("Conv", x, net.quant(normal(1, 3, 3, 3, 3), 0.125, 3), pads=[1, 1, 1, 1])
        y = net.quant(net.node("Relu", y), 0.25, 4, signed=0)
        x = net.quant(net.node("Add", y, x), 0.25, 4)
    graph = run_passes(imported(net.model(x)))
    assert [type(op) for op in graph.ops if isinstance(op, Transpose | Add)] == [Transpose, Add, Add, Add, Transpose]
    assert isinstance(graph.ops[-1], Transpose)


@pytest.mark.parametrize("rows", [1, 24])
def test_a_threshold_moves_above_a_reshape_if_its_channels_are_alike(rows: int) -> None:
    flat = Reshape("f", ("x",), "f.y", "f")
    act = Threshold("a", ("f.y",), "a.y", "a", "levels", None, 1, 0, 0)
    table = np.sort(np.random.default_rng(0).integers(-9, 9, (rows, 3)), axis=1)
    graph = chain((2, 3, 4), flat, act, types={"a.y": FixedType(False, 2, 0)}, levels=table)
    after = run_passes(graph)
    assert kinds(after) == ([Threshold, Reshape] if rows == 1 else [Reshape, Threshold])
    assert_kept(graph, after, 0)


def test_dead_ops_go() -> None:
    graph = chain((3,), cast("a", "x"), cast("b", "a.y"), types={"a.y": FixedType(True, 2, 0)})
    dead = replace(graph, outputs=(replace(graph.outputs[0], tensor="x"),))
    after = run_passes(dead)
    assert after.ops == () and set(after.tensors) == {"x"}


def test_names_are_the_model_s_nodes() -> None:
    graph = run_passes(imported(lenet().model("y")))
    names = [op.name for op in graph.ops]
    assert len(set(names)) == len(names)
    assert {"n.conv2", "n.quant4", "n.maxpool5", "n.conv7", "n.y"} <= set(names)
    suffixed = [op for op in graph.ops if op.name != op.node]
    assert all(isinstance(op, Reshape | Transpose) for op in suffixed)


def test_pooling_is_hoisted_above_what_rises() -> None:
    pool = Pool("p", ("c.y",), "p.y", "p", PoolKind.MAX, (1, 1), (1, 1), ((0, 0), (0, 0)))
    for overflow, first in ((Overflow.SAT, Pool), (Overflow.WRAP, Cast), (Overflow.SAT_ZERO, Cast)):
        graph = chain((2, 2, 2), cast("c", "x", overflow), pool, types={"c.y": U4, "p.y": U4})
        assert kinds(hoist_max_pools(graph))[0] is first


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("signs", [None, "signs"])
def test_pooling_is_not_hoisted_above_what_falls(step: int, axis: int, signs: str | None) -> None:
    """A threshold that counts down, or upside down, or otherwise at each place of a window."""
    act = Threshold("c", ("x",), "c.y", "c", "levels", signs, step, 1, axis)
    pool = Pool("p", ("c.y",), "p.y", "p", PoolKind.MAX, (2, 1), (1, 1), ((0, 0), (0, 0)))
    constants = {"levels": [[-1], [2]], "signs": [1, -1]}
    types = {"c.y": S4, "p.y": S4}
    graph = chain((2, 2, 2), act, pool, types=types, **{k: v for k, v in constants.items() if k == "levels" or signs})
    after = verify(hoist_max_pools(graph), "hoist")
    assert (kinds(after)[0] is Pool) == (step > 0 and signs is None and axis == 2)
    assert_kept(graph, after, 0, 30)


# A broken pass


def loses_an_op(graph: Graph) -> Graph:
    return replace(graph, ops=graph.ops[1:])


def narrows_an_accumulator(graph: Graph) -> Graph:
    last = graph.ops[-1]
    tensors = {**graph.tensors, last.output: replace(graph.tensors[last.output], type=FixedType(True, 1, 0))}
    return replace(graph, tensors=tensors)


def forgets_to_reorder(graph: Graph) -> Graph:
    ops = tuple(replace(op, perm=op.perm[::-1]) if isinstance(op, Transpose) else op for op in graph.ops)
    return replace(graph, ops=ops)


@pytest.mark.parametrize("broken", [loses_an_op, narrows_an_accumulator, forgets_to_reorder])
def test_a_broken_pass_is_caught_by_name(monkeypatch: pytest.MonkeyPatch, broken: Pass) -> None:
    monkeypatch.setattr("fpgaflow.passes.PIPELINE", [PIPELINE[0], broken, *PIPELINE[1:]])
    with pytest.raises(BrokenGraph, match=f"after pass '{broken.__name__}'"):
        run_passes(imported(lenet().model("y")))


def test_a_broken_import_is_caught() -> None:
    with pytest.raises(BrokenGraph, match="after pass 'import'"):
        run_passes(loses_an_op(imported(lenet().model("y"))))
