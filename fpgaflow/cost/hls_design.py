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
    FoldedLayer,
    LaneLayer,
    constant_layer,
    fifo_blocks,
    fifo_logic,
    logic,
    rom_blocks,
)
from fpgaflow.cost.parts import Cost
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


def design_cost(graph: Graph, choices: Mapping[str, Choice], *, stream: bool = True) -> Cost:
    """The whole design, in the normal form of the target; layers without a choice are folded by 1.

    Its latency is that of the slowest layer, and of what the others do after their last input.
    """
    return total([hls_layer_cost(op, graph, choices.get(op.name, FOLDED), stream=stream) for op in graph.ops])


def total(layers: Sequence[Cost]) -> Cost:
    """Layers side by side; the `latency` of each is its tail: what it does after its last input."""
    whole = Cost()
    for cost in layers:
        whole += cost
    waiting = max((cost.cycles - cost.latency for cost in layers), default=0)
    return replace(whole, latency=whole.latency + max(0, waiting))


def hls_layer_cost(op: Op, graph: Graph, choice: Choice = FOLDED, *, stream: bool = True) -> Cost:
    """One op of a normal form, with the FIFO that its result goes into; `latency` is its tail.

    Raises:
        BadInput: an op that no layer computes.
    """
    if isinstance(op, Reshape):
        return Cost()
    cost = _computing(op, graph, choice, stream)
    return cost + _fifo(op, graph) if stream else cost


def _computing(op: Op, graph: Graph, choice: Choice, stream: bool) -> Cost:
    shape = graph.tensors[op.output].shape
    pixels, lanes = prod(shape[:-1]), shape[-1] if stream else prod(shape)
    width = graph.type_of(op.inputs[0]).width
    match op:
        case Dense() | Conv():
            return _linear(op, graph, choice, stream)
        case Relu():
            lut, ff = _scaled("relu.vitis", LaneLayer("relu", lanes, width, stream=stream))
            return Cost(lut, ff, 0, 0, pixels if stream else 1, 1)
        case Cast():  # within the layer before it: rounding and saturation, no control of its own
            narrower = graph.type_of(op.output).width < width
            lut, _ = _scaled("relu.vitis", LaneLayer("relu", lanes, width, cast=narrower, stream=False))
            return Cost(lut if narrower else 0, lanes * graph.type_of(op.output).width, 0, 0, 1, 0)
        case Pool() if stream:
            lut, ff = _scaled("pool", LaneLayer("pool", lanes, width, window=prod(op.size)))
            arriving = prod(graph.tensors[op.inputs[0]].shape[:-1])
            return Cost(lut, ff, 0, 0, arriving, 3)
    cost = layer_cost(op, graph, choice.reuse)
    return replace(cost, latency=min(cost.latency, cost.cycles))


def _linear(op: Linear, graph: Graph, choice: Choice, stream: bool) -> Cost:
    weights = graph.constants[op.weights]
    source, result = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    conv, windows = isinstance(op, Conv), prod(result.shape[:-1])
    arriving, lines, depthwise = windows, Cost(), False
    if isinstance(op, Conv):
        arriving = prod(n + sum(p) for n, p in zip(source.shape[:-1], op.padding, strict=True))
        lines = _line_buffers(op, graph) if stream else lines
        depthwise = op.groups > 1
    if choice.unrolled or depthwise:
        constants = constant_layer(weights, source.type.width, op.accum.width)
        lut, ff = (value * (1 if stream else windows) for value in _logic_after("constant", constants.features()))
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
    )
    lut, ff = _logic_after("folded", layer.features())
    beyond = CONV_CYCLES if conv else DENSE_CYCLES
    tail = choice.reuse + beyond
    cycles = windows * tail + (arriving - windows) * SKIP_CYCLES if conv else arriving * (choice.reuse + beyond)
    if conv and not stream:
        cycles = windows * choice.reuse + beyond
    blocks = rom_blocks(choice.reuse, layer.memory_bits) / 2
    rom_luts = 0 if blocks else choice.reuse * layer.memory_bits / 64
    return Cost(lut + rom_luts, ff, layer.dsp, blocks, cycles, tail) + lines


def _line_buffers(op: Conv, graph: Graph) -> Cost:
    """All rows of the kernel but one: shift registers of a LUT for 32 pixels of a bit."""
    kernel, source = graph.constants[op.weights].shape[:-2], graph.tensors[op.inputs[0]]
    rows = kernel[0] - 1 if len(kernel) == 2 else 0
    return Cost(rows * source.shape[-1] * source.type.width * -(-source.shape[-2] // 32), cycles=1)


def _fifo(op: Op, graph: Graph) -> Cost:
    """As deep as hls4ml makes it: a beat for each position."""
    tensor = graph.tensors[op.output]
    depth, bits = prod(tensor.shape[:-1]), tensor.shape[-1] * tensor.type.width
    lut, ff = fifo_logic(depth, bits)
    return Cost(lut * LUT_AFTER_SYNTHESIS, ff * FF_AFTER_SYNTHESIS, 0, fifo_blocks(depth, bits) / 2, 1, 0)


def _scaled(kind: str, layer: LaneLayer) -> tuple[float, float]:
    return _logic_after(kind, layer.features())


def _logic_after(kind: str, features: tuple[list[float], list[float]]) -> tuple[float, float]:
    """What Vivado leaves of what C synthesis reports."""
    lut, ff = logic(kind, features)
    return lut * LUT_AFTER_SYNTHESIS, ff * FF_AFTER_SYNTHESIS


def _bits_needed(weights: np.ndarray, width: int) -> int:
    largest = int(np.abs(weights).max(initial=0))
    return min(width, largest.bit_length() + 1)
