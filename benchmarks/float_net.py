"""The float network of a graph's topology on ONNX Runtime: the anchor of the simulator's speed.

Channels first, ReLU where the graph quantises to unsigned types, random weights: only speed counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from fpgaflow import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, PoolKind, Relu, Reshape, Threshold
from fpgaflow.ir.ops_merge import Divide
from fpgaflow.sim.simplify import simplified

Array = np.ndarray
Run = Callable[[Array], object]

_BATCHES = (1, 16, 64, 256, 1024)
_PROBES = 3


def first(shape: Sequence[int]) -> tuple[int, ...]:
    """A channels-last shape as channels-first."""
    return (shape[-1], *shape[:-1])


def float_network(graph: Graph) -> bytes:
    """The network as an ONNX model.

    Raises:
        NotImplementedError: an op that has no float form here.
    """
    graph, random = simplified(graph), np.random.default_rng(0)
    nodes, constants = [], []
    at = {port.tensor: port.tensor for port in graph.inputs}  # a tensor to the one that stands for it
    rectified: set[str] = set()

    def constant(array: Array) -> str:
        constants.append(numpy_helper.from_array(array, f"c{len(constants)}"))
        return constants[-1].name

    def numbers(*shape: int) -> str:
        return constant(random.normal(0, 0.1, shape).astype(np.float32))

    def node(kind: str, op: Op, *more: str, **attributes: object) -> None:
        nodes.append(helper.make_node(kind, [*(at[name] for name in op.inputs), *more], [op.output], **attributes))
        at[op.output] = op.output

    for op in graph.ops:
        match op:
            case Dense():
                shape = graph.constants[op.weights].shape
                node("Gemm", op, numbers(*shape), numbers(shape[-1]))
            case Conv():
                *kernel, channels, filters = graph.constants[op.weights].shape
                pads = [before for before, _ in op.padding] + [after for _, after in op.padding]
                places = {"strides": op.strides, "dilations": op.dilations, "pads": pads, "group": op.groups}
                node("Conv", op, numbers(filters, channels, *kernel), numbers(filters), **places)
            case Pool():
                kind = "MaxPool" if op.kind is PoolKind.MAX else "AveragePool"
                node(kind, op, kernel_shape=op.size, strides=op.strides)
            case Add():
                node("Add", op)
            case Reshape():
                shape = first(graph.tensors[op.output].shape)
                node("Reshape", op, constant(np.array([-1, *shape], dtype=np.int64)))
            case Relu() | Cast() | Threshold() | Divide():
                source = at[op.inputs[0]]
                if graph.type_of(op.output).signed or isinstance(op, Divide) or source in rectified:
                    at[op.output] = source
                else:
                    node("Relu", op)
                    rectified.add(op.output)
            case _:
                raise NotImplementedError(type(op).__name__)

    def info(name: str, tensor: str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *first(graph.tensors[tensor].shape)])

    source, result = graph.inputs[0].tensor, graph.outputs[0].tensor
    whole = helper.make_graph(nodes, "float", [info(source, source)], [info(at[result], result)], constants)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def best_run(graph: Graph, cores: int) -> tuple[Run, str]:
    """The quickest of its ways to use all cores, and what it is: one session over all, or one thread a batch; a batch
    size. The run takes inputs of any layout."""
    model, source = float_network(graph), graph.inputs[0].tensor
    shape = first(graph.tensors[source].shape)
    x = np.random.default_rng(0).random((2048 if prod(shape) < 2000 else 512, *shape), dtype=np.float32)
    ways: dict[str, Run] = {}
    for each in (False, True):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1 if each else cores
        session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        for batch in _BATCHES:
            name = f"batches of {batch}, {'one thread each' if each else f'{cores} threads'}"
            ways[name] = (
                _by_threads(session, source, shape, batch, cores) if each else _one(session, source, shape, batch)
            )
    seconds = {name: min(_timed(run, x) for _ in range(_PROBES)) for name, run in ways.items()}
    name = min(seconds, key=lambda way: seconds[way])
    return ways[name], name


def _timed(run: Run, x: Array) -> float:
    started = time.perf_counter()
    run(x)
    return time.perf_counter() - started


def _one(session: ort.InferenceSession, source: str, shape: tuple[int, ...], batch: int) -> Run:
    def run(x: Array) -> object:
        held = x.reshape(len(x), *shape)
        return [session.run(None, {source: held[i : i + batch]}) for i in range(0, len(x), batch)]

    return run


def _by_threads(session: ort.InferenceSession, source: str, shape: tuple[int, ...], batch: int, cores: int) -> Run:
    def run(x: Array) -> object:
        held = x.reshape(len(x), *shape)
        with ThreadPoolExecutor(cores) as pool:
            starts = range(0, len(x), batch)
            return list(pool.map(lambda i: session.run(None, {source: held[i : i + batch]}), starts))

    return run
