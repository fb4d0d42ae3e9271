"""Normal forms of the ops that join, move, scale and look up: part of the table of normal.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from fpgaflow.ir.graph import Ints
from fpgaflow.ir.index_map import padded, patches, taken
from fpgaflow.ir.ops import Op, Reshape
from fpgaflow.ir.ops_merge import Concat, Elementwise, Embed, MatMul, Pad, Patches, Scale, Take
from fpgaflow.ir.ops_table import Lookup, OneHotMax, Piecewise
from fpgaflow.ir.types import FixedType, type_for
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type
from fpgaflow.ir.verify_table import piecewise_type
from fpgaflow.targets.hls.normal_build import Builder, Shape

_CONCAT_AXES = 3  # of hls4ml's Concatenate


def _elementwise(build: Builder, op: Elementwise) -> str:
    asked = build.asked(op)
    exact = elementwise_type(op.kind, *(build.type(name) for name in op.inputs))
    return build.narrow(op, asked.shape, exact, asked.type)


def _scale(build: Builder, op: Scale) -> str:
    """The Piecewise of one piece, at the fraction of the exact result."""
    source = build.type(op.inputs[0])
    weights = build.old.constants[op.weights].astype(object)
    offsets: Ints = np.zeros(1, dtype=object)
    fraction = source.fraction + op.weight_type.fraction
    if op.bias is not None and op.bias_type is not None:
        fraction = max(fraction, op.bias_type.fraction)
        offsets = build.old.constants[op.bias].astype(object) << (fraction - op.bias_type.fraction)
    slopes = weights << (fraction - source.fraction - op.weight_type.fraction)
    plain = Piecewise(op.name, op.inputs, op.output, op.node, "", "", "")
    return _pieces(build, plain, np.zeros(0, dtype=np.int64), slopes[..., None], offsets[..., None], fraction)


def _piecewise(build: Builder, op: Piecewise) -> str:
    knots, slopes, offsets = (build.old.constants[name] for name in (op.knots, op.slopes, op.offsets))
    return _pieces(build, op, knots, slopes, offsets, build.asked(op).type.fraction)


def _pieces(build: Builder, op: Piecewise, knots: Ints, slopes: Ints, offsets: Ints, fraction: int) -> str:
    asked, source = build.asked(op), build.type(op.inputs[0])
    slopes, offsets = _least_axes(asked.shape, slopes, offsets)
    exact = piecewise_type(source, knots, slopes, offsets, fraction)
    arrays = {"knots": knots, "slopes": _stored(slopes), "offsets": _stored(offsets)}
    names = {key: f"{op.name}.{key}.hls" for key in arrays}
    build.constants |= {names[key]: array for key, array in arrays.items()}
    op = replace(op, knots=names["knots"], slopes=names["slopes"], offsets=names["offsets"])
    return build.narrow(op, asked.shape, exact, asked.type)


def _stored(array: Ints) -> Ints:
    """As a graph's constant; check.py refuses what hls4ml's literals do not hold, which is less."""
    return np.clip(array, -(1 << 63), (1 << 63) - 1).astype(np.int64)


def _least_axes(shape: Shape, *arrays: Ints) -> tuple[Ints, ...]:
    """Arrays (..., segments) that broadcast to `shape`: as (segments,), (channels, segments) or (*shape, segments)."""
    whole = [np.broadcast_to(array, (*shape, array.shape[-1])) for array in arrays]
    if all((array == array[(0,) * len(shape)]).all() for array in whole):
        return tuple(array[(0,) * len(shape)].copy() for array in whole)
    leading = (0,) * (len(shape) - 1)
    if all((array == array[leading]).all() for array in whole):
        return tuple(array[leading].copy() for array in whole)
    return tuple(array.copy() for array in whole)


def _lookup(build: Builder, op: Lookup) -> str:
    asked, table = build.asked(op), build.old.constants[op.table]
    exact = type_for(int(table.min()), int(table.max()), asked.type.fraction)
    return build.narrow(op, asked.shape, exact, asked.type)


def _embed(build: Builder, op: Embed) -> str:
    asked, table = build.asked(op), build.old.constants[op.table]
    exact = type_for(int(table.min()), int(table.max()), asked.type.fraction)
    return build.narrow(op, asked.shape, exact, asked.type)


def _concat(build: Builder, op: Concat) -> str:
    asked = build.asked(op)
    joined, rest = op.inputs[0], op.inputs[1:]
    for number, name in enumerate(rest, start=1):
        last = number == len(rest)
        suffix = "" if last else f".{number}"
        pair = replace(op, name=op.name + suffix, inputs=(joined, name), output=op.output + suffix)
        joined = _concat_two(build, pair)
    assert build.shape(joined) == asked.shape
    return joined


def _concat_two(build: Builder, op: Concat) -> str:
    shapes = [build.shape(name) for name in op.inputs]
    shape = (*shapes[0][: op.axis], sum(s[op.axis] for s in shapes), *shapes[0][op.axis + 1 :])
    type_ = build.type(op.inputs[0])
    if len(shape) <= _CONCAT_AXES:
        return build.emit(op, shape, type_)

    def flat(shape: Shape) -> Shape:
        behind = shape[op.axis + 1 :]
        return (prod(shape[: op.axis]), shape[op.axis], *((prod(behind),) if behind else ()))

    inputs = [
        build.reshape(Reshape(f"{op.name}.in{i}", (name,), f"{op.output}.in{i}", op.node), name, flat(s))
        for i, (name, s) in enumerate(zip(op.inputs, shapes, strict=True))
    ]
    result = build.emit(replace(op, inputs=tuple(inputs), output=f"{op.output}.flat", axis=1), flat(shape), type_)
    return build.reshape(op, result, shape)


def _pad(build: Builder, op: Pad) -> str:
    return build.index_map(op, op.inputs[0], padded(op, build.shape(op.inputs[0])), op.value)


def _take(build: Builder, op: Take) -> str:
    return build.index_map(op, op.inputs[0], taken(op, build.old, build.shape(op.inputs[0])))


def _patches(build: Builder, op: Patches) -> str:
    return build.index_map(op, op.inputs[0], patches(op, build.shape(op.inputs[0]), build.asked(op).shape))


def _matmul(build: Builder, op: MatMul) -> str:
    asked = build.asked(op)
    left, right = (build.type(name) for name in op.inputs)
    exact = matmul_type(left, right, build.shape(op.inputs[0])[-1])
    return build.narrow(op, asked.shape, exact, asked.type)


def _one_hot_max(build: Builder, op: OneHotMax) -> str:
    asked = build.asked(op)
    return build.narrow(op, asked.shape, FixedType(False, 1, 0), asked.type)


MORE_REWRITES: Mapping[type[Op], Callable[..., str]] = {
    Elementwise: _elementwise,
    Scale: _scale,
    Concat: _concat,
    Pad: _pad,
    Take: _take,
    Embed: _embed,
    Patches: _patches,
    MatMul: _matmul,
    Lookup: _lookup,
    Piecewise: _piecewise,
    OneHotMax: _one_hot_max,
}
