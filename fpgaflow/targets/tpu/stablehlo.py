"""The graph as StableHLO: int8 products and int32 sums, one artefact for TPU, CPU and CUDA, any batch.

`jax.export` makes it and keeps it loadable for years (its compatibility rules); `run_stablehlo` runs it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from fpgaflow.errors import Problem, UnsupportedModel
from fpgaflow.ir.graph import Graph, Input, Output
from fpgaflow.ir.ops import Linear
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.targets.certificate import Certificate, Entry
from fpgaflow.targets.int32 import held, input_entry, int8, output_entry
from fpgaflow.targets.refused import Refused
from fpgaflow.targets.tpu import kernels
from fpgaflow.targets.tpu.arithmetic import Ints

PLATFORMS = ("tpu", "cpu", "cuda")
_RUN_BATCH = 256


@dataclass(frozen=True)
class StableHlo:
    """`artefact` is jax.export's, `text` the module as MLIR; inputs and outputs are float32 (N, ...), in order."""

    artefact: bytes
    text: str
    certificate: Certificate


def emit_stablehlo(graph: Graph) -> StableHlo:
    """The graph's artefact and certificate.

    Raises:
        UnsupportedModel: with one problem per op that int32 cannot carry exactly.
    """
    problems = check_stablehlo(graph)
    if problems:
        raise UnsupportedModel(problems)
    (batch,) = export.symbolic_shape("N")
    shapes = [_spec((batch, *graph.tensors[port.tensor].shape), jnp.float32) for port in graph.inputs]

    def program(*inputs: Any) -> tuple[Any, ...]:
        return _computed(graph, inputs)

    exported = export.export(jax.jit(program), platforms=PLATFORMS)(*shapes)
    entries = [
        *map(input_entry, graph.inputs),
        *(_entry(op, graph) for op in graph.ops),
        *(output_entry(port, graph) for port in graph.outputs),
    ]
    return StableHlo(bytes(exported.serialize()), exported.mlir_module(), Certificate(tuple(entries)))


def check_stablehlo(graph: Graph) -> list[Problem]:
    """What of the graph int32 cannot carry exactly; every op is traced for itself."""
    problems = []
    for op in graph.ops:
        kernel = kernels.KERNELS.get(type(op))
        shapes = [_spec((1, *graph.tensors[name].shape), jnp.int32) for name in op.inputs]
        try:
            if kernel is None:
                raise Refused(f"{type(op).__name__} has no int32 form here", "Leave it to the host, or to the FPGA")
            for name in (*op.inputs, op.output):
                held(graph.type_of(name))
            jax.eval_shape(lambda *xs, k=kernel, o=op: k(o, graph, *xs), *shapes)
        except Refused as refusal:
            problems.append(refusal.problem(op))
    return problems


def run_stablehlo(artefact: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs (N, ...) float32 of an artefact for inputs (N, ...), on this machine's own platform."""
    loaded = export.deserialize(bytearray(artefact))
    call = jax.jit(loaded.call)
    count = len(inputs[0])
    parts = [
        call(*(jnp.asarray(array[start : start + _RUN_BATCH], dtype=jnp.float32) for array in inputs))
        for start in range(0, count, _RUN_BATCH)
    ]
    return [np.concatenate([np.asarray(part) for part in outputs]) for outputs in zip(*parts, strict=True)]


def _spec(shape: tuple[Any, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def _computed(graph: Graph, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    known: dict[str, Ints] = {
        port.tensor: _quantised(port, x, graph) for port, x in zip(graph.inputs, inputs, strict=True)
    }
    for op in graph.ops:
        known[op.output] = kernels.KERNELS[type(op)](op, graph, *(known[name] for name in op.inputs))
    return tuple(_real(port, known[port.tensor]) for port in graph.outputs)


def _quantised(port: Input, x: Any, graph: Graph) -> Ints:
    """The quantiser at the border, in float32: exact for power-of-two gains."""
    y = x * jnp.float32(float(port.gain))
    if port.offset:
        y = y + jnp.float32(float(port.offset))
    saturates = port.overflow in (Overflow.SAT, Overflow.SAT_SYM)
    if saturates:  # first, so that what is rounded is small
        y = jnp.clip(y, port.low, port.high)
    whole = _rounded(y, port.rounding)
    if saturates:
        return whole.astype(jnp.int32)
    type_ = graph.type_of(port.tensor)
    if port.overflow is Overflow.SAT_ZERO:
        return jnp.where((whole < type_.low) | (whole > type_.high), 0, whole).astype(jnp.int32)
    size = float(1 << type_.width)  # exact: both are multiples of whole's last place, and the rest is smaller
    turns = jnp.floor((whole - type_.low) / size)
    return (whole - turns * size).astype(jnp.int32)


def _rounded(y: Any, rounding: Rounding) -> Any:
    """Whole float32: the rest of a magnitude is exact, that of a number just above -0.5 would not be."""
    size = jnp.abs(y)
    whole = jnp.floor(size)
    rest = size - whole
    match rounding:
        case Rounding.TRN:
            return jnp.floor(y)
        case Rounding.TRN_ZERO:
            return jnp.trunc(y)
        case Rounding.RND_CONV:
            return jnp.round(y)
        case Rounding.RND:
            tie_grows = y >= 0
        case Rounding.RND_MIN_INF:
            tie_grows = y < 0
        case Rounding.RND_INF:
            tie_grows = jnp.ones_like(y, dtype=bool)
        case Rounding.RND_ZERO:
            tie_grows = jnp.zeros_like(y, dtype=bool)
    return jnp.copysign(whole + ((rest > 0.5) | ((rest == 0.5) & tie_grows)), y)


def _real(port: Output, x: Ints) -> Any:
    behind = (1,) * (x.ndim - port.axis - 2)  # axes behind the channels

    def along(values: list[float]) -> Any:
        return jnp.asarray(np.array(values, dtype=np.float32).reshape((-1, *behind) if len(values) > 1 else ()))

    y = x.astype(jnp.float32) * along([float(s) for s in port.scale])
    return y + along([float(o) for o in port.offset]) if any(port.offset) else y


def _entry(op: Any, graph: Graph) -> Entry:
    result = graph.type_of(op.output)
    arithmetic = "int32"
    if isinstance(op, Linear):
        source, weights = graph.type_of(op.inputs[0]), graph.constants[op.weights]
        small = int8(source.low, source.high) and int8(int(weights.min()), int(weights.max()))
        arithmetic = "int8 products, int32 sums" if small else "int32 products and sums"
    reach = max(-result.low, result.high)
    return Entry(op.name, type(op).__name__, arithmetic, True, "integers, and every sum of them within int32", reach)
