"""Models that cannot be carried: each is refused by the name of its node, all its nodes at once, and never crashes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, TensorProto, helper

from fpgaflow.errors import FpgaflowError, UnsupportedModel
from fpgaflow.frontend.load import load
from tests.frontend.test_qonnx import lenet, normal
from tests.models import DOMAIN, Net, graph_of


def problems(net: Net, *outputs: str) -> list[str]:
    """The refused nodes, each with what was found."""
    with pytest.raises(UnsupportedModel) as caught:
        graph_of(net.model(*outputs))
    assert all(p.where and p.found and p.fix for p in caught.value.problems)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [f"{p.where}: {p.found}" for p in caught.value.problems]


def one_problem(net: Net, output: str) -> str:
    (found,) = problems(net, output)
    return found


def quantised(*shape: int) -> tuple[Net, str]:
    net = Net(*shape)
    return net, net.quant("x", 0.25, 4)


def test_every_refused_node_is_named_at_once() -> None:
    net, x = quantised(4)
    a = net.node("LogSoftmax", x)
    b = net.node("Det", x)
    c = net.quant(x, -1.0, 4)
    d = net.node("MatMul", x, net.const(normal(1, 4, 2)))
    e = net.node("MatMul", x, net.quant(normal(1, 5, 2), 0.5, 4))
    after = net.node("Add", a, d)  # what reads a refused node is not reported again
    found = problems(net, after, b, c, e)
    assert [line.split(":")[0] for line in found] == [
        "node 'n.logsoftmax1' (LogSoftmax)",
        "node 'n.det2' (Det)",
        "node 'n.quant3' (Quant)",
        "node 'n.matmul4' (MatMul)",
        "node 'n.matmul6' (MatMul)",
    ]
    assert "floating point" in found[3]


@pytest.mark.parametrize(
    ("kind", "domain", "fix"),
    [
        ("MVAU_hls", "finn.custom_op.fpgadataflow.hls", "from before FINN's conversion"),
        ("FloatQuant", "onnx.brevitas", "Use integer quantisers"),
        ("QLinearAdd", "com.microsoft", "QuantFormat.QDQ"),
        ("LSTM", "", "fpgaflow.Simulator"),
        ("DynamicQuantizeLinear", "", "quantize_static"),
        ("Loop", "", "without control flow"),
        ("InstanceNormalization", "", "batch normalisation"),
        ("Det", "", "layers that are carried"),
    ],
)
def test_unknown_operators_say_what_to_do(kind: str, domain: str, fix: str) -> None:
    net, x = quantised(4)
    y = net.node(kind, x, domain=domain, weirdness=[1.5])
    with pytest.raises(UnsupportedModel) as caught:
        graph_of(net.model(y))
    (problem,) = caught.value.problems
    assert problem.where == f"node 'n.{y}' ({kind})" and fix in problem.fix
    of_domain = f" of domain '{domain}'" if domain else ""
    assert problem.found == f"operator {kind}{of_domain} cannot be carried exactly"


@pytest.mark.parametrize("kind", ["Quant", "Conv"])
def test_known_operators_of_another_domain_are_others(kind: str) -> None:
    net, x = quantised(4)
    inputs = [x, *(net.const(v) for v in (1, 0, 4))]
    assert "of domain 'somebody'" in one_problem(net, net.node(kind, *inputs, domain="somebody"))


@pytest.mark.parametrize("kind", ["If", "Loop", "Scan"])
def test_subgraphs(kind: str) -> None:
    net, x = quantised(4)
    branch = helper.make_graph([helper.make_node("Identity", [x], ["z"])], "branch", [], [])
    names = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}[kind]
    condition = net.const([True], np.bool_)
    y = net.node(kind, condition if kind == "If" else x, **dict.fromkeys(names, branch))
    assert f"node 'n.{kind.lower()}" in one_problem(net, y)


def test_a_function_of_the_model_s_own() -> None:
    net, x = quantised(4)
    model = net.model(net.node("Mine", x, domain="mine"))
    body = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("mine", "Mine", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    with pytest.raises(UnsupportedModel, match="operator Mine of domain 'mine'"):
        graph_of(model)


# Quantisers


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf, [0.5, 0, 1], [], [0.5, 0.5]])
def test_scales(scale: Any) -> None:
    net, x = quantised(3)
    assert "n.quant1" in one_problem(net, net.quant(x, scale, 4))
    net, x = quantised(3)
    y = net.node("MatMul", x, net.quant(normal(1, 3, 3), scale, 4))
    assert "n.quant1" in one_problem(net, y)


@pytest.mark.parametrize("bits", [0, 33, 3.5, -4, np.nan, np.inf, [4, 4, 4], []])
def test_bit_widths(bits: Any) -> None:
    net, x = quantised(3)
    assert "bit width" in one_problem(net, net.quant(x, 0.5, bits))


@pytest.mark.parametrize("zero", [0.5, np.nan, np.inf, 1e30, [0, 1, 2], []])
def test_zero_points(zero: Any) -> None:
    net, x = quantised(3)
    assert "zero-point" in one_problem(net, net.quant(x, 0.5, 4, zero=zero))


@pytest.mark.parametrize("name", ["bits", "scale", "zero"])
def test_parameters_that_are_no_constants(name: str) -> None:
    net, x = quantised(3)
    parameters = {"scale": net.const(0.5), "zero": net.const(0), "bits": net.const(4)} | {name: x}
    assert "is not constant" in one_problem(net, net.node("Quant", x, *parameters.values(), domain=DOMAIN))


def test_a_rounding_mode_that_nobody_knows() -> None:
    net, x = quantised(3)
    assert "rounding mode 'STOCHASTIC'" in one_problem(net, net.quant(x, 0.5, 4, mode="STOCHASTIC"))


def test_one_signed_bit_with_a_zero_point() -> None:
    net, x = quantised(3)
    assert "one signed bit with a zero-point of 3" in one_problem(net, net.quant(x, 0.5, 1, zero=3))


def test_a_scale_along_the_batch() -> None:
    """Its size is that of the last axis, which it does not run along."""
    net, x = quantised(2, 4, 3)
    assert "3 scales" in one_problem(net, net.quant(x, np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1, 1), 4))


def test_scales_in_two_dimensions() -> None:
    net, x = quantised(2, 3)
    assert "a scale of shape (2, 3)" in one_problem(net, net.quant(x, np.full((2, 3), 0.5), 4))


def test_weight_scales_within_a_filter() -> None:
    net, x = quantised(3)
    w = net.quant(normal(1, 3, 2), [[0.1], [0.2], [0.3]], 4)
    assert "differ within one filter" in one_problem(net, net.node("MatMul", x, w))


def test_weight_scales_of_another_size() -> None:
    net, x = quantised(2)
    w = net.quant(normal(1, 2, 2), [0.5, 0.25, 0.5], 4)
    assert "n.quant1' (Quant): a scale of shape (1, 3) for weights (2, 2)" in one_problem(net, net.node("MatMul", x, w))


def test_an_input_under_two_quantisers() -> None:
    net = Net(3)
    assert "two different quantisers" in problems(net, net.quant("x", 0.5, 4), net.quant("x", 0.25, 4))[0]


@pytest.mark.parametrize(("mode", "zero"), [("CEIL", 0), ("UP", 0), ("UP", 2)])
def test_input_quantisers(mode: str, zero: int) -> None:
    net = Net(3)
    assert "an input quantiser with rounding" in one_problem(net, net.quant("x", 0.5, 4, mode=mode, zero=zero))


@pytest.mark.parametrize(
    "before",
    [
        lambda net: net.node("Mul", "x", net.const(-1.0)),
        lambda net: net.node("Mul", "x", net.const(0.0)),
        lambda net: net.node("Mul", "x", net.const([1.0, 2.0, 3.0])),
        lambda net: net.node("MatMul", "x", net.quant(normal(1, 3, 3), 0.5, 4)),
        lambda net: net.node("Add", "x", "x"),
    ],
)
def test_arithmetic_on_an_unquantised_input(before: Callable[[Net], str]) -> None:
    net = Net(3)
    problems(net, net.quant(before(net), 0.5, 4))


# Constants


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_constants_that_are_not_finite(bad: float) -> None:
    def weights(net: Net, x: str) -> str:
        return net.node("MatMul", x, net.const([[1, bad], [1, 1]]))

    def quantised_weights(net: Net, x: str) -> str:
        return net.node("MatMul", x, net.quant([[1, bad], [1, 1]], 0.5, 4))

    def bias(net: Net, x: str) -> str:
        return net.node("Gemm", x, net.quant(np.ones((2, 2)), 0.5, 4), net.const([bad, 0]))

    def addend(net: Net, x: str) -> str:
        return net.node("Add", x, net.const([bad, 0]))

    def gamma(net: Net, x: str) -> str:
        return net.batch_norm(x, [bad, 1], [0, 0], [0, 0], [1, 1])

    for make in (weights, quantised_weights, bias, addend, gamma):
        net, x = quantised(2)
        assert "NaN" in one_problem(net, make(net, x)), make.__name__


def test_division_by_zero() -> None:
    net, x = quantised(2)
    assert "by zero" in one_problem(net, net.node("Div", x, net.const([1.0, 0.0])))
    net, x = quantised(2)
    assert "divides by an activation" in one_problem(net, net.node("Div", net.const(1.0), x))


def test_variances() -> None:
    net, x = quantised(2)
    assert "variance" in one_problem(net, net.batch_norm(x, [1, 1], [0, 0], [0, 0], [1, -1]))


def test_batch_norm_in_training() -> None:
    net, x = quantised(2)
    assert "training mode" in one_problem(net, net.batch_norm(x, [1, 1], [0, 0], [0, 0], [1, 1], training_mode=1))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 1, 1, 1), (0,), (3, 1)])
def test_constants_of_other_shapes(shape: tuple[int, ...]) -> None:
    net, x = quantised(2)
    assert "constant of shape" in one_problem(net, net.node("Add", x, net.const(np.ones(shape))))


@pytest.mark.parametrize("shape", [(3,), (4, 1), (2, 4), (0,)])
def test_biases_of_other_shapes(shape: tuple[int, ...]) -> None:
    net, x = quantised(4)
    inputs = x, net.quant(normal(1, 4, 4), 0.5, 4), net.const(np.ones(shape))
    assert "a bias of shape" in one_problem(net, net.node("Gemm", *inputs))


def test_constants_along_two_axes() -> None:
    net, x = quantised(2, 3)
    y = net.node("Mul", x, net.const([[1.0], [2.0]]))
    assert "two different axes" in one_problem(net, net.node("Mul", y, net.const([1.0, 2.0, 3.0])))


def test_folding_has_bounds() -> None:
    """A few nodes over constants may not fill the memory, each alone nor all together."""
    net, x = quantised(2)
    c = net.const(np.zeros(1 << 14))
    index = net.const(np.zeros(1 << 14), np.int64)
    for made in (
        net.node("Gather", c, index),
        net.node("ConstantOfShape", net.const([1 << 31, 2], np.int64)),
        net.node("Add", c, net.node("Unsqueeze", c, net.const([1], np.int64))),
    ):
        x = net.node("Add", x, made)
    long = net.node("ConstantOfShape", net.const([1 << 22], np.int64))
    for _ in range(20):
        long = net.node("Concat", long, index, axis=0)
    for _ in range(20):
        long = net.node("Neg", long)
    found = problems(net, net.node("Add", x, long))
    assert ["its result is too large" in line for line in found] == [True] * 4


def test_a_folded_input_left_out_in_the_middle() -> None:
    """Slice's steps are not its axes."""
    net, x = quantised(2)
    ints = [net.const([n], np.int64) for n in (0, 4, 2)]
    c = net.node("Slice", net.const([1.0, 2, 3, 4]), ints[0], ints[1], "", ints[2])
    assert "leaves out an input" in one_problem(net, net.node("Add", x, c))


def test_text_in_a_constant() -> None:
    net, x = quantised(2)
    text = net.node("Cast", net.const([1.0, 2.0]), to=TensorProto.STRING)
    assert "(Add)" in one_problem(net, net.node("Add", x, text))


# Windows


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kernel_shape": [5, 5]}, "larger than its padded input"),
        ({"kernel_shape": [0, 2]}, "kernel_shape"),
        ({"kernel_shape": [2]}, "kernel_shape"),
        ({}, "kernel_shape"),
        ({"kernel_shape": [2, 2], "strides": [0, 1]}, "strides"),
        ({"kernel_shape": [2, 2], "strides": [1, 1, 1]}, "strides"),
        ({"kernel_shape": [2, 2], "strides": "12"}, "strides"),
        ({"kernel_shape": [2, 2], "pads": [-1, 0, 0, 0]}, "pads"),
        ({"kernel_shape": [2, 2], "pads": [1, 1]}, "pads"),
        ({"kernel_shape": [2, 2], "pads": [2**40] * 4}, "too large"),
        ({"kernel_shape": [2, 2], "auto_pad": "SAME"}, "auto_pad 'SAME'"),
        ({"kernel_shape": [2, 2], "strides": [0, 0], "auto_pad": "SAME_UPPER"}, "strides"),
        ({"kernel_shape": [2, 2], "ceil_mode": [1]}, "ceil_mode"),
    ],
)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_windows(kind: str, attributes: dict[str, Any], message: str) -> None:
    net, x = quantised(1, 4, 4)
    assert message in one_problem(net, net.node(kind, x, **attributes))


@pytest.mark.parametrize(
    ("weights", "attributes"),
    [
        ((3, 2, 2, 2), {}),
        ((3, 1, 2), {}),
        ((3, 1, 2, 2, 2), {}),
        ((3, 1, 2, 2), {"group": 0}),
        ((3, 1, 2, 2), {"group": 2}),
        ((3, 1, 2, 2), {"group": "1"}),
        ((3, 1, 2, 2), {"dilations": [0, 1]}),
        ((3, 1, 2, 2), {"strides": [-1, 1]}),
        ((3, 1, 5, 5), {}),
        ((3, 1, 2, 2), {"pads": [2**62, 0, 2**62, 0]}),
        ((0, 1, 2, 2), {}),
        ((3, 1, 0, 2), {}),
    ],
)
def test_convolutions(weights: tuple[int, ...], attributes: dict[str, Any]) -> None:
    net, x = quantised(1, 4, 4)
    w = net.const(np.ones(weights))
    assert "(Conv)" in one_problem(net, net.node("Conv", x, w, **attributes))


def test_a_convolution_over_three_axes() -> None:
    net, x = quantised(1, 3, 3, 3)
    assert "(Conv)" in one_problem(net, net.node("Conv", x, net.const(np.ones((1, 1, 2, 2, 2)))))


# Shapes


@pytest.mark.parametrize("target", [[2, 6], [1, 5], [-1, -1], [12], [1, 2, -3], [0], [1, 0, 0, 0], [2**62, 4]])
def test_reshapes(target: list[int]) -> None:
    net, x = quantised(3, 4)
    assert "(Reshape)" in one_problem(net, net.shaped(x, *target))


@pytest.mark.parametrize("perm", [[1, 0, 2], [0, 1], [0, 1, 1], [2, 1, 0]])
def test_transposes(perm: Any) -> None:
    net, x = quantised(3, 4)
    assert "permutation" in one_problem(net, net.node("Transpose", x, perm=perm))


@pytest.mark.parametrize(
    ("kind", "axes"),
    [("Squeeze", [1]), ("Squeeze", [0]), ("Unsqueeze", [0]), ("Unsqueeze", [9]), ("Unsqueeze", [2, 2])],
)
def test_squeezes(kind: str, axes: list[int]) -> None:
    net, x = quantised(3, 1)
    assert f"({kind})" in one_problem(net, net.node(kind, x, net.const(axes, np.int64)))


@pytest.mark.parametrize("shape", [None, (), (None,), ("H", "W"), (2**20, 2**20)])
def test_inputs_without_a_fixed_shape(shape: tuple[Any, ...] | None) -> None:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, None if shape is None else ["N", *shape]))
    assert "input 'x'" in one_problem(net, net.quant("x", 0.5, 4))


# Structure


def test_an_input_that_nothing_reads() -> None:
    net, x = quantised(3)
    net.input("spare", (2,))
    assert "input 'spare'" in one_problem(net, x)


def test_an_output_that_is_the_input_or_a_constant() -> None:
    net, x = quantised(3)
    net.const([1.0], name="k")
    found = problems(net, x, "k", "x")
    assert ["output 'k': is a constant" in line or "output 'x'" in line for line in found] == [True, True]


@pytest.mark.parametrize("read_by", ["a node", "an output"])
def test_a_second_output_is_not_lost(read_by: str) -> None:
    """The mask of a Dropout, the indices of a MaxPool: no silence about what reads them."""
    net, x = quantised(1, 4, 4)
    net.nodes.append(helper.make_node("Dropout", [x], ["y", "mask"], name="drop"))
    outputs = ["y", net.node("Mul", "mask", net.const(2.0)) if read_by == "a node" else "mask"]
    assert "node 'drop' (Dropout): its output 'mask'" in problems(net, *outputs)[0]


def test_max_pool_with_indices() -> None:
    net, x = quantised(1, 4, 4)
    net.nodes.append(helper.make_node("MaxPool", [x], ["y", "where"], name="pool", kernel_shape=[2, 2]))
    assert one_problem(net, "where") == "node 'pool' (MaxPool): its output 'where' is not carried"


@pytest.mark.parametrize(
    "kind", ["Quant", "BipolarQuant", "Conv", "MatMul", "Gemm", "Add", "Relu", "Reshape", "MaxPool", "Shape"]
)
@pytest.mark.parametrize("inputs", [(), ("",), ("x0",), ("", "x0"), ("x0", "")])
def test_inputs_left_out(kind: str, inputs: tuple[str, ...]) -> None:
    net = Net(2)
    x = net.quant("x", 0.25, 4)
    given_ = [x if name else "" for name in inputs]
    net.nodes.append(helper.make_node(kind, given_, ["y"], name="short", domain=DOMAIN if "Quant" in kind else ""))
    if kind == "Relu" and inputs[:1] == ("x0",):
        assert graph_of(net.model("y")).ops
    elif kind == "Shape" and inputs[:1] == ("x0",):
        assert problems(net, "y", x) == ["output 'y': is a constant"]
    else:
        assert "short" in "".join(problems(net, "y", x))


@pytest.mark.parametrize("outputs", [(), ("",), ("", "y")])
def test_nodes_without_a_first_output(outputs: tuple[str, ...]) -> None:
    net, x = quantised(2)
    net.nodes.append(helper.make_node("Relu", [x], list(outputs), name="mute"))
    assert "node 'mute' (Relu): has no first output" in one_problem(net, x)


# Anything at all


def attribute_of_any_kind(draw: st.DrawFn) -> AttributeProto:
    values = st.one_of(
        st.integers(-3, 9),
        st.floats(),
        st.text(max_size=3),
        st.lists(st.integers(-3, 9), min_size=1, max_size=5),
        st.just(helper.make_tensor("t", TensorProto.FLOAT, [2], [1.0, np.nan])),
    )
    names = ("axis", "axes", "pads", "strides", "kernel_shape", "group", "perm", "signed", "narrow", "rounding_mode")
    names += ("epsilon", "alpha", "transB", "auto_pad", "to", "value", "dilations", "ceil_mode", "training_mode")
    return helper.make_attribute(draw(st.sampled_from(names)), draw(values))


KINDS = (
    *("Quant", "BipolarQuant", "Conv", "MatMul", "Gemm", "Add", "Sub", "Mul", "Div", "Relu", "MaxPool", "AveragePool"),
    *("GlobalAveragePool", "BatchNormalization", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Shape"),
    *("Gather", "Slice", "Concat", "Cast", "Constant", "ConstantOfShape", "Identity", "Dropout", "Softmax", "Pow"),
)


@st.composite
def nonsense(draw: st.DrawFn) -> ModelProto:
    """A network in which nodes, inputs, constants and attributes were changed at random, and still parses."""
    model = lenet().model("y")
    graph = model.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    for _ in range(draw(st.integers(1, 4))):
        node = graph.node[draw(st.integers(0, len(graph.node) - 1))]
        match draw(st.sampled_from(["kind", "input", "drop", "attribute", "no attribute", "constant", "dims", "swap"])):
            case "kind":
                node.op_type = draw(st.sampled_from(KINDS))
            case "input" if node.input:
                node.input[draw(st.integers(0, len(node.input) - 1))] = draw(st.sampled_from([*names, "", "x"]))
            case "drop" if node.input:
                del node.input[draw(st.integers(0, len(node.input) - 1)) :]
            case "attribute":
                node.attribute.append(attribute_of_any_kind(draw))
            case "no attribute":
                del node.attribute[:]
            case "constant":
                fill = draw(st.sampled_from([0.0, -1.0, np.nan, np.inf, 1e38, 1e-45, 3.5]))
                tensor = graph.initializer[draw(st.integers(0, len(graph.initializer) - 1))]
                count = len(tensor.raw_data) // 4
                tensor.raw_data = np.full(count, fill, np.float32).tobytes()
            case "dims":
                tensor = graph.initializer[draw(st.integers(0, len(graph.initializer) - 1))]
                tensor.dims[:] = draw(st.permutations([*tensor.dims, 1]))
            case _:
                graph.input[0].type.tensor_type.shape.dim[1].dim_value = draw(st.integers(-1, 4))
    return model


def load_bytes(content: bytes) -> None:
    """Either a graph or one of fpgaflow's own errors comes of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        try:
            load(path)
        except FpgaflowError as error:
            assert str(error) and error.problems


@given(nonsense())
@settings(max_examples=300)
def test_networks_changed_at_random(model: ModelProto) -> None:
    load_bytes(model.SerializeToString())


WHOLE = lenet().model("y").SerializeToString()


@given(st.data())
@settings(max_examples=400)
def test_bytes_changed_at_random(data: st.DataObject) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["change", "change", "cut", "insert", "repeat"])):
            case "change":
                content[at] = data.draw(st.integers(0, 255))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 40))]
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case _:
                content[at:at] = content[at : at + 30]
    load_bytes(bytes(content))


def test_a_batch_beyond_any_memory() -> None:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2**62, 2]))
    shape = net.node("Shape", "x")
    assert "is declared for a batch of" in "".join(problems(net, net.quant("x", 0.5, 4), shape))


# Nodes that are not written as their operator is defined


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("Conv", {"stride": [2, 2]}, "an attribute 'stride' that Conv of opset 17 does not have"),
        ("Conv", {"strides": 2}, "attribute strides = 2 is of the wrong type"),
        ("Conv", {"auto_pad": 1}, "attribute auto_pad = 1 is of the wrong type"),
        ("AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, "of opset 17 does not have"),
        ("AveragePool", {}, "no attribute 'kernel_shape', which AveragePool needs"),
        ("LeakyRelu", {"alpha": 1}, "attribute alpha = 1 is of the wrong type"),
        ("Transpose", {"perm": "0123"}, "attribute perm = '0123' is of the wrong type"),
        ("Concat", {}, "no attribute 'axis', which Concat needs"),
    ],
)
def test_attributes_that_nobody_defines(kind: str, attributes: dict[str, Any], message: str) -> None:
    net, x = quantised(1, 4, 4)
    inputs = (x, net.const(np.ones((1, 1, 2, 2)))) if kind in ("Conv", "Concat") else (x,)
    assert message in one_problem(net, net.node(kind, *inputs, **attributes))


@pytest.mark.parametrize("kind", ["Quant", "MultiThreshold", "Trunc"])
def test_misspelt_attributes_of_qonnx(kind: str) -> None:
    net, x = quantised(3)
    inputs = {"Quant": (0.5, 0, 4), "MultiThreshold": ([[0.0]],), "Trunc": (0.25, 0, 4, 3)}[kind]
    y = net.node(kind, x, *map(net.const, inputs), domain=DOMAIN, rounding="FLOOR")
    assert f"an attribute 'rounding' that {kind} does not have" in one_problem(net, y)


def test_too_many_inputs() -> None:
    net, x = quantised(3)
    assert "2 inputs, where 1 to 1 belong" in one_problem(net, net.node("Relu", x, x))
