"""What ops do to runs of consecutive elements: the blocks that beats must not cut, and the walks along them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from math import prod

import numpy as np

from fpgaflow.targets.rtl.rom import Walk, walk_of

Shape = tuple[int, ...]


class Taking(Enum):
    """What the indices of a Take do."""

    SOME = "some"  # they leave out entries, and keep the order
    REPEATED = "repeated"  # each entry comes as often, side by side
    ANY = "any"


def taking_of(indices: Sequence[int], size: int) -> Taking:
    if all(before < after for before, after in pairwise(indices)):
        return Taking.SOME
    times = len(indices) // size
    repeated = list(indices) == [index for index in range(size) for _ in range(times)]
    return Taking.REPEATED if repeated else Taking.ANY


def _chosen(size: int, indices: Sequence[int]) -> np.ndarray:
    return np.isin(np.arange(size), indices).astype(np.int64)


def take_block(shape: Shape, axis: int, indices: Sequence[int]) -> int:
    """Elements that stay side by side."""
    inner, size = prod(shape[axis + 1 :]), shape[axis]
    if taking_of(indices, size) is not Taking.SOME:
        return inner
    changes = np.flatnonzero(np.diff(_chosen(size, indices))) + 1
    return inner * math.gcd(size, *changes.tolist())


def keep_walk(shape: Shape, axis: int, indices: Sequence[int], lanes: int) -> Walk:
    """1 for what is kept; `lanes` divide the block."""
    chosen = _chosen(shape[axis], indices).reshape(-1, *(1,) * (len(shape) - axis - 1))
    return walk_of(np.broadcast_to(chosen, shape), lanes)


def pad_block(shape: Shape, padding: Sequence[tuple[int, int]]) -> int:
    """Elements that stay side by side, or are put in together."""
    axis = max((axis for axis, pads in enumerate(padding) if any(pads)), default=0)
    return prod(shape[axis + 1 :]) * math.gcd(shape[axis], *padding[axis])


def pad_walk(shape: Shape, padding: Sequence[tuple[int, int]], lanes: int) -> Walk:
    """Of the padded tensor: 1 for its own elements; `lanes` divide the block."""
    return walk_of(np.pad(np.ones(shape, np.int64), padding), lanes)


def concat_block(shapes: Sequence[Shape], axis: int) -> int:
    """Elements of one tensor that stay side by side."""
    return math.gcd(*(prod(shape[axis:]) for shape in shapes))


def merge_walk(shapes: Sequence[Shape], axis: int, lanes: int) -> Walk:
    """The number of the tensor that each element of the joined one is from; `lanes` divide the block."""
    sizes = [prod(shape[axis:]) for shape in shapes]
    numbers = np.repeat(np.arange(len(shapes)), sizes)
    return walk_of(np.tile(numbers, prod(shapes[0][:axis])), lanes)
