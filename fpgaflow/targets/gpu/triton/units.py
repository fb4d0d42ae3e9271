"""Which matrix units multiply a layer, and the proof that their sums are exact."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Linear
from fpgaflow.sim.kernels import lift
from fpgaflow.targets.int32 import FEWER, checked_linear, inside
from fpgaflow.targets.refused import Refused

FLOAT_EXACT = 1 << 24  # float32 holds every integer up to here
_FP16_EXACT = 1 << 11
_FP8_BITS = 4  # significant bits of e4m3
_FP8_HIGH = 448
# Ada and Hopper add products of FP8 in fewer bits than float32 has: 14 (DeepSeek-V3 technical report, 2024, section
# 3.5.2). All sums have to stay within 13.
_FP8_SUM = 1 << 13
UINT8_SHIFT = 128


class Units(Enum):
    """INT8: int8 operands, int32 sums. FP16, FP8 (e4m3): float32 sums. FP32: no matrix unit, IEEE float32."""

    INT8 = "int8"
    FP16 = "fp16"
    FP8 = "fp8"
    FP32 = "fp32"


@dataclass(frozen=True)
class Choice:
    """`why` is the proof; `note` tells where other units than those asked for had to be taken."""

    units: Units
    why: str
    reach: int
    note: str | None


def stored(low: int, high: int) -> str:
    """The narrowest dtype of a buffer of integers of [low, high]."""
    for name in ("int8", "uint8", "int16"):
        info = np.iinfo(name)
        if info.min <= low and high <= info.max:
            return name
    return "int32"


def choose(op: Linear, graph: Graph, wanted: Units) -> Choice:
    """The units of a dense or conv: those wanted if their sums are proven, else int8, else float32.

    Raises:
        Refused: none of them is exact.
    """
    low, high = checked_linear(op, graph)
    reach = max(-low, high)
    failures: dict[Units, str] = {}
    for units in dict.fromkeys((wanted, Units.INT8, Units.FP32)):
        found = _failure(op, graph, units)
        if found is None:
            note = None if units is wanted else f"{units.value} units, not {wanted.value}: {failures[wanted]}"
            return Choice(units, _WHY[units], reach, note)
        failures[units] = found
    raise Refused("; ".join(f"{units.value}: {why}" for units, why in failures.items()), FEWER)


_WHY = {
    Units.INT8: "int8 products, and every sum of them within int32",
    Units.FP16: "every operand within 2^11 and every partial sum within 2^24, which float32 sums hold",
    Units.FP8: "every operand has 4 significant bits, and every partial sum is within 2^13",
    Units.FP32: "every partial sum is an integer within 2^24, in IEEE float32",
}


def _failure(op: Linear, graph: Graph, units: Units) -> str | None:
    """Why the units do not multiply the layer exactly."""
    source, weights = graph.type_of(op.inputs[0]), graph.constants[op.weights]
    small, large = int(weights.min()), int(weights.max())
    x, w = max(-source.low, source.high), max(-small, large)
    if units is Units.INT8:
        if stored(small, large) != "int8" or stored(source.low, source.high) not in ("int8", "uint8"):
            return "operands beyond 8 bits"
        try:
            inside(*_shifted_bounds(weights, source.low, source.high), "its sums")
        except Refused as refusal:
            return str(refusal)
        return None
    sums = np.abs(weights.astype(object)).reshape(-1, weights.shape[-1]).sum(axis=0).max() * x
    if sums > FLOAT_EXACT:
        return f"sums of products reach {sums}, beyond 2^24"
    if units is Units.FP16 and max(x, w) > _FP16_EXACT:
        return "operands beyond 2^11"
    if units is Units.FP8:
        if source.width > _FP8_BITS + source.signed or not np.all(_in_fp8(weights)):
            return "operands that 4 significant bits do not hold"
        if sums > _FP8_SUM:
            return f"sums of products reach {sums}, beyond 2^13"
    return None


def _shifted_bounds(weights: np.ndarray, low: int, high: int) -> tuple[int, int]:
    """Of the sums in the kernel: uint8 activations are moved down by 128, and sums may begin with any term."""
    if high > UINT8_SHIFT - 1:
        low, high = low - UINT8_SHIFT, high - UINT8_SHIFT
    reach = int(np.abs(weights).reshape(-1, weights.shape[-1]).sum(axis=0).max()) * max(-low, high)
    return -reach, reach


def _in_fp8(values: np.ndarray) -> np.ndarray:
    """Whether e4m3 holds each integer: four significant bits, up to 448."""
    size = np.abs(values).astype(np.int64)
    lowest = size & -size
    return (size <= _FP8_HIGH) & (size < (lowest << _FP8_BITS)) | (size == 0)


def kernel_bias(op: Linear, graph: Graph, choice: Choice) -> np.ndarray:
    """int64 (filters,): the bias in the accumulator's units, with what moving activations down by 128 took away.

    Raises:
        Refused: int32 does not hold it.
    """
    weights, source = graph.constants[op.weights], graph.type_of(op.inputs[0])
    total = np.zeros(weights.shape[-1], dtype=object)
    if op.bias is not None and op.bias_type is not None:
        total = total + (graph.constants[op.bias].astype(object) << op.accum.fraction - op.bias_type.fraction)
    if is_shifted(choice, stored(source.low, source.high)):
        sums = weights.reshape(-1, weights.shape[-1]).sum(axis=0).astype(object)
        total = total + (UINT8_SHIFT * sums << lift(op, graph))
    inside(int(total.min()), int(total.max()), "its bias")
    return total.astype(np.int64)


def is_shifted(choice: Choice, dtype: str) -> bool:
    return choice.units is Units.INT8 and dtype == "uint8"
