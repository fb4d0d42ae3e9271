"""The integer graph as fused Triton kernels.

A kernel begins with a product, a pooling, or what moves elements, and takes in all ops on single elements behind it,
up to the next tensor that something else reads. Tensors between kernels lie in the narrowest integers that hold them.
"""

from __future__ import annotations

from importlib import resources
from math import prod

import numpy as np

from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph, Input
from fpgaflow.ir.ops import Add, Conv, Dense, Linear, Op, Pool, PoolKind, Reshape, Transpose
from fpgaflow.ir.ops_merge import Concat, Elementwise, Pad, Take
from fpgaflow.ir.types import Overflow
from fpgaflow.sim.kernels import lift
from fpgaflow.targets.certificate import Entry
from fpgaflow.targets.gpu.triton import chain
from fpgaflow.targets.gpu.triton.kernel import Kernel, flat, load, power_of_two, store
from fpgaflow.targets.gpu.triton.program import Buffer, Launch, Program
from fpgaflow.targets.gpu.triton.units import Choice, Units, choose, is_shifted, kernel_bias, stored
from fpgaflow.targets.int32 import bias_lift, checked_linear, held, inside
from fpgaflow.targets.refused import Refused

INTEGERS = ".out"  # ends the names of buffers of integers
_NOTHING = "nothing"  # stands for tensors that no buffer holds
_LEAST_TERMS, _MOST_TERMS = 32, 128  # of one step of a product: what 8-bit matrix units take, and shared memory


class Lowering:
    """Kernels so far. `known` tells the buffer of each tensor that lies in memory; inputs lie there as float32."""

    def __init__(self, graph: Graph, wanted: Units) -> None:
        self.graph, self.wanted = graph, wanted
        self.constants: dict[str, np.ndarray] = {}
        self.buffers: dict[str, Buffer] = {}
        self.known: dict[str, str] = {}
        self.texts: list[str] = []
        self.launches: list[Launch] = []
        self.choices: dict[str, Choice] = {}
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        self.absorbed: set[str] = set()
        self.raw: dict[str, Input] = {port.tensor: port for port in graph.inputs}
        self.written: dict[str, list[int]] = {}
        for place, out in enumerate(graph.outputs):
            self.written.setdefault(out.tensor, []).append(place)

    def lower(self) -> Program | None:
        """The program; None where `problems` tell why there is none."""
        graph = self.graph
        for place, port in enumerate(graph.inputs):
            self.buffers[f"input{place}"] = Buffer(prod(graph.tensors[port.tensor].shape), "float32")
            self.known[port.tensor] = f"input{place}"
        for op in graph.ops:
            if op.output in self.absorbed:
                continue
            try:
                self._op(op)
            except Refused as refusal:
                self.problems.append(refusal.problem(op))
                self.buffers[_NOTHING] = Buffer(1, "int8")  # so that the ops behind are checked too
            self.known.setdefault(op.output, _NOTHING)
        if self.problems:
            return None
        outputs = []
        for place, out in enumerate(graph.outputs):
            outputs.append(f"output{place}")
            if f"output{place}" not in self.buffers:
                k = self._kernel("output", out.tensor)
                k.line(f"v = {self._loaded(k, out.tensor)}")
                self._real(k, place)
                self._finish(k, None)
        inputs = tuple(f"input{place}" for place in range(len(graph.inputs)))
        source = _LIBRARY.read_text() + "\n\n" + "\n\n".join(self.texts)
        return Program(inputs, tuple(outputs), self.buffers, tuple(self.launches), self.constants, source)

    def _op(self, op: Op) -> None:
        for name in (*op.inputs, op.output):
            held(self.graph.type_of(name))
        match op:
            case Reshape():
                self.known[op.output] = self._in_memory(op.inputs[0])
            case Dense() | Conv():
                self._linear(op)
            case Pool():
                self._pool(op)
            case Transpose() | Take() | Pad() | Concat():
                self._move(op)
            case Add() | Elementwise():
                k = self._kernel(op.name, op.output)
                k.line(f"v = {self._loaded(k, op.inputs[0])}")
                k.line(f"other = {self._loaded(k, op.inputs[1])}")
                k.line(f"v = {chain.merged(k, self.graph, op, 'v', 'other', swapped=False)}")
                self._chain(k, op.output)
            case _ if type(op) in chain.UNARY:
                k = self._kernel(op.name, op.output)
                k.line(f"v = {self._loaded(k, op.inputs[0])}")
                k.line(f"v = {chain.UNARY[type(op)](k, self.graph, op, 'v')}")
                self._chain(k, op.output)
            case _:
                fix = "Leave it to the host, to the FPGA, or to --target onnxruntime or inductor"
                raise Refused(f"{type(op).__name__} has no Triton kernel here", fix)

    def _kernel(self, wish: str, tensor: str, *, product: bool = False, groups: int = 1) -> Kernel:
        taken = {launch.kernel for launch in self.launches}
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in wish)
        return Kernel(f"k{len(taken)}_{plain}", self.graph.tensors[tensor].shape, self.constants, product, groups)

    def _in_memory(self, tensor: str) -> str:
        """The buffer of the tensor's integers."""
        if tensor in self.raw and self.known[tensor].startswith("input"):
            k = self._kernel("input", tensor)
            k.line(f"v = {self._loaded(k, tensor)}")
            buffer = f"{k.name}{INTEGERS}"
            self._keep(k, tensor, buffer)
            self._finish(k, None)
        return self.known[tensor]

    def _keep(self, k: Kernel, tensor: str, buffer: str) -> None:
        type_ = self.graph.type_of(tensor)
        dtype = stored(type_.low, type_.high)
        self.buffers[buffer] = Buffer(prod(self.graph.tensors[tensor].shape), dtype)
        k.line(store(k.argument(buffer, "out"), f"v.to(tl.{dtype})"))
        self.known[tensor] = buffer

    def _loaded(self, k: Kernel, tensor: str, place: str = "at", mask: str = "inside") -> str:
        """What loads the tensor's integers at a place; an input is quantised on the way."""
        if tensor in self.raw and self.known[tensor].startswith("input"):
            x = f"tl.load({k.argument(self.known[tensor], 'x')} + {place}, mask={mask}, other=0.0)"
            return chain.quantised(self.raw[tensor], self.graph.type_of(tensor), x)
        return load(k.argument(self.known[tensor], "x"), place, mask)

    def _chain(self, k: Kernel, tensor: str, units: str | None = None) -> None:
        """Takes in the ops behind a tensor whose value is v, then writes what comes out."""
        while (op := self._next(tensor)) is not None:
            try:
                k.line(f"v = {self._followed(k, op, tensor)}")
            except Refused as refusal:
                self.problems.append(refusal.problem(op))
            tensor = op.output
            self.absorbed.add(tensor)
        for place in self.written.get(tensor, ()):
            self._real(k, place)
        if self.graph.consumers[tensor] or tensor not in self.written:
            self._keep(k, tensor, f"{k.name}{INTEGERS}")
        else:
            self.known[tensor] = _NOTHING
        self._finish(k, units)

    def _followed(self, k: Kernel, op: Op, tensor: str) -> str:
        """The value of an op that reads a tensor whose value is v."""
        for name in (*op.inputs, op.output):
            held(self.graph.type_of(name))
        if not isinstance(op, chain.BINARY):
            return chain.UNARY[type(op)](k, self.graph, op, "v")
        swapped = op.inputs[0] != tensor
        k.line(f"other = {self._loaded(k, op.inputs[0] if swapped else op.inputs[1])}")
        return chain.merged(k, self.graph, op, "v", "other", swapped=swapped)

    def _next(self, tensor: str) -> Op | None:
        """The op that alone reads the tensor, if it works on single elements and all else it reads is there."""
        readers = self.graph.consumers[tensor]
        if len(readers) != 1 or tensor in self.written:
            return None
        (op,) = readers
        if type(op) in chain.UNARY:
            return op
        if isinstance(op, chain.BINARY) and op.inputs[0] != op.inputs[1]:
            other = op.inputs[1] if op.inputs[0] == tensor else op.inputs[0]
            return op if other in self.known else None
        return None

    def _real(self, k: Kernel, place: int) -> None:
        out = self.graph.outputs[place]
        self.buffers[f"output{place}"] = Buffer(prod(self.graph.tensors[out.tensor].shape), "float32")
        parameter = k.argument(f"output{place}", "real")
        k.line(store(parameter, chain.real(k, out, "v")))

    def _finish(self, k: Kernel, units: str | None) -> None:
        self.texts.append(k.text())
        self.launches.append(k.launch(units))

    def _linear(self, op: Linear) -> None:
        graph, groups = self.graph, op.groups if isinstance(op, Conv) else 1
        weights, filters = graph.constants[op.weights], graph.constants[op.weights].shape[-1]
        buffer = self._in_memory(op.inputs[0])
        depthwise = groups > 1 and weights.shape[-2] == 1 and groups == filters
        if depthwise:
            low, high = checked_linear(op, graph)
            choice = None
            bias = _plain_bias(op, graph)
        else:
            choice = self.choices[op.name] = choose(op, graph, self.wanted)
            bias = kernel_bias(op, graph, choice)
            low, high = checked_linear(op, graph)
        k = self._kernel(op.name, op.output, product=not depthwise, groups=1 if depthwise else groups)
        x = k.argument(buffer, "x")
        if choice is None:
            k.line(f"v = {_depthwise(k, op, graph, x)}")
        else:
            k.line(f"v = {self._product(k, op, x, choice, is_shifted(choice, self.buffers[buffer].dtype))}")
        up = lift(op, graph)
        if up:
            k.line(f"v = v << {up}")
        if np.any(bias):
            k.line(f"v += {k.entries(bias.astype(np.int32), len(k.shape) - 1, 'bias')}")
        if (wrapped := chain.fit("v", op.accum, Overflow.WRAP, (low, high))) != "v":
            k.line(f"v = {wrapped}")
        self._chain(k, op.output, None if choice is None else choice.units.value)

    def _product(self, k: Kernel, op: Linear, x: str, choice: Choice, shifted: bool) -> str:
        """The sum of products, of weights (filters, pitch) that zeros fill up to whole tiles."""
        weights = self.graph.constants[op.weights]
        filters, groups = weights.shape[-1], k.groups
        terms = prod(weights.shape[:-1])
        step = min(max(power_of_two(terms), _LEAST_TERMS), _MOST_TERMS)
        channels = weights.shape[-2]
        if isinstance(op, Conv) and channels % _LEAST_TERMS == 0:  # steps that stay within a tap
            step = min(channels & -channels, _MOST_TERMS)
        pitch, columns = -(-terms // step) * step, k.column_tiles * k.tile
        dtype = stored(int(weights.min()), int(weights.max()))
        small = np.zeros((groups, columns, pitch), dtype="int16" if dtype == "uint8" else dtype)
        small[:, : filters // groups, :terms] = weights.reshape(terms, groups, filters // groups).transpose(1, 2, 0)
        w = k.constant(small.reshape(-1), "weights")
        common = f"{k.tile}, {step}, {terms}, {pitch}, {choice.units.value!r}, {shifted}"
        if isinstance(op, Dense) or (isinstance(op, Conv) and groups == 1 and _pointwise(op, weights)):
            return f"dense_sum(x, {w}, row, local, rows, M, {common})"
        assert isinstance(op, Conv)
        k.line(f"group = {0 if groups == 1 else 'tl.program_id(2)'}")
        at = f"{w} + group * {columns * pitch}"
        window = _window(op, self.graph, weights.shape[:-2])
        return f"conv_sum(x, {at}, row, local, rows, group * {channels}, M, {common}, {window}, {channels})"

    def _pool(self, op: Pool) -> None:
        buffer = self._in_memory(op.inputs[0])
        k = self._kernel(op.name, op.output)
        x = k.argument(buffer, "x")
        source, places = _image(self.graph.tensors[op.inputs[0]].shape), _image(k.shape)[:2]
        size, strides = _both(op.size, 1), _both(op.strides, 1)
        before = _both(tuple(low for low, _ in op.padding), 0)
        window = f"{source}, {places}, {size}, {strides}, {before}, {op.kind is PoolKind.MAX}"
        k.line(f"v = pooled({x}, row, col, rows, M, {k.tile}, {window})")
        self._chain(k, op.output)

    def _move(self, op: Op) -> None:
        k = self._kernel(op.name, op.output)
        k.line(f"sample = row // {k.places}")
        where = [k.coordinate(axis) for axis in range(len(k.shape))]
        shapes = [self.graph.tensors[name].shape for name in op.inputs]
        match op:
            case Transpose():
                from_ = [where[op.perm.index(axis)] for axis in range(len(op.perm))]
                k.line(f"v = {self._loaded(k, op.inputs[0], flat(from_, shapes[0]))}")
            case Take():
                indices = self.graph.constants[op.indices].astype(np.int32)
                where[op.axis] = k.entries(indices, op.axis, "indices")
                k.line(f"v = {self._loaded(k, op.inputs[0], flat(where, shapes[0]))}")
            case Pad():
                from_ = [f"({at} - {low})" for at, (low, _) in zip(where, op.padding, strict=True)]
                bounds = [f"({at} >= 0) & ({at} < {size})" for at, size in zip(from_, shapes[0], strict=True)]
                k.line(f"kept = inside & {' & '.join(bounds)}")
                loaded = self._loaded(k, op.inputs[0], flat(from_, shapes[0]), "kept")
                k.line(f"v = tl.where(kept, {loaded}, {op.value})")
            case Concat():
                k.line("v = at * 0")
                start, along = 0, where[op.axis]
                for name, shape in zip(op.inputs, shapes, strict=True):
                    stop = start + shape[op.axis]
                    k.line(f"own = inside & ({along} >= {start}) & ({along} < {stop})")
                    place = flat([*where[: op.axis], f"({along} - {start})", *where[op.axis + 1 :]], shape)
                    k.line(f"v = tl.where(own, {self._loaded(k, name, place, 'own')}, v)")
                    start = stop
        self._chain(k, op.output)


_LIBRARY = resources.files("fpgaflow.targets.gpu.triton").joinpath("tiles.py")


def _plain_bias(op: Linear, graph: Graph) -> np.ndarray:
    if op.bias is None:
        return np.zeros(1, dtype=np.int64)
    return graph.constants[op.bias].astype(np.int64) << bias_lift(op)


def _depthwise(k: Kernel, op: Linear, graph: Graph, x: str) -> str:
    assert isinstance(op, Conv)
    weights = graph.constants[op.weights]
    inside(int(weights.min()), int(weights.max()), "its weights")
    kernel = weights.shape[:-2]
    pitch = k.column_tiles * k.tile
    padded = np.zeros((prod(kernel), pitch), dtype=np.int32)
    padded[:, : weights.shape[-1]] = weights.reshape(-1, weights.shape[-1])
    w = k.constant(padded, "weights")
    return f"depthwise_sum({x}, {w}, row, col, rows, M, {k.tile}, {pitch}, {_window(op, graph, kernel)})"


def _pointwise(op: Conv, weights: np.ndarray) -> bool:
    return prod(weights.shape[:-2]) == 1 and set(op.strides) == {1} and not any(map(any, op.padding))


def _window(op: Conv, graph: Graph, kernel: tuple[int, ...]) -> str:
    """SOURCE, PLACES, KERNEL, STRIDES, DILATIONS and PADDING of tiles.py."""
    source, places = (_image(graph.tensors[name].shape) for name in (op.inputs[0], op.output))
    before = tuple(low for low, _ in op.padding)
    parts = (source, places[:2], _both(kernel, 1), _both(op.strides, 1), _both(op.dilations, 1), _both(before, 0))
    return ", ".join(map(str, parts))


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(height, width, channels); a sequence is an image of height 1."""
    return (1, *shape) if len(shape) == 2 else (shape[0], shape[1], shape[2])


def _both(values: tuple[int, ...], neutral: int) -> tuple[int, int]:
    return (neutral, values[0]) if len(values) == 1 else (values[0], values[1])
