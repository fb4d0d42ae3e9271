"""The matrix-vector unit: products with constant weights, folded onto PE × SIMD multipliers.

It takes vectors of `taps` elements, SIMD a beat, and gives the `filters` sums of each, PE a beat. A vector takes
(taps / SIMD) × (filters / PE) cycles. Grouped convolutions send one vector for each group in turn, and each group has
weights of its own. Weights and biases lie in read-only memories, or are constants where nothing is folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Linear
from fpgaflow.ir.ops_merge import OrderedDense
from fpgaflow.ir.types import FixedType, Rounding, type_for
from fpgaflow.sim.fixed_point import rescale
from fpgaflow.sim.kernels import lift
from fpgaflow.sim.kernels_merge import product_type
from fpgaflow.targets.rtl.accumulate import cast_sum
from fpgaflow.targets.rtl.cast import cast_value, number, wrapped
from fpgaflow.targets.rtl.rom import count_up, packed, read_rom, tree_sum
from fpgaflow.targets.rtl.stream import Beat, Stage, after_each


@dataclass(frozen=True)
class Matrix:
    """What a unit multiplies with: `weights` (groups, taps, filters), `bias` (groups, filters) at `accum`'s fraction.

    A product is shifted left by `lift` (right, cut off, where negative) to `accum`'s fraction. Each group serves
    `repeat` vectors, then the next one.
    """

    weights: np.ndarray
    bias: np.ndarray
    weight_type: FixedType
    accum: FixedType
    lift: int
    repeat: int = 1


def matrix_of(op: Linear, graph: Graph, groups: int = 1, slices: int = 1) -> Matrix:
    """The constants of a dense or conv; the taps of a conv in C order of (slice, *kernel, channels of it)."""
    constants = graph.constants[op.weights]
    sliced = constants.reshape(prod(constants.shape[:-2]), slices, -1, constants.shape[-1]).swapaxes(0, 1)
    flat = sliced.reshape(-1, groups, constants.shape[-1] // groups)
    bias = np.zeros(constants.shape[-1], np.int64)
    if op.bias is not None and op.bias_type is not None:
        bias = rescale(graph.constants[op.bias], op.bias_type, op.accum, Rounding.TRN)
    narrow = _narrowest(constants, op.weight_type.fraction)
    return Matrix(flat.transpose(1, 0, 2), bias.reshape(groups, -1), narrow, op.accum, lift(op, graph))


def ordered_matrix_of(op: OrderedDense, graph: Graph) -> Matrix:
    """The constants of an OrderedDense: a group for each product of matrices that has constants of its own."""
    weights, shape, accum = graph.constants[op.weights], graph.tensors[op.output].shape, graph.type_of(op.output)
    bias = np.zeros(1, np.int64) if op.bias is None else graph.constants[op.bias]
    rows = np.broadcast_to(bias, shape).reshape(-1, shape[-1])
    vectors, groups = len(rows), prod(weights.shape[:-2])
    if (rows != np.repeat(rows[:: vectors // groups], vectors // groups, axis=0)).any():
        groups = vectors  # each has a bias of its own
    matrices = weights.reshape(-1, *weights.shape[-2:])
    matrices = np.repeat(matrices, groups // len(matrices), axis=0)
    narrow = _narrowest(weights, op.weight_type.fraction)
    return Matrix(matrices, rows[:: vectors // groups], narrow, accum, 0, vectors // groups)


def _narrowest(weights: Ints, fraction: int) -> FixedType:
    """Of the weights that there are: often less than what is declared."""
    return type_for(int(weights.min()), int(weights.max()), fraction)


class MatrixVector(Stage):
    """Latency 3 after the last beat of a vector, where nothing is folded; interval (taps / simd) × (filters / pe).

    Args:
        source: type of the input's elements.
        pe: sums at a time, dividing the filters.
        simd: products of each at a time, dividing the taps.
    """

    def __init__(self, matrix: Matrix, source: FixedType, pe: int, simd: int) -> None:
        self.matrix, self.type, self.pe, self.simd = matrix, source, pe, simd
        self.groups, taps, filters = matrix.weights.shape
        if taps % simd or filters % pe:
            raise ValueError(f"{pe} × {simd} does not fold {filters} × {taps}")
        self.words, self.folds = taps // simd, filters // pe
        super().__init__(Beat(simd, source.width), Beat(pe, matrix.accum.width))

    def needed(self, beats: int) -> np.ndarray:
        return after_each(self.words, self.folds, beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()  # the whole pipeline, unless a result waits
        issue = Signal()  # one beat enters it
        m.d.comb += move.eq(~self.o.valid | self.o.ready)
        word, word_last = count_up(m, "word", self.words, issue)
        _, fold_last = count_up(m, "fold", self.folds, issue & word_last)
        vector_ends = issue & word_last & fold_last
        row, address = self._addresses(m, issue, issue & word_last, vector_ends)
        beat = self._operand(m, move, issue, word, vector_ends)

        # Fetch: the operand beside its weights and, for the first beat of a sum, the bias.
        operand = Signal(self.simd * self.type.width)
        fetched = Signal()
        first = Signal()
        last = Signal()
        weight = Beat(self.pe, self.simd * self.matrix.weight_type.width)
        weights = read_rom(m, "weights", self._weight_words(), weight.width, address, move)
        biases = read_rom(m, "biases", self._bias_words(), self.result.width, row, move)
        with m.If(move):
            m.d.sync += [operand.eq(beat), fetched.eq(issue), first.eq(word == 0), last.eq(word_last)]

        # Multiply: the sum of the products of each output.
        summed = Signal()
        sum_first = Signal()
        sum_last = Signal()
        start = Signal(self.result.width)
        with m.If(move):
            m.d.sync += [summed.eq(fetched), sum_first.eq(first), sum_last.eq(last), start.eq(biases)]
            m.d.sync += self.o.valid.eq(summed & sum_last)
        outs, starts = self.result.split(self.o.payload), self.result.split(start)
        for lane, own in enumerate(weight.split(weights)):
            products = self._products(operand, own)
            exact = tree_sum(products).shape()
            partial = Signal(Shape(min(exact.width, self.matrix.accum.width), exact.signed), name=f"products_{lane}")
            with m.If(move):
                m.d.sync += partial.eq(tree_sum(products))

            # Accumulate, in the accumulator's wrap-around arithmetic.
            total = Signal(self.matrix.accum.width, name=f"total_{lane}")
            m.d.comb += total.eq(self._added(Mux(sum_first, starts[lane], outs[lane]), partial))
            with m.If(move & summed):
                m.d.sync += outs[lane].eq(total)
        return m

    def _addresses(self, m: Module, issue: Value, sum_ends: Value, vector_ends: Value) -> tuple[Value, Value]:
        """Of the sums in the table of biases, and of the beats in that of weights."""
        own = 1 if self.matrix.repeat > 1 else self.groups  # groups that the counters run through
        row, _ = count_up(m, "row", own * self.folds, sum_ends)
        address, _ = count_up(m, "address", own * self.folds * self.words, issue)
        if own == self.groups:
            return row, address
        _, over = count_up(m, "again", self.matrix.repeat, vector_ends)
        group, _ = count_up(m, "group", self.groups, vector_ends & over)
        return row + group * self.folds, address + group * (self.folds * self.words)

    def _operand(self, m: Module, move: Value, issue: Value, word: Value, vector_ends: Value) -> Value:
        """The beat that enters. Where the filters are folded, it comes from a ring of two vectors, to be read again."""
        if self.folds == 1:
            m.d.comb += [issue.eq(move & self.i.valid), self.i.ready.eq(move)]
            return self.i.payload
        ring = Memory(shape=unsigned(self.source.width), depth=2 << len(word), init=[])
        m.submodules.vectors = ring
        write, read = ring.write_port(), ring.read_port(domain="comb")
        level = Signal(range(2 * self.words + 1))  # beats in the ring from the start of the vector at hand
        filling = Signal()
        emptying = Signal()
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(level != 2 * self.words),
            accept.eq(self.i.ready & self.i.valid),
            issue.eq(move & (level > word)),
            write.data.eq(self.i.payload),
            write.en.eq(accept),
            read.addr.eq(Cat(word, emptying)),
        ]
        place, place_last = count_up(m, "place", self.words, accept)
        m.d.comb += write.addr.eq(Cat(place, filling))
        m.d.sync += [
            level.eq(level + accept - Mux(vector_ends, self.words, 0)),
            filling.eq(filling ^ (accept & place_last)),
            emptying.eq(emptying ^ vector_ends),
        ]
        return read.data

    def _products(self, operand: Value, weights: Value) -> list[Value]:
        pairs = zip(
            self.source.split(operand), Beat(self.simd, self.matrix.weight_type.width).split(weights), strict=True
        )
        products = [number(x, self.type) * number(w, self.matrix.weight_type) for x, w in pairs]
        return [product >> -self.matrix.lift for product in products] if self.matrix.lift < 0 else products

    def _added(self, total: Value, partial: Value) -> Value:
        """The accumulator after one more sum of products, in wrap-around arithmetic."""
        return total + (partial << max(0, self.matrix.lift))

    def _weight_words(self) -> list[int]:
        """In the order of issue: group, fold, word; in a word each output's weights, the first output's lowest."""
        groups, (words, simd), (folds, pe) = self.groups, (self.words, self.simd), (self.folds, self.pe)
        table = self.matrix.weights.reshape(groups, words, simd, folds, pe).transpose(0, 3, 1, 4, 2)
        bits = self.matrix.weight_type.width
        return [packed(word, bits) for word in table.reshape(-1, pe * simd).tolist()]

    def _bias_words(self) -> list[int]:
        return [packed(row, self.matrix.accum.width) for row in self.matrix.bias.reshape(-1, self.pe).tolist()]


class OrderedMatrixVector(MatrixVector):
    """As an OrderedDense computes it: every product and every sum is cast, one product at a time."""

    def __init__(self, matrix: Matrix, op: OrderedDense, graph: Graph, pe: int) -> None:
        super().__init__(matrix, graph.type_of(op.inputs[0]), pe, 1)
        self.op, self.exact = op, product_type(op, graph)

    def _products(self, operand: Value, weights: Value) -> list[Value]:
        (product,), accum = super()._products(operand, weights), self.matrix.accum
        return [wrapped(cast_value(product, self.exact, accum, self.op.rounding, self.op.overflow), accum)]

    def _added(self, total: Value, partial: Value) -> Value:
        accum = self.matrix.accum
        return cast_sum(self.op, accum, accum)(number(total, accum), partial)
