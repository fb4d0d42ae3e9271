"""Random hls4ml networks against their compiled C simulation: every output value equal, by both engines."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from fpgaflow.errors import UnsupportedModel
from fpgaflow.frontend.hls4ml import from_hls4ml
from fpgaflow.sim.run import Simulator
from tests.conformance.networks import Chain, CSimCrash, batches, csim, inputs_of, model_of

SAMPLES = 24


def carried(networks: list[Chain], io_type: str, folder: Path) -> list[Chain]:
    """The networks that hls4ml makes a model of, and that fpgaflow does not refuse: a refusal is no error."""
    kept = []
    for chain in networks:
        try:
            model = model_of([chain], io_type, folder / chain.name)
        except Exception:  # noqa: S112  # hls4ml's own passes fail on some: it then has no firmware to be compared with
            continue
        try:
            from_hls4ml(model)
        except UnsupportedModel:
            continue
        kept.append(chain)
    return kept


def assert_conforms(networks: list[Chain], io_type: str, folder: Path) -> int:
    """Compares both engines with hls4ml's C++; returns for how many networks it was the judge."""
    if not networks:
        return 0
    model = model_of(networks, io_type, Path(tempfile.mkdtemp(dir=folder)))
    inputs = inputs_of(networks, SAMPLES)
    try:
        expected = csim(model, inputs)
    except CSimCrash:
        if len(networks) == 1:
            return 0  # hls4ml's own defect
        half = len(networks) // 2
        return sum(assert_conforms(part, io_type, folder) for part in (networks[:half], networks[half:]))
    graph = from_hls4ml(model)
    for engine in ("reference", "fast"):
        found = Simulator(graph, engine).predict({port.name: x for port, x in zip(graph.inputs, inputs, strict=True)})
        found = found if isinstance(found, list) else [found]
        for chain, ours, theirs in zip(networks, found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs.reshape(ours.shape), f"{engine} {io_type} {chain}")
    return len(networks)


def conform(networks: list[Chain], io_type: str) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return assert_conforms(carried(networks, io_type, folder), io_type, folder)


COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
}


@settings(max_examples=4, derandomize=True, phases=(Phase.generate,), **COMMON)
@given(batches(25))
def test_a_hundred_random_networks(batch: tuple[list[Chain], str]) -> None:
    assert conform(*batch) > 10


@pytest.mark.slow
@settings(max_examples=100, print_blob=True, **COMMON)
@given(batches(25))
def test_thousands_of_random_networks(batch: tuple[list[Chain], str]) -> None:
    conform(*batch)
