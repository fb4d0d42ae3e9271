"""Recurrent cells as layers: the kernel's bits, with stalls, in all modes, folded, from given states, backwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.graph import Graph, Tensor
from fpgaflow.ir.ops_recurrent import Cell, CellActivation, Recurrent
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import verify
from fpgaflow.sim.kernels_recurrent import Fixed, table_index
from fpgaflow.targets.rtl import recurrent, typed
from fpgaflow.targets.rtl.cast import number
from fpgaflow.targets.rtl.fold import Fold
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.formal import refuted, table_claim
from tests.frontend.hls4ml_nets import Net as Hls4mlNet
from tests.frontend.test_hls4ml_recurrent import FEATURES, SAME, SAT, STEPS, both_ways, cell
from tests.sim.test_kernels_recurrent import graph_of, recurrent_graphs
from tests.targets.rtl.harness import assert_exact, assert_layer, assert_op

S12, WIDE = FixedType(True, 12, 8), FixedType(True, 18, 10)


@settings(max_examples=25, deadline=None)
@given(graph=recurrent_graphs(), interval=st.sampled_from((1, 1 << 20)), seed=st.integers(0, 9))
def test_random_cells(graph: Graph, interval: int, seed: int) -> None:
    assert_op(graph, interval, seed=seed)


def saturating(kind: Cell, *, sequence: bool, backward: bool = False, given_states: bool = False) -> Graph:
    """Six units over 5 steps, of sums that saturate; states of another type than the sums."""
    op = Recurrent(
        *("op", ("x",), "y", "node", kind, sequence, backward, "w", S12, "b", S12, 3),
        *(WIDE, Rounding.RND_CONV, Overflow.SAT, CellActivation.SIGMOID, "gt", CellActivation.TANH, "ct", S12),
        *(Rounding.RND, Overflow.SAT),
    )
    graph = graph_of(op, S12, 6, 5, np.random.default_rng(int(sequence)))
    if not given_states:
        return graph
    names = ("h", "s")[: kind.states]
    (port,) = graph.inputs
    ports = [replace(port, tensor=name, name=name, low=S12.low, high=S12.high) for name in names]
    tensors = {**graph.tensors, **{name: Tensor(name, (6,), S12) for name in names}}
    ops = (replace(op, inputs=("x", *names)),)
    return verify(replace(graph, inputs=(port, *ports), ops=ops, tensors=tensors), "the test")


@pytest.mark.parametrize("pe", [1, 2, 6])
@pytest.mark.parametrize("kind", Cell, ids=lambda kind: kind.value)
def test_folded_from_given_states_and_backwards(kind: Cell, pe: int) -> None:
    for backward in (False, True):
        graph = saturating(kind, sequence=backward or pe == 2, backward=backward, given_states=pe != 2)
        (op,) = graph.ops
        assert isinstance(op, Recurrent)
        assert_layer(graph, Fold(pe, pe, 1), (4, 1, 3), seed=pe)


@pytest.mark.parametrize("kind", Cell, ids=lambda kind: kind.value)
def test_a_step_takes_its_products_and_the_way_to_its_last_state(kind: Cell) -> None:
    graph, drain = saturating(kind, sequence=True), recurrent.drain(kind)
    assert fold_for(graph, 5 * (3 * 6 + drain)).folds["op"] == Fold(2, 2, 5 * (3 * 6 + drain))
    assert fold_for(graph, 5 * (3 * 6 + drain) - 1).folds["op"] == Fold(3, 3, 5 * (2 * 6 + drain))


@pytest.mark.parametrize(("size", "reach"), [(16, 8), (10, 4)])
@pytest.mark.parametrize("type_", [FixedType(True, 9, 5), FixedType(False, 8, -1), FixedType(True, 8, 0)])
def test_where_a_table_is_read_is_proven_for_all_inputs(type_: FixedType, size: int, reach: int) -> None:
    patterns = np.arange(1 << type_.width)
    x = np.where(patterns > type_.high, patterns - (1 << type_.width), patterns)
    wanted = table_index(Fixed(x, type_), size, reach)
    claim = table_claim(
        type_.width,
        lambda bits: typed.table_index(typed.Number(number(bits, type_), type_), size, reach) + Const(0, 4),
        wanted.tolist(),
        4,
    )
    assert refuted({"index": claim}) == {}


@pytest.mark.slow
def test_cells_of_hls4ml_as_a_network(tmp_path: Path) -> None:
    """With its tables of 1,024 entries, several outputs and given states, as compiled Verilog."""
    net = Hls4mlNet()
    x, h, s = (
        net.input(name, *shape, type_=SAT) for name, shape in (("x", (STEPS, FEATURES)), ("h", (3,)), ("s", (3,)))
    )
    cell(net, "LSTM", "lstm", (x, h, s), 3, SAME, pass_initial_states=True)
    types = {"accum": "ap_fixed<15,5,RND_CONV>", "result": "ap_fixed<11,2,RND_ZERO,SAT>"}
    gru = cell(net, "GRU", "gru", x, 4, types, return_sequences=True)
    cell(net, "GRU", "last", gru, 3, types, features=4)
    types = {"accum": "ap_fixed<13,5,RND_INF,SAT>", "result": "ap_ufixed<9,3>"}
    both_ways(net, "both", x, ("LSTM", 2), ("GRU", 3), types, return_sequences=True)
    run = assert_exact(from_hls4ml(net.model(tmp_path)), 200, "hls4ml_cells", samples=8)
    assert run.interval <= 220
