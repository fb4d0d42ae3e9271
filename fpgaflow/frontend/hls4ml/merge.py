"""hls4ml's layers of several inputs or of factors per channel: merges, concatenation, batch norm."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.emit import Emit
from fpgaflow.frontend.hls4ml.products import product
from fpgaflow.frontend.hls4ml.reader import Reader, RefusedError, compared_as_unsigned, constant
from fpgaflow.ir.bounds import sum_type
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops import Add, Reshape, Threshold
from fpgaflow.ir.ops_merge import Concat, Elementwise, ElementwiseKind, Scale, Take
from fpgaflow.ir.types import FixedType
from fpgaflow.ir.verify_merge import elementwise_type, scale_type


def sum_bits(left: FixedType, right: FixedType) -> int:
    """Integer bits of a sum or difference in C++ (ap_fixed_base.h, RType::plus_i)."""
    mixed = left.signed != right.signed
    return max(t.integer_bits + (mixed and not t.signed) for t in (left, right)) + 1


def merge(reader: Reader, layer: Any) -> None:
    """nnet_merge.h: the smaller tensor repeats in C order, which only io_parallel has."""
    left, right = reader.source(layer, 0), reader.source(layer, 1)
    if reader.stream and left.shape != right.shape:
        raise RefusedError(f"streams of shapes {left.shape} and {right.shape}", "Use io_parallel")
    shape = max((left.shape, right.shape), key=prod)
    left, right = (_repeated(reader, layer, tensor, shape) for tensor in (left, right))
    inputs, name, output = (left.name, right.name), layer.name, f"{layer.name}.exact"
    bits: int | None = sum_bits(left.type, right.type)
    if (function := str(layer.get_attr("op")).lower()) == "add":
        reader.result(layer, Add(name, inputs, output, name), shape, sum_type(left.type, right.type), bits)
        return
    if function not in (kind.value for kind in ElementwiseKind):
        raise RefusedError(f"merge operation '{function}'")
    kind = ElementwiseKind(function)
    if kind is ElementwiseKind.MULTIPLY:
        bits = left.type.integer_bits + right.type.integer_bits
    elif kind in (ElementwiseKind.MAXIMUM, ElementwiseKind.MINIMUM):
        # nnet_merge.h casts the one that it chose
        both = [t.integer_bits if t.signed else 1 for t in (left.type, right.type)]
        bits = max(both) if (both[0] > 0) == (both[1] > 0) else None
        if compared_as_unsigned(left.type, right.type):
            chosen = _negative_is_largest(Emit(reader, layer), kind, left, right)
            reader.cast(layer, chosen.name, layer.outputs[0], bits)
            return
    exact = elementwise_type(kind, left.type, right.type)
    reader.result(layer, Elementwise(name, inputs, output, name, kind), shape, exact, bits)


def _negative_is_largest(emit: Emit, kind: ElementwiseKind, left: Tensor, right: Tensor) -> Tensor:
    """The maximum or minimum of a signed and an unsigned tensor, by `compared_as_unsigned`."""
    signed, unsigned = (left, right) if left.type.signed else (right, left)
    chosen = emit.elementwise(kind, emit.relu(signed, "positive"), unsigned, "chosen")
    other = signed if kind is ElementwiseKind.MAXIMUM else unsigned
    parts = []
    for part, offsets, wish in ((chosen, [0, 1], "where_positive"), (other, [1, 0], "where_negative")):
        mask = emit.piecewise(signed, [0], [0, 0], offsets, 0, f"{wish}.mask")
        parts.append(emit.elementwise(ElementwiseKind.MULTIPLY, part, mask, wish))
    return emit.add(Add, "exact", parts, left.shape, sum_type(parts[0].type, parts[1].type))


def _repeated(reader: Reader, layer: Any, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`tensor`, its elements repeated in C order until they fill `shape`."""
    count, wanted = prod(tensor.shape), prod(shape)
    if tensor.shape == shape:
        return tensor
    base = f"{layer.name}.{tensor.name}"
    flat = reader.emit(Reshape(f"{base}.flat", (tensor.name,), f"{base}.flat", layer.name), (count,), tensor.type)
    if count < wanted:
        reader.constants[f"{base}.indices"] = np.arange(wanted) % count
        taken = Take(f"{base}.repeated", (flat.name,), f"{base}.repeated", layer.name, f"{base}.indices", 0)
        flat = reader.emit(taken, (wanted,), tensor.type)
    return reader.emit(Reshape(f"{base}.shaped", (flat.name,), f"{base}.shaped", layer.name), shape, tensor.type)


def concatenate(reader: Reader, layer: Any) -> None:
    """nnet_merge.h: each tensor is cast on its own."""
    sources = [reader.source(layer, i) for i in range(2)]
    rank, chosen = len(sources[0].shape), int(layer.get_attr("axis"))
    if rank > 3 or str(layer.get_attr("op")).lower() != f"concatenate{rank}d":
        raise RefusedError(f"'{layer.get_attr('op')}' of tensors {sources[0].shape}")
    places = {
        1: {},
        2: {2: 1, -1: 1},
        3: {3: 2, -1: 2, 2: 1, -2: 1},
    }  # nnet_merge.h; any other number is the first axis
    axis = places[rank].get(chosen, 0)
    precision = layer.get_output_variable().type.precision
    parts = [
        reader.convert(layer, source, f"{layer.name}.part{i}", precision, source.type.integer_bits)
        for i, source in enumerate(sources)
    ]
    shape = (*parts[0].shape[:axis], sum(p.shape[axis] for p in parts), *parts[0].shape[axis + 1 :])
    op = Concat(layer.name, tuple(p.name for p in parts), layer.outputs[0], layer.name, axis)
    reader.named(layer, op, shape, parts[0].type)


def batch_norm(reader: Reader, layer: Any) -> None:
    """nnet_batchnorm.h: product plus bias, both exact."""
    source = reader.source(layer)
    by = product(reader, layer, "scale", source)
    if by.addend is not None:
        raise RefusedError("binary scales of binary data")
    bias, bias_type = constant(layer, "bias")
    weights, bias = (_per_element(reader, layer, array.ravel(), source.shape) for array in (by.weights, bias))
    reader.constants[f"{layer.name}.scale"] = weights
    reader.constants[f"{layer.name}.bias"] = bias
    names = f"{layer.name}.scale", by.weight_type, f"{layer.name}.bias", bias_type
    op = Scale(layer.name, (by.source.name,), f"{layer.name}.exact", layer.name, *names)
    exact = scale_type(by.source.type, weights, by.weight_type, bias, bias_type)
    reader.result(layer, op, source.shape, exact, sum_bits(by.type, bias_type))


def _per_element(reader: Reader, layer: Any, array: Ints, shape: tuple[int, ...]) -> Ints:
    """Factors as they meet the elements of `shape`: (channels,) where that is all, else one for each."""
    count = int(layer.get_attr("n_filt"))
    if count == -1:
        count = prod(shape)
    if len(array) < count:
        raise RefusedError(f"{len(array)} factors for {count} channels: hls4ml reads beyond them")
    if count == prod(shape):
        return array[:count].reshape(shape)
    # The index starts anew with each beat of a stream, and else runs through all elements.
    period = shape[-1:] if reader.stream or shape[-1] % count == 0 else shape
    return np.resize(array[:count], period)


def batch_norm_quantised(reader: Reader, layer: Any) -> None:
    """nnet_batchnorm.h, normalize_binary_tanh and normalize_ternary_tanh: comparisons with the data's own type."""
    source = reader.source(layer)
    if int(layer.get_attr("quantize")) == 2:
        low = constant(layer, "threshold")[0].ravel()
        high, step, offset = None, 1, 0  # x >= threshold
    else:
        high, low = (constant(layer, key)[0].ravel() + 1 for key in ("threshold_hi", "threshold_lo"))
        low, step, offset = np.minimum(low, high), 1, -1  # hi is asked first
    levels = [_per_element(reader, layer, level, source.shape) for level in (low, high) if level is not None]
    name, per_channel = layer.name, levels[0].ndim == 1
    shape = source.shape if per_channel else (prod(source.shape),)
    inner = source
    if not per_channel:
        inner = reader.emit(Reshape(f"{name}.flat", (source.name,), f"{name}.flat", name), shape, source.type)
    reader.constants[f"{name}.thresholds"] = np.stack([level.ravel() for level in levels], axis=-1)
    op = Threshold(
        name, (inner.name,), f"{name}.levels", name, f"{name}.thresholds", None, step, offset, len(shape) - 1
    )
    type_ = FixedType(offset < 0, 2 if offset < 0 else 1, 0)
    if per_channel:
        reader.result(layer, op, shape, type_)
        return
    found = reader.emit(op, shape, type_)
    shaped = Reshape(f"{name}.shaped", (found.name,), f"{name}.shaped", name)
    reader.result(layer, shaped, source.shape, type_)
