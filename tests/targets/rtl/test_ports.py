"""Models of several inputs and outputs: one stream of each, in the model's order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from math import comb
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from onnx import save

from fpgaflow.boards import load_board
from fpgaflow.building import build
from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops_merge import Concat, MatMul
from fpgaflow.ir.types import FixedType
from fpgaflow.ir.verify_merge import matmul_type
from fpgaflow.targets.interface import from_json
from fpgaflow.targets.rtl import depths
from fpgaflow.targets.rtl.diagram import dataflow_svg
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.formal import Claim, refuted, source
from fpgaflow.targets.rtl.generate import check_rtl, generate
from fpgaflow.targets.rtl.layers import Join, Layer
from fpgaflow.targets.rtl.ports import Collect, Deal
from fpgaflow.targets.rtl.rom import Walk
from fpgaflow.targets.rtl.splice import Merge
from fpgaflow.targets.rtl.stream import Beat, Chain, Fifo
from fpgaflow.targets.rtl.top import link
from fpgaflow.validate import validate
from tests.conformance.test_engines import two_ports
from tests.conformance.test_ops_on_targets import NAMED
from tests.targets.hls.hls_graphs import S6, U4, Net
from tests.targets.rtl.harness import assert_exact, compiled, expected, inputs_of

# Layers that are only asked; Amaranth warns of one when it goes: in its own test, where that is expected.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

WIDE = FixedType(True, 19, 4)
SAMPLES = 8


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


def two_inputs(net: Net) -> None:
    """Of different types and shapes, neither a whole number of beats."""
    image, numbers = net.input((3, 5), U4), net.input((7,), WIDE)
    net.output(net.add(net.dense(net.reshape(image, (15,)), 3), net.dense(numbers, 3)))


def the_second_first(net: Net) -> None:
    """Nothing can leave before all of the second input is there, and little of the first is read until then."""
    rows, matrix = net.input((6, 4), S6), net.input((4, 3), U4)
    net.output(net.op(MatMul, [rows, matrix], (6, 3), matmul_type(S6, U4, 4)))


def two_in_turn(net: Net) -> None:
    """The second input's elements before the first's."""
    first, second = net.input((40,), S6), net.input((9,), S6)
    net.output(net.op(Concat, [second, first], (49,), S6, axis=0))


def two_outputs(net: Net) -> None:
    x = net.cast(net.dense(net.input((6,), S6), 5), S6)
    net.output(net.dense(x, 3))
    net.output(net.cast(net.relu(x), U4))
    net.output(x)


def the_last_first(net: Net) -> None:
    """The output that is ready first leaves last."""
    x = net.input((12, 4), S6)
    net.output(net.dense(net.cast(net.dense(net.reshape(x, (48,)), 6), S6), 2))
    net.output(net.relu(x))


def both(net: Net) -> None:
    """One of the inputs goes to both outputs, one is never read, one leaves as it came."""
    a, b, c = net.input((2, 3), WIDE), net.input((3,), FixedType(False, 1, 0)), net.input((5,), S6)
    net.input((4,), U4)
    d = net.dense(a, 3)
    net.output(net.add(net.reshape(d, (6,)), net.dense(c, 6)))
    net.output(c)
    net.output(net.dense(b, 2))


def apart(net: Net) -> None:
    """Two networks that have nothing but their streams in common."""
    net.output(net.dense(net.input((6,), S6), 4))
    net.output(net.relu(net.input((3, 3), FixedType(True, 9, 2))))


CASES: dict[str, Callable[[Net], None]] = {
    make.__name__: make
    for make in (two_inputs, the_second_first, two_in_turn, two_outputs, the_last_first, both, apart)
}


def made(make: Callable[[Net], None]) -> Graph:
    net = Net()
    make(net)
    return net.graph()


def _assert_case(name: str, interval: int) -> None:
    graph = made(CASES[name])
    assert not check_rtl(graph, load_board("pynq-z2"))
    assert assert_exact(graph, interval, f"ports_{name}_{interval}", SAMPLES).interval <= 80


@pytest.mark.parametrize("name", ["two_inputs", "the_last_first", "both"])
def test_exact_with_stalls_and_across_a_reset(name: str) -> None:
    _assert_case(name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("interval", [1, 60])
@pytest.mark.parametrize("name", CASES)
def test_every_case_is_exact(name: str, interval: int) -> None:
    _assert_case(name, interval)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "add", "concat", "matmul", "threshold"])
def test_the_conformance_cases_as_one_model_each(name: str) -> None:
    assert_exact(made(NAMED[name]), 64, f"ports_all_{name}", SAMPLES)


def test_a_model_that_gives_its_inputs_back_is_refused() -> None:
    net = Net()
    for x in (net.input((3,), S6), net.input((3,), U4)):
        net.output(x)
    assert "gives its input back" in str(check_rtl(net.graph(), load_board("pynq-z2"))[0])


def test_what_is_needed_later_waits_whole_in_the_fifo_of_its_own() -> None:
    graph = made(two_in_turn)
    assert generate(graph, fold_for(graph, 60)).depths == {
        "x0": (depths.TIMES * 10 + depths.SLACK,),  # 40 elements in beats of 4
        "x1": (depths.TIMES * 1 + depths.SLACK,),
    }


@pytest.mark.slow
def test_the_lazy_runs_depth_suffices_and_less_deadlocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first input's FIFO; the registers around it hold fewer than the 8 beats that it lacks then."""
    graph = made(two_in_turn)
    folding, codes = fold_for(graph, 60), inputs_of(graph, SAMPLES)
    monkeypatch.setattr(depths, "TIMES", 1)
    for slack, suffices in ((0, True), (-8, False)):
        monkeypatch.setattr(depths, "SLACK", slack)
        simulation = compiled(graph, folding, f"ports_short_{-slack}", SAMPLES)
        if suffices:
            assert (simulation.run(codes, most_cycles=20_000).codes == expected(graph, codes)).all()
        else:
            with pytest.raises(CheckFailed, match="no more output"):
                simulation.run(codes, most_cycles=20_000)


def _merged(order: Sequence[int]) -> tuple[Graph, dict[str, Layer], dict[str, Beat]]:
    """Two inputs, read beat by beat in an order, as the network's only layer."""
    net, beat = Net(), Beat(1, 4)
    counts = [order.count(number) for number in range(2)]
    inputs = [net.input((count,), FixedType(True, 4, 0)) for count in counts]
    result = net.op(Concat, inputs, (len(order),), FixedType(True, 4, 0), axis=0)
    net.output(result)
    walk = Walk(tuple((number,) for number in order), 1)
    layer = Join([Chain([("fifo", Fifo(beat))]) for _ in counts], Merge(beat, 2, walk))
    return net.graph(), {result: layer}, dict.fromkeys(inputs, beat)


def _finishes(order: Sequence[int], room: Sequence[int], samples: int = 3) -> bool:
    """Whether FIFOs of so many beats, filled with one input after the other and read in an order, never lock."""
    given = sorted(order) * samples
    held, read = [0, 0], 0
    while given:
        if held[given[0]] < room[given[0]]:
            held[given.pop(0)] += 1
        elif held[wanted := order[read % len(order)]]:
            held[wanted] -= 1
            read += 1
        else:
            return False
    return True


def test_every_order_of_two_inputs_gets_the_least_room_that_never_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All orders in which a layer can read up to 4 beats of one input and up to 4 of the other."""
    monkeypatch.setattr(depths, "TIMES", 1)
    monkeypatch.setattr(depths, "SLACK", 0)
    tried = 0
    for counts in product(range(1, 5), repeat=2):
        for places in combinations(range(sum(counts)), counts[1]):
            order = [int(place in places) for place in range(sum(counts))]
            found = depths.branch_depths(*_merged(order))
            room = [depth for (depth,) in found.values()]
            assert _finishes(order, room), order
            for number in range(2):
                less = [depth - (place == number) for place, depth in enumerate(room)]
                assert min(less) == 0 or not _finishes(order, less), order
            tried += 1
    assert tried == sum(comb(a + b, b) for a, b in product(range(1, 5), repeat=2))


def test_what_is_dealt_and_collected_is_the_same_stream() -> None:
    """Proven by induction, for all beats and all stalls."""
    m, beat, firsts = Module(), Beat(2, 3), (0, 1, 4)
    m.submodules.deal, m.submodules.collect = deal, collect = Deal(beat, firsts, 6), Collect(beat, firsts, 6)
    for number in range(len(firsts)):
        link(m, getattr(deal, f"o_{number}"), getattr(collect, f"i_{number}"))
    inputs = source(m, deal.i)
    ready, holds, count = Signal(name="ready"), Signal(name="holds"), Signal(range(6))
    moved = deal.i.valid & deal.i.ready
    with m.If(moved):
        m.d.sync += count.eq(Mux(count == 5, 0, count + 1))
    same = (collect.o.valid == deal.i.valid) & (~deal.i.valid | (collect.o.payload == deal.i.payload))
    turns = [
        getattr(deal, f"o_{number}").valid == (deal.i.valid & (count >= begin) & (count < end))
        for number, (begin, end) in enumerate(((0, 1), (1, 4), (4, 6)))
    ]
    placed = (count < 6) & (deal.place == count) & (collect.place == count)
    m.d.comb += [
        collect.o.ready.eq(ready),
        holds.eq(same & (deal.i.ready == ready) & Cat(turns).all() & placed),
    ]
    claims = {"same": Claim(m, [*inputs, ready], holds, registers=True)}
    assert refuted(claims) == {}


def test_the_diagram_shows_one_stream_of_each() -> None:
    graph = made(both)
    drawn = dataflow_svg(generate(graph, fold_for(graph, 60)))
    assert drawn.count('class="port"') == 2 and "s_axis: x0, x1, x2, x3" in drawn and "m_axis: y0, y1, y2" in drawn


@pytest.mark.slow
@pytest.mark.parametrize("board", ["pynq-z2", "ulx3s-85f"])
def test_a_build_from_a_file_with_data_of_both_inputs(board: str, tmp_path: Path) -> None:
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    save(two_ports(8), model)
    x = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    np.savez(data, x=x[:, :16], other=x[:, 16:])
    result = build(model, board, tmp_path / "build", "rtl", data=data)
    assert result.ok and result.manifest["mismatches"]["qonnx_vs_sim"]["different"] == 0
    assert result.manifest["mismatches"]["rtl_vs_sim"]["samples"] == 20
    assert result.manifest["mismatches"]["rtl_vs_sim"]["different"] == 0
    assert result.manifest["bitstream"] is None
    assert "the drivers carry one input and one output" in result.manifest["why_no_bitstream"]
    interface = from_json((tmp_path / "build" / "rtl" / "interface.json").read_bytes())
    assert [part.name for part in interface.input.tensors] == ["x", "other"]
    validation = validate(tmp_path / "build", None, lambda _: None, vcd=tmp_path / "waves.vcd")
    assert validation.ok and {"qonnx", "reference", "fast", "rtl"} <= {way.name for way in validation.ways}
    assert "$enddefinitions" in (tmp_path / "waves.vcd").read_text()[:1_000_000]
    again = build(model, board, tmp_path / "build", "rtl", data=data)
    assert {stage["status"] for stage in again.manifest["stages"]} == {"skipped"}
    np.savez(data, x=x[:, :16])
    with pytest.raises(BadInput, match="but no other"):
        build(model, board, tmp_path / "build", "rtl", data=data)
