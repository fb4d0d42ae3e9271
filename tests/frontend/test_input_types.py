"""Types declared for inputs that a model leaves real: exact on the numbers of that type, as a Quant node would be."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import fpgaflow
from fpgaflow.building import build
from fpgaflow.cli import main
from fpgaflow.errors import BadInput, UnsupportedModel
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.qonnx.input_types import InputType, declare, parse_type, parse_types, write_declared
from fpgaflow.sim.run import Simulator
from tests.frontend.test_qonnx import normal
from tests.models import Net, assert_conforms, exact_outputs, one_by_one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int8", InputType(True, 8, Fraction(1))),
        ("UINT8", InputType(False, 8, Fraction(1))),
        ("uint1", InputType(False, 1, Fraction(1))),
        ("uint8/255", InputType(False, 8, Fraction(1, 255))),
        ("uint8 * 1/255", InputType(False, 8, Fraction(1, 255))),
        ("int8*0.5", InputType(True, 8, Fraction(1, 2))),
        ("int16/1e4", InputType(True, 16, Fraction(1, 10**4))),
        ("int8*2e-3", InputType(True, 8, Fraction(1, 500))),
        ("ap_uint<8>/256", InputType(False, 8, Fraction(1, 256))),
        ("fixed<8,1>", InputType(True, 8, Fraction(1, 128))),
        ("ufixed<8, 0>", InputType(False, 8, Fraction(1, 256))),
        ("ap_fixed<16,-2>", InputType(True, 16, Fraction(1, 1 << 18))),
        ("ap_ufixed<4,6>", InputType(False, 4, Fraction(4))),
    ],
)
def test_notations(text: str, expected: InputType) -> None:
    assert parse_type(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "float32", "int", "int0", "int1", "int33", "uint0", "int8/0", "int8*0", "int8*-1", "int8*", "int8/", "8"),
        *("fixed<8>", "fixed<1,1>", "fixed<8,999>", "fixed<33,1>", "int8>", "ap_int<8", "uint8/255/2", "int8*1e99"),
        "int8*1e-99",
    ],
)
def test_what_is_no_type(text: str) -> None:
    with pytest.raises(BadInput, match="input type"):
        parse_type(text)


def test_several_types() -> None:
    eight, four = InputType(True, 8, Fraction(1)), InputType(False, 4, Fraction(1))
    assert parse_types(None) == {}
    assert parse_types("int8") == parse_types(["int8"]) == parse_types({"": "int8"}) == {"": eight}
    assert (
        parse_types(["a=int8", "b=c=uint4"]) == parse_types({"a": "int8", "b=c": "uint4"}) == {"a": eight, "b=c": four}
    )
    with pytest.raises(BadInput, match="two types"):
        parse_types(["a=int8", "a=uint4"])


def convolutions() -> ModelProto:
    """The input is read by a convolution and, beside it, by a second one: no quantiser stands between."""
    net = Net(2, 4, 4)
    left, right = (
        net.node("Conv", "x", net.quant(normal(seed, 3, 2, 3, 3), 0.125, 3), pads=[1, 1, 1, 1]) for seed in (1, 2)
    )
    net.quant(net.node("Relu", net.node("Add", left, right)), 0.3, 4, signed=0)
    return net.model(net.nodes[-1].output[0])


def save(model: ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("text", "low", "high", "scale"),
    [
        ("int4", -8, 7, Fraction(1)),
        ("uint8/255", 0, 255, Fraction(float(np.float32(1 / 255)))),
        ("fixed<6,1>", -32, 31, Fraction(1, 32)),
        ("ufixed<3,5>", 0, 7, Fraction(4)),
    ],
)
def test_on_the_numbers_of_the_type_nothing_changes(
    text: str, low: int, high: int, scale: Fraction, tmp_path: Path
) -> None:
    model = convolutions()
    path = save(model, tmp_path)
    with pytest.raises(UnsupportedModel, match="--input-type"):
        load(path)
    graph = load(path, input_type=text)
    codes = np.random.default_rng(0).integers(low, high, (2, 2, 4, 4), endpoint=True)
    codes.flat[:2] = low, high
    x = (codes * float(scale)).astype(np.float32)
    simulator = Simulator(graph)
    assert np.array_equal(simulator.input_integers(x)["x"], codes)
    real = np.vectorize(lambda q: Fraction(int(q)) * scale, otypes=[object])(codes)
    truth = one_by_one(model, {"x": real})
    (name,) = (port.name for port in graph.outputs)
    found = exact_outputs(graph, simulator.predict_integers(x))[name]
    assert (found == truth[name]).all()
    declare(model, parse_types({"x": text}), "model")
    assert assert_conforms(model, {"x": x}).digest == graph.digest


def test_the_models_own_quantiser_follows_in_hardware(tmp_path: Path) -> None:
    net = Net(3)
    x = net.quant(net.node("Sub", "x", net.const([0.5, 0.25, 0.125])), 0.3, 4)
    path = save(net.model(net.node("MatMul", x, net.quant(normal(1, 3, 2), 0.25, 3))), tmp_path)
    with pytest.raises(UnsupportedModel, match="changed per channel"):
        load(path)
    graph = load(path, input_type="uint8/256")
    assert (graph.inputs[0].low, graph.inputs[0].high) == (0, 255)
    declared = onnx.load(write_declared(path, parse_types("uint8/256"), tmp_path / "declared.onnx"))
    assert_conforms(declared, {"x": np.random.default_rng(0).integers(0, 256, (20, 3)).astype(np.float32) / 256})


def two_inputs(*kinds: int) -> ModelProto:
    net = Net(3)
    net.inputs[0] = helper.make_tensor_value_info("x", kinds[0], [1, 3])
    net.inputs.append(helper.make_tensor_value_info("z", kinds[1], [1, 3]))
    return net.model(net.node("MatMul", net.node("Add", "x", "z"), net.quant(normal(1, 3, 2), 0.25, 3)))


def test_several_inputs(tmp_path: Path) -> None:
    path = save(two_inputs(TensorProto.FLOAT, TensorProto.FLOAT), tmp_path)
    graph = load(path, input_type={"x": "int4", "z": "uint3/4"})
    assert [(port.name, port.low, port.high, port.gain) for port in graph.inputs] == [("x", -8, 7, 1), ("z", 0, 7, 4)]
    with pytest.raises(BadInput, match=r"has several inputs. Its inputs are 'x', 'z'"):
        load(path, input_type="int8")
    with pytest.raises(BadInput, match=r"has no input 'y'. Its inputs are 'x', 'z'"):
        load(path, input_type={"y": "int8"})
    with pytest.raises(UnsupportedModel, match="--input-type"):
        load(path, input_type={"x": "int8"})


def test_integers_have_their_type_already(tmp_path: Path) -> None:
    path = save(two_inputs(TensorProto.INT8, TensorProto.FLOAT), tmp_path)
    with pytest.raises(BadInput, match=r"input 'x': is of element type INT8 in the file"):
        load(path, input_type={"x": "int8"})
    graph = load(save(convolutions(), tmp_path), input_type="int8")
    fpgaflow.ir.store.save_graph(graph, tmp_path / "graph.json")
    with pytest.raises(BadInput, match="says the types of its inputs itself"):
        load(tmp_path / "graph.json", input_type="int8")
    for take in (fpgaflow.check, build):
        with pytest.raises(BadInput, match="the graph: says the types of its inputs itself"):
            take(graph, input_type="int8")


def annotate(model: ModelProto, kind: str) -> ModelProto:
    note = model.graph.quantization_annotation.add(tensor_name="x")
    note.quant_parameter_tensor_names.add(key="finn_datatype", value=kind)
    return model


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("UINT3", range(8)),
        ("BINARY", (0, 1)),
        ("BIPOLAR", (-1, 1)),
        ("TERNARY", (-1, 0, 1)),
        ("FIXED<4,2>", [n / 4 for n in range(-8, 8)]),
    ],
)
def test_data_types_of_qonnx_in_the_file(kind: str, values: Any, tmp_path: Path) -> None:
    model = annotate(convolutions(), kind)
    graph = assert_conforms(model, {"x": np.random.default_rng(0).choice(np.array(values), (2, 2, 4, 4))})
    width = graph.type_of(graph.inputs[0].tensor).width
    assert 2**width >= len(values) > 2 ** (width - 1)
    assert load(save(model, tmp_path), input_type="int5").inputs[0].low == -16  # what is declared counts


@pytest.mark.parametrize("kind", ["FLOAT32", "SCALEDINT<8>", "INT99", "FIXED<1,1>", "?"])
def test_other_data_types_say_nothing(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="before any quantiser"):
        load(save(annotate(convolutions(), kind), tmp_path))


def test_names_that_are_taken(tmp_path: Path) -> None:
    model = convolutions()
    for wish in ("x.declared", "x.scale", "x.zero_point", "x.bit_width"):
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), wish))
    plain = load(save(convolutions(), tmp_path), input_type="int4")
    assert load(save(model, tmp_path), input_type="int4").ops == plain.ops


def test_weights_beside_the_model(tmp_path: Path) -> None:
    path = save(convolutions(), tmp_path)
    expected = load(path, input_type="int4").digest
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert load(path, input_type="int4").digest == expected
    (tmp_path / "out").mkdir()
    written = write_declared(path, parse_types("int4"), tmp_path / "out" / "declared.onnx")
    assert load(written).digest == expected


def test_on_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(save(convolutions(), tmp_path))
    assert main(["check", path, "--json"]) == 1
    assert "--input-type" in json.loads(capfd.readouterr().out)["problems"][0]["fix"]
    assert main(["check", path, "--input-type", "x=int4"]) == 0
    np.savez(tmp_path / "x.npz", x=np.ones((2, 2, 4, 4), np.float32))
    simulate = ["simulate", path, "--data", str(tmp_path / "x.npz"), "--input-type", "int4", "--out"]
    assert main([*simulate, str(tmp_path / "y.npz")]) == 0
    assert np.array_equal(
        np.load(tmp_path / "y.npz")["y"], Simulator(load(path, input_type="int4")).predict(np.ones((2, 2, 4, 4)))
    )
    assert main(["check", path, "--input-type", "float"]) == 2
    assert "input type 'float': is not understood" in capfd.readouterr().err
    assert fpgaflow.check(path, input_type="int4") == ()


def test_a_build_keeps_the_declaration(tmp_path: Path) -> None:
    """In its QONNX file, so that QONNX's executor computes the same."""
    net = Net(4)
    y = net.quant(net.node("MatMul", "x", net.quant(normal(1, 4, 3), 0.25, 3)), 0.5, 4)
    path = save(net.model(y), tmp_path)
    done = build(path, "pynq-z2", tmp_path / "build", input_type="int4*0.5")
    assert done.ok
    assert done.manifest["mismatches"]["qonnx_vs_sim"]["different"] == 0
    kept = tmp_path / "build" / "model.qonnx"
    assert load(path, input_type="int4*0.5").ops == load(Path(kept).rename(tmp_path / "kept.onnx")).ops
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.array_equal(run_qonnx(tmp_path / "kept.onnx", x)[y], Simulator(done.folder / "graph.json").predict(x))
