"""What random networks once differed in, each cut down to the layers that matter; batched in few compiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from tests.conformance.networks import Network
from tests.conformance.outcome import JUDGED, outcomes
from tests.frontend.hls4ml_layer_groups import conv2d, dense
from tests.frontend.hls4ml_nets import Net
from tests.frontend.test_hls4ml_activations import quantiser


def _swapped(rows: int, columns: int) -> Net:
    net = Net("io_stream")
    net.add("Transpose", "same", net.input("x", rows, columns), {}, perm=[0, 1])
    return net


def _quantised() -> Net:
    """hls4ml derives the input's type from its readers: of over 64 bits where one of them takes any."""
    net = Net()
    x = net.input("x", 3, 2, type_="ap_fixed<24,4>")
    layer = quantiser(net, (3, 2), "RND", "SAT")
    kind = layer.pop("kind")
    y = net.add(kind, "each", x, {}, **layer)
    net.add("Concatenate", "both", (x, y), {}, axis=-1, op="concatenate2d")
    return net


def _mixed_signs(io_type: str) -> Net:
    """Comparisons of signed with unsigned numbers, in 32 bits and more and in fewer."""
    net = Net(io_type)
    types = {"a": "ap_fixed<39,1>", "b": "ap_ufixed<28,6>", "c": "ap_fixed<12,5>", "d": "ap_ufixed<40,9>"}
    for left, right in ("ab", "ba", "ad", "cb", "dc", "ca"):
        for op in ("maximum", "minimum"):
            name = f"{op}_{left}{right}"
            inputs = tuple(net.input(f"{name}_{letter}", 7, type_=types[letter]) for letter in (left, right))
            net.add("Merge", name, inputs, {"result": "ap_fixed<44,12>"}, op=op)
    for letter, type_ in types.items():
        for number, (theta, param) in enumerate(
            ((0.5, "ap_ufixed<34,3>"), (-0.5, "ap_fixed<34,3>"), (0.5, "ap_ufixed<9,1>"))
        ):
            name = f"above_{letter}{number}"
            layer = {"activation": "thresholdedrelu", "activ_param": theta}
            kept = {"param": param, "result": "ap_fixed<44,12>"}
            net.add("ThresholdedReLU", name, net.input(f"{name}_x", 7, type_=type_), kept, **layer)
    large = net.input("large", 7, type_="ap_ufixed<40,36>")
    net.add("Activation", "ternary", large, {"result": "ap_fixed<4,4>"}, activation="ternary_tanh")
    return net


# hls4ml's C++ is the judge.
def _integer_sum() -> Net:
    net = Net(Strategy="Resource")
    types = {"accum": "ap_int<19>", "weight": "ap_fixed<5,1>", "bias": "ap_fixed<3,0>", "result": "ap_fixed<16,10>"}
    dense(net, "act", net.input("x", 6, type_="ap_ufixed<7,7>"), 6, 4, types)
    return net


def _maximum_of_fractions(io_type: str) -> Net:
    """Without integer bits, to integers: by way of an accumulator that has some."""
    net = Net(io_type)
    types = {"accum": "ap_fixed<80,40>", "result": "ap_int<3>"}
    x = net.input("x", 4, 2, type_="ap_fixed<4,0>")
    shape = {"data_format": "channels_last", "n_in": 4, "n_filt": 2}
    windows = {"n_out": 2, "pool_width": 2, "stride_width": 2, "pad_left": 0, "pad_right": 0, "count_pad": True}
    net.add("MaxPooling1D", "windows_Max", x, types, **shape, **windows)
    net.add("GlobalMaxPooling1D", "all_Max", x, types, **shape)
    return net


CASES: dict[str, Callable[[], Net]] = {
    "a streaming transpose that should do nothing": lambda: _swapped(3, 3),
    "the same of more rows than columns": lambda: _swapped(5, 2),
    "types of numpy's integers, beyond 64 bits": _quantised,
    "comparisons of signed with unsigned numbers": lambda: _mixed_signs("io_parallel"),
    "the same in streams": lambda: _mixed_signs("io_stream"),
    "a bias without integer bits in an integer accumulator": _integer_sum,
    "maxima of fractions as integers": lambda: _maximum_of_fractions("io_parallel"),
    "the same in a stream": lambda: _maximum_of_fractions("io_stream"),
}


def test_what_once_differed_is_exact() -> None:
    networks = [Network(case()) for case in CASES.values()]
    found = {id(outcome.network): outcome for outcome in outcomes(networks)}
    for name, network in zip(CASES, networks, strict=True):
        outcome = found[id(network)]
        assert outcome.status == JUDGED, f"{name}: {outcome.why}"
        assert not outcome.different, f"{name}: {outcome.different}"


def _pointwise(reuse: int) -> Net:
    net = Net()
    types = {"accum": "ap_fixed<9,4,AP_RND,AP_SAT>", "Strategy": "Resource", "ReuseFactor": reuse}
    conv2d(net, "act", net.input("x", 2, 2, 3), (2, 2, 3), 1, (1, 1), types)
    return net


def _unrolled() -> Net:
    net = Net(Strategy="Resource_Unrolled", ReuseFactor=6)
    dense(net, "act", net.input("x", 7), 7, 1, {})
    return net


def _wide_integers() -> Net:
    net = Net()
    net.add(
        "Activation", "act", net.input("x", 3, type_="ap_int<72>"), {"result": "ap_fixed<80,75>"}, activation="relu"
    )
    return net


def _read_twice() -> Net:
    net = Net()
    wrapped = {"class_name": "Dense", "name": "step", "n_in": 6, "n_out": 1, "output_shape": [1]}
    wrapped |= {"weight_data": net.numbers(6, 1), "bias_data": net.numbers(1)}
    x = net.input("x", 4, 6, type_="ap_fixed<8,3>")
    same = {"result": "ap_fixed<8,3>"}
    net.precision["step"] = net.precision["steps_end"] = {"Precision": same}
    net.add("TimeDistributed", "steps", x, same, wrapped_layer=wrapped, n_time_steps=4, output_shape=[4, 1])
    for name in ("one", "two"):
        net.add("Activation", name, "steps", {}, activation="relu")
    return net


# hls4ml's C++ stops, does not compile or reads what is not its own.
REFUSED: dict[str, tuple[Callable[[], Net], str]] = {
    "fewer rows than columns": (lambda: _swapped(2, 3), r"perm \(0, 1\).*reads beyond"),
    "an illegal reuse factor that comes back": (lambda: _pointwise(2), r"reuse factor 2 for 3 × 1 products"),
    "integers beyond 64 bits": (_wide_integers, r"loses bits of an ap_int"),
    "steps that two layers read": (_read_twice, r"two read it too"),
    "unrolled, but not": (_unrolled, r"unrolled with reuse factor 1: hls4ml generates no code"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_hls4ml_gets_wrong_is_refused(name: str, tmp_path: Path) -> None:
    case, expected = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=expected):
        from_hls4ml(case().model(tmp_path))
