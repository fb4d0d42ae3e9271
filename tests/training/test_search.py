"""The search finds networks on the Pareto front, goes on where it was, and gives a recipe for the winner."""

from __future__ import annotations

import dataclasses
import json

import pytest

from fpgaflow.cli import main
from fpgaflow.errors import BadInput
from fpgaflow.training.hardware import Taken
from fpgaflow.training.prune import Prune
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.search import STORAGE, Choice, Goal, Tried, _front, search, winning_recipe
from tests.training.networks import write_clusters
from tests.training.test_trainer import SMALL

GOAL = Goal("pynq-z2", 100_000, 2.0)


def tried(lut: int, accuracy: float) -> Tried:
    return Tried(Choice(), accuracy, Taken(lut, 0, 0, 0.0, 1))


def test_the_front_has_what_no_other_beats():
    front = _front([tried(10, 0.5), tried(20, 0.5), tried(10, 0.4), tried(30, 0.9), tried(25, 0.6)])
    assert [(each.taken.lut, each.accuracy) for each in front] == [(10, 0.5), (25, 0.6), (30, 0.9)]


@pytest.mark.parametrize("values", [("pynq-z2", 0), ("pynq-z2", 10, -1), ("none", 10)])
def test_goals_that_make_no_sense(values):
    with pytest.raises(BadInput):
        Goal(*values)


def test_finds_less_hardware_and_goes_on(tmp_path):
    write_clusters(tmp_path / "clusters.npz", 120)
    recipe = dataclasses.replace(SMALL, float_epochs=6)
    stages: set[str] = set()

    def notify(stage: str, _done: int, _total: int) -> None:
        stages.add(stage)

    first = search(recipe, GOAL, tmp_path / "out", 3, 1, notify, tmp_path)
    assert first.trials == 3
    assert stages == {"float network", "uniform 8-bit network", "sensitivity", "trials"}
    assert set(first.sensitivity) == {"fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "fc4"}
    more = search(recipe, GOAL, tmp_path / "out", 6, 1, folder=tmp_path)
    assert more.trials == 6
    assert (tmp_path / "out" / STORAGE).exists()
    assert more.float_accuracy == first.float_accuracy
    assert min(each.taken.lut for each in more.front) <= min(each.taken.lut for each in first.front)
    assert more.winner is not None
    assert more.winner.accuracy >= more.float_accuracy - 0.02
    assert more.winner.taken.lut < more.uniform.taken.lut
    chosen = winning_recipe(recipe, more.winner)
    assert isinstance(chosen, Recipe)
    assert chosen.layer_bits == more.winner.choice.bits


@pytest.mark.parametrize("changes", [{"prune": Prune()}, {"layer_bits": {"fc1": 3}}], ids=str)
def test_what_the_search_chooses_is_not_given(changes, tmp_path):
    with pytest.raises(BadInput, match="is what the search chooses"):
        search(dataclasses.replace(SMALL, **changes), GOAL, tmp_path / "out", 1)


@pytest.mark.slow
def test_the_command_plots_trains_and_builds(tmp_path, capsys):
    write_clusters(tmp_path / "clusters.npz", 120)
    (tmp_path / "fpgaflow.yaml").write_text(
        "train: {model: mlp, width: 0.25, dataset: {kind: npz, path: clusters.npz, test_samples: 20}, batch_size: 20,"
        " float_epochs: 6, qat_epochs: 4, float_learning_rate: 0.05}"
    )
    out = tmp_path / "out"
    command = ["search", str(tmp_path), "--fps", "100000", "--accuracy-drop", "5", "--trials", "2", "--epochs", "1"]
    assert main([*command, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "search.json").read_text())
    assert told["trained"]["holds"]
    assert told["winner"] in told["front"]
    assert (out / "pareto.svg").read_text().startswith("<?xml")
    manifest = json.loads((out / "build" / "manifest.json").read_text())
    assert manifest["mismatches"]["csim_vs_sim"]["different"] == 0
