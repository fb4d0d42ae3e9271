from pathlib import Path

import pytest

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.training.models import Bits
from fpgaflow.training.recipe import Recipe, load_recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "fpgaflow.yaml"
    path.write_text(text)
    return path


def test_keys_left_out_keep_their_defaults(tmp_path):
    recipe = load_recipe(written(tmp_path, "model: model.onnx\ntrain:\n  seed: 7\n  qat_learning_rate: 1\n"))
    assert recipe == Recipe(seed=7, qat_learning_rate=1.0)
    assert isinstance(recipe.qat_learning_rate, float)


def test_the_example_is_the_default_recipe():
    assert load_recipe(data_dir("examples/lenet_digits") / "fpgaflow.yaml") == Recipe()
    assert Recipe().bits == Bits(weight=4, activation=4, input=8)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("epochs: 3", ("train.epochs", "not a known key", "float_epochs")),
        ("seed: true", ("train.seed", "True is no int")),
        ("seed: 1.5", ("train.seed", "1.5 is no int")),
        ("qat_learning_rate: 1e-3", ("train.qat_learning_rate", "'1e-3' is no float", "0.001")),
        ("qat_learning_rate: .nan", ("train.qat_learning_rate", "out of range")),
        ("weight_bits: 1", ("train.weight_bits", "1 is out of range", "2 to 8")),
        ("model: alexnet", ("train.model", "'alexnet' is unknown", "lenet5")),
        ("dataset: [digits]", ("train.dataset", "is unknown", "digits")),
    ],
)
def test_a_bad_key_is_named(tmp_path, section, says):
    path = written(tmp_path, f"train:\n  {section}\n")
    with pytest.raises(BadInput) as error:
        load_recipe(path)
    for part in (str(path), *says):
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["", "train:\n", "train: 3\n", "- train\n", "train: [\n", "a: 2024-99-99\n", "\0"])
def test_a_file_without_a_recipe_is_refused(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(BadInput, match=r"fpgaflow\.yaml"):
        load_recipe(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        load_recipe(tmp_path / "none.yaml")
