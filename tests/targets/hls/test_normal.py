"""Normal forms: the same integers as the graph they stand for, and a difference wherever a bit could differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.kernels import run_op
from fpgaflow.targets.hls.difference import difference
from fpgaflow.targets.hls.normal import normal_form
from tests.targets.hls.hls_graphs import S6, U4, W4, Net, lenet

S8 = FixedType(True, 8, 4)


def kinds(graph: Graph) -> list[type[Op]]:
    return [type(op) for op in graph.ops]


def assert_same_integers(net: Net) -> Graph:
    """The normal form, after checking its outputs on full-range data against the graph's, element by element."""
    graph, inputs = net.graph(), net.random_input(50)
    normal = normal_form(graph)
    results = []
    for each in (graph, normal):
        values = {port.tensor: x for port, x in zip(each.inputs, inputs, strict=True)}
        for op in each.ops:
            values[op.output] = run_op(op, each, *(values[name] for name in op.inputs))
        results.append([values[port.tensor].reshape(50, -1) for port in each.outputs])
    for want, made in zip(*results, strict=True):
        np.testing.assert_array_equal(made, want)
    assert normal_form(normal).ops == normal.ops
    return normal


def image(net: Net) -> str:
    return net.input((6, 5, 4), S6)


def wider(net: Net, x: str, type_: FixedType) -> str:
    """The op's output type replaced by a wider one, as the legality table allows."""
    net.tensors[x] = replace(net.tensors[x], type=type_)
    return x


CASES: dict[str, tuple[Callable[[Net], str], list[type[Op]]]] = {
    "relu and cast behind a conv": (lambda n: n.cast(n.relu(n.conv(image(n), 2, (3, 3))), U4), [Conv, Cast]),
    "relu before a wrapping cast stays": (
        lambda n: n.cast(n.relu(image(n)), U4, Rounding.TRN, Overflow.WRAP),
        [Relu, Cast],
    ),
    "relu of unsigned values": (lambda n: n.dense(n.relu(n.input((3,), U4)), 2), [Dense]),
    "a wider relu": (lambda n: wider(n, n.relu(image(n)), FixedType(True, 12, 3)), [Relu, Cast]),
    "lossless cast before a cast": (lambda n: n.cast(n.cast(image(n), S8), U4), [Cast]),
    "lossy cast before a cast stays": (lambda n: n.cast(n.cast(image(n), W4), U4), [Cast, Cast]),
    "cast to the same type": (lambda n: n.dense(n.cast(image(n), S6), 2), [Dense]),
    "symmetric saturation to the same type": (
        lambda n: n.cast(image(n), S6, Rounding.TRN, Overflow.SAT_SYM),
        [Cast],
    ),
    "cast behind a reshape": (lambda n: n.dense(n.cast(n.reshape(image(n), (120,)), U4), 2), [Cast, Reshape, Dense]),
    "relu behind a reshape": (lambda n: n.dense(n.relu(n.reshape(image(n), (120,))), 2), [Relu, Cast, Reshape, Dense]),
    "sum of reshapes": (
        lambda n: n.dense(n.add(n.reshape(image(n), (30, 4)), n.reshape(image(n), (30, 4))), 2),
        [Add, Reshape, Dense],
    ),
    "reshapes in a row, back to the first": (
        lambda n: n.dense(n.reshape(n.reshape(image(n), (30, 4)), (6, 5, 4)), 2),
        [Dense],
    ),
    "reshape before an output": (lambda n: n.reshape(n.dense(image(n), 3), (90,)), [Dense]),
    "transpose of unit axes": (
        lambda n: n.dense(n.transpose(n.reshape(n.dense(n.input((4,), S6), 6), (1, 6, 1)), (1, 0, 2)), 2),
        [Dense, Reshape, Dense],
    ),
    "transpose of others": (lambda n: n.transpose(image(n), (0, 2, 1)), [Transpose]),
    "sum pooling": (lambda n: n.pool(image(n), PoolKind.SUM, (2, 3), padding=((1, 0), (1, 1))), [Conv]),
    "overlapping average": (lambda n: n.pool(image(n), PoolKind.AVERAGE, (2, 2), strides=(1, 1)), [Conv]),
    "average side by side": (lambda n: n.pool(image(n), PoolKind.AVERAGE, (2, 2)), [Pool]),
    "groups": (lambda n: n.conv(image(n), 6, (3, 2), groups=2), [Conv]),
    "depth multiplier": (lambda n: n.conv(image(n), 8, (3, 2), groups=4), [Conv]),
    "depthwise with dilation": (lambda n: n.conv(image(n), 4, (2, 2), dilations=(3, 2), groups=4), [Conv]),
    "one tap": (lambda n: n.conv(image(n), 3, (1, 1), dilations=(2, 2)), [Dense]),
    "one tap with strides": (lambda n: n.conv(image(n), 3, (1, 1), strides=(2, 1)), [Conv]),
    "one threshold row behind a reshape": (
        lambda n: n.dense(n.threshold(n.reshape(image(n), (30, 4)), np.array([[-3, 0, 9]]), U4), 2),
        [Threshold, Reshape, Dense],
    ),
    "threshold rows that are all the same": (
        lambda n: n.threshold(image(n), np.tile([[-3, 0, 9]], (5, 1)), U4, axis=1, signs=np.ones(5, dtype=np.int64)),
        [Threshold],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rewrites_keep_every_integer(name: str) -> None:
    net = Net()
    make, expected = CASES[name]
    net.output(make(net))
    assert kinds(assert_same_integers(net)) == expected


def test_a_lenet_is_one_op_and_cast_per_layer() -> None:
    pairs = [Conv, Cast, Pool, Conv, Cast, Pool, Reshape, Dense, Cast, Dense, Cast, Dense]
    assert kinds(assert_same_integers(lenet(PoolKind.MAX))) == pairs


def test_a_branch_keeps_what_its_other_readers_need() -> None:
    net = Net()
    relu = net.relu(net.dense(net.input((3,), S6), 2))
    net.output(relu)
    net.output(net.cast(relu, U4))
    assert kinds(assert_same_integers(net)) == [Dense, Relu, Cast, Cast]


def test_equal_graphs_have_no_difference_whatever_their_names_and_order() -> None:
    def branches(order: tuple[str, str]) -> Graph:
        net = Net()
        x = net.input((4,), S6)
        made = {}
        for kind in order:
            made[kind] = net.cast(x, U4) if kind == "cast" else net.transpose(net.reshape(x, (2, 2)), (1, 0))
        net.output(made["cast"])
        net.output(made["transpose"])
        return normal_form(net.graph())

    left, right = branches(("cast", "transpose")), branches(("transpose", "cast"))
    assert left.ops != right.ops
    assert difference(left, right) is None


def changed(graph: Graph, index: int, **fields: object) -> Graph:
    ops = list(graph.ops)
    ops[index] = replace(ops[index], **fields)
    return replace(graph, ops=tuple(ops))


def test_every_field_of_every_op_counts() -> None:
    net = Net()
    x = net.cast(net.conv(net.pool(image(net), PoolKind.MAX, (2, 2)), 2, (2, 2), strides=(1, 1)), U4)
    x = net.dense(net.threshold(x, np.array([[1, 5], [2, 3]]), U4, signs=np.array([1, -1])), 3)
    net.output(net.transpose(x, (2, 0, 1)))
    graph = normal_form(net.graph())
    changes = [
        (0, "size", (1, 2)),
        (1, "strides", (2, 1)),
        (1, "padding", ((1, 0), (0, 0))),
        (1, "weight_type", FixedType(True, 5, 3)),
        (1, "bias_type", FixedType(True, 9, 6)),
        (1, "bias", None),
        (2, "rounding", Rounding.RND),
        (2, "overflow", Overflow.SAT_ZERO),
        (3, "step", 2),
        (3, "offset", -1),
        (3, "axis", 0),
        (3, "signs", None),
        (4, "accum", FixedType(True, 30, 3)),
        (5, "perm", (1, 0, 2)),
    ]
    for index, key, value in changes:
        found = difference(graph, changed(graph, index, **{key: value}))
        assert found is not None and found[0] == graph.ops[index].node and key in found[1], key


@pytest.mark.parametrize("key", ["weights", "bias", "thresholds"])
def test_every_constant_counts(key: str) -> None:
    net = Net()
    net.output(net.threshold(net.dense(image(net), 3), np.array([[1, 5]]), U4))
    graph = normal_form(net.graph())
    name = next(getattr(op, key) for op in graph.ops if hasattr(op, key))
    array = graph.constants[name].copy()
    array.reshape(-1)[-1] += 1
    found = difference(graph, replace(graph, constants={**graph.constants, name: array}))
    assert found is not None and key in found[1]


def test_types_shapes_and_missing_ops_count() -> None:
    net = Net()
    x = net.dense(net.dense(net.input((4,), S6), 3), 2)
    net.output(x)
    graph = normal_form(net.graph())
    retyped = {**graph.tensors, "dense0": replace(graph.tensors["dense0"], type=FixedType(True, 40, 6))}
    assert difference(graph, replace(graph, tensors=retyped)) is not None
    shorter = replace(graph, outputs=(replace(graph.outputs[0], tensor="dense0"),))
    assert "inputs and outputs" in str(difference(graph, shorter))
    other_input = {**graph.tensors, "x0": replace(graph.tensors["x0"], type=FixedType(True, 7, 3))}
    assert "fixed<6,3>" in str(difference(graph, replace(graph, tensors=other_input)))
