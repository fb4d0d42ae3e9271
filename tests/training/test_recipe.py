from pathlib import Path

import pytest

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.training.bits import Bits
from fpgaflow.training.data import DatasetKind, DataSpec
from fpgaflow.training.objective import Task
from fpgaflow.training.optimise import OptimiserName
from fpgaflow.training.recipe import Recipe, load_recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "fpgaflow.yaml"
    path.write_text(text)
    return path


def test_keys_left_out_keep_their_defaults(tmp_path):
    recipe = load_recipe(written(tmp_path, "model: model.onnx\ntrain:\n  seed: 7\n  qat_learning_rate: 1\n"))
    assert recipe == Recipe(seed=7, qat_learning_rate=1.0)
    assert isinstance(recipe.qat_learning_rate, float)


def test_the_example_is_the_default_recipe_with_shifts():
    assert load_recipe(data_dir("examples/lenet_digits") / "fpgaflow.yaml") == Recipe(shift=2)
    assert Recipe().bits == Bits(weight=4, activation=4, input=8)


def test_every_kind_of_key(tmp_path):
    text = """
train:
  model: autoencoder
  width: 2
  dataset: {kind: npz, path: a.npz, test_samples: 10}
  layer_bits: {fc1: 8, relu1: 3}
  optimiser: sgd
  momentum: 0.9
  task: null
"""
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.dataset == DataSpec(DatasetKind.NPZ, "a.npz", 10)
    assert recipe.bits == Bits(4, 4, 8, {"fc1": 8, "relu1": 3})
    assert (recipe.width, recipe.optimiser, recipe.momentum) == (2.0, OptimiserName.SGD, 0.9)
    assert recipe.objective is Task.RECONSTRUCTION
    assert load_recipe(written(tmp_path, "train: {dataset: digits}")).dataset == DataSpec()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("epochs: 3", ("train.epochs", "not a known key", "float_epochs")),
        ("optimizer: adam", ("train.optimizer", "Did you mean optimiser?")),
        ("seed: true", ("train.seed", "True is no int")),
        ("seed: 1.5", ("train.seed", "1.5 is no int")),
        ("qat_learning_rate: 1e-3", ("train.qat_learning_rate", "'1e-3' is no float", "0.001")),
        ("qat_learning_rate: .nan", ("train.qat_learning_rate", "nan is no float")),
        ("weight_bits: 1", ("train.weight_bits", "1 is out of range", "2 to 8")),
        ("layer_bits: {conv1: 9}", ("train.layer_bits.conv1", "9 is out of range")),
        ("layer_bits: {conv1: x}", ("train.layer_bits.conv1", "'x' is no int")),
        ("layer_bits: 4", ("train.layer_bits", "4 is no mapping")),
        ("model: lenet", ("train.model", "'lenet' is unknown", "Did you mean lenet5?")),
        ("model: 5", ("train.model", "5 is no str")),
        ("dataset: [digits]", ("train.dataset", "is no mapping")),
        ("dataset: digit", ("train.dataset.kind", "Did you mean digits?")),
        ("dataset: {kind: mnist}", ("train.dataset.path", "is missing")),
        ("dataset: {kind: csv, path: a, colour: b}", ("train.dataset.colour", "not a known key")),
        ("dataset: {kind: cifar10, path: a, test_samples: 5}", ("train.dataset.test_samples", "means nothing")),
        ("momentum: 0.9", ("train.momentum", "means nothing to 'adam'")),
        ("{optimiser: gradient-descent, accumulate: 2}", ("train.accumulate", "takes all samples")),
        ("patience: 3", ("train.patience", "validation")),
        ("{precision: float16, device: cpu}", ("train.precision", "needs a GPU")),
        ("{model: 'net.py:make', width: 2}", ("train.width", "of your own")),
    ],
)
def test_a_bad_key_is_named(tmp_path, section, says):
    path = written(tmp_path, f"train:\n  {section}\n")
    with pytest.raises(BadInput) as error:
        load_recipe(path)
    for part in (str(path), *says):
        assert part in str(error.value)


def test_the_tuning_has_an_optimiser_and_a_batch_size_of_its_own():
    plain = Recipe(optimiser=OptimiserName.SGD, momentum=0.9)
    assert plain.tuning == plain
    tuning = Recipe(momentum=0.9, qat_optimiser=OptimiserName.SGD, qat_batch_size=16).tuning
    assert (tuning.optimiser, tuning.momentum, tuning.batch_size) == (OptimiserName.SGD, 0.9, 16)
    other = Recipe(optimiser=OptimiserName.SGD, momentum=0.9, qat_optimiser=OptimiserName.ADAM).tuning
    assert (other.optimiser, other.momentum, other.batch_size) == (OptimiserName.ADAM, 0.0, 64)


@pytest.mark.parametrize("text", ["", "train:\n", "train: 3\n", "- train\n", "train: [\n", "a: 2024-99-99\n", "\0"])
def test_a_file_without_a_recipe_is_refused(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(BadInput, match=r"fpgaflow\.yaml"):
        load_recipe(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        load_recipe(tmp_path / "none.yaml")
