"""What hls4ml's dense layers and convolutions get wrong in silence; docs/hls4ml.md names the sources."""

from __future__ import annotations

from math import prod
from typing import Any

from fpgaflow.frontend.hls4ml.encoded import reads_its_windows
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError
from fpgaflow.frontend.hls4ml.shapes import spatial


def check_convolution(reader: Reader, layer: Any, size: tuple[int, ...], depthwise: bool) -> None:
    """Refuses what hls4ml silently gets wrong; `targets/hls/check.py` names the sources."""
    dilation = [layer.get_attr(key, 1) for key in ("dilation", "dilation_width", "dilation_height")]
    if any(d not in (1, [1], (1,), [1, 1], (1, 1)) for d in dilation):
        raise RefusedError("dilation: hls4ml ignores it")
    if depthwise and layer.get_attr("n_filt") != layer.get_attr("n_chan"):
        raise RefusedError("depth multiplier other than 1")
    strides, pointwise = spatial(layer, "stride"), layer.class_name.startswith("Pointwise")
    if reader.stream and len(size) == 2 and size[0] == 1 < strides[0] and not pointwise:
        raise RefusedError(f"kernel {size} with strides {strides}: hls4ml's io_stream ignores the vertical stride")
    encoded = str(layer.get_attr("implementation", "")).lower() == "encoded"
    if reader.stream and encoded and not pointwise and not reads_its_windows(layer):
        raise RefusedError("hls4ml's encoded implementation of it reads the wrong pixels", "Choose LineBuffer")
    folded = str(layer.get_attr("strategy")).lower() == "resource" and not reader.stream
    if folded and depthwise:
        raise RefusedError("resource strategy: hls4ml's io_parallel asserts that it is not chosen")
    taps = prod(size) * int(layer.get_attr("n_chan"))
    if folded and int(layer.get_attr("reuse_factor")) > taps:
        raise RefusedError(f"reuse factor above its {taps} inputs: hls4ml's io_parallel reads beyond the window")
    if not depthwise:
        check_folding(layer, taps, int(layer.get_attr("n_filt")))


def check_folding(layer: Any, inputs: int, outputs: int) -> None:
    """fpga_backend.py makes reuse factors legal; pointwise.py and an unrolled layer's lowest one undo that."""
    strategy, reuse = str(layer.get_attr("strategy")).lower(), int(layer.get_attr("reuse_factor"))
    if strategy not in ("resource", "resource_unrolled"):
        return
    if strategy == "resource_unrolled" and reuse == 1:
        raise RefusedError("unrolled with reuse factor 1: hls4ml generates no code for it", "Choose Resource")
    if max(inputs, reuse) % min(inputs, reuse) or inputs * outputs % reuse:
        found = (
            f"reuse factor {reuse} for {inputs} × {outputs} products: hls4ml's C++ reads beyond its weights or stops"
        )
        raise RefusedError(found, "Choose a divisor of the inputs")
