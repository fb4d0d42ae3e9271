"""What each step is trained on: a pure function of seed and step, so that a resumed training sees the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Order:
    """`epochs` passes over `samples` samples in batches of `size`, in an order drawn from `seed`.

    A last batch that would be smaller is left out. With `whole`, an epoch has every sample, in batches as even as can
    be and of `size` at most, and makes one optimiser step: gradient descent. Images move by up to `shift` pixels.
    """

    samples: int
    size: int
    epochs: int
    seed: int
    shift: int = 0
    whole: bool = False

    @property
    def per_epoch(self) -> int:
        return ceil(self.samples / self.size) if self.whole else self.samples // self.size

    @property
    def total(self) -> int:
        return self.epochs * self.per_epoch


@dataclass(frozen=True)
class Share:
    """The part of each batch that one of `processes` trains on."""

    rank: int = 0
    processes: int = 1


class Batches:
    """The batches of a phase from batch `start` on, this process' share of each."""

    def __init__(self, order: Order, x: Tensor, y: Tensor | None, start: int = 0, share: Share | None = None) -> None:
        self.order, self.x, self.y, self.start, self.share = order, x, y, start, share or Share()

    def __len__(self) -> int:
        return self.order.total - self.start

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """(x, y, factor): y is empty without labels; factor is that of the summed loss, 0 for the mean of the batch."""
        order, share = self.order, self.share
        generator = torch.Generator().manual_seed(order.seed)
        number = 0
        for _ in range(order.epochs):
            for rows in _rows(order, generator):
                offset = _drawn_offset(order.shift, generator)
                number += 1
                if number <= self.start:
                    continue
                mine = rows.tensor_split(share.processes)[share.rank]
                x = moved(self.x[mine], order.shift, offset)
                # Lightning divides by the batches of a step, data parallelism by the processes.
                factor = order.per_epoch * share.processes / order.samples if order.whole else 0.0
                labels = torch.empty(0) if self.y is None else self.y[mine]
                yield x, labels, torch.tensor(factor)


def _rows(order: Order, generator: torch.Generator) -> tuple[Tensor, ...]:
    drawn = torch.randperm(order.samples, generator=generator)
    if order.whole:
        return drawn.tensor_split(order.per_epoch)
    return drawn[: order.per_epoch * order.size].split(order.size)


def _drawn_offset(limit: int, generator: torch.Generator) -> tuple[int, int]:
    top, left = torch.randint(2 * limit + 1, (2,), generator=generator).tolist()
    return top, left


def moved(images: Tensor, limit: int, offset: tuple[int, int]) -> Tensor:
    """`images` (N, C, H, W) moved together by `offset` - `limit` pixels, zeros moved in."""
    if not limit:
        return images
    height, width = images.shape[-2:]
    top, left = offset
    return functional.pad(images, [limit] * 4)[..., top : top + height, left : left + width]
