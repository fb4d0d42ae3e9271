"""hls4ml's LSTM, GRU and Bidirectional: the gates' input parts as a dense layer over all steps, then the cell.

`nnet_recurrent.h` and `nnet_recr_activations.h` are what they compute; `backends/vivado/passes/recurrent_templates.py`
is how they are configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hls4ml.model.types import IntegerPrecisionType, XnorPrecisionType

from fpgaflow.frontend.hls4ml.linear import Sum
from fpgaflow.frontend.hls4ml.products import Product, product
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, constant, fixed_type, is_integer
from fpgaflow.frontend.hls4ml.tables import activation_table
from fpgaflow.frontend.hls4ml.time import time_distributed
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops import Dense, Reshape
from fpgaflow.ir.ops_merge import Concat, OrderedDense, Take
from fpgaflow.ir.ops_recurrent import Cell, CellActivation, Recurrent
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.sim.fixed_point import cast

_COMPILE = "hls4ml's C++ does not compile with it"


def simple_rnn(reader: Reader, layer: Any) -> None:
    raise RefusedError("hls4ml's Vivado and Vitis backends have no C++ for it", "Use an LSTM or a GRU")


def recurrent(reader: Reader, layer: Any) -> None:
    """LSTM and GRU."""
    part = _Part(reader, layer, "", Cell(layer.class_name.lower()), int(layer.get_attr("n_out")))
    reuse = int(layer.get_attr("reuse_factor")), int(layer.get_attr("recurrent_reuse_factor"))
    initial = _initial_states(reader, layer) if layer.get_attr("pass_initial_states") else ()
    name = layer.outputs[0]
    op = part.read(name, initial, reuse, chosen_by=reuse[0], backward=False)
    reader.named(layer, op, part.shape, part.state)


def bidirectional(reader: Reader, layer: Any) -> None:
    """Two cells over one sequence, their results side by side."""
    if reader.stream:
        raise RefusedError("hls4ml has no io_stream Bidirectional", "Use io_parallel")
    units = {direction: int(layer.get_attr(f"{direction}_n_states")) for direction in ("forward", "backward")}
    if layer.get_attr("n_out") != sum(units.values()):
        raise RefusedError(f"merge mode '{layer.get_attr('merge_mode')}': hls4ml concatenates, beyond its output")
    halves = []
    for direction, count in units.items():
        cell = Cell(layer.get_attr(f"{direction}_class_name").lower())
        part = _Part(reader, layer, f"{direction}_", cell, count)
        # Of the factors that hls4ml adjusts for each direction, the C++ has the recurrent one only.
        reuse = int(layer.get_attr("reuse_factor")), int(layer.get_attr(f"{direction}_recurrent_reuse_factor"))
        chosen_by = int(layer.get_attr(f"{direction}_reuse_factor"))
        op = part.read(f"{layer.name}.{direction}", (), reuse, chosen_by, backward=direction == "backward")
        halves.append(reader.emit(op, part.shape, part.state))
    shape, name = (*halves[0].shape[:-1], sum(units.values())), layer.outputs[0]
    both = Concat(name, tuple(half.name for half in halves), name, layer.name, len(shape) - 1)
    reader.named(layer, both, shape, halves[0].type)


def _initial_states(reader: Reader, layer: Any) -> tuple[str, ...]:
    if reader.stream:
        raise RefusedError("hls4ml has no initial states in io_stream", "Use io_parallel")
    own = [
        key for key in ("weight", "bias") if str(_precision(layer, key)) != str(_precision(layer, f"recurrent_{key}"))
    ]
    if own:
        raise RefusedError(f"initial states, and a recurrent {own[0]} of another type than the {own[0]}: {_COMPILE}")
    units, result = int(layer.get_attr("n_out")), layer.get_output_variable().type.precision
    names = []
    for index, name in enumerate(layer.inputs[1:], start=1):
        readers = [other.name for other in reader.model.get_layers() for read in other.inputs if read == name]
        if readers != [layer.name] or name in reader.model.outputs:
            raise RefusedError(f"initial state '{name}' has other readers: hls4ml leaves the last state in its place")
        if str(layer.get_input_variable(name).type.precision) != str(result):
            raise RefusedError(f"initial state '{name}' is not of the result's type: {_COMPILE}")
        state = reader.source(layer, index)
        if state.shape != (units,):
            flat = f"{layer.name}.{name}"
            state = reader.emit(Reshape(flat, (state.name,), flat, layer.name), (units,), state.type)
        names.append(state.name)
    return tuple(names)


def _precision(layer: Any, key: str) -> Any:
    return layer.weights[key].type.precision


@dataclass(frozen=True)
class _Part:
    """One cell of a layer; `prefix` leads the names of its weights and activations."""

    reader: Reader
    layer: Any
    prefix: str
    cell: Cell
    units: int

    @cached_property
    def source(self) -> Tensor:
        return self.reader.source(self.layer)

    @cached_property
    def precisions(self) -> tuple[Any, Any, Any]:
        """Of the input, the accumulator and the result, which the states share."""
        layer = self.layer
        variables = layer.get_input_variable(), layer.get_output_variable()
        return variables[0].type.precision, layer.get_attr("accum_t").precision, variables[1].type.precision

    @property
    def columns(self) -> int:
        return self.cell.gates * self.units

    @property
    def state(self) -> FixedType:
        return fixed_type(self.precisions[2])[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*(self.source.shape[:1] if self.layer.get_attr("return_sequences") else ()), self.units)

    def read(
        self, name: str, initial: tuple[str, ...], reuse: tuple[int, int], chosen_by: int, *, backward: bool
    ) -> Recurrent:
        """The cell as an op, after the ops that it needs.

        Args:
            reuse: of the input's and of the recurrent products.
            chosen_by: the reuse factor by which hls4ml chooses the C++ of both.
        """
        if len(self.source.shape) != 2:
            raise RefusedError(f"it is made for inputs (steps, features) and reads {self.source.shape}")
        self._check_types()
        fold = self._fold(reuse[0], chosen_by, self.source.shape[1]), self._fold(reuse[1], chosen_by, self.units)
        parts = self._dense(f"{name}.parts", fold[0])
        state = Tensor(name, (self.units,), self.state)
        by, weights = self._weights("recurrent_weight", state)
        bias, bias_type = self._bias("recurrent_bias")
        self.reader.constants |= {f"{name}.weight": weights, f"{name}.bias": bias}
        _, accum_rounding, accum_overflow = fixed_type(self.precisions[1])
        _, rounding, overflow = fixed_type(self.precisions[2])
        gate, gate_table = self._activation("recurrent_activation", f"{name}.gate")
        candidate, candidate_table = self._activation("activation", f"{name}.candidate")
        return Recurrent(
            *(name, (parts.name, *initial), name, self.layer.name),
            cell=self.cell,
            sequence=bool(self.layer.get_attr("return_sequences")),
            backward=backward,
            weights=f"{name}.weight",
            weight_type=by.weight_type,
            bias=f"{name}.bias",
            bias_type=bias_type,
            fold=fold[1],
            accum=parts.type,
            accum_rounding=accum_rounding,
            accum_overflow=accum_overflow,
            gate=gate,
            gate_table=gate_table,
            candidate=candidate,
            candidate_table=candidate_table,
            table_type=self._table_type,
            rounding=rounding,
            overflow=overflow,
        )

    def _check_types(self) -> None:
        """Refuses what does not compile, or what hls4ml's C++ takes for something else."""
        data, accum, result = self.precisions
        # lstm_stack's branch that is not static has to compile too; a Bidirectional has only the one that it takes.
        all_equal = len({str(precision) for precision in self.precisions}) == 1
        if self.cell is Cell.LSTM and not all_equal and not (self.prefix and self.layer.get_attr("static")):
            found = f"an LSTM of which input {data}, accumulator {accum} and result {result} differ: {_COMPILE}"
            raise RefusedError(found, "Give all three one type")
        if isinstance(data, XnorPrecisionType):
            raise RefusedError("binary inputs: hls4ml multiplies the states as if they were binary too")
        for precision, key in ((data, "weight"), (result, "recurrent_weight")):
            if is_integer(precision, 1) and is_integer(_precision(self.layer, f"{self.prefix}{key}"), 1):
                raise RefusedError("uint<1> weights on uint<1> data: hls4ml reads the result as a binary network's")
        # ap_fixed_base.h, to_ap_int_base: see `hls4ml_reader.assigned`
        read = {key: fixed_type(_precision(self.layer, f"{self.prefix}{key}"))[0].integer_bits for key in _WEIGHTS}
        source, state = self.source.type.integer_bits, self.state.integer_bits
        summed = source + read["weight"], state + read["recurrent_weight"], read["bias"], read["recurrent_bias"]
        fractions = min(*summed, state, self._table_type.integer_bits) <= 0 and isinstance(accum, IntegerPrecisionType)
        if fractions or (fixed_type(accum)[0].integer_bits <= 0 and isinstance(result, IntegerPrecisionType)):
            raise RefusedError("fractions without integer bits to ap_int: hls4ml's C++ gives -1 for negative ones")

    def _fold(self, reuse: int, chosen_by: int, inputs: int) -> int:
        """Products are added in the order of (input mod fold, input) (nnet_dense_resource.h)."""
        strategy = str(self.layer.get_attr("strategy")).lower()
        if strategy == "latency":
            return 1
        if strategy not in ("resource", "resource_unrolled"):
            raise RefusedError(f"strategy '{strategy}'", "Choose Latency or Resource")
        few = (chosen_by if strategy == "resource" else reuse) <= inputs  # dense_resource_rf_leq_nin
        fits = inputs % reuse == 0 if few else reuse > inputs and reuse % inputs == 0
        if not fits or inputs * self.columns % reuse:
            found = f"reuse factors {chosen_by} and {reuse} for {inputs} × {self.columns} products: hls4ml's C++ stops"
            raise RefusedError(found, "Choose a factor that divides the inputs and the states")
        return reuse if few else 1

    def _weights(self, key: str, source: Tensor) -> tuple[Product, Ints]:
        """Products of `source`, and their weights (inputs, gates × units), the gates in our order."""
        by = product(self.reader, self.layer, f"{self.prefix}{key}", source)
        weights = by.weights.T if self.layer.get_attr("_weights_transposed", False) else by.weights
        if weights.shape != (source.shape[-1], self.columns):
            raise RefusedError(f"{key} {weights.shape} for {source.shape[-1]} inputs and {self.columns} results")
        return by, np.ascontiguousarray(self._ordered(weights))

    def _bias(self, key: str) -> tuple[Ints, FixedType]:
        bias, type_ = constant(self.layer, f"{self.prefix}{key}")
        if bias.ndim != 1 or len(bias) < self.columns:
            raise RefusedError(f"{key} {bias.shape} for {self.columns} results: hls4ml reads beyond it")
        return np.ascontiguousarray(self._ordered(bias[: self.columns])), type_

    def _ordered(self, columns: Ints) -> Ints:
        """hls4ml's gates in our order."""
        gates = np.split(columns, self.cell.gates, axis=-1)
        if self.cell is Cell.LSTM:
            gates = [gates[0], gates[1], gates[3], gates[2]]
        elif self.layer.get_attr("pytorch", False):
            gates = [gates[1], gates[0], gates[2]]
        return np.concatenate(gates, axis=-1)

    def _dense(self, name: str, fold: int) -> Tensor:
        """The gates' input parts of all steps (steps, gates × units), the bias included, in the accumulator's type."""
        reader, source, node = self.reader, self.source, self.layer.name
        by, weights = self._weights("weight", source)
        bias, bias_type = self._bias("bias")
        accum, rounding, overflow = fixed_type(self.precisions[1])
        if (rounding, overflow) != (Rounding.TRN, Overflow.WRAP):
            bias, bias_type = cast(bias, bias_type, accum, rounding, overflow), accum
        total = Sum(by, weights, bias, bias_type, accum, rounding, overflow)
        shape = source.shape[0], self.columns
        reader.constants |= {f"{name}.weight": weights, f"{name}.bias": bias}
        constants = f"{name}.weight", by.weight_type, f"{name}.bias"
        if total.any_order:
            return reader.emit(Dense(name, (source.name,), name, node, *constants, bias_type, accum), shape, accum)
        if fold > 1:
            order = np.arange(source.shape[1]).reshape(-1, fold).T.ravel()
            reader.constants |= {f"{name}.order": order, f"{name}.weight": weights[order]}
            take = Take(f"{name}.ordered", (source.name,), f"{name}.ordered", node, f"{name}.order", 1)
            source = reader.emit(take, source.shape, source.type)
        return reader.emit(OrderedDense(name, (source.name,), name, node, *constants, rounding, overflow), shape, accum)

    @property
    def _table_type(self) -> FixedType:
        return fixed_type(self.layer.get_attr("table_t").precision)[0]

    def _activation(self, key: str, name: str) -> tuple[CellActivation, str | None]:
        function = str(self.layer.get_attr(f"{self.prefix}{key}")).lower()
        if function not in (kind.value for kind in CellActivation):
            raise RefusedError(f"{key} '{function}': {_COMPILE}", "Use relu, sigmoid or tanh")
        if function == "relu":
            return CellActivation.RELU, None
        size = int(self.layer.get_attr("table_size"))
        self.reader.constants[name], _ = activation_table(function, size, self.layer.get_attr("table_t").precision)
        return CellActivation(function), name


_WEIGHTS = ("weight", "recurrent_weight", "bias", "recurrent_bias")

RECURRENT_READERS: Mapping[str, Callable[[Reader, Any], None]] = {
    "SimpleRNN": simple_rnn,
    "LSTM": recurrent,
    "GRU": recurrent,
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
}
