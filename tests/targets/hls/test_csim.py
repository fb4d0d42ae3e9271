"""The firmware's own C++, compiled, against the reference simulator: every bit, for every op."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.errors import BadInput, ToolFailed
from fpgaflow.ir.bounds import type_for
from fpgaflow.ir.graph import Ints
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_merge import MatMul
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify_merge import matmul_type
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.project import make_project
from tests.targets.hls.batches import PART, Batch, Cases, both
from tests.targets.hls.hls_graphs import B8, S6, U4, Net, lenet


def thresholds(net: Net, x: str, rows: int, levels: int, signs: Ints | None = None, **rest: int) -> str:
    """A Threshold with random levels, one below all inputs and one above them among them."""
    low, high = net.type(x).low, net.type(x).high
    if signs is not None:
        low, high = min(low, -high), max(high, -low)
    table = np.sort(net.rng.integers(low, high + 2, size=(rows, levels)), axis=1)
    table[0, 0], table[-1, -1] = low, high + 1
    step, offset = rest.get("step", 1), rest.get("offset", 0)
    result = type_for(*sorted((offset, offset + step * levels)), 2)
    return net.threshold(x, table, result, signs=signs, **rest)


def image(net: Net) -> str:
    return net.input((6, 5, 4), S6)


def conv_2d(net: Net) -> None:
    net.output(net.conv(image(net), 3, (3, 2)))
    net.output(net.conv(image(net), 3, (3, 3), strides=(2, 1), padding=((1, 0), (2, 1)), bt=None))
    net.output(net.cast(net.conv(image(net), 2, (1, 1), strides=(2, 2)), U4))


def conv_2d_grouped(net: Net) -> None:
    net.output(net.conv(image(net), 6, (2, 2), groups=2))
    net.output(net.conv(image(net), 3, (2, 2), dilations=(2, 1)))
    net.output(net.conv(image(net), 4, (3, 3), groups=4, padding=((1, 1), (1, 1))))


def conv_1d(net: Net) -> None:
    x = net.input((7, 3), S6)
    net.output(net.conv(x, 4, (3,), padding=((1, 1),)))
    net.output(net.conv(x, 4, (2,), strides=(2,), padding=((0, 1),), bt=None))  # the second reader of a padded input
    net.output(net.conv(x, 2, (1,), strides=(3,)))
    net.output(net.conv(x, 6, (3,), groups=3, dilations=(2,)))


def pool_2d(net: Net) -> None:
    net.output(net.pool(image(net), PoolKind.MAX, (2, 2)))
    net.output(net.cast(net.pool(image(net), PoolKind.AVERAGE, (2, 4)), FixedType(True, 5, 2)))
    net.output(net.pool(image(net), PoolKind.AVERAGE, (2, 2), strides=(1, 1)))
    net.output(net.pool(image(net), PoolKind.SUM, (3, 2), strides=(1, 2), padding=((1, 1), (0, 0))))


def pool_1d(net: Net) -> None:
    x = net.input((7, 3), S6)
    net.output(net.pool(x, PoolKind.MAX, (3,), strides=(2,)))
    net.output(net.pool(x, PoolKind.AVERAGE, (4,)))


def dense(net: Net) -> None:
    for shape in ((7,), (3, 4), (2, 3, 4)):
        net.output(net.dense(net.input(shape, S6), 3))


def narrow_accumulators(net: Net) -> None:
    for accum in (FixedType(True, 6, 2), FixedType(False, 5, 5), FixedType(True, 4, -1)):
        net.output(net.dense(net.input((6,), S6), 2, accum=accum))
        net.output(net.dense(net.input((2, 6), S6), 2, bt=None, accum=accum))


def few_bits(net: Net) -> None:
    """hls4ml would multiply by ap_uint<1> and ap_int<2> as by -1 and 1."""
    bit, two, sign = FixedType(False, 1, 0), FixedType(True, 2, 0), FixedType(True, 1, 0)
    for weight, data in ((bit, bit), (two, bit), (sign, two), (two, two)):
        net.output(net.dense(net.input((6,), data), 3, wt=weight, bt=None))
    net.output(net.conv(net.input((3, 3, 2), bit), 2, (2, 2), wt=bit, bt=None))


def many_bits(net: Net) -> None:
    wide = FixedType(True, 23, 20), FixedType(True, 23, 10)
    net.output(net.dense(net.input((4,), wide[1]), 3, wt=wide[0], bt=FixedType(True, 40, 35)))
    net.output(net.dense(net.input((4,), FixedType(True, 40, 30)), 2, bt=FixedType(True, 46, 40)))
    odd = FixedType(True, 8, -2), FixedType(True, 3, -5), FixedType(True, 9, -3)
    net.output(net.dense(net.input((4,), odd[1]), 3, wt=odd[0], bt=odd[2]))
    tiny = FixedType(True, 3, 12), FixedType(False, 5, 9), FixedType(True, 20, 30)
    net.output(net.conv(net.input((3, 3, 1), tiny[1]), 2, (2, 2), wt=tiny[0], bt=tiny[2]))


def relu(net: Net) -> None:
    x = net.input((3, 4), S6)
    r = net.relu(net.dense(x, 4))  # read twice: by a cast, and as an output
    net.output(r)
    net.output(net.cast(r, FixedType(True, 5, 1), Rounding.TRN, Overflow.WRAP))
    net.output(net.relu(x))


def casts(net: Net) -> None:
    """Each rounding and each overflow, fused into a layer and on its own; the whole matrix is in the slow test."""
    for index, rounding in enumerate(Rounding):
        overflow = list(Overflow)[index % 4]
        x = net.input((5,), FixedType(True, 7, 5))
        net.output(net.cast(net.dense(x, 4), FixedType(index % 2 == 0, 4, 1), rounding, overflow))
        net.output(net.cast(x, FixedType(True, 4, 3), rounding, overflow))
    x = net.input((3,), FixedType(True, 10, 5))
    inner = net.cast(x, FixedType(True, 5, 2), Rounding.RND_INF, Overflow.SAT_SYM)
    net.output(net.cast(inner, FixedType(True, 4, 1), Rounding.RND_ZERO, Overflow.WRAP))
    net.output(net.cast(net.input((3,), S6), S6, Rounding.TRN, Overflow.SAT_SYM))


def add(net: Net) -> None:
    b, c = net.input((2, 3, 4), FixedType(True, 5, 2)), net.input((2, 3, 4), FixedType(False, 4, 3))
    net.output(net.add(b, c))
    net.output(net.cast(net.add(b, c), U4))
    net.output(net.add(c, c))


def transpose(net: Net) -> None:
    net.output(net.transpose(net.input((7, 3), S6), (1, 0)))
    net.output(net.transpose(net.input((2, 3, 4), S6), (2, 0, 1)))
    net.output(net.transpose(net.input((2, 3, 2, 2), S6), (3, 1, 0, 2)))
    net.output(net.dense(net.transpose(net.dense(net.input((2, 3, 4), S6), 3), (0, 2, 1)), 2))


def reshape(net: Net) -> None:
    flat = net.reshape(net.input((2, 3, 4), S6), (24,))  # four readers of a flattened tensor
    net.output(net.dense(flat, 3))
    net.output(net.dense(flat, 2))
    net.output(net.relu(flat))
    net.output(net.dense(net.cast(flat, U4), 2))
    net.output(net.conv(net.reshape(net.dense(net.input((5,), S6), 18), (3, 3, 2)), 2, (2, 2)))
    net.output(net.dense(net.reshape(net.input((2, 3, 4), S6), (6, 4)), 3))
    net.output(net.dense(net.reshape(net.input((2, 3, 4), S6), (2, 12)), 3))


def threshold(net: Net) -> None:
    x = net.input((2, 3, 4), S6)
    net.output(thresholds(net, x, 1, 5))
    net.output(thresholds(net, x, 4, 7, step=-2, offset=3))
    net.output(thresholds(net, x, 3, 1, axis=1))
    net.output(thresholds(net, x, 2, 15, axis=0, signs=np.array([1, -1])))
    net.output(thresholds(net, x, 4, 3, signs=np.array([-1, -1, -1, -1])))


def threshold_of_accumulators(net: Net) -> None:
    net.output(thresholds(net, net.dense(net.input((2, 3, 4), S6), 4), 4, 15, np.array([-1, 1, 1, -1]), offset=-8))
    flat = net.reshape(net.dense(net.input((2, 3, 4), S6), 4), (24,))
    net.output(net.dense(thresholds(net, flat, 24, 3), 2))
    net.output(net.dense(thresholds(net, flat, 1, 3), 2))


def two_outputs_of_one_chain(net: Net) -> None:
    """An output that is read on, in a graph whose ops are not in the order of its outputs."""
    x = net.input((4,), S6)
    first = net.dense(x, 3)
    other = net.dense(x, 2)
    second = net.cast(first, U4)
    net.output(second)
    net.output(other)
    net.output(first)


OPS: Cases = {
    case.__name__: case
    for case in (
        *(conv_2d, conv_2d_grouped, conv_1d, pool_2d, pool_1d, dense, narrow_accumulators, few_bits, many_bits),
        *(relu, casts, add, transpose, reshape, threshold, threshold_of_accumulators, two_outputs_of_one_chain),
    )
}


@pytest.fixture(scope="module", params=list(IOType), ids=lambda io: io.value)
def ops(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    yield Batch(OPS, HlsOptions(PART, request.param), tmp_path_factory.mktemp("ops"))


@pytest.mark.parametrize("name", OPS)
def test_every_op_is_exact(ops: Batch, name: str) -> None:
    ops.check(name)


@pytest.mark.parametrize("kind", [PoolKind.MAX, PoolKind.AVERAGE])
def test_lenet_is_exact(kind: PoolKind, tmp_path: Path) -> None:
    io_type = IOType.STREAM if kind is PoolKind.MAX else IOType.PARALLEL
    expected, got = both(lenet(kind), HlsOptions(PART, io_type), tmp_path, samples=200)
    assert np.unique(expected[0]).size > 50
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize("io_type", list(IOType))
def test_the_resource_strategy_is_exact(io_type: IOType, tmp_path: Path) -> None:
    net, reuse = Net(np.random.default_rng(5)), {}
    beyond_window = io_type is IOType.STREAM  # refused in io_parallel
    for factor in (2, 8, 16):
        reuse[net.dense(net.input((8,), S6), 6)] = factor
    for factor in (3, 18, *([36] if beyond_window else [])):
        reuse[net.conv(net.input((5, 5, 2), S6), 4, (3, 3), padding=((1, 1), (0, 0)))] = factor
    for factor in (2, *([12] if beyond_window else [])):
        reuse[net.conv(net.input((6, 2), S6), 4, (3,), strides=(2,))] = factor
    for factor in (4, *([8] if beyond_window else [])):
        reuse[net.dense(net.input((2, 3, 4), S6), 4)] = factor
    for factor, levels, rows in ((2, 5, 4), (3, 40, 4), (4, 40, 1), (9, 3, 4)):  # of 4 channels
        signs = np.array([1, -1, -1, 1])
        reuse[thresholds(net, net.input((2, 3, 4), S6), rows, levels, signs if rows > 1 else None)] = factor
    product = net.op(MatMul, [net.input((3, 4), S6), net.input((4, 2), U4)], (3, 2), matmul_type(S6, U4, 4))
    reuse[product] = 4
    for name in reuse:
        net.output(name)
    net.output(net.conv(net.input((5, 5, 3), S6), 3, (2, 2), groups=3))
    options = HlsOptions(PART, io_type, Strategy.RESOURCE, reuse_factors=reuse)
    for want, made in zip(*both(net, options, tmp_path), strict=True):
        np.testing.assert_array_equal(made, want)


@pytest.mark.parametrize("io_type", list(IOType))
def test_depthwise_1d_is_exact(io_type: IOType, tmp_path: Path) -> None:
    """Apart: hls4ml cannot compile it beside a depthwise 2-D layer."""
    net = Net()
    x = net.input((7, 3), S6)
    net.output(net.conv(x, 3, (3,), groups=3, dilations=(2,)))
    net.output(net.pool(x, PoolKind.AVERAGE, (2,), padding=((1, 0),)))
    net.output(net.pool(x, PoolKind.SUM, (3,), strides=(2,)))
    for want, made in zip(*both(net, HlsOptions(PART, io_type), tmp_path), strict=True):
        np.testing.assert_array_equal(made, want)


@pytest.mark.slow
@pytest.mark.parametrize("io_type", list(IOType))
def test_every_rounding_with_every_overflow(io_type: IOType, tmp_path: Path) -> None:
    net = Net()
    for rounding in Rounding:
        for overflow in Overflow:
            x = net.input((5,), FixedType(True, 7, 5))
            for target in (FixedType(True, 4, 1), FixedType(False, 3, 2)):
                net.output(net.cast(net.dense(x, 4), target, rounding, overflow))
            net.output(net.cast(x, FixedType(True, 4, 3), rounding, overflow))
    for want, made in zip(*both(net, HlsOptions(PART, io_type), tmp_path, samples=400), strict=True):
        np.testing.assert_array_equal(made, want)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> CSim:
    """y = [[3, -2], [1, 4]] x + [1, 0], in halves times quarters."""
    net = Net()
    name = net.dense(net.input((2,), FixedType(True, 4, 1)), 2, wt=FixedType(True, 4, 2), bt=FixedType(True, 4, 3))
    net.constants[f"{name}.w"] = np.array([[3, 1], [-2, 4]])
    net.constants[f"{name}.b"] = np.array([1, 0])
    net.output(name)
    return CSim(make_project(net.graph(), HlsOptions(PART)), tmp_path_factory.mktemp("small"))


def test_a_dense_layer_by_hand(small: CSim) -> None:
    values = small.predict([np.array([[0.5, -1.0], [-4.0, 3.5]])])
    np.testing.assert_array_equal(values[0], [[0.125 + 0.375 + 0.5, 0.125 - 1.0], [0.125 - 3.0 - 1.75, -1.0 + 3.5]])
    integers = small.predict_integers([np.array([[1, -2], [-8, 7]])])
    np.testing.assert_array_equal(integers[0], [[8, -7], [-37, 20]])


def test_progress_and_an_empty_batch(small: CSim) -> None:
    seen: list[tuple[int, int]] = []
    small.predict_integers([np.zeros((130, 2), dtype=int)], lambda done, total: seen.append((done, total)))
    assert seen == [(64, 130), (128, 130), (130, 130)]
    assert small.predict_integers([np.zeros((0, 2), dtype=int)])[0].shape == (0, 2)


def test_inputs_are_checked(small: CSim) -> None:
    for bad in (np.zeros((3, 3)), np.full((1, 2), 0.25), np.full((1, 2), 4.0), np.full((1, 2), np.nan)):
        with pytest.raises(BadInput, match="csim input 'x0'"):
            small.predict([bad])
    with pytest.raises(BadInput, match="csim inputs"):
        small.predict([np.zeros((1, 2)), np.zeros((1, 2))])


def test_nothing_is_compiled_twice(small: CSim) -> None:
    library = small.folder / "csim" / "fpgaflow.so"
    before = library.stat().st_mtime_ns
    CSim(small.project, small.folder)
    assert library.stat().st_mtime_ns == before


def test_a_crash_is_an_error_not_an_exit(small: CSim) -> None:
    weights = small.folder / "firmware" / "weights" / "w2.txt"
    kept = weights.read_text()
    weights.unlink()
    try:
        with pytest.raises(ToolFailed, match=r"status 1.*does not exist"):
            small.predict_integers([np.zeros((1, 2), dtype=int)])
    finally:
        weights.write_text(kept)


def test_a_compile_error_names_the_log(small: CSim, tmp_path: Path) -> None:
    project = small.project
    broken = {**project.files, "firmware/fpgaflow.cpp": "this is no C++\n"}
    with pytest.raises(ToolFailed, match=r"firmware/fpgaflow\.cpp.*csim/fpgaflow\.o\.log"):
        CSim(type(project)(broken, project.name, project.inputs, project.outputs, ""), tmp_path)


def test_types_beyond_float64_are_refused(tmp_path: Path) -> None:
    net = Net()
    net.output(net.dense(net.input((2,), FixedType(True, 54, 0)), 2, bt=B8))
    with pytest.raises(BadInput, match=r"fixed<54,54> is wider than the 53 bits"):
        CSim(make_project(net.graph(), HlsOptions(PART)), tmp_path)
