"""A dense or convolution layer with all its constants in adders: a vector enters and its sums leave every cycle."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, unsigned

from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.targets.rtl.stream import Beat, Stage
from fpgaflow.targets.rtl.unrolled.activation import Activation
from fpgaflow.targets.rtl.unrolled.network import Network, Operand, Result

# Additions, one after the other, between two registers: 5 carry chains with their routing take about 8 ns on a -1 part
# of the 7 series.
LEVELS_PER_STAGE = 5


class Unrolled(Stage):
    """Latency `stages`, interval 1. The whole pipeline waits where its last beat does.

    Args:
        network: of the input's integers; its sources are their bits as unsigned numbers, the sign bit inverted.
        source: type of the input's elements.
        sums: type of the numbers that the network and `constants`, one for each filter, add up to.
        activation: of these numbers, None where they may leave `sums`, whose low bits are then the result.
        result: type of the output's elements.
    """

    def __init__(
        self,
        network: Network,
        source: FixedType,
        constants: Sequence[int],
        sums: FixedType,
        activation: Activation,
        result: FixedType,
        *,
        wraps: bool,
        levels_per_stage: int = LEVELS_PER_STAGE,
    ) -> None:
        super().__init__(Beat(len(network.sources), source.width), Beat(len(network.results), result.width))
        self.network, self.type, self.constants, self.sums = network, source, tuple(constants), sums
        self.activation, self.wraps = activation, wraps
        self.levels = network.levels()
        deepest = max((self.levels[r.operand.node] for r in network.results if r.operand is not None), default=0)
        # One more for the constant; what follows it has no carry chain worth a level.
        self.stages = max(1, ceil((deepest + 1) / levels_per_stage))
        self.per_stage = ceil((deepest + 1) / self.stages)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(move)]
        pipeline = _Pipeline(m, move)
        for element in self.source.split(self.i.payload):
            inputs = Cat(element[:-1], ~element[-1]) if self.type.signed else element
            pipeline.begin(inputs, 0)
        for number, each in enumerate(self.network.sums):
            node = number + len(self.network.sources)
            stage = (self.levels[node] - 1) // self.per_stage
            total = Signal(self.network.width(node), name=f"sum_{number}")
            m.d.comb += total.eq(self._added(pipeline, each.left, each.right, stage))
            pipeline.begin(total, stage)
        last = self.stages - 1
        outs = self.result.split(self.o.payload)
        for channel, (out, result) in enumerate(zip(outs, self.network.results, strict=True)):
            value = self.activation.after(self._number(m, pipeline, result, channel, last))
            with m.If(move):
                m.d.sync += out.eq(value)
        valid: Value = self.i.valid
        for stage in range(last):
            held = Signal(name=f"valid_{stage + 1}")
            with m.If(move):
                m.d.sync += held.eq(valid)
            valid = held
        with m.If(move):
            m.d.sync += self.o.valid.eq(valid)
        return m

    def _added(self, pipeline: _Pipeline, left: Operand, right: Operand, stage: int) -> Value:
        a, b = (_shown(pipeline.at(operand.node, stage), operand) for operand in (left, right))
        shift = max(left.shift, right.shift)
        low, high = (a, b) if right.shift else (b, a)  # `high` is shifted
        if shift >= len(low):
            return Cat(low, Const(0, shift - len(low)), high)
        # Below the shift one operand passes; of the two that are added, the one that is not inverted comes first.
        upper = (low[shift:] + high) if low is a else (high + low[shift:])
        return Cat(low[:shift], upper)

    def _number(self, m: Module, pipeline: _Pipeline, result: Result, channel: int, stage: int) -> Value:
        """The sum with its constant and, where it is cut short, its wrap-around."""
        constant = self.constants[channel] + result.offset + self.activation.constant
        value: Value = Signal(1, name=f"zero_{channel}")
        high = 0
        if result.operand is not None:
            node = result.operand.node
            value = _shown(pipeline.at(node, stage), result.operand) << result.operand.shift
            full = (1 << self.network.width(node)) - 1
            high = (full if result.operand.inverted else self.network.highs[node]) << result.operand.shift
        type_ = type_for(constant, high + constant, 0)
        total = Signal(Shape(type_.width, type_.signed), name=f"total_{channel}")
        m.d.comb += total.eq(value + constant)
        if not self.wraps:
            return total
        cut = Signal(Shape(self.sums.width, self.sums.signed), name=f"wrapped_{channel}")
        m.d.comb += cut.eq(total)
        return cut


def _shown(value: Value, operand: Operand) -> Value:
    return ~value if operand.inverted else value


class _Pipeline:
    """Values by node, and their registers in the stages after the one that made them."""

    def __init__(self, m: Module, move: Value) -> None:
        self.m, self.move = m, move
        self.values: list[dict[int, Value]] = []
        self.first: list[int] = []

    def begin(self, value: Value, stage: int) -> None:
        """The next node, made in `stage`."""
        self.values.append({stage: value})
        self.first.append(stage)

    def at(self, node: int, stage: int) -> Value:
        """A node's value as it stands in a stage, not before its own."""
        known = self.values[node]
        if stage not in known:
            before = self.at(node, stage - 1)
            held = Signal(unsigned(len(before)), name=f"node_{node}_{stage}", reset_less=True)
            with self.m.If(self.move):
                self.m.d.sync += held.eq(before)
            known[stage] = held
        return known[stage]
