"""FIFOs of branches: what layers need of their inputs, the depths that follow from it, and that these suffice."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from math import prod

import numpy as np
import pytest

from fpgaflow.errors import CheckFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_merge import Concat, Embed, MatMul, Pad, Take
from fpgaflow.ir.ops_recurrent import Cell, CellActivation, Recurrent
from fpgaflow.ir.ops_table import OneHotMax
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify_merge import matmul_type
from fpgaflow.targets.rtl import depths
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.layers import Join, Layer, layer_of, ports_of
from fpgaflow.targets.rtl.stream import Beat
from tests.graphs import random_inputs
from tests.targets.hls.hls_graphs import S6, Net
from tests.targets.rtl.harness import as_beats, compiled, expected, inputs_of, run_streams

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")  # layers that are only asked


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Amaranth warns of a layer when it goes: in its own test, where that is expected."""
    yield
    gc.collect()


SAME = ((1, 1), (1, 1))


def _one(make: str) -> Graph:
    net = Net()
    x = net.input((4, 5, 4), S6)
    match make:
        case "conv":
            y = net.conv(x, 4, (3, 3), padding=SAME)
        case "strided":
            y = net.conv(x, 2, (2, 3), strides=(2, 2), padding=((0, 1), (2, 1)))
        case "depthwise":
            y = net.conv(x, 4, (3, 3), padding=SAME, groups=4)
        case "windows":
            y = net.pool(x, PoolKind.MAX, (2, 2), (1, 2))
        case "pool":
            y = net.pool(x, PoolKind.SUM, (2, 2))
        case "dense":
            y = net.dense(x, 6)
        case "transpose":
            y = net.transpose(x, (0, 2, 1))
        case "keep":
            y = net.op(Take, [x], (4, 2, 4), S6, {"indices": [1, 3]}, axis=1)
        case "repeat":
            y = net.op(Take, [x], (4, 10, 4), S6, {"indices": np.repeat(np.arange(5), 2)}, axis=1)
        case "pad":
            y = net.op(Pad, [x], (6, 5, 6), S6, padding=((1, 1), (0, 0), (0, 2)), value=1)
        case "maximum":
            y = net.op(OneHotMax, [x], (4, 5, 4), FixedType(False, 1, 0))
        case "embed":
            index = net.cast(net.reshape(x, (80,)), FixedType(False, 2, 0))
            y = net.op(Embed, [index], (80, 3), S6, {"table": np.arange(12).reshape(4, 3)})
        case "concat":
            y = net.op(Concat, [x, net.input((4, 2, 4), S6)], (4, 7, 4), S6, axis=1)
        case "matmul":
            y = net.op(MatMul, [x, net.input((4, 4, 3), S6)], (4, 5, 3), matmul_type(S6, S6, 4))
        case "lstm" | "gru":
            y = _cell(net, x, Cell(make))
    net.output(y)
    return net.graph()


def _cell(net: Net, x: str, kind: Cell) -> str:
    """Four units: an LSTM from given states on, that gives its last; a GRU that goes backwards, and gives all."""
    columns, relu = 4 * kind.gates, CellActivation.RELU
    parts = net.reshape(x, (5, 16)) if kind is Cell.LSTM else net.input((5, columns), S6)
    states = [net.input((4,), S6), net.input((4,), S6)] if kind is Cell.LSTM else []
    constants = {"weights": np.ones((4, columns), np.int64), "bias": np.zeros(columns, np.int64)}
    fields = {"cell": kind, "sequence": kind is Cell.GRU, "backward": kind is Cell.GRU, "fold": 1}
    fields |= {"weight_type": S6, "bias_type": S6, "table_type": S6, "accum": S6}
    fields |= {"accum_rounding": Rounding.TRN, "accum_overflow": Overflow.WRAP, "overflow": Overflow.WRAP}
    fields |= {"gate": relu, "gate_table": None, "candidate": relu, "candidate_table": None, "rounding": Rounding.TRN}
    return net.op(Recurrent, [parts, *states], (5, 4) if kind is Cell.GRU else (4,), S6, constants, **fields)


MAKES = ("conv", "strided", "depthwise", "windows", "pool", "dense", "transpose", "keep", "repeat", "pad")
MAKES += ("maximum", "embed", "concat", "matmul", "lstm", "gru")


@pytest.mark.parametrize("make", MAKES)
def test_a_layer_gives_a_beat_as_soon_as_it_has_what_it_says_that_it_needs(make: str) -> None:
    graph = _one(make)
    op, folding = graph.ops[-1], fold_for(graph, 200)
    beats = [Beat(2 if graph.tensors[name].shape[-1] % 2 == 0 else 1, graph.type_of(name).width) for name in op.inputs]
    arrays = [np.resize(random_inputs(graph, 0, 1)["x0"], graph.tensors[name].shape) for name in op.inputs]
    payloads = [as_beats(array.ravel().tolist(), beat) for array, beat in zip(arrays, beats, strict=True)]
    needs = _needs(_layer(graph, beats), [len(own) for own in payloads])
    total = prod(graph.tensors[op.output].shape) // folding.folds[op.name].pe
    assert {len(need) for need in needs} == {total}
    for beat in sorted({0, total // 3, total - 2, total - 1}):
        have = [int(need[beat]) for need in needs]
        _run(graph, beats, payloads, have, beat + 1)
        for number, need in enumerate(needs):
            if need[beat] > (need[beat - 1] if beat else 0):  # one beat less does not suffice
                with pytest.raises(AssertionError, match=r"no more (in|out)put"):
                    _run(graph, beats, payloads, [n - (k == number) for k, n in enumerate(have)], beat + 1)


def _needs(layer: Layer, counts: list[int]) -> list[np.ndarray]:
    return layer.needed(counts) if isinstance(layer, Join) else [layer.needed(counts[0])]


def _layer(graph: Graph, beats: list[Beat]) -> Layer:
    return layer_of(graph.ops[-1], graph, fold_for(graph, 200).folds[graph.ops[-1].name], beats, 200)


def _run(graph: Graph, beats: list[Beat], payloads: list[list[int]], have: list[int], count: int) -> None:
    layer = _layer(graph, beats)
    inputs = [(getattr(layer, port), own[:n]) for port, own, n in zip(ports_of(layer), payloads, have, strict=True)]
    run_streams(layer, inputs, [(layer.o, count)], 0, 0.2)


def test_a_skip_waits_for_the_rows_that_two_convolutions_look_ahead() -> None:
    graph = _residual(8, 8)
    ((_, skip),) = generate(graph, fold_for(graph, 8 * 8 * 9 * 16)).depths.values()
    ahead = 2 * (8 + 1) * 4  # of each convolution a row and a pixel of 4 channels
    assert depths.TIMES * ahead < skip <= depths.TIMES * (ahead + 8) + depths.SLACK < 8 * 8 * 4


def test_what_takes_long_to_follow_holds_a_whole_sample() -> None:
    graph = _residual(8, 8)
    design = generate(graph, fold_for(graph, 8 * 8 * 9 * 16))
    source = Beat(design.interface.input.elements_per_beat, design.interface.input.width)
    found = depths.branch_depths(graph, design.layers, {graph.inputs[0].tensor: source}, most_beats=100)
    assert {name: max(own) for name, own in found.items()} == {"cast1": 8 * 8 * 4 + depths.SLACK}


def test_a_skip_beside_a_dense_layer_waits_for_the_whole_sample() -> None:
    net = Net()
    x = net.input((6,), S6)  # in 2 beats
    net.output(net.add(net.dense(x, 6), x))
    depths_of_x = tuple(depths.TIMES * beats + depths.SLACK for beats in (1, 2))
    assert generate(net.graph(), fold_for(net.graph(), 100)).depths == {"x0": depths_of_x}


@pytest.mark.slow
def test_the_lazy_runs_depths_suffice_and_less_deadlocks(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _residual(6, 10)
    folding, codes = fold_for(graph, 6 * 10 * 9 * 16), inputs_of(graph, 6)
    monkeypatch.setattr(depths, "TIMES", 1)
    monkeypatch.setattr(depths, "SLACK", 0)
    assert (compiled(graph, folding, "least").run(codes, most_cycles=300_000).codes == expected(graph, codes)).all()
    monkeypatch.setattr(depths, "SLACK", -30)
    with pytest.raises(CheckFailed, match="no more output"):
        compiled(graph, folding, "too_little").run(codes, most_cycles=300_000)


def _residual(rows: int, columns: int) -> Graph:
    net = Net()
    x = net.cast(net.conv(net.input((rows, columns, 2), S6), 4, (3, 3), padding=SAME), S6)
    y = net.cast(net.relu(net.conv(x, 4, (3, 3), padding=SAME)), S6)
    y = net.cast(net.conv(y, 4, (3, 3), padding=SAME), S6)
    net.output(net.add(x, y))
    return net.graph()
