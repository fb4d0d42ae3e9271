"""The QDQ model as a torch program, and through Inductor as one `.pt2` file for this machine's GPU, or its processor.

Products are IEEE float32 matrix products: a convolution is a copy of its windows and a product, so that nothing can
pick Winograd, an FFT or TF32 for it. Inductor may fuse multiplying and adding: thresholds are proven for both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from fpgaflow.errors import ToolFailed
from fpgaflow.sim.cuda import exact_products

Attributes = Mapping[str, Any]
_RUN_BATCH = 256


class QdqProgram(nn.Module):  # type: ignore[misc]
    """The nodes of a QDQ model of ours as torch operations; inputs and outputs are those of the model."""

    def __init__(self, model: ModelProto) -> None:
        super().__init__()
        graph = model.graph
        self._inputs, self._outputs = [port.name for port in graph.input], [port.name for port in graph.output]
        self._lists: dict[str, list[int]] = {}
        self._buffers_of: dict[str, str] = {}
        for number, entry in enumerate(graph.initializer):
            array = numpy_helper.to_array(entry)
            if array.dtype == np.int64:
                self._lists[entry.name] = array.reshape(-1).tolist()
            self._buffers_of[entry.name] = f"c{number}"
            self.register_buffer(f"c{number}", torch.from_numpy(np.array(array)))
        self._steps = [
            (
                node.op_type,
                {a.name: helper.get_attribute_value(a) for a in node.attribute},
                list(node.input),
                node.output[0],
            )
            for node in graph.node
        ]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        known: dict[str, Any] = dict(zip(self._inputs, inputs, strict=True))
        for kind, attributes, names, output in self._steps:
            arguments = [self._argument(kind, at, name, known) for at, name in enumerate(names)]
            known[output] = _OPERATORS[kind](attributes, *arguments)
        return tuple(known[name] for name in self._outputs)

    def _argument(self, kind: str, position: int, name: str, known: Mapping[str, Any]) -> Any:
        if position == 1 and kind in ("Reshape", "Pad"):
            return self._lists[name]
        return known[name] if name in known else getattr(self, self._buffers_of[name])


def compile_inductor(model: ModelProto) -> tuple[bytes, str]:
    """The `.pt2` package of a QDQ model for any batch, and the device that it is for.

    Raises:
        ToolFailed: Inductor, or the compiler behind it, does not build it.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    program = QdqProgram(model).to(device).eval()
    shapes = [[d.dim_value for d in port.type.tensor_type.shape.dim[1:]] for port in model.graph.input]
    examples = tuple(torch.zeros((2, *shape), device=device) for shape in shapes)
    batch = torch.export.Dim("N", min=1, max=1 << 20)
    dynamic = (tuple({0: batch} for _ in examples),)
    with exact_products(), torch.inference_mode(), tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        package = Path(scratch) / "model.pt2"
        try:
            exported = torch.export.export(program, examples, dynamic_shapes=dynamic)
            torch._inductor.aoti_compile_and_package(exported, package_path=str(package))
        except Exception as error:  # of many kinds, the C++ compiler's among them
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ToolFailed(
                "Inductor", f"does not compile the program: {first}", "Install g++, or report it"
            ) from error
        return package.read_bytes(), device


def run_inductor(package: bytes, inputs: list[np.ndarray], device: str) -> list[np.ndarray]:
    """Outputs (N, ...) float32 of a package for inputs (N, ...), on the device that it is for."""
    run, parts = load_inductor(package), []
    with exact_products(), torch.inference_mode():
        for start in range(0, len(inputs[0]), _RUN_BATCH):
            chunk = [torch.from_numpy(np.array(x[start : start + _RUN_BATCH], dtype=np.float32)) for x in inputs]
            parts.append([out.cpu().numpy() for out in run(*(x.to(device) for x in chunk))])
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def load_inductor(package: bytes) -> Callable[..., Any]:
    """What runs a package on tensors of its device.

    Raises:
        ToolFailed: torch does not load it here.
    """
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        path = Path(scratch) / "model.pt2"
        path.write_bytes(package)
        try:
            loaded: Callable[..., Any] = torch._inductor.aoti_load_package(str(path))
        except Exception as error:  # of many kinds
            raise ToolFailed("torch", f"does not load the engine: {error}", "Build it on this machine") from error
        return loaded


def _padded(x: Tensor, pads: list[int], value: float = 0.0) -> Tensor:
    """`pads` as in ONNX over the last axes of x, all befores, then all afters."""
    rank = len(pads) // 2
    sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])]
    return functional.pad(x, sides, value=value) if any(sides) else x


def _windows(attributes: Attributes, x: Tensor, dilations: list[int]) -> Tensor:
    """(N, channels, *places, *kernel) of x (N, channels, *spatial), padded with zeros."""
    x = _padded(x, list(attributes["pads"]))
    for axis, (size, stride, dilation) in enumerate(
        zip(attributes["kernel_shape"], attributes["strides"], dilations, strict=True), start=2
    ):
        x = x.unfold(axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
    return x


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    rank, groups = weight.ndim - 2, attributes.get("group", 1)
    full = {"pads": [0] * 2 * rank, "strides": [1] * rank, **attributes}
    windows = _windows(full, x, list(attributes.get("dilations", [1] * rank)))
    places, channels = list(windows.shape[2 : 2 + rank]), weight.shape[1]
    split = windows.reshape(x.shape[0], groups, channels, *windows.shape[2:])
    # (N, groups, *places, channels, *kernel) as rows
    order = (0, 1, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
    rows = split.permute(*order).reshape(x.shape[0], groups, -1, weight[0].numel())
    columns = weight.reshape(groups, len(weight) // groups, -1).transpose(1, 2)
    sums = torch.matmul(rows, columns).transpose(2, 3).reshape(x.shape[0], len(weight), *places)
    return sums if bias is None else sums + bias.reshape(-1, *[1] * rank)


def _pooled(attributes: Attributes, x: Tensor) -> Tensor:
    return _windows(attributes, x, [1] * (x.ndim - 2))


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    return _pooled(attributes, x).amax(tuple(range(-(x.ndim - 2), 0)))


def _average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    return _pooled(attributes, x).sum(tuple(range(-(x.ndim - 2), 0))) / float(np.prod(attributes["kernel_shape"]))


def _quantise(_: Attributes, x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Int8 integers as float32: x / scale is exact, for scales are powers of two."""
    return (x / scale).round().clamp(-128, 127)


def _dequantise(attributes: Attributes, q: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    shape = [1] * q.ndim
    if scale.ndim:
        shape[int(attributes.get("axis", 1))] = -1
    return q.to(torch.float32) * (scale.reshape(shape) if scale.ndim else scale)


def _arg_max(_: Attributes, x: Tensor) -> Tensor:
    """The first of equal maxima."""
    count = x.shape[-1]
    place = torch.arange(count, device=x.device)
    return torch.where(x == x.amax(-1, keepdim=True), place, count).amin(-1, keepdim=True)


def _gather(attributes: Attributes, x: Tensor, index: Tensor) -> Tensor:
    axis = int(attributes.get("axis", 0))
    if index.ndim == 1:
        return x.index_select(axis, index)
    return x[index.to(torch.int64)]  # a table of one axis


# What the nodes of our QDQ models are (see `qdq.EMITTERS`).
_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": lambda _, x: x.abs(),
    "Add": lambda _, a, b: a + b,
    "ArgMax": _arg_max,
    "AveragePool": _average_pool,
    "Cast": lambda a, x: x.to(torch.float32 if a["to"] == 1 else torch.int64),
    "Ceil": lambda _, x: x.ceil(),
    "Clip": lambda _, x, low, high: torch.minimum(torch.maximum(x, low), high),
    "Concat": lambda a, *xs: torch.cat(xs, int(a["axis"])),
    "Conv": _conv,
    "DequantizeLinear": _dequantise,
    "Equal": lambda _, a, b: a == b,
    "Floor": lambda _, x: x.floor(),
    "Gather": _gather,
    "Greater": lambda _, a, b: a > b,
    "GreaterOrEqual": lambda _, a, b: a >= b,
    "Identity": lambda _, x: x,
    "MatMul": lambda _, a, b: a @ b,
    "Max": lambda _, a, b: torch.maximum(a, b),
    "MaxPool": _max_pool,
    "Min": lambda _, a, b: torch.minimum(a, b),
    "Mul": lambda _, a, b: a * b,
    "Neg": lambda _, x: -x,
    "Pad": lambda _, x, pads, value: _padded(x, pads, float(value)),
    "QuantizeLinear": _quantise,
    "Relu": lambda _, x: x.relu(),
    "Reshape": lambda _, x, shape: x.reshape(x.shape[0], *shape[1:]),
    "Round": lambda _, x: x.round(),
    "Sign": lambda _, x: x.sign(),
    "Sub": lambda _, a, b: a - b,
    "Sum": lambda _, *terms: sum(terms[1:], start=terms[0]),
    "Transpose": lambda a, x: x.permute(*a["perm"]),
    "Where": lambda _, chosen, a, b: torch.where(chosen, a, b),
}
