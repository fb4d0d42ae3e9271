"""Recurrent cells: LSTM and GRU, one time step after the other, exactly as `fpgaflow.sim.kernels_recurrent` says.

Of `units` units, PE are at work at a time. Each takes one product of the state and a weight a cycle for each of its
gates, in the order in which the cell sums; then its sums go through the tables of the gates and candidates, and its new
state into a memory. A step takes units × units / PE cycles, and those until its last state is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops_recurrent import Cell, Recurrent
from fpgaflow.ir.types import FixedType, Overflow, type_for
from fpgaflow.sim.fixed_point import cast
from fpgaflow.targets.rtl.cast import number
from fpgaflow.targets.rtl.reorder import Order, Reorder
from fpgaflow.targets.rtl.rom import count_up, look_up, packed, read_rom
from fpgaflow.targets.rtl.stream import Beat, Stage, Widen
from fpgaflow.targets.rtl.typed import ACTIVATED, Activation, Cast, Number, Pipe

_SUMMED = 3  # cycles from a unit's last product to its sums


class RecurrentUnit(wiring.Component):
    """`i_0` has the input parts of PE units a beat, gate by gate, `i_1` ... their initial states, `o` gives their h.

    With `backward`, the steps come from the last to the first, and so do the results.
    """

    def __init__(self, op: Recurrent, graph: Graph, pe: int) -> None:
        self.op, self.pe, self.state = op, pe, graph.type_of(op.output)
        self.weights = graph.constants[op.weights]
        self.units, self.gates = len(self.weights), op.cell.gates
        if self.units % pe:
            raise ValueError(f"{pe} units at a time do not fold {self.units}")
        self.groups, self.steps = self.units // pe, graph.tensors[op.inputs[0]].shape[0]
        self.accum = Cast(op.accum, op.accum_rounding, op.accum_overflow)
        to_accum = partial(cast, target=op.accum, rounding=op.accum_rounding, overflow=op.accum_overflow)
        self.bias = to_accum(graph.constants[op.bias], op.bias_type)
        self.gate, self.candidate = (
            Activation(kind, () if name is None else tuple(to_accum(graph.constants[name], op.table_type).tolist()))
            for kind, name in ((op.gate, op.gate_table), (op.candidate, op.candidate_table))
        )
        self.initial = len(op.inputs) - 1
        # All sums are taken in the order of the terms; where nothing is clamped, any order does.
        fold = 1 if op.accum_overflow is Overflow.WRAP else op.fold
        self.order = sorted(range(self.units), key=lambda unit: (unit % fold, unit))
        self.result = Beat(pe, self.state.width)
        inputs = {"i_0": In(Beat(self.gates * pe, op.accum.width).signature)}
        inputs |= {f"i_{1 + number}": In(self.result.signature) for number in range(self.initial)}
        super().__init__({**inputs, "o": Out(self.result.signature)})

    def needed(self, beats: Sequence[int]) -> list[np.ndarray]:
        """As `Stage.needed`, of each input."""
        parts = np.arange(1, self.steps * self.groups + 1)
        if not self.op.sequence:
            parts = parts[-self.groups :]
        return [parts, *(np.full(len(parts), self.groups) for _ in range(self.initial))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move, issue, busy, loaded, bank = (Signal(name=name) for name in ("move", "issue", "busy", "loaded", "bank"))
        pipe = Pipe(m, move)
        term, term_last = count_up(m, "term", self.units, issue)
        group, group_last = count_up(m, "group", self.groups, issue & term_last)
        step, step_last = count_up(m, "step", self.steps, issue & term_last & group_last)
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            issue.eq(move & self.i_0.valid & ~busy & loaded),  # a step begins when the one before it has ended
            self.i_0.ready.eq(issue & term_last),
        ]
        zero = Const(0) if self.initial else step == 0
        h = Memory(shape=unsigned(self.result.width), depth=2 * self.groups, init=[])  # this step's, and the next one's
        m.submodules.h = h
        old, new = Mux(bank, self.groups, 0), Mux(bank, 0, self.groups)

        operand = self._operand(m, h, old, term, zero)
        sums = self._sums(m, pipe, operand, issue, term, term_last, group)
        parts = self._numbers(pipe.bits(self.i_0.payload, _SUMMED), self.op.accum)
        flags = _Flags(issue & term_last, group, zero, group_last, step_last).after(pipe, _SUMMED)
        place, load = self._loading(m, loaded, busy)
        if self.op.cell is Cell.LSTM:
            states, flags = self._lstm(m, pipe, parts, sums, flags, place, load)
        else:
            states, flags = self._gru(m, pipe, parts, sums, flags, h, old)

        made, write = Signal(self.result.width, name="made"), h.write_port()
        m.d.comb += [
            made.eq(Cat(self._bits(x) for x in states)),
            write.addr.eq(new + flags.group),
            write.data.eq(made),
            write.en.eq(move & flags.done),
        ]
        if self.initial:
            with m.If(load):
                m.d.comb += [write.addr.eq(old + place), write.data.eq(self.i_1.payload), write.en.eq(1)]
        with m.If(move):
            m.d.sync += [self.o.payload.eq(made), self.o.valid.eq(flags.done & (self.op.sequence | flags.last))]
        with m.If(issue & term_last & group_last):
            m.d.sync += busy.eq(1)
        with m.If(move & flags.done & flags.ends):
            m.d.sync += [busy.eq(0), bank.eq(~bank)]
            if self.initial:
                with m.If(flags.last):
                    m.d.sync += loaded.eq(0)
        return m

    def _loading(self, m: Module, loaded: Signal, busy: Value) -> tuple[Value, Value]:
        """The initial states' place at hand, and whether it is taken; `loaded` is high from the last one on."""
        if not self.initial:
            m.d.comb += loaded.eq(1)
            return Const(0), Const(0)
        ports = [getattr(self, f"i_{1 + number}") for number in range(self.initial)]
        load = Signal(name="load")
        m.d.comb += load.eq(~loaded & ~busy & Cat(port.valid for port in ports).all())
        m.d.comb += [port.ready.eq(load) for port in ports]
        place, place_last = count_up(m, "place", self.groups, load)
        with m.If(load & place_last):
            m.d.sync += loaded.eq(1)
        return place, load

    def _operand(self, m: Module, h: Memory, old: Value, term: Value, zero: Value) -> Number:
        """The state that the next product takes."""
        word = look_up(m, "words", [u // self.pe for u in self.order], max(1, (self.groups - 1).bit_length()), term)
        lane = look_up(m, "lanes", [u % self.pe for u in self.order], max(1, (self.pe - 1).bit_length()), term)
        read = h.read_port(domain="comb")
        m.d.comb += read.addr.eq(old + word)
        bits = Mux(zero, 0, read.data.word_select(lane, self.state.width))
        return Number(number(bits, self.state), self.state)

    def _sums(
        self, m: Module, pipe: Pipe, operand: Number, issue: Value, term: Value, term_last: Value, group: Value
    ) -> list[list[Number]]:
        """The recurrent sums of each gate of each lane, `_SUMMED` cycles after the last term."""
        accum, lanes = self.accum, self.gates * self.pe
        narrow = type_for(int(self.weights.min()), int(self.weights.max()), self.op.weight_type.fraction)
        address, _ = count_up(m, "address", self.groups * self.units, issue)
        weights = read_rom(m, "weights", self._weight_words(narrow), lanes * narrow.width, address, pipe.move)
        biases = read_rom(m, "biases", self._bias_words(), lanes * accum.type.width, group, pipe.move)
        operand, start = pipe.of(operand), pipe.bits(biases)
        first, adds = pipe.bits(term == 0, 2), pipe.bits(issue, 2)
        starts = Beat(lanes, accum.type.width).split(start)
        totals = []
        for lane, bits in enumerate(Beat(lanes, narrow.width).split(weights)):
            product = pipe.of(accum(operand * Number(number(bits, narrow), narrow)))
            total = Signal(accum.type.width, name=f"total_{lane}")
            so_far = Number(number(Mux(first, starts[lane], total), accum.type), accum.type)
            with m.If(pipe.move & adds):
                m.d.sync += total.eq(accum(so_far + product).value)
            totals.append(Number(number(total, accum.type), accum.type))
        return [totals[at : at + self.pe] for at in range(0, lanes, self.pe)]

    def _lstm(
        self,
        m: Module,
        pipe: Pipe,
        parts: list[list[Number]],
        sums: list[list[Number]],
        flags: _Flags,
        place: Value,
        load: Value,
    ) -> tuple[list[Number], _Flags]:
        """The next h, and when: input, forget and output gate, candidate; the state s has a memory of its own."""
        memory = Memory(shape=unsigned(self.result.width), depth=self.groups, init=[])
        m.submodules.s = memory
        before, write = memory.read_port(domain="comb"), memory.write_port()
        flags = flags.after(pipe, 1 + ACTIVATED)
        m.d.comb += before.addr.eq(flags.group)
        states = self._states(Mux(flags.zero, 0, before.data))
        made, outs = [], []
        for lane, state in enumerate(states):
            total = [pipe.of(self.accum(part[lane] + own[lane])) for part, own in zip(parts, sums, strict=True)]
            i, f, o = (self.gate.of(m, pipe, f"gate_{lane}_{gate}", x, self.accum) for gate, x in enumerate(total[:3]))
            c = self.candidate.of(m, pipe, f"candidate_{lane}", total[3], self.accum)
            made.append(self._new_state(c * i + state * f))
            s = self.candidate.of(m, pipe, f"state_{lane}", pipe.of(made[-1]), self.accum)
            outs.append(self._new_state(pipe.of(o, 1 + ACTIVATED) * s))
        m.d.comb += [
            write.addr.eq(flags.group),
            write.data.eq(Cat(self._bits(x) for x in made)),
            write.en.eq(pipe.move & flags.done),
        ]
        if self.initial:
            with m.If(load):
                m.d.comb += [write.addr.eq(place), write.data.eq(self.i_2.payload), write.en.eq(1)]
        return outs, flags.after(pipe, 1 + ACTIVATED)

    def _gru(
        self,
        m: Module,
        pipe: Pipe,
        parts: list[list[Number]],
        sums: list[list[Number]],
        flags: _Flags,
        h: Memory,
        old: Value,
    ) -> tuple[list[Number], _Flags]:
        """The next h, and when: update gate, reset gate, candidate."""
        flags = flags.after(pipe, 3 + 2 * ACTIVATED)
        before = h.read_port(domain="comb")
        m.d.comb += before.addr.eq(old + flags.group)
        one, outs = Number(Const(1), FixedType(True, 2, 0)), []
        for lane, state in enumerate(self._states(Mux(flags.zero, 0, before.data))):
            own = [x[lane] for x in sums]
            total = [pipe.of(self.accum(part[lane] + x)) for part, x in zip(parts[:2], own[:2], strict=True)]
            z, r = (self.gate.of(m, pipe, f"gate_{lane}_{gate}", x, self.accum) for gate, x in enumerate(total))
            reset = pipe.of(self.accum(r * pipe.of(own[2], 1 + ACTIVATED)))
            x = pipe.of(self.accum(pipe.of(parts[2][lane], 2 + ACTIVATED) + reset))
            c = self.candidate.of(m, pipe, f"candidate_{lane}", x, self.accum)
            z = pipe.of(z, 2 + ACTIVATED)
            outs.append(self._new_state(c * (one - z) + state * z))
        return outs, flags

    def _new_state(self, x: Number) -> Number:
        return x.cast(self.state, self.op.rounding, self.op.overflow)

    def _numbers(self, payload: Value, type_: FixedType) -> list[list[Number]]:
        """Of each gate, each lane's."""
        parts = [Number(number(bits, type_), type_) for bits in Beat(self.gates * self.pe, type_.width).split(payload)]
        return [parts[at : at + self.pe] for at in range(0, len(parts), self.pe)]

    def _states(self, word: Value) -> list[Number]:
        """Each lane's."""
        return [Number(number(bits, self.state), self.state) for bits in self.result.split(word)]

    def _bits(self, x: Number) -> Value:
        return x.value[: self.state.width]

    def _weight_words(self, narrow: FixedType) -> list[int]:
        """In the order of issue: group, term; in a word each gate's lanes."""
        table = self.weights[self.order].reshape(self.units, self.gates, self.groups, self.pe).transpose(2, 0, 1, 3)
        return [packed(word, narrow.width) for word in table.reshape(-1, self.gates * self.pe).tolist()]

    def _bias_words(self) -> list[int]:
        table = self.bias.reshape(self.gates, self.groups, self.pe).swapaxes(0, 1)
        return [packed(word, self.op.accum.width) for word in table.reshape(self.groups, -1).tolist()]


@dataclass(frozen=True)
class _Flags:
    """What goes along with a group of units: whether there is one, which, whether its states are zero to begin with,
    whether it is the last one of its step, and that the last one of the sample."""

    done: Value
    group: Value
    zero: Value
    ends: Value
    last: Value

    def after(self, pipe: Pipe, cycles: int) -> _Flags:
        return _Flags(*(pipe.bits(Value.cast(x), cycles) for x in vars(self).values()))


def drain(cell: Cell) -> int:
    """Cycles of a step besides its products: from the last one until the next step can begin."""
    return _SUMMED + (2 + 2 * ACTIVATED if cell is Cell.LSTM else 3 + 2 * ACTIVATED)


def parts_in_order(op: Recurrent, graph: Graph, pe: int) -> list[tuple[str, Stage]]:
    """From the parts in C order, PE lanes a beat, to beats of all gates of PE units, in the order of the steps."""
    units, (steps, columns) = len(graph.constants[op.weights]), graph.tensors[op.inputs[0]].shape
    gates, groups, beat = op.cell.gates, units // pe, Beat(pe, op.accum.width)
    loops: tuple[range, ...] = range(groups), range(0, gates * groups, groups)
    held = columns // pe
    stages: list[tuple[str, Stage]] = []
    if op.backward and steps > 1:
        loops, held = (range(0, steps * held, held)[::-1], *loops), steps * held
    if groups > 1 or len(loops) > 2:
        stages.append(("order", Reorder(beat, Order(held, loops))))
    return [*stages, ("gates", Widen(beat, gates * pe, steps * columns))]


def states_in_order(op: Recurrent, graph: Graph, pe: int) -> list[tuple[str, Stage]]:
    """From the states in the order of the steps to that of the output."""
    if not (op.backward and op.sequence):
        return []
    steps, units = graph.tensors[op.output].shape
    groups, beat = units // pe, Beat(pe, graph.type_of(op.output).width)
    if steps == 1:
        return []
    return [("back", Reorder(beat, Order(steps * groups, (range(0, steps * groups, groups)[::-1], range(groups)))))]
