"""What a serialised TensorRT-RTX engine computes, read off the plan itself: no GPU is needed.

A plan of TensorRT-RTX 1.x carries a listing of its program in plain text: tensors with their types, convolutions and
matrix products with their operands and fused limits (as hexadecimal float32), the architectures, and whether TF32 is
allowed. The format is not documented; a plan without that listing is reported as unreadable, never as sound.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, numpy_helper

from fpgaflow.errors import Problem

_PRINTABLE = re.compile(rb"[\t -~]{6,}")
_TENSOR = re.compile(r'tensor=\{.*?\bname="([^"]*)".*?\btype=(\w+)')
_PRODUCT = re.compile(r'(?:corrltn|fully_connected)=\{ name="([^"]*)" output=\{([^}]*)\} input=\{([^}]*)\}(.*)')
_QUOTED = re.compile(r'"([^"]*)"')
_NO_LIMIT = {0x7F7FFFFF, 0x7F800000}  # the largest float32, and infinity
_UNTOLD = ("*",)  # one architecture, and which is not said
_REBUILD = "Build the engine again, and report this"


@dataclass(frozen=True)
class Product:
    """One convolution or matrix product of the plan; `low` and `high` clamp its result, None where nothing does."""

    node: str
    operands: tuple[str | None, str | None]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PlanText:
    """`tf32` is None where the plan does not tell."""

    tf32: bool | None
    architectures: tuple[str, ...]
    products: tuple[Product, ...]


def read_plan(plan: bytes) -> PlanText:
    """The listing of a plan."""
    lines = [match.decode() for match in _PRINTABLE.findall(plan)]
    types: dict[str, str] = {}
    products: list[Product] = []
    tf32: bool | None = None
    architectures: tuple[str, ...] = ()
    for line in lines:
        if found := _TENSOR.search(line):
            types[found[1]] = found[2]
        elif found := re.match(r"\s*tf32=(\d)", line):
            tf32 = found[1] != "0"
        elif found := re.match(r"\s*accelerators=\{([^}]*)\}", line):
            architectures = tuple(found[1].split())
    for line in lines:
        if found := _PRODUCT.search(line):
            products.append(_product(found, types))
    return PlanText(tf32, architectures, tuple(products))


def _product(found: re.Match[str], types: Mapping[str, str]) -> Product:
    names = _QUOTED.findall(found[3])[:2]
    operands = [types.get(name) for name in names] + [None, None]
    low, high = (_limit(found[4], key) for key in ("relu_low", "relu_high"))
    clamped = "relu=true" in found[4]
    return Product(found[1], (operands[0], operands[1]), low if clamped else None, high if clamped else None)


def _limit(settings: str, key: str) -> float | None:
    found = re.search(rf"\b{key}=([0-9A-F]+)\b", settings)
    if found is None or (bits := int(found[1], 16)) in _NO_LIMIT:
        return None
    return float(struct.unpack(">f", bits.to_bytes(4, "big"))[0])


@dataclass(frozen=True)
class Audit:
    """`problems` can change a bit; `notes` cost speed alone."""

    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def audit(plan: bytes, model: ModelProto, architectures: tuple[int, ...]) -> Audit:
    """What of the plan is not as the QDQ model and the request (compute capabilities) say."""
    text = read_plan(plan)
    if text.tf32 is None:
        fix = "Use TensorRT-RTX 1.6 or 1.7, whose plans are understood"
        return Audit((Problem("the engine", "has no listing that can be audited", fix),), ())
    problems = []
    if text.tf32:
        problems.append(Problem("the engine", "may round float32 operands to TF32", _REBUILD))
    asked = {f"sm{each}" for each in architectures}
    if text.architectures != _UNTOLD and set(text.architectures) != asked:
        found = f"is for {', '.join(text.architectures)}, asked for was {', '.join(sorted(asked))}"
        problems.append(Problem("the engine", found, _REBUILD))
    problems += _limits_kept(text.products, model)
    return Audit(tuple(problems), tuple(_not_int8(text.products, model)))


def _products(model: ModelProto) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type in ("Conv", "MatMul")]


def _not_int8(products: tuple[Product, ...], model: ModelProto) -> Iterator[Problem]:
    """Products of dequantised int8 that the engine computes otherwise: exact too, as TF32 is off, but slower."""
    built = {product.node: product for product in products}
    dequantised: set[str] = set()
    for node in model.graph.node:
        moved = node.op_type in ("Reshape", "Transpose", "Identity", "MaxPool") and node.input[0] in dequantised
        if node.op_type == "DequantizeLinear" or moved:
            dequantised.add(node.output[0])
    for node in _products(model):
        product, where = built.get(node.name), f"node '{node.name}'"
        if not dequantised.issuperset(node.input[:2]):
            continue
        if product is None:
            yield Problem(where, "is not in the listing under its name", "Its operands are unknown")
        elif product.operands != ("int8", "int8"):
            found = f"multiplies {' by '.join(str(o) for o in product.operands)}, not int8"
            yield Problem(where, found, "Leave out SM75, for which TensorRT-RTX has fewer int8 kernels")


def _limits_kept(products: tuple[Product, ...], model: ModelProto) -> Iterator[Problem]:
    built = {product.node: product for product in products}
    for node in _products(model):
        if (product := built.get(node.name)) is None:
            continue
        wanted = _limits(node.output[0], model)
        for name, found, limit in zip(("low", "high"), (product.low, product.high), wanted, strict=True):
            if found is not None and found != limit:
                yield Problem(
                    f"node '{node.name}'", f"clamps at {found}, where the model's {name} is {limit}", _REBUILD
                )


def _limits(name: str, model: ModelProto) -> tuple[float | None, float | None]:
    """The bounds of the Clip or Relu behind a tensor, through reshapes and an added bias."""
    constants = {entry.name: entry for entry in model.graph.initializer}
    while readers := [node for node in model.graph.node if name in node.input]:
        node = readers[0]
        if node.op_type == "Relu":
            return 0.0, None
        if node.op_type == "Clip":
            low, high = (float(numpy_helper.to_array(constants[bound])) for bound in node.input[1:3])
            return low, high
        if node.op_type not in ("Reshape", "Add", "Identity"):
            break
        name = node.output[0]
    return None, None
