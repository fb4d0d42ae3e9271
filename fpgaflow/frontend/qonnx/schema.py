"""Whether a node is written as its operator's definition says: its attributes, their types, how many inputs it has.

An attribute that nobody defines would be ignored in silence, by a misspelling for example.
"""

from __future__ import annotations

import numpy as np
from onnx import defs

from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse

_FIX = "Export the model again, or give the attributes of its operator set (onnx.checker names them)"
_TYPES: dict[defs.OpSchema.AttrType, tuple[type, ...]] = {
    defs.OpSchema.AttrType.FLOAT: (float,),
    defs.OpSchema.AttrType.INT: (int,),
    defs.OpSchema.AttrType.STRING: (str,),
    defs.OpSchema.AttrType.TENSOR: (np.ndarray,),
}
_LISTS: dict[defs.OpSchema.AttrType, type] = {
    defs.OpSchema.AttrType.FLOATS: float,
    defs.OpSchema.AttrType.INTS: int,
}
_QONNX: dict[str, frozenset[str]] = {
    "BipolarQuant": frozenset(),
    "IntQuant": frozenset({"signed", "narrow", "rounding_mode"}),
    "MultiThreshold": frozenset({"out_dtype", "out_scale", "out_bias", "data_layout"}),
    "Quant": frozenset({"signed", "narrow", "rounding_mode"}),
    "Trunc": frozenset({"signed", "narrow", "rounding_mode"}),
}


def check_node(node: Node, opset: int) -> None:
    """Refuses a node that its definition does not allow; operators that are not defined are left to the importers."""
    if (known := _QONNX.get(node.kind)) is not None:
        if unknown := sorted(node.attributes.keys() - known):
            refuse(str(node), f"an attribute '{unknown[0]}' that {node.kind} does not have", _FIX)
        return
    if node.domain not in ("", "ai.onnx") or (schema := _schema(node.kind, opset)) is None:
        return
    for name, value in node.attributes.items():
        if name not in schema.attributes:
            refuse(str(node), f"an attribute '{name}' that {node.kind} of opset {opset} does not have", _FIX)
        if not _fits(schema.attributes[name].type, value):
            refuse(str(node), f"attribute {name} = {value!r:.60} is of the wrong type", _FIX)
    for name, attribute in schema.attributes.items():
        if attribute.required and name not in node.attributes:
            refuse(str(node), f"no attribute '{name}', which {node.kind} needs", _FIX)
    if not schema.min_input <= len(node.inputs) <= schema.max_input:
        refuse(str(node), f"{len(node.inputs)} inputs, where {schema.min_input} to {schema.max_input} belong", _FIX)


def _schema(kind: str, opset: int) -> defs.OpSchema | None:
    """The definition in force at an opset; this onnx package's newest, where the opset is newer still."""
    try:
        return defs.get_schema(kind, min(opset, defs.onnx_opset_version()), "")
    except defs.SchemaError:
        return None


def _fits(kind: defs.OpSchema.AttrType, value: object) -> bool:
    if kind in _LISTS:
        return isinstance(value, list | tuple) and all(isinstance(entry, _LISTS[kind]) for entry in value)
    return kind not in _TYPES or isinstance(value, _TYPES[kind])
