"""What 32-bit integers carry: the bounds that engines of integer arithmetic prove before they compute."""

from __future__ import annotations

import numpy as np

from fpgaflow.frontend.exact.values import is_power_of_two
from fpgaflow.ir.bounds import linear_bounds
from fpgaflow.ir.graph import Graph, Input, Output
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops import Linear
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.sim.kernels import lift
from fpgaflow.targets.certificate import Entry
from fpgaflow.targets.refused import Refused

LIMIT = 1 << 31
FEWER = "Use fewer bits"
_EXACT_FLOAT = 1 << 24  # float32 holds every integer up to here


def inside(low: int, high: int, what: str) -> None:
    """Refuses integers that int32 does not hold."""
    if low < -LIMIT or high >= LIMIT:
        raise Refused(f"{what} reach 2^{max(-low, high).bit_length() - 1}, beyond int32", FEWER)


def held(type_: FixedType) -> None:
    """Refuses a type whose integers int32 does not hold."""
    inside(type_.low, type_.high, f"integers of {type_}")


def int8(low: int, high: int) -> bool:
    return low >= -128 and high <= 127


def checked_linear(op: Linear, graph: Graph) -> tuple[int, int]:
    """Bounds of every partial sum of a dense or conv, in the accumulator's units.

    Raises:
        Refused: int32 does not hold them, or the accumulator cuts bits off each product.
    """
    held(op.accum)
    source, up = graph.type_of(op.inputs[0]), lift(op, graph)
    bias = None if op.bias is None else graph.constants[op.bias]
    bias_up = bias_lift(op)
    if min(up, bias_up) < 0:
        raise Refused(f"its accumulator {op.accum} cuts bits off each product", "Give the accumulator their fraction")
    bounds = linear_bounds(graph.constants[op.weights], bias, bias_up, source.low << up, source.high << up)
    inside(*bounds, "its sums")
    return bounds


def bias_lift(op: Linear) -> int:
    """Bits from the bias' fraction up to the accumulator's."""
    return 0 if op.bias_type is None else op.accum.fraction - op.bias_type.fraction


def lifts(op: Op, graph: Graph) -> list[int]:
    """Bits that bring each operand to the finest fraction of them.

    Raises:
        Refused: int32 does not hold the operands there, or the result.
    """
    types = [graph.type_of(name) for name in op.inputs]
    finest = max(type_.fraction for type_ in types)
    for type_ in types:
        inside(type_.low << finest - type_.fraction, type_.high << finest - type_.fraction, "aligned operands")
    held(graph.type_of(op.output))
    return [finest - type_.fraction for type_ in types]


def factors(
    weights: np.ndarray, bias: np.ndarray | None, lifts_: tuple[int, int], source: FixedType
) -> tuple[np.ndarray, np.ndarray | None]:
    """Factors and offsets (int64) of x × factor + offset in the result's units, `lifts_` bits up each.

    Raises:
        Refused: int32 does not hold a product, or an offset.
    """
    largest = int(np.abs(weights).max()) * max(-source.low, source.high) << lifts_[0]
    inside(-largest, largest, "its products")
    lifted = None
    if bias is not None:
        exact = bias.astype(object) << lifts_[1]
        inside(int(exact.min()), int(exact.max()), "its offsets")
        lifted = exact.astype(np.int64)
    return weights.astype(np.int64) << lifts_[0], lifted


def input_entry(port: Input) -> Entry:
    saturates = port.overflow in (Overflow.SAT, Overflow.SAT_SYM)
    small = max(-port.low, port.high) <= _EXACT_FLOAT
    exact = is_power_of_two(port.gain) and port.offset == 0 and saturates and small and not port.ap_int
    why = "a power-of-two factor is exact in float32"
    if not exact:
        why = f"x × {float(port.gain)} + {float(port.offset)} and its overflow are computed in float32, which rounds"
    return Entry(port.name, "Input", "float32", exact, why)


def output_entry(port: Output, graph: Graph) -> Entry:
    type_ = graph.type_of(port.tensor)
    if max(-type_.low, type_.high) > _EXACT_FLOAT:
        return Entry(port.name, "Output", "float32", False, f"float32 does not hold every integer of {type_}")
    exact = all(is_power_of_two(abs(s)) for s in port.scale if s) and not any(port.offset)
    why = (
        "power-of-two scales"
        if exact
        else "its scale or offset is applied in float32, which rounds; integers are exact"
    )
    return Entry(port.name, "Output", "float32", exact, why)
