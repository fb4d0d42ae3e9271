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
from fpgaflow.sim.choice import Arithmetic, Choice, choose, fits_float32
from fpgaflow.sim.emitter import to_last
from fpgaflow.sim.float_graph import FloatGraph, emit
from fpgaflow.sim.hoist import hoist_max_pools
from fpgaflow.sim.int8 import Unit, units
from fpgaflow.sim.intervals import results
from fpgaflow.sim.kernels import Columns, columns, lift, run_op
from fpgaflow.sim.simplify import simplified

Array = np.ndarray
Session = Callable[[Mapping[str, Array]], list[Array]]  # inputs by name to the float graph's outputs

# Measured on LeNet, an MLP and a convnet over 32x32: a chunk's largest tensor about fits a second-level cache, and a
# chunk takes long enough that threads do not queue for Python's lock.
_CHUNK_ELEMENTS = 1 << 19
_MAX_CHUNK = 1 << 13


class Machinery(Protocol):
    """What computes the floats; `chunk_elements` are those of the largest tensor that serve it best.

    `bytes` says whether its sessions have ONNX Runtime's 8-bit operators too.
    """

    bytes: bool
    workers: int
    chunk_elements: int
    max_chunk: int

    def session(self, floats: FloatGraph) -> Session: ...

    def product(self, left: Array, right: Array) -> Array:
        """The float64 matrix product of left (..., n) and right (n, m)."""
        ...


class OnnxRuntime:
    """ONNX Runtime on one thread a session, because chunks run beside each other; numpy's BLAS for float64."""

    bytes = True
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
        return lambda feeds: session.run(None, dict(feeds))

    def product(self, left: Array, right: Array) -> Array:
        return left @ right


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class FastRunner:
    """Runs chunks of a graph; `chunk` samples at a time, on `workers` threads at once, serve it best.

    Takes and gives integers as int64 or as float32, which spares the conversion.
    """

    def __init__(self, graph: Graph, machinery: Machinery | None = None) -> None:
        self._graph = graph
        self._machinery = OnnxRuntime() if machinery is None else machinery
        self.workers = self._machinery.workers
        largest = max((prod(tensor.shape) for tensor in graph.tensors.values()), default=1)
        self.chunk = min(self._machinery.max_chunk, max(1, self._machinery.chunk_elements // largest))
        self._outputs = tuple(dict.fromkeys(port.tensor for port in graph.outputs))
        # The outputs alone are computed along another way than a trace of every tensor.
        self._short = _shortened(graph, self._machinery)
        self._programs = {self._outputs: _program(self._short, self._machinery)}

    @property
    def choices(self) -> dict[str, Choice]:
        """The arithmetic of each op, by its name, where only the outputs are computed."""
        plain = {op.name: choose(op, self._graph) for op in self._graph.ops}
        plain |= {op.name: choose(op, self._short.graph) for op in self._short.graph.ops}
        return plain | {
            op.name: Choice(Arithmetic.INT8, unit.reach)
            for step in self._programs[self._outputs]
            if isinstance(step, _Float32)
            for unit in step.units
            for op in unit.ops
        }

    def __call__(self, values: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        names = tuple(dict.fromkeys(wanted))
        if len(next(iter(values.values()))) == 0:
            return {name: np.empty((0, *self._graph.tensors[name].shape), dtype=np.int64) for name in names}
        if names not in self._programs:
            plan = _Plan(self._graph, {name: name for name in names}, _units(self._graph, names, self._machinery))
            self._programs[names] = _program(plan, self._machinery)
        made = self._short.made if names == self._outputs else {name: name for name in names}
        computed = dict(values)
        for step in self._programs[names]:
            computed.update(step(computed))
        return {name: computed[made[name]] for name in names}


@dataclass(frozen=True)
class _Plan:
    """A graph to run: `made` are the tensors wanted of it, by the names they are known by; `units` run on bytes."""

    graph: Graph
    made: Mapping[str, str]
    units: Sequence[Unit]


def _shortened(graph: Graph, machinery: Machinery) -> _Plan:
    """What the outputs alone need."""
    short = simplified(graph)
    made = {old.tensor: new.tensor for old, new in zip(graph.outputs, short.outputs, strict=True)}
    fused = _units(short, tuple(made.values()), machinery)
    # Quantisers that run with their products stay with them.
    return _Plan(hoist_max_pools(short, {op.name for unit in fused for op in unit.ops}), made, fused)


def _units(graph: Graph, kept: Sequence[str], machinery: Machinery) -> list[Unit]:
    if not machinery.bytes:
        return []
    return units(graph, results(graph), [op for op in graph.ops if fits_float32(op, graph)], kept)


Step = Callable[[Mapping[str, Array]], dict[str, Array]]  # known tensors to new ones


def _integers(x: Array) -> Array:
    return x.astype(np.int64) if x.dtype == np.float32 else x


def _program(plan: _Plan, machinery: Machinery) -> list[Step]:
    """Steps for what is wanted: sessions for runs of ops that float32 holds, exact kernels for the others."""
    graph = plan.graph
    parts: list[tuple[Arithmetic, list[Op]]] = []
    for op in graph.ops:
        arithmetic = choose(op, graph).arithmetic
        if parts and parts[-1][0] is arithmetic is Arithmetic.FLOAT32:
            parts[-1][1].append(op)
        else:
            parts.append((arithmetic, [op]))
    steps: list[Step] = []
    needed = set(plan.made.values())
    for arithmetic, ops in reversed(parts):
        outputs = tuple(op.output for op in ops if op.output in needed)
        needed |= {name for op in ops for name in op.inputs}
        if not outputs:
            continue
        if arithmetic is Arithmetic.FLOAT32:
            steps.append(_Float32(graph, ops, outputs, machinery, plan.units))
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
    """Consecutive ops as one float graph; `units` are those that run on bytes."""

    def __init__(
        self, graph: Graph, ops: list[Op], outputs: tuple[str, ...], machinery: Machinery, fused: Sequence[Unit]
    ) -> None:
        made = {op.output for op in ops}
        inputs = list(dict.fromkeys(name for op in ops for name in op.inputs if name not in made))
        self.units = [unit for unit in fused if made.issuperset(op.output for op in unit.ops)]
        self._floats: FloatGraph = emit(graph, ops, inputs, outputs, self.units)
        self._ranks = {name: len(graph.tensors[name].shape) for name in (*inputs, *outputs)}
        self._machinery = machinery

    @cached_property
    def _session(self) -> Session:
        return self._machinery.session(self._floats)

    def __call__(self, computed: Mapping[str, Array]) -> dict[str, Array]:
        feeds = dict(self._floats.feeds)
        for name in self._floats.inputs:
            if (zero := self._floats.zero_points.get(name)) is None:
                feeds[name] = np.ascontiguousarray(computed[name], dtype=np.float32)
            else:
                feeds[name] = (computed[name] + zero if zero else computed[name]).astype(np.uint8)
        results = {}
        for name, held in zip(self._floats.outputs, self._session(feeds), strict=True):
            whole = held * np.float32(2.0 ** self._floats.exponents[name]) if self._floats.exponents[name] else held
            results[name] = whole.transpose(to_last(self._ranks[name])) if name in self._floats.first else whole
        return results
