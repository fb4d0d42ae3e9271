"""hls4ml's layers as processes of a dataflow: in which order each reads and writes beats, and in how many cycles.

The order is that of the loops in hls4ml's and fpgaflow's C++ for io_stream; a beat is one position with all its
channels. Cycles are those of `fpgaflow/cost`: estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from fpgaflow.cost.hls_design import DENSE_CYCLES
from fpgaflow.cost.hls_layers import CONV_CYCLES, SKIP_CYCLES, index_cycles
from fpgaflow.ir.graph import Ints

HOLD = 16  # beats that a pipelined loop may have begun before it writes the first: its depth, at most


@dataclass(frozen=True)
class Process:
    """What one layer does for a sample.

    Attributes:
        inputs, outputs: streams; every output gets every beat.
        needs: for each input, the beats of it that must have come before each output beat, (output beats,).
        totals: beats of each input in a sample.
        cost, skip: cycles of a beat that is written, and of one that is read and completes none.
        hold: beats that its loop begins before it writes the first of them.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    needs: tuple[Ints, ...]
    totals: tuple[int, ...]
    cost: int = 1
    skip: int = 1
    hold: int = HOLD

    @property
    def beats(self) -> int:
        """Of each output, in a sample."""
        return len(self.needs[0])


@dataclass(frozen=True)
class Stream:
    """A FIFO between two layers; `variable` is hls4ml's, `whole` the beats of a sample, `bits` of a beat."""

    variable: Any
    whole: int
    bits: int


@dataclass
class Dataflow:
    """`sources` are streams to the network, `sinks` from it: those have no FIFO of their own."""

    processes: list[Process] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)  # beats of a sample
    sinks: dict[str, int] = field(default_factory=dict)


def dataflow_of(model: Any) -> Dataflow | None:
    """The processes of a hls4ml ModelGraph for io_stream, after its backend's flow; None if a layer's loops are not
    known."""
    if any(node.class_name not in (*_NEEDS, "Input", "Reshape") for node in model.get_layers()):
        return None
    found = Dataflow()
    at: dict[str, str] = {}  # of each tensor, the stream that carries it
    beats: dict[str, int] = {}
    for node in model.get_layers():
        if node.class_name == "Reshape":  # in place: the readers take the same stream
            at[node.outputs[0]] = at[node.inputs[0]]
            continue
        for name in node.outputs:
            variable = node.get_output_variable(name)
            at[name] = variable.name
            beats[variable.name] = prod(map(int, variable.shape[:-1]))
            if node.class_name == "Input":
                found.sources[variable.name] = beats[variable.name]
            else:
                bits = int(variable.shape[-1]) * int(variable.type.precision.width)
                found.streams[variable.name] = Stream(variable, int(variable.pragma[1]), bits)
        if node.class_name != "Input":
            inputs = tuple(at[name] for name in node.inputs)
            outputs = tuple(at[name] for name in node.outputs)
            found.processes.append(_process(node, inputs, outputs, [beats[name] for name in inputs], beats[outputs[0]]))
    for name in model.outputs:
        found.sinks[at[name]] = beats[at[name]]
        found.streams.pop(at[name], None)
    return found


def _process(
    node: Any, inputs: tuple[str, ...], outputs: tuple[str, ...], arriving: list[int], leaving: int
) -> Process:
    needs = tuple(np.asarray(need, dtype=np.int64) for need in _NEEDS[node.class_name](node, arriving, leaving))
    process = Process(node.name, inputs, outputs, needs, tuple(arriving))
    reuse = int(node.get_attr("reuse_factor") or 1)
    match node.class_name:
        case kind if kind in _PRODUCTS and node.get_attr("strategy") != "resource":
            return replace(process, cost=reuse, skip=reuse)
        case "Dense":
            return replace(process, cost=reuse + index_cycles(node.get_attr("n_in"), reuse) + DENSE_CYCLES, hold=0)
        case kind if kind in _PRODUCTS:
            taps = node.get_attr("n_chan") * prod(node.get_attr(f"filt_{axis}") or 1 for axis in ("height", "width"))
            return replace(process, cost=reuse + index_cycles(taps, reuse) + CONV_CYCLES, skip=SKIP_CYCLES, hold=0)
        case "FpgaflowThreshold" | "FpgaflowMatMul":
            return replace(process, cost=reuse)
        case "FpgaflowIndexMap" if node.get_attr("serial"):
            lanes = [int(variable.shape[-1]) for variable in (node.get_input_variable(), node.get_output_variable())]
            return replace(process, cost=lanes[1], skip=lanes[0])
    return process


def _in_turn(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    """Beat for beat, or so many for one, or one for so many."""
    count = np.arange(1, leaving + 1)
    return [-(-count * n // leaving) for n in arriving]


def _after_all(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    return [np.full(leaving, n) for n in arriving]


def _window(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    """The last pixel of each window over line buffers, row after row."""
    flat = "1D" in node.class_name
    axes = ("width",) if flat else ("height", "width")
    kind = "pool" if node.class_name.startswith("Pooling") else "filt"
    source = [arriving[0]] if flat else [int(node.get_attr(f"in_{axis}")) for axis in axes]
    result = [leaving] if flat else [int(node.get_attr(f"out_{axis}")) for axis in axes]
    ends = [
        np.arange(n) * int(node.get_attr(f"stride_{axis}")) + int(node.get_attr(f"{kind}_{axis}")) - 1
        for n, axis in zip(result, axes, strict=True)
    ]
    return [ends[0] + 1] if flat else [(ends[0][:, None] * source[1] + ends[1] + 1).ravel()]


def _padding(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    """What lies within the padding comes one by one, zeros of themselves."""
    axes = ("width",) if "1D" in node.class_name else ("height", "width")
    sides = {"width": ("left", "right"), "height": ("top", "bottom")}
    inside = np.ones((), dtype=np.int64)
    for axis in axes:
        before, after = (int(node.get_attr(f"pad_{side}")) for side in sides[axis])
        size = int(node.get_attr(f"out_{axis}"))
        within = np.zeros(size, dtype=np.int64)
        within[before : size - after] = 1
        inside = inside[..., None] * within
    return [np.cumsum(inside.ravel())]


def _index_map(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    arrivals = np.asarray(node.weights["arrivals"].data).astype(np.int64).ravel()[:leaving]
    lanes = int(node.get_input_variable().shape[-1]) if node.get_attr("serial") else 1
    return [-(-arrivals // lanes)]


def _concatenate(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    """One input, then the other, for each index of the axes before; side by side along the last axis of several."""
    axis = int(node.get_attr("axis")) - 1
    shapes = [tuple(map(int, node.get_input_variable(name).shape)) for name in node.inputs]
    rank = len(shapes[0])
    if rank == 1:
        return _after_all(node, arriving, leaving)
    if axis == rank - 1:
        return _in_turn(node, arriving, leaving)
    first, second = (prod(shape[axis:-1]) for shape in shapes)
    count = np.arange(1, leaving + 1)
    rounds, within = (count - 1) // (first + second), (count - 1) % (first + second) + 1
    return [rounds * first + np.minimum(within, first), rounds * second + np.maximum(within - first, 0)]


def _matmul(node: Any, arriving: list[int], leaving: int) -> list[Ints]:
    """The right matrix, then row by row of the left one."""
    shape = tuple(map(int, node.get_input_variable(node.inputs[0]).shape))
    rows = shape[-2]
    count = np.arange(leaving)
    return [count + 1, (count // rows + 1) * (arriving[1] * rows // leaving)]


_PRODUCTS = ("Dense", "Conv1D", "Conv2D", "PointwiseConv1D", "PointwiseConv2D", "DepthwiseConv1D", "DepthwiseConv2D")
_NEEDS: Mapping[str, Callable[[Any, list[int], int], list[Ints]]] = {
    **dict.fromkeys(("Activation", "Clone", "Repack", "Merge", "Dense"), _in_turn),
    **dict.fromkeys(("PointwiseConv1D", "PointwiseConv2D"), _in_turn),
    **dict.fromkeys(("FpgaflowThreshold", "FpgaflowLookup", "FpgaflowPiecewise", "FpgaflowOneHotMax"), _in_turn),
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"), _window),
    **dict.fromkeys(("Pooling1D", "Pooling2D"), _window),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), _padding),
    "Transpose": _after_all,
    "FpgaflowIndexMap": _index_map,
    "Concatenate": _concatenate,
    "FpgaflowMatMul": _matmul,
}
