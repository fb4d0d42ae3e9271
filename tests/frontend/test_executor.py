from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from fpgaflow.data import data_dir
from fpgaflow.errors import ToolFailed
from fpgaflow.frontend.qonnx import executor
from fpgaflow.frontend.qonnx.executor import run_qonnx
from tests.builds import perceptron
from tests.models import Net, reals

LENET = data_dir("examples/lenet_digits")


def saved(model: ModelProto, folder: Path) -> Path:
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def one_by_one(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor by qonnx's own call, a sample at a time."""
    model = ModelWrapper(str(path)).transform(InferShapes())
    name = model.graph.input[0].name
    runs = [execute_onnx(model, {name: x[i : i + 1]}, return_full_exec_context=True) for i in range(len(x))]
    made = [output for node in model.graph.node for output in node.output]
    return {n: np.concatenate([run[n] for run in runs]) for n in made if len(runs[0][n]) == 1}


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 130])
def test_any_number_of_samples(tmp_path: Path, count: int) -> None:
    path, x = saved(perceptron(), tmp_path), reals(0, (count, 4))
    assert np.array_equal(run_qonnx(path, {"x": x})["scores"], one_by_one(path, x)["scores"])


def test_samples_go_through_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def counted(model: ModelWrapper, inputs: dict[str, np.ndarray], **options: bool) -> dict[str, np.ndarray]:
        sizes.append(len(inputs["x"]))
        return execute_onnx(model, inputs, **options)

    monkeypatch.setattr(executor, "execute_onnx", counted)
    run_qonnx(saved(perceptron(), tmp_path), reals(0, (130, 4)))
    assert sizes == [64, 64, 64], "the last batch is filled up"


def test_every_layer(tmp_path: Path) -> None:
    path, x = saved(perceptron(), tmp_path), reals(1, (70, 4))
    expected, found = one_by_one(path, x), run_qonnx(path, {"x": x}, layers=True)
    assert {"x", "hidden", "scores"} <= found.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name
    assert np.array_equal(found["x"], x)


def test_lenet() -> None:
    x = np.load(LENET / "test.npz")["x"][:10]
    (logits,) = run_qonnx(LENET / "model.onnx", x).values()
    assert logits.shape == (10, 10)
    (name,) = run_qonnx(LENET / "model.onnx", x)
    assert np.array_equal(logits, one_by_one(LENET / "model.onnx", x)[name])


def test_inputs_are_taken_as_float32(tmp_path: Path) -> None:
    path, x = saved(perceptron(), tmp_path), reals(2, (5, 4)).astype(np.float64) + 1e-12
    assert np.array_equal(run_qonnx(path, x)["scores"], one_by_one(path, x.astype(np.float32))["scores"])


def with_rows() -> ModelProto:
    """Takes (1, 8) apart into 2 rows and joins them again: 64 samples are no 64 of those rows."""
    net = Net(8)
    rows = net.shaped(net.quant("x", 1 / 8, 8), 2, 4)
    product = net.node("MatMul", rows, net.quant(np.eye(4, 3) / 2, 1 / 4, 4))
    net.node("Reshape", product, net.const([1, 6], np.int64), output="y")
    return net.model("y")


def with_constant_sample() -> ModelProto:
    """Joins a constant of batch 1 to the sample."""
    net = Net(3)
    net.node("Concat", net.quant("x", 1 / 8, 8), net.const([[0.5, 0.25]]), axis=1, output="y")
    return net.model("y")


def with_shape(model: ModelProto) -> ModelProto:
    """The model with its output's shape declared, as exporters do."""
    for port in model.graph.output:
        port.CopyFrom(ModelWrapper(model).transform(InferShapes()).get_tensor_valueinfo(port.name))
    return model


@pytest.mark.parametrize("make", [with_rows, with_constant_sample])
@pytest.mark.parametrize("declared", [False, True])
def test_model_whose_batch_cannot_change(tmp_path: Path, make, declared: bool) -> None:
    path = saved(with_shape(make()) if declared else make(), tmp_path)
    x = reals(3, (66, 8 if make is with_rows else 3))
    assert np.array_equal(run_qonnx(path, x)["y"], one_by_one(path, x)["y"])


def test_batch_that_is_left_open(tmp_path: Path) -> None:
    model = with_shape(perceptron())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path, x = saved(model, tmp_path), reals(4, (65, 4))
    fixed = run_qonnx(saved(perceptron(), tmp_path), x)["scores"]
    saved(model, tmp_path)
    assert np.array_equal(run_qonnx(path, x)["scores"], fixed)
    assert np.array_equal(run_qonnx(path, x[:1])["scores"], fixed[:1])


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    net = Net(3)
    other = net.input("z", (3,))
    total = net.node("Add", net.quant("x", 1 / 8, 8), net.quant(other, 1 / 8, 8), output="sum")
    net.node("Relu", total, output="positive")
    path = saved(net.model("sum", "positive"), tmp_path)
    x, z = reals(5, (66, 3), grid=1 / 8), reals(6, (66, 3), grid=1 / 8)
    found = run_qonnx(path, {"x": x, "z": z})
    assert np.array_equal(found["sum"], x + z) and np.array_equal(found["positive"], np.maximum(x + z, 0))


def test_executor_that_fails(tmp_path: Path) -> None:
    net = Net(3)
    net.node("Mystery", net.quant("x", 1 / 8, 8), output="y")
    with pytest.raises(ToolFailed, match="QONNX's executor"):
        run_qonnx(saved(net.model("y"), tmp_path), reals(7, (3, 3)))


def test_output_without_one_entry_per_sample(tmp_path: Path) -> None:
    net = Net(8)
    net.node("Reshape", net.quant("x", 1 / 8, 8), net.const([2, 4], np.int64), output="y")
    with pytest.raises(ToolFailed, match="output y does not have one entry per sample"):
        run_qonnx(saved(net.model("y"), tmp_path), reals(8, (3, 8)))


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_qonnx(saved(perceptron(), tmp_path), reals(9, (3, 4)))
    assert capfd.readouterr().out == ""
