"""Small components proven over all inputs, against what the simulator or the plain product says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import cast
from fpgaflow.targets.rtl.cast import cast_value, number
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.formal import Claim, kept_beats, last_answer, refuted, source, table_claim
from fpgaflow.targets.rtl.rom import Walk
from fpgaflow.targets.rtl.stream import Beat, Fifo, Narrow, Stage, Widen
from fpgaflow.targets.rtl.threshold import Search, levels_of
from fpgaflow.targets.rtl.unrolled.activation import activation_of
from fpgaflow.targets.rtl.unrolled.component import Unrolled
from fpgaflow.targets.rtl.unrolled.layers import unrolled_layer
from tests.targets.hls.hls_graphs import Net

MODES = [(rounding, overflow) for rounding in Rounding for overflow in Overflow]


def patterns(type_: FixedType) -> np.ndarray:
    """Every integer of a type, in the order of its bit patterns."""
    return np.array([*range(type_.high + 1), *range(type_.low, 0)])


def cast_claims(source: FixedType, target: FixedType) -> dict[str, Claim]:
    return {
        f"{source} to {target}, {rounding.value}, {overflow.value}": table_claim(
            source.width,
            lambda x, r=rounding, o=overflow: cast_value(number(x, source), source, target, r, o),
            cast(patterns(source), source, target, rounding, overflow).tolist(),
            target.width,
        )
        for rounding, overflow in MODES
    }


@pytest.mark.parametrize("target", [FixedType(True, 3, 1), FixedType(False, 2, 2), FixedType(True, 7, 4)], ids=str)
def test_casts_in_all_modes(target: FixedType) -> None:
    assert refuted(cast_claims(FixedType(True, 5, 3), target)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("signed", [False, True])
def test_wide_casts_in_all_modes(signed: bool) -> None:
    assert refuted(cast_claims(FixedType(signed, 11, 6), FixedType(True, 5, 2))) == {}


def test_what_is_absorbed_into_sums() -> None:
    claims = {}
    for rounding, overflow in MODES:
        net = Net()
        source, target = FixedType(True, 6, 3), FixedType(False, 2, 1)
        net.output(net.cast(net.relu(net.input((1,), source)), target, rounding, overflow))
        graph = net.graph()
        absorbed = activation_of(graph.ops, graph, source, exact=True)
        clipped = np.maximum(patterns(source), 0)
        wanted = cast(clipped, FixedType(False, 5, 3), target, rounding, overflow)
        claims[f"{rounding}, {overflow}"] = table_claim(
            6, lambda x, a=absorbed: a.after(x.as_signed() + a.constant), wanted.tolist(), 2
        )
    assert refuted(claims) == {}


def test_a_wrong_table_is_refuted_by_its_input() -> None:
    table = [(3 * x) % 32 for x in range(16)]
    wrong = [*table[:9], table[9] ^ 4, *table[10:]]
    claims = {name: table_claim(4, lambda x: x * 3, entries, 5) for name, entries in (("a", table), ("b", wrong))}
    found = refuted(claims)
    assert list(found) == ["b"] and "1001" in found["b"]


def threshold(levels: Sequence[int], sign: int) -> tuple[Stage, list[int]]:
    """A search through levels, and what it has to give for each pattern of its input."""
    net, source, result = Net(), FixedType(True, 4, 0), FixedType(False, 3, 0)
    net.output(net.threshold(net.input((1,), source), np.array([levels]), result, 0, np.array([sign]), 1, 1))
    graph = net.graph()
    known = levels_of(graph.ops[0], graph)
    values = patterns(source)
    wanted = [1 + sum(sign * x >= level for level in levels) for x in values.tolist()]
    return Search(1, source, result, known, Walk(((0,),), 1)), wanted


def test_a_search_finds_the_count_of_every_input() -> None:
    claims = {}
    for levels, sign in (([-5, -1, 0, 2, 7], 1), ([-3, -3, 4], -1)):
        search, wanted = threshold(levels, sign)
        packed = sum(value << (3 * place) for place, value in enumerate(wanted))
        claims[f"{levels}"] = last_answer(search, lambda x, p=packed: Const(p, 48).word_select(x, 3))
    assert refuted(claims) == {}


def adders(taps: int, filters: int, width: int) -> Claim:
    """An unrolled layer against the sum of its products, which are shifts and additions of no one's choosing."""
    net = Net(np.random.default_rng(taps))
    source = FixedType(True, width, 0)
    net.output(net.dense(net.input((taps,), source), filters))
    graph = net.graph()
    op, fold = graph.ops[0], fold_for(graph, 1).folds["dense0"]
    layer = unrolled_layer(op, (), graph, fold, Beat(taps, width))
    ((_, sums),) = layer.stages
    assert isinstance(sums, Unrolled) and sums.stages == 1
    bias = graph.constants[op.bias] << (op.accum.fraction - op.bias_type.fraction)
    lift = op.accum.fraction - op.weight_type.fraction
    weights = graph.constants[op.weights].astype(object) << lift

    def wanted(vector: Value) -> Value:
        x = [vector[width * tap : width * (tap + 1)].as_signed() for tap in range(taps)]
        room = Const(0, Shape(op.accum.width, signed=True))
        sums = [
            sum((a * Const(int(w)) for a, w in zip(x, column, strict=True)), start + room)
            for column, start in zip(weights.T, bias.tolist(), strict=True)
        ]
        return Cat(*(each[: op.accum.width] for each in sums))

    return last_answer(layer, wanted)


def test_unrolled_sums_are_the_products() -> None:
    assert refuted({"2 taps": adders(2, 2, 3)}) == {}


@pytest.mark.slow
def test_more_unrolled_sums_are_the_products() -> None:
    assert refuted({"4 taps": adders(4, 2, 4)}) == {}


def queue(depth: int) -> Claim:
    """A FIFO against shifting registers: same beats, same order, ready while there is room."""
    m = Module()
    m.submodules.fifo = fifo = Fifo(Beat(1, 3), depth)
    inputs = source(m, fifo.i)
    ready, holds, count = Signal(name="ready"), Signal(name="holds"), Signal(range(depth + 1))
    slots = [Signal(3, name=f"slot_{number}") for number in range(depth)]
    put, take = fifo.i.valid & fifo.i.ready, fifo.o.valid & ready
    m.d.sync += count.eq(count + put - take)
    for place, slot in enumerate(slots):
        above = slots[place + 1] if place + 1 < depth else Const(0, 3)
        with m.If(put & (count - take == place)):
            m.d.sync += slot.eq(fifo.i.payload)
        with m.Elif(take):
            m.d.sync += slot.eq(above)
    m.d.comb += [
        fifo.o.ready.eq(ready),
        holds.eq(
            (count <= depth)
            & (fifo.o.valid == (count != 0))
            & (fifo.i.ready == (count < depth))
            & Mux(fifo.o.valid, fifo.o.payload == slots[0], 1)
        ),
    ]
    return Claim(m, [*inputs, ready], holds, registers=True)


def test_streams_keep_their_rules() -> None:
    claims = {
        "a FIFO is a queue": queue(2),
        "a FIFO": kept_beats(Fifo(Beat(2, 2))),
        "narrow": kept_beats(Narrow(Beat(4, 2), 2, 8)),
        "widen": kept_beats(Widen(Beat(1, 2), 2, 4)),
        "search": kept_beats(threshold([-1, 0, 3], 1)[0]),
    }
    assert refuted(claims) == {}
    assert list(refuted({"a queue of another depth": queue_of_wrong_depth()})) == ["a queue of another depth"]


def queue_of_wrong_depth() -> Claim:
    """A stage that forgets a waiting beat: what it offers changes."""

    class Forgets(Stage):
        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
            return m

    return kept_beats(Forgets(Beat(1, 2), Beat(1, 2)))
