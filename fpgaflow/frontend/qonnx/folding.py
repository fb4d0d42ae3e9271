"""Constant folding of what exporters leave behind: shape arithmetic, transposed weights, bit widths behind a Ceil."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
from onnx import helper

from fpgaflow.frontend.exact.advice import advice
from fpgaflow.frontend.exact.values import Const
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse


def _axes(node: Node, inputs: list[np.ndarray], position: int) -> tuple[int, ...]:
    if len(inputs) > position:
        return tuple(int(a) for a in inputs[position].reshape(-1))
    return tuple(node.attributes.get("axes", ()))


def _constant(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    for key in ("value_float", "value_int", "value_floats", "value_ints"):
        if key in node.attributes:
            return np.asarray(node.attributes[key], dtype=np.float32 if "float" in key else np.int64)
    return np.asarray(node.attributes["value"])


def _unsqueeze(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    return np.expand_dims(inputs[0], _axes(node, inputs, 1))


def _squeeze(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    return np.squeeze(inputs[0], _axes(node, inputs, 1) or None)


def _slice(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    x = inputs[0]
    given = [i.reshape(-1).tolist() for i in inputs[1:]]
    if not given:  # before opset 10
        given = [list(node.attributes[key]) for key in ("starts", "ends")]
        given += [list(node.attributes["axes"])] if "axes" in node.attributes else []
    axes = given[2] if len(given) > 2 else range(len(given[0]))
    steps = given[3] if len(given) > 3 else [1] * len(given[0])
    cut = [slice(None)] * x.ndim
    for start, end, axis, step in zip(given[0], given[1], axes, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _reshape(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    shape = [n if n else inputs[0].shape[i] for i, n in enumerate(inputs[1].reshape(-1).tolist())]
    return inputs[0].reshape(shape)


def _cast(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    return inputs[0].astype(helper.tensor_dtype_to_np_dtype(node.attributes["to"]))


def _divide(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    if inputs[0].dtype.kind in "iu":
        return (np.sign(inputs[0] * inputs[1]) * (abs(inputs[0]) // abs(inputs[1]))).astype(inputs[0].dtype)
    return inputs[0] / inputs[1]


def _constant_of_shape(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    shape = tuple(int(n) for n in inputs[0].reshape(-1))
    value = node.attributes.get("value")
    fill = np.float32(0) if value is None else np.asarray(value).reshape(-1)[0]
    return np.full(shape, fill)


def _reduce_prod(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    axes = _axes(node, inputs, 1) or None
    if axes is None and node.attributes.get("noop_with_empty_axes", 0):
        return inputs[0]
    return np.prod(inputs[0], axis=axes, keepdims=bool(node.attributes.get("keepdims", 1)), dtype=inputs[0].dtype)


FOLDERS: dict[str, Callable[[Node, list[np.ndarray]], np.ndarray]] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda _, i: i[0],
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": lambda n, i: i[0].reshape(int(np.prod(i[0].shape[: n.attributes.get("axis", 1)])), -1),
    "Transpose": lambda n, i: np.transpose(i[0], n.attributes.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Gather": lambda n, i: np.take(i[0], i[1].astype(np.int64), axis=n.attributes.get("axis", 0)),
    "Concat": lambda n, i: np.concatenate(i, axis=n.attributes["axis"]),
    "Shape": lambda n, i: np.array(i[0].shape, dtype=np.int64)[n.attributes.get("start", 0) : n.attributes.get("end")],
    "Add": lambda _, i: i[0] + i[1],
    "Sub": lambda _, i: i[0] - i[1],
    "Mul": lambda _, i: i[0] * i[1],
    "Div": _divide,
    "Neg": lambda _, i: -i[0],
    "Abs": lambda _, i: abs(i[0]),
    "Sqrt": lambda _, i: np.sqrt(i[0]),
    "Pow": lambda _, i: np.power(i[0], i[1]).astype(i[0].dtype),
    "Ceil": lambda _, i: np.ceil(i[0]),
    "Floor": lambda _, i: np.floor(i[0]),
    "Round": lambda _, i: np.rint(i[0]),
    "Log": lambda _, i: np.log(i[0]),
    "Max": lambda _, i: np.maximum.reduce(i),
    "Min": lambda _, i: np.minimum.reduce(i),
    "Mod": lambda n, i: np.fmod(i[0], i[1]) if n.attributes.get("fmod", 0) else np.mod(i[0], i[1]),
    "Clip": lambda _, i: np.minimum(np.maximum(i[0], i[1]), i[2]),
    "Reciprocal": lambda _, i: np.reciprocal(i[0]),
    "Sign": lambda _, i: np.sign(i[0]),
    "Not": lambda _, i: np.logical_not(i[0]),
    "And": lambda _, i: np.logical_and(i[0], i[1]),
    "Or": lambda _, i: np.logical_or(i[0], i[1]),
    "Equal": lambda _, i: i[0] == i[1],
    "Greater": lambda _, i: i[0] > i[1],
    "Less": lambda _, i: i[0] < i[1],
    "Where": lambda _, i: np.where(i[0].astype(bool), i[1], i[2]),
    "Expand": lambda _, i: np.broadcast_to(i[0], np.broadcast_shapes(i[0].shape, tuple(i[1].reshape(-1).tolist()))),
    "Range": lambda _, i: np.arange(*(a.reshape(-1)[0] for a in i)).astype(i[0].dtype),
    "Size": lambda _, i: np.asarray(i[0].size, dtype=np.int64),
    "ReduceProd": _reduce_prod,
}

_BROADCASTING = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "Clip", "Where", "Equal", "Greater", "Less", "And", "Or"}
)
_MOVING = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather"})


def _elements(kind: str, arrays: list[np.ndarray]) -> int:
    """A bound on the elements of what a node over these constants makes."""
    if kind in _BROADCASTING:
        return prod(np.broadcast_shapes(*(a.shape for a in arrays)))
    if kind == "Gather":
        return prod(max(a.size, 1) for a in arrays)
    if kind == "ConstantOfShape":
        return prod(abs(int(n)) for n in arrays[0].reshape(-1))
    if kind == "Expand":
        return max(arrays[0].size, 1) * prod(max(abs(int(n)), 1) for n in arrays[1].reshape(-1))
    if kind == "Range":
        start, limit, delta = (float(a.reshape(-1)[0]) for a in arrays)
        return int(abs(limit - start) / abs(delta)) + 1
    if kind in ("Shape", "Size"):
        return arrays[0].ndim
    return sum(a.size for a in arrays)


def fold(node: Node, inputs: list[Const], room: int) -> Const:
    """The constant that a node over constants makes, of `room` elements at most.

    Quantised weights stay quantised where a node only moves them; what depends on the batch size stays known for two.
    """
    first = inputs[0] if inputs else None
    if node.kind == "Identity" and first is not None:
        return first
    result = Const(_folded(node, [c.values for c in inputs], room))
    if any(c.probed is not None for c in inputs):
        probes = [c.values if c.probed is None else c.probed for c in inputs]
        return replace(result, probed=_folded(node, probes, room))
    if node.kind in _MOVING and first is not None and first.ints is not None and first.scale is not None:
        rest = [c.values for c in inputs[1:]]
        ints = _folded(node, [first.ints, *rest], room)
        scale = _folded(node, [np.broadcast_to(first.scale, first.ints.shape), *rest], room)
        return replace(first, values=result.values, ints=ints, scale=_narrowest(scale))
    return result


def _folded(node: Node, arrays: list[np.ndarray], room: int) -> np.ndarray:
    where = str(node)
    if (folder := FOLDERS.get(node.kind)) is None or node.domain not in ("", "ai.onnx"):
        fix = advice(node.kind, node.domain, "Compute it before: python -m onnxsim")
        refuse(where, "computes a constant in a way that is not folded here", fix)
    try:
        if _elements(node.kind, arrays) > room:
            raise ValueError("its result is too large")
        with np.errstate(all="ignore"):
            return np.asarray(folder(node, arrays))
    except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
        refuse(where, f"cannot be folded ({error})", "Export the model again")


def _narrowest(scale: np.ndarray) -> np.ndarray:
    """The scale with each axis along which it does not change cut to one entry."""
    for axis in range(scale.ndim):
        first = scale.take([0], axis=axis) if scale.shape[axis] else scale
        if (scale == first).all():
            scale = first
    return scale
