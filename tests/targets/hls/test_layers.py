"""Layer lists: explicit types by layer, casts absorbed where nothing else reads, names that hls4ml cannot confuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.targets.hls.layers import HlsOptions, IOType, LayerList, Strategy, layer_list, spell
from tests.targets.hls.hls_graphs import S6, U4, Net, lenet

PART = "xc7z020clg400-1"


def layers(graph: Graph, io_type: IOType = IOType.PARALLEL, **options: Any) -> LayerList:
    return layer_list(graph, HlsOptions(PART, io_type, **options))


def precision(made: LayerList, name: str) -> dict[str, str]:
    return made.config["LayerName"][name]["Precision"]


def test_types_are_spelled_as_ap_fixed_with_their_modes() -> None:
    assert spell(FixedType(True, 8, 3)) == "ap_fixed<8,5,TRN,WRAP>"
    assert spell(FixedType(False, 1, 0)) == "ap_ufixed<1,1,TRN,WRAP>"
    assert spell(FixedType(True, 4, 9), Rounding.RND_MIN_INF, Overflow.SAT_SYM) == "ap_fixed<4,-5,RND_MIN_INF,SAT_SYM>"


def test_a_lenet_is_one_layer_per_layer() -> None:
    made = layers(lenet(PoolKind.MAX).graph())
    kinds = [layer["class_name"] for layer in made.layers]
    body = ["Conv2D", "MaxPooling2D"] * 2 + ["Reshape", "Dense", "Dense", "Dense"]
    assert kinds == ["InputLayer", *body]
    conv = made.layers[1]
    assert precision(made, conv["name"]) == {
        "result": "ap_ufixed<4,2,RND_CONV,SAT>",  # the cast behind the relu behind the conv
        "weight": "ap_fixed<4,1,TRN,WRAP>",
        "bias": "ap_fixed<8,2,TRN,WRAP>",
        "accum": spell(made.graph.ops[0].accum),  # type: ignore[attr-defined]
    }
    assert (conv["in_height"], conv["pad_top"], conv["n_chan"], conv["n_filt"]) == (8, 1, 1, 4)


def test_weights_are_exact_values() -> None:
    net = Net()
    net.output(net.dense(net.input((3,), S6), 2, wt=FixedType(True, 50, 45)))
    data = layers(net.graph()).layers[1]["weight_data"]
    assert data.dtype == np.float64
    np.testing.assert_array_equal((data * 2.0**45).astype(np.int64), net.constants["dense0.w"])


def test_a_cast_is_its_own_layer_where_its_source_has_other_readers() -> None:
    net = Net()
    x = net.dense(net.input((3,), S6), 2)
    net.output(net.cast(x, U4))
    net.output(net.cast(x, FixedType(True, 3, 1), Rounding.TRN, Overflow.WRAP))
    made = layers(net.graph())
    assert [layer["class_name"] for layer in made.layers] == ["InputLayer", "Dense", "Activation", "Activation"]
    assert [layer["inputs"] for layer in made.layers[2:]] == [["dense0"], ["dense0"]]
    assert precision(made, "cast2")["result"] == "ap_fixed<3,2,TRN,WRAP>"


def test_a_cast_behind_an_output_is_its_own_layer() -> None:
    net = Net()
    x = net.dense(net.input((3,), S6), 2)
    net.output(x)
    net.output(net.cast(x, U4))
    made = layers(net.graph())
    assert made.outputs == ["dense0", "cast1"]


def test_an_absent_bias_is_left_to_hls4ml() -> None:
    net = Net()
    net.output(net.dense(net.input((3,), S6), 2, bt=None))
    made = layers(net.graph())
    assert made.layers[1]["bias_data"] is None
    assert "bias" not in precision(made, "dense0")


def test_streams_are_padded_by_a_layer_of_their_own() -> None:
    net = Net()
    net.output(net.conv(net.input((5, 4, 2), S6), 3, (3, 3), padding=((2, 1), (0, 1))))
    padding, conv = layers(net.graph(), IOType.STREAM).layers[1:]
    assert padding["class_name"] == "ZeroPadding2D"
    assert conv["inputs"] == [padding["name"]] == ["conv0_padding"]
    assert (padding["in_height"], padding["out_height"], conv["in_height"], conv["pad_top"]) == (5, 8, 8, 0)
    assert (padding["in_width"], padding["out_width"], conv["in_width"], conv["pad_right"]) == (4, 5, 5, 0)


def test_an_average_has_the_bits_that_its_quotient_needs() -> None:
    net = Net()
    net.output(net.pool(net.input((4, 4, 2), U4), PoolKind.AVERAGE, (2, 4)))
    made = layers(net.graph())
    assert precision(made, "pool0") == {"result": "ap_ufixed<7,2,TRN,WRAP>", "accum": "ap_ufixed<10,5,TRN,WRAP>"}


def test_reuse_factors_and_strategies_go_by_layer() -> None:
    net = Net()
    first = net.dense(net.input((4,), S6), 4)
    second = net.dense(first, 2)
    net.output(second)
    net.output(net.conv(net.input((4, 4, 2), S6), 2, (2, 2), groups=2))
    options = {"strategy": Strategy.RESOURCE, "reuse_factor": 2, "reuse_factors": {second: 4}}
    config = layers(net.graph(), **options).config["LayerName"]
    assert [config[name]["ReuseFactor"] for name in (first, second)] == [2, 4]
    assert [config[name]["Strategy"] for name in (first, "conv2")] == ["resource", "latency"]


@pytest.mark.parametrize(
    "wanted", ["input", "Block/Conv 1", "BLOCK_conv_1", "repack_x", "x_cpy1", "1st", "größe", "input_1"]
)
def test_names_are_distinct_identifiers_that_hls4ml_does_not_use(wanted: str) -> None:
    net = Net()
    x = net.dense(net.input((3,), S6), 2)
    net.output(net.dense(x, 2))
    graph = net.graph()
    graph = replace(graph, ops=(replace(graph.ops[0], name="block_conv_1"), replace(graph.ops[1], name=wanted)))
    names = [layer["name"] for layer in layers(graph).layers]
    assert len({name.lower() for name in names}) == 3
    name = names[2]
    assert name.isascii() and name.isidentifier() and name != "input"
    assert not name.startswith("repack_") and not name.endswith("_cpy1")


@pytest.mark.parametrize(
    "bad",
    [
        {"project_name": "my project"},
        {"project_name": "1st"},
        {"part": 'x"; exec ls; "'},
        {"clock_period_ns": 0.0},
        {"clock_period_ns": float("nan")},
        {"reuse_factor": 0},
        {"reuse_factors": {"fc1": -1}},
    ],
)
def test_options_that_scripts_or_cpp_cannot_hold_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        HlsOptions(**{"part": PART, **bad})
