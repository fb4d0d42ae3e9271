"""A model's border: inputs declared to hold integers, and outputs with the real factor that the host applies."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from math import prod

from onnx import TensorProto

from fpgaflow.errors import Problem
from fpgaflow.frontend.exact.integers import integers
from fpgaflow.frontend.exact.rescale import linear
from fpgaflow.frontend.exact.values import ONE, ZERO, Affine, Const, Poison, Value
from fpgaflow.frontend.qonnx.context import Context
from fpgaflow.frontend.qonnx.onnx_file import Port, element_type
from fpgaflow.frontend.qonnx.quantizers import QonnxRounding, Quantizer, close
from fpgaflow.frontend.refuse import RefusedNodeError, refuse
from fpgaflow.ir.graph import Output

INTEGER_INPUTS: dict[int, tuple[bool, int]] = {  # element type -> signed, bits
    TensorProto.INT4: (True, 4),
    TensorProto.UINT4: (False, 4),
    TensorProto.INT8: (True, 8),
    TensorProto.UINT8: (False, 8),
    TensorProto.INT16: (True, 16),
    TensorProto.UINT16: (False, 16),
}
_REAL_INPUTS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
MAX_INPUT_ELEMENTS = 1 << 24
MAX_BATCH = 1 << 20


def import_input(ctx: Context, port: Port) -> Value:
    where = f"input '{port.name}'"
    if port.shape is None or len(port.shape) < 2 or any(n is None for n in port.shape[1:]):
        refuse(where, f"has the shape {port.shape}", "Export it with fixed dimensions, (N, ...), N being the batch")
    shape = tuple(n for n in port.shape[1:] if n is not None)
    if prod(shape) > MAX_INPUT_ELEMENTS:
        refuse(where, f"has {prod(shape)} elements", f"At most {MAX_INPUT_ELEMENTS} are carried")
    declared = _declared(port)
    if declared is None and port.elem_type not in _REAL_INPUTS:
        refuse(
            where,
            f"is of element type {element_type(port.elem_type)}",
            "Let it be float with a quantiser, or an integer type of 4, 8 or 16 bits",
        )
    if (port.shape[0] or 1) > MAX_BATCH:
        refuse(where, f"is declared for a batch of {port.shape[0]}", "Leave the batch open, or declare 1")
    value = Value(ctx.builder.add_input(port.name, shape), (), 0, raw=True)
    return value if declared is None else close(ctx.builder, value, declared, where, port.name)


def _declared(port: Port) -> Quantizer | None:
    """The integers that an input is declared to hold, by its element type or by a data type of QONNX beside it."""
    if port.elem_type in INTEGER_INPUTS:
        return _quantizer(*INTEGER_INPUTS[port.elem_type])
    name = (port.datatype or "").upper()
    if (fixed := re.fullmatch(r"FIXED<(\d{1,2}),(-?\d{1,2})>", name)) is not None:
        width, whole = int(fixed[1]), int(fixed[2])
        return _quantizer(True, width, Fraction(2) ** (whole - width)) if 2 <= width <= 32 else None
    if (whole_number := re.fullmatch(r"(U?)INT(\d{1,2})", name)) is not None and 1 <= int(whole_number[2]) <= 32:
        return _quantizer(not whole_number[1], int(whole_number[2]))
    match name:
        case "BINARY":
            return _quantizer(False, 1)
        case "TERNARY":
            return replace(_quantizer(True, 2), low=-1)
        case "BIPOLAR":
            return replace(_quantizer(True, 2), low=-1, bipolar=True)
    return None


def _quantizer(signed: bool, bits: int, scale: Fraction = ONE) -> Quantizer:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return Quantizer((scale,), 0, low, high, signed, bits, QonnxRounding.ROUND, False, 0)


def import_output(ctx: Context, port: Port, problems: list[Problem]) -> Output | None:
    where = f"output '{port.name}'"
    try:
        item = ctx.named(port.name)  # closes a quantiser that was left open, which may refuse
    except RefusedNodeError as refusal:
        problems.append(refusal.problem)
        return None
    if isinstance(item, Poison):
        return None
    if isinstance(item, Const):
        problems.append(Problem(where, "is a constant", "Remove it from the model"))
        return None
    assert isinstance(item, Value)
    only: Affine | None = None
    try:
        item = linear(ctx.builder, item, where, port.name)
        only = item.affine
        tensor, unit = integers(ctx.builder, item, where, port.name, growth=0)
    except RefusedNodeError as refusal:
        if only is not None:  # scales that differ by channel stay at the border: the host applies them
            lsb = _lsb(ctx, item.tensor)
            return Output(item.tensor, port.name, tuple(s * lsb for s in only.scale), only.offset, item.axis)
        problems.append(refusal.problem)
        return None
    ctx.builder.set_source(tensor, port.name, unit)
    return Output(tensor, port.name, (unit * _lsb(ctx, tensor),), (ZERO,), 0)


def _lsb(ctx: Context, tensor: str) -> Fraction:
    return Fraction(2) ** -ctx.builder.type(tensor).fraction
