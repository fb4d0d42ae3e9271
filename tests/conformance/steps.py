"""One step of a random hls4ml network's growth: the tensor to go on from, and draws of types and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.frontend.hls4ml_nets import Net
from tests.frontend.test_hls4ml_activations import OVERFLOW, ROUNDING, Draw, quantiser

Shape = tuple[int, ...]
Types = dict[str, Any]
VARIANTS = 6  # types of a sort
Tensor = tuple[str, Shape]  # a layer's name and the shape of what it gives


class PooledDraw(Draw):
    """Draws types from few of each sort, which a `pool` number stands for: a type costs g++ more than a layer does."""

    def __init__(self, seed: int, stream: bool, pool: int) -> None:
        super().__init__(seed, stream)
        self.pool = pool

    def type_(self, *widths: int, least: int = 2) -> str:
        free = self.random
        self.random = np.random.default_rng([self.pool, int(free.integers(VARIANTS)), least, *widths])
        drawn = super().type_(*widths, least=least)
        self.random = free
        return drawn


@dataclass
class Step:
    """What a family needs to add its layers.

    Attributes:
        x, shape: the tensor to go on from.
        name: for the layer to be added; further layers take it as a prefix.
        others: the network's other tensors.
        quantised: whether inputs go through quantisers alone, as hls4ml wants it of networks with quantisers.
    """

    net: Net
    draw: Draw
    name: str
    x: str
    shape: Shape
    others: list[Tensor]
    quantised: bool = False

    @property
    def stream(self) -> bool:
        return self.net.stream

    def chance(self, probability: float) -> bool:
        return bool(self.draw.random.random() < probability)

    def number(self, low: int, high: int) -> int:
        return int(self.draw.random.integers(low, high + 1))

    def pick(self, options: Any) -> Any:
        return self.draw.pick(options)

    def type_(self) -> str:
        """A data type: mostly narrow, seldom beyond 64 bits, seldom with its binary point outside of it."""
        if self.chance(0.05):
            width = self.number(2, 12)
            unsigned, integer = self.pick(["", "u"]), self.number(-2, width + 2)
            return f"ap_{unsigned}fixed<{width},{integer}>"
        return self.draw.type_(8, 12, 16, 16, 24, 40, 72)

    def accumulator(self) -> str:
        """Wide, or one that rounds, wraps and saturates at each sum, or beyond 64 bits."""
        wide = ["ap_fixed<40,20>", "ap_fixed<48,24,AP_RND,AP_SAT>", "ap_fixed<80,40>"]
        return self.pick(wide) if self.chance(0.35) else self.draw.type_(10, 16, 24, least=4)

    def result(self) -> Types:
        return {"result": self.type_()} if self.chance(0.9) else {}

    def input(self, *shape: int, type_: str | None = None) -> str:
        """A new input of the network."""
        name = f"{self.name}_in{len(self.net.layers)}"
        x = self.net.input(name, *shape, type_=type_ or self.type_())
        return self.quantiser(x, shape, f"{name}_q") if self.quantised else x

    def quantiser(self, x: str, shape: Shape, name: str) -> str:
        layer = quantiser(self.net, shape, self.pick(ROUNDING), self.pick(OVERFLOW))
        return self.net.add(layer.pop("kind"), name, x, self.result(), **layer)

    def add(self, kind: str, types: Types, shape: Shape, inputs: Any = None, wish: str = "", **rest: Any) -> Tensor:
        return self.net.add(kind, f"{self.name}{wish}", inputs or self.x, types, **rest), shape

    def alike(self) -> str:
        """Another tensor of this shape: one of the network's, or a new input."""
        found = [name for name, shape in self.others if shape == self.shape and name != self.x]
        return self.pick(found) if found and self.chance(0.7) else self.input(*self.shape)


Family = Callable[[Step], Tensor | None]  # None: it does not fit here
