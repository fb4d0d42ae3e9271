"""Inputs by name: generated ones, and files of models with one and with several inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.feeds import generated_feeds, load_feeds
from tests.conformance.test_engines import mlp, two_ports
from tests.models import graph_of


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_of(two_ports(4))


def test_generated(graph: Graph) -> None:
    feeds = generated_feeds(graph, 7)
    shapes = {name: array.shape for name, array in feeds.arrays.items()}
    assert shapes == {"x": (7, 16), "other": (7, 8)} and len(feeds) == 7 and len(feeds.first(3)) == 3
    again = generated_feeds(graph, 7)
    assert all(np.array_equal(feeds.arrays[name], again.arrays[name]) for name in shapes)
    for port in graph.inputs:
        integers = feeds.arrays[port.name] * float(port.gain)
        assert integers.min() >= port.low and integers.max() <= port.high


def test_files(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros((3, 16)), other=np.ones((3, 8)))
    feeds = load_feeds(graph, path)
    assert list(feeds.arrays) == ["x", "other"] and feeds.arrays["other"].dtype == np.float32
    np.savez(path, x=np.zeros((3, 16)))
    with pytest.raises(BadInput, match="but no other"):
        load_feeds(graph, path)
    np.savez(path, x=np.zeros((3, 16)), other=np.ones((4, 8)))
    with pytest.raises(BadInput, match="samples"):
        load_feeds(graph, path)
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"is no whole \.npz file"):
        load_feeds(graph, path)
    with pytest.raises(BadInput, match="cannot be read"):
        load_feeds(graph, tmp_path / "absent.npz")


def test_one_input(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros((3, 16)))
    assert list(load_feeds(graph_of(mlp(4)), path).arrays) == ["x"]
