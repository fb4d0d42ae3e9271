"""The search finds networks on the Pareto front, goes on where it was, and gives a recipe for the winner."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import torch

from fpgaflow.cli import main
from fpgaflow.errors import BadInput
from fpgaflow.training.distil import Distil
from fpgaflow.training.hardware import Taken
from fpgaflow.training.optimise import OptimiserName
from fpgaflow.training.prune import Prune
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.search.bench import Job, bench_of
from fpgaflow.training.search.space import Choice, Goal, Space, choice_of, load_space, recipe_of, suggested
from fpgaflow.training.search.study import STORAGE, Tried, _front, _winner, search
from tests.training.networks import write_clusters
from tests.training.test_trainer import SMALL

GOAL = Goal("pynq-z2", 100_000, 2.0)
RECIPE = dataclasses.replace(SMALL, float_epochs=6)
SPACE = Space(widths=(0.25, 0.125), batch_sizes=(20,))
YAML = (
    "train: {model: mlp, width: 0.25, dataset: {kind: npz, path: clusters.npz, test_samples: 20}, batch_size: 20,"
    " float_epochs: 6, qat_epochs: 4, float_learning_rate: 0.05}\n"
    "search: {widths: [0.25], batch_sizes: [20]}\n"
)
SGD = OptimiserName.SGD


@pytest.fixture
def project(tmp_path) -> Path:
    write_clusters(tmp_path / "clusters.npz", 120)
    (tmp_path / "fpgaflow.yaml").write_text(YAML)
    return tmp_path


def tried(lut: int, accuracy: float) -> Tried:
    return Tried(Choice(), accuracy, Taken(lut, 0, 0, 0.0, 1))


def test_the_front_has_what_no_other_beats():
    front = _front([tried(10, 0.5), tried(20, 0.5), tried(10, 0.4), tried(30, 0.9), tried(25, 0.6)])
    assert [(each.taken.lut, each.accuracy) for each in front] == [(10, 0.5), (25, 0.6), (30, 0.9)]


def chosen(*accuracies: tuple[float, float]) -> tuple[int | None, float | None]:
    """LUTs and last accuracy of the winner of a front with those accuracies after a short and a full tuning."""
    in_full = {lut: full for lut, (_, full) in enumerate(accuracies)}
    front = [tried(lut, short) for lut, (short, _) in enumerate(accuracies)]
    winner, confirmed = _winner(front, 0.9, 100, lambda each: in_full[each.taken.lut])
    return None if winner is None else winner.taken.lut, confirmed


def test_the_winner_is_accurate_by_a_standard_error_of_the_mean_of_two_tunings():
    # sqrt(0.9 × 0.1 / 100) = 0.03: a mean of 0.93 is enough.
    assert chosen((0.89, 1.0), (0.91, 0.94), (0.98, 0.89), (0.92, 0.96), (0.99, 0.99)) == (3, 0.96)
    assert chosen((0.91, 0.91), (0.92, 0.92), (0.95, 0.89)) == (1, 0.92)
    assert chosen((0.8, 0.9), (0.95, 0.89)) == (None, None)
    assert chosen() == (None, None)


@pytest.mark.parametrize(
    "values", [("pynq-z2", 0), ("pynq-z2", 10, -1), ("none", 10), ("pynq-z2", float("nan"))], ids=str
)
def test_goals_that_make_no_sense(values):
    with pytest.raises(BadInput):
        Goal(*values)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{widths: []}", "search.widths: is empty"),
        ("{widths: [0.5, 0.5]}", "has a value twice"),
        ("{prune: [1.0]}", "search.prune: 1.0 is out of range"),
        ("{least_bits: 5, most_bits: 4}", "search.least_bits: 5 is more than most_bits, 4"),
        ("{optimisers: [gradient-descent]}", "one step an epoch"),
        ("{optimisers: [adm]}", "Did you mean adam"),
        ("{batch_sizes: [1]}", "search.batch_sizes: 1 is out of range"),
        ("{trials: 3}", "search.trials: is not a known key"),
        ("[3]", "no section 'search:' with keys"),
    ],
    ids=str,
)
def test_spaces_that_make_no_sense(section, says, tmp_path):
    path = tmp_path / "fpgaflow.yaml"
    path.write_text(f"search: {section}")
    with pytest.raises(BadInput) as error:
        load_space(path)
    assert says in str(error.value)


def test_what_the_space_leaves_out_comes_of_the_recipe():
    full = Space().of(Recipe(width=2.0, batch_size=64), 100)
    assert full.widths == (1.0, 1.5, 2.0)
    assert full.optimisers == (OptimiserName.ADAM, SGD)
    assert full.batch_sizes == (32, 64, 100)
    own = Recipe(model="own.py:make", optimiser=SGD)
    assert Space().of(own, 1000).widths == (1.0,)
    assert Space().of(own, 1000).optimisers == (SGD,)
    with pytest.raises(BadInput, match="mean nothing to a module of your own"):
        Space(widths=(0.5,)).of(own, 1000)
    with pytest.raises(BadInput, match=r"search\.batch_sizes: 200"):
        Space(batch_sizes=(200,)).of(Recipe(), 100)


def test_a_choice_has_its_parameters_and_its_recipe():
    space = Space().of(Recipe(), 1000)
    fixed = Choice({"fc1": 3, "relu1": 2}, 0.5, 0.25, SGD, 32, 0.02)
    made = suggested(optuna.trial.FixedTrial(fixed.parameters), space, Recipe(), list(fixed.bits))
    assert made == choice_of(fixed.parameters) == fixed
    recipe = recipe_of(Recipe(), fixed, GOAL)
    assert (recipe.width, recipe.layer_bits, recipe.momentum) == (0.5, fixed.bits, 0.9)
    assert recipe.prune == Prune(0.25, board="pynq-z2", fps=100_000)
    assert (recipe.tuning.optimiser, recipe.tuning.batch_size, recipe.qat_learning_rate) == (SGD, 32, 0.02)
    assert (recipe.optimiser, recipe.batch_size) == (OptimiserName.ADAM, 64)


def test_finds_less_hardware_and_goes_on(project):
    stages: set[str] = set()

    def run(trials: int):
        return search(
            RECIPE, GOAL, project / "out", trials, 1, lambda stage, *_: stages.add(stage), project, space=SPACE
        )

    first = run(3)
    assert first.trials == 3
    assert {"float networks", "trials", "tuning the best in full"} <= stages
    assert set(first.reference.sensitivity) == {"fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "fc4"}
    starts = {path: path.stat().st_mtime_ns for path in (project / "out" / "start").iterdir()}
    assert len(starts) == 3  # two widths and the reference
    more = run(8)
    assert more.trials == 8
    assert {path: path.stat().st_mtime_ns for path in (project / "out" / "start").iterdir()} == starts
    assert min(each.taken.lut for each in more.front) <= min(each.taken.lut for each in first.front)
    assert more.winner is not None
    assert more.confirmed >= more.float_accuracy - 0.02
    assert more.winner.taken.lut < more.reference.taken.lut
    unbroken = search(RECIPE, GOAL, project / "other", 8, 1, folder=project, space=SPACE)
    assert [each.as_json() for each in unbroken.tried] == [each.as_json() for each in more.tried]


def test_a_trial_learns_from_the_float_network_where_the_recipe_says_so(project):
    taught = dataclasses.replace(RECIPE, distil=Distil(weight=0.9))
    found = []
    for recipe in (RECIPE, taught):
        job = Job(recipe, GOAL, SPACE, 2, 1, project, project / "out")
        with bench_of(job) as bench:
            bench.train_float(0.25)
            net = bench.network(bench.uniform(2))
            bench.tuned(net, bench.uniform(2))
            found.append(net.fc1.weight.detach().clone())
    assert not torch.equal(*found)


@pytest.mark.parametrize("changes", [{"prune": Prune()}, {"layer_bits": {"fc1": 3}}], ids=str)
def test_what_the_search_chooses_is_not_given(changes, tmp_path):
    with pytest.raises(BadInput, match="is what the search chooses"):
        search(dataclasses.replace(SMALL, **changes), GOAL, tmp_path / "out", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--workers", "0"], "workers: are 0"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "Leave out one of them"),
        (["--trials", "0"], "--trials and --epochs"),
        (["--board", "none"], "none"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(options, says, project, capsys):
    command = ["search", str(project), "--fps", "100000", "--out", str(project / "out"), "--json", *options]
    assert main(command) == 2
    assert says in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.slow
def test_several_processes_and_dask_make_as_many_trials(project):
    distributed = pytest.importorskip("distributed", reason="distributed, of the extra `scale`, is not installed")
    locally = search(RECIPE, GOAL, project / "a", 6, 1, folder=project, space=SPACE, workers=2)
    # Two threads of one process: they take turns, as torch's seed is the process'.
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        address = cluster.scheduler_address
        spread = search(RECIPE, GOAL, project / "b", 6, 1, folder=project, space=SPACE, scheduler=address)
    for found in (locally, spread):
        assert found.trials == 6
        assert len({json.dumps(each.choice.parameters, sort_keys=True) for each in found.tried}) == len(found.tried)
    assert spread.reference == locally.reference


@pytest.mark.slow
def test_a_killed_search_goes_on(project):
    command = [sys.executable, "-m", "fpgaflow.cli", "search", str(project), "--fps", "100000", "--accuracy-drop", "5"]
    command += ["--epochs", "1", "--out", str(project / "out"), "--workers", "2", "--json", "--trials"]
    root = Path(__file__).parents[2]
    killed = subprocess.Popen([*command, "500"], cwd=root, stdout=subprocess.DEVNULL, start_new_session=True)
    log = project / "out" / STORAGE
    while not log.exists() or log.read_text().count('"op_code":6') < 3:
        assert killed.poll() is None
        time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = log.read_text()
    done = subprocess.run([*command, "10"], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["trials"] >= 10
    assert log.read_text().startswith(before[: before.rindex("\n")])


@pytest.mark.slow
def test_the_command_plots_trains_and_builds(project, capsys):
    out = project / "out"
    command = ["search", str(project), "--fps", "100000", "--accuracy-drop", "5", "--trials", "2", "--epochs", "1"]
    assert main([*command, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "search.json").read_text())
    assert told["trained"]["holds"]
    assert {**told["winner"], "tuned_in_full": 0} in [{**each, "tuned_in_full": 0} for each in told["front"]]
    assert (out / "pareto.svg").read_text().startswith("<?xml")
    manifest = json.loads((out / "build" / "manifest.json").read_text())
    assert manifest["mismatches"]["csim_vs_sim"]["different"] == 0
