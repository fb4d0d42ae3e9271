"""Several ops for one layer of hls4ml: each method adds one, named after the layer and `wish`, and gives its tensor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, assigned, within
from fpgaflow.ir.bounds import pool_sum_type
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.op import Op
from fpgaflow.ir.ops import Cast, Pool, PoolKind, Relu, Reshape, Transpose
from fpgaflow.ir.ops_merge import Elementwise, ElementwiseKind, OrderedSum, Scale, Take
from fpgaflow.ir.ops_table import Lookup, Piecewise
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify_merge import elementwise_type, scale_type
from fpgaflow.ir.verify_table import piecewise_type
from fpgaflow.sim.fixed_point import limits, rescale

Shape = tuple[int, ...]


class Emit:
    """Adds the ops of one layer to those read so far."""

    def __init__(self, reader: Reader, layer: Any) -> None:
        self.reader, self.layer = reader, layer
        self.name: str = layer.name
        self.source: Tensor = reader.source(layer)

    @cached_property
    def _config(self) -> dict[str, str]:
        """What the layer's C++ configuration says: the numbers and types that are really compiled."""
        text = self.layer.get_attr("config_cpp")
        numbers = re.findall(r"static const(?:expr)? [\w:]+ (\w+) = ([^;]+);", text)
        return dict(numbers) | {name: written for written, name in re.findall(r"typedef ([^;]+) (\w+);", text)}

    def text(self, name: str) -> str:
        return self._config[name]

    def number(self, name: str) -> int:
        return int(self._config[name])

    def precision(self, name: str) -> Any:
        """The precision behind a type of the C++ configuration."""
        written = self._config[name]
        named = (type_.precision for type_ in self.layer.types.values() if type_.name == written)
        return next(named, None) or self.layer.model.config.backend.convert_precision_string(written)

    def constant(self, wish: str, values: Any) -> str:
        name = f"{self.name}.{wish}"
        try:
            self.reader.constants[name] = np.asarray(values, dtype=object).astype(np.int64)
        except OverflowError:
            raise RefusedError(f"constants of more than 64 bits ({wish})", "Use fewer fraction bits") from None
        return name

    def add(
        self, op: type[Op], wish: str, inputs: Sequence[Tensor], shape: Shape, type_: FixedType, /, **rest: Any
    ) -> Tensor:
        name = f"{self.name}.{wish}"
        return self.reader.emit(op(name, tuple(x.name for x in inputs), name, self.name, **rest), shape, type_)

    def cast(self, x: Tensor, type_: FixedType, rounding: Rounding, overflow: Overflow, wish: str) -> Tensor:
        """x itself where the cast changes nothing."""
        if type_ == x.type and overflow is not Overflow.SAT_SYM:
            return x
        return self.add(Cast, wish, [x], x.shape, type_, rounding=rounding, overflow=overflow)

    def convert(self, x: Tensor, precision: Any, wish: str) -> Tensor:
        """x assigned to a variable of `precision`."""
        return self.reader.convert(self.layer, x, f"{self.name}.{wish}", precision)

    def lookup(self, x: Tensor, entries: Ints, fraction: int, wish: str) -> Tensor:
        """Entries as in `Lookup`; those too wide for a graph's constants lose the zeros that all of them end in."""
        if not _storable(entries):
            ones = int(np.bitwise_or.reduce(entries.astype(object)))
            zeros = (ones & -ones).bit_length() - 1
            entries, fraction = entries >> zeros, fraction - zeros
        type_ = type_for(int(entries.min()), int(entries.max()), fraction)
        table = self.constant(f"{wish}.entries", entries)
        return self.add(Lookup, wish, [x], x.shape, type_, table=table)

    def piecewise(self, x: Tensor, knots: Any, slopes: Any, offsets: Any, fraction: int, wish: str) -> Tensor:
        """Slopes and offsets as in `Piecewise`."""
        knots, slopes, offsets = (np.asarray(part, dtype=object) for part in (knots, slopes, offsets))
        fields = {
            "knots": self.constant(f"{wish}.knots", knots),
            "slopes": self.constant(f"{wish}.slopes", slopes),
            "offsets": self.constant(f"{wish}.offsets", offsets),
        }
        type_ = piecewise_type(x.type, knots, slopes, offsets, fraction)
        return self.add(Piecewise, wish, [x], x.shape, type_, **fields)

    def scale(
        self,
        x: Tensor,
        weights: Ints,
        weight_type: FixedType,
        wish: str,
        bias: Ints | None = None,
        bias_type: FixedType | None = None,
    ) -> Tensor:
        """x times weights plus bias."""
        type_ = scale_type(x.type, weights, weight_type, bias, bias_type)
        fields = {"weights": self.constant(f"{wish}.weights", weights), "weight_type": weight_type}
        fields["bias"] = None if bias is None else self.constant(f"{wish}.bias", bias)
        return self.add(Scale, wish, [x], x.shape, type_, **fields, bias_type=bias_type)

    def elementwise(self, kind: ElementwiseKind, left: Tensor, right: Tensor, wish: str) -> Tensor:
        return self.add(
            Elementwise, wish, [left, right], left.shape, elementwise_type(kind, left.type, right.type), kind=kind
        )

    def relu(self, x: Tensor, wish: str) -> Tensor:
        return self.add(Relu, wish, [x], x.shape, type_for(0, max(x.type.high, 0), x.type.fraction))

    def reshape(self, x: Tensor, shape: Shape, wish: str) -> Tensor:
        return x if shape == x.shape else self.add(Reshape, wish, [x], shape, x.type)

    def transpose(self, x: Tensor, perm: Shape, wish: str) -> Tensor:
        return self.add(Transpose, wish, [x], tuple(x.shape[axis] for axis in perm), x.type, perm=perm)

    def repeat(self, x: Tensor, axis: int, count: int, wish: str) -> Tensor:
        """x, its only entry along `axis` repeated."""
        indices = self.constant(f"{wish}.indices", np.zeros(count, dtype=np.int64))
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return self.add(Take, wish, [x], shape, x.type, indices=indices, axis=axis)

    def row_max(self, x: Tensor, wish: str) -> Tensor:
        """(rows, count) to (rows, 1)."""
        return self._row_pool(PoolKind.MAX, x, x.type, wish)

    def _row_pool(self, kind: PoolKind, x: Tensor, type_: FixedType, wish: str) -> Tensor:
        rows, count = x.shape
        image = self.reshape(x, (rows, count, 1), f"{wish}.rows")
        window = {"size": (1, count), "strides": (1, count), "padding": ((0, 0), (0, 0))}
        return self.reshape(
            self.add(Pool, f"{wish}.pool", [image], (rows, 1, 1), type_, kind=kind, **window), (rows, 1), wish
        )

    def row_sum(self, x: Tensor, accum: FixedType, overflow: Overflow, tree: bool, wish: str) -> Tensor:
        """(rows, count) to (rows, 1), each partial sum brought into `accum`, which has x's fraction, by `overflow`."""
        rows, count = x.shape
        exact = pool_sum_type(x.type, count, padded=False)
        if overflow is Overflow.WRAP or within(exact, accum):  # then the order decides nothing
            total = self._row_pool(PoolKind.SUM, x, exact, f"{wish}.exact")
            return self.cast(total, accum, Rounding.TRN, overflow, wish)
        terms = self.reshape(
            self.cast(x, accum, Rounding.TRN, overflow, f"{wish}.terms"), (rows, count, 1), f"{wish}.rows"
        )
        fields = {"bias": None, "tree": tree, "rounding": Rounding.TRN, "overflow": overflow}
        return self.add(OrderedSum, wish, [terms], (rows, 1), accum, **fields)

    def result(self, x: Tensor, integer_bits: int | None = None) -> None:
        """The layer's result from x, an expression of so many integer bits in C++."""
        name = self.layer.outputs[0]
        shape = tuple(int(n) for n in self.layer.get_output_variable(name).shape)
        if prod(shape) == prod(x.shape):
            x = self.reshape(x, shape, "shaped")
        self.reader.cast(self.layer, x.name, name, integer_bits)

    def lookup_result(self, x: Tensor, entries: Ints, type_: FixedType) -> None:
        """The layer's result from a table of `type_`: already in the result's type where no entry overflows that."""
        name = self.layer.outputs[0]
        variable = self.layer.get_output_variable(name)
        final, rounding, overflow = assigned(variable.type.precision, type_, type_.integer_bits)
        rounded = rescale(entries, type_, final, rounding)
        low, high = limits(final, overflow)
        overflows = int(rounded.min()) < low or int(rounded.max()) > high
        if overflows or not _storable(rounded) or tuple(variable.shape) != x.shape:
            self.result(self.lookup(x, entries, type_.fraction, "table"), type_.integer_bits)
            return
        op = Lookup(f"{name}.result", (x.name,), name, self.name, self.constant("table.entries", rounded))
        self.reader.ops.append(op)
        self.reader.at[name] = self.reader.tensor(name, x.shape, final, self.layer)


def _storable(entries: Ints) -> bool:
    return int(entries.min()) >= -(1 << 63) and int(entries.max()) < 1 << 63
