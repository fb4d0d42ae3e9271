"""Random hls4ml networks: graphs of layers of every family, in random shapes, types, strategies and io types."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from hls4ml.model import ModelGraph
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.linear_families import LINEAR
from tests.conformance.other_families import OTHER
from tests.conformance.steps import PooledDraw, Step, Tensor
from tests.frontend.hls4ml_nets import Net

FAMILIES = {**LINEAR, **OTHER}
# With a quantiser, hls4ml derives the types of all layers, which it can for these (optimizer/passes/bit_exact.py).
DERIVED = ("dense", "conv", "pointwise", "einsum", "batch norm", "pool", "global pool", "merge", "concatenate")
DERIVED += ("transpose", "reshape", "flatten", "activation", "softmax", "quantiser")
MOST_ELEMENTS = 120  # of a tensor to go on from
SAMPLES = 24


@dataclass
class Network:
    """A network, the family of each of its layers, and how it came to be."""

    net: Net
    families: dict[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> set[str]:
        return set(self.families.values())

    def model(self, folder: Path) -> Any:
        """After its backend's flow; hls4ml's passes edit what they are given."""
        net = deepcopy(self.net)
        model: ModelGraph = net.model(folder)
        model.config.config["ProjectName"] = "top"
        model.config.trace_output = True
        return model


Choice = tuple[int, bool, int]  # which tensor, whether that stays open, a seed that chooses the family too


def grow(kind: str, pool: int, io_type: str, backend: str, rank: int, first: int, choices: Sequence[Choice]) -> Network:
    """A network of one step for each choice; a choice that does not fit is passed over."""
    net = Net(io_type, backend)
    net.random = np.random.default_rng(first)
    network = Network(net)
    draw = PooledDraw(first, net.stream, pool)
    ranges = {1: [(1, 8)], 2: [(1, 6), (1, 4)], 3: [(1, 5), (1, 5), (1, 3)]}[rank]
    shape = tuple(int(draw.random.integers(low, high + 1)) for low, high in ranges)
    start = Step(net, draw, "x", "", shape, [])
    tensors: list[Tensor] = [(net.input("x", *shape, type_=start.type_()), shape)]
    kinds = DERIVED if kind == "quantiser" else [family for family in FAMILIES if family != "quantiser"]
    for number, (index, stays, seed_) in enumerate(choices):
        family = kinds[seed_ % len(kinds)] if number else kind
        place = len(tensors) - 1 - min(index, len(tensors) - 1)
        source, shape = tensors[place]
        layers = len(net.layers)
        draw = PooledDraw(hash((first, number, seed_)) % (1 << 32), net.stream, pool)
        quantised = kind == "quantiser"
        step = Step(net, draw, f"n{number}", source, shape, tensors, quantised)
        if (made := FAMILIES[family](step)) is None:
            continue
        added = [layer for layer in net.layers[layers:] if layer["class_name"] != "InputLayer"]
        network.families |= {layer["name"]: family for layer in added}
        if not (stays and (number or not quantised)) and any(source in layer["inputs"] for layer in added):
            del tensors[place]
        if prod(made[1]) <= MOST_ELEMENTS or not tensors:
            tensors.append(made)
    read = {name for layer in net.layers for name in layer["inputs"]}
    net.layers = [layer for layer in net.layers if layer["class_name"] != "InputLayer" or layer["name"] in read]
    return network


def networks(kind: str, pool: int) -> st.SearchStrategy[Network]:
    """Networks of up to seven steps, the first of them of the family `kind`; `pool` says what types there are."""
    seeds = st.integers(0, (1 << 32) - 1)
    choices = st.lists(st.tuples(st.integers(0, 2), st.booleans(), seeds), min_size=2, max_size=7)
    io_types, backends = st.sampled_from(("io_parallel", "io_stream")), st.sampled_from(("Vitis", "Vivado"))
    built = st.builds(grow, st.just(kind), st.just(pool), io_types, backends, st.integers(1, 3), seeds, choices)
    return built.filter(lambda network: kind in network.kinds)


def drawn(each: int, number: int) -> list[Network]:
    """`each` networks that begin with a family, for every family, by the seed `number`: the same each time."""
    seeds = range(number * len(FAMILIES), (number + 1) * len(FAMILIES))  # one for all would draw the same tails
    return [
        network for kind, each_seed in zip(FAMILIES, seeds, strict=True) for network in _drawn(kind, each, each_seed)
    ]


def _drawn(kind: str, count: int, number: int) -> list[Network]:
    found: dict[str, Network] = {}  # hypothesis repeats itself
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

    @seed(number)
    @settings(
        max_examples=3 * count, phases=(Phase.generate,), database=None, deadline=None, suppress_health_check=checks
    )
    @given(networks(kind, number))
    def collect(network: Network) -> None:
        if len(found) < count:
            found.setdefault(str(network.net.layers), network)

    collect()
    return list(found.values())


def inputs_of(model: Any, ports: Sequence[Any], count: int = SAMPLES) -> list[np.ndarray]:
    """Reals (count, ...) for each port of a graph: all over its type's range and beyond, with its extremes."""
    random = np.random.default_rng(0)
    arrays = []
    variables = {variable.name: variable for variable in model.get_input_variables()}
    for port in ports:
        scale = float(1 / port.gain)
        low, high = port.low * scale, port.high * scale
        x = random.uniform(low * 1.2, high * 1.2, size=(count, *variables[port.name].shape))
        edges = random.choice([low, low + scale, high, 0.0, scale, -scale], size=x.shape)
        arrays.append(np.where(random.random(x.shape) < 0.25, edges, x))
    return arrays
