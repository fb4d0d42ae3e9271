"""People's own hls4ml models: the simulator gives the bits of hls4ml's own csim, or says which layer it cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import pytest
from hls4ml.backends import get_backend
from hls4ml.model import ModelGraph

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.ops import Cast, Dense
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.run import Simulator

Layer = dict[str, Any]
RNG = np.random.default_rng(3)


def model(
    layers: list[Layer],
    folder: Path,
    precision: dict[str, Any] | None = None,
    io_type: str = "io_parallel",
    backend: str = "Vitis",
    **options: Any,
) -> Any:
    config = get_backend(backend).create_initial_config(io_type=io_type)
    config |= {"OutputDir": str(folder), "ProjectName": "user", "Backend": backend}
    names = {name: {"Precision": types} for name, types in (precision or {}).items()}
    common = {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1, "Strategy": "Latency"}
    config["HLSConfig"] = {"Model": {**common, **options}, "LayerName": names}
    return ModelGraph.from_layer_list(config, layers)


def inp(*shape: int) -> Layer:
    return {"class_name": "InputLayer", "name": "x", "input_shape": list(shape)}


def dense(name: str, n_in: int, n_out: int, **rest: Any) -> Layer:
    data = {"weight_data": RNG.normal(size=(n_in, n_out)), "bias_data": RNG.normal(size=n_out)}
    return {"class_name": "Dense", "name": name, "n_in": n_in, "n_out": n_out, **data, **rest}


def conv(name: str, shape: tuple[int, int, int], filters: int) -> Layer:
    height, width, channels = shape
    return {
        "class_name": "Conv2D",
        "name": name,
        "data_format": "channels_last",
        **{"in_height": height, "in_width": width, "out_height": height, "out_width": width - 1},
        **{"n_chan": channels, "n_filt": filters, "filt_height": 3, "filt_width": 2},
        **{"stride_height": 1, "stride_width": 1, "pad_top": 1, "pad_bottom": 1, "pad_left": 0, "pad_right": 0},
        "weight_data": RNG.normal(size=(3, 2, channels, filters)),
        "bias_data": RNG.normal(size=filters),
    }


def pool(name: str, kind: str, shape: tuple[int, int, int], size: tuple[int, int]) -> Layer:
    return {
        "class_name": f"{kind}Pooling2D",
        "name": name,
        "data_format": "channels_last",
        **{"in_height": shape[0], "in_width": shape[1], "n_filt": shape[2]},
        **{"out_height": shape[0] // size[0], "out_width": shape[1] // size[1]},
        **{"pool_height": size[0], "pool_width": size[1], "stride_height": size[0], "stride_width": size[1]},
        **{"pad_top": 0, "pad_bottom": 0, "pad_left": 0, "pad_right": 0},
    }


def activation(name: str, function: str) -> Layer:
    return {"class_name": "Activation", "name": name, "activation": function}


def reshape(name: str, *shape: int) -> Layer:
    return {"class_name": "Reshape", "name": name, "target_shape": list(shape)}


def assert_same_bits(made: Any, x: np.ndarray) -> None:
    """hls4ml's own compile and predict against the reference simulator, the input conversion included."""
    made.compile()
    want = made.predict(x)
    simulator = Simulator(made, engine="reference")
    shape = simulator.graph.tensors[simulator.graph.inputs[0].tensor].shape
    got = simulator.predict(x.reshape(len(x), *shape))
    assert np.unique(want).size > 30
    np.testing.assert_array_equal(got, want.reshape(got.shape))


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
def test_a_user_model_of_awkward_types_is_exact(io_type: str, tmp_path: Path) -> None:
    """Float weights that hls4ml truncates, accumulators too narrow, results that round, saturate and wrap."""
    layers = [
        inp(6, 5, 2),
        conv("conv", (6, 5, 2), 3),
        activation("relu", "relu"),
        pool("mean", "Average", (6, 4, 3), (2, 2)),
        pool("max", "Max", (3, 2, 3), (3, 1)),
        reshape("flat", 6),
        dense("fc1", 6, 4),
        activation("again", "linear"),
        dense("fc2", 4, 3, bias_data=None),
    ]
    precision = {
        "x": {"result": "ap_fixed<8,3,RND_INF,SAT_SYM>"},
        "conv": {
            "weight": "ap_fixed<6,2>",
            "bias": "ap_fixed<9,2,RND,SAT>",
            "accum": "ap_fixed<9,4>",
            "result": "auto",
        },
        "relu": {"result": "ap_ufixed<7,3,RND_ZERO,SAT>"},
        "mean": {"accum": "auto", "result": "ap_fixed<8,4,RND_CONV,WRAP>"},
        "max": {"accum": "auto", "result": "ap_fixed<7,4>"},
        "fc1": {"weight": "ap_fixed<7,3>", "accum": "ap_fixed<12,5>", "result": "ap_fixed<10,5,TRN_ZERO,SAT_ZERO>"},
        "again": {"result": "ap_int<4>"},
        "fc2": {"weight": "ap_int<3>", "result": "ap_fixed<12,8>"},
    }
    x = np.random.default_rng(0).normal(size=(150, 6, 5, 2)) * 3
    assert_same_bits(model(layers, tmp_path, precision, io_type), x)


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
def test_a_model_from_hls4mls_torch_converter_is_exact(io_type: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    body = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 8), nn.ReLU()]
    net = nn.Sequential(*body, nn.Linear(8, 5)).eval()
    config = hls4ml.utils.config_from_pytorch_model(
        net, (1, 8, 8), granularity="name", backend="Vitis", channels_last_conversion="full"
    )
    made = hls4ml.converters.convert_from_pytorch_model(
        net, output_dir=str(tmp_path), project_name="user", hls_config=config, backend="Vitis", io_type=io_type
    )
    assert_same_bits(made, np.random.default_rng(0).normal(size=(100, 1, 8, 8)).astype(np.float32))


def test_types_and_modes_are_read_from_the_layers(tmp_path: Path) -> None:
    precision = {"fc": {"weight": "ap_fixed<5,2>", "accum": "ap_fixed<20,9>", "result": "ap_ufixed<6,3,RND,SAT>"}}
    graph = from_hls4ml(model([inp(3), dense("fc", 3, 2)], tmp_path, precision))
    op, cast = graph.ops
    assert isinstance(op, Dense) and isinstance(cast, Cast)
    assert (op.weight_type, op.accum) == (FixedType(True, 5, 3), FixedType(True, 20, 11))
    assert (cast.rounding, cast.overflow) == (Rounding.RND, Overflow.SAT)
    assert graph.type_of("fc") == FixedType(False, 6, 3)
    assert graph.inputs[0].gain == 2**10
    assert op.node == "fc"


def test_the_trace_has_hls4mls_layer_names(tmp_path: Path) -> None:
    made = model([inp(3), dense("fc", 3, 2), activation("relu", "relu")], tmp_path)
    assert {"x", "fc", "relu"} <= Simulator(made, engine="reference").trace(np.zeros((1, 3))).keys()


def weights(*values: int) -> Layer:
    return {"weight_data": np.array(values, dtype=np.float64).reshape(-1, 1), "bias_data": None}


REFUSED: dict[str, tuple[list[Layer], dict[str, Any], dict[str, Any], str]] = {
    "unknown activation": ([inp(3), activation("act", "gelu")], {}, {}, r"layer 'act'.*activation 'gelu'"),
    "float": ([inp(3), dense("fc", 3, 2)], {"fc": {"result": "float"}}, {}, r"layer 'fc'.*no ap_fixed"),
    "unread beats": (
        [inp(3, 4), reshape("flat", 12), activation("act", "relu")],
        {},
        {"io_type": "io_stream"},
        r"layer 'act'.*flattened stream.*data is lost",
    ),
    "one name for two types": (
        [{**inp(3), "type_name": "layer2_t"}, dense("fc", 3, 2), dense("last", 2, 2)],
        {"x": {"result": "ap_fixed<8,3>"}},
        {},
        r"type name 'layer2_t' stands for fixed<8,3.* and fixed<16,6",
    ),
    "other backend": ([inp(3), dense("fc", 3, 2)], {}, {"backend": "Quartus"}, r"backend 'Quartus'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer(name: str, tmp_path: Path) -> None:
    layers, precision, options, expected = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=expected):
        from_hls4ml(model(layers, tmp_path, precision, **options))


def test_all_refusals_come_at_once_and_none_for_what_follows(tmp_path: Path) -> None:
    layers = [inp(3), activation("first", "gelu"), activation("next", "relu"), activation("second", "swish")]
    with pytest.raises(UnsupportedModel) as caught:
        from_hls4ml(model(layers, tmp_path))
    assert [problem.where for problem in caught.value.problems] == ["layer 'first' (Activation)"]


def test_saturation_that_cannot_happen_is_no_reason_to_refuse(tmp_path: Path) -> None:
    precision = {"fc": {"weight": "ap_fixed<5,2>", "bias": "ap_fixed<5,2>", "accum": "ap_fixed<40,20,RND,SAT>"}}
    graph = from_hls4ml(model([inp(3), dense("fc", 3, 2)], tmp_path, precision))
    assert graph.ops[0].accum == FixedType(True, 40, 20)  # type: ignore[attr-defined]
