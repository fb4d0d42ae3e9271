"""The text of one Triton kernel under construction: its parameters, and its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from fpgaflow.targets.gpu.triton.program import Launch, Variant

INDENT = "    "
_SMALL_TILE, _LARGE_TILE = 16, 128  # rows: of one warp group's mma, and of two of Hopper's wgmma
_WIDEST_TILE, _TILE_ELEMENTS = 64, 2048


def power_of_two(value: int) -> int:
    """The next one."""
    return 1 << max(value - 1, 0).bit_length()


@dataclass
class Kernel:
    """A kernel whose tiles cover (rows, columns), the elements of a tensor of `shape` in C order for each sample.

    Lines know `row` (M,), `col` (N,), `rows`, `inside` (M, N), `at` (M, N), the element's place in the buffer, and the
    value `v` (M, N) int32.

    Attributes:
        name: the function's, which constants and buffers bear too.
        product: its value comes from a matrix unit.
        arguments: buffer or constant of each parameter.
    """

    name: str
    shape: tuple[int, ...]
    constants: dict[str, np.ndarray]
    product: bool = False
    groups: int = 1
    arguments: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def places(self) -> int:
        return prod(self.shape[:-1])

    @property
    def tile(self) -> int:
        """Columns of a tile."""
        least = 16 if self.product else 1
        return min(max(power_of_two(self.channels // self.groups), least), _WIDEST_TILE)

    @property
    def column_tiles(self) -> int:
        return -(-self.channels // self.groups // self.tile)

    @property
    def variants(self) -> tuple[Variant, ...]:
        if self.product:
            return Variant(_SMALL_TILE, 4), Variant(_LARGE_TILE, 4)
        return (Variant(max(_TILE_ELEMENTS // self.tile, 16), 4),)

    def line(self, text: str) -> None:
        self.lines.append(text)

    def argument(self, name: str, wish: str) -> str:
        """The parameter that holds a buffer or a constant."""
        if name in self.arguments:
            return self.parameters[self.arguments.index(name)]
        parameter, count = wish, 1
        while parameter in self.parameters:
            count += 1
            parameter = f"{wish}{count}"
        self.arguments.append(name)
        self.parameters.append(parameter)
        return parameter

    def constant(self, array: np.ndarray, wish: str) -> str:
        """The parameter that holds a new constant."""
        name, count = f"{self.name}.{wish}", 1
        while name in self.constants:
            count += 1
            name = f"{self.name}.{wish}{count}"
        self.constants[name] = np.ascontiguousarray(array)
        return self.argument(name, wish)

    def per_column(self, values: np.ndarray) -> np.ndarray:
        """Entries along the columns, zeros where tiles go beyond them."""
        return np.concatenate([values, np.zeros((self.tile, *values.shape[1:]), dtype=values.dtype)])

    def coordinate(self, axis: int) -> str:
        """Where an element stands along an axis of the shape: (1, N) for the last one, else (M, 1)."""
        if axis == len(self.shape) - 1:
            return "col[None, :]"
        step = prod(self.shape[axis + 1 : -1])
        return f"(row // {step} % {self.shape[axis]})[:, None]" if step > 1 else f"(row % {self.shape[axis]})[:, None]"

    def entries(self, values: np.ndarray, axis: int, wish: str) -> str:
        """What loads an entry of (n,) for each element along an axis, or the one there is for all."""
        if len(values) == 1:
            return f"tl.load({self.constant(values, wish)})"
        if axis == len(self.shape) - 1:
            return f"tl.load({self.constant(self.per_column(values), wish)} + col)[None, :]"
        return f"tl.load({self.constant(values, wish)} + {self.coordinate(axis)})"

    def elements(self, array: np.ndarray, wish: str) -> str:
        """What loads an array that broadcasts to the shape."""
        if array.size == 1 or array.shape[-1:] == (array.size,):
            return self.entries(array.reshape(-1), len(self.shape) - 1, wish)
        full = np.broadcast_to(array, self.shape).reshape(-1)
        place = f"(row % {self.places})[:, None] * {self.channels} + col[None, :]"
        return f"tl.load({self.constant(full, wish)} + {place}, mask=inside, other=0)"

    def text(self) -> str:
        """The function."""
        header = [
            "@triton.jit",
            f"def {self.name}({', '.join([*self.parameters, 'rows', 'M: tl.constexpr'])}):",
        ]
        per_group = self.channels // self.groups
        body = [
            "row = tl.program_id(0) * M + tl.arange(0, M)",
            f"local = tl.program_id(1) * {self.tile} + tl.arange(0, {self.tile})",
            "col = local" if self.groups == 1 else f"col = tl.program_id(2) * {per_group} + local",
            f"inside = (row < rows)[:, None] & (local < {per_group})[None, :]",
            f"at = row[:, None] * {self.channels} + col[None, :]",
            *self.lines,
        ]
        return "\n".join([*header, *(INDENT + line for line in body)]) + "\n"

    def launch(self, units: str | None) -> Launch:
        return Launch(
            self.name, tuple(self.arguments), self.places, self.column_tiles, self.groups, self.variants, units
        )


def load(parameter: str, place: str = "at", mask: str = "inside") -> str:
    """What loads integers of a buffer as int32."""
    return f"tl.load({parameter} + {place}, mask={mask}, other=0).to(tl.int32)"


def store(parameter: str, value: str) -> str:
    return f"tl.store({parameter} + at, {value}, mask=inside)"


def flat(coordinates: Sequence[str], shape: Sequence[int]) -> str:
    """The place of an element of a buffer (N, *shape), the sample being `sample`."""
    place = "sample[:, None]"
    for coordinate, size in zip(coordinates, shape, strict=True):
        place = f"({place} * {size} + {coordinate})"
    return place
