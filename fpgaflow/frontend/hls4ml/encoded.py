"""hls4ml's "encoded" streaming convolution: whether its instructions make it the convolution that they stand for.

Each arriving pixel goes to the taps of its instruction. The instructions are made for a smaller image, whose places
stand for all places alike (fpga_backend.py, compute_conv2d_instructions; nnet_conv_stream.h, scale_index_regular):
that does not hold for every size, kernel and stride.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from fpgaflow.frontend.hls4ml.shapes import spatial


def reads_its_windows(layer: Any) -> bool:
    """Whether every pixel goes to just those taps that a convolution multiplies it with."""
    size, kernel, strides = spatial(layer, "in"), spatial(layer, "filt"), spatial(layer, "stride")
    small = spatial(layer, "min")
    instructions = [int(text) for text in str(layer.get_attr("instructions")).split(",")]
    for place in product(*(range(n) for n in size)):
        index = 0
        for p, n, short, taps, stride in zip(place, size, small, kernel, strides, strict=True):
            index = index * short + (p if n == short else _scaled(p, taps, stride, n))
        wanted = sum(
            1 << bit
            for bit, tap in enumerate(product(*(range(taps) for taps in kernel)))
            if all(_meets(*axis) for axis in zip(place, tap, size, kernel, strides, strict=True))
        )
        if index >= len(instructions) or instructions[index] != wanted:
            return False
    return True


def _meets(place: int, tap: int, size: int, taps: int, stride: int) -> bool:
    """Whether a tap of some window lies here."""
    start = place - tap
    return start >= 0 and start % stride == 0 and start + taps <= size


def _scaled(index: int, taps: int, stride: int, size: int) -> int:
    """nnet_conv_stream.h, scale_index_K_gte_S and scale_index_K_lt_S."""
    rest = abs(taps - stride)
    if index < rest:
        return index
    last = (size - taps) // stride * stride + taps
    short = (-(-max(taps, stride) // min(taps, stride)) - 1) * stride + taps
    if index >= last:
        return short
    return short - (last - index) if last - index <= rest else rest + (index - rest) % stride
