"""The form of a graph in which every op is one hls4ml layer, or the result type of one.

All rewrites are exact. A graph and what hls4ml made of it have the same normal form: `difference.py` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TypeVar

import numpy as np

from fpgaflow.ir.bounds import pool_sum_type, sum_type
from fpgaflow.ir.graph import Graph, Ints, Output
from fpgaflow.ir.index_map import INDEX_RULES, MAX_REGISTERS, IndexMap, places, windows_apart
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, PoolKind, Relu, Reshape, Threshold, Transpose
from fpgaflow.ir.types import FixedType, Overflow, Rounding, type_for
from fpgaflow.ir.verify import verify
from fpgaflow.targets.hls.normal_build import Builder, Shape
from fpgaflow.targets.hls.normal_more import MORE_REWRITES

L = TypeVar("L", bound=Linear)
_DENSE_AXES = 3  # of hls4ml's Dense


def normal_form(graph: Graph, *, stream: bool = False) -> Graph:
    """The graph of the same integers that the target's layers express one by one, in io_stream or io_parallel.

    - Relu, Add and Pool give their narrowest exact type; where another was asked, a Cast follows.
    - Casts that change nothing go, and what a following cast makes superfluous: a lossless cast, a relu.
    - Casts, relus and sums stand before reshapes; reshapes merge, and go where an output follows: elements travel in
      C order. Transposes that move only axes of size one are reshapes.
    - Sums, and averages whose windows overlap or are padded, are depthwise convolutions with constant weights.
    - Dilation, and groups other than depthwise, become zero weights; a convolution of one tap is a Dense; a bias of
      zeros goes; a Dense has three axes at most.
    - What only moves elements is one IndexMap (index_map.py). It also lays windows side by side, and skips rows, where
      hls4ml's streams take no others.
    - A Scale is a Piecewise of one piece; a Concat has two inputs and three axes at most.
    """
    build = Builder(graph, stream)
    for op in graph.ops:
        inputs = tuple(build.known[name] for name in op.inputs)
        build.known[op.output] = _REWRITES[type(op)](build, replace(op, inputs=inputs))
    outputs = []
    for port in graph.outputs:
        tensor = build.known[port.tensor]
        while isinstance(before := build.ops.get(tensor), Reshape):
            tensor = before.inputs[0]
        scale = Fraction(2) ** -build.type(tensor).fraction
        outputs.append(Output(tensor, port.name, (scale,), (Fraction(0),), 0))
    return verify(build.graph(tuple(outputs)), "hls normal form", INDEX_RULES)


def _cast(build: Builder, op: Cast) -> str:
    return build.cast(op, build.asked(op).type)


def _zero_bias(build: Builder, op: L) -> L:
    if op.bias is None or build.old.constants[op.bias].any():
        return op
    return replace(op, bias=None, bias_type=None)


def _dense(build: Builder, op: Dense) -> str:
    op, shape = _zero_bias(build, op), build.asked(op).shape
    if len(shape) <= _DENSE_AXES:
        return build.emit(op, shape, op.accum)
    rows = (prod(shape[:-1]),)
    before = Reshape(f"{op.name}.rows", op.inputs, f"{op.output}.rows", op.node)
    source = build.reshape(before, op.inputs[0], (*rows, build.shape(op.inputs[0])[-1]))
    result = build.emit(replace(op, inputs=(source,), output=f"{op.output}.all"), (*rows, shape[-1]), op.accum)
    return build.reshape(op, result, shape)


def _conv(build: Builder, op: Conv) -> str:
    op = _zero_bias(build, op)
    weights, shape = _undilated(build.old.constants[op.weights], op.dilations), build.asked(op).shape
    groups = op.groups
    if groups > 1 and weights.shape[-2:] != (1, groups):
        weights, groups = _ungrouped(weights, groups), 1
    one_tap = {*weights.shape[:-2], *op.strides} == {1} and not any(map(any, op.padding))
    if groups == 1 and one_tap:
        shared = (op.name, op.inputs, op.output, op.node, op.weights, op.weight_type, op.bias, op.bias_type, op.accum)
        return build.emit(Dense(*shared), shape, op.accum, weights=weights.reshape(weights.shape[-2:]))
    op = replace(op, dilations=(1,) * len(op.dilations), groups=groups)
    return _convolution(build, op, weights, shape)


def _convolution(build: Builder, op: Conv, weights: Ints, shape: Shape) -> str:
    """The op as hls4ml takes it; over images of one row where it is depthwise over lines, beside others over images."""
    kernel = weights.shape[:-2]
    one_row = len(kernel) == 2 and kernel[0] == 1 and (kernel[1] > 1 or op.groups > 1)
    if build.stream and one_row and op.strides[0] > 1:
        # vitis nnet_conv2d_stream.h takes nnet_conv_stream.h's compute_output_buffer_1d for every row
        op = _without_skipped_rows(build, op)
    if op.groups == 1 or len(op.strides) == 2 or not build.depthwise_2d:
        return build.emit(op, shape, op.accum, weights=weights)
    # vivado nnet_sepconv1d_latency.h has the include guard of nnet_sepconv2d_latency.h
    lines = build.shape(op.inputs[0])
    like = Reshape(f"{op.name}.image", op.inputs, f"{op.output}.image", op.node)
    image = replace(
        op,
        inputs=(build.reshape(like, op.inputs[0], (1, *lines)),),
        output=f"{op.output}.row",
        strides=(1, *op.strides),
        dilations=(1, *op.dilations),
        padding=((0, 0), *op.padding),
    )
    return build.reshape(op, build.emit(image, (1, *shape), op.accum, weights=weights[None]), shape)


def _without_skipped_rows(build: Builder, op: Conv) -> Conv:
    """A convolution whose kernel has one row, over the rows that it reads."""
    rows = np.pad(places(build.shape(op.inputs[0])), (op.padding[0], (0, 0), (0, 0)), constant_values=-1)
    like = Reshape(f"{op.name}.rows", op.inputs, f"{op.output}.rows", op.node)
    source = build.index_map(like, op.inputs[0], rows[:: op.strides[0]])
    return replace(op, inputs=(source,), strides=(1, op.strides[1]), padding=((0, 0), op.padding[1]))


def _undilated(weights: Ints, dilations: Shape) -> Ints:
    kernel = tuple(d * (taps - 1) + 1 for d, taps in zip(dilations, weights.shape[:-2], strict=True))
    full = np.zeros((*kernel, *weights.shape[-2:]), dtype=np.int64)
    full[tuple(slice(None, None, d) for d in dilations)] = weights
    return full


def _ungrouped(weights: Ints, groups: int) -> Ints:
    inner, filters = weights.shape[-2], weights.shape[-1] // groups
    full = np.zeros((*weights.shape[:-2], inner * groups, weights.shape[-1]), dtype=np.int64)
    for group in range(groups):
        mine = slice(group * filters, (group + 1) * filters)
        full[..., group * inner : (group + 1) * inner, mine] = weights[..., mine]
    return full


def _pool(build: Builder, op: Pool) -> str:
    source, asked = op.inputs[0], build.asked(op)
    if op.kind is PoolKind.MAX:
        if build.stream and len(op.size) == 2 and op.strides != op.size:  # nnet_pooling_stream.h asserts that they are
            like = Reshape(f"{op.name}.windows", op.inputs, f"{op.output}.windows", op.node)
            source = build.index_map(like, source, windows_apart(build.shape(source), op.size, op.strides))
            op = replace(op, inputs=(source,), strides=op.size)
        return build.emit(op, asked.shape, asked.type)
    window, padded = prod(op.size), any(map(any, op.padding))
    extra = window.bit_length() - 1 if op.kind is PoolKind.AVERAGE else 0
    exact = pool_sum_type(build.type(source), window, padded=padded, extra_fraction=extra)
    if op.kind is PoolKind.AVERAGE and op.strides == op.size and not padded:
        return build.narrow(op, asked.shape, exact, asked.type)
    channels, one = asked.shape[-1], FixedType(False, 1, extra)
    conv = Conv(
        *(op.name, op.inputs, f"{op.output}.exact", op.node, "", one, None, None, exact),
        *(op.strides, (1,) * len(op.size), op.padding, channels),
    )
    result = _convolution(build, conv, np.ones((*op.size, 1, channels), dtype=np.int64), asked.shape)
    cast = Cast(f"{op.name}.cast", (result,), op.output, op.node, Rounding.TRN, Overflow.WRAP)
    return build.cast(cast, asked.type)


def _add(build: Builder, op: Add) -> str:
    asked = build.asked(op)
    exact = sum_type(*(build.type(name) for name in op.inputs))
    before = [build.ops.get(name) for name in op.inputs]
    inner = [b.inputs[0] for b in before if isinstance(b, Reshape)]
    if len(inner) == 2 and build.shape(inner[0]) == build.shape(inner[1]):
        moved = replace(op, inputs=tuple(inner), output=op.output + ".flat")
        return build.reshape(op, build.narrow(moved, build.shape(inner[0]), exact, asked.type), asked.shape)
    return build.narrow(op, asked.shape, exact, asked.type)


def _relu(build: Builder, op: Relu) -> str:
    source, asked = op.inputs[0], build.asked(op)
    kept = build.type(source)
    if not kept.signed:
        return build.cast(Cast(op.name, op.inputs, op.output, op.node, Rounding.TRN, Overflow.WRAP), asked.type)
    exact = type_for(0, max(kept.high, 0), kept.fraction)
    if isinstance(before := build.ops.get(source), Reshape):
        moved = replace(op, inputs=before.inputs, output=op.output + ".flat")
        inner = build.narrow(moved, build.shape(before.inputs[0]), exact, asked.type)
        return build.reshape(op, inner, asked.shape)
    return build.narrow(op, asked.shape, exact, asked.type)


def _threshold(build: Builder, op: Threshold) -> str:
    asked, type_ = build.asked(op), build.type(op.inputs[0])
    thresholds, signs = build.old.constants[op.thresholds], None
    low, high = min(type_.low, -type_.high), max(type_.high, -type_.low)
    if thresholds.shape[1] == 0:
        thresholds, op = np.full((1, 1), min(high + 1, (1 << 63) - 1)), replace(op, step=0)
    thresholds = np.clip(thresholds, max(low, -(1 << 63)), min(high + 1, (1 << 63) - 1))  # no input is beyond
    if (thresholds == thresholds[:1]).all():
        thresholds = thresholds[:1]
    if op.signs is not None and (build.old.constants[op.signs] < 0).any():
        signs = build.old.constants[op.signs]
    op = replace(op, signs=None)
    if signs is None and len(thresholds) == 1:  # no axis is special
        source = op.inputs[0]
        if isinstance(before := build.ops.get(source), Reshape):
            shape = build.shape(before.inputs[0])
            moved = replace(op, inputs=before.inputs, output=op.output + ".flat", axis=len(shape) - 1)
            return build.reshape(op, build.emit(moved, shape, asked.type, thresholds=thresholds), asked.shape)
        op = replace(op, axis=len(asked.shape) - 1)
    else:  # axes of one entry are none
        op = replace(op, axis=_first_alike(asked.shape, op.axis))
    changed = {"thresholds": thresholds} | ({} if signs is None else {"signs": signs})
    return build.emit(op, asked.shape, asked.type, **changed)


def _first_alike(shape: Shape, axis: int) -> int:
    """The first axis with the same entries, at the same distance."""
    wanted = shape[axis], prod(shape[axis + 1 :])
    return next(a for a, n in enumerate(shape) if (n, prod(shape[a + 1 :])) == wanted)


def _reshape(build: Builder, op: Reshape) -> str:
    return build.reshape(op, op.inputs[0], build.asked(op).shape)


def _transpose(build: Builder, op: Transpose) -> str:
    source, asked = op.inputs[0], build.asked(op)
    shape, before = build.shape(source), build.ops.get(source)
    moved = [axis for axis in op.perm if shape[axis] > 1]
    if moved == sorted(moved):
        return build.reshape(op, source, asked.shape)
    # model/optimizer/passes/transpose_opt.py, RemoveSingleChannelTranspose drops the transpose of such an input
    dropped = not build.stream and before is None and shape[0] == 1
    # nnet_transpose_stream.h keeps each element in a register of its own
    large = build.stream and build.count(source) > MAX_REGISTERS
    if dropped or large or isinstance(before, IndexMap | Transpose):
        return build.index_map(op, source, places(shape).transpose(op.perm))
    return build.emit(op, asked.shape, asked.type)


_REWRITES: Mapping[type[Op], Callable[..., str]] = {
    Cast: _cast,
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Add: _add,
    Relu: _relu,
    Threshold: _threshold,
    Reshape: _reshape,
    Transpose: _transpose,
    **MORE_REWRITES,
}

CARRIED = frozenset(_REWRITES)  # the ops that a project can hold
