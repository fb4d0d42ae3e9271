"""Values that know their types, in registers that move together; activations by tables, as hls4ml looks into them."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value

from fpgaflow.ir.ops_recurrent import CellActivation
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.sim.kernels_recurrent import product_type, sum_type
from fpgaflow.targets.rtl.cast import cast_value, number, wrapped
from fpgaflow.targets.rtl.rom import packed, read_rom

ACTIVATED = 2  # cycles of an activation
INT = FixedType(True, 32, 0)  # C++'s int, in which hls4ml computes where to look into a table


@dataclass(frozen=True)
class Number:
    """A value and its type. Sums, differences and products are exact, of the types that the kernel gives them."""

    value: Value
    type: FixedType

    def __add__(self, other: Number) -> Number:
        a, b, type_ = self._aligned(other)
        return Number(a + b, type_)

    def __sub__(self, other: Number) -> Number:
        a, b, type_ = self._aligned(other)
        return Number(a - b, type_)

    def __mul__(self, other: Number) -> Number:
        return Number(self.value * other.value, product_type(self.type, other.type))

    def _aligned(self, other: Number) -> tuple[Value, Value, FixedType]:
        type_ = sum_type(self.type, other.type)
        a, b = (x.value << (type_.fraction - x.type.fraction) for x in (self, other))
        return a, b, type_

    def cast(self, target: FixedType, rounding: Rounding, overflow: Overflow) -> Number:
        return Number(wrapped(cast_value(self.value, self.type, target, rounding, overflow), target), target)


@dataclass(frozen=True)
class Pipe:
    """Registers that move together."""

    m: Module
    move: Value

    def bits(self, value: Value, cycles: int = 1) -> Value:
        for _ in range(cycles):
            held = Signal(value.shape())
            with self.m.If(self.move):
                self.m.d.sync += held.eq(value)
            value = held
        return value

    def of(self, x: Number, cycles: int = 1) -> Number:
        return Number(self.bits(x.value, cycles), x.type)


@dataclass(frozen=True)
class Activation:
    """relu, or a table of the accumulator's integers."""

    kind: CellActivation
    table: tuple[int, ...]

    def of(self, m: Module, pipe: Pipe, name: str, x: Number, accum: Cast) -> Number:
        """The result, `ACTIVATED` cycles later."""
        if self.kind is CellActivation.RELU:
            return pipe.of(accum(Number(Mux(x.value > 0, x.value, 0), x.type)), ACTIVATED)
        type_ = type_for(min(self.table), max(self.table), accum.type.fraction)
        address = Signal(range(len(self.table)), name=f"{name}_index")
        m.d.comb += address.eq(table_index(x, len(self.table), self.kind.reach))
        words = [packed([entry], type_.width) for entry in self.table]
        data = read_rom(m, name, words, type_.width, pipe.bits(address), pipe.move)
        return Number(number(data, type_), type_)


@dataclass(frozen=True)
class Cast:
    """A cast into one type."""

    type: FixedType
    rounding: Rounding
    overflow: Overflow

    def __call__(self, x: Number) -> Number:
        return x.cast(self.type, self.rounding, self.overflow)


def table_index(x: Number, size: int, reach: int) -> Value:
    """Where x stands in a table over [-reach, reach): `fpgaflow.sim.kernels_recurrent.table_index`."""
    steps = 2 * reach  # a power of two
    scaled = FixedType(True, x.type.width + size.bit_length() + 1, x.type.fraction + steps.bit_length() - 1)
    whole = wrapped(cast_value(x.value * size, scaled, INT, Rounding.TRN_ZERO, Overflow.WRAP), INT)
    place = wrapped(whole + size // 2, INT)
    return Mux(place < 0, 0, Mux(place > size - 1, size - 1, place))
