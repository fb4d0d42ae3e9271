"""hls4ml's activation functions, softmax, layer norm and quantisers: the bits of its own csim, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hls4ml.model.types import XnorPrecisionType

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.ops import Cast
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.store import load_graph, save_graph
from fpgaflow.sim.run import Simulator
from tests.frontend.hls4ml_nets import Layer, Net, assert_same_trace, samples

Types = dict[str, Any]  # of the layer; what stands under capital letters are other settings of hls4ml's

STANDARD = "ap_fixed<16,6>"
ROUNDING = ("TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV")
OVERFLOW = ("WRAP", "SAT", "SAT_ZERO", "SAT_SYM")


def function(name: str, **rest: Any) -> Layer:
    return {"kind": "Activation", "activation": name, **rest}


def leaky(slope: float) -> Layer:
    return {"kind": "LeakyReLU", "activation": "leakyrelu", "activ_param": slope}


def thresholded(theta: float) -> Layer:
    return {"kind": "ThresholdedReLU", "activation": "thresholdedrelu", "activ_param": theta}


def scaled_elu(alpha: float) -> Layer:
    return {"kind": "ELU", "activation": "elu", "activ_param": alpha}


def hard(name: str, **rest: Any) -> Layer:
    return {"kind": "HardActivation", "activation": name, **rest}


def softmax(implementation: str, **rest: Any) -> Layer:
    layer = {"kind": "Softmax", "activation": "softmax", "axis": -1, "implementation": implementation}
    return {**layer, **rest}


def branch(net: Net, name: str, source: str, shape: tuple[int, ...], layer: Layer, types: Types) -> None:
    """An input of type `source`, and the layer on it."""
    rest = dict(layer)
    net.add(rest.pop("kind"), name, net.input(f"{name}_in", *shape, type_=source), types, **rest)


def per_element(net: Net, count: int) -> Layer:
    return {"kind": "PReLU", "activation": "prelu", "param_data": net.numbers(count)}


def layer_norm(net: Net, rows: int, count: int, power: int = 3) -> Layer:
    layer = {"kind": "LayerNormalization", "n_in": rows * count, "seq_len": rows, "axis": 2}
    return {**layer, "epsilon_power_of_10": power, "gamma_data": net.numbers(count), "beta_data": net.numbers(count)}


FUNCTIONS: dict[str, tuple[str, Layer, Types]] = {
    "linear": ("ap_fixed<20,5>", function("linear"), {"result": "ap_fixed<7,3,RND_CONV,SAT>"}),
    "relu": ("ap_fixed<14,3>", function("relu"), {"result": "ap_ufixed<5,1,RND_INF,SAT_ZERO>"}),
    "sigmoid": (STANDARD, function("sigmoid"), {}),
    "sigmoid_small": ("ap_fixed<9,5>", function("sigmoid"), {"TableSize": 8, "result": "ap_ufixed<8,0,RND,SAT>"}),
    "tanh": (STANDARD, function("tanh"), {"TableT": "ap_fixed<40,3,RND>", "result": "ap_fixed<40,3>"}),
    "tanh_odd": ("ap_fixed<13,4>", function("tanh"), {"TableSize": 1000, "TableT": "ap_int<4>", "result": "ap_int<3>"}),
    "softplus": ("ap_ufixed<14,4>", function("softplus"), {"TableT": "ap_ufixed<30,4>", "result": "ap_fixed<30,5>"}),
    "softsign": ("ap_int<6>", function("softsign"), {"TableT": "ap_fixed<28,2,TRN_ZERO>", "result": "ap_fixed<28,2>"}),
    "elu": (STANDARD, function("elu"), {"TableT": "ap_fixed<34,2>", "result": "ap_fixed<34,6>"}),
    "selu": (STANDARD, function("selu"), {"TableT": "ap_fixed<34,3>", "result": "ap_fixed<34,6>"}),
    "selu_narrow": ("ap_fixed<9,1>", function("selu"), {"TableSize": 300, "result": "ap_fixed<12,3,RND,SAT>"}),
    "binary": ("ap_fixed<6,2>", function("binary_tanh"), {}),
    "binary_bit": ("ap_fixed<6,2>", function("binary_tanh"), {"result": "ap_uint<1>"}),
    "ternary": ("ap_fixed<7,2>", function("ternary_tanh"), {"result": "ap_int<2>"}),
    "ternary_sat": ("ap_fixed<7,1,TRN,SAT>", function("ternary_tanh"), {}),
    "leaky": (STANDARD, leaky(0.3), {"param": "ap_fixed<12,2>", "result": "ap_fixed<14,4,RND,SAT>"}),
    "leaky_auto": ("ap_fixed<10,4>", leaky(-0.0625), {"param": "auto", "result": "ap_int<3>"}),
    "thresholded": (STANDARD, thresholded(0.7), {"param": "ap_ufixed<7,1>"}),
    "elu_scaled": (STANDARD, scaled_elu(0.7), {"param": "ap_fixed<9,1>", "result": "ap_fixed<30,6>"}),
    "hard_sigmoid": (STANDARD, hard("hard_sigmoid"), {"result": "ap_fixed<20,2>"}),
    "hard_tanh": ("ap_fixed<10,3>", hard("hard_tanh", slope=0.5, shift=0.25), {"result": "ap_fixed<20,2>"}),
    "wide": ("ap_fixed<64,20>", function("sigmoid"), {"TableT": "ap_fixed<70,2>", "result": "ap_fixed<70,4>"}),
    "wide_elu": ("ap_fixed<80,10>", function("elu"), {"result": "ap_fixed<72,8,RND>"}),
    "wide_leaky": ("ap_fixed<66,10>", leaky(0.3), {"param": "ap_fixed<20,1>", "result": "ap_fixed<80,10>"}),
}
PARALLEL_FUNCTIONS: dict[str, tuple[str, Layer, Types]] = {
    "relu6": ("ap_fixed<12,5>", function("relu6"), {}),
    "relu1": ("ap_ufixed<8,4>", function("relu1"), {"result": "ap_ufixed<3,0>"}),
}
SOFTMAX: dict[str, tuple[str, tuple[int, ...], Layer, Types]] = {
    "stable": (STANDARD, (10,), softmax("stable"), {"ExpTableT": "ap_ufixed<18,1>", "result": "ap_fixed<30,4>"}),
    "stable_narrow": ("ap_fixed<6,3>", (3, 7), softmax("stable"), {"InpNormT": "ap_ufixed<8,4,RND,SAT>"}),
    "stable_default": ("ap_fixed<12,4>", (5,), softmax("stable"), {}),
    "latency": (STANDARD, (9,), softmax("latency"), {"AccumT": "ap_fixed<14,4,RND,SAT>", "TableSize": 256}),
    "latency_wrap": ("ap_fixed<16,8>", (2, 4), softmax("latency"), {"ExpTableT": "ap_fixed<12,4>", "AccumT": STANDARD}),
    "latency_signs": (
        "ap_fixed<12,4>",
        (7,),
        softmax("latency", exp_scale=0.25),
        {"ExpTableT": "ap_fixed<10,2>", "AccumT": "ap_fixed<10,2,TRN,SAT>", "InvTableT": "ap_fixed<12,3,TRN,WRAP>"},
    ),
    "legacy": ("ap_fixed<12,4>", (6,), softmax("legacy"), {}),
    "argmax": ("ap_fixed<4,3>", (3, 8), softmax("argmax"), {}),
}


def net_of(io_type: str, backend: str) -> Net:
    net = Net(io_type, backend)
    for name, (source, layer, types) in (FUNCTIONS | ({} if net.stream else PARALLEL_FUNCTIONS)).items():
        branch(net, name, source, (100,), layer, types)
    for name, (source, shape, layer, types) in SOFTMAX.items():
        branch(net, name, source, shape, layer, {"result": "ap_fixed<24,4>", **types})
    branch(net, "prelu", "ap_fixed<9,3>", (2, 20), per_element(net, 40), {"param": "ap_fixed<8,2>"})
    table = {"table_data": net.numbers(256) * 3, "n_in": 60}
    branch(net, "lut", "ap_fixed<8,3>", (60,), {"kind": "UnaryLUT", "activation": "unary_lut", **table}, {})
    branch(net, "bits", "ap_fixed<6,2>", (9,), function("binary_tanh", quantizer_precision=XnorPrecisionType()), {})
    if not net.stream:
        axes = softmax("stable", n_outer=2, n_inner=4)
        branch(net, "along", STANDARD, (2, 5, 4), axes, {"result": "ap_fixed<24,4>"})
        branch(net, "argmax_along", "ap_fixed<4,3>", (6, 3), softmax("argmax", n_outer=1, n_inner=3), {})
        small = {"accum": "ap_fixed<14,4,RND_CONV,SAT>"}
        branch(net, "norm", "ap_fixed<10,3>", (4, 8), layer_norm(net, 4, 8), small)
        types = {"accum": "ap_fixed<24,8>", "TableSize": 1000, "TableRangePower2": 1, "TableT": "ap_fixed<20,6>"}
        branch(
            net, "norm_odd", "ap_fixed<8,2>", (2, 5), layer_norm(net, 2, 5, 2), {**types, "result": "ap_fixed<30,8>"}
        )
    return net


@pytest.mark.parametrize(("io_type", "backend"), [("io_parallel", "Vitis"), ("io_stream", "Vivado")])
def test_activations_are_exact(io_type: str, backend: str, tmp_path: Path) -> None:
    net = net_of(io_type, backend)
    model = net.model(tmp_path)
    traced = assert_same_trace(model, 50)
    same = sorted(name for name in traced if np.unique(traced[name]).size < 2)
    assert not same, "outputs that test nothing"
    graph = Simulator(model).graph
    save_graph(graph, tmp_path / "graph.json")
    assert load_graph(tmp_path / "graph.json").digest == graph.digest
    x = samples(model, 300, seed=1)
    by_reference, by_fast = (Simulator(graph, engine=engine).predict(x) for engine in ("reference", "fast"))
    for want, got in zip(by_reference, by_fast, strict=True):
        assert np.array_equal(want, got)


@pytest.mark.slow
@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
def test_activations_of_the_accelerator_backend_are_exact(io_type: str, tmp_path: Path) -> None:
    """The accelerator takes one input and one output."""
    net = Net(io_type, "VivadoAccelerator")
    net.add("Softmax", "last", net.add("Activation", "act", net.input("x", 8), {}, activation="tanh"), {}, axis=-1)
    net.layers[-1]["activation"] = "softmax"
    assert_same_trace(net.model(tmp_path))


def quantiser(net: Net, shape: tuple[int, ...], rounding: str, overflow: str) -> Layer:
    signed, width = (net.random.integers(0, high, (1, *shape)) for high in (2, 9))
    masks = (signed, width, np.minimum(net.random.integers(0, 6, (1, *shape)), width))
    modes = {"RND": rounding, "SAT": overflow, "fusible": None, "overrides": {}}
    return {"kind": "FixedPointQuantizer", "mask_kbi": masks, **modes}


def test_quantisers_of_a_type_for_each_element_are_exact(tmp_path: Path) -> None:
    net = Net()
    for number, (rounding, overflow) in enumerate(zip(ROUNDING, OVERFLOW * 2, strict=False)):
        shape = (3, 4) if number % 2 else (11,)
        layer = quantiser(net, shape, rounding, overflow)
        branch(net, f"q{number}", "ap_fixed<16,6>", shape, layer, {"result": "ap_fixed<20,8>"})
    traced = assert_same_trace(net.model(tmp_path))
    assert all(np.unique(values).size > 5 for values in traced.values())


# What is refused, and why.

PRELU = {"kind": "PReLU", "activation": "prelu", "param_data": np.ones(3)}
NORM = {"kind": "LayerNormalization", "n_in": 12, "seq_len": 3, "axis": 2, "epsilon_power_of_10": 3}
NORM |= {"gamma_data": np.ones(4), "beta_data": np.zeros(4)}
LUT = {"kind": "UnaryLUT", "activation": "unary_lut", "table_data": np.ones(16), "n_in": 12}
REFUSED: dict[str, tuple[str, str, Layer, Types, str]] = {
    "unknown function": ("io_parallel", STANDARD, function("swish"), {}, r"activation 'swish'"),
    "hard without slope": ("io_parallel", STANDARD, function("hard_sigmoid"), {}, r"activation 'hard_sigmoid'"),
    "capped relu": ("io_stream", STANDARD, function("relu6"), {}, r"relu6 in io_stream: hls4ml has no code"),
    "index beyond int": ("io_parallel", "ap_fixed<40,34>", function("tanh"), {}, r"table index overflows a C\+\+ int"),
    "coarse input": ("io_parallel", "ap_fixed<8,10>", function("sigmoid"), {"TableSize": 9}, r"a table of 9 entries"),
    "huge table": ("io_parallel", STANDARD, function("sigmoid"), {"TableSize": 1 << 20}, r"Use 524288 at most"),
    "slopes": ("io_parallel", STANDARD, PRELU, {}, r"3 slopes for \(3, 4\)"),
    "lut": ("io_parallel", "ap_fixed<5,2>", LUT, {}, r"16 entries for fixed<5,2> inputs"),
    "softmax table": (
        "io_parallel",
        STANDARD,
        softmax("latency"),
        {"InvInpT": "ap_fixed<8,3>"},
        r"a table of 1024 entries for fixed<8,3>",
    ),
    "softmax axis": ("io_stream", STANDARD, softmax("stable", axis=1), {}, r"softmax along axis 1"),
    "streamed norm": ("io_stream", STANDARD, NORM, {}, r"layer norm in io_stream"),
    "ternary norm": ("io_parallel", STANDARD, NORM, {"scale": "ap_int<2>"}, r"a scale of int<2>"),
    "fine cap": ("io_parallel", "ap_fixed<90,10>", function("relu6"), {}, r"constants of more than 64 bits"),
    "float table": ("io_parallel", STANDARD, function("tanh"), {"TableT": "float"}, r"no ap_fixed or ap_int"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer_and_the_reason(name: str, tmp_path: Path) -> None:
    io_type, source, layer, types, expected = REFUSED[name]
    net = Net(io_type)
    branch(net, "act", source, (3, 4), layer, types)
    with pytest.raises(UnsupportedModel, match=rf"layer 'act'.*{expected}"):
        from_hls4ml(net.model(tmp_path))


def test_a_result_that_holds_the_table_goes_into_it(tmp_path: Path) -> None:
    net = Net()
    branch(net, "held", STANDARD, (4,), function("tanh"), {"result": "ap_fixed<9,2>"})
    branch(net, "cut", STANDARD, (4,), function("tanh"), {"result": "ap_fixed<9,0>"})
    graph = from_hls4ml(net.model(tmp_path))
    assert isinstance(graph.producers["held"], Lookup)
    assert isinstance(graph.producers["cut"], Cast)  # so that what it wraps is counted


# Random types and modes.


class Draw:
    def __init__(self, seed: int, stream: bool) -> None:
        self.random, self.stream = np.random.default_rng(seed), stream

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.random.integers(len(options))]

    def type_(self, *widths: int, least: int = 2) -> str:
        """Never fewer fraction bits than none, nor integer bits: hls4ml's csim aborts on some casts of such types."""
        width = int(self.random.integers(least, max(least, self.pick(widths)) + 1))
        unsigned = self.pick(["", "", "u"])
        if self.random.random() < 0.1:
            return f"ap_{unsigned}int<{width}>"
        modes = f",{self.pick(ROUNDING)},{self.pick(OVERFLOW)}"
        integer = self.random.integers(0, min(12, width) + 1)
        return f"ap_{unsigned}fixed<{width},{integer}{modes if self.random.random() < 0.8 else ''}>"

    def some(self, **types: str) -> Types:
        return {key: value for key, value in types.items() if self.random.random() < 0.6}

    def activation(self, net: Net) -> tuple[str, tuple[int, ...], Layer, Types]:
        names = [name for name in FUNCTIONS if name not in ("binary_bit", "linear")]
        names += [] if self.stream else list(PARALLEL_FUNCTIONS)
        layer = (FUNCTIONS | PARALLEL_FUNCTIONS)[self.pick(names)][1]
        if "activ_param" in layer:
            layer = {**layer, "activ_param": round(float(self.random.uniform(0, 2)), 4)}
        types = {"result": self.type_(8, 20, 40), "param": self.type_(18)}
        types |= self.some(TableT=self.type_(10, 20, 34))
        size = self.pick([1024, 512, 1000, 2048, 77, 16, 100])
        return self.type_(6, 10, 16, 24, 50), (80,), layer, {**types, "TableSize": size}

    def softmax(self, net: Net, shape: tuple[int, ...] = ()) -> tuple[str, tuple[int, ...], Layer, Types]:
        shape = shape or self.pick([(7,), (3, 5), (2, 2, 4), (1,), (17,)])
        layer = softmax(self.pick(["stable", "stable", "latency", "latency", "legacy", "argmax"]))
        if not self.stream and len(shape) > 1:
            axis = int(self.random.integers(len(shape)))
            layer |= {"n_outer": int(np.prod(shape[:axis])), "n_inner": int(np.prod(shape[axis + 1 :]))}
        wide = {key: self.type_(12, 18, 24, least=10) for key in ("ExpTableT", "InvTableT", "InvInpT", "AccumT")}
        types = self.some(**wide, InpNormT=self.type_(12, 18, least=10))
        size = self.pick([64, 256, 1024])
        return self.type_(8, 12, 16, least=6), shape, layer, {"result": self.type_(20), "TableSize": size, **types}

    def norm(self, net: Net, shape: tuple[int, ...] = ()) -> tuple[str, tuple[int, ...], Layer, Types]:
        rows, count = shape or self.pick([(1, 4), (3, 5), (2, 16)])
        accum = self.pick([self.type_(24, least=8), "ap_fixed<14,4,RND_CONV,SAT>", "ap_fixed<24,8,RND,SAT_SYM>"])
        types = {"result": self.type_(20), "accum": accum, "TableSize": self.pick([4096, 1000, 64])}
        types |= self.some(scale=self.type_(18), bias=self.type_(18), TableT=self.type_(20, least=5))
        layer = layer_norm(net, rows, count, self.pick([1, 3, 5]))
        return self.type_(8, 16), (rows, count), layer, {**types, "TableRangePower2": int(self.random.integers(4))}


@pytest.mark.slow
@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("seed", range(6))
def test_random_types_are_exact(seed: int, io_type: str, tmp_path: Path) -> None:
    draw = Draw(seed, io_type == "io_stream")
    net = Net(io_type)
    makers = [draw.activation] * 3 + [draw.softmax] * 2 + ([] if net.stream else [draw.norm])
    count = 0
    while count < 30:
        case = draw.pick(makers)(net)
        alone = Net(io_type)
        branch(alone, "y", *case)
        try:
            from_hls4ml(alone.model(tmp_path / "alone"))
        except UnsupportedModel:
            continue
        branch(net, f"y{count}", *case)
        count += 1
    assert_same_trace(net.model(tmp_path / "all"), 40)
