"""A graph in TFLite under construction: its inputs and outputs, what moves, and float32 where nothing rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph, Input, Output
from fpgaflow.ir.ops import Cast, Op, Reshape, Transpose
from fpgaflow.ir.ops_merge import Concat, Pad
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.sim.fixed_point import limits
from fpgaflow.targets.certificate import Entry
from fpgaflow.targets.int32 import input_entry, output_entry
from fpgaflow.targets.refused import Refused
from fpgaflow.targets.tpu.flatbuffer import ModelFile, Scaled
from fpgaflow.targets.tpu.requantise import keeps

EXACT = 1 << 24  # float32 holds every integer up to here
INT8 = 127
INSTEAD = "Use --target stablehlo, or onnxruntime"
_ROUNDS = 1.5 * 2.0**23  # added to a float32 below 2^22, it leaves no fraction: ties go to even


@dataclass(frozen=True)
class Held:
    """A tensor of the file: its number, and how its int8 integers are read, None where it is float32."""

    number: int
    scaled: Scaled | None


class LiteWriter:
    """What of the file there is so far; `done` are tensors that a kernel before has taken in."""

    def __init__(self, graph: Graph, batch: int) -> None:
        self.graph, self.file = graph, ModelFile(batch)
        self.held: dict[str, Held] = {}
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        self.done: set[str] = set()

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.graph.tensors[tensor].shape

    def input(self, port: Input) -> int:
        """Scaled, clamped and rounded in float32 as the graph's input quantiser, then int8 without a rest."""
        type_, shape = self.graph.type_of(port.tensor), self.shape(port.tensor)
        given = self.file.tensor(port.name, shape, "float32")
        entry = input_entry(port)
        if port.high - port.low > 2 * INT8 + 1 or port.overflow not in (Overflow.SAT, Overflow.SAT_SYM):
            found, fix = f"its quantiser gives {type_} with {port.overflow.value}", "Use 8 bits that saturate"
            self.problems.append(Problem(f"input '{port.name}'", found, fix))
        if port.rounding not in (Rounding.RND_CONV, Rounding.TRN):
            found = f"its quantiser rounds by {port.rounding.value}"
            self.problems.append(Problem(f"input '{port.name}'", found, "Round to nearest even, or down"))
        x = given
        x = self.step("MUL", given, shape, f"{port.name}.gain", float(port.gain), schema.MulOptionsT())
        if port.offset:
            x = self.step("ADD", x, shape, f"{port.name}.offset", float(port.offset), schema.AddOptionsT())
        self.rounded(port.tensor, x, (port.low, port.high), port.rounding)
        self.entries.append(entry)
        return given

    def rounded(self, tensor: str, x: int, ends: tuple[int, int], rounding: Rounding) -> None:
        """Float32 in units of a tensor, clamped and rounded in float32, as the tensor's int8."""
        unit, shape = self.graph.type_of(tensor).scale, self.shape(tensor)
        for kind, end in zip(("MAXIMUM", "MINIMUM"), ends, strict=True):
            options = schema.MaximumMinimumOptionsT()
            x = self.step(kind, x, shape, f"{tensor}.{kind.lower()}", float(end), options)
        if rounding is Rounding.RND_CONV:  # the reference kernels have no ROUND
            x = self.step("ADD", x, shape, f"{tensor}.rounded", _ROUNDS, schema.AddOptionsT())
            x = self.step("ADD", x, shape, f"{tensor}.whole", -_ROUNDS, schema.AddOptionsT())
        else:
            before, x = x, self.file.tensor(f"{tensor}.whole", shape, "float32")
            self.file.operator("FLOOR", [before], x)
        x = self.step("MUL", x, shape, f"{tensor}.unit", unit, schema.MulOptionsT())
        self.quantised(tensor, x, Scaled((unit,), 0 if ends[1] <= INT8 else INT8 - ends[1]))

    def quantised(self, tensor: str, x: int, scaled: Scaled) -> None:
        """Float32 values that lie on the grid, as int8."""
        number = self.file.tensor(tensor, self.shape(tensor), "int8", scaled)
        self.file.operator("QUANTIZE", [x], number, schema.QuantizeOptionsT())
        self.held[tensor] = Held(number, scaled)

    def target(self, shape: Sequence[int], name: str) -> int:
        return self.file.constant(f"{name}.shape", np.array([-1, *shape], dtype=np.int32))

    def step(self, kind: str, x: int, shape: tuple[int, ...], name: str, value: float, options: object) -> int:
        constant = self.file.constant(f"{name}.value", np.array([value], dtype=np.float32))
        made = self.file.tensor(name, shape, "float32")
        self.file.operator(kind, [x, constant], made, options)
        return made

    def int8(self, tensor: str) -> tuple[int, Scaled]:
        """
        Raises:
            Refused: the tensor is not held as int8.
        """
        held = self.held[tensor]
        if held.scaled is None:
            raise Refused("an operand that no quantiser brings to 8 bits", INSTEAD)
        return held.number, held.scaled

    def real(self, tensor: str) -> int:
        """The tensor as float32."""
        held = self.held[tensor]
        if held.scaled is None:
            return held.number
        number = self.file.tensor(f"{tensor}.real{len(self.entries)}", self.shape(tensor), "float32")
        self.file.operator("DEQUANTIZE", [held.number], number, schema.DequantizeOptionsT())
        return number

    def in_float(self, op: Op, number: int) -> None:
        self.held[op.output] = Held(number, None)
        type_ = self.graph.type_of(op.output)
        reach = max(-type_.low, type_.high)
        if reach > EXACT:
            raise Refused(f"integers of {type_} go beyond 2^24, which float32 holds exactly", "Use fewer bits")
        why = "integers within 2^24, in float32"
        self.entries.append(Entry(op.name, type(op).__name__, "float32", True, why, reach))

    def cast(self, op: Cast) -> None:
        """In float32, from values of any unit."""
        source, target = self.graph.type_of(op.inputs[0]), self.graph.type_of(op.output)
        if keeps(self.graph, op, source.low, source.high):
            held = self.held[op.inputs[0]]
            self.moved(op, held.number, held.scaled)
            return
        low, high = limits(target, op.overflow)
        saturates = op.overflow in (Overflow.SAT, Overflow.SAT_SYM)
        drops = source.fraction > target.fraction
        if not saturates or high - low > 2 * INT8 + 1 or max(-source.low, source.high) > EXACT:
            raise Refused(f"a cast from {source} to {target} with {op.overflow.value}", "Saturate to 8 bits")
        if drops and op.rounding not in (Rounding.RND_CONV, Rounding.TRN):
            raise Refused(
                f"a cast behind no layer that rounds by {op.rounding.value}", "Round to nearest even, or down"
            )
        gain = schema.MulOptionsT()
        x = self.real(op.inputs[0])
        x = self.step("MUL", x, self.shape(op.output), f"{op.output}.gain", 1 / target.scale, gain)
        self.rounded(op.output, x, (low, high), op.rounding if drops else Rounding.RND_CONV)
        why = "clamped and rounded in float32, which holds the values"
        self.entries.append(Entry(op.name, "Cast", "float32", True, why, max(-low, high)))

    def output(self, port: Output) -> int:
        """The float32 value, under the graph's own scale and offset."""
        unit, x, shape = self.graph.type_of(port.tensor).scale, self.real(port.tensor), self.shape(port.tensor)
        factors = np.array([float(scale) / unit for scale in port.scale], dtype=np.float32)
        offsets = np.array([float(offset) for offset in port.offset], dtype=np.float32)
        for kind, values, neutral, options in (
            ("MUL", factors, 1, schema.MulOptionsT()),
            ("ADD", offsets, 0, schema.AddOptionsT()),
        ):
            if (values != neutral).any():
                spread = [1] * (len(shape) + 1)
                spread[port.axis + 1] = len(values)
                constant = self.file.constant(f"{port.name}.{kind.lower()}", values.reshape(spread))
                made = self.file.tensor(f"{port.name}.{kind.lower()}ed", shape, "float32")
                self.file.operator(kind, [x, constant], made, options)
                x = made
        self.entries.append(output_entry(port, self.graph))
        return x

    def like(self, tensor: str, what: str, scaled: Scaled) -> int:
        return self.file.tensor(f"{tensor}.{what}", self.shape(tensor), "int8", scaled)

    def reshaped(self, x: int, shape: Sequence[int], name: str, dtype: str, scaled: Scaled | None) -> int:
        number = self.file.tensor(name, shape, dtype, scaled)
        self.file.operator("RESHAPE", [x, self.target(shape, name)], number, schema.ReshapeOptionsT())
        return number

    def moved(self, op: Op, number: int, scaled: Scaled | None) -> None:
        self.held[op.output] = Held(number, scaled)
        self.entries.append(Entry(op.name, type(op).__name__, "integers", True, "values are moved or picked"))

    def move(self, op: Op) -> None:
        held, shape = self.held[op.inputs[0]], self.shape(op.output)
        if any(self.held[name].scaled != held.scaled for name in op.inputs):
            raise Refused("operands of different scales or ranges", INSTEAD)
        dtype = "float32" if held.scaled is None else "int8"
        if isinstance(op, Reshape):
            self.moved(op, self.reshaped(held.number, shape, op.output, dtype, held.scaled), held.scaled)
            return
        number = self.file.tensor(op.output, shape, dtype, held.scaled)
        match op:
            case Transpose():
                order = np.array([0, *(axis + 1 for axis in op.perm)], dtype=np.int32)
                inputs = [held.number, self.file.constant(f"{op.name}.perm", order)]
                self.file.operator("TRANSPOSE", inputs, number, schema.TransposeOptionsT())
            case Concat():
                inputs = [self.held[name].number for name in op.inputs]
                self.file.operator("CONCATENATION", inputs, number, schema.ConcatenationOptionsT(axis=op.axis + 1))
            case Pad():
                if op.value:
                    raise Refused(f"padding with {op.value}", "Pad with zeros")
                sides = self.file.constant(f"{op.name}.sides", np.array([(0, 0), *op.padding], dtype=np.int32))
                self.file.operator("PAD", [held.number, sides], number, schema.PadOptionsT())
        self.moved(op, number, held.scaled)
