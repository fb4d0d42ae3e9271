"""A graph as hls4ml's layer dictionaries, with every type spelled out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.targets.hls.normal import normal_form

Layer = dict[str, Any]


class IOType(Enum):
    """How hls4ml's layers pass tensors on."""

    PARALLEL = "io_parallel"  # as arrays of registers
    STREAM = "io_stream"  # as FIFOs, one pixel a beat


class Strategy(Enum):
    """How hls4ml builds multiplications."""

    LATENCY = "latency"  # unrolled
    RESOURCE = "resource"  # folded over weights in memory; depthwise convolutions, which it lacks folded, unrolled


@dataclass(frozen=True)
class HlsOptions:
    """What the user chooses of an hls4ml project.

    Attributes:
        reuse_factor: how many multiplications share a multiplier, in ops without an entry in `reuse_factors`.
        reuse_factors: the same for single dense and conv ops, by op name.
        clock_period_ns: the clock period that Vitis HLS schedules for.

    Raises:
        BadInput: a value that hls4ml's scripts or C++ cannot hold.
    """

    part: str
    io_type: IOType = IOType.PARALLEL
    strategy: Strategy = Strategy.LATENCY
    reuse_factor: int = 1
    reuse_factors: Mapping[str, int] = field(default_factory=dict)
    clock_period_ns: float = 5.0
    project_name: str = "fpgaflow"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z]\w*", self.project_name, re.ASCII):
            raise BadInput("project name", f"'{self.project_name}' is no C identifier", "Use letters, digits and _")
        if not re.fullmatch(r"[\w.-]+", self.part, re.ASCII):
            raise BadInput("part", f"'{self.part}' is no name of a part", "Give one like xc7z020clg400-1")
        if not self.clock_period_ns > 0:
            raise BadInput("clock period", f"{self.clock_period_ns} ns", "Give a positive period")
        for factor in (self.reuse_factor, *self.reuse_factors.values()):
            if factor < 1:
                raise BadInput("reuse factor", f"{factor} is less than 1", "Give 1 for no sharing of multipliers")

    def reuse(self, op: Op) -> int:
        return self.reuse_factors.get(op.name, self.reuse_factor)


@dataclass(frozen=True)
class LayerList:
    """What `ModelGraph.from_layer_list` takes; `graph` is the normal form that the layers stand for."""

    graph: Graph
    layers: list[Layer]
    config: dict[str, Any]  # the value of HLSConfig
    inputs: list[str]
    outputs: list[str]


def spell(type_: FixedType, rounding: Rounding = Rounding.TRN, overflow: Overflow = Overflow.WRAP) -> str:
    """The type as hls4ml reads it.

    Always ap_fixed: hls4ml multiplies otherwise by ap_uint<1> and ap_int<2>, its binary and ternary weights.

    >>> spell(FixedType(False, 4, 6), Rounding.RND_CONV, Overflow.SAT)
    'ap_ufixed<4,-2,RND_CONV,SAT>'
    """
    sign = "" if type_.signed else "u"
    return f"ap_{sign}fixed<{type_.width},{type_.integer_bits},{rounding.value},{overflow.value}>"


def layer_list(graph: Graph, options: HlsOptions) -> LayerList:
    """The layers of a graph that `check` found no problem in: a Cast becomes the result type of the layer before it,
    where nothing else reads that layer."""
    normal = normal_form(graph)
    names = _Names()
    layers: list[Layer] = []
    config: dict[str, Any] = {}
    at: dict[str, str] = {}  # tensor to the layer that makes it

    for number, port in enumerate(normal.inputs, start=1):
        tensor = normal.tensors[port.tensor]
        at[port.tensor] = name = names.take(f"input_{number}")
        layers.append({"class_name": "InputLayer", "name": name, "input_shape": list(tensor.shape)})
        config[name] = {"Precision": {"result": spell(tensor.type)}}

    fused = _fused_casts(normal)
    absorbed = {cast.output for cast in fused.values()}
    for op in normal.ops:
        if op.output in absorbed:
            continue
        cast = op if isinstance(op, Cast) else fused.get(op.output)
        output = cast.output if cast else op.output
        sources = [at[tensor] for tensor in op.inputs]
        at[output] = name = names.take(op.name)
        layer, precision = _LAYERS[type(op)](op, normal)
        if isinstance(op, Conv) and options.io_type is IOType.STREAM and any(map(any, op.padding)):
            # hls4ml would insert this layer itself, but before the wrong reader where a 1-D input has several.
            padding, layer = _padding_apart(layer)
            padded = names.take(f"{op.name}_padding")
            layers.append({"name": padded, "inputs": sources, **padding})
            config[padded] = {"Precision": {"result": spell(normal.type_of(op.inputs[0]))}}
            sources = [padded]
        layers.append({"name": name, "inputs": sources, **layer})
        modes = (cast.rounding, cast.overflow) if cast else ()
        precision = {"result": spell(normal.type_of(output), *modes), **precision}
        unrolled = isinstance(op, Conv) and op.groups > 1  # vivado nnet_sepconv2d.h: "Resource ... not supported"
        strategy = Strategy.LATENCY if unrolled else options.strategy
        config[name] = {"Precision": precision, "ReuseFactor": options.reuse(op), "Strategy": strategy.value}

    model = {
        "Precision": "ap_fixed<16,6>",  # hls4ml asks for one; every type that counts is spelled by layer
        "ReuseFactor": options.reuse_factor,
        "Strategy": options.strategy.value,
    }
    return LayerList(
        normal,
        layers,
        {"Model": model, "LayerName": config},
        [at[port.tensor] for port in normal.inputs],
        [at[port.tensor] for port in normal.outputs],
    )


_TYPED = (Dense, Conv, Pool, Add, Relu)  # their layers round and saturate into any result type


def _fused_casts(graph: Graph) -> dict[str, Cast]:
    """For each tensor whose producer takes over its only reader's cast: that Cast."""
    outputs = {port.tensor for port in graph.outputs}
    fused: dict[str, Cast] = {}
    for tensor, op in graph.producers.items():
        match graph.consumers[tensor]:
            case (Cast() as cast,) if isinstance(op, _TYPED) and tensor not in outputs:
                fused[tensor] = cast
    return fused


class _Names:
    """Layer names that are C identifiers, distinct in any case, and none that hls4ml makes or reserves itself."""

    _RESERVED = re.compile(r"$|\d|input$|(repack|clone|broadcast|zp1d|zp2d)_")

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def take(self, wanted: str) -> str:
        clean = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        clean = re.sub(r"_cpy(\d+)$", r"_cpy_\1", clean)
        if self._RESERVED.match(clean.lower()):
            clean = f"op_{clean}"
        name, number = clean, 1
        while name.lower() in self.taken:
            number += 1
            name = f"{clean}_{number}"
        self.taken.add(name.lower())
        return name


def _values(integers: Ints, type_: FixedType) -> np.ndarray:
    return integers.astype(np.float64) * type_.scale


def _linear(op: Linear, graph: Graph) -> tuple[Layer, dict[str, str]]:
    """The bias and the types; a bias that is absent is hls4ml's own: ap_uint<1> zeros."""
    precision = {"weight": spell(op.weight_type), "accum": spell(op.accum)}
    if op.bias is None or op.bias_type is None:
        return {"bias_data": None}, precision
    return {"bias_data": _values(graph.constants[op.bias], op.bias_type)}, {**precision, "bias": spell(op.bias_type)}


def _dense(op: Dense, graph: Graph) -> tuple[Layer, dict[str, str]]:
    weights = _values(graph.constants[op.weights], op.weight_type)
    bias, precision = _linear(op, graph)
    sizes = {"n_in": weights.shape[0], "n_out": weights.shape[1]}
    return {"class_name": "Dense", **sizes, "weight_data": weights, **bias}, precision


def _spatial(axes: tuple[str, ...], prefix: str, values: tuple[int, ...], suffix: str = "") -> Layer:
    return {f"{prefix}{axis}{suffix}": value for axis, value in zip(axes, values, strict=True)}


_AXES = {1: ("width",), 2: ("height", "width")}
_SIDES = {1: (("pad_left", "pad_right"),), 2: (("pad_top", "pad_bottom"), ("pad_left", "pad_right"))}


def _padding(padding: tuple[tuple[int, int], ...]) -> Layer:
    sides = _SIDES[len(padding)]
    return {
        name: size for names, pad in zip(sides, padding, strict=True) for name, size in zip(names, pad, strict=True)
    }


def _padding_apart(conv: Layer) -> tuple[Layer, Layer]:
    """A conv layer's zero padding as a layer of its own, and the conv layer without padding."""
    pads = {name: conv[name] for sides in _SIDES[2] for name in sides if name in conv}
    axes = [(axis, sides) for axis, sides in zip(_AXES[2], _SIDES[2], strict=True) if sides[0] in conv]
    inner = {f"in_{axis}": conv[f"in_{axis}"] for axis, _ in axes}
    outer = {axis: conv[f"in_{axis}"] + sum(conv[side] for side in sides) for axis, sides in axes}
    padding = {
        "class_name": f"ZeroPadding{len(axes)}D",
        "data_format": "channels_last",
        **inner,
        **{f"out_{axis}": size for axis, size in outer.items()},
        **pads,
        "n_chan": conv["n_chan"],
    }
    return padding, {**conv, **{f"in_{axis}": size for axis, size in outer.items()}, **dict.fromkeys(pads, 0)}


def _conv(op: Conv, graph: Graph) -> tuple[Layer, dict[str, str]]:
    weights = _values(graph.constants[op.weights], op.weight_type)
    source, result = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape
    axes = _AXES[len(op.strides)]
    depthwise = op.groups > 1
    bias, precision = _linear(op, graph)
    layer = {
        "class_name": f"{'Depthwise' if depthwise else ''}Conv{len(axes)}D",
        "data_format": "channels_last",
        **_spatial(axes, "in_", source[:-1]),
        **_spatial(axes, "out_", result[:-1]),
        **_spatial(axes, "filt_", weights.shape[:-2]),
        **_spatial(axes, "stride_", op.strides),
        **_padding(op.padding),
        "n_chan": source[-1],
        "n_filt": result[-1],
        **bias,
    }
    if depthwise:  # hls4ml's depthwise weights are (*kernel, channels, 1), in the same order
        kernel = weights.reshape(*weights.shape[:-2], source[-1], 1)
        return {**layer, "depthwise_data": kernel, "depth_multiplier": 1}, precision
    return {**layer, "weight_data": weights}, precision


def _pool(op: Pool, graph: Graph) -> tuple[Layer, dict[str, str]]:
    source, result = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    axes = _AXES[len(op.size)]
    accum = source.type
    if op.kind is PoolKind.AVERAGE:
        # The sum before hls4ml divides it, with the fraction bits that the quotient needs.
        extra = result.type.fraction - source.type.fraction
        accum = FixedType(result.type.signed, result.type.width + extra, result.type.fraction)
    layer = {
        "class_name": f"{'Max' if op.kind is PoolKind.MAX else 'Average'}Pooling{len(axes)}D",
        "data_format": "channels_last",
        **_spatial(axes, "pool_", op.size),
        **_spatial(axes, "stride_", op.strides),
        **_padding(op.padding),
        "n_filt": source.shape[-1],
        "count_pad": True,
    }
    if len(axes) == 1:
        layer |= {"n_in": source.shape[0], "n_out": result.shape[0]}
    else:
        layer |= _spatial(axes, "in_", source.shape[:-1]) | _spatial(axes, "out_", result.shape[:-1])
    return layer, {"accum": spell(accum)}


def _add(op: Add, graph: Graph) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Merge", "op": "add"}, {}


def _cast(op: Cast, graph: Graph) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Activation", "activation": "linear"}, {}


def _relu(op: Relu, graph: Graph) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Activation", "activation": "relu"}, {}


def _reshape(op: Reshape, graph: Graph) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Reshape", "target_shape": list(graph.tensors[op.output].shape)}, {}


def _transpose(op: Transpose, graph: Graph) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Transpose", "perm": list(op.perm)}, {}


def _threshold(op: Threshold, graph: Graph) -> tuple[Layer, dict[str, str]]:
    source, thresholds = graph.tensors[op.inputs[0]], graph.constants[op.thresholds]
    falling = graph.constants[op.signs] < 0 if op.signs else np.zeros(len(thresholds), dtype=bool)
    rows = np.broadcast_to(thresholds, (len(falling), thresholds.shape[1]))
    type_ = type_for(int(rows.min()), int(rows.max()), source.type.fraction)
    layer = {
        "class_name": "FpgaflowThreshold",
        "threshold_data": _values(rows, type_),
        "sign_data": falling.astype(np.float64),
        "n_inner": prod(source.shape[op.axis + 1 :]),
        "offset": op.offset,
        "step": op.step,
    }
    return layer, {"threshold": spell(type_), "sign": spell(FixedType(False, 1, 0))}


_LAYERS: Mapping[type[Op], Callable[..., tuple[Layer, dict[str, str]]]] = {
    Cast: _cast,
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Add: _add,
    Relu: _relu,
    Reshape: _reshape,
    Transpose: _transpose,
    Threshold: _threshold,
}
