"""What every importer gets: the graph being built, what is known of each tensor so far, and typed attribute access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

import numpy as np

from fpgaflow.frontend.exact.builder import Builder
from fpgaflow.frontend.exact.integers import integers
from fpgaflow.frontend.exact.values import ONE, Const, Fractions, Poison, Value, with_affine
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.qonnx.quantizers import Quantizer, close
from fpgaflow.frontend.refuse import refuse


@dataclass(frozen=True)
class Open:
    """The integers of a QuantizeLinear: a Clip may still narrow their range, any other reader closes the quantiser.

    `quantizer` has no zero-point: it gives q - `zero`.
    """

    source: Value
    quantizer: Quantizer
    zero: int
    node: str
    name: str

    def closed(self, builder: Builder) -> Value:
        """The integers q themselves as real numbers: what the quantiser gives, divided by its scale, plus `zero`."""
        value = close(builder, self.source, self.quantizer, self.node, f"{self.name}.integers")
        axis = self.quantizer.axis if len(self.quantizer.scale) > 1 else value.axis
        undone = with_affine(value, tuple(ONE / s for s in self.quantizer.scale), (Fraction(self.zero),), axis)
        assert undone is not None
        return undone


@dataclass(frozen=True)
class Ordered:
    """A softmax of the source along one axis: of its numbers only their order is known, which is the source's."""

    source: Value
    axis: int


Known = Value | Const | Poison | Open | Ordered

OF_ONE_NUMBER = ("Cast", "Dropout", "Identity", "Reshape", "Unsqueeze")  # what may read a tensor of no axis
MAX_PADDED = 1 << 24  # places of one channel under a sliding window


@dataclass
class Context:
    builder: Builder
    opset: int
    batch: int = 1  # the batch size that the model's inputs are declared with, 1 where they leave it open
    known: dict[str, Known] = field(default_factory=dict)
    readers: Mapping[str, frozenset[str]] = field(default_factory=dict)  # operators that read a tensor; "" the host
    room: int = 1 << 26  # elements that constants made on the way may have: a small file must not fill the memory

    def spend(self, node: Node, elements: int) -> None:
        """Takes a constant's elements from the room that is left."""
        if elements > self.room:
            refuse(str(node), f"makes a constant of {elements} elements", "Fold it before: python -m onnxsim")
        self.room -= elements

    def at(self, node: Node, position: int) -> Known:
        """What is known of one input of a node."""
        if position >= len(node.inputs) or not node.inputs[position]:
            refuse(str(node), f"has no input {position}", "Export the model again")
        return self.named(node.inputs[position])

    def named(self, name: str) -> Known:
        """What is known of a tensor, a quantiser that was left open closed."""
        if isinstance(item := self.known[name], Open):
            item = self.known[name] = item.closed(self.builder)
        return item

    def lend(self, node: Node, *items: Known | None) -> tuple[str, ...]:
        """Names under which the importer of a simpler operator finds these items as its inputs."""
        names = []
        for position, item in enumerate(items):
            name = "" if item is None else f"{node.name}.input{position}"
            while name in self.known:
                name += "'"
            if item is not None:
                self.known[name] = item
            names.append(name)
        return tuple(names)

    def value(self, node: Node, position: int) -> Value:
        """The activation at one input of a node."""
        item = self.at(node, position)
        if not isinstance(item, Value):
            refuse(
                str(node),
                f"its input {position} is a constant, where an activation is expected",
                "Fold the constant part of the model, or swap the inputs",
            )
        if not self.shape(item) and node.kind not in OF_ONE_NUMBER:
            refuse(str(node), "reads one number a sample, without an axis", "Keep its axis: keepdims=1")
        return item

    def const(self, node: Node, position: int, what: str) -> Const:
        """The constant at one input of a node: finite real numbers, the same for every batch size."""
        item = self.shape_const(node, position, what)
        if item.needs_batch:
            refuse(str(node), f"its {what} is computed from the batch size", f"Compute the {what} without x.shape[0]")
        return item

    def shape_const(self, node: Node, position: int, what: str) -> Const:
        """As `const`, but it may hold the batch size: its `values` do for the batch size `batch`."""
        item = self.at(node, position)
        if not isinstance(item, Const):
            refuse(str(node), f"its {what} is not constant", f"Make the {what} an initialiser of the model")
        kind = item.values.dtype.kind
        if kind in "OSUc" or (kind == "f" and not np.isfinite(item.values).all()):
            refuse(str(node), f"its {what} holds NaN, infinity or no real numbers", "Train or export the model again")
        return item

    def optional(self, node: Node, position: int, what: str) -> Const | None:
        present = position < len(node.inputs) and node.inputs[position]
        return self.const(node, position, what) if present else None

    def shape(self, value: Value) -> tuple[int, ...]:
        return self.builder.shape(value.tensor)

    def integers(self, node: Node, value: Value) -> tuple[str, Fraction]:
        return integers(self.builder, value, str(node), node.name)

    def per_channel(self, node: Node, const: Const, value: Value, what: str) -> tuple[Fractions, int]:
        """A constant broadcast against a (1, *shape) activation, as entries along one axis of its unbatched shape."""
        shape, array = (1, *self.shape(value)), const.values
        if array.size == 1 and array.ndim <= len(shape):
            return const.exact, value.axis
        aligned = (1,) * (len(shape) - array.ndim) + array.shape
        long = [axis for axis, n in enumerate(aligned) if n != 1]
        if array.ndim > len(shape) or len(long) != 1 or long[0] == 0 or aligned[long[0]] != shape[long[0]]:
            refuse(
                str(node),
                f"its {what} of shape {array.shape} does not run along one channel axis of {shape}",
                f"Use one {what} per channel, or one for all",
            )
        return const.exact, long[0] - 1


def ints_attribute(node: Node, name: str, default: tuple[int, ...], least: int = 1) -> tuple[int, ...]:
    """A list attribute as long as its default, of integers from `least` on."""
    found, length = node.attributes.get(name, default), len(default)
    if not isinstance(found, list | tuple) or len(found) != length or not all(isinstance(v, int) for v in found):
        refuse(str(node), f"attribute {name} = {found!r} has not {length} integers", "Export the model again")
    if min(found) < least:
        refuse(str(node), f"attribute {name} = {list(found)} goes below {least}", "Slice instead of negative padding")
    return tuple(found)


def int_attribute(node: Node, name: str, default: int) -> int:
    found = node.attributes.get(name, default)
    if not isinstance(found, int):
        refuse(str(node), f"attribute {name} = {found!r} is not an integer", "Export the model again")
    return found


def float_attribute(node: Node, name: str, default: float) -> float:
    found = node.attributes.get(name, default)
    if not isinstance(found, int | float) or not np.isfinite(found):
        refuse(str(node), f"attribute {name} = {found!r} is not a finite number", "Export the model again")
    return float(found)


def spatial_padding(
    node: Node, size: tuple[int, ...], window: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """(before, after) of each spatial axis, from `pads` or `auto_pad`; `window` is the kernel with its dilation.

    SAME pads so that the output has ceil(size / stride) elements (ONNX operator specification, Conv).
    """
    rank = len(size)
    mode = str(node.attributes.get("auto_pad", "NOTSET"))
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        needed = [max((-(-n // s) - 1) * s + w - n, 0) for n, w, s in zip(size, window, strides, strict=True)]
        return tuple((n // 2, n - n // 2) if mode == "SAME_UPPER" else (n - n // 2, n // 2) for n in needed)
    if mode not in ("NOTSET", "VALID", ""):
        refuse(str(node), f"auto_pad '{mode}' is unknown", "Export the model again")
    none = (0,) * (2 * rank)
    pads = none if mode == "VALID" else ints_attribute(node, "pads", none, least=0)
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def check_window(
    node: Node, size: tuple[int, ...], window: tuple[int, ...], padding: tuple[tuple[int, int], ...]
) -> None:
    """Refuses windows that do not fit into the padded input, and paddings that would fill the memory."""
    padded = tuple(n + sum(p) for n, p in zip(size, padding, strict=True))
    if any(n < w for n, w in zip(padded, window, strict=True)):
        refuse(str(node), f"its window {window} is larger than its padded input {padded}", "Export the model again")
    if prod(padded) > MAX_PADDED:
        refuse(str(node), f"its padded input {padded} is too large", f"At most {MAX_PADDED} places are carried")
