"""Recurrent operations: a cell that goes along a sequence, its state from one step to the next.

What they compute, bit for bit, is written in `fpgaflow.sim.kernels_recurrent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fpgaflow.ir.op import Op
from fpgaflow.ir.types import FixedType, Overflow, Rounding


class Cell(Enum):
    LSTM = "lstm"  # gates input, forget, output, candidate; states h and s
    GRU = "gru"  # gates update, reset, candidate; state h; reset after the product with the recurrent weights

    @property
    def gates(self) -> int:
        return 4 if self is Cell.LSTM else 3

    @property
    def states(self) -> int:
        return 2 if self is Cell.LSTM else 1


class CellActivation(Enum):
    RELU = "relu"
    SIGMOID = "sigmoid"
    TANH = "tanh"

    @property
    def reach(self) -> int:
        """Its table covers the inputs from -reach to reach."""
        return {"relu": 0, "sigmoid": 8, "tanh": 4}[self.value]


@dataclass(frozen=True)
class Recurrent(Op):
    """A cell over the first axis of the gates' input parts (steps, gates × units): states of the output's type.

    The input parts, bias included, are of type `accum`. Further inputs are the initial states (units,), else zeros.
    The output is the last h (units,), or with `sequence` all of them (steps, units). With `backward` the cell goes
    from the last step to the first, and each h stands at the step that it read.

    `weights` (units, gates × units) and `bias` (gates × units,) are the recurrent ones, summed as by an OrderedDense
    into `accum`, over the units u in the order of (u mod fold, u). All that is not a state is of type `accum`.
    `gate_table` and `candidate_table` are the tables of those activations, of `table_type`; relu has none.
    """

    cell: Cell
    sequence: bool
    backward: bool
    weights: str
    weight_type: FixedType
    bias: str
    bias_type: FixedType
    fold: int
    accum: FixedType
    accum_rounding: Rounding
    accum_overflow: Overflow
    gate: CellActivation
    gate_table: str | None
    candidate: CellActivation
    candidate_table: str | None
    table_type: FixedType
    rounding: Rounding
    overflow: Overflow


RECURRENT_OPS: tuple[type[Op], ...] = (Recurrent,)
