"""The networks of the benchmarks: 4-bit ones of random weights, for only speed counts, and two trained ones.

Each comes as a graph, as the hls4ml model of the same, and with inputs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hls4ml.backends import get_backend
from hls4ml.model import ModelGraph

from fpgaflow import Graph, load
from fpgaflow.boards import load_board
from fpgaflow.data import data_dir
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.targets.hls.extensions import register
from fpgaflow.targets.hls.layers import HlsOptions, layer_list

Array = np.ndarray
Layer = dict[str, Any]

_ACTIVATION = "ap_ufixed<4,2,AP_RND_CONV,AP_SAT>"
_WEIGHT = "ap_fixed<4,1>"
_BIAS = "ap_fixed<8,2>"
_SUM = "ap_fixed<24,12>"  # of what a layer adds up: no sum here leaves it
_KWS = Path(__file__).resolve().parents[2] / "shared" / "models" / "kws_w3a3_pynqz2"


@dataclass(frozen=True)
class Net:
    """A network: its integer graph, hls4ml's model of it, and float32 inputs x (N, ...)."""

    title: str
    graph: Graph
    model: Any
    x: Array


class _Layers:
    """An hls4ml layer list under construction, with the precision of each layer."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.random = np.random.default_rng(0)
        self.shapes = {"x": shape}
        self.layers: list[Layer] = [{"class_name": "InputLayer", "name": "x", "input_shape": list(shape)}]
        self.precision: dict[str, Any] = {"x": {"Precision": {"result": "ap_ufixed<8,0,AP_RND_CONV,AP_SAT>"}}}

    def add(self, kind: str, name: str, inputs: list[str], shape: tuple[int, ...], **rest: Any) -> str:
        types = rest.pop("types", {"result": _ACTIVATION if kind == "Activation" else _SUM})
        self.layers.append({"class_name": kind, "name": name, "inputs": inputs, **rest})
        self.precision[name] = {"Precision": types}
        self.shapes[name] = shape
        return name

    def _weighted(
        self, kind: str, name: str, source: str, shape: tuple[int, ...], kernel: tuple[int, ...], **rest: Any
    ) -> str:
        weights = self.random.integers(-7, 8, kernel) / 8
        bias = self.random.integers(-64, 65, kernel[-1]) / 64
        types = {"weight": _WEIGHT, "bias": _BIAS, "accum": _SUM, "result": _SUM}
        return self.add(kind, name, [source], shape, weight_data=weights, bias_data=bias, types=types, **rest)

    def dense(self, name: str, source: str, units: int) -> str:
        (inputs,) = self.shapes[source]
        return self._weighted("Dense", name, source, (units,), (inputs, units), n_in=inputs, n_out=units)

    def conv(self, name: str, source: str, filters: int, size: int, stride: int = 1) -> str:
        """Padded as Keras pads "same"."""
        height, width, channels = self.shapes[source]
        out = -(-height // stride), -(-width // stride)
        total = [max(0, (n - 1) * stride + size - m) for n, m in zip(out, (height, width), strict=True)]
        pads = {"pad_top": total[0] // 2, "pad_bottom": total[0] - total[0] // 2}
        pads |= {"pad_left": total[1] // 2, "pad_right": total[1] - total[1] // 2}
        places = {"in_height": height, "in_width": width, "n_chan": channels, "out_height": out[0], "out_width": out[1]}
        kernel = {"filt_height": size, "filt_width": size, "stride_height": stride, "stride_width": stride}
        rest = {**places, **kernel, **pads, "n_filt": filters, "data_format": "channels_last"}
        return self._weighted("Conv2D", name, source, (*out, filters), (size, size, channels, filters), **rest)

    def relu(self, source: str) -> str:
        return self.add("Activation", f"{source}_relu", [source], self.shapes[source], activation="relu")

    def model(self) -> Any:
        config = get_backend("Vitis").create_initial_config(
            io_type="io_stream" if len(self.shapes["x"]) > 1 else "io_parallel"
        )
        config |= {"OutputDir": tempfile.gettempdir(), "ProjectName": "bench", "Backend": "Vitis"}
        common = {"Precision": _SUM, "ReuseFactor": 1, "Strategy": "Latency"}
        config["HLSConfig"] = {"Model": common, "LayerName": self.precision}
        return ModelGraph.from_layer_list(config, self.layers, ["x"], [self.layers[-1]["name"]])


def mlp() -> Net:
    """16-64-32-32-5, the shape of hls4ml's jet tagging."""
    layers = _Layers((16,))
    last = "x"
    for index, units in enumerate((64, 32, 32)):
        last = layers.relu(layers.dense(f"fc{index + 1}", last, units))
    layers.dense("output", last, 5)
    return _from_model("MLP 16-64-32-32-5, 4 bits", layers.model(), layers.random.random((4096, 16), dtype=np.float32))


def resnet8() -> Net:
    """MLPerf Tiny's ResNet for 32x32x3: a convolution, three stages of 16, 32 and 64 filters, residual additions."""
    layers = _Layers((32, 32, 3))
    last = layers.relu(layers.conv("conv1", "x", 16, 3))
    for stage, (filters, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
        inner = layers.relu(layers.conv(f"stage{stage}a", last, filters, 3, stride))
        inner = layers.relu(layers.conv(f"stage{stage}b", inner, filters, 3))
        if stride > 1:
            last = layers.relu(layers.conv(f"stage{stage}c", last, filters, 1, stride))
        joined = layers.add("Merge", f"stage{stage}add", [inner, last], layers.shapes[inner], op="add")
        last = layers.relu(joined)
    layers.dense("output", _pooled(layers, last), 10)
    x = layers.random.random((512, 32, 32, 3), dtype=np.float32)
    return _from_model("ResNet8, 32x32x3, 4 bits", layers.model(), x)


def residual() -> Net:
    """A small residual network for 8x8x3: a convolution, two more around which its result goes, pooling, dense."""
    layers = _Layers((8, 8, 3))
    first = layers.relu(layers.conv("conv1", "x", 8, 3))
    inner = layers.relu(layers.conv("conv2", first, 8, 3))
    inner = layers.relu(layers.conv("conv3", inner, 8, 3))
    last = layers.relu(layers.add("Merge", "sum", [inner, first], layers.shapes[inner], op="add"))
    layers.dense("output", _pooled(layers, last), 10)
    return _from_model("residual, 8x8x3, 4 bits", layers.model(), layers.random.random((512, 8, 8, 3), np.float32))


def _pooled(layers: _Layers, last: str) -> str:
    """The mean over both axes of an image."""
    height, width, channels = layers.shapes[last]
    places = {"n_filt": channels, "in_height": height, "in_width": width, "data_format": "channels_last"}
    types = {"accum": "ap_fixed<16,12>", "result": _ACTIVATION}
    return layers.add("GlobalAveragePooling2D", "pool", [last], (channels,), pool_op="Average", types=types, **places)


def lenet() -> Net:
    folder = data_dir("examples/lenet_digits")
    return _from_graph("LeNet-5, 4 bits", load(folder / "model.onnx"), np.load(folder / "test.npz")["x"])


def keywords() -> Net:
    """Keyword spotting (MLPerf Tiny): the 3-bit network of the board's submission, else one of its shape."""
    if (path := _KWS / "QONNX_model.onnx").exists():
        graph = load(path)
        scale = 1 / graph.inputs[0].gain
        codes = np.load(_KWS / "inputs_int8_1000x1x10x49.npy", allow_pickle=False)
        return _from_graph(
            "keyword spotting 490-256-256-256-12, 3 bits", graph, codes.astype(np.float32) * np.float32(scale)
        )
    layers = _Layers((490,))
    last = "x"
    for index in range(3):
        last = layers.relu(layers.dense(f"fc{index + 1}", last, 256))
    layers.dense("output", last, 12)
    x = layers.random.random((1000, 490), dtype=np.float32)
    return _from_model("490-256-256-256-12, 4 bits, random", layers.model(), x)


def _from_model(title: str, model: Any, x: Array) -> Net:
    return Net(title, from_hls4ml(model), model, x)


def _from_graph(title: str, graph: Graph, x: Array) -> Net:
    """With the hls4ml model that the hls target makes of it."""
    options = HlsOptions(part=load_board("pynq-z2").part)
    plan = layer_list(graph, options)
    register("Vitis")
    config = get_backend("Vitis").create_initial_config(part=options.part, io_type=options.io_type.value)
    config |= {"OutputDir": tempfile.gettempdir(), "ProjectName": "bench", "Backend": "Vitis", "HLSConfig": plan.config}
    return Net(title, graph, ModelGraph.from_layer_list(config, plan.layers, plan.inputs, plan.outputs), x)


NETS: dict[str, Callable[[], Net]] = {
    "mlp": mlp,
    "lenet": lenet,
    "resnet8": resnet8,
    "residual": residual,
    "kws": keywords,
}
