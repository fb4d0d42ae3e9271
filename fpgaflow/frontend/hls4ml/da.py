"""The adder graphs of hls4ml's "distributed_arithmetic" strategy, read back as matrices.

da4ml writes the products with constant weights as C++ of additions and shifts, in types that hold every sum; hls4ml
then drops the weights. The code is affine in its inputs, so its coefficients are found by following it line by line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fpgaflow.frontend.exact.values import dyadic_fraction
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, within
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops_table import CastEach
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for

_TYPE = r"ap_(u?)fixed<(-?\d+), ?(-?\d+)(?:, ?AP_(\w+), ?AP_(\w+))?>"
_NUMBER = r"[\d.]+(?:e[-+]?\d+)?"
_LINE = re.compile(rf"{_TYPE} (v\d+|model_inp_q_\d+) = (.*)")
_INPUT = re.compile(r"model_inp\[(\d+)\]|(model_inp_q_\d+)")
_OUTPUT = re.compile(rf"model_out\[(\d+)\] = (?:{_TYPE}\((.*)\)|0)")
_TERM = re.compile(rf"([-+]?) ?(?:(?:bit_shift<(-?\d+)>\()?(v\d+)\)?|(?:ap_u?fixed<[-\d,]+>\()?({_NUMBER})\)?)")


@dataclass(frozen=True)
class Affine:
    """outputs = inputs × weights + bias, exact.

    Attributes:
        weights: (inputs, outputs) integers of `weight_type`.
        bias: (outputs,) integers of `bias_type`, or None.
        types, rounding, overflow: what each input is cast to first; no type where it counts for nothing.
        integer_bits: of the results' types in C++; None where they differ.
    """

    weights: Ints
    weight_type: FixedType
    bias: Ints | None
    bias_type: FixedType | None
    types: tuple[FixedType | None, ...]
    rounding: Rounding
    overflow: Overflow
    integer_bits: int | None


Row = dict[int | None, Fraction]  # coefficients by input; that of None is the constant


def affine(code: str, inputs: int) -> Affine:
    """What the C++ `code` of da4ml computes.

    Raises:
        RefusedError: it does more than additions and shifts.
    """
    values: dict[str, Row] = {}
    types: dict[int, FixedType] = {}
    modes = {(Rounding.TRN, Overflow.WRAP)}
    results: dict[int, tuple[Row, int]] = {}
    for text in code.splitlines():
        line = text.split("//")[0].strip().rstrip(";")
        if found := _LINE.fullmatch(line):
            unsigned, width, integer, rounding, overflow, name, value = found.groups()
            type_ = FixedType(not unsigned, int(width), int(width) - int(integer))
            if (value in values and not values[value]) or value == "0":
                values[name] = {}
            elif source := _INPUT.fullmatch(value):
                index = int(source[1]) if source[1] else int(str(source[2]).rpartition("_")[2])
                values[name] = {index: Fraction(1)}
                types.setdefault(index, type_)  # the first cast is that of a quantiser, if there is one
                modes = modes if rounding is None else {(Rounding(rounding), Overflow(overflow))}
            else:
                values[name] = _sum(value, values)
        elif found := _OUTPUT.fullmatch(line):
            row = _sum(found[7], values) if found[7] else {}
            results[int(found[1])] = row, int(found[4]) if found[4] else 1
        elif " = " in line:
            raise RefusedError(f"code of da4ml that is no sum: {line}")
    return _matrix([results[i] for i in range(len(results))], types, inputs, next(iter(modes)))


def _sum(text: str, values: dict[str, Row]) -> Row:
    total: Row = {}
    place = 0
    while place < len(text):
        if (found := _TERM.match(text, place)) is None or found.end() == place:
            raise RefusedError(f"code of da4ml that is no sum: {text}")
        sign, shift, name, number = found.groups()
        factor = Fraction(2) ** int(shift or 0) * (-1 if sign == "-" else 1)
        for key, value in values[name].items() if name else ((None, Fraction(float(number))),):
            total[key] = total.get(key, Fraction(0)) + factor * value
        place = found.end()
        while place < len(text) and text[place] == " ":
            place += 1
    return total


def _matrix(
    results: list[tuple[Row, int]], types: dict[int, FixedType], inputs: int, modes: tuple[Rounding, Overflow]
) -> Affine:
    columns = [[row.get(i, Fraction(0)) for i in range(inputs)] for row, _ in results]
    weights, weight_type = _integers(columns)
    constants = [[row.get(None, Fraction(0)) for row, _ in results]]
    bias, bias_type = _integers(constants)
    return Affine(
        np.ascontiguousarray(weights.T),
        weight_type,
        bias[0] if bias.any() else None,
        bias_type if bias.any() else None,
        tuple(types.get(i) for i in range(inputs)),
        *modes,
        results[0][1] if len({bits for _, bits in results}) == 1 else None,
    )


def _integers(rows: list[list[Fraction]]) -> tuple[Ints, FixedType]:
    fraction = dyadic_fraction(tuple(value for row in rows for value in row)) or 0
    array = np.array([[int(value * Fraction(2) ** fraction) for value in row] for row in rows], dtype=np.int64)
    return array, type_for(int(array.min()), int(array.max()), fraction)


def cast_inputs(reader: Reader, layer: Any, source: Tensor, found: Affine) -> Tensor:
    """`source` (..., channels) as the code's inputs, which for a convolution repeat the channels for each tap."""
    if all(type_ is None or within(source.type, type_) for type_ in found.types):
        return source
    channels = source.shape[-1]
    types = np.zeros((channels, 3), dtype=np.int64)
    kept: set[FixedType] = set()
    for channel in range(channels):
        kinds = {type_ for type_ in found.types[channel::channels] if type_ is not None}
        if len(kinds) > 1:
            raise RefusedError("a convolution whose taps have types of their own")
        for type_ in kinds:
            types[channel] = type_.signed, type_.width, type_.fraction
        kept |= kinds
    name = f"{layer.name}.inputs"
    fraction = max(t.fraction for t in kept)
    ends = [(t.low << fraction - t.fraction, t.high << fraction - t.fraction) for t in kept]
    result = type_for(min(0, *(low for low, _ in ends)), max(high for _, high in ends), fraction)
    columns = types.T.reshape(3, *(1,) * (len(source.shape) - 1), channels)
    reader.constants[f"{name}.types"] = np.broadcast_to(columns, (3, *source.shape)).copy()
    op = CastEach(name, (source.name,), name, layer.name, f"{name}.types", found.rounding, found.overflow)
    return reader.emit(op, source.shape, result)
