"""Runtime shape arithmetic (Shape, Gather, Concat, ... Reshape) at import time, with the batch size as an unknown.

Whatever is computed from a shape is computed twice, for the declared batch size and for another one. What differs
depends on the batch, and is taken only where the batch stays the first axis.
"""

from __future__ import annotations

from math import prod

import numpy as np

from fpgaflow.frontend.exact.values import Const, Value
from fpgaflow.frontend.qonnx.context import Context, int_attribute
from fpgaflow.frontend.qonnx.onnx_file import Node
from fpgaflow.frontend.refuse import refuse

OTHER_BATCH = 1009  # a prime that no shape is made of
ASK_SHAPE = frozenset({"Shape", "Size"})  # operators that read nothing else of their input


def as_const(ctx: Context, name: str) -> Const:
    """What is known of a tensor; of an activation, whose shape alone is asked for, arrays of no memory."""
    item = ctx.named(name)
    if isinstance(item, Value):
        shape = ctx.shape(item)
        declared, other = (np.broadcast_to(np.False_, (n, *shape)) for n in (ctx.batch, OTHER_BATCH))
        return Const(declared, probed=other)
    assert isinstance(item, Const)
    return item


def target_shape(ctx: Context, node: Node, old: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, without the batch, that a Reshape gives to an activation of shape `old`."""
    const = ctx.shape_const(node, 1, "shape")
    keep_zero = bool(int_attribute(node, "allowzero", 0))
    full = (ctx.batch, *old)
    target = _resolved(const.values, full, keep_zero)
    kept = prod(target) == prod(full) and min(target, default=0) > 0 and len(target) > 1 and target[0] == ctx.batch
    if kept and const.probed is not None:
        kept = _resolved(const.probed, (OTHER_BATCH, *old), keep_zero) == [OTHER_BATCH, *target[1:]]
    if not kept:
        refuse(
            str(node),
            f"reshapes {full} to {target}, which does not keep the batch as the first axis",
            "Reshape to (N, ...), as torch.flatten(x, 1) or Keras' Flatten does",
        )
    return tuple(target[1:])


def _resolved(wanted: np.ndarray, old: tuple[int, ...], keep_zero: bool) -> list[int]:
    """`wanted` with its 0 and -1 replaced, where they can be."""
    target = [int(n) for n in wanted.reshape(-1)]
    if not keep_zero:
        target = [old[i] if n == 0 and i < len(old) else n for i, n in enumerate(target)]
    known = prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known > 0 and prod(old) % known == 0:
        target[target.index(-1)] = prod(old) // known
    return target
