from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fpgaflow.errors import BadInput, CheckFailed, UnsupportedModel
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.training.bits import Bits
from fpgaflow.training.checkpoint import load_checkpoint
from fpgaflow.training.data import DatasetKind, DataSpec
from fpgaflow.training.objective import Task
from fpgaflow.training.optimise import OptimiserName, ScheduleName
from fpgaflow.training.recipe import Log, Precision, Recipe
from fpgaflow.training.resume import FILE as RESUME
from fpgaflow.training.trainer import Phase, Progress, train
from tests.training.networks import write_clusters

SHORT = Recipe(float_epochs=1, qat_epochs=1, batch_size=100, shift=2)
FILES = ["checkpoint.pt", "log.csv", "model.onnx", "test.npz", "train.json"]
CLUSTERS = DataSpec(DatasetKind.NPZ, "clusters.npz", test_samples=20)
SMALL = Recipe(
    model="mlp",
    dataset=CLUSTERS,
    width=0.25,
    float_epochs=4,
    qat_epochs=3,
    batch_size=20,
    float_learning_rate=0.05,
)
OWN = """
from torch import nn
def make():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)), (6,)
def too_few():
    return nn.Sequential(nn.Linear(6, 2)), (6,)
def other_shape():
    return nn.Sequential(nn.Linear(7, 3)), (7,)
def sigmoid():
    return nn.Sequential(nn.Linear(6, 3), nn.Sigmoid(), nn.Linear(3, 3)), (6,)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the data set of clusters and the users' own modules lie."""
    made = tmp_path_factory.mktemp("data")
    write_clusters(made / "clusters.npz")
    (made / "own.py").write_text(OWN)
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    steps: list[Progress] = []
    return train(SHORT, out, steps.append), steps


def small(folder: Path, out: Path, progress=None, **changes: object):
    return train(dataclasses.replace(SMALL, **changes), out, progress, folder)


def test_writes_what_it_evaluated(trained):
    result, _ = trained
    assert sorted(path.name for path in result.out.iterdir()) == FILES
    summary = json.loads((result.out / "train.json").read_text())
    assert summary["accuracy"] == {"float": result.float_score, "quantized": result.quantised_score, "samples": 297}
    assert summary["recipe"] == dataclasses.asdict(SHORT)
    test = np.load(result.out / "test.npz")
    outputs = next(iter(run_qonnx(result.out / "model.onnx", test["x"]).values()))
    assert np.mean(outputs.argmax(axis=1) == test["y"]) == result.quantised_score
    with torch.no_grad():
        assert np.array_equal(load_checkpoint(result.out / "checkpoint.pt").model(torch.from_numpy(test["x"])), outputs)


def test_learns_in_three_short_epochs(trained):
    result, _ = trained
    assert result.quantised_score > 0.5


def test_progress_counts_every_step(trained):
    _, steps = trained
    assert [progress.step for progress in steps] == list(range(1, 46))
    assert {progress.total for progress in steps} == {45}
    assert list(dict.fromkeys(progress.phase for progress in steps)) == [Phase.FLOAT, Phase.TWIN, Phase.QUANTISED]


def test_same_seed_same_bytes_other_seed_others(folder, tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        small(folder, tmp_path / name, seed=seed)
    for file in FILES:
        assert (tmp_path / "same" / file).read_bytes() == (tmp_path / "one" / file).read_bytes(), file
    assert (tmp_path / "other" / "model.onnx").read_bytes() != (tmp_path / "one" / "model.onnx").read_bytes()


def test_callers_torch_is_left_alone(folder, tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    small(folder, tmp_path)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("optimiser", "changes"),
    [
        (OptimiserName.GRADIENT_DESCENT, {"float_learning_rate": 0.5, "qat_learning_rate": 0.05, "float_epochs": 40}),
        (OptimiserName.SGD, {"float_learning_rate": 0.3, "schedule": ScheduleName.CONSTANT}),
        (OptimiserName.SGD, {"float_learning_rate": 0.2, "momentum": 0.9, "schedule": ScheduleName.COSINE}),
        (OptimiserName.ADAGRAD, {"float_learning_rate": 0.1, "schedule": ScheduleName.LINEAR}),
        (OptimiserName.RMSPROP, {"float_learning_rate": 0.02, "schedule": ScheduleName.STEP, "momentum": 0.5}),
        (OptimiserName.ADAM, {"precision": Precision.BFLOAT16}),
        (OptimiserName.ADAMW, {"weight_decay": 0.01, "accumulate": 2, "float_epochs": 8}),
    ],
    ids=str,
)
def test_every_optimiser_and_schedule_learns(optimiser, changes, folder, tmp_path):
    result = small(folder, tmp_path, optimiser=optimiser, log=Log.NONE, **changes)
    assert result.quantised_score >= 0.9
    assert not (tmp_path / "log.csv").exists()


# 3 batches an epoch: 12 steps in the float phase, 9 in each of the others.
DROPPING = {"model": "own.py:make", "width": 1.0, "checkpoint_steps": 2, "validation": 0.2, "batch_size": 16}


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    small(folder, out, **DROPPING)
    return out


@pytest.mark.parametrize("step", [1, 8, 17, 29])
def test_a_killed_training_ends_with_the_same_weights(step, folder, unbroken, tmp_path):
    """Dropout draws from torch's own generator, Adam and the schedule have states, and the best epoch is kept."""

    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    with pytest.raises(Killed):
        small(folder, tmp_path, kill, **DROPPING)
    resumed = small(folder, tmp_path, **DROPPING)
    assert resumed.resumed_at <= step
    assert resumed.resumed_at >= step - 3
    for file in FILES:
        assert (tmp_path / file).read_bytes() == (unbroken / file).read_bytes(), file
    assert not (tmp_path / RESUME).exists()


def test_another_recipe_does_not_go_on_from_it(folder, tmp_path):
    def interrupt(progress: Progress) -> None:
        if progress.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(folder, tmp_path, interrupt)
    assert (tmp_path / RESUME).exists()
    assert small(folder, tmp_path, seed=3).resumed_at == 0
    (tmp_path / RESUME).write_bytes(b"damaged")
    with pytest.raises(BadInput, match=r"resume\.pt.*Remove it"):
        small(folder, tmp_path)


def test_early_stopping_keeps_the_best_epoch(folder, tmp_path):
    changes = {"validation": 0.25, "patience": 2, "float_epochs": 30, "qat_epochs": 12, "batch_size": 15}
    result = small(folder, tmp_path, **changes)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for phase, epochs in ((Phase.FLOAT, 30), (Phase.TWIN, 12), (Phase.QUANTISED, 12)):
        scores = [float(row["validation"]) for row in rows if row["phase"] == phase]
        assert len(scores) < epochs
        assert len(scores) - 1 - int(np.argmax(scores)) == 2
    assert result.quantised_score >= 0.9


def test_an_autoencoder_is_judged_by_its_error(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 2)) @ random.normal(size=(2, 12))
    np.savez(tmp_path / "signals.npz", x=x.astype(np.float32))
    data = DataSpec(DatasetKind.NPZ, "signals.npz", test_samples=20)
    recipe = Recipe(
        model="autoencoder", dataset=data, width=0.125, batch_size=20, float_epochs=20, weight_bits=8, activation_bits=8
    )
    result = train(recipe, tmp_path / "out", folder=tmp_path)
    assert result.task is Task.RECONSTRUCTION
    assert result.quantised_score < 0.7 * float(np.mean(x[:20] ** 2))
    summary = json.loads((tmp_path / "out" / "train.json").read_text())
    assert summary["accuracy"] == {"float": None, "quantized": None, "samples": 20}
    assert summary["mean_squared_error"]["quantized"] == result.quantised_score


def test_tuning_in_smaller_batches_makes_more_steps(folder, tmp_path):
    steps: list[Progress] = []
    result = small(folder, tmp_path, steps.append, qat_batch_size=10, qat_optimiser=OptimiserName.SGD, momentum=0.9)
    assert [sum(step.phase is phase for step in steps) for phase in Phase] == [12, 18, 18]
    assert {step.total for step in steps} == {48}
    assert result.quantised_score > 0.5


def test_layer_bits_reach_the_file(folder, tmp_path):
    small(folder, tmp_path, layer_bits={"fc1": 8, "relu2": 2})
    assert load_checkpoint(tmp_path / "checkpoint.pt").bits == Bits(4, 4, 8, {"fc1": 8, "relu2": 2})


def test_tensorboard(folder, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    small(folder, tmp_path, log=Log.TENSORBOARD)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(events.Scalars("quantised/loss")) == 3


def test_a_loss_that_diverges_keeps_the_last_good_weights(folder, tmp_path):
    plain = {"optimiser": OptimiserName.SGD, "float_learning_rate": 0.3}
    small(folder, tmp_path, **plain)
    before = {
        name: (tmp_path / name).read_bytes() for name in ("checkpoint.pt", "model.onnx", "test.npz", "train.json")
    }
    with pytest.raises(CheckFailed) as error:
        small(folder, tmp_path, **plain, qat_learning_rate=1e9, qat_epochs=9)
    assert "the loss is" in str(error.value)
    assert "qat_learning_rate" in str(error.value)
    last_good = load_checkpoint(tmp_path / "last_good.pt")
    assert all(bool(tensor.isfinite().all()) for tensor in last_good.model.state_dict().values())
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 61}, "train.batch_size"),
        ({"qat_batch_size": 61}, "train.qat_batch_size"),
        ({"validation": 0.01}, "train.validation: 0.01 cannot be held out"),
        ({"shift": 1}, "train.shift"),
        ({"layer_bits": {"conv1": 3}}, r"train\.layer_bits\.conv1"),
        ({"model": "lenet5"}, "takes images"),
        ({"model": "own.py:too_few", "width": 1.0}, r"gives outputs of shape \(2, 2\)"),
        ({"model": "own.py:other_shape", "width": 1.0}, r"takes samples of shape \(7,\)"),
        ({"model": "own.py:none", "width": 1.0}, "no function"),
        ({"task": Task.RECONSTRUCTION, "model": "own.py:make", "width": 1.0}, "the task needs"),
        ({"dataset": DataSpec(DatasetKind.NPZ, "none.npz", 20)}, r"none\.npz"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_training(changes, says, folder, tmp_path):
    def never(progress: Progress) -> None:
        raise AssertionError("it trained")

    with pytest.raises(BadInput, match=says):
        small(folder, tmp_path, never, **changes)
    assert not list(tmp_path.iterdir())


def test_layers_without_a_quantised_form_are_refused_before_training(folder, tmp_path):
    with pytest.raises(UnsupportedModel, match="Sigmoid"):
        small(folder, tmp_path, model="own.py:sigmoid", width=1.0)
    assert not list(tmp_path.iterdir())


def test_samples_without_labels_are_refused(tmp_path):
    np.savez(tmp_path / "clusters.npz", x=np.ones((80, 6), np.float32))
    with pytest.raises(BadInput, match="has no labels"):
        small(tmp_path, tmp_path / "out")


def test_runs_quietly(folder, tmp_path):
    code = (
        "from pathlib import Path\nfrom tests.training.test_trainer import small\n"
        f"small(Path({str(folder)!r}), Path({str(tmp_path)!r}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.slow
def test_two_processes_share_each_batch(folder, tmp_path):
    """Data parallel over gloo, started by torchrun as on several machines; the first process writes."""
    (folder / "fpgaflow.yaml").write_text(
        "train: {model: 'own.py:make', dataset: {kind: npz, path: clusters.npz, test_samples: 20}, batch_size: 20,"
        " float_epochs: 12, qat_epochs: 4, validation: 0.2, device: cpu, float_learning_rate: 0.05}"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "fpgaflow.cli", "train", str(folder), "--out", str(tmp_path), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=root)
    assert json.loads(done.stdout)["accuracy"]["quantized"] >= 0.9
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.mark.slow
def test_sigkill_at_any_moment(folder, tmp_path):
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom tests.training.test_trainer import small\n"
        "def kill(progress):\n    if progress.step == {step}: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"small(Path({str(folder)!r}), Path({str(tmp_path / 'killed')!r}), kill)"
    )
    root = Path(__file__).parents[2]
    for step in (5, 13, 22):
        done = subprocess.run([sys.executable, "-c", code.replace("{step}", str(step))], check=False, cwd=root)
        assert done.returncode == -9
    assert small(folder, tmp_path / "killed").resumed_at == 21
    small(folder, tmp_path / "whole")
    assert (tmp_path / "killed" / "model.onnx").read_bytes() == (tmp_path / "whole" / "model.onnx").read_bytes()


@pytest.mark.parametrize("package", ["torch", "brevitas", "onnxoptimizer", "sklearn", "lightning"])
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
def test_the_example_recipe_gives_the_bundled_model(tmp_path):
    """Equal bits on the machine and packages that made it; elsewhere the accuracy."""
    result = train(Recipe(shift=2), tmp_path)
    assert result.quantised_score >= 0.98
    assert abs(result.float_score - result.quantised_score) <= 0.01
