"""The integer graph: ops in topological order, tensors in single-assignment form, constants by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from fpgaflow.ir.ops import Op
from fpgaflow.ir.types import FixedType, Overflow, Rounding

Ints = np.ndarray  # int64, C order


@dataclass(frozen=True)
class Source:
    """Where a tensor stands in the user's model: its name there, and how ours is read as theirs.

    Theirs = ours.transpose(perm).reshape(shape) × unit, without the batch axis.
    """

    name: str
    perm: tuple[int, ...]
    shape: tuple[int, ...]
    unit: Fraction


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]  # without the batch
    type: FixedType
    source: Source | None = None


@dataclass(frozen=True)
class Input:
    """A model input and its quantiser: integer = overflow(round(x × gain + offset)) in the tensor's type.

    `gain` and `offset` are exact. `low` and `high` bound the integers where the quantiser's range is narrower than
    the type's (narrow range), else they are the type's own. `ap_int` marks hls4ml's conversion of a float to ap_int,
    which gives 1 for what lies between -1/2 and 0 (ap_int_base.h, ap_int_base(double)).
    """

    tensor: str
    name: str
    gain: Fraction
    offset: Fraction
    rounding: Rounding
    overflow: Overflow
    low: int
    high: int
    ap_int: bool = False


@dataclass(frozen=True)
class Output:
    """A model output: value = integer × scale + offset, both exact; one entry for all, or one per entry of `axis`."""

    tensor: str
    name: str
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    axis: int


@dataclass(frozen=True)
class Graph:
    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, Ints]

    @cached_property
    def producers(self) -> Mapping[str, Op]:
        """Tensor name to the op that makes it."""
        return {op.output: op for op in self.ops}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Op, ...]]:
        """Tensor name to the ops that read it, in order."""
        users: dict[str, list[Op]] = {name: [] for name in self.tensors}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                users[name].append(op)
        return {name: tuple(ops) for name, ops in users.items()}

    def type_of(self, name: str) -> FixedType:
        return self.tensors[name].type

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides a bit: equal graphs have equal digests."""
        state = hashlib.sha256()
        for part in (self.name, self.inputs, self.outputs, self.ops, sorted(self.tensors.items())):
            state.update(repr(part).encode())
        for name in sorted(self.constants):
            array = self.constants[name]
            state.update(f"{name}{array.shape}".encode())
            state.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return state.hexdigest()


def constant_names(op: Op) -> tuple[str, ...]:
    """Names of the constants that an op reads."""
    names = (getattr(op, field.name) for field in fields(op) if field.name in CONSTANT_FIELDS)
    return tuple(name for name in names if name is not None)


CONSTANT_FIELDS = frozenset(
    {
        "weights",
        "bias",
        "thresholds",
        "signs",
        "divisors",
        "indices",
        "table",
        "knots",
        "slopes",
        "offsets",
        "types",
        "gate_table",
        "candidate_table",
    }
)


def rename_inputs(op: Op, names: Mapping[str, str]) -> Op:
    """The op reading `names[x]` wherever it read x."""
    inputs = tuple(names.get(name, name) for name in op.inputs)
    return op if inputs == op.inputs else replace(op, inputs=inputs)
