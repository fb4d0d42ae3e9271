"""Random graphs of every op on the HLS target: hls4ml is given exactly them, and its C++ gives the reference's bits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fpgaflow.cost.estimate import design_cost
from fpgaflow.ir.graph import Graph, Ints, constant_names
from fpgaflow.ir.ops import Op
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.hls.check import check
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.layers import HlsOptions, IOType
from fpgaflow.targets.hls.normal import normal_form
from fpgaflow.targets.hls.project import make_project
from tests.graphs import graphs, random_inputs
from tests.targets.hls.batches import PART

COMMON = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "phases": (Phase.generate,),
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
}
RANDOM = graphs(narrow=True, dead=False, every=True)
IO_TYPES = st.sampled_from(IOType)


@settings(max_examples=25, **COMMON)
@given(RANDOM, IO_TYPES)
def test_hls4ml_is_given_exactly_the_graph(graph: Graph, io_type: IOType) -> None:
    """What is not refused passes the comparison of hls4ml's model with the graph, and can be estimated."""
    options = HlsOptions(PART, io_type)
    if check(graph, options):
        return
    assert make_project(graph, options).files
    assert design_cost(normal_form(graph, stream=io_type is IOType.STREAM), {}).cycles >= 1


def _prefixed(graph: Graph, prefix: str) -> Graph:
    """The graph with other names for all that is in it."""

    def op_of(op: Op) -> Op:
        fields = {key: f"{prefix}{name}" for key, name in vars(op).items() if name in constant_names(op)}
        inputs = tuple(prefix + name for name in op.inputs)
        return replace(op, **fields | {"name": prefix + op.name, "inputs": inputs, "output": prefix + op.output})

    return replace(
        graph,
        inputs=tuple(replace(port, tensor=prefix + port.tensor, name=prefix + port.name) for port in graph.inputs),
        outputs=tuple(replace(port, tensor=prefix + port.tensor, name=prefix + port.name) for port in graph.outputs),
        ops=tuple(op_of(op) for op in graph.ops),
        tensors={prefix + name: replace(t, name=prefix + name, source=None) for name, t in graph.tensors.items()},
        constants={prefix + name: array for name, array in graph.constants.items()},
    )


def beside(parts: Sequence[Graph]) -> Graph:
    """One graph of several, so that g++ runs once."""
    named = [_prefixed(part, f"g{index}.") for index, part in enumerate(parts)]

    def merged(mappings: Sequence[Mapping[str, object]]) -> dict[str, object]:
        return {name: value for mapping in mappings for name, value in mapping.items()}

    return Graph(
        "random",
        tuple(port for part in named for port in part.inputs),
        tuple(port for part in named for port in part.outputs),
        tuple(op for part in named for op in part.ops),
        merged([part.tensors for part in named]),  # type: ignore[arg-type]
        merged([part.constants for part in named]),  # type: ignore[arg-type]
    )


def integers_of(graph: Graph, inputs: Mapping[str, Ints]) -> list[Ints]:
    values = {port.name: inputs[port.tensor] * graph.type_of(port.tensor).scale for port in graph.inputs}
    found = Simulator(graph, engine="reference").predict_integers(values)
    return [found[port.name] for port in graph.outputs]


@pytest.mark.slow
@settings(max_examples=8, **COMMON)
@given(st.lists(RANDOM, min_size=15, max_size=15), IO_TYPES)
def test_the_firmware_of_random_graphs(parts: list[Graph], io_type: IOType) -> None:
    options = HlsOptions(PART, io_type)
    carried = [part for part in parts if not check(part, options)]
    graph = beside(carried)
    inputs = random_inputs(graph, 0, 40)
    with tempfile.TemporaryDirectory() as folder:
        compiled = CSim(make_project(graph, options), Path(folder), level=0)
        made = compiled.predict_integers([inputs[port.tensor] for port in graph.inputs])
    for port, want, got in zip(graph.outputs, integers_of(graph, inputs), made, strict=True):
        np.testing.assert_array_equal(got, want, f"{io_type.value} {port.name}")
