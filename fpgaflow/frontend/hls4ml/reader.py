"""Reading an hls4ml model: the ops found so far, and what every layer's reader needs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hls4ml.model.types import FixedPrecisionType, IntegerPrecisionType, XnorPrecisionType

from fpgaflow.ir.graph import Graph, Input, Ints, Output, Source, Tensor
from fpgaflow.ir.ops import Cast, Op
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import limits, quantise

_MAX_WEIGHT_WIDTH = 53  # hls4ml hands constants to C++ as float64 literals
_MAX_AP_INT = 64  # wider ones were seen to come out wrong as doubles, and where they are assigned
AP_INTS = (IntegerPrecisionType, XnorPrecisionType)  # what C++ holds as ap_int or ap_uint
Padding = tuple[tuple[int, int], ...]


class RefusedError(Exception):
    """A layer that a graph cannot hold: what was found, and what to do."""

    def __init__(self, found: str, fix: str = "Leave it out, or simulate this model with hls4ml's own csim") -> None:
        super().__init__(found)
        self.fix = fix


def fixed_type(precision: Any) -> tuple[FixedType, Rounding, Overflow]:
    """An hls4ml precision and what a cast into it does.

    ap_int truncates toward zero, unlike an ap_fixed without fraction bits (ap_fixed_base.h, to_ap_int_base).
    """
    if isinstance(precision, AP_INTS):
        if precision.width > _MAX_AP_INT:
            raise RefusedError(
                f"{precision}: hls4ml's C++ loses bits of an ap_int beyond {_MAX_AP_INT}", "Use ap_fixed"
            )
        return FixedType(bool(precision.signed), int(precision.width), 0), Rounding.TRN_ZERO, Overflow.WRAP
    if not isinstance(precision, FixedPrecisionType):
        raise RefusedError(f"type {type(precision).__name__} '{precision}' is no ap_fixed or ap_int")
    if precision.saturation_bits:
        raise RefusedError(f"type '{precision}' has saturation bits")
    width = int(precision.width)  # bit_exact.py leaves numpy's integers, which overflow when shifted
    type_ = FixedType(bool(precision.signed), width, width - int(precision.integer))
    return type_, Rounding(str(precision.rounding_mode)), Overflow(str(precision.saturation_mode))


def assigned(
    precision: Any, source: FixedType, integer_bits: int | None = None
) -> tuple[FixedType, Rounding, Overflow]:
    """Like `fixed_type`, where what is assigned is a value of `source`.

    Args:
        integer_bits: those of the expression's type in C++, which may be wider than `source`.
    """
    type_, rounding, overflow = fixed_type(precision)
    if isinstance(precision, AP_INTS) and source.signed and source.integer_bits <= 0:
        # ap_fixed_base.h, to_ap_int_base: without integer bits, the carry toward zero has no bit to go to
        if integer_bits is None:
            raise RefusedError(f"{source} to ap_int: hls4ml's C++ gives -1 for negative fractions")
        if integer_bits <= 0:
            rounding = Rounding.TRN
    return type_, rounding, overflow


def compared_as_unsigned(left: FixedType, right: FixedType) -> bool:
    """Whether C++ compares a signed with an unsigned number as two unsigned ones: a negative one is the largest.

    ap_private.h, operator> and operator<, of what ap_fixed_base.h, OP_CMP_AF, aligns.
    """
    shift = left.fraction - right.fraction
    widths = left.width + (1 - shift if shift < 0 else 0), right.width + max(shift, 0)
    if left.signed == right.signed or max(widths) < 32:
        return False
    signed, unsigned = widths if left.signed else widths[::-1]
    return unsigned >= signed


def is_integer(precision: Any, width: int, *, signed: bool = False) -> bool:
    return isinstance(precision, AP_INTS) and (precision.width, precision.signed) == (width, signed)


def within(inner: FixedType, outer: FixedType) -> bool:
    """Whether every value of one type is a value of the other."""
    shift = outer.fraction - inner.fraction
    return shift >= 0 and inner.low << shift >= outer.low and inner.high << shift <= outer.high


def constant(layer: Any, key: str) -> tuple[Ints, FixedType]:
    """A weight variable's integers: what C++ makes of the decimal numbers that hls4ml writes."""
    variable = layer.weights[key]
    if getattr(variable, "weight_class", "WeightVariable") != "WeightVariable":
        raise RefusedError(f"{key} is a {variable.weight_class}")
    type_, rounding, overflow = fixed_type(variable.type.precision)
    if type_.width > _MAX_WEIGHT_WIDTH:
        raise RefusedError(f"{key} of {type_.width} bits: hls4ml hands them to C++ as float64 literals")
    data = np.asarray(variable.data, dtype=np.float64)
    scaled = data * 2.0**type_.fraction
    if not ((scaled == np.rint(scaled)) & (scaled >= type_.low) & (scaled <= type_.high)).all():
        data = np.vectorize(lambda v: float(variable.precision_fmt.format(v)), otypes=[np.float64])(data)
    low, high = limits(type_, overflow)
    port = Input(key, key, Fraction(2) ** type_.fraction, Fraction(0), rounding, overflow, low, high)
    return quantise(data, port, type_), type_


class Reader:
    """Ops read so far.

    Attributes:
        at: hls4ml's tensors to ours.
        padded: its zero-padded tensors to what was padded.
        flat: its streams that flatten another and keep that one's beats, which few layers know how to read.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.ops: list[Op] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, Ints] = {}
        self.inputs: list[Input] = []
        self.at: dict[str, str] = {}
        self.padded: dict[str, tuple[str, Padding]] = {}
        self.flat: set[str] = set()
        self.stream = model.config.get_config_value("IOType") == "io_stream"

    def source(self, layer: Any, index: int = 0) -> Tensor:
        return self.tensors[self.at[layer.inputs[index]]]

    def tensor(self, name: str, shape: tuple[int, ...], type_: FixedType, layer: Any = None) -> str:
        there = Source(layer.name, tuple(range(len(shape))), shape, Fraction(1)) if layer is not None else None
        self.tensors[name] = Tensor(name, shape, type_, there)
        return name

    def emit(self, op: Op, shape: tuple[int, ...], type_: FixedType) -> Tensor:
        """An op of a layer that takes several, and its result, which hls4ml has no name for."""
        self.ops.append(op)
        return self.tensors[self.tensor(op.output, shape, type_)]

    def named(self, layer: Any, op: Op, shape: tuple[int, ...], type_: FixedType) -> None:
        """The layer's last op, which gives the layer's result as it is; `op.output` is its name."""
        if shape != tuple(layer.get_output_variable().shape):
            raise RefusedError(f"output shape {layer.get_output_variable().shape}, but its operation gives {shape}")
        self.ops.append(op)
        self.at[op.output] = self.tensor(op.output, shape, type_, layer)

    def result(
        self, layer: Any, op: Op, shape: tuple[int, ...], type_: FixedType, integer_bits: int | None = None
    ) -> None:
        """The layer's op, then the cast from its exact result to the layer's result type (see `assigned`)."""
        self.cast(layer, self.emit(op, shape, type_).name, layer.outputs[0], integer_bits)

    def convert(self, layer: Any, tensor: Tensor, name: str, precision: Any, integer_bits: int | None = None) -> Tensor:
        """`tensor` assigned to a variable of `precision` inside of the layer; itself where that changes nothing."""
        type_, rounding, overflow = assigned(precision, tensor.type, integer_bits)
        if type_ == tensor.type and overflow is not Overflow.SAT_SYM:
            return tensor
        return self.emit(Cast(name, (tensor.name,), name, layer.name, rounding, overflow), tensor.shape, type_)

    def cast(self, layer: Any, tensor: str, name: str, integer_bits: int | None = None) -> None:
        """`tensor` in the type of the layer's output `name` (see `assigned`)."""
        variable, source = layer.get_output_variable(name), self.tensors[tensor]
        type_, rounding, overflow = assigned(variable.type.precision, source.type, integer_bits)
        if tuple(variable.shape) != source.shape:
            raise RefusedError(f"output shape {variable.shape}, but its operation gives {source.shape}")
        self.ops.append(Cast(f"{name}.result", (tensor,), name, layer.name, rounding, overflow))
        self.at[name] = self.tensor(name, source.shape, type_, layer)

    def graph(self) -> Graph:
        outputs = []
        for name in self.model.outputs:
            tensor = self.tensors[self.at[name]]
            outputs.append(Output(tensor.name, name, (Fraction(2) ** -tensor.type.fraction,), (Fraction(0),), 0))
        project = self.model.config.get_project_name()
        return Graph(project, tuple(self.inputs), tuple(outputs), tuple(self.ops), self.tensors, self.constants)
