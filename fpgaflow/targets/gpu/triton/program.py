"""A network as launches of Triton kernels over buffers: what an engine stores beside the compiled kernels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Buffer:
    """`elements` of `dtype` (numpy's name) for each sample."""

    elements: int
    dtype: str


@dataclass(frozen=True)
class Variant:
    """A kernel compiled for tiles of `rows` rows, by `warps` warps."""

    rows: int
    warps: int


@dataclass(frozen=True)
class Launch:
    """One kernel: its arguments are buffers and constants by name, then the number of rows.

    A grid is (rows / rows of a tile, column_tiles, groups), where there are `places` rows for each sample.
    """

    kernel: str
    arguments: tuple[str, ...]
    places: int
    column_tiles: int
    groups: int
    variants: tuple[Variant, ...]
    units: str | None = None

    def variant(self, samples: int, fills: int) -> Variant:
        """The variant with the largest tiles that still gives `fills` programs, else the smallest."""
        fitting = [v for v in self.variants if self.grid(samples, v)[0] * self.column_tiles * self.groups >= fills]
        return fitting[-1] if fitting else self.variants[0]

    def grid(self, samples: int, variant: Variant) -> tuple[int, int, int]:
        return -(-samples * self.places // variant.rows), self.column_tiles, self.groups


@dataclass(frozen=True)
class Program:
    """`inputs` and `outputs` are float32 buffers, in the model's order; `source` is the kernels' Python."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: Mapping[str, Buffer]
    launches: tuple[Launch, ...]
    constants: Mapping[str, np.ndarray]
    source: str

    def as_json(self) -> str:
        """All but constants and source."""
        return json.dumps(
            {
                "inputs": self.inputs,
                "outputs": self.outputs,
                "buffers": {name: asdict(buffer) for name, buffer in self.buffers.items()},
                "launches": [asdict(launch) for launch in self.launches],
            },
            indent=1,
        )


def parse_program(text: str, constants: Mapping[str, np.ndarray], source: str = "") -> Program:
    """What `Program.as_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    found = json.loads(text)
    launches = tuple(
        Launch(
            str(one["kernel"]),
            tuple(map(str, one["arguments"])),
            int(one["places"]),
            int(one["column_tiles"]),
            int(one["groups"]),
            tuple(Variant(int(v["rows"]), int(v["warps"])) for v in one["variants"]),
            one["units"],
        )
        for one in found["launches"]
    )
    buffers = {str(name): Buffer(int(b["elements"]), str(b["dtype"])) for name, b in found["buffers"].items()}
    program = Program(tuple(found["inputs"]), tuple(found["outputs"]), buffers, launches, dict(constants), source)
    known = {*buffers, *constants}
    missing = [name for launch in launches for name in launch.arguments if name not in known]
    if missing:
        raise ValueError(f"nothing is called {missing[0]}")
    return program
