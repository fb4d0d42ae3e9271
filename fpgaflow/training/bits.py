"""How many bits each part of a network has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST, MOST = 2, 8


@dataclass(frozen=True)
class Bits:
    """Widths of the weights (signed), of the activations and of the input, 2 to 8 each.

    `layers` has other widths by name: of a layer for its weights, of a ReLU or inserted quantiser for what it gives.
    One bit is left out: Brevitas exports it as `BipolarQuant`, -1 and 1, whatever the quantiser's own values are.

    Raises:
        ValueError: a width is out of range.
    """

    weight: int
    activation: int
    input: int
    layers: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(
            LEAST <= width <= MOST for width in (self.weight, self.activation, self.input, *self.layers.values())
        ):
            raise ValueError(f"{self} is out of range: {LEAST} to {MOST} bits each")
