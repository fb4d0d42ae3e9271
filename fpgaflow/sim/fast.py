"""The fast engine: runs of ops that float32 holds exactly go to ONNX Runtime, the others to exact integer kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Protocol, cast

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Linear, Op
from fpgaflow.sim.choice import Arithmetic, Choice, choose
from fpgaflow.sim.float_graph import FloatGraph, emit, to_last
from fpgaflow.sim.hoist import hoist_max_pools
from fpgaflow.sim.kernels import Columns, columns, lift, run_op

Array = np.ndarray
Session = Callable[[Mapping[str, Array]], list[Array]]  # float32 tensors by name to the float graph's outputs

# Measured on LeNet, an MLP and a convnet over 32x32: a chunk's largest tensor about fits a second-level cache, and a
# chunk takes long enough that threads do not queue for Python's lock.
_CHUNK_ELEMENTS = 1 << 19
_MAX_CHUNK = 4096


class Machinery(Protocol):
    """What computes the floats; `chunk_elements` are those of the largest tensor that serve it best."""

    workers: int
    chunk_elements: int
    max_chunk: int

    def session(self, floats: FloatGraph) -> Session: ...

    def product(self, left: Array, right: Array) -> Array:
        """The float64 matrix product of left (..., n) and right (n, m)."""
        ...


class OnnxRuntime:
    """ONNX Runtime on one thread a session, because chunks run beside each other; numpy's BLAS for float64."""

    chunk_elements = _CHUNK_ELEMENTS
    max_chunk = _MAX_CHUNK

    def __init__(self) -> None:
        self.workers = available_cores()

    def session(self, floats: FloatGraph) -> Session:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = floats.model.SerializeToString()
        session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        return lambda feeds: session.run(list(floats.outputs), dict(feeds))

    def product(self, left: Array, right: Array) -> Array:
        return left @ right


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class FastRunner:
    """Runs chunks of a graph; `chunk` samples at a time, on `workers` threads at once, serve it best.

    Takes input integers as int64 or as float32, which spares the conversion.
    """

    def __init__(self, graph: Graph, machinery: Machinery | None = None) -> None:
        self._graph = graph
        self._machinery = OnnxRuntime() if machinery is None else machinery
        self.workers = self._machinery.workers
        largest = max((prod(tensor.shape) for tensor in graph.tensors.values()), default=1)
        self.chunk = min(self._machinery.max_chunk, max(1, self._machinery.chunk_elements // largest))
        self._outputs = tuple(dict.fromkeys(port.tensor for port in graph.outputs))
        # The outputs alone may be computed along another way than a trace of every tensor.
        self._hoisted = hoist_max_pools(graph)
        self._programs = {self._outputs: _program(self._hoisted, self._outputs, self._machinery)}

    @property
    def choices(self) -> dict[str, Choice]:
        """The arithmetic of each op, by its name, where only the outputs are computed."""
        return {op.name: choose(op, self._hoisted) for op in self._hoisted.ops}

    def __call__(self, values: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        names = tuple(dict.fromkeys(wanted))
        if len(next(iter(values.values()))) == 0:
            return {name: np.empty((0, *self._graph.tensors[name].shape), dtype=np.int64) for name in names}
        if names not in self._programs:
            self._programs[names] = _program(self._graph, names, self._machinery)
        computed = dict(values)
        for step in self._programs[names]:
            computed.update(step(computed))
        return {name: _integers(computed[name]) for name in names}


Step = Callable[[Mapping[str, Array]], dict[str, Array]]  # known tensors to new ones


def _integers(x: Array) -> Array:
    return x.astype(np.int64) if x.dtype == np.float32 else x


def _program(graph: Graph, wanted: tuple[str, ...], machinery: Machinery) -> list[Step]:
    """Steps that compute `wanted`: sessions for runs of ops that float32 holds, exact kernels for the others."""
    parts: list[tuple[Arithmetic, list[Op]]] = []
    for op in graph.ops:
        arithmetic = choose(op, graph).arithmetic
        if parts and parts[-1][0] is arithmetic is Arithmetic.FLOAT32:
            parts[-1][1].append(op)
        else:
            parts.append((arithmetic, [op]))
    steps: list[Step] = []
    needed = set(wanted)
    for arithmetic, ops in reversed(parts):
        outputs = tuple(op.output for op in ops if op.output in needed)
        needed |= {name for op in ops for name in op.inputs}
        if not outputs:
            continue
        if arithmetic is Arithmetic.FLOAT32:
            steps.append(_Float32(graph, ops, outputs, machinery))
        elif arithmetic is Arithmetic.FLOAT64:
            steps.append(_Float64(graph, cast(Linear, ops[0]), machinery))
        else:
            steps.append(_Integers(graph, ops[0]))
    return steps[::-1]


@dataclass(frozen=True)
class _Integers:
    """One op by its kernel."""

    graph: Graph
    op: Op

    def __call__(self, computed: Mapping[str, Array]) -> dict[str, Array]:
        inputs = [_integers(computed[name]) for name in self.op.inputs]
        return {self.op.output: run_op(self.op, self.graph, *inputs)}


@dataclass(frozen=True)
class _Float64:
    """One dense or conv, as float64 matrix products."""

    graph: Graph
    op: Linear
    machinery: Machinery

    def __call__(self, computed: Mapping[str, Array]) -> dict[str, Array]:
        parts = columns(self.op, self.graph, _integers(computed[self.op.inputs[0]]))
        return {self.op.output: np.concatenate([self._sum(part) for part in parts], axis=-1)}

    def _sum(self, part: Columns) -> Array:
        weights = part.weights * 2.0 ** lift(self.op, self.graph)
        total = self.machinery.product(part.inputs.astype(np.float64), weights)
        if part.bias is not None and self.op.bias_type is not None:
            total += part.bias * 2.0 ** (self.op.accum.fraction - self.op.bias_type.fraction)
        return total.astype(np.int64)


class _Float32:
    """Consecutive ops as one float graph."""

    def __init__(self, graph: Graph, ops: list[Op], outputs: tuple[str, ...], machinery: Machinery) -> None:
        made = {op.output for op in ops}
        inputs = list(dict.fromkeys(name for op in ops for name in op.inputs if name not in made))
        self._floats: FloatGraph = emit(graph, ops, inputs, list(outputs))
        self._ranks = {name: len(graph.tensors[name].shape) for name in (*inputs, *outputs)}
        self._machinery = machinery

    @cached_property
    def _session(self) -> Session:
        return self._machinery.session(self._floats)

    def __call__(self, computed: Mapping[str, Array]) -> dict[str, Array]:
        feeds = dict(self._floats.feeds)
        for name in self._floats.inputs:
            feeds[name] = np.ascontiguousarray(computed[name], dtype=np.float32)
        results = {}
        for name, held in zip(self._floats.outputs, self._session(feeds), strict=True):
            whole = held * np.float32(2.0 ** self._floats.exponents[name]) if self._floats.exponents[name] else held
            results[name] = whole.transpose(to_last(self._ranks[name])) if name in self._floats.first else whole
        return results
