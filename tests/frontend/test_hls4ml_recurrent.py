"""hls4ml's recurrent layers: the bits of its own csim, or a refusal that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.store import load_graph, save_graph
from fpgaflow.sim.run import Simulator
from tests.frontend.hls4ml_nets import Layer, Net, assert_same_trace, samples

GATES = {"LSTM": 4, "GRU": 3}
STEPS, FEATURES = 4, 6
SAT = "ap_fixed<12,4,RND,SAT>"
SAME = {"accum": SAT, "result": SAT}


def weights(net: Net, kind: str, features: int, units: int, prefix: str = "") -> Layer:
    columns = GATES[kind] * units
    shapes = {"weight": (features, columns), "recurrent_weight": (units, columns)}
    shapes |= {"bias": (columns,), "recurrent_bias": (columns,)}
    return {f"{prefix}{key}_data": net.numbers(*shape) for key, shape in shapes.items()}


COMMON = {"return_state": False, "time_major": False, "direction": "forward"}


def cell(
    net: Net,
    kind: str,
    name: str,
    inputs: Any,
    units: int,
    types: dict[str, Any],
    features: int = FEATURES,
    **rest: Any,
) -> str:
    fields = {"n_timesteps": STEPS, "n_in": features, "n_out": units, "return_sequences": False, **COMMON}
    fields |= {"activation": "tanh", "recurrent_activation": "sigmoid", **weights(net, kind, features, units)}
    return net.add(kind, name, inputs, types, **(fields | rest))


def both_ways(
    net: Net,
    name: str,
    source: str,
    forward: tuple[str, int],
    backward: tuple[str, int],
    types: dict[str, Any],
    **rest: Any,
) -> str:
    fields = {"n_timesteps": STEPS, "n_in": FEATURES, "n_out": forward[1] + backward[1], **COMMON}
    fields |= {"return_sequences": False, "merge_mode": "concat"}
    for direction, (kind, units) in (("forward", forward), ("backward", backward)):
        fields |= weights(net, kind, FEATURES, units, f"{direction}_")
        fields |= {f"{direction}_class_name": kind, f"{direction}_n_states": units}
        fields |= {f"{direction}_activation": "tanh", f"{direction}_recurrent_activation": "sigmoid"}
    return net.add("Bidirectional", name, source, types, **(fields | rest))


def for_each_step(net: Net, name: str, source: str, inner: Layer, shape: tuple[int, ...], types: dict[str, Any]) -> str:
    fields = {"n_time_steps": shape[0], "output_shape": list(shape)}
    net.precision[f"{name}_end"] = {"Precision": types, "Trace": True}
    return net.add("TimeDistributed", name, source, types, wrapped_layer=inner, **fields)


def dense(net: Net, name: str, n_in: int, n_out: int, types: dict[str, Any]) -> Layer:
    net.precision[name] = {"Precision": types, "Trace": True}
    data = {"weight_data": net.numbers(n_in, n_out), "bias_data": net.numbers(n_out)}
    return {"class_name": "Dense", "name": name, "n_in": n_in, "n_out": n_out, "output_shape": [n_out], **data}


def test_every_cell_and_both_directions_are_exact(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", STEPS, FEATURES, type_=SAT)
    cell(net, "LSTM", "lstm", x, 3, SAME)
    cell(
        net, "LSTM", "lstm_all", x, 3, {**SAME, "Static": False}, activation="relu", return_sequences=True, pytorch=True
    )
    types = {
        "accum": "ap_fixed<15,5,RND_CONV>",
        "result": "ap_fixed<11,2,RND_ZERO,SAT>",
        "TableT": "ap_fixed<24,2,RND>",
    }
    cell(net, "GRU", "gru", x, 4, types | {"weight": "ap_fixed<9,3>", "recurrent_weight": "ap_fixed<8,2,RND>"})
    types = {"accum": "ap_fixed<14,5,TRN,SAT_SYM>", "result": "ap_fixed<16,6>"}
    gru = cell(net, "GRU", "gru_all", x, 3, types, return_sequences=True, pytorch=True)
    td = for_each_step(net, "steps", gru, dense(net, "fc", 3, 2, {}), (STEPS, 2), {"result": "ap_fixed<16,6>"})
    net.add("Activation", "act", td, {"result": "ap_fixed<9,4,RND,SAT>"}, activation="relu")
    types = {"accum": "ap_fixed<13,5,RND_INF,SAT>", "result": "ap_ufixed<9,3>"}
    both_ways(net, "both", x, ("LSTM", 2), ("GRU", 3), types, return_sequences=True)
    model = net.model(tmp_path)
    traced = assert_same_trace(model)
    assert {"lstm", "lstm_all", "gru", "gru_all", "fc", "steps_end", "both"} <= traced.keys()
    assert all(np.unique(values).size > 20 for values in traced.values())
    graph = from_hls4ml(model)
    save_graph(graph, tmp_path / "graph.json")
    assert load_graph(tmp_path / "graph.json").digest == graph.digest
    (x,) = samples(model)
    for fast, reference in zip(Simulator(graph).predict(x), Simulator(graph, "reference").predict(x), strict=True):
        np.testing.assert_array_equal(fast, reference)


def test_folded_products_over_streams_are_exact(tmp_path: Path) -> None:
    net = Net("io_stream", "VivadoAccelerator", Strategy="Resource", ReuseFactor=2)
    x = net.input("x", STEPS, FEATURES, type_=SAT)
    lstm = cell(net, "LSTM", "lstm", x, 4, SAME, return_sequences=True)
    types = {"accum": "ap_fixed<11,4,RND,SAT>", "result": "ap_fixed<10,3,RND,SAT>"}
    gru = cell(net, "GRU", "gru", lstm, 4, {**types, "Static": False}, 4, return_sequences=True)
    cell(net, "GRU", "last", gru, 2, types, 4, pytorch=True)
    assert_same_trace(net.model(tmp_path))


@pytest.mark.slow
def test_unrolled_products_over_streams_are_exact(tmp_path: Path) -> None:
    net = Net("io_stream", Strategy="Resource_Unrolled", ReuseFactor=4)
    x = net.input("x", STEPS, FEATURES, type_=SAT)
    lstm = cell(net, "LSTM", "lstm", x, 4, SAME, return_sequences=True)
    cell(net, "GRU", "gru", lstm, 4, {"accum": "ap_fixed<11,4,RND,SAT>", "result": "ap_fixed<10,3,RND,SAT>"}, 4)
    assert_same_trace(net.model(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("reuse", [3, 6])
def test_folded_products_are_exact(reuse: int, tmp_path: Path) -> None:
    net = Net(Strategy="Resource", ReuseFactor=reuse)
    x = net.input("x", STEPS, FEATURES, type_=SAT)
    cell(net, "LSTM", "lstm", x, 6, SAME, return_sequences=True)
    types = {"accum": "ap_fixed<11,4,RND,SAT>", "result": "ap_fixed<10,3,RND,SAT>"}
    both_ways(net, "both", x, ("LSTM", 6), ("GRU", 6), types, return_sequences=True)
    assert_same_trace(net.model(tmp_path))


@pytest.mark.slow
def test_initial_states_are_exact(tmp_path: Path) -> None:
    net = Net(backend="Vivado")
    x, h, s = (
        net.input(name, *shape, type_=SAT) for name, shape in (("x", (STEPS, FEATURES)), ("h", (1, 3)), ("s", (3,)))
    )
    given = {"pass_initial_states": True, "pytorch": True}
    cell(net, "LSTM", "lstm", (x, h, s), 3, SAME, return_sequences=True, **given)
    state = net.input("state", 4, type_="ap_fixed<9,2>")
    cell(net, "GRU", "gru", (x, state), 4, {"accum": SAT, "result": "ap_fixed<9,2>"}, **given)
    assert_same_trace(net.model(tmp_path))


@pytest.mark.slow
def test_awkward_types_are_exact(tmp_path: Path) -> None:
    """Integers, beyond 64 bits, no integer bits, a binary point beyond the width, a table of 1000 entries."""
    net = Net(backend="Vivado")
    x = net.input("x", STEPS, FEATURES, type_="ap_fixed<9,4>")
    types: dict[str, dict[str, Any]] = {
        "integers": {
            "accum": "ap_int<8>",
            "result": "ap_int<6>",
            "weight": "ap_int<2>",
            "recurrent_weight": "ap_uint<2>",
        },
        "wide": {"accum": "ap_fixed<70,30>", "result": "ap_fixed<66,10>", "TableT": "ap_fixed<50,4,RND>"},
        "coarse": {
            "accum": "ap_fixed<40,36,RND_ZERO>",
            "result": "ap_ufixed<9,1,RND_MIN_INF>",
            "TableT": "ap_ufixed<9,1>",
        },
        "zeros": {"accum": "ap_fixed<9,6,RND,SAT_ZERO>", "result": "ap_fixed<9,2,RND_INF,SAT_ZERO>"},
        "small": {"accum": "ap_fixed<12,-1,RND,SAT>", "result": "ap_fixed<9,-1,RND_ZERO,SAT>"},
        "huge": {"accum": "ap_fixed<12,34>", "result": "ap_fixed<12,4>", "weight": "ap_fixed<40,34>"},
    }
    functions = {"integers": ("relu", "relu"), "zeros": ("sigmoid", "tanh")}
    for name, precision in types.items():
        candidate, gate = functions.get(name, ("tanh", "sigmoid"))
        rest = {"activation": candidate, "recurrent_activation": gate, "table_size": 1000 if name == "coarse" else 1024}
        cell(net, "GRU", name, x, 3, precision, return_sequences=True, **rest)
    traced = assert_same_trace(net.model(tmp_path))
    assert all(np.unique(traced[name]).size > 8 for name in types if name != "huge")


@pytest.mark.slow
def test_recurrent_layers_and_images_for_each_step_are_exact(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 3, STEPS, FEATURES, type_=SAT)
    cell(net, "LSTM", "lstm", "td", 3, SAME)
    inner = net.layers.pop() | {"inputs": [], "output_shape": [3]}
    td = for_each_step(net, "td", x, inner, (3, 3), {"result": SAT})
    net.add("Activation", "act", td, {"result": "ap_fixed<9,4,RND,SAT>"}, activation="relu")
    image = {"class_name": "Conv1D", "name": "conv", "data_format": "channels_last", "filt_width": 2, "stride_width": 1}
    image |= {"in_width": STEPS, "out_width": STEPS, "n_chan": FEATURES, "n_filt": 2, "pad_left": 1, "pad_right": 0}
    image |= {"weight_data": net.numbers(2, FEATURES, 2), "bias_data": net.numbers(2), "output_shape": [STEPS, 2]}
    net.precision["conv"] = {"Precision": {"result": SAT}, "Trace": True}
    for_each_step(net, "images", x, image, (3, STEPS, 2), {"result": SAT})
    traced = assert_same_trace(net.model(tmp_path))
    assert {"lstm", "td_end", "conv", "images_end"} <= traced.keys()


def single(kind: str, types: dict[str, Any], options: dict[str, Any] | None = None, **rest: Any) -> Net:
    net = Net(**(options or {}))
    cell(net, kind, "rnn", net.input("x", STEPS, FEATURES, type_=SAT), 4, types, **rest)
    return net


def states(types: dict[str, Any], second_reader: bool = False, **rest: Any) -> Net:
    net = Net(**rest)
    x, state = net.input("x", STEPS, FEATURES, type_=SAT), net.input("state", 4, type_=SAT)
    cell(net, "GRU", "rnn", (x, state), 4, types, pass_initial_states=True)
    if second_reader:
        net.add("Activation", "act", state, {}, activation="relu")
    return net


def directions(types: dict[str, Any], options: dict[str, Any] | None = None, backward: int = 4, **rest: Any) -> Net:
    net = Net(**(options or {}))
    x = net.input("x", STEPS, FEATURES, type_=SAT)
    both_ways(net, "rnn", x, ("GRU", 4), ("LSTM", backward), types, **rest)
    return net


def steps(inner: dict[str, Any], **options: Any) -> Net:
    net = Net(**options)
    x = net.input("x", STEPS, FEATURES, type_=SAT)
    for_each_step(net, "td", x, dense(net, "fc", FEATURES, 2, inner), (STEPS, 2), {"result": SAT})
    return net


def simple() -> Net:
    net = Net()
    fields = weights(net, "GRU", FEATURES, 4) | {"n_timesteps": STEPS, "n_in": FEATURES, "n_out": 4, **COMMON}
    net.add(
        "SimpleRNN", "rnn", net.input("x", STEPS, FEATURES), {}, activation="tanh", return_sequences=False, **fields
    )
    return net


REFUSED = {
    "simple RNN": (simple, r"layer 'rnn' \(SimpleRNN\).*no C\+\+ for it"),
    "LSTM of several types": (
        lambda: single("LSTM", {"accum": SAT, "result": "ap_fixed<12,4>"}),
        r"'rnn' \(LSTM\).*differ: hls4ml's C\+\+ does not compile",
    ),
    "activation": (
        lambda: single("GRU", {}, recurrent_activation="hard_sigmoid"),
        r"recurrent_activation 'hard_sigmoid'.*does not compile",
    ),
    "folding": (
        lambda: single("GRU", {}, {"Strategy": "Resource", "ReuseFactor": 6}),
        r"reuse factors 6 and 4 for 4 × 12 products",
    ),
    "missing biases": (
        lambda: single("GRU", {}, recurrent_bias_data=np.zeros(4)),
        r"recurrent_bias \(4,\) for 12 results: hls4ml reads beyond it",
    ),
    "integers of fractions": (
        lambda: single("GRU", {"accum": "ap_int<8>", "TableT": "ap_fixed<12,0>", "result": SAT}),
        r"fractions without integer bits to ap_int",
    ),
    "a state of another type": (
        lambda: states({"result": "ap_fixed<12,4>"}),
        r"initial state 'state' is not of the result's",
    ),
    "a state that others read": (lambda: states({"result": SAT}, second_reader=True), r"'state' has other readers"),
    "states over streams": (lambda: states({"result": SAT}, io_type="io_stream"), r"no initial states in io_stream"),
    "merge mode": (lambda: directions({}, {"backend": "Vivado"}, n_out=4, merge_mode="sum"), r"merge mode 'sum'"),
    "both ways over streams": (
        lambda: directions({}, {"io_type": "io_stream", "backend": "Vivado"}),
        r"no io_stream Bidirectional",
    ),
    "both ways, not static": (lambda: directions({"Static": False, "result": SAT}), r"an LSTM of which input"),
    "steps over streams": (lambda: steps({}, io_type="io_stream"), r"TimeDistributed does not compile in io_stream"),
    "steps that cast": (lambda: steps({"result": "ap_fixed<8,4>"}), r"layer 'td_end'.*does not compile"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer(name: str, tmp_path: Path) -> None:
    net, expected = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=expected):
        from_hls4ml(net().model(tmp_path))


def test_pytorchs_gru_has_its_gates_in_another_order(tmp_path: Path) -> None:
    ops = [from_hls4ml(single("GRU", {}, pytorch=order).model(tmp_path)).ops[-1] for order in (False, True)]
    assert all(isinstance(op, Recurrent) for op in ops)
    graphs = [from_hls4ml(single("GRU", {}, pytorch=order).model(tmp_path)) for order in (False, True)]
    mine, theirs = (graph.constants["rnn.weight"] for graph in graphs)
    np.testing.assert_array_equal(mine[:, :4], theirs[:, 4:8])
    np.testing.assert_array_equal(mine[:, 4:8], theirs[:, :4])
    np.testing.assert_array_equal(mine[:, 8:], theirs[:, 8:])
