"""Models from each of hls4ml's front ends: its csim's bits, traces included, straight from what its converter returns.

Each compiles once for each kind of ports; the second kind is slow.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.util.cleanup import cleanup_model

from tests.frontend.hls4ml_nets import assert_same_trace
from tests.models import Net

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # QKeras knows Keras 2 only

PORTS = ["io_parallel", pytest.param("io_stream", marks=pytest.mark.slow)]
COMMON = {"project_name": "user", "backend": "Vitis"}


def assert_same_bits(model: Any) -> None:
    for layer in model.get_layers():
        layer.set_attr("trace", layer.class_name != "Clone")  # hls4ml's trace fails on layers of several outputs
    traced = assert_same_trace(model, 100)
    layers = [layer for layer in model.get_layers() if layer.get_attr("trace") and layer.get_attr("function_cpp")]
    assert traced.keys() == {layer.name for layer in layers}
    assert np.unique(traced[layers[-1].name]).size > 50


@pytest.mark.parametrize("io_type", ["io_stream", pytest.param("io_parallel", marks=pytest.mark.slow)])
def test_pytorch(io_type: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 3, 3, padding=1)
            self.norm = nn.BatchNorm2d(3)
            self.second = nn.Conv2d(3, 3, 3, padding=1)
            self.pool = nn.MaxPool2d(2)
            self.last = nn.Linear(27, 4)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.norm(self.first(x)))
            x = self.pool(torch.relu(self.second(x) + x))
            return self.last(torch.flatten(x, 1))

    net = Residual()
    net.norm.running_mean += torch.rand(3)
    net.norm.running_var += torch.rand(3)
    config = hls4ml.utils.config_from_pytorch_model(
        net.eval(), (2, 6, 6), granularity="name", backend="Vitis", channels_last_conversion="full"
    )
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": io_type, **COMMON}
    assert_same_bits(hls4ml.converters.convert_from_pytorch_model(net, **options))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_pytorchs_recurrent_layers(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Recurrent(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(5, 4)
            self.cell = getattr(torch.nn, kind)(4, 4, batch_first=True)

        def forward(self, x: Any) -> Any:
            y, _ = self.cell(self.first(x))
            return y

    net = Recurrent().eval()
    config = hls4ml.utils.config_from_pytorch_model(
        net, (6, 5), granularity="name", backend="Vitis", channels_last_conversion="off"
    )
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": "io_parallel", **COMMON}
    config["LayerName"]["first"]["Precision"]["result"] = "ap_fixed<16,6>"  # an LSTM compiles in one type only
    assert_same_bits(hls4ml.converters.convert_from_pytorch_model(net, **options))


@pytest.mark.parametrize("io_type", PORTS)
def test_qonnx(io_type: str, tmp_path: Path) -> None:
    """By hls4ml's own reader of QONNX, not fpgaflow's."""
    random = np.random.default_rng(0)
    net = Net(2, 6, 6)
    x = net.quant("x", 1 / 8, 6)
    weights = net.quant(random.normal(size=(3, 2, 3, 3)) / 2, 1 / 4, 4)
    window = {"kernel_shape": [3, 3], "dilations": [1, 1], "group": 1}
    x = net.node("Conv", x, weights, **window, pads=[1, 1, 1, 1], strides=[1, 1])
    x = net.quant(net.node("Relu", x), 1 / 4, 5, signed=0)
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    x = net.shaped(x, 1, -1)
    x = net.node("MatMul", x, net.quant(random.normal(size=(27, 6)), 1 / 4, 4))
    x = net.node("Add", x, net.quant(random.normal(size=6), 1 / 16, 6))
    x = net.quant(net.node("Relu", x), 1 / 2, 5, signed=0)
    x = net.node("MatMul", x, net.quant(random.normal(size=(6, 4)), 1 / 4, 4))
    cleaned = cleanup_model(ModelWrapper(net.model(x)))
    cleaned = cleanup_model(cleaned.transform(ConvertToChannelsLastAndClean()))
    config = hls4ml.utils.config_from_onnx_model(cleaned, granularity="name", backend="Vitis")
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": io_type, **COMMON}
    assert_same_bits(hls4ml.converters.convert_from_onnx_model(cleaned, **options))


@pytest.mark.parametrize("io_type", PORTS)
def test_keras(io_type: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", minversion="3", reason="Keras 3: pip install 'fpgaflow[keras]'")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = source = layers.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Add(name="sum")([x, layers.DepthwiseConv2D(3, padding="same", name="each")(x)])
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Reshape((3, 9), name="rows")(x)
    x = layers.Dense(4, name="fc")(layers.Flatten(name="flat")(x))
    net = keras.Model(source, x)
    config = hls4ml.utils.config_from_keras_model(net, granularity="name", backend="Vitis")
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": io_type, **COMMON}
    assert_same_bits(hls4ml.converters.convert_from_keras_model(net, **options))


@pytest.mark.slow
def test_kerass_recurrent_layers(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", minversion="3", reason="Keras 3: pip install 'fpgaflow[keras]'")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    source = layers.Input((5, 4))
    x = layers.LSTM(4, return_sequences=True, name="lstm")(source)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(x)
    net = keras.Model(source, layers.Dense(3, name="fc")(layers.GRU(3, name="gru")(x)))
    config = hls4ml.utils.config_from_keras_model(net, granularity="name", backend="Vitis")
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": "io_parallel", **COMMON}
    assert_same_bits(hls4ml.converters.convert_from_keras_model(net, **options))


@pytest.mark.parametrize("io_type", PORTS)
def test_hgq2(io_type: str, tmp_path: Path) -> None:
    """Types of their own for each element with io_parallel; io_stream takes one for each tensor."""
    keras = pytest.importorskip("keras", minversion="3", reason="Keras 3: pip install 'fpgaflow[keras]'")
    pytest.importorskip("hgq", reason="HGQ2: pip install 'fpgaflow[keras]'")
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QConv2D, QDense, QMaxPooling2D
    from hgq.utils import trace_minmax

    keras.utils.set_random_seed(0)
    samples = np.random.default_rng(0).normal(size=(200, 6, 6, 2)).astype(np.float32) * 2
    alike = {"heterogeneous_axis": ()} if io_type == "io_stream" else {}
    weights = QuantizerConfigScope(place=("weight", "bias"), default_q_type="kbi", overflow_mode="SAT_SYM")
    data = QuantizerConfigScope(place="datalane", default_q_type="kif", overflow_mode="WRAP", **alike)
    with weights, data:
        source = [keras.layers.Input((6, 6, 2)), QConv2D(3, 3, activation="relu", name="conv")]
        body = [QMaxPooling2D(2, name="pool"), keras.layers.Flatten(name="flat"), QDense(6, "relu", name="fc")]
        net = keras.Sequential([*source, *body, QDense(4, name="last")])
    trace_minmax(net, samples)
    config = {"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "Latency"}}
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": io_type, **COMMON}
    assert_same_bits(hls4ml.converters.convert_from_keras_model(net, **options))


def _has_qkeras() -> bool:
    try:
        return version("qkeras") is not None and find_spec("tf_keras") is not None  # hgq2 has a module qkeras too
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not _has_qkeras(), reason="QKeras: pip install qkeras tensorflow tf_keras 'pyparsing<3.3'")
@pytest.mark.parametrize("io_type", PORTS)
def test_qkeras(io_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import tf_keras

    monkeypatch.setitem(sys.modules, "keras", tf_keras)  # hls4ml chooses its reader by keras.__version__
    import qkeras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    few = {
        "kernel_quantizer": qkeras.quantized_bits(4, 0, alpha=1),
        "bias_quantizer": qkeras.quantized_bits(4, 0, alpha=1),
    }
    ternary = {**few, "kernel_quantizer": qkeras.ternary(alpha=1)}
    x = source = layers.Input((6, 6, 2))
    x = qkeras.QConv2D(3, 3, padding="same", name="conv", **few)(x)
    x = qkeras.QActivation(qkeras.quantized_relu(5, 2), name="act")(x)
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(2, name="pool")(x))
    x = qkeras.QActivation(qkeras.quantized_bits(6, 2), name="rounded")(qkeras.QDense(6, name="fc", **few)(x))
    net = tf_keras.Model(source, qkeras.QDense(4, name="last", **ternary)(x))
    config = hls4ml.utils.config_from_keras_model(net, granularity="name", backend="Vitis")
    options = {"output_dir": str(tmp_path), "hls_config": config, "io_type": io_type, **COMMON}
    assert_same_bits(hls4ml.converters.convert_from_keras_model(net, **options))
