"""Engines of real shapes of networks at 2 to 8 bits, and of random ones: every output integer is the simulator's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from onnx import ModelProto

from fpgaflow.compare_bits import output_integers
from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.certificate import Certificate
from fpgaflow.targets.gpu.onnxruntime import run_onnx
from fpgaflow.targets.gpu.qdq import emit_qdq
from tests.models import Net, graph_of, inputs_of
from tests.networks import networks

BITS = (2, 3, 4, 8)


class Small(Net):
    """A network of one width; its scales keep the sums in the quantisers' range."""

    def __init__(self, bits: int, *shape: int) -> None:
        super().__init__(*shape)
        self.bits, self.random = bits, np.random.default_rng(bits)

    def weights(self, *shape: int) -> str:
        return self.quant(self.random.normal(size=shape), 2.0 ** (2 - self.bits), self.bits, narrow=1)

    def act(self, y: str, scale: float = 1.0) -> str:
        return self.quant(self.node("Relu", y), scale * 2.0 ** (3 - self.bits), self.bits, signed=0)

    def dense(self, x: str, inputs: int, units: int) -> str:
        bias = self.const(np.rint(self.random.normal(size=units) * 8) / 8)
        return self.node("Gemm", x, self.weights(units, inputs), bias, transB=1)

    def conv(self, x: str, channels: int, filters: int, size: int, **attributes: object) -> str:
        kernel = self.weights(filters, channels // int(str(attributes.get("group", 1))), size, size)
        return self.node("Conv", x, kernel, self.const(np.rint(self.random.normal(size=filters) * 8) / 8), **attributes)


def mlp(bits: int) -> ModelProto:
    """16-64-32-32-5, the jet tagger's shape."""
    net = Small(bits, 16)
    x = net.quant("x", 0.25, 8)
    for inputs, units in ((16, 64), (64, 32), (32, 32)):
        x = net.act(net.dense(x, inputs, units))
    return net.model(net.dense(x, 32, 5))


def lenet(bits: int) -> ModelProto:
    """LeNet-5 on 16 × 16, with the unsigned 8-bit input of images."""
    net = Small(bits, 1, 16, 16)
    x = net.quant("x", 1 / 64, 8, signed=0)
    x = net.node("MaxPool", net.act(net.conv(x, 1, 6, 5, pads=[2] * 4)), kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("MaxPool", net.act(net.conv(x, 6, 16, 5, pads=[2] * 4)), kernel_shape=[2, 2], strides=[2, 2])
    x = net.act(net.dense(net.node("Flatten", x), 256, 84))
    return net.model(net.dense(x, 84, 10))


def residual(bits: int) -> ModelProto:
    """Two residual blocks, one with a strided 1 × 1 convolution beside it, a depthwise one, and a global average."""
    net = Small(bits, 3, 8, 8)
    x = net.act(net.conv(net.quant("x", 0.125, 8), 3, 8, 3, pads=[1] * 4))
    y = net.conv(net.act(net.conv(x, 8, 8, 3, pads=[1] * 4)), 8, 8, 3, pads=[1] * 4)
    x = net.act(net.node("Add", net.quant(y, 0.25, 8), x))
    y = net.conv(net.act(net.conv(x, 8, 8, 3, pads=[1] * 4, strides=[2, 2], group=8)), 8, 16, 1)
    x = net.act(net.node("Add", net.quant(y, 0.25, 8), net.quant(net.conv(x, 8, 16, 1, strides=[2, 2]), 0.25, 8)))
    x = net.node("Flatten", net.quant(net.node("GlobalAveragePool", x), 0.125, 8, signed=0))
    return net.model(net.dense(x, 16, 10))


def keywords(bits: int) -> ModelProto:
    """490-256-256-256-12, MLPerf Tiny's keyword spotting as in the board's submission."""
    net = Small(bits, 490)
    x = net.quant("x", 0.25, 8)
    for inputs, units in ((490, 256), (256, 256), (256, 256)):
        x = net.act(net.dense(x, inputs, units), 4.0)
    return net.model(net.dense(x, 256, 12))


def resnet8(bits: int) -> ModelProto:
    """MLPerf Tiny's ResNet for 32 × 32 × 3: three stages of 16, 32 and 64 filters."""
    net = Small(bits, 3, 32, 32)
    x, channels = net.act(net.conv(net.quant("x", 0.125, 8), 3, 16, 3, pads=[1] * 4)), 16
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = net.act(net.conv(x, channels, filters, 3, pads=[1] * 4, strides=[stride] * 2))
        y = net.quant(net.conv(y, filters, filters, 3, pads=[1] * 4), 0.5, 6)
        if stride > 1:
            x = net.quant(net.conv(x, channels, filters, 1, strides=[stride] * 2), 0.5, 6)
        x, channels = net.act(net.node("Add", y, x)), filters
    x = net.node("Flatten", net.quant(net.node("GlobalAveragePool", x), 0.125, 8, signed=0))
    return net.model(net.dense(x, 64, 10))


def two_ports(bits: int) -> ModelProto:
    """Two inputs and two outputs."""
    net = Small(bits, 16)
    net.input("other", (8,))
    x = net.act(net.dense(net.quant("x", 0.25, 8), 16, 12))
    y = net.act(net.dense(net.quant("other", 0.25, 8), 8, 12))
    both = net.act(net.node("Add", x, y))
    return net.model(net.dense(both, 12, 5), net.dense(y, 12, 3))


Outputs = list[np.ndarray]
Engine = Callable[[Graph, Sequence[np.ndarray]], tuple[Certificate, Outputs]]


def _onnx(dense_as_conv: bool, plain: bool) -> Engine:
    def engine(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[Certificate, Outputs]:
        qdq = emit_qdq(graph, dense_as_conv=dense_as_conv)
        feeds = dict(zip((port.name for port in graph.inputs), arrays, strict=True))
        return qdq.certificate, run_onnx(qdq.model, feeds, plain=plain or bool(qdq.saturating))

    return engine


def _torch(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[Certificate, Outputs]:
    import torch

    from fpgaflow.sim.cuda import exact_products
    from fpgaflow.targets.gpu.inductor import QdqProgram

    qdq = emit_qdq(graph)
    with exact_products(), torch.inference_mode():
        found = QdqProgram(qdq.model)(*map(torch.from_numpy, arrays))
    return qdq.certificate, [y.numpy() for y in found]


def _stablehlo(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[Certificate, Outputs]:
    from fpgaflow.targets.tpu.stablehlo import emit_stablehlo, run_stablehlo

    made = emit_stablehlo(graph)
    return made.certificate, run_stablehlo(made.artefact, list(arrays))


def _tflite(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[Certificate, Outputs]:
    from fpgaflow.targets.tpu.tflite import emit_tflite, run_tflite

    made = emit_tflite(graph)
    return made.certificate, run_tflite(made.content, arrays)


def _triton(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[Certificate, Outputs]:
    from fpgaflow.targets.engine_targets import run_triton
    from fpgaflow.targets.gpu.triton.emit import emit_triton

    made = emit_triton(graph)
    return made.certificate, run_triton(graph, made.program, arrays)


# What runs here, and the packages that it takes.
ENGINES: Mapping[str, tuple[Engine, tuple[str, ...]]] = {
    "onnxruntime, plain": (_onnx(False, True), ()),
    "onnxruntime, optimised": (_onnx(False, False), ()),
    "tensorrt's model": (_onnx(True, True), ()),
    "inductor's program": (_torch, ("torch",)),
    "stablehlo": (_stablehlo, ("jax",)),
    "tflite": (_tflite, ("ai_edge_litert",)),
    "triton": (_triton, ("triton", "torch")),
}


def differences(name: str, graph: Graph, feeds: Mapping[str, np.ndarray]) -> tuple[Certificate, int, int]:
    """The certificate, output integers that differ from the simulator's, and how many there are."""
    engine, packages = ENGINES[name]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    arrays = [np.asarray(feeds[port.name], dtype=np.float32) for port in graph.inputs]
    certificate, found = engine(graph, arrays)
    exact = Simulator(graph).integers(dict(feeds), [port.tensor for port in graph.outputs])
    pairs = [
        (output_integers(y, port), exact[port.tensor].astype(np.float64))
        for port, y in zip(graph.outputs, found, strict=True)
    ]
    return certificate, sum(int((a != b).sum()) for a, b in pairs), sum(b.size for _, b in pairs)


@pytest.mark.parametrize("name", ENGINES)
def test_several_inputs_and_outputs(name: str) -> None:
    model = two_ports(4)
    feeds = inputs_of(model, 0, 6, grid=1 / 64, reach=200)
    certificate, different, values = differences(name, graph_of(model), feeds)
    assert certificate.exact and different == 0 and values == 6 * 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_matrix(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every network of the table at every width; printed, so that the run's log shows it."""
    for make in (lenet, keywords, resnet8, mlp):
        for bits in BITS:
            model = make(bits)
            samples = 2 if name == "triton" else 12
            feeds = inputs_of(model, 0, samples, grid=1 / 64, reach=200)
            certificate, different, values = differences(name, graph_of(model), feeds)
            causes = "; ".join(f"{entry.name}: {entry.why}" for entry in certificate.causes)
            with capsys.disabled():
                row = f"{name:24} {make.__name__:10} {bits} bits: {different:4} of {values} differ. {causes or 'exact'}"
                print(f"\n{row}", end="")
            assert different == 0 or not certificate.exact, row


def assert_integers(graph: Graph, feeds: dict[str, np.ndarray]) -> None:
    qdq = emit_qdq(graph)
    exact = Simulator(graph).integers(feeds, [port.tensor for port in graph.outputs])
    for plain in (True,) if qdq.saturating else (True, False):
        for port, got in zip(graph.outputs, run_onnx(qdq.model, feeds, plain=plain), strict=True):
            want = exact[port.tensor].astype(np.float64)
            assert np.array_equal(output_integers(got, port), want), f"{port.name}, plain={plain}"


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("make", [mlp, lenet, residual])
def test_networks(make: object, bits: int) -> None:
    model = make(bits)  # type: ignore[operator]
    graph = graph_of(model)
    feeds = inputs_of(model, 0, 40, grid=1 / 64, reach=200)
    assert_integers(graph, feeds)
    values = Simulator(graph).predict(feeds)
    assert len(np.unique(values)) > 20


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("make", [mlp, residual])
def test_stablehlo(make: object, bits: int) -> None:
    pytest.importorskip("jax", reason="JAX: pip install 'fpgaflow[tpu]'")
    from fpgaflow.targets.tpu.stablehlo import emit_stablehlo, run_stablehlo

    model = make(bits)  # type: ignore[operator]
    graph, feeds = graph_of(model), inputs_of(model, 0, 20, grid=1 / 64, reach=200)
    made = emit_stablehlo(graph)
    (got,) = run_stablehlo(made.artefact, list(feeds.values()))
    np.testing.assert_array_equal(got, Simulator(graph).predict(feeds))


@pytest.mark.parametrize("binary", [False, True])
@given(networks(), networks(binary=True))
@settings(max_examples=30)
def test_random_networks(binary: bool, any_scales: ModelProto, binary_scales: ModelProto) -> None:
    model = binary_scales if binary else any_scales
    graph = graph_of(model)
    try:
        emit_qdq(graph)
    except UnsupportedModel:
        return
    feeds = inputs_of(model, 0)
    for port in graph.inputs:  # beside the edges of steps: no tie at the border, where float32 may round otherwise
        step = 1 / float(port.gain)
        feeds[port.name] = ((np.rint(feeds[port.name] / step) + 0.25) * step).astype(np.float32)
    assert_integers(graph, feeds)
