"""First-order estimates of single layers, before any synthesis, from first principles alone.

The RTL flow counts by them; the HLS flow by `hls_design.py`, which takes from here what no report calibrates.

The model, per dense or conv layer with M = taps × filters / reuse factor multipliers of a-bit inputs and w-bit weights:

- A multiplier of at least 10 bits on one side is a DSP; a smaller one takes about a × w LUTs (Vivado maps narrow
  products to fabric: Coelho et al., Nature Machine Intelligence 3 (2021) 675, figure 4).
- Each product is added in the accumulator's width, one LUT a bit (a carry chain: AMD UG474, "Carry Logic").
- Weights of a folded layer lie in block RAM of `reuse factor` words of M × w bits, 36 kbit each as 1024 × 36 or
  512 × 72 (AMD UG473, table 1-2); up to 1 kbit stays in LUTs, 64 bits each (UG474, "Distributed RAM").
- Line buffers of a convolution hold (kernel rows - 1) image rows.
- Registers: one of the accumulator's width for each multiplier, and one of each operand.
- The other layers are counted in `layers.py` by the same rules.

Cycles follow hls4ml's loops (nnet_utils): io_stream takes one pixel at a time and computes `reuse factor` cycles for
each window; a dense layer reads its packets, then computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

from fpgaflow.cost.layers import LAYER_COSTS
from fpgaflow.cost.parts import DSP_BITS, LATENCY_PER_LAYER, LAYER_FF, LAYER_LUT, SEARCHED_LEVELS, Cost, memory
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, Relu, Threshold


def design_cost(graph: Graph, reuse: Mapping[str, int]) -> Cost:
    """The whole design at the reuse factors given by op name (1 where there is none)."""
    total = Cost()
    for op in graph.ops:
        total += layer_cost(op, graph, reuse.get(op.name, 1))
    return total


def layer_cost(op: Op, graph: Graph, reuse: int) -> Cost:
    """One op of a normal form as a layer in io_stream.

    Raises:
        BadInput: an op that no layer computes: there is nothing to estimate.
    """
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
            return Cost(LAYER_LUT + logic, LAYER_FF + logic, 0, 0, arriving, arriving)
        case Threshold():
            return _threshold(op, graph, reuse, pixels)
        case Add():
            return Cost(LAYER_LUT + channels * width, LAYER_FF + channels * width, 0, 0, pixels, LATENCY_PER_LAYER)
        case Relu() | Cast():
            return Cost(channels * width, channels * width, 0, 0, pixels, 1)
    if (find := LAYER_COSTS.get(type(op))) is None:
        found = f"no layer computes {type(op).__name__}, so that there is nothing to estimate"
        raise BadInput(f"op '{op.name}'", found, "Check the model first: fpgaflow check")
    return find(op, graph, reuse)


def _threshold(op: Threshold, graph: Graph, reuse: int, pixels: int) -> Cost:
    """channels / reuse lanes, each with a comparator, a carry chain of two bits a LUT, for each threshold; or, where
    they are searched, one for each halving. The thresholds of folded lanes lie in memory."""
    channels, levels = graph.tensors[op.output].shape[-1], graph.constants[op.thresholds].shape[1]
    width, lanes = graph.type_of(op.inputs[0]).width, ceil(channels / reuse)
    comparators = lanes * (levels.bit_length() if levels >= SEARCHED_LEVELS else levels)
    ram, ram_lut = memory(reuse, lanes * levels * width) if reuse > 1 else (0.0, 0)
    choices = lanes * levels * width / 4 if levels >= SEARCHED_LEVELS else 0  # of four by one LUT a bit
    lut = comparators * width / 2 + choices + ram_lut
    ff = channels * graph.type_of(op.output).width + comparators * width
    return Cost(LAYER_LUT + lut, LAYER_FF + ff, 0, ram, pixels * reuse, reuse + LATENCY_PER_LAYER)


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
        LAYER_LUT + lut + ram_lut,
        LAYER_FF + ff,
        multipliers if in_dsp else 0,
        ram,
        cycles,
        # A window is complete after its last pixel; what waits then is one computation.
        packets + reuse + LATENCY_PER_LAYER,
    )


def _line_buffer(op: Conv, graph: Graph) -> Cost:
    kernel, source = graph.constants[op.weights].shape[:-2], graph.tensors[op.inputs[0]].shape
    rows = kernel[0] - 1 if len(kernel) == 2 else 0
    bits = source[-1] * graph.type_of(op.inputs[0]).width
    window = prod(kernel) * bits
    ram, lut = memory(source[-2], bits) if rows else (0.0, 0)
    return Cost(rows * lut, window, 0, rows * ram, 1, 0)
