"""Estimates of the layers without constant weights: joins, element functions, tables, and what moves elements.

The rules are those of estimate.py. A comparison takes a carry chain of two bits a LUT, a choice of two a LUT a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, prod

import numpy as np

from fpgaflow.cost.parts import DSP_BITS, LATENCY_PER_LAYER, LAYER_FF, LAYER_LUT, Cost, memory
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.index_map import IndexMap, beat_tables
from fpgaflow.ir.ops import Op, Reshape, Transpose
from fpgaflow.ir.ops_merge import Concat, Elementwise, ElementwiseKind, Embed, MatMul
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise


def _layer(lut: float, ff: float, dsp: float, bram36: float, cycles: int, delay: int = 0) -> Cost:
    return Cost(LAYER_LUT + lut, LAYER_FF + ff, dsp, bram36, cycles, delay + LATENCY_PER_LAYER)


def _product(count: float, a: int, b: int) -> tuple[float, float]:
    """(LUTs, DSPs) of multipliers of a by b bits."""
    return (0, count) if max(a, b) >= DSP_BITS else (count * a * b, 0)


def _beats(op: Op, graph: Graph) -> tuple[int, int, int]:
    """(beats, elements of one, bits of one element) of an op's result."""
    tensor = graph.tensors[op.output]
    return prod(tensor.shape[:-1]), tensor.shape[-1], tensor.type.width


def _elementwise(op: Elementwise, graph: Graph, reuse: int) -> Cost:
    beats, channels, width = _beats(op, graph)
    a, b = (graph.type_of(name).width for name in op.inputs)
    lut, dsp = 1.0 * channels * width, 0.0  # of a sum, or a choice
    if op.kind is ElementwiseKind.MULTIPLY:
        lut, dsp = _product(channels, a, b)
    elif op.kind in (ElementwiseKind.MAXIMUM, ElementwiseKind.MINIMUM):
        lut += channels * max(a, b) / 2
    return _layer(lut, channels * width, dsp, 0, beats)


def _concat(op: Concat, graph: Graph, reuse: int) -> Cost:
    beats, channels, width = _beats(op, graph)
    return _layer(0, channels * width, 0, 0, beats)


def _transpose(op: Transpose, graph: Graph, reuse: int) -> Cost:
    """hls4ml keeps the whole tensor in registers, then writes it out (nnet_array.h, transpose)."""
    beats, channels, width = _beats(op, graph)
    arriving = prod(graph.tensors[op.inputs[0]].shape[:-1])
    bits = beats * channels * width
    return _layer(bits / 2, bits, 0, 0, arriving + beats, arriving)


def _index_map(op: IndexMap, graph: Graph, reuse: int) -> Cost:
    """The beats that are kept, the tables, and a choice among the lanes of a beat for each that differs in its lane."""
    _, channels, width = _beats(op, graph)
    source = graph.tensors[op.inputs[0]].shape
    tables = beat_tables(graph.constants[op.indices], prod(source), source[-1], channels)
    bits = [int(max(abs(array).max(), 1)).bit_length() + 1 for array in (tables.outer, tables.arrivals)]
    blocks, lut = memory(tables.depth // tables.banks, tables.in_size * width)
    roms = [memory(len(tables.outer), 2 * bits[0]), memory(len(tables.arrivals), bits[1])]
    choices = channels * width * (source[-1] if np.ptp(tables.outer[:, 1]) else 1) / 4
    if tables.serial:
        choices = source[-1] * width / 4 + channels
    return _layer(
        tables.banks * lut + sum(rom[1] for rom in roms) + choices,
        channels * width,
        0,
        tables.banks * blocks + sum(rom[0] for rom in roms),
        tables.steps,
        int(tables.arrivals[0]),
    )


def _rows(op: Lookup | Embed, graph: Graph, lookups: int, bits: int) -> tuple[float, float]:
    """(LUTs, blocks) of a table that so many elements look into at once: a memory has two ports."""
    blocks, lut = memory(len(graph.constants[op.table]), bits)
    return ceil(lookups / 2) * lut, ceil(lookups / 2) * blocks


def _lookup(op: Lookup, graph: Graph, reuse: int) -> Cost:
    beats, channels, width = _beats(op, graph)
    lut, blocks = _rows(op, graph, channels, width)
    return _layer(lut, channels * width, 0, blocks, beats)


def _embed(op: Embed, graph: Graph, reuse: int) -> Cost:
    beats, columns, width = _beats(op, graph)
    lut, blocks = _rows(op, graph, 1, columns * width)
    return _layer(lut, columns * width, 0, blocks, beats)


def _piecewise(op: Piecewise, graph: Graph, reuse: int) -> Cost:
    beats, channels, width = _beats(op, graph)
    source, slopes = graph.type_of(op.inputs[0]).width, graph.constants[op.slopes]
    slope_bits, pieces = int(abs(slopes).max()).bit_length() + 1, slopes.shape[-1]
    lut, dsp = _product(channels, source, slope_bits)
    rom_blocks, rom_lut = memory(slopes.size, slope_bits + width) if slopes.size > channels * pieces else (0.0, 0)
    lut += channels * (width + (pieces - 1) * (source / 2 + slope_bits + width)) + rom_lut
    return _layer(lut, channels * (source + width), dsp, rom_blocks, beats)


def _matmul(op: MatMul, graph: Graph, reuse: int) -> Cost:
    """The right matrix in registers, then a row of the result after the other."""
    (*batch, rows, inner), columns = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape[-1]
    a, b = (graph.type_of(name).width for name in op.inputs)
    multipliers, width = ceil(inner * columns / reuse), graph.type_of(op.output).width
    lut, dsp = _product(multipliers, a, b)
    ff = inner * columns * b + multipliers * (width + a)
    return _layer(lut + multipliers * width, ff, dsp, 0, prod(batch) * (inner + rows * reuse), inner)


def _one_hot_max(op: OneHotMax, graph: Graph, reuse: int) -> Cost:
    beats, channels, _ = _beats(op, graph)
    width = graph.type_of(op.inputs[0]).width
    return _layer((channels - 1) * width * 1.5 + channels, channels * width, 0, 0, beats)


def _reshape(op: Reshape, graph: Graph, reuse: int) -> Cost:
    """Its readers gather the beats, or hls4ml's repacking passes them on."""
    return Cost()


LAYER_COSTS: Mapping[type[Op], Callable[..., Cost]] = {
    Elementwise: _elementwise,
    Concat: _concat,
    Transpose: _transpose,
    Reshape: _reshape,
    IndexMap: _index_map,
    Lookup: _lookup,
    Embed: _embed,
    Piecewise: _piecewise,
    MatMul: _matmul,
    OneHotMax: _one_hot_max,
}
