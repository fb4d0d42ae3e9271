"""Models that others trained: what they reached on real boards and published, and every file loads or says why not."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from fpgaflow import Simulator, load
from fpgaflow.compare_bits import output_integers
from fpgaflow.errors import BadInput, FpgaflowError, UnsupportedModel
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.qonnx.input_types import declare, parse_types, write_declared
from fpgaflow.frontend.qonnx.onnx_file import read_model
from fpgaflow.ir.store import load_graph, save_graph
from tests.models import assert_conforms
from tests.third_party import third_party, third_party_folder


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's test digits, (N, 1, 28, 28) in 0 to 1, and their labels."""
    with gzip.open(third_party("mnist/t10k-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(third_party("mnist/t10k-labels-idx1-ubyte.gz")) as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return (pixels[:count] / 255).astype(np.float32), labels[:count]


def keywords() -> tuple[Path, np.ndarray, list[dict[str, str]]]:
    """The keyword-spotting model, its inputs as the model takes them, and the top-1 of each board."""
    folder = third_party("kws_w3a3_pynqz2")
    path = folder / "QONNX_model.onnx"
    model = read_model(path)
    quantiser = next(node for node in model.nodes if node.kind == "Quant" and node.inputs[0] == model.inputs[0].name)
    codes = np.load(folder / "inputs_int8_1000x1x10x49.npy", allow_pickle=False)
    with (folder / "expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    return path, codes.astype(np.float32) * model.constants[quantiser.inputs[1]], rows


def test_keyword_spotting_is_the_board_s() -> None:
    """Every answer that the PYNQ-Z2 and the Arty A7-100T gave, among them those that are wrong."""
    path, x, rows = keywords()
    assert x.shape == (1000, 1, 10, 49)
    top = Simulator(path).predict(x).argmax(axis=1)
    assert (top == [int(row["pynq_z2_board"]) for row in rows]).sum() == 1000
    assert (top == [int(row["arty_a7_board"]) for row in rows]).sum() == 1000
    assert (top == [int(row["label"]) for row in rows]).sum() == 825


@pytest.mark.parametrize(("name", "right"), [("TFC_1W1A", 913), ("TFC_1W2A", 938), ("TFC_2W2A", 966)])
def test_digits(name: str, right: int) -> None:
    x, labels = images(1000)
    predicted = Simulator(third_party(f"qonnx_zoo/{name}.onnx")).predict(x)
    assert (predicted.reshape(1000, -1).argmax(axis=1) == labels).sum() == right


@pytest.mark.parametrize("name", ["kws", "TFC_1W1A", "TFC_1W2A", "TFC_2W2A"])
def test_engines_agree(name: str, tmp_path: Path) -> None:
    """On every tensor, and after the graph was saved and loaded."""
    if name == "kws":
        path, x, _ = keywords()
    else:
        path, x = third_party(f"qonnx_zoo/{name}.onnx"), images(60)[0]
    graph, x = load(path), x[:60]
    fast = Simulator(graph).trace(x)
    reference = Simulator(graph, engine="reference").trace(x)
    assert fast.keys() == reference.keys()
    assert [key for key in fast if not np.array_equal(fast[key], reference[key])] == []
    save_graph(graph, tmp_path / "graph.json")
    again = load_graph(tmp_path / "graph.json")
    assert again.digest == graph.digest
    assert np.array_equal(Simulator(again).predict(x), Simulator(graph).predict(x))


@pytest.mark.parametrize("name", ["kws", "TFC_1W1A", "TFC_1W2A", "TFC_2W2A"])
def test_qonnx_s_executor_agrees(name: str) -> None:
    """Up to its own float32 rounding."""
    if name == "kws":
        path, x, _ = keywords()
    else:
        path, x = third_party(f"qonnx_zoo/{name}.onnx"), images(10)[0]
    model = cleanup_model(ModelWrapper(str(path)))
    source, result = model.graph.input[0].name, model.graph.output[0].name
    theirs = [execute_onnx(model, {source: x[i : i + 1]})[result].reshape(-1) for i in range(10)]
    ours = Simulator(path).predict(x[:10]).reshape(10, -1)
    assert np.allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_an_annotated_input_is_the_executor_s_bit_by_bit() -> None:
    """Unsigned bytes by annotation alone, whole weights, scales that are no powers of two before the quantiser."""
    path = third_party("qonnx_pkg_data/eltwise_chanlast_testcase.onnx")
    model = ModelWrapper(str(path))
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224)).astype(np.float32)
    theirs = execute_onnx(model, {"global_in": x})[model.graph.output[0].name]
    assert theirs.std() > 1
    assert np.array_equal(Simulator(path).predict(x), theirs.astype(np.float64))


def test_what_finn_lowered_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        load(third_party("finn/cybsec_PE_SIMD.onnx"))
    assert len(caught.value.problems) == 4
    for problem in caught.value.problems:
        assert problem.where.endswith("(MVAU_hls)")
        assert "operator MVAU_hls of domain" in problem.found


@pytest.mark.parametrize("name", ["fpga_flow", "build_dataflow"])
def test_finn_s_binary_digits(name: str) -> None:
    """MultiThreshold nodes and a TopK: the classes that FINN expects."""
    folder = third_party(f"finn/{name}")
    x, expected = (np.load(folder / f"{file}.npy", allow_pickle=False) for file in ("input", "expected_output"))
    assert Simulator(folder / "model.onnx").predict(x).reshape(-1).tolist() == expected.tolist()


def test_finn_s_binary_digits_as_qonnx_computes_them() -> None:
    path = third_party("finn/build_dataflow/model.onnx")
    x = np.round(images(100)[0] * 255)
    theirs = run_qonnx(path, x)["global_out"]
    assert np.array_equal(Simulator(path).predict(x), theirs.astype(np.float64))


def small_picture(name: str, size: int) -> onnx.ModelProto:
    """A network for pictures, for one of `size` × `size` pixels and with few filters: for the oracle."""
    model = onnx.load(third_party(f"qonnx_pkg_data/bsd300x3-espcn/{name}/quant_model.onnx"))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = size
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = size
    names = {entry.name for entry in model.graph.initializer}
    for port in [port for port in model.graph.input if port.name in names]:
        model.graph.input.remove(port)
    keep_filters(model, 4)
    return model


def test_a_picture_made_larger() -> None:
    """4-bit and 8-bit convolutions with a scale for each channel, and a Resize: a corner of it against the oracle."""
    size = 7
    model = small_picture("nn_resize", size)
    x = (np.random.default_rng(3).integers(-64, 256, (1, 3, size, size)) / 255).astype(np.float32)
    assert_conforms(model, {model.graph.input[0].name: x})


@pytest.mark.parametrize("input_type", ["uint8/255", "ufixed<8,0>"])
def test_a_picture_made_larger_by_depth_to_space(input_type: str) -> None:
    """The same with its input's type declared, which the model leaves float."""
    model = small_picture("subpixel", 6)
    name = model.graph.input[0].name
    declare(model, parse_types(input_type), "subpixel")
    x = (np.random.default_rng(3).integers(0, 256, (1, 3, 6, 6)) / 255).astype(np.float32)
    assert_conforms(model, {name: x})


def test_a_whole_picture_as_qonnx_computes_it(tmp_path: Path) -> None:
    """128 × 128 pixels: float32 lands on the other side of a boundary now and then, by one level."""
    types = parse_types("ufixed<8,0>")
    path = third_party("qonnx_pkg_data/bsd300x3-espcn/subpixel/quant_model.onnx")
    declared = write_declared(path, types, tmp_path / "declared.onnx")
    graph = load(path, input_type="ufixed<8,0>")
    x = (np.random.default_rng(0).integers(0, 256, (2, 3, 128, 128)) / 256).astype(np.float32)
    (port,) = graph.outputs
    theirs = output_integers(run_qonnx(declared, x)[port.name], port)
    ours = Simulator(graph).predict_integers(x)[port.name]
    assert ours.std() > 1
    assert np.abs(theirs - ours).max() <= 1
    assert (theirs != ours).mean() < 1e-3


def keep_filters(model: onnx.ModelProto, count: int) -> None:
    """Cuts every hidden layer to its first filters, so that rational arithmetic takes seconds."""
    wide = {"conv1", "conv2", "conv3", "bn1", "bn2", "bn3"}
    for entry in model.graph.initializer:
        array = numpy_helper.to_array(entry)
        if array.ndim == 4:
            array = array[: count if array.shape[0] > 3 else None, : count if array.shape[1] > 3 else None]
        if entry.name.split(".")[0] in wide or (entry.name.startswith("scale") and array.ndim == 4):
            array = array[:count] if array.shape[0] > 3 else array
        entry.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), entry.name))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("finn/residual_testcase.onnx", {"AddStreams_Batch", "DuplicateStreams_Batch", "MatrixVectorActivation"}),
        ("qonnx_pkg_data/floatquant_exec/qonnx_act_weight_fp8.onnx", {"FloatQuant"}),
        ("qonnx_pkg_data/matmul_update/sdp.onnx", {"Transpose"}),
        ("qonnx_pkg_data/bsd300x3-espcn/subpixel/quant_model.onnx", {"Conv"}),
        ("qonnx_pkg_data/residual_block_clean.onnx", {"Conv"}),
    ],
)
def test_what_is_refused_is_named(name: str, kinds: set[str]) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        load(third_party(name))
    text = str(caught.value)
    assert [kind for kind in kinds if f"({kind})" not in text] == []


def test_a_float_residual_block() -> None:
    """Its input may be declared; its weights, of 25 bits, stay what they are: every layer with such is named."""
    with pytest.raises(UnsupportedModel) as caught:
        load(third_party("qonnx_pkg_data/residual_block_clean.onnx"), input_type="uint8")
    assert [problem.where for problem in caught.value.problems] == [f"node 'Conv_{i}' (Conv)" for i in range(3)]
    assert all("fpgaflow quantize" in problem.fix for problem in caught.value.problems)


FOLDER = third_party_folder()


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"third-party test data is absent ({FOLDER}); set FPGAFLOW_TEST_DATA")
@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.onnx")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_model_loads_or_says_why_not(path: Path) -> None:
    try:
        graph = load(path)
    except UnsupportedModel as error:
        nodes = {f"node '{node.name}' ({node.kind})" for node in read_model(path).nodes}
        ports = ("input '", "output '")
        assert [p.where for p in error.problems if p.where not in nodes and not p.where.startswith(ports)] == []
    except BadInput as error:
        assert "is of ONNX opset 8" in str(error)  # older than what is read
    else:
        zeros = {port.name: np.zeros((1, *graph.tensors[port.tensor].shape)) for port in graph.inputs}
        fast, reference = Simulator(graph), Simulator(graph, engine="reference")
        for name, array in reference.predict_integers(zeros).items():
            assert np.array_equal(fast.predict_integers(zeros)[name], array)


OTHERS = ("qkeras_h5/ad08_pynq.yml", "mlperf_tiny_int8/ad01_int8.tflite", "README.md", "finn/kws_input.npy")


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("suffix", [".onnx", ".json", None])
def test_files_of_other_kinds(name: str, suffix: str | None, tmp_path: Path) -> None:
    """Under their own name, and under that of a model."""
    path = third_party(name)
    if suffix is not None:
        (tmp_path / f"m{suffix}").write_bytes(path.read_bytes())
        path = tmp_path / f"m{suffix}"
    with pytest.raises(BadInput) as caught:
        load(path)
    assert isinstance(caught.value, FpgaflowError) and str(path) in str(caught.value)
