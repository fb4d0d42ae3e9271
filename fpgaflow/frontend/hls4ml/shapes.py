"""hls4ml's layers over windows and places: pooling, zero padding, cropping, resizing, broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.reader import AP_INTS, Padding, Reader, RefusedError, fixed_type, within
from fpgaflow.ir.bounds import pool_sum_type
from fpgaflow.ir.graph import Ints, Tensor
from fpgaflow.ir.ops import Cast, Pool, PoolKind, Reshape
from fpgaflow.ir.ops_merge import Divide, OrderedSum, Pad, Patches, Take
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify import pool_shape
from fpgaflow.ir.verify_merge import patches_shape

_AXES = {1: ("width",), 2: ("height", "width")}
_SIDES = {1: (("left", "right"),), 2: (("top", "bottom"), ("left", "right"))}


def rank_of(layer: Any) -> int:
    """1 or 2 spatial axes; channels come last."""
    if layer.get_attr("data_format", "channels_last") != "channels_last":
        raise RefusedError("data format channels_first")
    return 1 if layer.class_name.endswith("1D") else 2


def sides(layer: Any, prefix: str) -> Padding:
    """What is before and after each spatial axis: the attributes pad_left, crop_top and so on."""
    return tuple(
        (int(layer.get_attr(f"{prefix}_{before}")), int(layer.get_attr(f"{prefix}_{after}")))
        for before, after in _SIDES[rank_of(layer)]
    )


def spatial(layer: Any, prefix: str) -> tuple[int, ...]:
    """One number for each spatial axis: the attributes stride_height, filt_width and so on."""
    return tuple(int(layer.get_attr(f"{prefix}_{axis}")) for axis in _AXES[rank_of(layer)])


def expect(tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise RefusedError(f"it is made for inputs {shape} and reads {tensor.shape}")


def padded(reader: Reader, layer: Any, tensor: Tensor, padding: Padding, value: int, name: str) -> Tensor:
    """`tensor` (*spatial, channels) with `value` around it."""
    around = (*padding, (0, 0))
    if not any(map(any, around)):
        return tensor
    shape = tuple(n + sum(pads) for n, pads in zip(tensor.shape, around, strict=True))
    return reader.emit(Pad(name, (tensor.name,), name, layer.name, around, value), shape, tensor.type)


def zero_padding(reader: Reader, layer: Any) -> None:
    """A convolution that reads this pads what was here read, see `Reader.padded`: engines do that best."""
    name, source, padding = layer.outputs[0], reader.source(layer), sides(layer, "pad")
    around = padded(reader, layer, source, padding, 0, f"{layer.name}.padded")
    reader.cast(layer, around.name, name, source.type.integer_bits)
    if reader.tensors[reader.at[name]].type == source.type:
        reader.padded[name] = (source.name, padding)


def cropping(reader: Reader, layer: Any) -> None:
    kept = [
        range(before, n - after)
        for n, (before, after) in zip(reader.source(layer).shape, sides(layer, "crop"), strict=False)
    ]
    _placed(reader, layer, kept)


def resize(reader: Reader, layer: Any) -> None:
    """nnet_image.h: the nearest element by a ratio of 16 fraction bits; nnet_image_stream.h: whole multiples."""
    if layer.get_attr("algorithm") != "nearest" or layer.get_attr("align_corners"):
        raise RefusedError(f"algorithm '{layer.get_attr('algorithm')}'", "Use nearest neighbours")
    source = reader.source(layer)
    old = tuple(int(layer.get_attr(key, 1)) for key in ("in_height", "in_width"))[-len(source.shape) + 1 :]
    new = tuple(int(layer.get_attr(key, 1)) for key in ("out_height", "out_width"))[-len(source.shape) + 1 :]
    expect(source, (*old, int(layer.get_attr("n_chan"))))
    if reader.stream and any(large % small for large, small in zip(new, old, strict=True)):
        raise RefusedError(f"{old} to {new}, no whole multiple", "Use io_parallel")
    exact = not reader.stream
    taken = []
    for small, large in zip(old, new, strict=True):
        ratio = (small << 16) // large + 1
        taken.append([i * ratio >> 16 if exact else i // (large // small) for i in range(large)])
    _placed(reader, layer, taken)


def broadcast(reader: Reader, layer: Any) -> None:
    """nnet_stream.h, broadcast_stream: axes of one entry repeat it."""
    shapes = zip(reader.source(layer).shape, layer.get_output_variable().shape, strict=True)
    _placed(reader, layer, [[0] * new if old == 1 else range(old) for old, new in shapes])


def _placed(reader: Reader, layer: Any, chosen: Sequence[Sequence[int]]) -> None:
    """The `chosen` entries of each leading axis, then the cast to the layer's result."""
    tensor = reader.source(layer)
    for axis, entries in enumerate(chosen):
        if list(entries) == list(range(tensor.shape[axis])):
            continue
        if not entries or max(entries) >= tensor.shape[axis]:
            raise RefusedError(f"entries {list(entries)} of an axis of {tensor.shape[axis]}")
        name, shape = f"{layer.name}.axis{axis}", (*tensor.shape[:axis], len(entries), *tensor.shape[axis + 1 :])
        reader.constants[f"{name}.indices"] = np.array(entries)
        taken = Take(name, (tensor.name,), name, layer.name, f"{name}.indices", axis)
        tensor = reader.emit(taken, shape, tensor.type)
    reader.cast(layer, tensor.name, layer.outputs[0], tensor.type.integer_bits)


def pool(reader: Reader, layer: Any) -> None:
    """nnet_pooling.h: sums in the accumulator's type; nnet_pooling_stream.h: first casts, then adds in a tree."""
    source, size, strides = reader.source(layer), spatial(layer, "pool"), spatial(layer, "stride")
    padding = sides(layer, "pad")
    if reader.stream and any(map(any, padding)):
        raise RefusedError("padding: hls4ml's io_stream asserts that there is none", "Use io_parallel")
    encoded = str(layer.get_attr("implementation", "linebuffer")).lower() == "encoded"
    if reader.stream and (len(size) == 2 or encoded) and size != strides:
        raise RefusedError(f"window {size} with strides {strides}: hls4ml's io_stream asserts that they are equal")
    if layer.get_attr("pool_op") == "Max":
        _max(reader, layer, source, size, strides, padding)
        return
    if not any(map(any, padding)) and _exact_mean(reader, layer, source, size, strides):
        return
    inside = np.ones((*source.shape[:-1], 1), dtype=np.int64)
    counts = _window_sums(np.pad(inside, (*padding, (0, 0))), size, strides)
    if layer.get_attr("count_pad") or (counts == prod(size)).all():
        counts = np.array([prod(size)])
    if not counts.all():
        raise RefusedError("a window of padding alone: hls4ml divides by zero")
    total = _sum(reader, layer, padded(reader, layer, source, padding, 0, f"{layer.name}.padded"), size, strides)
    _mean(reader, layer, total, counts)


def global_pool(reader: Reader, layer: Any) -> None:
    """The whole of each channel; io_stream adds one after the other."""
    rank = rank_of(layer)
    size = (int(layer.get_attr("n_in")),) if rank == 1 else spatial(layer, "in")
    source, name = reader.source(layer), layer.name
    expect(source, (*size, int(layer.get_attr("n_filt"))))
    flat = Reshape(f"{name}.flat", (source.name,), f"{name}.flat", name)
    flat_tensor = reader.emit(flat, (prod(size), source.shape[-1]), source.type)
    if layer.get_attr("pool_op") == "Max":
        _max(reader, layer, flat_tensor, (prod(size),), (1,), ((0, 0),))
    else:
        total = _sum(reader, layer, flat_tensor, (prod(size),), (1,))
        _mean(reader, layer, total, np.array([prod(size)]))


def _window_sums(x: Ints, size: tuple[int, ...], strides: tuple[int, ...]) -> Ints:
    """Sums over the windows of (*spatial, 1): (*windows, 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=tuple(range(len(size))))
    chosen = windows[tuple(slice(None, None, stride) for stride in strides)]
    return chosen.sum(axis=tuple(range(-len(size), 0)))


def _max(
    reader: Reader, layer: Any, source: Tensor, size: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> None:
    name, accum = layer.name, layer.get_attr("accum_t").precision
    lowest = source.type.low if source.type.signed else 1 << source.type.width - 1  # nnet_pooling.h, pad_val
    tensor = padded(reader, layer, source, padding, lowest, f"{name}.padded")
    casts = not within(tensor.type, fixed_type(accum)[0])
    if reader.stream and casts:
        tensor = reader.convert(layer, tensor, f"{name}.terms", accum, tensor.type.integer_bits)
    op = Pool(name, (tensor.name,), f"{name}.pool", name, PoolKind.MAX, size, strides, ((0, 0),) * len(size))
    found = reader.emit(op, pool_shape(tensor.shape, op), tensor.type)
    if casts:
        found = reader.convert(layer, found, f"{name}.accum", accum, found.type.integer_bits)
    _finish(reader, layer, found, fixed_type(accum)[0])  # which every maximum passes through, cast or not


def _exact_mean(reader: Reader, layer: Any, source: Tensor, size: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """The mean over windows of 2^k elements as one op, if the accumulator holds all of it."""
    window, accum, name = prod(size), fixed_type(layer.get_attr("accum_t").precision)[0], layer.name
    extra = window.bit_length() - 1
    exact = pool_sum_type(source.type, window, padded=False, extra_fraction=extra)
    total = FixedType(exact.signed, exact.width + extra, exact.fraction)
    if window & (window - 1) or not within(total, accum):
        return False
    op = Pool(name, (source.name,), f"{name}.pool", name, PoolKind.AVERAGE, size, strides, ((0, 0),) * len(size))
    reader.result(layer, op, pool_shape(source.shape, op), exact, accum.integer_bits)
    return True


def _sum(reader: Reader, layer: Any, source: Tensor, size: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
    """Sums over windows in the accumulator, which rounds and overflows as often as hls4ml's does."""
    name, precision = layer.name, layer.get_attr("accum_t").precision
    tree = reader.stream and not layer.class_name.startswith("Global")
    if reader.stream or isinstance(precision, AP_INTS):  # ap_fixed_base.h: ap_int += ap_fixed casts first
        source = reader.convert(layer, source, f"{name}.terms", precision, source.type.integer_bits)
    accum, rounding, overflow = fixed_type(precision)
    exact = pool_sum_type(source.type, prod(size), padded=False)
    # These roundings commute with adding what is on the accumulator's grid.
    grid = source.type.fraction <= accum.fraction or rounding in (Rounding.TRN, Rounding.RND, Rounding.RND_MIN_INF)
    if grid and (overflow is Overflow.WRAP or within(pool_sum_type(source.type, prod(size), padded=True), accum)):
        if source.type.fraction > accum.fraction:
            on_grid = FixedType(True, source.type.width + 1, accum.fraction)
            cast = Cast(f"{name}.terms", (source.name,), f"{name}.terms", name, rounding, Overflow.WRAP)
            source = reader.emit(cast, source.shape, on_grid)
            exact = pool_sum_type(on_grid, prod(size), padded=False)
        op = Pool(name, (source.name,), f"{name}.sum", name, PoolKind.SUM, size, strides, ((0, 0),) * len(size))
        total = reader.emit(op, pool_shape(source.shape, op), exact)
        return reader.convert(layer, total, f"{name}.accum", precision)
    shape = patches_shape(source.shape, size, strides)
    patches = reader.emit(
        Patches(f"{name}.patches", (source.name,), f"{name}.patches", name, size, strides), shape, source.type
    )
    ordered = OrderedSum(name, (patches.name,), f"{name}.accum", name, None, tree, rounding, overflow)
    return reader.emit(ordered, (*shape[:-2], shape[-1]), accum)


def _mean(reader: Reader, layer: Any, total: Tensor, counts: Ints) -> None:
    """The sums over the counts, which broadcast to them, toward zero in the accumulator's type."""
    name, accum = layer.name, total.type
    by_unsigned = not reader.stream or layer.class_name.startswith("Global")
    # ap_private.h: a narrow signed ap_int over an unsigned int is divided as if it were unsigned itself
    as_unsigned = isinstance(layer.get_attr("accum_t").precision, AP_INTS) and accum.signed and accum.width < 32
    if as_unsigned and by_unsigned:
        total = _wrapped(reader, layer, total, FixedType(False, 33, 0), f"{name}.unsigned")
    reader.constants[f"{name}.counts"] = counts
    op = Divide(f"{name}.mean", (total.name,), f"{name}.mean", name, f"{name}.counts")
    total = reader.emit(op, total.shape, total.type)
    if as_unsigned and by_unsigned:
        total = _wrapped(reader, layer, total, accum, f"{name}.signed")
    _finish(reader, layer, total, accum)


def _wrapped(reader: Reader, layer: Any, tensor: Tensor, type_: FixedType, name: str) -> Tensor:
    op = Cast(name, (tensor.name,), name, layer.name, Rounding.TRN, Overflow.WRAP)
    return reader.emit(op, tensor.shape, type_)


def _finish(reader: Reader, layer: Any, found: Tensor, accum: FixedType) -> None:
    """The cast to the layer's result, without the spatial axes of a global pooling."""
    if layer.class_name.startswith("Global"):
        name = f"{layer.name}.flattened"
        found = reader.emit(Reshape(name, (found.name,), name, layer.name), found.shape[-1:], found.type)
    reader.cast(layer, found.name, layer.outputs[0], accum.integer_bits)
