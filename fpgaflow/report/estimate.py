"""First-order estimates of what an hls4ml design takes, before any synthesis. Every figure made here says "estimated".

The model, per dense or conv layer with M = taps × filters / reuse factor multipliers of a-bit inputs and w-bit weights:

- A multiplier of at least 10 bits on one side is a DSP; a smaller one takes about a × w LUTs (Vivado maps narrow
  products to fabric: Coelho et al., Nature Machine Intelligence 3 (2021) 675, figure 4).
- Each product is added in the accumulator's width, one LUT a bit (a carry chain: AMD UG474, "Carry Logic").
- Weights of a folded layer lie in block RAM of `reuse factor` words of M × w bits, 36 kbit each as 1024 × 36 or
  512 × 72 (AMD UG473, table 1-2); up to 1 kbit stays in LUTs, 64 bits each (UG474, "Distributed RAM").
- Line buffers of a convolution hold (kernel rows - 1) image rows.
- Registers: one of the accumulator's width for each multiplier, and one of each operand.

Cycles follow hls4ml's loops (nnet_utils): io_stream takes one pixel at a time and computes `reuse factor` cycles for
each window; a dense layer reads its packets, then computes. Calibration against real reports is not part of this model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod

from fpgaflow.boards import Board
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, Relu, Threshold

DSP_BITS = 10
_LAYER_LUT, _LAYER_FF = 250, 300  # control and stream handshake of one layer
_LATENCY_PER_LAYER = 10  # cycles from a layer's first input to its pipeline being full
_SMALL_MEMORY_BITS = 1024


@dataclass(frozen=True)
class Cost:
    """Resources and cycles of one layer or a design; `cycles` is the interval between samples, `latency` the delay."""

    lut: float = 0
    ff: float = 0
    dsp: float = 0
    bram36: float = 0
    cycles: int = 1
    latency: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Side by side in one dataflow: resources and delays add up, the slowest sets the interval."""
        return Cost(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram36 + other.bram36,
            max(self.cycles, other.cycles),
            self.latency + other.latency,
        )

    def utilisation(self, board: Board) -> dict[str, float]:
        """Share of the board's part that each resource takes."""
        have = board.resources
        pairs = {
            "lut": (self.lut, have.lut),
            "ff": (self.ff, have.ff),
            "dsp": (self.dsp, have.dsp),
            "bram36": (self.bram36, have.bram36),
        }
        return {
            name: used / total if total else (0.0 if used == 0 else float("inf"))
            for name, (used, total) in pairs.items()
        }


def design_cost(graph: Graph, reuse: Mapping[str, int]) -> Cost:
    """The whole design at the reuse factors given by op name (1 where there is none)."""
    total = Cost()
    for op in graph.ops:
        total += layer_cost(op, graph, reuse.get(op.name, 1))
    return total


def layer_cost(op: Op, graph: Graph, reuse: int) -> Cost:
    """One op as an hls4ml layer in io_stream; ops that move no logic of their own cost nothing."""
    shape = graph.tensors[op.output].shape
    pixels, channels, width = prod(shape[:-1]), shape[-1], graph.type_of(op.output).width
    match op:
        case Dense():
            return _linear(op, graph, reuse, packets=prod(graph.tensors[op.inputs[0]].shape[:-1]), windows=pixels)
        case Conv():
            source = graph.tensors[op.inputs[0]].shape
            arriving = prod(n + sum(p) for n, p in zip(source[:-1], op.padding, strict=True))
            cost = _linear(op, graph, reuse, packets=arriving, windows=pixels)
            return cost + _line_buffer(op, graph)
        case Pool():
            arriving = prod(graph.tensors[op.inputs[0]].shape[:-1])
            logic = channels * width * prod(op.size)
            return Cost(_LAYER_LUT + logic, _LAYER_FF + logic, 0, 0, arriving, arriving)
        case Threshold():
            return _threshold(op, graph, reuse, pixels)
        case Add():
            return Cost(_LAYER_LUT + channels * width, _LAYER_FF + channels * width, 0, 0, pixels, _LATENCY_PER_LAYER)
        case Relu() | Cast():
            return Cost(channels * width, channels * width, 0, 0, pixels, 1)
    return Cost()


def _threshold(op: Threshold, graph: Graph, reuse: int, pixels: int) -> Cost:
    """channels × levels / reuse comparators, each a carry chain of two bits a LUT; folded ones read a memory."""
    channels, levels = graph.tensors[op.output].shape[-1], graph.constants[op.thresholds].shape[1]
    width, comparators = graph.type_of(op.inputs[0]).width, ceil(channels * levels / reuse)
    ram, ram_lut = memory(reuse, comparators * width) if reuse > 1 else (0.0, 0)
    lut = comparators * width / 2 + ram_lut
    ff = channels * graph.type_of(op.output).width + comparators * width
    return Cost(_LAYER_LUT + lut, _LAYER_FF + ff, 0, ram, pixels * reuse, reuse + _LATENCY_PER_LAYER)


def _linear(op: Linear, graph: Graph, reuse: int, packets: int, windows: int) -> Cost:
    weights = graph.constants[op.weights]
    a, w = graph.type_of(op.inputs[0]).width, op.weight_type.width
    multipliers = ceil(prod(weights.shape) / reuse)
    in_dsp = max(a, w) >= DSP_BITS
    lut = multipliers * (op.accum.width + (0 if in_dsp else a * w))
    ff = multipliers * (op.accum.width + a + w)
    ram, ram_lut = memory(reuse, multipliers * w) if reuse > 1 else (0.0, 0)
    cycles = packets + windows * reuse
    return Cost(
        _LAYER_LUT + lut + ram_lut,
        _LAYER_FF + ff,
        multipliers if in_dsp else 0,
        ram,
        cycles,
        # A window is complete after its last pixel; what waits then is one computation.
        packets + reuse + _LATENCY_PER_LAYER,
    )


def memory(words: int, bits: int) -> tuple[float, int]:
    """(blocks of 36 kbit, LUTs) of a read-only memory of `words` × `bits`."""
    if words * bits <= _SMALL_MEMORY_BITS:
        return 0.0, ceil(words * bits / 64)
    shapes = ((512, 72, 1.0), (1024, 36, 1.0), (2048, 18, 1.0), (512, 36, 0.5), (1024, 18, 0.5))
    return min(ceil(words / depth) * ceil(bits / width) * blocks for depth, width, blocks in shapes), 0


def _line_buffer(op: Conv, graph: Graph) -> Cost:
    kernel, source = graph.constants[op.weights].shape[:-2], graph.tensors[op.inputs[0]].shape
    rows = kernel[0] - 1 if len(kernel) == 2 else 0
    bits = source[-1] * graph.type_of(op.inputs[0]).width
    window = prod(kernel) * bits
    ram, lut = memory(source[-2], bits) if rows else (0.0, 0)
    return Cost(rows * lut, window, 0, rows * ram, 1, 0)
