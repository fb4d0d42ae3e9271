"""Products of bytes give the reference's bits, and are taken only where no kernel can saturate or round otherwise."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.ir.bounds import accumulator, sum_type
from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Threshold
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import conv_shape, pool_shape, verify
from fpgaflow.sim.fast import FastRunner, OnnxRuntime
from fpgaflow.sim.float_graph import FloatGraph
from fpgaflow.sim.int8 import Unit, units
from fpgaflow.sim.int8_graph import blocked, blocks
from fpgaflow.sim.intervals import results
from fpgaflow.sim.kernels import run_op
from fpgaflow.sim.run import Simulator
from tests.graphs import full_range

SATURATING = (Overflow.SAT, Overflow.SAT_SYM)


class Chain:
    """A graph of one op after the other, from inputs x and perhaps z."""

    def __init__(self, shape: tuple[int, ...], *types: FixedType) -> None:
        names = ("x", "z")[: len(types)]
        self.tensors = {n: Tensor(n, shape, t) for n, t in zip(names, types, strict=True)}
        self.ops: list[Op] = []
        self.constants: dict[str, np.ndarray] = {}
        self.last = "x"

    @property
    def type(self) -> FixedType:
        return self.tensors[self.last].type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensors[self.last].shape

    def common(self, *others: str) -> dict[str, object]:
        number = len(self.ops)
        return {"name": f"op{number}", "inputs": (self.last, *others), "output": f"t{number}", "node": "n"}

    def then(self, op: Op, type_: FixedType, shape: tuple[int, ...] | None = None) -> None:
        self.tensors[op.output] = Tensor(op.output, self.shape if shape is None else shape, type_)
        self.ops.append(op)
        self.last = op.output

    def linear(self, weights: np.ndarray, bias: np.ndarray | None, fraction: int, **places: object) -> None:
        name = f"w{len(self.ops)}"
        weight_type = type_for(int(weights.min()), int(weights.max()), fraction)
        bias_type = None if bias is None else type_for(int(bias.min()), int(bias.max()), self.type.fraction + fraction)
        accum = accumulator(weights, weight_type, bias, bias_type, self.type)
        self.constants[name] = weights
        if bias is not None:
            self.constants[f"{name}.b"] = bias
        fields = {"weights": name, "weight_type": weight_type, "bias_type": bias_type, "accum": accum}
        fields |= {"bias": None if bias is None else f"{name}.b", **self.common()}
        if places:
            op: Linear = Conv(**fields, **places)
            shape = conv_shape(self.shape, weights.shape[:-2], weights.shape[-1], op)
        else:
            op, shape = Dense(**fields), (*self.shape[:-1], weights.shape[-1])
        self.then(op, accum, shape)

    def cast(self, type_: FixedType, rounding: Rounding, overflow: Overflow = Overflow.SAT) -> None:
        self.then(Cast(**self.common(), rounding=rounding, overflow=overflow), type_)

    def max_pool(self, size: int) -> None:
        rank = len(self.shape) - 1
        op = Pool(
            **self.common(), kind=PoolKind.MAX, size=(size,) * rank, strides=(2,) * rank, padding=((0, 0),) * rank
        )
        self.then(op, self.type, pool_shape(self.shape, op))

    def graph(self) -> Graph:
        ports = tuple(
            Input(
                n, n, Fraction(2) ** t.type.fraction, Fraction(0), Rounding.TRN, Overflow.WRAP, t.type.low, t.type.high
            )
            for n, t in self.tensors.items()
            if n in ("x", "z")
        )
        output = Output(self.last, "y", (Fraction(1),), (Fraction(0),), 0)
        return verify(Graph("chain", ports, (output,), tuple(self.ops), self.tensors, self.constants), "the test")


class Watched(OnnxRuntime):
    """Remembers the operators of its sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []

    def session(self, floats: FloatGraph):  # type: ignore[no-untyped-def]
        self.kinds += [node.op_type for node in floats.model.graph.node]
        return super().session(floats)


def found(graph: Graph) -> list[Unit]:
    return units(graph, results(graph), graph.ops, [port.tensor for port in graph.outputs])


def assert_same(graph: Graph, seed: int, samples: int = 3) -> list[str]:
    """Gives the operators that ran."""
    random = np.random.default_rng(seed)
    computed = {
        p.tensor: full_range(random, (samples, *graph.tensors[p.tensor].shape), graph.type_of(p.tensor))
        for p in graph.inputs
    }
    watched = Watched()
    runner = FastRunner(graph, watched)
    got = runner(computed, [graph.outputs[0].tensor])
    for op in graph.ops:
        computed[op.output] = run_op(op, graph, *(computed[name] for name in op.inputs))
    name = graph.outputs[0].tensor
    assert got[name].shape == computed[name].shape
    assert np.array_equal(got[name], computed[name])
    return watched.kinds


@st.composite
def chains(draw: st.DrawFn) -> Graph:
    """One or two dense or convolutional layers with quantisers, poolings between them."""
    rank = draw(st.sampled_from([1, 1, 2, 3]))
    shape = (*(draw(st.integers(2, 9)) for _ in range(rank - 1)), draw(st.integers(1, 7)))
    types = st.builds(FixedType, st.booleans(), st.integers(1, 8), st.integers(-2, 6))
    chain = Chain(shape, draw(types))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(1, 2))):
        filters, reach = draw(st.integers(1, 6)), draw(st.sampled_from([1, 3, 7, 7, 31, 90]))
        kernel = tuple(draw(st.integers(1, min(4, n))) for n in chain.shape[:-1]) if rank > 1 else ()
        weights = random.integers(-reach, reach + 1, (*kernel, chain.shape[-1], filters)) << draw(
            st.sampled_from([0, 3])
        )
        bias = random.integers(-99, 100, filters) if draw(st.booleans()) else None
        places = {}
        if (kernel and draw(st.booleans())) or len(kernel) > 0:
            places = {
                "strides": tuple(draw(st.integers(1, 2)) for _ in kernel),
                "dilations": tuple(
                    1 if k == 1 or draw(st.booleans()) else draw(st.sampled_from([1, 1, (n - 1) // (k - 1)]))
                    for k, n in zip(kernel, chain.shape, strict=False)
                ),
                "padding": tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in kernel),
                "groups": 1,
            }
        chain.linear(weights, bias, draw(st.integers(-1, 6)), **places)
        if draw(st.booleans()):
            chain.then(Relu(**chain.common()), type_for(0, max(1, chain.type.high), chain.type.fraction))
        if draw(st.integers(0, 3)) == 0:
            levels = draw(st.integers(1, 15))
            table = np.sort(
                full_range(random, (draw(st.sampled_from([1, filters])), levels), chain.type).astype(np.int64), axis=1
            )
            if draw(st.booleans()):
                table = np.cumsum(np.full_like(table, draw(st.integers(2, 9))), axis=1) - int(draw(st.integers(0, 40)))
            name = chain.constants.setdefault("t" + chain.last, table) is table and "t" + chain.last
            signs = None
            if not isinstance(chain.ops[-1], Relu) and draw(st.booleans()):
                signs = "s" + chain.last
                chain.constants[signs] = random.choice([-1, 1], filters)
            op = Threshold(
                **chain.common(), thresholds=str(name), signs=signs, step=1, offset=-2, axis=len(chain.shape) - 1
            )
            chain.then(op, FixedType(True, 6, 0))
        else:
            drop = draw(st.integers(0, 6))
            target = replace(draw(types), fraction=chain.type.fraction - drop)
            chain.cast(target, draw(st.sampled_from(Rounding)), draw(st.sampled_from(SATURATING)))
        if rank > 1 and min(chain.shape[:-1]) > 2 and draw(st.booleans()):
            chain.max_pool(draw(st.integers(1, 3)))
    return chain.graph()


@given(chains(), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_random_chains(graph: Graph, seed: int) -> None:
    assert_same(graph, seed)


@pytest.mark.parametrize("rounding", [Rounding.RND_CONV, Rounding.TRN, Rounding.RND, Rounding.RND_MIN_INF])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("drop", [0, 1, 4])
def test_usual_quantisers_run_on_bytes(rounding: Rounding, signed: bool, drop: int) -> None:
    """Every integer that the sum can be, its ties among them."""
    chain = Chain((2,), FixedType(signed, 8, 0))
    chain.linear(np.array([[1, -1, 3], [2, 1, 0]]), np.array([5, 0, -7]), 4)
    chain.cast(FixedType(signed, 4, 4 - drop), rounding)
    graph = chain.graph()
    (unit,) = found(graph)
    assert unit.ops == graph.ops
    every = np.arange(graph.type_of("x").low, graph.type_of("x").high + 1)
    x = np.stack(np.meshgrid(every, every, indexing="ij"), axis=-1).reshape(-1, 2)
    truth = run_op(graph.ops[1], graph, run_op(graph.ops[0], graph, x))
    assert np.array_equal(FastRunner(graph)({"x": x}, [chain.last])[chain.last], truth)


@pytest.mark.parametrize("overflow", [Overflow.WRAP, Overflow.SAT_ZERO])
@pytest.mark.parametrize(("reach", "taken"), [(2, True), (3, False)])
def test_a_cast_that_no_input_overflows(overflow: Overflow, reach: int, taken: bool) -> None:
    """Its sum stays within 6 bits from these inputs, though not from all that their type holds."""
    chain = Chain((2,), FixedType(True, 4, 0))
    chain.linear(np.array([[7, -7], [7, 8]]), None, 0)
    chain.cast(FixedType(True, 6, 0), Rounding.TRN, overflow)
    whole = chain.graph()
    graph = replace(whole, inputs=(replace(whole.inputs[0], low=-reach, high=reach),))
    assert bool(found(graph)) is taken
    every = np.arange(-reach, reach + 1)
    x = np.stack(np.meshgrid(every, every, indexing="ij"), axis=-1).reshape(-1, 2)
    truth = run_op(graph.ops[1], graph, run_op(graph.ops[0], graph, x))
    assert np.array_equal(FastRunner(graph)({"x": x}, [chain.last])[chain.last], truth)


@pytest.mark.parametrize(("weight", "taken"), [(64, True), (65, False)])
def test_no_pair_of_products_may_leave_int16(weight: int, taken: bool) -> None:
    """2 × 255 × 64 is 32640; with 65 a CPU without VNNI would saturate."""
    chain = Chain((4,), FixedType(False, 8, 0))
    chain.linear(np.array([[weight], [weight - 1], [weight], [-weight]]), None, 0)
    chain.cast(FixedType(False, 8, -8), Rounding.RND_CONV)
    graph = chain.graph()
    assert bool(found(graph)) is taken
    assert ("QGemm" in assert_same(graph, 0, 200)) is taken


def test_weights_lose_the_zeros_that_all_end_in() -> None:
    chain = Chain((3,), FixedType(True, 4, 2))
    chain.linear(np.array([[5], [-3], [7]]) << 9, np.array([1 << 9]), 12)
    chain.cast(FixedType(True, 5, 2), Rounding.TRN)
    (unit,) = found(chain.graph())
    assert np.abs(unit.weights).max() == 7 * 16
    assert "QGemm" in assert_same(chain.graph(), 0, 200)


@pytest.mark.parametrize(
    ("left", "right"), [((False, 4, 2), (True, 8, 4)), ((True, 5, 0), (True, 5, 0)), ((False, 1, 0), (False, 8, 6))]
)
@pytest.mark.parametrize("drop", [0, 1, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_residual_additions(left: tuple, right: tuple, drop: int, signed: bool) -> None:
    types = FixedType(*left), FixedType(*right)
    ends = [np.arange(t.low, t.high + 1) for t in types]
    x, z = (v.reshape(1, -1) for v in np.meshgrid(*ends, indexing="ij"))
    chain = Chain(x.shape[1:], *types)
    total = sum_type(*types)
    chain.then(Add(**chain.common("z")), total)
    chain.cast(FixedType(signed, 4, total.fraction - drop), Rounding.RND_CONV)
    graph = chain.graph()
    assert len(found(graph)) == 1
    truth = run_op(graph.ops[1], graph, run_op(graph.ops[0], graph, x, z))
    assert np.array_equal(FastRunner(graph)({"x": x, "z": z}, [chain.last])[chain.last], truth)


@pytest.mark.parametrize("rounding", Rounding)
def test_an_addition_has_no_bias_to_round_with(rounding: Rounding) -> None:
    type_ = FixedType(True, 4, 2)
    chain = Chain((40,), type_, type_)
    chain.then(Add(**chain.common("z")), sum_type(type_, type_))
    chain.cast(FixedType(True, 4, 0), rounding)
    assert ("QLinearAdd" in assert_same(chain.graph(), 0, 50)) is (rounding is Rounding.RND_CONV)


def test_a_traced_sum_is_a_sum() -> None:
    """What is asked for between a dense and its quantiser is there."""
    chain = Chain((3,), FixedType(True, 4, 2))
    chain.linear(np.array([[5], [-3], [7]]), None, 2)
    chain.cast(FixedType(True, 5, 2), Rounding.TRN)
    graph, x = chain.graph(), {"x": np.array([[1, 2, 3]])}
    assert FastRunner(graph)(x, list(graph.tensors))["t0"].tolist() == [[20]]
    assert not units(graph, results(graph), graph.ops, ["t0", "t1"])


@pytest.mark.parametrize("width", range(3, 13))
@pytest.mark.parametrize(
    ("taps", "stride", "padding"), [(3, 1, (1, 1)), (5, 1, (0, 0)), (2, 2, (0, 1)), (3, 2, (1, 0))]
)
def test_blocks_of_columns(width: int, taps: int, stride: int, padding: tuple[int, int]) -> None:
    """A convolution over blocks of columns is the convolution."""
    if width + sum(padding) < taps:
        return
    random = np.random.default_rng(width)
    chain = Chain((4, width, 1), FixedType(False, 4, 0))
    weights = random.integers(-7, 8, (2, taps, 1, 3))
    chain.linear(weights, None, 0, strides=(1, stride), dilations=(1, 1), padding=((1, 0), padding), groups=1)
    chain.cast(FixedType(False, 4, -4), Rounding.RND_CONV)
    graph = chain.graph()
    way = blocks(graph.ops[0], (4, width, 1), (2, taps), graph.tensors["t0"].shape)
    assert (way.size > 1) == any(graph.tensors["t0"].shape[1] % n == 0 for n in range(2, 33)) or way.width > width
    assert "QLinearConv" in assert_same(graph, 0, 4)
    if way.size > 1:
        assert blocked(weights, way, stride).shape == (2, way.taps, way.size * stride, way.size * 3)


@pytest.mark.parametrize("width", [4, 8, 12, 14, 20])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("rank", [2, 3])
def test_poolings_of_blocks(width: int, size: int, stride: int, rank: int) -> None:
    """Also where the quantised tensor is an output itself."""
    random = np.random.default_rng(width)
    chain = Chain((5, width, 1)[3 - rank :], FixedType(True, 4, 0))
    places = {"strides": (1,) * (rank - 1), "dilations": (1,) * (rank - 1), "padding": ((1, 1),) * (rank - 1)}
    chain.linear(random.integers(-7, 8, ((3,) * (rank - 1) + (1, 3))), None, 0, **places, groups=1)
    chain.cast(FixedType(True, 4, -3), Rounding.RND_CONV)
    quantised = chain.last
    spatial = rank - 1
    op = Pool(
        **chain.common(),
        kind=PoolKind.MAX,
        size=(size,) * spatial,
        strides=(stride,) * spatial,
        padding=((0, 0),) * spatial,
    )
    chain.then(op, chain.type, pool_shape(chain.shape, op))
    graph = chain.graph()
    assert "NhwcMaxPool" in assert_same(graph, 0, 4)
    both = replace(graph, outputs=(*graph.outputs, replace(graph.outputs[0], tensor=quantised, name="q")))
    x = full_range(random, (4, *graph.tensors["x"].shape), graph.type_of("x"))
    truth = Simulator(both, "reference").predict(x)
    assert all(np.array_equal(a, b) for a, b in zip(Simulator(both).predict(x), truth, strict=True))
