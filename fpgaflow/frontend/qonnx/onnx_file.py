"""Reads an .onnx file as untrusted data: whole or refused, in order, with no path outside its own folder."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from fpgaflow.errors import BadInput, Problem

MIN_OPSET, MAX_OPSET = 9, 26
MIN_IR, MAX_IR = 3, 14
_MAX_FILE_BYTES = 2 << 30  # protobuf's own limit
_ELEMENT_TYPES = (
    *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BOOL),
    *(TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
)


_STORE = "Store it as float16, float, double, integer or bool: other formats are not fixed point"


def element_type(number: int) -> str:
    """ONNX's name of an element type.

    >>> element_type(17), element_type(99)
    ('FLOAT8E4M3FN', '99')
    """
    return str(TensorProto.DataType.Name(number)) if number in TensorProto.DataType.values() else str(number)


@dataclass(frozen=True)
class Node:
    """One ONNX node; `kind` is its op type, `name` is its own or one made from its output.

    Tensors among the attributes are arrays.
    """

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]  # "" for an optional input left out
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node '{self.name}' ({self.kind})"


@dataclass(frozen=True)
class Port:
    """A graph input or output; a dimension that is not a number is None. `datatype` is a FINN/QONNX annotation."""

    name: str
    shape: tuple[int | None, ...] | None
    elem_type: int
    datatype: str | None


@dataclass(frozen=True)
class OnnxModel:
    name: str
    opset: int
    nodes: tuple[Node, ...]  # in topological order
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: Mapping[str, np.ndarray]


def read_model(path: Path) -> OnnxModel:
    """The model in `path`.

    Raises:
        BadInput: not a whole ONNX file, or one that contradicts itself: missing or doubled names, a cycle,
            external data missing or outside the folder, an opset or IR version that is too old or unknown.
    """
    return model_of(parse_proto(path), path)


def model_of(proto: onnx.ModelProto, path: Path) -> OnnxModel:
    """The model of what `parse_proto` gave for `path`; raises as `read_model`."""
    graph = proto.graph
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    if len(opsets) < len(proto.opset_import):
        raise BadInput(str(path), "imports an operator set twice", "Export the model again")
    opset = opsets.get("", opsets.get("ai.onnx", 0))
    if not MIN_OPSET <= opset <= MAX_OPSET:
        found = f"is of ONNX opset {opset}" if opset else "imports no ONNX opset"
        fix = f"Export it with an opset from {MIN_OPSET} to {MAX_OPSET} (torch.onnx.export: opset_version=17)"
        raise BadInput(str(path), found, fix)
    if not MIN_IR <= proto.ir_version <= MAX_IR:
        raise BadInput(
            str(path), f"is of ONNX IR version {proto.ir_version}", f"Export it with one from {MIN_IR} to {MAX_IR}"
        )
    if graph.sparse_initializer:
        raise BadInput(str(path), "has sparse initialisers", "Store the weights densely")
    for what, entries in (("initialisers", graph.initializer), ("inputs", graph.input), ("outputs", graph.output)):
        if len({entry.name for entry in entries} - {""}) < len(entries):
            raise BadInput(str(path), f"two {what} share a name, or one has none", "Export the model again")
    constants = {entry.name: _array(entry, path, f"initialiser '{entry.name}'") for entry in graph.initializer}
    datatypes = _datatypes(graph)
    nodes = _ordered([_node(entry, index, path) for index, entry in enumerate(graph.node)], graph, constants, path)
    return OnnxModel(
        name=graph.name or path.stem,
        opset=opset,
        nodes=nodes,
        inputs=tuple(_port(info, datatypes) for info in graph.input if info.name not in constants),
        outputs=tuple(_port(info, datatypes) for info in graph.output),
        constants=constants,
    )


def _texts(proto: onnx.ModelProto) -> Iterator[str | bytes]:
    """Every name that is read; protobuf gives bytes for what is no UTF-8."""
    graph = proto.graph
    yield graph.name
    yield from (entry.domain for entry in proto.opset_import)
    for named in (*graph.initializer, *graph.input, *graph.output):
        yield named.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (entry.name for entry in node.attribute)
    for annotation in graph.quantization_annotation:
        yield annotation.tensor_name
        yield from (text for entry in annotation.quant_parameter_tensor_names for text in (entry.key, entry.value))


def parse_proto(path: Path) -> onnx.ModelProto:
    """The file as it is, its external data not read.

    Raises:
        BadInput: no ONNX file, an empty one, or one with names that are no text.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise BadInput(str(path), "is larger than 2 GiB", "Keep the weights in external data beside it")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            str(path), f"cannot be read ({error.strerror or error})", "Give the path of an .onnx file"
        ) from None
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, RuntimeError):
        raise BadInput(str(path), "is not an ONNX file, or only a part of one", "Export or copy it again") from None
    if not proto.graph.node and not proto.graph.output:
        raise BadInput(str(path), "holds no graph", "Give a whole ONNX file: this one may be empty or truncated")
    if any(isinstance(text, bytes) or "\0" in text for text in _texts(proto)):
        raise BadInput(str(path), "holds a name that is no UTF-8 text", "Export or copy it again")
    return proto


def inline_external_data(proto: onnx.ModelProto, path: Path) -> None:
    """Weights that lie in files beside `path`, brought into the model itself.

    Raises:
        BadInput: one of them is missing, or lies outside of the model's folder.
    """
    for tensor in proto.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            _load_external(tensor, path, f"{path}: initialiser '{tensor.name}'")


def _array(tensor: TensorProto, path: Path, holder: str) -> np.ndarray:
    where = f"{path}: {holder}"
    if external_data_helper.uses_external_data(tensor):
        _load_external(tensor, path, where)
    if tensor.data_type not in _ELEMENT_TYPES:
        raise BadInput(where, f"is of ONNX element type {element_type(tensor.data_type)}", _STORE)
    # numpy would choose a size for -1; no element takes less than half a byte.
    packed = tensor.data_type in (TensorProto.INT4, TensorProto.UINT4)
    stored = len(tensor.raw_data) or len(tensor.int32_data)
    torn = packed and stored != (prod(tensor.dims) + 1) // 2  # numpy_helper would cut or fill
    if any(n < 0 for n in tensor.dims) or prod(tensor.dims) > 2 * tensor.ByteSize() or torn:
        raise BadInput(where, f"its data do not fit its shape {list(tensor.dims)}", "Export the model again")
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise BadInput(where, f"its data do not fit its shape or type ({error})", "Export the model again") from None


def _load_external(tensor: TensorProto, path: Path, where: str) -> None:
    folder = path.resolve().parent
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    if not isinstance(location, str) or "\0" in location:
        raise BadInput(where, "its external data lie in a file without a name", "Export the model again")
    relative = PurePosixPath(location)
    target = (folder / relative).resolve()
    if not location or relative.is_absolute() or ".." in relative.parts or not target.is_relative_to(folder):
        raise BadInput(where, f"its external data lie at '{location}'", "They have to lie in the model's own folder")
    if not target.is_file():
        raise BadInput(where, f"its external data file '{location}' is missing", "Put it beside the model")
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    except Exception as error:  # onnx raises ValidationError, ValueError or OSError by version
        raise BadInput(where, f"its external data cannot be read ({error})", "Export the model again") from None
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _node(proto: onnx.NodeProto, index: int, path: Path) -> Node:
    name = proto.name or f"{proto.op_type}_{proto.output[0] if proto.output else index}"
    attributes: dict[str, Any] = {}
    if len({entry.name for entry in proto.attribute}) < len(proto.attribute):
        raise BadInput(f"{path}: node '{name}'", "gives an attribute twice", "Export the model again")
    for entry in proto.attribute:
        try:
            value = helper.get_attribute_value(entry)
        except ValueError:
            value = None  # of no known kind: an importer that reads it refuses it
        if isinstance(value, TensorProto):
            value = _array(value, path, f"node '{name}', attribute '{entry.name}'")
        attributes[entry.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    inputs = list(proto.input)
    while inputs and not inputs[-1]:  # left out, as if it were not there
        inputs.pop()
    return Node(name, proto.op_type, proto.domain, tuple(inputs), tuple(proto.output), attributes)


def _ordered(
    nodes: list[Node], graph: onnx.GraphProto, constants: Mapping[str, np.ndarray], path: Path
) -> tuple[Node, ...]:
    """The nodes in topological order, the file's own order kept where it can be."""
    makers: dict[str, Node] = {}
    known = {info.name for info in graph.input} | constants.keys() | {""}
    for node in nodes:
        for output in filter(None, node.outputs):
            if output in makers or output in known:
                raise BadInput(f"{path}: {node}", f"makes '{output}' a second time", "Export the model again")
            makers[output] = node
    problems = [
        Problem(str(node), f"reads '{name}', which nothing makes", "Is an initialiser missing? Export the model again")
        for node in nodes
        for name in node.inputs
        if name not in known and name not in makers
    ]
    problems += [
        Problem(f"output '{info.name}'", "nothing makes it", "Export the model again")
        for info in graph.output
        if info.name not in known and info.name not in makers
    ]
    if problems:
        raise BadInput(str(path), "; ".join(f"{p.where} {p.found}" for p in problems), problems[0].fix)
    missing = [{name for name in node.inputs if name not in known} for node in nodes]
    readers: dict[str, list[int]] = {name: [] for name in makers}
    for index, names in enumerate(missing):
        for name in names:
            readers[name].append(index)
    ready = [index for index, names in enumerate(missing) if not names]  # sorted, so a heap
    ordered: list[Node] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        ordered.append(node)
        for output in filter(None, node.outputs):
            for index in readers[output]:
                missing[index].discard(output)
                if not missing[index]:
                    heapq.heappush(ready, index)
    if len(ordered) < len(nodes):
        blocked = ", ".join(f"'{node.name}'" for node, names in zip(nodes, missing, strict=True) if names)
        raise BadInput(str(path), f"its nodes form a cycle ({blocked[:200]})", "A network to be deployed has none")
    return tuple(ordered)


def _datatypes(graph: onnx.GraphProto) -> dict[str, str]:
    found = {}
    for annotation in graph.quantization_annotation:
        for entry in annotation.quant_parameter_tensor_names:
            if entry.key == "finn_datatype":
                found[annotation.tensor_name] = entry.value
    return found


def _port(info: onnx.ValueInfoProto, datatypes: Mapping[str, str]) -> Port:
    tensor = info.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim)
    return Port(info.name, shape, tensor.elem_type, datatypes.get(info.name))
