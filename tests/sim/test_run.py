"""`Simulator`: predictions, integers and traces of both engines, and what it says to inputs that are none."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow import Graph, Simulator
from fpgaflow.errors import BadInput
from tests.frontend.test_qonnx import lenet, normal
from tests.graphs import graphs
from tests.models import Net, graph_of, inputs_of

ENGINES = ("reference", "fast")


def small() -> Graph:
    """Three inputs, two outputs, a scale that is no power of two at the output."""
    net = Net(3)
    y = net.node("MatMul", net.quant("x", 0.25, 4), net.quant(normal(1, 3, 2), 0.3, 3), output="y")
    return graph_of(net.model(y))


def two_inputs() -> Graph:
    net = Net(3)
    net.input("z", (3,))
    total = net.node("Add", net.quant("x", 0.25, 4), net.quant("z", 0.5, 4), output="y")
    return graph_of(net.model(total, net.quant(total, 0.5, 3)))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def test_predictions_are_the_integers_times_the_scale(engine: str) -> None:
    graph = small()
    simulator, x = Simulator(graph, engine=engine), np.array([[0.25, -1, 3], [0.3, 0.1, -9]], dtype=np.float32)
    integers = simulator.predict_integers(x)
    assert list(integers) == ["y"] and integers["y"].dtype == np.int64
    assert np.array_equal(simulator.predict(x), integers["y"] * float(graph.outputs[0].scale[0]))
    assert simulator.input_integers(x)["x"].tolist() == [[1, -4, 7], [1, 0, -8]]


def test_several_inputs_and_outputs(engine: str) -> None:
    simulator = Simulator(two_inputs(), engine=engine)
    x, z = np.array([[0.25, 1, -1]]), np.array([[0.5, 0.5, 3]])
    for given_ in ((x, z), [x, z], {"z": z, "x": x}):
        total, quantised = simulator.predict(given_)
        assert total.tolist() == [[0.75, 1.5, 2]]
        assert quantised.tolist() == [[1.0, 1.5, 1.5]]
    assert {k: v.tolist() for k, v in simulator.input_integers((x, z)).items()} == {"x": [[1, 4, -4]], "z": [[1, 1, 6]]}


def test_trace(engine: str) -> None:
    net = Net(2, 4, 4)
    x = net.quant("x", 0.5, 4)
    y = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    simulator = Simulator(graph_of(net.model(net.node("Flatten", y))), engine=engine)
    values = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4) / 4 - 4
    layers = simulator.trace(values)
    assert np.array_equal(layers[x], np.clip(np.rint(values * 2), -8, 7) / 2)
    assert layers[y].shape == (1, 2, 2, 2)
    assert np.array_equal(layers[y], layers[x].reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5)))
    assert all(array.dtype == np.float64 for array in layers.values())


def test_a_trace_has_every_tensor(engine: str) -> None:
    graph = graph_of(lenet().model("y"))
    layers = Simulator(graph, engine=engine).trace(np.ones((2, 2, 8, 8)))
    assert len(layers) == len({t.source.name if t.source else t.name for t in graph.tensors.values()})


@given(graphs(dead=False), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 5]))
@settings(max_examples=60)
def test_engines_agree(graph: Graph, seed: int, samples: int) -> None:
    """From the user's real numbers on, beyond the ranges of the input quantisers too."""
    random = np.random.default_rng(seed)
    feeds = {}
    for port in graph.inputs:
        reach = float(graph.type_of(port.tensor).high / port.gain) + 1
        feeds[port.name] = random.uniform(-reach, reach, (samples, *graph.tensors[port.tensor].shape))
    fast, reference = Simulator(graph), Simulator(graph, engine="reference")
    for name, array in reference.predict_integers(feeds).items():
        assert np.array_equal(fast.predict_integers(feeds)[name], array)
    for name, array in reference.trace(feeds).items():
        assert np.array_equal(fast.trace(feeds)[name], array)


# Batches


@pytest.mark.parametrize("make", [small, lambda: graph_of(lenet().model("y"))])
def test_empty_batch(engine: str, make: Any) -> None:
    graph = make()
    simulator = Simulator(graph, engine=engine)
    x = np.zeros((0, *graph.tensors[graph.inputs[0].tensor].shape))
    out = graph.tensors[graph.outputs[0].tensor].shape
    assert simulator.predict(x).shape == (0, *out)
    assert simulator.predict_integers(x)["y"].shape == (0, *out)
    assert {len(array) for array in simulator.trace(x).values()} == {0}


def test_a_hundred_thousand_samples() -> None:
    """Chunks on several threads, put together in order."""
    graph = small()
    x = np.random.default_rng(0).uniform(-3, 3, (100_000, 3)).astype(np.float32)
    done: list[tuple[int, int]] = []
    found = Simulator(graph).predict(x, progress=lambda *args: done.append(args))
    q = np.clip(np.rint(x.astype(np.float64) * 4), -8, 7)
    weights = graph.constants[graph.ops[0].weights]
    scale = graph.outputs[0].scale[0]
    assert np.array_equal(found, (q @ weights) * float(scale))
    assert done[-1] == (100_000, 100_000)
    assert done == sorted(done)
    # One sample's answer does not depend on the others.
    some = slice(70_000, 70_003)
    assert np.array_equal(Simulator(graph, engine="reference").predict(x[some]), found[some])


def test_progress(engine: str) -> None:
    done: list[tuple[int, int]] = []
    Simulator(small(), engine=engine).predict(np.zeros((7, 3)), progress=lambda *args: done.append(args))
    assert done[-1] == (7, 7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("order", ["C", "F"])
def test_dtypes_and_orders(engine: str, dtype: type, order: str) -> None:
    x = np.array([[0, 1, 1], [1, 0, 1]])
    simulator = Simulator(small(), engine=engine)
    assert np.array_equal(simulator.predict(np.asarray(x, dtype=dtype, order=order)), simulator.predict(x.tolist()))


def test_inputs_are_not_changed(engine: str) -> None:
    x = np.array([[0.3, -1.7, 99.0]], dtype=np.float32)
    before = x.copy()
    Simulator(small(), engine=engine).predict(x)
    assert np.array_equal(x, before)


# Inputs that are none


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\).*takes \(N, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((2, 3, 1)), r"shape \(2, 3, 1\)"),
        (np.float32(1), r"shape \(\)"),
        (None, "dtype object"),
        ([[1, 2], [3]], "inhomogeneous"),
        (np.array([[1, 2, None]]), "dtype object"),
        (np.array([["1", "2", "3"]]), "dtype <U1"),
        (np.array([[1j, 0, 0]]), "dtype complex128"),
        (np.zeros((1, 3), dtype="datetime64[s]"), "dtype datetime64"),
        (np.zeros((1, 3), dtype=np.longdouble), "dtype"),
        (np.array([[0, np.nan, 0]]), r"nan at index \(0, 1\)"),
        (np.array([[0, 0, 0], [0, 0, np.inf]]), r"inf at index \(1, 2\)"),
        (np.array([[0, 0, -np.inf]], dtype=np.float16), r"-inf at index \(0, 2\)"),
        (np.array([[0, 0, 2**53 + 1]]), "9007199254740993"),
        (np.array([[0, 0, -(2**63)]]), "-9223372036854775808"),
        (np.array([[0, 0, 2**64 - 1]], dtype=np.uint64), "18446744073709551615"),
        ({"y": np.zeros((1, 3))}, "no array for x"),
        (np.ma.masked_array(np.zeros((1, 3)), [[0, 1, 1]]), "2 masked values"),
    ],
)
def test_bad_input(engine: str, x: Any, message: str) -> None:
    simulator = Simulator(small(), engine=engine)
    for method in (simulator.predict, simulator.predict_integers, simulator.trace, simulator.input_integers):
        with pytest.raises(BadInput, match=message):
            method(x)


def test_a_mask_that_hides_nothing(engine: str) -> None:
    simulator, x = Simulator(small(), engine), np.array([[0.5, 1, -2]])
    assert np.array_equal(simulator.predict(np.ma.masked_array(x)), simulator.predict(x))


@pytest.mark.parametrize("size", [1e308, 3.4e38, 1e39, 5e-324, 1e-45])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_and_the_smallest_numbers(engine: str, size: float, dtype: type) -> None:
    with np.errstate(over="ignore"):
        x = np.array([[size, -size, 0]]).astype(dtype)
    if np.isfinite(x).all():
        expected = Simulator(small(), "reference").predict(x.astype(np.float64))
        assert np.array_equal(Simulator(small(), engine).predict(x), expected)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([np.zeros((1, 3))], "1 arrays for 2 inputs"),
        (np.zeros((1, 3)), "1 arrays for 2 inputs"),
        (5, "1 arrays for 2 inputs"),
        ([np.zeros((1, 3)), np.zeros((2, 3))], r"sample counts \[1, 2\]"),
        ({"x": np.zeros((1, 3))}, "no array for z"),
        ([np.zeros((1, 3)), np.full((1, 3), np.nan)], "input 'z': nan"),
    ],
)
def test_bad_inputs(x: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Simulator(two_inputs()).predict(x)


def test_unknown_engine() -> None:
    with pytest.raises(BadInput, match=r"'quick' is no engine.*reference"):
        Simulator(small(), engine="quick")


def test_absent_model() -> None:
    with pytest.raises(BadInput, match="is no file"):
        Simulator("/nowhere/model.onnx")


def test_exact_values_beyond_float64_are_rounded_once() -> None:
    """A sum of 80 bits: its integer is exact, its prediction the nearest float64."""
    net = Net(4)
    y = net.node("MatMul", net.quant("x", 2.0**-26, 32), net.quant(normal(1, 4, 1) / 4, 2.0**-31, 32), output="y")
    graph = graph_of(net.model(y))
    simulator = Simulator(graph)
    feeds = inputs_of(net.model(y), 0, 3, 2.0**-20, 2**24)
    integers, predicted = simulator.predict_integers(feeds)["y"], simulator.predict(feeds)
    for q, value in zip(integers.reshape(-1), predicted.reshape(-1), strict=True):
        exact = int(q) * graph.outputs[0].scale[0]
        assert value == float(exact)
        assert abs(Fraction(value) - exact) <= abs(exact) / 2**53
