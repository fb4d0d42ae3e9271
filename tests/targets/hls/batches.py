"""Many small graphs against their firmware in one compile: the reference's integers and those of hls4ml's C++."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.layers import HlsOptions
from fpgaflow.targets.hls.project import make_project
from tests.targets.hls.hls_graphs import Net

PART = "xc7z020clg400-1"
Cases = dict[str, Callable[[Net], None]]


def reference(graph: Graph, inputs: list[Ints]) -> list[Ints]:
    values = [x * graph.type_of(port.tensor).scale for x, port in zip(inputs, graph.inputs, strict=True)]
    outputs = Simulator(graph, engine="reference").predict_integers(values if len(values) > 1 else values[0])
    return [outputs[port.name] for port in graph.outputs]


def both(net: Net, options: HlsOptions, folder: Path, samples: int = 60) -> tuple[list[Ints], list[Ints]]:
    """The outputs of the reference and of the firmware on full-range data."""
    graph, inputs = net.graph(), net.random_input(samples)
    compiled = CSim(make_project(graph, options), folder, level=0)
    return reference(graph, inputs), compiled.predict_integers(inputs)


class Batch:
    """Many small cases as branches of one graph, so that g++ runs once."""

    def __init__(self, cases: Cases, options: HlsOptions, folder: Path) -> None:
        net = Net(np.random.default_rng(7))
        self.slices: dict[str, slice] = {}
        for name, case in cases.items():
            start = len(net.outputs)
            case(net)
            self.slices[name] = slice(start, len(net.outputs))
        self.expected, self.got = both(net, options, folder)

    def check(self, name: str) -> None:
        expected, got = self.expected[self.slices[name]], self.got[self.slices[name]]
        assert expected
        for want, made in zip(expected, got, strict=True):
            assert want.min() < want.max()  # a case whose output never moves proves nothing
            np.testing.assert_array_equal(made, want)
