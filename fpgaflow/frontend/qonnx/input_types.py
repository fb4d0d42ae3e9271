"""Types that the user declares for inputs that no quantiser reads: each becomes a Quant node, the first of the model.

`int8`, `uint4`: the integers themselves; `uint8/255`, `int8*0.5`: integers times a factor; `fixed<8,1>`, `ufixed<8,0>`:
width and integer bits, as in ap_fixed. AMD's own names (`ap_int<8>`, `ap_ufixed<8,0>`) say the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.frontend.qonnx.onnx_file import element_type, inline_external_data, parse_proto

Given = str | Mapping[str, str] | Sequence[str] | None

MAX_BITS = 32
_DOMAIN = "qonnx.custom_op.general"
_REAL = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_NUMBER = r"(\d*\.?\d+(?:e[+-]?\d{1,2})?)"
_INTEGER = re.compile(rf"(?:ap_)?(u?)int(?:<(\d{{1,3}})>|(\d{{1,3}}))(?:\*{_NUMBER}(?:/{_NUMBER})?|/{_NUMBER})?")
_FIXED = re.compile(r"(?:ap_)?(u?)fixed<(\d{1,3}),(-?\d{1,3})>")
_HOW = "Write it as int8, uint8/255, int8*0.5, fixed<8,1> or ufixed<8,0> (width and integer bits, as in ap_fixed)"


@dataclass(frozen=True)
class InputType:
    """real = integer × scale; the integers have `bits` bits."""

    signed: bool
    bits: int
    scale: Fraction


def parse_type(text: str) -> InputType:
    """What a declaration says.

    >>> parse_type("uint8/255")
    InputType(signed=False, bits=8, scale=Fraction(1, 255))
    >>> parse_type("fixed<8,1>")
    InputType(signed=True, bits=8, scale=Fraction(1, 128))

    Raises:
        BadInput: it says nothing that is understood, or a type that no input can have.
    """
    plain = text.lower().replace(" ", "")
    if (found := _INTEGER.fullmatch(plain)) is not None:
        unsigned, inside, behind, times, over, divided = found.groups()
        bits, below = inside or behind, Fraction(over or divided or 1)
        scale = Fraction(times or 1) / below if below else Fraction(0)
    elif (found := _FIXED.fullmatch(plain)) is not None:
        unsigned, bits, whole = found.groups()
        scale = Fraction(2) ** (int(whole) - int(bits))
    else:
        raise BadInput(f"input type '{text}'", "is not understood", _HOW)
    least = 1 if unsigned else 2
    if not least <= int(bits) <= MAX_BITS:
        raise BadInput(f"input type '{text}'", f"has {bits} bits", f"Use {least} to {MAX_BITS}")
    if not 2.0**-126 <= scale <= 2.0**127:
        raise BadInput(f"input type '{text}'", "has a factor that float32 does not hold", "Use a positive factor")
    return InputType(not unsigned, int(bits), scale)


def parse_types(given: Given) -> dict[str, InputType]:
    """Types by input name; "" stands for a model's only input.

    Args:
        given: TYPE, {NAME: TYPE}, or a list of which each entry is TYPE or NAME=TYPE.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        pairs = [(str(name), str(text)) for name, text in given.items()]
    else:
        texts = [given] if isinstance(given, str) else given
        pairs = [(name, text) for name, _, text in (entry.rpartition("=") for entry in texts)]
    if twice := [name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index])]:
        raise BadInput(f"input '{twice[0]}'", "is given two types", "Give it one")
    return {name: parse_type(text) for name, text in pairs}


def refuse_types(given: Given, where: str) -> None:
    """Returns where nothing is given: what `where` names has types of its own.

    Raises:
        BadInput: something is.
    """
    if parse_types(given):
        raise BadInput(where, "says the types of its inputs itself", "Leave out the input type")


def declare(proto: ModelProto, types: Mapping[str, InputType], where: str) -> None:
    """Puts a Quant node behind each input that has a type; what read the input reads that node.

    Its scale is float32, as in every QONNX file: of `uint8/255` it is the float32 number next to 1/255. An annotation
    of the input's data type in the file goes, in favour of what is declared.

    Raises:
        BadInput: there is no such input, or it holds integers.
    """
    graph = proto.graph
    ports = {port.name: port for port in graph.input if port.name not in {entry.name for entry in graph.initializer}}
    taken = {name for node in graph.node for name in (*node.input, *node.output, node.name)}
    taken |= {entry.name for entry in (*graph.initializer, *graph.input, *graph.output)}
    for given, type_ in types.items():
        name = next(iter(ports)) if not given and len(ports) == 1 else given
        if name not in ports:
            names = ", ".join(f"'{port}'" for port in ports)
            raise BadInput(where, f"has no input '{name}'" if name else "has several inputs", f"Its inputs are {names}")
        if (kind := ports[name].type.tensor_type.elem_type) not in _REAL:
            found = f"is of element type {element_type(kind)} in the file"
            raise BadInput(f"{where}: input '{name}'", found, "Declare types of float inputs only")
        _quantise(graph, name, type_, taken)
        kept = [note for note in graph.quantization_annotation if note.tensor_name != name]
        del graph.quantization_annotation[:]
        graph.quantization_annotation.extend(kept)
    if types and _DOMAIN not in {entry.domain for entry in proto.opset_import}:
        proto.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _quantise(graph: GraphProto, name: str, type_: InputType, taken: set[str]) -> None:
    def fresh(wish: str) -> str:
        while wish in taken:
            wish += "'"
        taken.add(wish)
        return wish

    output, node_name = fresh(f"{name}.declared"), fresh(f"declared type of {name}")
    for node in graph.node:
        for position, read in enumerate(node.input):
            if read == name:
                node.input[position] = output
    parameters = {"scale": float(type_.scale), "zero_point": 0.0, "bit_width": float(type_.bits)}
    names = [fresh(f"{name}.{what}") for what in parameters]
    for entry, value in zip(names, parameters.values(), strict=True):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), entry))
    attributes = {"signed": int(type_.signed), "narrow": 0, "rounding_mode": "ROUND"}
    quant = helper.make_node("Quant", [name, *names], [output], node_name, domain=_DOMAIN, **attributes)
    graph.node.insert(0, quant)


def write_declared(path: Path, types: Mapping[str, InputType], out: Path) -> Path:
    """The model file with these types declared, written to `out` in one piece; `path` itself where there are none.

    Raises:
        BadInput: as `declare`, or the file is no whole ONNX model.
    """
    if not types:
        return path
    proto = parse_proto(path)
    inline_external_data(proto, path)
    declare(proto, types, str(path))
    write_atomic(out, proto.SerializeToString(deterministic=True))
    return out
