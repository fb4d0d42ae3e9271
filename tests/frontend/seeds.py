"""Small whole models that hold what exporters write: what mutations start from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, StringStringEntryProto, TensorProto, helper, numpy_helper

from tests.models import DOMAIN, Net


def seeds() -> Iterator[ModelProto]:
    """Each can be loaded, or is refused for operators that are not carried."""
    yield _convolutional()
    yield _residual()
    yield _qdq()
    yield _thresholds()
    yield _external()
    yield _per_element()
    yield _ranked()


def _weights(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) % 7 - 3) / 4


def _convolutional() -> ModelProto:
    """Convolution, batch norm, pooling, shape arithmetic, Gemm."""
    net = Net(2, 8, 8)
    x = net.quant("x", 0.125, 6)
    scale = np.array([0.1, 0.2, 0.3, 0.25]).reshape(4, 1, 1, 1)
    x = net.node("Conv", x, net.quant(_weights(4, 2, 3, 3), scale, 4), pads=[1, 1, 1, 1], strides=[1, 1], group=1)
    x = net.batch_norm(x, [1, -1, 0.5, 2], [0, 1, 2, 3], [1, 1, 1, 1], [1, 2, 3, 4], epsilon=1e-5)
    x = net.quant(net.node("Relu", x), 0.3, 4, signed=0)
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID")
    size = net.node("Gather", net.node("Shape", x), net.const(0, np.int64), axis=0)
    target = net.node(
        "Concat", net.node("Unsqueeze", size, net.const([0], np.int64)), net.const([-1], np.int64), axis=0
    )
    x = net.node("Reshape", x, target)
    bits = net.node("Ceil", net.const(3.5))  # as Brevitas leaves a bit width
    w = net.node("Quant", net.const(_weights(3, 16)), net.const(0.25), net.const(0), bits, domain=DOMAIN, signed=1)
    b = net.const([1, 2, 3])
    return net.model(net.node("Gemm", x, w, b, transB=1, alpha=0.5))


def _residual() -> ModelProto:
    net = Net(4, 6)
    x = net.quant("x", 0.25, 4)
    y = net.node("Conv", x, net.bipolar(_weights(4, 2, 3), 0.5), pads=[1, 1], group=2)
    y = net.quant(net.node("Add", net.quant(y, 0.25, 4), x), 0.5, 4, mode="FLOOR")
    y = net.node("Transpose", y, perm=[0, 2, 1])
    y = net.node("Concat", y, y, axis=2)
    y = net.node("Slice", y, net.const([0], np.int64), net.const([4], np.int64), net.const([2], np.int64))
    return net.model(net.node("MatMul", y, net.const(_weights(4, 3))))


def _qdq() -> ModelProto:
    net = Net(2, 4)
    parameters = (net.const(0.25), net.const(3, np.int8))
    x = net.node("QuantizeLinear", "x", *parameters)
    x = net.node("DequantizeLinear", net.node("Clip", x, net.const(-7, np.int8), net.const(7, np.int8)), *parameters)
    four = helper.make_tensor("four", TensorProto.INT4, [4, 3], list(range(-6, 6)))
    net.initialisers.append(four)
    w = net.node("DequantizeLinear", "four", net.const([0.1, 0.2, 0.3]), axis=1)
    y = net.node("QuantizeLinear", net.node("MatMul", x, w), net.const(0.5), net.const(0, np.uint8))
    y = net.node("QLinearMatMul", y, net.const(0.5), net.const(0, np.uint8), *_matrix(net), *parameters)
    return net.model(net.node("Cast", y, to=TensorProto.FLOAT), opset=21)


def _matrix(net: Net) -> tuple[str, str, str]:
    return net.const(np.arange(6).reshape(3, 2), np.int8), net.const(0.125), net.const(1, np.int8)


def _thresholds() -> ModelProto:
    net = Net(3, 2, 2)
    x = net.node("Sub", net.node("Mul", "x", net.const(2)), net.const(1))
    x = net.node("MultiThreshold", x, net.const([[0.0]]), domain=DOMAIN, out_scale=2.0, out_bias=-1.0)
    levels = net.const(np.arange(9).reshape(3, 3) - 4)
    x = net.node("MultiThreshold", x, levels, domain=DOMAIN, out_dtype="INT2", data_layout="NCHW")
    x = net.node("Trunc", x, *map(net.const, (1, 0, 8, 7)), domain=DOMAIN, rounding_mode="FLOOR")
    x = net.node("GlobalAveragePool", x)
    x = net.node("Squeeze", net.node("Flatten", x, axis=1))
    return net.model(net.node("ArgMax", x, axis=1, keepdims=1))


def _external() -> ModelProto:
    """Weights in a file beside the model, and in nodes."""
    net = Net(4)
    w = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    w.ClearField("raw_data")
    w.data_location = TensorProto.EXTERNAL
    entries = {"location": "weights.bin", "offset": "64", "length": "64"}
    w.external_data.extend(StringStringEntryProto(key=k, value=v) for k, v in entries.items())
    net.initialisers.append(w)
    bias = net.node("Constant", value=numpy_helper.from_array(np.ones(4, np.float32)))
    shape = net.node(
        "ConstantOfShape", net.const([4], np.int64), value=helper.make_tensor("v", TensorProto.FLOAT, [1], [2])
    )
    total = net.node("Add", bias, net.node("Expand", shape, net.const([1, 4], np.int64)))
    steps = net.node("Range", *(net.const(v, np.int64) for v in (0, 4, 1)))
    total = net.node("Mul", total, net.node("Cast", steps, to=TensorProto.FLOAT))
    y = net.node("MatMul", net.quant("x", 0.25, 4), net.quant("w", 0.25, 4))
    model = net.model(net.quant(net.node("Add", y, total), 0.5, 8, zero=1))
    note = model.graph.quantization_annotation.add(tensor_name="x")
    note.quant_parameter_tensor_names.add(key="finn_datatype", value="UINT8")
    return model


def _per_element() -> ModelProto:
    """What works element by element, or moves elements."""
    net = Net(4, 4, 4)
    x = net.quant("x", 0.25, 4)
    x = net.node("Pad", x, net.const([0, 0, 1, 1, 0, 0, 1, 1], np.int64), mode="constant")
    slices = ([0, 0], [2, 3], [2, 3], [1, 2])
    x = net.node("Slice", x, *(net.const(v, np.int64) for v in slices))
    x = net.node("Resize", x, "", net.const([1, 1, 2, 2]), mode="nearest", nearest_mode="floor")
    x = net.quant(net.node("Sigmoid", net.node("LeakyRelu", x, alpha=0.125)), 1 / 16, 4, signed=0)
    x = net.quant(net.node("PRelu", x, net.const([0.5, 0.25, 1, 2], np.float32)), 0.25, 4)
    x = net.node("DepthToSpace", x, blocksize=2)
    x = net.node("Div", net.node("ReduceMean", x, axes=[2, 3], keepdims=0), net.const(3))
    return net.model(net.node("Softmax", net.quant(x, 0.1, 4), axis=-1))


def _ranked() -> ModelProto:
    """A zero-point at the input, interpolation, and ends that want nothing but an order."""
    net = Net(2, 4, 4)
    x = net.quant("x", 0.25, 4, zero=1)
    zeros = np.array([1, 0, 2]).reshape(3, 1, 1, 1)
    weights = net.node("Quant", *(net.const(v) for v in (_weights(3, 2, 1, 1), 0.25, zeros, 4)), domain=DOMAIN)
    x = net.node("Resize", net.node("Conv", x, weights), "", net.const([1, 1, 2, 2]), mode="linear")
    x = net.quant(x, 0.5, 5)
    hot = net.node("Hardmax", x, axis=1)
    x = net.node("ReduceMean", net.node("Concat", x, hot, axis=1), axes=[2, 3], keepdims=0)
    pair = net.node("Slice", x, *(net.const(v, np.int64) for v in ([0], [2], [1])))
    chance = net.quant(net.node("Softmax", pair, axis=1), 0.125, 4, signed=0)
    return net.model(chance, net.node("ArgMax", net.node("Softmax", x, axis=1), axis=1, keepdims=0))
