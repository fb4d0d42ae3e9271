"""The torch layer of each ONNX node that can be quantised, and the torch.fx graph that they are put into."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from fpgaflow.frontend.qonnx.context import (
    check_window,
    float_attribute,
    int_attribute,
    ints_attribute,
    spatial_padding,
)
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse


@dataclass
class Build:
    """The graph so far; `example` holds each activation for one sample, which tells its shape."""

    constants: dict[str, np.ndarray]
    readers: Mapping[str, int]
    graph: fx.Graph = field(default_factory=fx.Graph)
    modules: nn.Module = field(default_factory=nn.Module)
    made: dict[str, fx.Node] = field(default_factory=dict)
    example: dict[str, Tensor] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def place(self, name: str, node: fx.Node, example: Tensor) -> None:
        self.made[name], self.example[name] = node, example

    def layer(self, node: Node, module: nn.Module, source: str) -> None:
        """Calls `module` on the tensor `source`."""
        stem = "".join(c if c.isalnum() else "_" for c in node.name).strip("_") or "layer"
        name, count = stem if not stem[0].isdigit() else f"n{stem}", 1
        while hasattr(self.modules, name):
            count += 1
            name = f"{stem}_{count}"
        self.modules.add_module(name, module.eval())
        self.call(node, self.graph.call_module(name, (self.made[source],)), lambda: module(self.example[source]))

    def call(self, node: Node, made: fx.Node, run: Callable[[], Tensor]) -> None:
        try:
            with torch.no_grad():
                self.place(node.outputs[0], made, run())
        except RuntimeError as error:
            refuse(str(node), f"its inputs do not fit: {error}", "Export the model again")

    def constant(self, node: Node, position: int, what: str) -> Tensor | None:
        """The constant at one input of a node; None where that input is left out."""
        if position >= len(node.inputs) or not node.inputs[position]:
            return None
        found = self.constants.get(node.inputs[position])
        if found is None or found.dtype.kind not in "fiu":
            refuse(str(node), f"its {what} is no constant of real numbers", f"Make the {what} an initialiser")
        return torch.from_numpy(np.array(found, dtype=np.float32))

    def source(self, node: Node) -> tuple[str, Tensor]:
        """The activation that a node reads first, and an example of it."""
        if not node.inputs or node.inputs[0] not in self.example:
            refuse(str(node), "its first input is no activation", "Fold the constant part: python -m onnxsim")
        return node.inputs[0], self.example[node.inputs[0]]


def _conv(build: Build, node: Node) -> None:
    source, x = build.source(node)
    weight, bias = build.constant(node, 1, "weight"), build.constant(node, 2, "bias")
    if weight is None or weight.ndim not in (3, 4) or weight.ndim != x.ndim:
        refuse(str(node), f"convolves {x.ndim - 2} dimensions", "Use Conv1d or Conv2d")
    rank, group = weight.ndim - 2, int_attribute(node, "group", 1)
    kernel, strides, dilations, padding = _geometry(node, x, tuple(weight.shape[2:]))
    if group < 1 or weight.shape[1] * group != x.shape[1] or weight.shape[0] % group:
        refuse(str(node), f"its weight {tuple(weight.shape)} does not fit {x.shape[1]} channels", "Export it again")
    made = (nn.Conv1d, nn.Conv2d)[rank - 1](
        x.shape[1], weight.shape[0], kernel, strides, padding, dilations, group, bias is not None
    )
    build.layer(node, _filled(node, made, weight=weight, bias=bias), source)


def _geometry(
    node: Node, x: Tensor, kernel: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, strides, dilations and the padding, which torch has alike on both sides."""
    ones, size = (1,) * len(kernel), tuple(x.shape[2:])
    if len(kernel) != len(size) or not 1 <= len(size) <= 2:
        refuse(str(node), f"has a window {kernel} on {len(size)} dimensions", "Use layers of one or two dimensions")
    strides, dilations = ints_attribute(node, "strides", ones), ints_attribute(node, "dilations", ones)
    window = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    padding = spatial_padding(node, size, window, strides)
    check_window(node, size, window, padding)
    if any(before != after for before, after in padding):
        refuse(str(node), f"pads by {padding}, not alike on both sides", "Pad alike on both sides")
    return kernel, strides, dilations, tuple(before for before, _ in padding)


def _filled(node: Node, module: nn.Module, **tensors: Tensor | None) -> nn.Module:
    for name, tensor in tensors.items():
        if tensor is not None:
            slot = getattr(module, name)
            if slot.shape != tensor.shape:
                found = f"its {name} has the shape {tuple(tensor.shape)}, not {tuple(slot.shape)}"
                refuse(str(node), found, "Export the model again")
            slot.data.copy_(tensor)
    return module


def _dense(build: Build, node: Node, weight: Tensor | None, bias: Tensor | None) -> None:
    """y = x wᵀ + b for a weight of (outputs, inputs)."""
    source, x = build.source(node)
    if weight is None or weight.ndim != 2 or x.ndim != 2 or weight.shape[1] != x.shape[1]:
        refuse(str(node), f"multiplies {tuple(x.shape)} by a constant that does not fit", "Flatten before it")
    bias = bias if bias is None else bias.reshape(-1).expand(weight.shape[0]) if bias.numel() == 1 else bias.reshape(-1)
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    build.layer(node, _filled(node, made, weight=weight, bias=bias), source)


def _gemm(build: Build, node: Node) -> None:
    alpha, beta = float_attribute(node, "alpha", 1.0), float_attribute(node, "beta", 1.0)
    weight, bias = build.constant(node, 1, "weight"), build.constant(node, 2, "bias")
    if int_attribute(node, "transA", 0) or weight is None:
        refuse(str(node), "transposes its input", "Use a Linear layer")
    weight = alpha * (weight if int_attribute(node, "transB", 0) else weight.T)
    _dense(build, node, weight, None if bias is None else beta * bias)


def _matmul(build: Build, node: Node) -> None:
    weight = build.constant(node, 1, "weight")
    _dense(build, node, None if weight is None else weight.T, None)


def _add(build: Build, node: Node) -> None:
    left, right = node.inputs[:2]
    if left in build.example and right in build.example:
        made = build.graph.call_function(operator.add, (build.made[left], build.made[right]))
        build.call(node, made, lambda: build.example[left] + build.example[right])
        return
    source, other = (left, 1) if left in build.example else (right, 0)
    bias, before = build.constant(node, other, "addend"), build.made[source]
    layer = getattr(build.modules, str(before.target), None) if before.op == "call_module" else None
    if not isinstance(layer, nn.Linear) or layer.bias is not None or build.readers[source] > 1 or bias is None:
        refuse(str(node), "adds a constant to what is no MatMul", "Let it be the bias of the layer before")
    if bias.numel() not in (1, layer.out_features):
        refuse(str(node), f"adds a constant of shape {tuple(bias.shape)}", "Use one bias per output")
    layer.bias = nn.Parameter(bias.reshape(-1).expand(layer.out_features).clone())
    build.place(node.outputs[0], before, layer(_input_of(build, before)))


def _input_of(build: Build, call: fx.Node) -> Tensor:
    return next(build.example[name] for name, made in build.made.items() if made is call.args[0])


def _batch_norm(build: Build, node: Node) -> None:
    source, x = build.source(node)
    gamma, beta, mean, variance = (build.constant(node, i + 1, "parameter") for i in range(4))
    kind = nn.BatchNorm2d if x.ndim == 4 else nn.BatchNorm1d
    if x.ndim not in (2, 3, 4) or int_attribute(node, "training_mode", 0):
        refuse(str(node), f"normalises {x.ndim} dimensions, or trains", "Export the model in eval mode")
    made = kind(x.shape[1], eps=float_attribute(node, "epsilon", 1e-5))
    build.layer(node, _filled(node, made, weight=gamma, bias=beta, running_mean=mean, running_var=variance), source)


def _clip(build: Build, node: Node) -> None:
    low, high = (
        float(node.attributes.get(name, default)) if bound is None else float(bound)
        for name, default, bound in (
            ("min", -np.inf, build.constant(node, 1, "minimum")),
            ("max", np.inf, build.constant(node, 2, "maximum")),
        )
    )
    if low != 0 or not (np.isinf(high) or isclose(high, 6.0)):
        refuse(str(node), f"clips to {low:g} and {high:g}", "Use ReLU or ReLU6")
    build.layer(node, nn.ReLU() if np.isinf(high) else nn.ReLU6(), build.source(node)[0])


def _pool(build: Build, node: Node) -> None:
    source, x = build.source(node)
    kernel = ints_attribute(node, "kernel_shape", (1,) * (x.ndim - 2))
    kernel, strides, dilations, padding = _geometry(node, x, kernel)
    if int_attribute(node, "ceil_mode", 0):
        refuse(str(node), "has ceil_mode", "Use ceil_mode=False")
    rank = len(kernel)
    if node.kind == "MaxPool":
        made: nn.Module = (nn.MaxPool1d, nn.MaxPool2d)[rank - 1](kernel, strides, padding, dilations)
    else:
        with_padding = bool(int_attribute(node, "count_include_pad", 0))
        made = (nn.AvgPool1d, nn.AvgPool2d)[rank - 1](kernel, strides, padding, count_include_pad=with_padding)
    build.layer(node, made, source)


def _global_average(build: Build, node: Node) -> None:
    source, x = build.source(node)
    if x.ndim not in (3, 4):
        refuse(str(node), f"averages {x.ndim - 2} dimensions", "Use layers of one or two dimensions")
    build.layer(node, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[x.ndim - 3](1), source)


def _flatten(build: Build, node: Node) -> None:
    source, x = build.source(node)
    if node.kind == "Flatten":
        flat = int_attribute(node, "axis", 1) in (1, 1 - x.ndim)
    else:
        wanted = build.constant(node, 1, "shape")
        shape = [] if wanted is None else [int(n) for n in wanted]
        flat = len(shape) == 2 and shape[0] in (-1, 0, 1) and shape[1] in (-1, x.numel()) and min(shape) > -2
    if not flat:
        refuse(str(node), "changes the shape to other than (N, elements)", "Flatten everything but the batch")
    made = build.graph.call_function(torch.flatten, (build.made[source], 1))
    build.call(node, made, lambda: torch.flatten(x, 1))


def _concat(build: Build, node: Node) -> None:
    if any(name not in build.example for name in node.inputs):
        refuse(str(node), "concatenates a constant", "Concatenate activations")
    axis = int_attribute(node, "axis", 1)
    made = build.graph.call_function(torch.cat, kwargs={"tensors": [build.made[n] for n in node.inputs], "dim": axis})
    build.call(node, made, lambda: torch.cat([build.example[n] for n in node.inputs], axis))


def _nothing(build: Build, node: Node) -> None:
    source, x = build.source(node)
    build.place(node.outputs[0], build.made[source], x)


LAYERS: dict[str, Callable[[Build, Node], Any]] = {
    "Add": _add,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "Identity": _nothing,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Relu": lambda build, node: build.layer(node, nn.ReLU(), build.source(node)[0]),
    "Reshape": _flatten,
}
