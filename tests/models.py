"""Small QONNX models, node by node, and the comparison of what is made of them with the oracle."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from tests.oracle import Array, evaluate, rational

DOMAIN = "qonnx.custom_op.general"


class Net:
    """An ONNX graph under construction; every method that adds a node returns the name of its output."""

    def __init__(self, *shape: int, name: str = "x") -> None:
        self.nodes: list[Any] = []
        self.initialisers: list[TensorProto] = []
        self.inputs: list[Any] = []
        if shape:
            self.input(name, shape)

    def input(self, name: str, shape: Sequence[int | str | None], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, [1, *shape]))
        return name

    def const(self, values: Any, dtype: Any = np.float32, name: str | None = None) -> str:
        name = name or f"c{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind.lower()}{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [output], name=f"n.{output}", domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def quant(
        self,
        x: str | Any,
        scale: Any,
        bits: float = 8,
        *,
        zero: float = 0,
        signed: int = 1,
        narrow: int = 0,
        mode: str = "ROUND",
        kind: str = "Quant",
        domain: str = DOMAIN,
    ) -> str:
        """A quantiser of a tensor, or of an array, which becomes an initialiser."""
        source = x if isinstance(x, str) else self.const(x)
        inputs = (source, self.const(scale), self.const(zero), self.const(bits))
        return self.node(kind, *inputs, domain=domain, signed=signed, narrow=narrow, rounding_mode=mode)

    def bipolar(self, x: str | Any, scale: Any) -> str:
        source = x if isinstance(x, str) else self.const(x)
        return self.node("BipolarQuant", source, self.const(scale), domain=DOMAIN)

    def batch_norm(self, x: str, gamma: Any, beta: Any, mean: Any, variance: Any, **attributes: Any) -> str:
        return self.node("BatchNormalization", x, *(map(self.const, (gamma, beta, mean, variance))), **attributes)

    def shaped(self, x: str, *shape: int) -> str:
        return self.node("Reshape", x, self.const(shape, np.int64))

    def model(self, *outputs: str, opset: int = 17) -> ModelProto:
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, ports, self.initialisers)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def graph_of(model: ModelProto) -> Graph:
    """What `load` makes of a model, through a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return load(path)


def reals(seed: int, shape: Sequence[int], grid: float = 1 / 16, reach: int = 64) -> Array:
    """Random float32 multiples of `grid`, ties of every quantiser among them."""
    random = np.random.default_rng(seed)
    return (random.integers(-reach, reach + 1, shape) * grid).astype(np.float32)


def inputs_of(
    model: ModelProto, seed: int, samples: int = 3, grid: float = 1 / 16, reach: int = 64
) -> dict[str, Array]:
    """Random inputs for a model, by name."""
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim[1:]] for i in model.graph.input}
    return {n: reals(seed + k, (samples, *shape), grid, reach) for k, (n, shape) in enumerate(shapes.items())}


def one_by_one(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The oracle sample by sample, as models whose Reshape names a batch of 1 want it; outputs and all tensors."""
    samples = len(next(iter(feeds.values())))
    runs = [evaluate(model, {name: array[i : i + 1] for name, array in feeds.items()}) for i in range(samples)]
    made = [name for node in model.graph.node for name in node.output if name]
    return {n: np.concatenate([run[n] for run in runs]) for n in made if runs[0][n].shape[:1] == (1,)}


def exact_outputs(graph: Graph, integers: Mapping[str, Array]) -> dict[str, Array]:
    """The exact rational values of output integers."""
    values = {}
    for port in graph.outputs:
        q = integers[port.name].astype(object)
        behind = (1,) * (q.ndim - port.axis - 2)
        scale, offset = (
            np.array(list(e), dtype=object).reshape(-1, *behind if len(e) > 1 else ())
            for e in (port.scale, port.offset)
        )
        values[port.name] = np.vectorize(Fraction, otypes=[object])(q) * scale + offset
    return values


def assert_conforms(model: ModelProto, feeds: Mapping[str, Array] | None = None, *, root: bool = False) -> Graph:
    """Both engines' integers mean exactly what the oracle computes; predictions and traces are its nearest float64.

    Args:
        root: a batch norm's square root reaches the model's output, so that both sides are rounded far down.
    """
    feeds = inputs_of(model, 0) if feeds is None else feeds
    truth = one_by_one(model, feeds)
    graph = graph_of(model)
    reference, fast = Simulator(graph, engine="reference"), Simulator(graph)
    integers = reference.predict_integers(feeds)
    for name, array in fast.predict_integers(feeds).items():
        assert np.array_equal(array, integers[name]), f"fast differs from reference at {name}"
    exact = exact_outputs(graph, integers)
    predicted = fast.predict(feeds)
    predicted = predicted if isinstance(predicted, list) else [predicted]
    assert list(exact) == [port.name for port in model.graph.output]
    for port, values in zip(graph.outputs, predicted, strict=True):
        assert values.shape == exact[port.name].shape == truth[port.name].shape
        assert values.dtype == np.float64
        _assert_equal(exact[port.name], truth[port.name], Fraction(1, 10**30) if root else Fraction(0), port.name)
        size = 3 * max([Fraction(0), *(abs(Fraction(o)) for o in port.offset)])  # q × scale may be larger than the sum
        _assert_equal(rational(values), truth[port.name], Fraction(1, 2**52), port.name, size)
    for name, values in reference.trace(feeds).items():
        if name in truth:
            _assert_equal(rational(values), truth[name], Fraction(1, 2**51), f"trace of {name}")
    return graph


def _assert_equal(found: Array, wanted: Array, tolerance: Fraction, name: str, size: Fraction = Fraction(0)) -> None:
    assert found.shape == wanted.shape, f"{name}: shape {found.shape}, not {wanted.shape}"
    for index in np.ndindex(*found.shape):
        error = abs(found[index] - wanted[index])
        limit = tolerance * max(abs(wanted[index]), size)
        assert error <= limit, f"{name}{list(index)} is {float(found[index])}, not {float(wanted[index])}"
