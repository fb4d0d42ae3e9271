"""A model's border: inputs declared to hold integers, and outputs with the real factor that the host applies."""

from __future__ import annotations

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
    kind = _integer_type(port)
    if kind is None and port.elem_type not in _REAL_INPUTS:
        refuse(
            where,
            f"is of element type {element_type(port.elem_type)}",
            "Let it be float with a quantiser, or an integer type of 4, 8 or 16 bits",
        )
    if (port.shape[0] or 1) > MAX_BATCH:
        refuse(where, f"is declared for a batch of {port.shape[0]}", "Leave the batch open, or declare 1")
    value = Value(ctx.builder.add_input(port.name, shape), (), 0, raw=True)
    if kind is None:
        return value
    signed, bits = kind
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    exact = Quantizer((ONE,), 0, low, high, signed, bits, QonnxRounding.ROUND, False, 0)
    return close(ctx.builder, value, exact, where, port.name)


def _integer_type(port: Port) -> tuple[bool, int] | None:
    """(signed, bits) of an input that is declared to hold integers, by its element type or a QONNX annotation."""
    if port.elem_type in INTEGER_INPUTS:
        return INTEGER_INPUTS[port.elem_type]
    name = port.datatype or ""
    for prefix, signed in (("UINT", False), ("INT", True)):
        if name.startswith(prefix) and name[len(prefix) :].isdecimal() and 1 <= int(name[len(prefix) :]) <= 32:
            return signed, int(name[len(prefix) :])
    return (True, 2) if name in ("BIPOLAR", "TERNARY") else None


def import_output(ctx: Context, port: Port, problems: list[Problem]) -> Output | None:
    item, where = ctx.named(port.name), f"output '{port.name}'"
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
