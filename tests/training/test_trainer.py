import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.training.export import load_checkpoint
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.trainer import Phase, Progress, shifted, train

SHORT = Recipe(float_epochs=1, qat_epochs=1, batch_size=100)
FILES = ["checkpoint.pt", "model.onnx", "test.npz", "train.json"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    steps: list[Progress] = []
    return train(SHORT, out, steps.append), steps


def test_writes_what_it_evaluated(trained):
    result, _ = trained
    assert sorted(path.name for path in result.out.iterdir()) == FILES
    summary = json.loads((result.out / "train.json").read_text())
    assert summary["accuracy"] == {
        "float": result.float_accuracy,
        "quantized": result.quantised_accuracy,
        "samples": 297,
    }
    assert summary["recipe"] == dataclasses.asdict(SHORT)
    test = np.load(result.out / "test.npz")
    outputs = next(iter(run_qonnx(result.out / "model.onnx", test["x"]).values()))
    assert np.mean(outputs.argmax(axis=1) == test["y"]) == result.quantised_accuracy
    with torch.no_grad():
        assert np.array_equal(load_checkpoint(result.out / "checkpoint.pt").model(torch.from_numpy(test["x"])), outputs)


def test_learns_in_three_short_epochs(trained):
    result, _ = trained
    assert result.quantised_accuracy > 0.5


def test_progress_counts_every_step(trained):
    _, steps = trained
    assert [progress.step for progress in steps] == list(range(1, 46))
    assert {progress.total for progress in steps} == {45}
    assert list(dict.fromkeys(progress.phase for progress in steps)) == [Phase.FLOAT, Phase.TWIN, Phase.QUANTISED]


def test_same_seed_same_bytes_other_seed_others(trained, tmp_path):
    result, _ = trained
    train(SHORT, tmp_path / "same")
    for name in FILES:
        assert (tmp_path / "same" / name).read_bytes() == (result.out / name).read_bytes(), name
    train(dataclasses.replace(SHORT, seed=1), tmp_path / "other")
    assert (tmp_path / "other" / "model.onnx").read_bytes() != (result.out / "model.onnx").read_bytes()


def test_callers_torch_is_left_alone(tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(SHORT, tmp_path)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_loss_that_diverges_keeps_the_last_good_weights(trained, tmp_path):
    result, _ = trained
    for name in FILES:
        (tmp_path / name).write_bytes((result.out / name).read_bytes())
    with pytest.raises(CheckFailed) as error:
        train(dataclasses.replace(SHORT, float_epochs=3, qat_epochs=2, qat_learning_rate=1e9), tmp_path)
    assert "the loss is" in str(error.value)
    assert "qat_learning_rate" in str(error.value)
    last_good = load_checkpoint(tmp_path / "last_good.pt")
    assert all(bool(tensor.isfinite().all()) for tensor in last_good.model.state_dict().values())
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (result.out / name).read_bytes()


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(BadInput, match="batch_size"):
        train(dataclasses.replace(SHORT, batch_size=1501), tmp_path)
    assert not list(tmp_path.iterdir())


def test_shifted_moves_whole_pixels_and_brings_in_zeros():
    images = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    seen = set()
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        moved = shifted(images, 1, generator)
        rows, columns = torch.nonzero(moved[0, 0] == 6)[0].tolist()
        expected = torch.zeros(6, 6)
        expected[rows : rows + 4, columns : columns + 4] = images[0, 0]
        assert torch.equal(moved[0, 0], expected[1:5, 1:5])
        seen.add((rows, columns))
    assert len(seen) == 9
    assert torch.equal(shifted(images, 0, generator), images)


def test_runs_quietly(tmp_path):
    code = (
        "from pathlib import Path\nfrom fpgaflow.training.recipe import Recipe\n"
        "from fpgaflow.training.trainer import train\n"
        f"train(Recipe(float_epochs=1, qat_epochs=1, batch_size=750), Path({str(tmp_path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("package", ["torch", "brevitas", "onnxoptimizer", "sklearn"])
def test_a_missing_package_is_named(package):
    code = f"""
import sys
sys.modules[{package!r}] = None
from fpgaflow.errors import MissingTool
try:
    import fpgaflow.training
except MissingTool as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"{package} is not installed" in done.stdout
    assert "pip install 'fpgaflow[train]'" in done.stdout


@pytest.mark.slow
def test_the_example_recipe_reaches_its_accuracy(tmp_path):
    result = train(Recipe(), tmp_path)
    assert result.quantised_accuracy >= 0.98
    assert abs(result.float_accuracy - result.quantised_accuracy) <= 0.01
