"""ONNX's own quantisation: QuantizeLinear, Clip, DequantizeLinear and the integer operators, against the oracle.

Where float32 arithmetic is exact, against ONNX Runtime too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from fpgaflow.errors import UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Threshold
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.run import Simulator
from tests.frontend.test_qonnx import normal
from tests.models import Net, assert_conforms, graph_of, inputs_of

INT4, UINT4 = (helper.tensor_dtype_to_np_dtype(t) for t in (TensorProto.INT4, TensorProto.UINT4))


def q(net: Net, x: str, scale: Any, zero: Any = 0, dtype: Any = np.int8, **attributes: Any) -> str:
    return net.node("QuantizeLinear", x, net.const(scale), net.const(zero, dtype), **attributes)


def dq(net: Net, x: str, scale: Any, zero: Any = 0, dtype: Any = np.int8, **attributes: Any) -> str:
    return net.node("DequantizeLinear", x, net.const(scale), net.const(zero, dtype), **attributes)


def qdq(
    net: Net, x: str, scale: Any, zero: Any = 0, dtype: Any = np.int8, clip: tuple[Any, Any] | None = None, **more: Any
) -> str:
    integers = q(net, x, scale, zero, dtype, **more)
    if clip is not None:
        integers = net.node("Clip", integers, *("" if c is None else net.const(c, dtype) for c in clip))
    return dq(net, integers, scale, zero, dtype, **more)


def runtime_agrees(model: ModelProto, feeds: Mapping[str, np.ndarray] | None = None) -> None:
    """ONNX Runtime without optimisations, sample by sample."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = inputs_of(model, 0) if feeds is None else feeds
    count = len(next(iter(feeds.values())))
    theirs = [session.run(None, {n: a[i : i + 1] for n, a in feeds.items()})[0] for i in range(count)]
    assert np.array_equal(Simulator(graph_of(model)).predict(feeds), np.concatenate(theirs).astype(np.float64))


def same_graph(left: Graph, right: Graph) -> None:
    assert [type(op) for op in left.ops] == [type(op) for op in right.ops]
    assert [left.type_of(op.output) for op in left.ops] == [right.type_of(op.output) for op in right.ops]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, INT4, UINT4])
@pytest.mark.parametrize("zero", [0, 3])
@pytest.mark.parametrize("scale", [0.25, 0.3])
def test_a_pair(dtype: Any, zero: int, scale: float) -> None:
    """At the input, and behind a sum, where a wide range needs a cast."""
    net = Net(4)
    x = qdq(net, "x", scale, zero, dtype)
    assert_conforms(net.model(x, opset=21))
    wide = dtype in (np.int16, np.uint16) and (zero or scale == 0.3)
    if not wide:
        y = net.node("MatMul", x, net.const([[1, 2], [3, -4], [5, 6], [-7, 8]]))
        assert_conforms(net.model(qdq(net, y, scale, zero, dtype), opset=21))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_ties_go_to_even_before_an_odd_zero_point(dtype: Any) -> None:
    net = Net(4)
    x = qdq(net, "x", 1 / 16)
    model = net.model(qdq(net, net.node("Mul", x, net.const(0.5)), 0.125, 3, dtype))
    assert_conforms(model)
    runtime_agrees(model)


@pytest.mark.parametrize(
    ("dtype", "clip", "expected"),
    [
        (np.int8, (-8, 7), FixedType(True, 4, 2)),
        (np.int8, (-7, 7), FixedType(True, 4, 2)),
        (np.int8, (None, 7), FixedType(True, 8, 2)),
        (np.uint8, (0, 15), FixedType(False, 4, 2)),
        (np.uint8, (0, None), FixedType(False, 8, 2)),
        (np.int8, (0, 7), FixedType(False, 3, 2)),
    ],
)
def test_a_clip_narrows(dtype: Any, clip: Any, expected: FixedType) -> None:
    """Brevitas' QCDQ: the range of a few bits in a container of eight."""
    net = Net(4)
    y = net.node("MatMul", qdq(net, "x", 0.25), net.const([[1, 2], [3, -4], [5, 6], [-7, 8]]))
    graph = assert_conforms(net.model(qdq(net, y, 0.25, 0, dtype, clip)))
    assert graph.type_of(graph.outputs[0].tensor) == expected


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scale", [0.25, 0.3])
def test_qcdq_is_quant(narrow: int, bits: int, scale: float) -> None:
    """The same quantiser, written in both ways, is the same graph."""
    graphs = []
    for kind in ("Quant", "QCDQ"):
        net = Net(4)
        x = net.quant("x", 0.125, 8)
        y = net.node("MatMul", x, net.const([[1, 2], [3, -4], [5, 6], [-7, 8]]))
        high = (1 << (bits - 1)) - 1
        if kind == "Quant":
            z = net.quant(y, scale, bits, narrow=narrow)
        else:
            z = qdq(net, y, scale, clip=(-high - 1 + narrow, high))
        graphs.append(assert_conforms(net.model(z)))
    same_graph(*graphs)


def test_a_clip_read_by_others_too() -> None:
    """The tensor before it keeps its range."""
    net = Net(4)
    y = net.node("MatMul", qdq(net, "x", 0.25), net.const(np.eye(4)))
    wide = q(net, y, 0.25)
    narrow = net.node("Clip", wide, net.const(-2, np.int8), net.const(1, np.int8))
    assert_conforms(net.model(dq(net, narrow, 0.25), dq(net, wide, 0.25), narrow))


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23])
def test_opsets(opset: int) -> None:
    net = Net(3, 2)
    model = net.model(qdq(net, qdq(net, "x", 0.25, 128, np.uint8), 0.5), opset=opset)
    assert_conforms(model)
    runtime_agrees(model)


@pytest.mark.parametrize("axis", [1, -2])
def test_per_channel_activations(axis: int) -> None:
    net = Net(3, 2)
    y = qdq(net, qdq(net, "x", 0.25), [0.5, 0.3, 0.7], [0, 0, 0], axis=axis)
    assert_conforms(net.model(y))


def weights_of(net: Net, kind: str, scale: Any, axis: int) -> str:
    """(4, 3) weights in three ways: floats through both nodes, integers, four bits."""
    values = normal(3, 4, 3)
    zero = np.zeros(np.shape(scale), int)
    if kind == "float":
        return qdq(net, net.const(values), scale, zero, np.int8, (-7, 7), axis=axis)
    dtype = INT4 if kind == "int4" else np.int8
    integers = net.const(np.clip(np.rint(values * 4), -8, 7).astype(np.int8).astype(dtype), dtype)
    return dq(net, integers, scale, zero, dtype, axis=axis)


@pytest.mark.parametrize("kind", ["float", "int8", "int4"])
@pytest.mark.parametrize(("scale", "axis"), [(0.25, 1), (0.3, 1), ([0.3, 0.5, 0.25], 1)])
def test_weights(kind: str, scale: Any, axis: int) -> None:
    net = Net(4)
    y = net.node("MatMul", qdq(net, "x", 0.25), weights_of(net, kind, scale, axis))
    assert_conforms(net.model(qdq(net, y, 0.3), opset=21))


def test_weights_that_are_moved_after_they_were_quantised() -> None:
    """Transposed, reshaped, sliced: their scales move with them."""
    net = Net(4)
    w = net.node("Transpose", weights_of(net, "int8", [0.3, 0.5, 0.25], 1), perm=[1, 0])
    w = net.node("Reshape", w, net.const([3, 2, 2], np.int64))
    w = net.node("Reshape", w, net.const([3, 4], np.int64))
    y = net.node("Gemm", qdq(net, "x", 0.25), w, transB=1)
    graph = assert_conforms(net.model(qdq(net, y, 0.3)))
    assert any(isinstance(op, Threshold) for op in graph.ops)


def test_unsigned_weights_with_a_zero_point() -> None:
    net = Net(4)
    w = dq(net, net.const(np.arange(12).reshape(4, 3) * 20, np.uint8), 0.25, 128, np.uint8)
    model = net.model(qdq(net, net.node("MatMul", qdq(net, "x", 0.25), w), 0.5))
    assert_conforms(model)
    runtime_agrees(model)


def test_a_bias_of_int32() -> None:
    net = Net(2, 4, 4)
    w = dq(net, net.const(np.arange(54).reshape(3, 2, 3, 3) % 7 - 3, np.int8), [0.3, 0.5, 0.25], [0, 0, 0], axis=0)
    b = dq(net, net.const([100, -20, 30], np.int32), np.float32([0.3, 0.5, 0.25]) * 0.25, [0, 0, 0], np.int32, axis=0)
    y = net.node("Conv", qdq(net, "x", 0.25), w, b, pads=[1, 1, 1, 1])
    assert_conforms(net.model(qdq(net, net.node("Relu", y), 0.3, 0, np.uint8)))


def test_what_moves_integers() -> None:
    """Between QuantizeLinear and DequantizeLinear."""
    net = Net(2, 4, 4)
    x = q(net, "x", 0.25, 5, np.uint8)
    x = net.node("MaxPool", net.node("Transpose", x, perm=[0, 1, 3, 2]), kernel_shape=[2, 2], strides=[2, 2])
    model = net.model(dq(net, net.shaped(x, 1, -1), 0.25, 5, np.uint8))
    assert_conforms(model)
    runtime_agrees(model)


def test_integers_as_the_model_s_result() -> None:
    net = Net(4)
    model = net.model(q(net, "x", 0.25, 100, np.uint8))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert_conforms(model)
    runtime_agrees(model)


def test_integer_inputs() -> None:
    net = Net()
    net.input("x", (4,), TensorProto.UINT8)
    y = net.node("MatMul", dq(net, "x", 0.25, 128, np.uint8), net.const(np.eye(4)))
    feeds = {"x": np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4)}
    assert_conforms(net.model(y), feeds)
    runtime_agrees(net.model(y), feeds)


# Operators on integers


def qlinear(net: Net, kind: str, w: Any, ws: Any, wz: Any, *more: str, dtype: Any = np.uint8, **attributes: Any) -> str:
    x = q(net, "x", 0.25, 10, np.uint8)
    parameters = (
        net.const(0.25),
        net.const(10, np.uint8),
        net.const(w, np.int8),
        net.const(ws),
        net.const(wz, np.int8),
    )
    y = net.node(kind, x, *parameters, net.const(4.0), net.const(7, dtype), *more, **attributes)
    return dq(net, y, 4.0, 7, dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(("ws", "wz"), [(0.5, 0), (0.5, 3), ([0.5, 0.25, 2.0], [0, 0, 0])])
def test_qlinear_conv(ws: Any, wz: Any, dtype: Any) -> None:
    net = Net(2, 5, 5)
    w = np.arange(54).reshape(3, 2, 3, 3) % 11 - 5
    bias = net.const([100, -200, 0], np.int32)
    y = qlinear(net, "QLinearConv", w, ws, wz, bias, dtype=dtype, pads=[1, 1, 0, 0], strides=[2, 1])
    assert_conforms(net.model(y))


@pytest.mark.parametrize(("ws", "wz"), [(0.5, 0), (0.3, 3), ([0.5, 0.3, 2.0], [0, 0, 0])])
def test_qlinear_matmul(ws: Any, wz: Any) -> None:
    net = Net(4)
    assert_conforms(net.model(qlinear(net, "QLinearMatMul", np.arange(12).reshape(4, 3) - 6, ws, wz)))


def test_qlinear_operators_as_the_runtime_computes_them() -> None:
    net = Net(4)
    runtime_agrees(net.model(qlinear(net, "QLinearMatMul", np.arange(12).reshape(4, 3) - 6, 0.5, 0)))
    net = Net(2, 4, 4)
    w = np.arange(54).reshape(3, 2, 3, 3) % 11 - 5
    runtime_agrees(net.model(qlinear(net, "QLinearConv", w, 0.5, 0, net.const([100, -200, 0], np.int32))))


@pytest.mark.parametrize("kind", ["ConvInteger", "MatMulInteger"])
def test_integer_products(kind: str) -> None:
    net = Net(2, 4, 4) if kind == "ConvInteger" else Net(4)
    w = np.arange(54).reshape(3, 2, 3, 3) % 11 if kind == "ConvInteger" else np.arange(12).reshape(4, 3)
    x = q(net, "x", 0.25, 10, np.uint8)
    y = net.node(kind, x, net.const(w, np.uint8), net.const(10, np.uint8), net.const(3, np.uint8))
    y = net.node("Mul", net.node("Cast", y, to=TensorProto.FLOAT), net.const(0.125))
    assert_conforms(net.model(y))
    runtime_agrees(net.model(y))


# Refusals


def refused(net: Net, y: str, message: str) -> None:
    with pytest.raises(UnsupportedModel, match=message) as caught:
        graph_of(net.model(y, opset=21))
    assert all(p.where and p.found and p.fix for p in caught.value.problems)


def test_refusals() -> None:
    net = Net(3, 2)
    refused(
        net, qdq(net, qdq(net, "x", 0.25), [0.5, 0.3, 0.7], [0, 1, 0], axis=1), "zero-points that differ by channel"
    )
    net = Net(3, 2)
    refused(net, qdq(net, "x", [0.5, 0.3], [0, 0], axis=1), r"\(2,\) along axis 1 of \(1, 3, 2\)")
    net = Net(3, 2)
    refused(net, qdq(net, "x", -0.5), "a scale that is zero, negative")
    net = Net(4)
    refused(net, qdq(net, "x", [0.5, 0.25], [0, 0], axis=1, block_size=2), "is quantised in blocks")
    net = Net(4)
    refused(net, qdq(net, "x", 0.25, 0, np.int8, (7, -7)), "clips everything to one value")
    net = Net(4)
    refused(net, net.node("DynamicQuantizeLinear", "x"), r"'n\.dynamicquantizelinear0' \(DynamicQuantizeLinear\)")
    net = Net(4)
    y = net.node("QuantizeLinear", "x", net.const(0.5), output_dtype=TensorProto.FLOAT8E4M3FN)
    refused(net, y, "quantises to FLOAT8E4M3FN")


def test_casts() -> None:
    """Those that change no value."""
    net = Net(4)
    x = q(net, "x", 0.25, 3)
    wide = net.node("Cast", x, to=TensorProto.INT32)
    assert_conforms(net.model(net.node("Cast", wide, to=TensorProto.DOUBLE)))
    refused(net, net.node("Cast", x, to=TensorProto.UINT8), "casts to uint8 what may not fit")
    refused(net, net.node("Cast", dq(net, x, 0.25, 3), to=TensorProto.INT32), "casts to int32 what may not fit")
    refused(net, net.node("Cast", x, to=TensorProto.FLOAT16), "casts to FLOAT16")


def test_a_pair_is_one_cast() -> None:
    net = Net(4)
    y = net.node("MatMul", qdq(net, "x", 0.25), net.const(np.eye(4)))
    assert [type(op) for op in graph_of(net.model(qdq(net, y, 0.5))).ops][-1] is Cast


def test_an_output_that_quantises_the_input_otherwise_is_refused() -> None:
    """A QuantizeLinear that makes an output is closed by that: a second quantiser of the input by then."""
    net = Net(3)
    x = net.quant("x", 0.25, 4)
    y = net.node("QuantizeLinear", "x", net.const(0.3), net.const(0, np.int8))
    with pytest.raises(UnsupportedModel, match="two different quantisers"):
        graph_of(net.model(x, y))
