"""Reading .onnx files as untrusted data."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fpgaflow.errors import BadInput
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.onnx_file import read_model
from tests.models import DOMAIN, Net


def written(model: ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def simple() -> Net:
    net = Net(2)
    net.node("MatMul", net.quant("x", 0.25, 4), net.const([[1, 2], [3, 4]], name="w"), output="y")
    return net


def refused(path: Path, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert caught.value.problem.fix


def test_a_whole_model(tmp_path: Path) -> None:
    model = read_model(written(simple().model("y"), tmp_path))
    assert [(node.kind, node.name, node.domain) for node in model.nodes] == [
        ("Quant", "n.quant0", DOMAIN),
        ("MatMul", "n.y", ""),
    ]
    assert model.nodes[0].attributes == {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
    assert [(port.name, port.shape) for port in model.inputs] == [("x", (1, 2))]
    assert [port.name for port in model.outputs] == ["y"]
    assert model.constants["w"].tolist() == [[1, 2], [3, 4]]
    assert (model.name, model.opset) == ("net", 17)


def test_nodes_without_a_name_are_called_after_their_output(tmp_path: Path) -> None:
    model = simple().model("y")
    for node in model.graph.node:
        node.name = ""
    assert [node.name for node in read_model(written(model, tmp_path)).nodes] == ["Quant_quant0", "MatMul_y"]


def test_initialisers_listed_as_inputs_are_none(tmp_path: Path) -> None:
    """IR version 3 lists them there."""
    net = simple()
    net.input("w", (2,))
    assert [port.name for port in read_model(written(net.model("y"), tmp_path)).inputs] == ["x"]


@given(st.permutations(range(12)))
@settings(max_examples=30)
def test_any_order_of_nodes_is_sorted(order: list[int]) -> None:
    net = Net(2)
    name = net.quant("x", 0.25, 4)
    for _ in range(10):
        name = net.node("Relu", name)
    name = net.node("Add", name, net.nodes[3].output[0])
    right = list(net.nodes)
    net.nodes = [right[i] for i in order]
    with tempfile.TemporaryDirectory() as folder:
        found = read_model(written(net.model(name), Path(folder))).nodes
    assert [node.name for node in found] == [node.name for node in right]


def test_a_sorted_file_keeps_its_order(tmp_path: Path) -> None:
    net = Net(2)
    a, b = net.quant("x", 0.25, 4), net.quant("x", 0.5, 4)
    right, left = net.node("Relu", b), net.node("Relu", a)
    names = [node.name for node in net.nodes]
    assert [node.name for node in read_model(written(net.model(left, right), tmp_path)).nodes] == names


def test_a_long_chain_backwards(tmp_path: Path) -> None:
    """Sorting takes time in proportion to the file."""
    net = Net(2)
    name = "x"
    for _ in range(20_000):
        name = net.node("Relu", name)
    net.nodes = net.nodes[::-1]
    assert len(read_model(written(net.model(name), tmp_path)).nodes) == 20_000


# Files that are no models


def test_absent_and_unreadable(tmp_path: Path) -> None:
    refused(tmp_path / "absent.onnx", "cannot be read")
    refused(tmp_path, "cannot be read")
    for path in (tmp_path, tmp_path / "absent.onnx"):
        with pytest.raises(BadInput, match="is no file"):
            load(path)


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("3")
    with pytest.raises(BadInput, match=r"of unknown kind '\.txt'"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 64, b"GIF89a", b"PK\x03\x04" + b"\x00" * 99, b"{}", b"\x0a", b"\xff" * 99]
)
def test_no_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refused(path, "holds no graph|is not an ONNX file|imports no ONNX opset")


def test_truncated_anywhere(tmp_path: Path) -> None:
    path = written(simple().model("y"), tmp_path)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        refused(path, "holds no graph|is not an ONNX file|opset")


@pytest.mark.parametrize(("opset", "message"), [(8, "is of ONNX opset 8"), (99, "is of ONNX opset 99")])
def test_opset(tmp_path: Path, opset: int, message: str) -> None:
    refused(written(simple().model("y", opset=opset), tmp_path), message)


def test_no_opset(tmp_path: Path) -> None:
    model = simple().model("y")
    del model.opset_import[:]
    refused(written(model, tmp_path), "imports no ONNX opset")


# Files that contradict themselves


def test_a_cycle(tmp_path: Path) -> None:
    net = simple()
    net.nodes += [
        helper.make_node("Relu", ["b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    refused(written(net.model("y"), tmp_path), r"form a cycle \('first', 'second'\)")


def test_a_node_that_reads_itself(tmp_path: Path) -> None:
    net = simple()
    net.nodes.append(helper.make_node("Relu", ["a"], ["a"], name="ouroboros"))
    refused(written(net.model("y"), tmp_path), r"form a cycle \('ouroboros'\)")


def test_missing_initialisers_are_all_named(tmp_path: Path) -> None:
    net = simple()
    del net.initialisers[0], net.initialisers[-1]
    refused(written(net.model("y"), tmp_path), r"Quant\) reads 'c0', which nothing makes; .*MatMul\) reads 'w'")


def test_a_missing_output(tmp_path: Path) -> None:
    refused(written(simple().model("z"), tmp_path), "output 'z' nothing makes it")


def test_no_output(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no output"):
        load(written(simple().model(), tmp_path))


@pytest.mark.parametrize("taken", ["quant0", "w", "x"])
def test_an_output_made_twice(tmp_path: Path, taken: str) -> None:
    net = simple()
    net.nodes.append(helper.make_node("Relu", ["y"], [taken], name="again"))
    refused(written(net.model("y"), tmp_path), f"makes '{taken}' a second time")


@pytest.mark.parametrize("what", ["input", "output", "initializer"])
def test_two_of_one_name(tmp_path: Path, what: str) -> None:
    model = simple().model("y")
    entries = getattr(model.graph, what)
    entries.append(entries[0])
    names = {"input": "inputs", "output": "outputs", "initializer": "initialisers"}
    refused(written(model, tmp_path), f"two {names[what]} share a name")


def test_sparse_initialisers(tmp_path: Path) -> None:
    model = simple().model("y")
    model.graph.sparse_initializer.add().dims.extend([2, 2])
    refused(written(model, tmp_path), "sparse")


# Tensors whose data do not fit


@pytest.mark.parametrize("dims", [[3, 2], [-1, 2], [-2, -2], [2**40, 2**20], [2**62, 4], [5]])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT8, TensorProto.DOUBLE])
def test_data_that_do_not_fit_their_shape(tmp_path: Path, dims: list[int], kind: int) -> None:
    net = simple()
    net.initialisers[-1].CopyFrom(helper.make_tensor("w", kind, [2, 2], [1, 2, 3, 4]))
    net.initialisers[-1].dims[:] = dims
    refused(written(net.model("y"), tmp_path), "initialiser 'w'.*do not fit")


@pytest.mark.parametrize("data", [b"", b"\x00" * 15, b"\x00" * 17])
def test_raw_data_of_another_size(tmp_path: Path, data: bytes) -> None:
    net = simple()
    net.initialisers[-1].raw_data = data
    refused(written(net.model("y"), tmp_path), "initialiser 'w'.*do not fit")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (0, "UNDEFINED"),
        (TensorProto.STRING, "STRING"),
        (TensorProto.COMPLEX64, "COMPLEX64"),
        (TensorProto.BFLOAT16, "BFLOAT16"),
        (TensorProto.FLOAT8E4M3FN, "FLOAT8E4M3FN"),
        (TensorProto.FLOAT4E2M1, "FLOAT4E2M1"),
        (99, "99"),
    ],
)
def test_other_element_types(tmp_path: Path, kind: int, name: str) -> None:
    net = simple()
    net.initialisers[-1].data_type = kind
    refused(written(net.model("y"), tmp_path), f"initialiser 'w': is of ONNX element type {name}\\.")


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
def test_four_bits(tmp_path: Path, kind: int) -> None:
    """Two to a byte, and no byte more or less; numpy would cut or fill."""
    for raw in (True, False):
        net = simple()
        stored = helper.make_tensor("w", kind, [2, 2], b"\x21\x43" if raw else [1, 2, 3, 4], raw=raw)
        net.initialisers[-1] = stored
        assert read_model(written(net.model("y"), tmp_path)).constants["w"].astype(int).tolist() == [[1, 2], [3, 4]]
        if raw:
            stored.raw_data = b"\x21\x43\x00"
        else:
            stored.int32_data.append(0)
        refused(written(net.model("y"), tmp_path), "initialiser 'w'.*do not fit")


@pytest.mark.parametrize(("version", "message"), [(0, "IR version 0"), (2, "IR version 2"), (99, "IR version 99")])
def test_ir_versions(tmp_path: Path, version: int, message: str) -> None:
    model = simple().model("y")
    model.ir_version = version
    refused(written(model, tmp_path), message)


@pytest.mark.parametrize("opset", range(9, 27))
def test_every_opset(tmp_path: Path, opset: int) -> None:
    model = simple().model("y", opset=opset)
    model.ir_version = 14
    assert read_model(written(model, tmp_path)).opset == opset


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """In any place where a name stands."""
    whole = simple().model("y").SerializeToString()
    for name in (b"MatMul", b"n.quant0", b"narrow", DOMAIN.encode(), b"quant0", b"net"):
        path = tmp_path / "model.onnx"
        path.write_bytes(whole.replace(name, b"\xff" * len(name)))
        refused(path, "holds a name that is no UTF-8 text")


def test_an_attribute_given_twice(tmp_path: Path) -> None:
    model = simple().model("y")
    model.graph.node[0].attribute.append(helper.make_attribute("narrow", 1))
    refused(written(model, tmp_path), "gives an attribute twice")


def test_an_operator_set_imported_twice(tmp_path: Path) -> None:
    model = simple().model("y")
    model.opset_import.append(helper.make_opsetid("", 9))
    refused(written(model, tmp_path), "imports an operator set twice")


def test_ports_without_a_name(tmp_path: Path) -> None:
    model = simple().model("y")
    model.graph.output.add()
    refused(written(model, tmp_path), "two outputs share a name, or one has none")


def test_a_shape_beyond_its_data(tmp_path: Path) -> None:
    """It takes no memory to say so."""
    net = simple()
    net.initialisers[-1].dims[:] = [2**40, 2**20]
    refused(written(net.model("y"), tmp_path), "initialiser 'w'.*do not fit its shape")


# External data


def external(folder: Path, location: str, in_attribute: bool, **keys: str) -> Path:
    """A model whose weights say that they lie at `location`."""
    net = Net(2)
    tensor = numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **keys}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    if in_attribute:
        net.node("Constant", output="w", value=tensor)
    else:
        net.initialisers.append(tensor)
    net.node("MatMul", net.quant("x", 0.25, 4), "w", output="y")
    return written(net.model("y"), folder)


WEIGHTS = np.array([[1, 2], [3, 4]], np.float32)

holders = pytest.mark.parametrize("in_attribute", [False, True], ids=["initialiser", "attribute"])


@holders
@pytest.mark.parametrize("location", ["w.bin", "deep/w.bin"])
def test_external_data(tmp_path: Path, location: str, in_attribute: bool) -> None:
    """Beside the model or below it, wherever the program runs; with an offset and a length."""
    (tmp_path / "deep").mkdir()
    (tmp_path / location).write_bytes(b"junk" + WEIGHTS.tobytes() + b"junk")
    path = external(tmp_path, location, in_attribute, offset="4", length="16")
    model = read_model(path)
    found = model.nodes[0].attributes["value"] if in_attribute else model.constants["w"]
    assert np.array_equal(found, WEIGHTS)
    (tmp_path / location).write_bytes(WEIGHTS.tobytes())
    assert load(external(tmp_path, location, in_attribute)).ops


@holders
@pytest.mark.parametrize("way", ["absolute", "..", "deep/../..", "symlink", "symlinked folder", "nothing"])
def test_external_data_outside_of_the_folder(
    tmp_path: Path, way: str, in_attribute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file exists, and would fit: it is refused for where it lies."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside, inside / "deep"):
        folder.mkdir()
    secret = outside / "w.bin"
    secret.write_bytes(WEIGHTS.tobytes())
    (inside / "link.bin").symlink_to(secret)
    (inside / "linked").symlink_to(outside)
    locations = {
        "absolute": str(secret),
        "..": "../out/w.bin",
        "deep/../..": "deep/../../out/w.bin",
        "symlink": "link.bin",
        "symlinked folder": "linked/w.bin",
        "nothing": "",
    }
    monkeypatch.chdir(outside)
    refused(external(inside, locations[way], in_attribute), "external data lie at.*|do not fit")


@holders
def test_external_data_of_the_folder_at_work(
    tmp_path: Path, in_attribute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path counts from the model, not from where the program runs."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "w.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    refused(external(tmp_path / "model", "w.bin", in_attribute), "'w.bin' is missing")


@holders
@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"", {}),
        (WEIGHTS.tobytes()[:-1], {}),
        (WEIGHTS.tobytes(), {"offset": "4"}),
        (WEIGHTS.tobytes(), {"offset": "-4"}),
        (WEIGHTS.tobytes(), {"offset": "many"}),
        (WEIGHTS.tobytes(), {"length": "8"}),
        (WEIGHTS.tobytes(), {"length": str(2**70)}),
        (WEIGHTS.tobytes() * 2, {}),
    ],
)
def test_external_data_of_another_size(
    tmp_path: Path, content: bytes, keys: dict[str, str], in_attribute: bool
) -> None:
    (tmp_path / "w.bin").write_bytes(content)
    refused(external(tmp_path, "w.bin", in_attribute, **keys), "do not fit|cannot be read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are not of this system")
def test_external_data_in_a_pipe(tmp_path: Path) -> None:
    """Reading one would wait for ever."""
    os.mkfifo(tmp_path / "w.bin")
    refused(external(tmp_path, "w.bin", False), "is missing")
