"""How each layer of hls4ml is read: what its C++ computes, as ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from hls4ml.model.types import InplaceTensorVariable

from fpgaflow.frontend.hls4ml.activations import ACTIVATION_READERS
from fpgaflow.frontend.hls4ml.extensions import EXTENSION_READERS
from fpgaflow.frontend.hls4ml.linear import conv, dense
from fpgaflow.frontend.hls4ml.merge import batch_norm, batch_norm_quantised, concatenate, merge
from fpgaflow.frontend.hls4ml.reader import AP_INTS, Reader, RefusedError, constant, fixed_type
from fpgaflow.frontend.hls4ml.recurrent import RECURRENT_READERS
from fpgaflow.frontend.hls4ml.shapes import broadcast, cropping, global_pool, pool, resize, zero_padding
from fpgaflow.frontend.hls4ml.softmax import SOFTMAX_READERS
from fpgaflow.frontend.hls4ml.tensors import dot, einsum, einsum_dense, embedding
from fpgaflow.ir.graph import Input, Tensor
from fpgaflow.ir.ops import Reshape, Threshold, Transpose
from fpgaflow.ir.ops_merge import Take
from fpgaflow.ir.types import Overflow


def model_input(reader: Reader, layer: Any) -> None:
    variable = layer.get_output_variable()
    type_, rounding, overflow = fixed_type(variable.type.precision)
    name = layer.outputs[0]
    reader.at[name] = reader.tensor(name, tuple(variable.shape), type_, layer)
    low = -type_.high if overflow is Overflow.SAT_SYM and type_.signed else type_.low
    gain = Fraction(2) ** type_.fraction
    ap_int = isinstance(variable.type.precision, AP_INTS)
    reader.inputs.append(Input(name, name, gain, Fraction(0), rounding, overflow, low, type_.high, ap_int))


def reshape(reader: Reader, layer: Any) -> None:
    source, variable = reader.source(layer), layer.get_output_variable()
    if reader.stream and variable.shape[-1] != source.shape[-1]:
        short, long = sorted((variable.shape[-1], source.shape[-1]))
        if isinstance(variable, InplaceTensorVariable):
            reader.flat.add(layer.outputs[0])
        elif long % short:
            raise RefusedError(f"{source.shape} to {variable.shape}: hls4ml cannot repack such a stream")
    op = Reshape(layer.name, (source.name,), f"{layer.name}.reshape", layer.name)
    reader.result(layer, op, tuple(variable.shape), source.type)


def transpose(reader: Reader, layer: Any) -> None:
    source, perm = reader.source(layer), tuple(int(axis) for axis in layer.get_attr("perm"))
    if reader.stream and perm == (0, 1):
        _transposed_all_the_same(reader, layer, source)
        return
    op = Transpose(layer.name, (source.name,), f"{layer.name}.transpose", layer.name, perm)
    reader.result(layer, op, tuple(source.shape[axis] for axis in perm), source.type)


def _transposed_all_the_same(reader: Reader, layer: Any, source: Tensor) -> None:
    """nnet_transpose_stream.h takes entry (j, i) of two axes for (i, j), whatever it is asked for."""
    rows, columns = source.shape
    if rows < columns:
        raise RefusedError(f"perm (0, 1) of {source.shape} in io_stream: hls4ml reads beyond its data", "Leave it out")
    places, name = np.arange(columns) * columns + np.arange(rows)[:, np.newaxis], layer.name
    reader.constants[f"{name}.indices"] = places.ravel()
    flat = Reshape(f"{name}.flat", (source.name,), f"{name}.flat", name)
    flat_tensor = reader.emit(flat, (rows * columns,), source.type)
    take = Take(f"{name}.taken", (flat_tensor.name,), f"{name}.taken", name, f"{name}.indices", 0)
    taken = reader.emit(take, flat_tensor.shape, source.type)
    op = Reshape(name, (taken.name,), f"{name}.reshape", name)
    reader.result(layer, op, source.shape, source.type)


def threshold(reader: Reader, layer: Any) -> None:
    """fpgaflow's own extension (targets/hls/extensions.py)."""
    source = reader.source(layer)
    thresholds, type_ = constant(layer, "threshold")
    falling, _ = constant(layer, "sign")
    if type_.fraction != source.type.fraction:
        raise RefusedError(f"thresholds {type_} for inputs {source.type}: their binary points differ")
    inner, shape = int(layer.get_attr("n_inner")), source.shape
    fits = (a for a, size in enumerate(shape) if size == len(thresholds) and prod(shape[a + 1 :]) == inner)
    axis = next(fits, len(shape) - 1)
    if len(falling) not in (1, shape[axis]):
        raise RefusedError(f"{len(falling)} rows of thresholds for shape {shape}")
    reader.constants[f"{layer.name}.thresholds"] = thresholds
    reader.constants[f"{layer.name}.signs"] = np.broadcast_to(1 - 2 * falling, shape[axis : axis + 1]).copy()
    output, _, _ = fixed_type(layer.get_output_variable().type.precision)
    op = Threshold(
        *(layer.name, (source.name,), f"{layer.name}.threshold", layer.name),
        *(f"{layer.name}.thresholds", f"{layer.name}.signs"),
        *(int(layer.get_attr("step")), int(layer.get_attr("offset")), axis),
    )
    reader.result(layer, op, shape, output)


def clone(reader: Reader, layer: Any) -> None:
    if layer.inputs[0] in reader.flat:
        reader.flat.update(layer.outputs)
    for name in layer.outputs:
        reader.cast(layer, reader.source(layer).name, name)


READERS: Mapping[str, Callable[[Reader, Any], None]] = {
    "Input": model_input,
    "Dense": dense,
    "Conv1D": conv,
    "Conv2D": conv,
    "PointwiseConv1D": conv,
    "PointwiseConv2D": conv,
    "DepthwiseConv1D": conv,
    "DepthwiseConv2D": conv,
    "ZeroPadding1D": zero_padding,
    "ZeroPadding2D": zero_padding,
    "Cropping1D": cropping,
    "Cropping2D": cropping,
    "Resize": resize,
    "Broadcast": broadcast,
    "Pooling1D": pool,
    "Pooling2D": pool,
    "GlobalPooling1D": global_pool,
    "GlobalPooling2D": global_pool,
    "BatchNormalization": batch_norm,
    "ApplyAlpha": batch_norm,
    "BatchNormalizationQuantizedTanh": batch_norm_quantised,
    **ACTIVATION_READERS,
    **SOFTMAX_READERS,
    "Merge": merge,
    "Concatenate": concatenate,
    "Dot": dot,
    "Einsum": einsum,
    "EinsumDense": einsum_dense,
    "Embedding": embedding,
    "Conv2DBatchnorm": conv,
    "Reshape": reshape,
    "Repack": reshape,
    "Transpose": transpose,
    "Clone": clone,
    **RECURRENT_READERS,
    "FpgaflowThreshold": threshold,
    **EXTENSION_READERS,
}
