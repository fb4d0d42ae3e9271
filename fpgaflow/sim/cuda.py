"""The fast engine's floats in torch, for GPUs: the same parts of the graph, chosen by the same proof.

float32 is IEEE's here, never TF32. A convolution is a copy of its windows and a matrix product, so that nothing can
pick Winograd or an FFT for it. Multiplying and adding stay two operations: each rounds, as where lines are proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from fpgaflow.errors import BadInput, MissingTool, ToolFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.fast import FastRunner, OnnxRuntime, Session
from fpgaflow.sim.float_graph import FloatGraph

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError:
    raise MissingTool("torch", "is not installed", "pip install torch, or choose the engine 'fast'") from None

Array = np.ndarray
Attributes = Mapping[str, Any]

_PROBE = 256  # rows of the matrix product that shows whether a device computes exactly


def cuda_runner(graph: Graph, device: str) -> FastRunner:
    """The engine for one graph on torch's `device`: "cuda", "cuda:1", or "cpu", where it is for tests.

    Raises:
        BadInput: there is no such device.
        ToolFailed: its matrix products are not exact.
    """
    return FastRunner(graph, TorchMachinery(device))


class TorchMachinery:
    """Float graphs node by node on one device. Chunks are large, and follow each other."""

    workers = 1
    bytes = False
    chunk_elements = 1 << 22
    max_chunk = 1 << 14

    def __init__(self, device: str) -> None:
        self._device = _device(device)
        _probe(self._device)

    def session(self, floats: FloatGraph) -> Session:
        if any(node.op_type not in _OPERATORS for node in floats.model.graph.node):
            return OnnxRuntime().session(floats)
        return _TorchSession(floats, self._device)

    def product(self, left: Array, right: Array) -> Array:
        with exact_products(), torch.inference_mode():
            product = torch.from_numpy(left).to(self._device) @ torch.from_numpy(right).to(self._device)
            return product.cpu().numpy()


def _device(name: str) -> torch.device:
    where, fix = f"device '{name}'", "Choose cuda, cuda:N or cpu, or the engine 'fast'"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadInput(where, "is no device of torch", fix) from None
    if device.type not in ("cuda", "cpu"):
        raise BadInput(where, "is not supported", fix)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadInput(where, f"torch sees {torch.cuda.device_count()} CUDA GPUs", fix)
    return device


def _probe(device: torch.device) -> None:
    """Products whose bits fill the mantissa: any narrower arithmetic gives other integers."""
    random = np.random.default_rng(0)
    for dtype, bits in ((np.float32, 24), (np.float64, 53)):
        left = random.integers(-1, 2, (_PROBE, _PROBE)) * random.integers(
            0, 1 << (bits - 9), (_PROBE, _PROBE), dtype=np.int64
        )
        right = random.integers(-1, 2, (_PROBE, _PROBE))
        with exact_products(), torch.inference_mode():
            found = torch.from_numpy(left.astype(dtype)).to(device) @ torch.from_numpy(right.astype(dtype)).to(device)
        if not np.array_equal(found.cpu().numpy().astype(np.int64), left @ right):
            raise ToolFailed(f"device '{device}'", f"its {np.dtype(dtype)} products are not exact", "Use engine 'fast'")


@contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products in IEEE arithmetic while the block runs, whatever else the program asked torch for."""
    backends, name = [torch.backends.cuda.matmul], "allow_tf32"
    exact: str | bool = False
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
        backends, name, exact = [*backends, torch.backends.mkldnn.matmul], "fp32_precision", "ieee"
    before = [getattr(backend, name) for backend in backends]
    for backend in backends:
        setattr(backend, name, exact)
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            setattr(backend, name, value)


class _TorchSession:
    """A float graph's nodes, with its constants on the device."""

    def __init__(self, floats: FloatGraph, device: torch.device) -> None:
        graph = floats.model.graph
        self._device, self._outputs = device, list(floats.outputs)
        self._constants: dict[str, Any] = {}
        for entry in graph.initializer:
            array = numpy_helper.to_array(entry)
            # Integers are shapes, for the host.
            whole = array.dtype == np.int64
            self._constants[entry.name] = array.tolist() if whole else torch.from_numpy(array.copy()).to(device)
        last = {name: index for index, node in enumerate(graph.node) for name in node.input}
        self._steps = []
        for index, node in enumerate(graph.node):
            attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            done = [n for n in node.input if last[n] == index and n not in self._constants and n not in floats.outputs]
            self._steps.append((_OPERATORS[node.op_type], attributes, list(node.input), node.output[0], done))

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        with exact_products(), torch.inference_mode():
            known = {name: torch.from_numpy(array).to(self._device) for name, array in feeds.items()}
            known |= self._constants
            for operator, attributes, inputs, output, done in self._steps:
                known[output] = operator(attributes, *(known[name] for name in inputs))
                for name in dict.fromkeys(done):
                    del known[name]
            return [known[name].cpu().numpy() for name in self._outputs]


def _padded(x: Tensor, pads: Sequence[int]) -> Tensor:
    """x (N, channels, *spatial) with zeros around it; `pads` as in ONNX, all befores, then all afters."""
    rank = len(pads) // 2
    sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])]
    return functional.pad(x, sides) if any(sides) else x


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (N, channels, *spatial), weight (filters, channels / groups, *kernel): one spatial axis is treated as two."""
    rank, groups = weight.ndim - 2, attributes.get("group", 1)
    x, kernel = _padded(x, attributes["pads"]), list(weight.shape[2:])
    strides, dilations = list(attributes["strides"]), list(attributes.get("dilations", [1] * rank))
    sizes = [
        (size - dilation * (taps - 1) - 1) // stride + 1
        for size, taps, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    if rank == 1:
        x, kernel, strides, dilations = x[:, :, None], [1, *kernel], [1, *strides], [1, *dilations]
    windows = functional.unfold(x, kernel, dilation=dilations, stride=strides)  # (N, channels × taps, places)
    parts = windows.reshape(len(x), groups, -1, windows.shape[-1])
    sums = torch.matmul(weight.reshape(groups, len(weight) // groups, -1), parts)
    result = sums.reshape(len(x), len(weight), *sizes)
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    pool = functional.max_pool1d if x.ndim == 3 else functional.max_pool2d
    return pool(x, tuple(attributes["kernel_shape"]), tuple(attributes["strides"]))


def _average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    pool = functional.avg_pool1d if x.ndim == 3 else functional.avg_pool2d
    return pool(_padded(x, attributes["pads"]), tuple(attributes["kernel_shape"]), tuple(attributes["strides"]))


# What the nodes of a float graph are; a graph with another node runs on ONNX Runtime.
_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": lambda _, x: x.abs(),
    "Add": lambda _, a, b: a + b,
    "AveragePool": _average_pool,
    "Cast": lambda _, x: x.to(torch.float32),
    "Ceil": lambda _, x: x.ceil(),
    "Clip": lambda _, x, low, high: x.clamp(low, high),
    "Conv": _conv,
    "Equal": lambda _, a, b: a == b,
    "Floor": lambda _, x: x.floor(),
    "GreaterOrEqual": lambda _, a, b: a >= b,
    "Identity": lambda _, x: x,
    "MatMul": lambda _, a, b: a @ b,
    "MaxPool": _max_pool,
    "Mul": lambda _, a, b: a * b,
    "Relu": lambda _, x: x.relu(),
    "Reshape": lambda _, x, shape: x.reshape(shape),
    "Round": lambda _, x: x.round(),
    "Sign": lambda _, x: x.sign(),
    "Sub": lambda _, a, b: a - b,
    "Sum": lambda _, *terms: sum(terms[1:], start=terms[0]),
    "Transpose": lambda attributes, x: x.permute(*attributes["perm"]),
    "Where": lambda _, chosen, a, b: torch.where(chosen, a, b),
}
