"""Estimates of a design that hls4ml makes and Vitis HLS schedules, layer by layer, before any synthesis.

Dense layers, convolutions, relus, poolings and FIFOs are those of `hls_layers.py`, calibrated on reports and scaled to
what Vivado leaves of them; other layers are counted from first principles (`estimate.py`). Cycles are those of hls4ml's
loops: a folded convolution computes each window in its reuse factor and 11 cycles more, as nothing pipelines its pixels
(nnet_conv2d_stream.h, conv_2d_buffer_resource_cl); an unrolled one takes a pixel a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from fpgaflow.cost.coefficients import FF_AFTER_SYNTHESIS, LUT_AFTER_SYNTHESIS
from fpgaflow.cost.estimate import layer_cost
from fpgaflow.cost.hls_layers import (
    CONV_CYCLES,
    SKIP_CYCLES,
    ConstantLayer,
    FoldedLayer,
    LaneLayer,
    constant_layer,
    fifo_blocks,
    fifo_logic,
    luts,
    rom_blocks,
)
from fpgaflow.cost.parts import Cost
from fpgaflow.cost.registers import Clock
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Conv, Dense, Linear, Op, Pool, Relu, Reshape

DENSE_CYCLES = 3  # of a result beyond its reuse factor
_UNROLLED_TAIL = 6  # cycles from the last input of an unrolled layer to its result


@dataclass(frozen=True)
class Choice:
    """How a layer is built: `unrolled` with its weights as constants (hls4ml's latency strategy), or folded."""

    reuse: int = 1
    unrolled: bool = False


FOLDED = Choice()
DEFAULT_CLOCK = Clock()  # 100 MHz on the 7 series


def design_cost(
    graph: Graph, choices: Mapping[str, Choice], *, stream: bool = True, clock: Clock = DEFAULT_CLOCK
) -> Cost:
    """The whole design, in the normal form of the target; layers without a choice are folded by 1.

    Its latency is that of the slowest layer, and of what the others do after their last input.
    """
    chosen = [choices.get(op.name, FOLDED) for op in graph.ops]
    costs = zip(graph.ops, chosen, strict=True)
    return total([hls_layer_cost(op, graph, choice, stream=stream, clock=clock) for op, choice in costs])


def total(layers: Sequence[Cost]) -> Cost:
    """Layers side by side; the `latency` of each is its tail: what it does after its last input."""
    whole = Cost()
    for cost in layers:
        whole += cost
    waiting = max((cost.cycles - cost.latency for cost in layers), default=0)
    return replace(whole, latency=whole.latency + max(0, waiting))


def hls_layer_cost(
    op: Op,
    graph: Graph,
    choice: Choice = FOLDED,
    *,
    stream: bool = True,
    clock: Clock = DEFAULT_CLOCK,
    most_words: int | None = None,
) -> Cost:
    """One op of a normal form, with the FIFO that its result goes into; `latency` is its tail.

    Args:
        most_words: of that FIFO; default: a sample.

    Raises:
        BadInput: an op that no layer computes.
    """
    if isinstance(op, Reshape):
        return Cost()
    cost = _computing(op, graph, choice, stream, clock)
    return cost + _fifo(op, graph, most_words) if stream else cost


def _computing(op: Op, graph: Graph, choice: Choice, stream: bool, clock: Clock) -> Cost:
    shape = graph.tensors[op.output].shape
    pixels, lanes = prod(shape[:-1]), shape[-1] if stream else prod(shape)
    width, out = graph.type_of(op.inputs[0]).width, graph.type_of(op.output).width
    match op:
        case Dense() | Conv():
            return _linear(op, graph, choice, stream, clock)
        case Relu():
            lut, ff = _after("relu.vitis", LaneLayer("relu", lanes, width, out, stream=stream), clock)
            return Cost(lut, ff, 0, 0, pixels if stream else 1, 1)
        case Cast():  # within the layer before it: rounding and saturation, no control of its own
            lut, _ = _after("relu.vitis", LaneLayer("relu", lanes, width, out, cast=out < width, stream=False), clock)
            return Cost(lut if out < width else 0, lanes * out, 0, 0, 1, 0)
        case Pool() if stream:
            window = (op.size[0] if len(op.size) == 2 else 1, op.size[-1])
            lut, ff = _after("pool", LaneLayer("pool", lanes, width, out, window=window), clock)
            arriving = prod(graph.tensors[op.inputs[0]].shape[:-1])
            return Cost(lut, ff, 0, 0, arriving, 3)
    cost = layer_cost(op, graph, choice.reuse)
    return replace(cost, latency=min(cost.latency, cost.cycles))


def _linear(op: Linear, graph: Graph, choice: Choice, stream: bool, clock: Clock) -> Cost:
    weights = graph.constants[op.weights]
    source, result = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    conv, windows = isinstance(op, Conv), prod(result.shape[:-1])
    arriving, lines, depthwise = windows, Cost(), False
    if isinstance(op, Conv):
        arriving = prod(n + sum(p) for n, p in zip(source.shape[:-1], op.padding, strict=True))
        lines = _line_buffers(op, graph) if stream else lines
        depthwise = op.groups > 1
    if choice.unrolled or depthwise:
        constants = constant_layer(weights, source.type.width, op.weight_type.width, op.accum.width)
        lut, ff = (value * (1 if stream else windows) for value in _after("constant", constants, clock))
        return Cost(lut, ff, constants.wide_products, 0, arriving if stream else 1, _UNROLLED_TAIL) + lines
    taps = prod(weights.shape[:-1])
    bits = source.type.width
    layer = FoldedLayer(
        n_in=taps,
        n_out=weights.shape[-1],
        reuse=choice.reuse,
        a=bits,
        w=op.weight_type.width,
        acc=op.accum.width,
        top=_bits_needed(weights, op.weight_type.width),
        window_bits=taps * bits if conv else 0,
        lines=_line_rows(op, graph) * source.shape[-1],
    )
    lut, ff = _after("folded", layer, clock)
    beyond = CONV_CYCLES if conv else DENSE_CYCLES
    tail = choice.reuse + layer.index_cycles + beyond
    cycles = windows * tail + (arriving - windows) * SKIP_CYCLES if conv else arriving * tail
    if conv and not stream:
        cycles = windows * (tail - beyond) + beyond
    rom_luts = 0 if rom_blocks(choice.reuse, layer.memory_bits) else choice.reuse * layer.memory_bits / 64
    return Cost(lut + rom_luts, ff, layer.dsp, layer.blocks / 2, cycles, tail) + lines


def _line_rows(op: Linear, graph: Graph) -> int:
    """Rows of a convolution that wait in line buffers: all of the kernel but one."""
    kernel = graph.constants[op.weights].shape[:-2]
    return kernel[0] - 1 if isinstance(op, Conv) and len(kernel) == 2 else 0


def _line_buffers(op: Conv, graph: Graph) -> Cost:
    """Shift registers of a LUT for 32 pixels of a bit."""
    source = graph.tensors[op.inputs[0]]
    bits = _line_rows(op, graph) * source.shape[-1] * source.type.width
    return Cost(bits * -(-source.shape[-2] // 32) if bits else 0, cycles=1)


def _fifo(op: Op, graph: Graph, most_words: int | None) -> Cost:
    """As deep as hls4ml makes it, a beat for each position, or less."""
    tensor = graph.tensors[op.output]
    whole = prod(tensor.shape[:-1])
    return fifo_cost(min(whole, most_words or whole), tensor.shape[-1] * tensor.type.width)


def fifo_cost(depth: int, bits: int) -> Cost:
    """A FIFO of so many words."""
    lut, ff = fifo_logic(depth, bits)
    return Cost(lut * LUT_AFTER_SYNTHESIS, ff * FF_AFTER_SYNTHESIS, 0, fifo_blocks(depth, bits) / 2, 1, 0)


def fifos_cost(graph: Graph, most_words: int | None = None) -> Cost:
    """What `hls_layer_cost` counts for the FIFOs of all ops."""
    whole = Cost()
    for op in graph.ops:
        whole += Cost() if isinstance(op, Reshape) else _fifo(op, graph, most_words)
    return whole


def _after(kind: str, layer: FoldedLayer | ConstantLayer | LaneLayer, clock: Clock) -> tuple[float, float]:
    """(LUTs, flip-flops): what Vivado leaves of what C synthesis reports."""
    lut = luts(f"{kind}.lut", layer.luts())
    return lut * LUT_AFTER_SYNTHESIS, layer.ffs(clock) * FF_AFTER_SYNTHESIS


def _bits_needed(weights: np.ndarray, width: int) -> int:
    largest = int(np.abs(weights).max(initial=0))
    return min(width, largest.bit_length() + 1)
