"""Normal forms: the same integers as the graph they stand for, and a difference wherever a bit could differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.index_map import IndexMap
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Pad, Take
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.kernels import run_op
from fpgaflow.targets.hls.difference import difference
from fpgaflow.targets.hls.normal import normal_form
from tests.conformance.test_ops_on_targets import NAMED
from tests.targets.hls.hls_graphs import S6, U4, W4, Net, lenet

S8 = FixedType(True, 8, 4)


def kinds(graph: Graph) -> list[type[Op]]:
    return [type(op) for op in graph.ops]


def run(op: Op, graph: Graph, *inputs: Ints) -> Ints:
    """The reference, and what an index map is."""
    if not isinstance(op, IndexMap):
        return run_op(op, graph, *inputs)
    indices, flat = graph.constants[op.indices], inputs[0].reshape(len(inputs[0]), -1)
    return np.where(indices < 0, op.value, flat[:, indices])


def assert_same_integers(net: Net, *, stream: bool = False) -> Graph:
    """The normal form, after checking its outputs on full-range data against the graph's, element by element."""
    graph, inputs = net.graph(), net.random_input(50)
    normal = normal_form(graph, stream=stream)
    results = []
    for each in (graph, normal):
        values = {port.tensor: x for port, x in zip(each.inputs, inputs, strict=True)}
        for op in each.ops:
            values[op.output] = run(op, each, *(values[name] for name in op.inputs))
        results.append([values[port.tensor].reshape(50, -1) for port in each.outputs])
    for want, made in zip(*results, strict=True):
        np.testing.assert_array_equal(made, want)
    if IndexMap not in kinds(normal):
        assert normal_form(normal, stream=stream).ops == normal.ops
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


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMED)
def test_rewrites_of_every_op_keep_every_integer(name: str, stream: bool) -> None:
    net = Net()
    NAMED[name](net)
    assert_same_integers(net, stream=stream)


def taken(net: Net, x: str, axis: int, indices: list[int]) -> str:
    shape = net.shape(x)
    result = (*shape[:axis], len(indices), *shape[axis + 1 :])
    return net.op(Take, [x], result, net.type(x), {"indices": np.array(indices)}, axis=axis)


def around(net: Net, x: str, value: int) -> str:
    height, width, channels = net.shape(x)
    padding = ((1, 1), (0, 2), (0, 0))
    return net.op(Pad, [x], (height + 2, width + 2, channels), net.type(x), padding=padding, value=value)


MOVES: dict[str, tuple[Callable[[Net], str], list[type[Op]]]] = {
    "takes and pads in a row": (lambda n: taken(n, around(n, taken(n, image(n), 0, [2, 1]), 3), 2, [0]), [IndexMap]),
    "pads of two values": (lambda n: around(n, around(n, image(n), 3), -1), [IndexMap, IndexMap]),
    "a value that is cut off": (lambda n: around(n, taken(n, around(n, image(n), 3), 0, [1, 2]), 3), [IndexMap]),
    "a reshape behind a take": (lambda n: n.dense(n.reshape(taken(n, image(n), 0, [4]), (4, 5)), 2), [IndexMap, Dense]),
    "a transpose behind a take": (lambda n: n.transpose(taken(n, image(n), 0, [4, 0]), (1, 0, 2)), [IndexMap]),
    "a take behind a transpose": (lambda n: taken(n, n.transpose(image(n), (1, 0, 2)), 0, [4, 0]), [IndexMap]),
    "a take of all": (lambda n: n.dense(taken(n, image(n), 1, [0, 1, 2, 3, 4]), 2), [Dense]),
    "back and forth": (
        lambda n: n.dense(taken(n, taken(n, image(n), 1, [4, 3, 2, 1, 0]), 1, [4, 3, 2, 1, 0]), 2),
        [Dense],
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_are_one_index_map(name: str) -> None:
    net = Net()
    make, expected = MOVES[name]
    net.output(make(net))
    assert kinds(assert_same_integers(net)) == expected


STREAMED: dict[str, tuple[Callable[[Net], str], list[type[Op]], list[type[Op]]]] = {
    "overlapping maxima": (lambda n: n.pool(image(n), PoolKind.MAX, (2, 2), strides=(1, 2)), [IndexMap, Pool], [Pool]),
    "skipped rows": (lambda n: n.conv(image(n), 2, (1, 3), strides=(2, 1)), [IndexMap, Conv], [Conv]),
    "a transpose that hls4ml drops": (
        lambda n: n.dense(n.transpose(n.input((1, 3, 4), S6), (0, 2, 1)), 2),
        [Transpose, Dense],
        [IndexMap, Dense],
    ),
}


@pytest.mark.parametrize("name", STREAMED)
def test_what_hls4ml_lacks_of_one_io_type_is_prepared_for_it(name: str) -> None:
    make, in_streams, in_parallel = STREAMED[name]
    for stream, expected in ((True, in_streams), (False, in_parallel)):
        net = Net()
        net.output(make(net))
        assert kinds(assert_same_integers(net, stream=stream)) == expected


def test_depthwise_layers_over_lines_go_over_images_beside_others() -> None:
    net = Net()
    net.output(net.conv(net.input((7, 3), S6), 3, (3,), groups=3, padding=((2, 1),)))
    assert kinds(assert_same_integers(net)) == [Conv]
    net.output(net.conv(image(net), 4, (2, 2), groups=4))
    assert kinds(assert_same_integers(net)) == [Reshape, Conv, Conv]


def test_thresholds_without_levels_never_reach_one() -> None:
    net = Net()
    net.output(net.add(net.threshold(image(net), np.zeros((1, 0), dtype=np.int64), U4, offset=3), image(net)))
    normal = assert_same_integers(net)
    (name,) = [op.thresholds for op in normal.ops if isinstance(op, Threshold)]
    assert normal.constants[name].tolist() == [[S6.high + 2]]  # also where the sign turns the input


def test_thresholds_beyond_the_input_are_brought_next_to_it() -> None:
    net = Net()
    net.output(net.threshold(image(net), np.array([[-(1 << 60), 5, 1 << 60]]), U4))
    normal = assert_same_integers(net)
    assert next(iter(normal.constants.values())).tolist() == [[S6.low, 5, S6.high + 2]]


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
