"""Each known trap of QDQ files for TensorRT is found and named; what fpgaflow writes passes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

import fpgaflow
from fpgaflow.data import data_dir
from fpgaflow.targets.gpu.lint import lint_tensorrt
from fpgaflow.targets.gpu.qdq import emit_qdq

ZERO = np.int8(0)


def file(folder: Path, nodes: list[NodeProto], **constants: np.ndarray) -> Path:
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 4, 4])
    graph = helper.make_graph(nodes, "trap", [x], [y], arrays)
    path = folder / "trap.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString())
    return path


def pair(x: str, y: str, *names: str, between: list[NodeProto] | None = None) -> list[NodeProto]:
    """QuantizeLinear and DequantizeLinear, and what stands between."""
    q = helper.make_node("QuantizeLinear", [x, *names], [f"{y}.q"], name=f"{y}.Q")
    source = between[-1].output[0] if between else f"{y}.q"
    return [q, *(between or []), helper.make_node("DequantizeLinear", [source, *names], [y], name=f"{y}.DQ")]


def weighted(x: str, weights: list[str], bias: list[str] | None = None) -> list[NodeProto]:
    nodes = [helper.make_node("DequantizeLinear", weights, ["wd"], name="W", axis=0)]
    if bias:
        nodes.append(helper.make_node("DequantizeLinear", bias, ["bd"], name="B"))
    return [*nodes, helper.make_node("Conv", [x, "wd", *(["bd"] if bias else [])], ["y"], name="conv")]


WEIGHTS = {"s": np.float32(0.5), "z": ZERO, "w": np.ones((2, 3, 1, 1), np.int8)}


def int8_clip(folder: Path) -> Path:
    clip = helper.make_node("Clip", ["d.q", "lo", "hi"], ["d.c"], name="clip")
    nodes = pair("x", "d", "s", "z", between=[clip]) + weighted("d", ["w", "s", "z"])
    return file(folder, nodes, lo=np.int8(-8), hi=np.int8(7), **WEIGHTS)


def computed_bounds(folder: Path) -> Path:
    low = helper.make_node("Neg", ["hi"], ["lo"], name="low")
    clip = helper.make_node("Clip", ["x", "lo", "hi"], ["c"], name="clip")
    nodes = [low, clip, *pair("c", "d", "s", "z"), *weighted("d", ["w", "s", "z"])]
    return file(folder, nodes, hi=np.float32(2), **WEIGHTS)


def zero_point(value: np.generic) -> object:
    def make(folder: Path) -> Path:
        return file(folder, pair("x", "d", "s", "u") + weighted("d", ["w", "s", "z"]), u=value, **WEIGHTS)

    return make


def no_zero_point(folder: Path) -> Path:
    return file(folder, pair("x", "d", "s") + weighted("d", ["w", "s", "z"]), **WEIGHTS)


def int32_bias(folder: Path) -> Path:
    nodes = pair("x", "d", "s", "z") + weighted("d", ["w", "s", "z"], ["b", "s"])
    return file(folder, nodes, b=np.ones(2, np.int32), **WEIGHTS)


def uint8_weights(folder: Path) -> Path:
    nodes = pair("x", "d", "s", "z") + weighted("d", ["w8", "s", "u"])
    return file(folder, nodes, w8=np.ones((2, 3, 1, 1), np.uint8), u=np.uint8(0), s=np.float32(0.5), z=ZERO)


def int4_convolution(folder: Path) -> Path:
    """4-bit weights in ONNX's own int4."""
    weights = helper.make_tensor("w4", TensorProto.INT4, [2, 3, 1, 1], [1, -8, 7, 0, 3, -2])
    zero = helper.make_tensor("z4", TensorProto.INT4, [], [0])
    nodes = pair("x", "d", "s", "z") + weighted("d", ["w4", "s", "z4"])
    path = file(folder, nodes, **WEIGHTS)
    model = onnx.load(path)
    model.graph.initializer.extend([weights, zero])
    onnx.save(model, path)
    return path


def negative_scale(folder: Path) -> Path:
    nodes = pair("x", "d", "n", "z") + weighted("d", ["w", "s", "z"])
    return file(folder, nodes, n=np.float32(-0.5), **WEIGHTS)


def scales_of_an_activation(folder: Path) -> Path:
    nodes = pair("x", "d", "each", "zeros") + weighted("d", ["w", "s", "z"])
    return file(folder, nodes, each=np.ones(3, np.float32), zeros=np.zeros(3, np.int8), **WEIGHTS)


def qlinear(folder: Path) -> Path:
    names = ["x", "s", "z", "w", "s", "z", "s", "z"]
    return file(folder, [helper.make_node("QLinearConv", names, ["y"], name="conv")], **WEIGHTS)


def unknown(folder: Path) -> Path:
    return file(folder, [helper.make_node("Det", ["x"], ["y"], name="det")])


def custom(folder: Path) -> Path:
    return file(folder, [helper.make_node("Quant", ["x"], ["y"], name="q", domain="qonnx.custom_op.general")])


TRAPS = {
    "int8 clip": (int8_clip, r"d.Q.*goes through node 'clip' \(Clip\): TensorRT reads the bounds as \(0, 0\)"),
    "int8 clip itself": (int8_clip, r"clip.*clips int8: TensorRT reads the bounds as \(0, 0\)"),
    "computed bounds": (computed_bounds, r"clip.*its bounds are computed"),
    "uint8 zero-point": (zero_point(np.uint8(0)), r"d.Q.*a uint8 zero-point: TensorRT reads it as int8"),
    "zero-point": (zero_point(np.int8(3)), r"d.Q.*a zero-point other than 0"),
    "no zero-point": (no_zero_point, r"d.Q.*no constant zero-point: ONNX then means uint8"),
    "int32 bias": (int32_bias, r"B.*dequantises int32 \(a bias\)"),
    "uint8 weights": (uint8_weights, r"W.*dequantises uint8"),
    "int4 convolution": (int4_convolution, r"W.*dequantises int4.*Store weights as int8, whatever their bits"),
    "negative scale": (negative_scale, r"d.Q.*not positive and finite"),
    "scales of an activation": (scales_of_an_activation, r"d.Q.*3 scales of an activation"),
    "QLinearConv": (qlinear, r"conv.*QLinearConv is not in TensorRT's parser"),
    "unknown op": (unknown, r"det.*Det is not known to this linter"),
    "custom domain": (custom, r"q.*of domain 'qonnx.custom_op.general'"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, tmp_path: Path) -> None:
    make, expected = TRAPS[trap]
    problems = [str(problem) for problem in lint_tensorrt(make(tmp_path))]
    assert any(re.search(expected, problem) for problem in problems), problems


def test_a_sound_file_passes(tmp_path: Path) -> None:
    assert lint_tensorrt(file(tmp_path, pair("x", "d", "s", "z") + weighted("d", ["w", "s", "z"]), **WEIGHTS)) == []


@pytest.mark.parametrize("dense_as_conv", [False, True])
def test_our_own_files_pass(dense_as_conv: bool, tmp_path: Path) -> None:
    graph = fpgaflow.load(data_dir("examples/lenet_digits") / "model.onnx")
    path = tmp_path / "model.onnx"
    path.write_bytes(emit_qdq(graph, dense_as_conv=dense_as_conv).model.SerializeToString())
    assert lint_tensorrt(path) == []


def test_our_own_4_bit_convolutions_are_int8(tmp_path: Path) -> None:
    """The trap of int4 convolutions is rewritten: LeNet's 4-bit weights lie in int8."""
    graph = fpgaflow.load(data_dir("examples/lenet_digits") / "model.onnx")
    model = emit_qdq(graph, dense_as_conv=True).model
    constants = {entry.name: entry for entry in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    kinds = {constants[makers[node.input[1]].input[0]].data_type for node in convolutions}
    assert len(convolutions) == 5 and kinds == {TensorProto.INT8}
