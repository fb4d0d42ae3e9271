"""A cluster of processes gives the bits of one simulator."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.errors import BadInput, MissingTool, Problem, ToolFailed, UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import from_bytes, to_bytes
from fpgaflow.sim import spread as module
from fpgaflow.sim import stream
from fpgaflow.sim.run import Simulator
from fpgaflow.sim.spread import connected, predict_distributed, spread
from fpgaflow.sim.stream import simulate_file
from tests.models import Net, graph_of

X = np.random.default_rng(0).integers(-40, 40, (50, 3)).astype(np.float32) / 4


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="distributed, of the extra `scale`, is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def graph() -> Graph:
    net = Net(3)
    product = net.node("MatMul", net.quant("x", 0.25), net.quant(np.array([[1, -2], [3, 1], [0, 1]]), 1))
    return graph_of(net.model(net.quant(product, 1, 4), product))


@pytest.fixture(params=[1, 7, 1000])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    for where in (stream, module):
        monkeypatch.setattr(where, "block_samples", lambda *_, **__: request.param)
    return int(request.param)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_predictions_are_those_of_one_machine(scheduler: str, graph: Graph, engine: str, size: int) -> None:
    seen: list[tuple[int, int]] = []
    found = predict_distributed(graph, X, scheduler, engine=engine, progress=lambda *at: seen.append(at))
    want = Simulator(graph).predict(X)
    assert len(found) == len(want) == 2
    for a, b in zip(found, want, strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)
    assert seen == [(min(i, 50), 50) for i in range(size, 50 + size, size)]


def test_no_samples_give_empty_outputs(scheduler: str, graph: Graph) -> None:
    assert [y.shape for y in predict_distributed(graph, X[:0], scheduler)] == [(0, 2), (0, 2)]


def test_files_are_spread(scheduler: str, graph: Graph, size: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    simulator = Simulator(graph)
    with connected(scheduler) as client:
        run = spread(client, simulator, trace=True)
        simulate_file(simulator, tmp_path / "x.npy", tmp_path / "y.npz", trace=True, run=run)
    simulate_file(simulator, tmp_path / "x.npy", tmp_path / "z.npz", trace=True)
    assert (tmp_path / "y.npz").read_bytes() == (tmp_path / "z.npz").read_bytes()


def test_bad_inputs_are_refused_before_they_travel(scheduler: str, graph: Graph) -> None:
    with pytest.raises(BadInput, match=r"nan at index \(3, 1\)"):
        predict_distributed(graph, np.where(np.arange(150).reshape(50, 3) == 10, np.nan, X), scheduler)


def test_a_graph_that_workers_do_not_understand(scheduler: str, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    document, constants = to_bytes(graph)
    monkeypatch.setattr(module, "to_bytes", lambda _: (document.replace(b'"Dense"', b'"Os"'), constants))
    with pytest.raises(BadInput, match="no whole saved graph"):
        predict_distributed(graph, X, scheduler)


def test_a_worker_that_fails_is_told(scheduler: str, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "to_bytes", lambda _: 0)
    with pytest.raises(ToolFailed, match="a Dask worker: TypeError"):
        predict_distributed(graph, X, scheduler)


def test_no_scheduler(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="distributed, of the extra `scale`, is not installed")
    monkeypatch.setattr(module, "_CONNECT_S", 0.2)
    for address in ("tcp://127.0.0.1:9", "nonsense", "nonsense://here", "tcp://127.0.0.1:x", "tcp://nowhere.invalid:1"):
        with pytest.raises(BadInput, match="cannot be reached"):
            predict_distributed(graph, X, address)


def test_dask_is_asked_for_where_it_is_missing(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingTool, match=r"fpgaflow\[scale\]"):
        predict_distributed(graph, X, "tcp://127.0.0.1:9")


def test_a_graph_comes_back_from_bytes(graph: Graph) -> None:
    assert from_bytes(*to_bytes(graph)).digest == graph.digest


def test_errors_cross_between_processes() -> None:
    several = UnsupportedModel([Problem("a", "b", "c"), Problem("d", "e", "f")])
    for error in (BadInput("a", "b", "c"), several):
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (made here)
        assert type(copy) is type(error) and copy.problems == error.problems and str(copy) == str(error)
