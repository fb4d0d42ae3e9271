"""Goals as the flow takes them, and that layers built in different ways give the simulator's bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import CheckFailed
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.emit import HlsBuild
from fpgaflow.targets.hls.folding import Goal
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.project import make_project
from fpgaflow.targets.hls.stage import _fold, _write, folded_options
from fpgaflow.targets.plan import BuildPlan
from tests.targets.hls.hls_graphs import B8, U4, Net

BOARD = load_board("pynq-z2")


def net() -> Net:
    """A convolution and a dense layer."""
    made = Net()
    x = made.cast(made.conv(made.input((6, 6, 2), B8), 3, (3, 3)), U4)
    made.output(made.dense(made.reshape(x, (48,)), 5))
    return made


def test_the_manifest_says_how_each_layer_is_built() -> None:
    graph = net().graph()
    facts = _fold(graph, BOARD, Goal(fps=1e6)).facts
    assert set(facts["reuse_factors"]) == {"conv0", "dense3"} and "conv0" in facts["unrolled"]
    assert facts["trade"] is None or facts["trade"]["samples_per_second"] > 1e6
    options = folded_options(facts, BOARD.part)
    assert options.strategies["conv0"] is Strategy.LATENCY and options.strategy is Strategy.RESOURCE


def test_goals_are_passed_on() -> None:
    graph = net().graph()
    slow, quick = (_fold(graph, BOARD, Goal(latency_us=us)).facts["cost"]["latency"] for us in (100, 2))
    assert quick <= 200 < slow
    with pytest.raises(CheckFailed, match="where 1% may be used"):
        _fold(graph, BOARD, Goal(max_utilisation=0.01))


def test_the_estimate_counts_fifos_as_deep_as_they_are(tmp_path: Path) -> None:
    made = Net()
    x = made.cast(made.conv(made.input((24, 20, 2), B8), 3, (3, 3)), U4)
    made.output(made.cast(made.conv(x, 4, (3, 3)), U4))
    graph = made.graph()
    fold = _fold(graph, BOARD, Goal(fps=1000)).facts
    project = make_project(graph, folded_options(fold, BOARD.part))
    facts = _write(graph, HlsBuild(BuildPlan({"x": ""}, ()), project), fold, 0.7, BOARD, tmp_path).facts
    fifos = facts["fifos"]
    assert fifos["source"] == "simulated" and sum(fifos["depths"].values()) < sum(fifos["whole"].values()) / 5
    assert facts["cost"]["bram36"] < fold["cost"]["bram36"] and facts["cost"]["cycles"] == fold["cost"]["cycles"]
    assert fifos["interval_cycles"] == fold["cost"]["cycles"], "the simulation and the estimate agree on one path"


def test_what_fits_with_shallow_fifos_alone_is_built(tmp_path: Path) -> None:
    """A small part, on which FIFOs of whole samples take too many block RAMs."""
    made = Net()
    x = made.cast(made.conv(made.input((60, 60, 2), B8), 8, (3, 3)), U4)
    made.output(made.cast(made.conv(x, 8, (3, 3)), U4))
    graph = made.graph()
    small = replace(BOARD, resources=replace(BOARD.resources, bram36=8))
    fold = _fold(graph, small, Goal(fps=100)).facts
    assert fold["most_fifo_words"] == 32 and fold["cost"]["bram36"] <= 0.7 * 8
    project = make_project(graph, folded_options(fold, BOARD.part))
    built = HlsBuild(BuildPlan({"x": ""}, ()), project)
    assert _write(graph, built, fold, 0.7, small, tmp_path).failure is None
    refused = _write(graph, HlsBuild(built.plan, replace(project, fifos=None)), fold, 0.7, small, tmp_path).failure
    assert refused is not None and "with the FIFOs between its layers" in str(refused)


def test_unrolled_and_folded_layers_of_one_design_give_the_same_bits(tmp_path: Path) -> None:
    made = net()
    graph = made.graph()
    options = HlsOptions(
        BOARD.part,
        IOType.STREAM,
        Strategy.RESOURCE,
        reuse_factors={"conv0": 1, "dense3": 48},
        strategies={"conv0": Strategy.LATENCY},
    )
    project = make_project(graph, options)
    assert "strategy = nnet::latency" in project.files["firmware/parameters.h"]
    assert "strategy = nnet::resource" in project.files["firmware/parameters.h"]
    codes = made.random_input(20)
    (found,) = CSim(project, tmp_path / "csim").predict_integers(codes)
    x = codes[0].astype(np.float32) / float(graph.inputs[0].gain)
    assert np.array_equal(found, Simulator(graph).predict_integers(x)[graph.outputs[0].name])
