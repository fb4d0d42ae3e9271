"""Each op of a normal form as hls4ml's layer dictionary, and the precisions beside its result's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.index_map import places
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Concat, Elementwise
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.hls.extension_rows import EXTENSION_ROWS, Layer, index_map, spell, values

MAX_CLONES = 7  # hls4ml's nnet_stream.h copies a stream so many times at most


def reader_count(graph: Graph, tensor: str) -> int:
    """How often ops and outputs read a tensor."""
    reads = sum(reader.inputs.count(tensor) for reader in graph.consumers[tensor])
    return reads + sum(port.tensor == tensor for port in graph.outputs)


def _linear(op: Linear, graph: Graph) -> tuple[Layer, dict[str, str]]:
    """The bias and the types; a bias that is absent is hls4ml's own: ap_uint<1> zeros."""
    precision = {"weight": spell(op.weight_type), "accum": spell(op.accum)}
    if op.bias is None or op.bias_type is None:
        return {"bias_data": None}, precision
    return {"bias_data": values(graph.constants[op.bias], op.bias_type)}, {**precision, "bias": spell(op.bias_type)}


def _dense(op: Dense, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    weights = values(graph.constants[op.weights], op.weight_type)
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


def padding_apart(conv: Layer) -> tuple[Layer, Layer]:
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


def _conv(op: Conv, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    weights = values(graph.constants[op.weights], op.weight_type)
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


def _pool(op: Pool, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
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


def _add(op: Add, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Merge", "op": "add"}, {}


def _cast(op: Cast, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Activation", "activation": "linear"}, {}


def _relu(op: Relu, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Activation", "activation": "relu"}, {}


def _elementwise(op: Elementwise, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Merge", "op": op.kind.value}, {}


def _concat(op: Concat, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    rank = len(graph.tensors[op.output].shape)
    return {"class_name": "Concatenate", "op": f"concatenate{rank}d", "axis": op.axis + 1}, {}


def _reshape(op: Reshape, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    if stream and not _repacks(op, graph):
        return index_map(graph.tensors[op.inputs[0]].shape, places(graph.tensors[op.output].shape), 0, stream)
    return {"class_name": "Reshape", "target_shape": list(graph.tensors[op.output].shape)}, {}


def _repacks(op: Reshape, graph: Graph) -> bool:
    """Whether hls4ml brings such a stream into its new shape, or its readers take it in the old one.

    Those are Dense and Threshold (backends/fpga/passes/inplace_stream_flatten.py leaves a flattened stream its beats);
    vivado nnet_stream.h, repack_stream makes whole multiples or parts of the last axis, and passes/repack_stream.py
    gives the copies for several readers another type.
    """
    source, target = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape
    if len(target) == 1:
        gathers = all(isinstance(reader, Dense | Threshold) for reader in graph.consumers[op.output])
        return gathers and reader_count(graph, op.output) <= MAX_CLONES
    short, long = sorted((source[-1], target[-1]))
    return long % short == 0 and reader_count(graph, op.output) == 1


def _transpose(op: Transpose, graph: Graph, stream: bool) -> tuple[Layer, dict[str, str]]:
    return {"class_name": "Transpose", "perm": list(op.perm)}, {}


ROWS: Mapping[type[Op], Callable[..., tuple[Layer, dict[str, str]]]] = {
    Cast: _cast,
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Add: _add,
    Relu: _relu,
    Reshape: _reshape,
    Transpose: _transpose,
    Elementwise: _elementwise,
    Concat: _concat,
    **EXTENSION_ROWS,
}
