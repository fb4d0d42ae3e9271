"""What a stream of samples carries: shapes, slots and scales of tensors, and how real inputs become integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from math import prod

from fpgaflow.errors import BadInput
from fpgaflow.ir.types import FixedType, Overflow, Rounding

MAX_WIDTH = 63  # elements are handled as int64


@dataclass(frozen=True)
class StreamPort:
    """One stream. `element_bits` is the slot of one element, a multiple of 8; `width` its significant bits.

    value = integer × scale + offset, exact; one entry for all elements, or one per index of `axis` of `shape`.
    With `parts`, the stream carries those several tensors: its own shape are their slots, its `width` is the widest,
    and how an integer reads as a value is the part's.
    """

    name: str
    shape: tuple[int, ...]  # of one sample
    elements_per_beat: int
    element_bits: int
    tdata_bits: int
    width: int
    signed: bool
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    axis: int = 0
    parts: tuple[StreamPort, ...] = ()

    def __post_init__(self) -> None:
        slots = self.elements_per_beat * self.element_bits
        rules = (
            (all(size >= 1 for size in self.shape), "has an empty shape"),
            (1 <= self.width <= MAX_WIDTH, f"has elements of {self.width} bits, not 1 to {MAX_WIDTH}"),
            (self.element_bits % 8 == 0 and self.element_bits >= self.width, f"has slots of {self.element_bits} bits"),
            (
                self.elements_per_beat >= 1 and slots <= self.tdata_bits,
                f"has {slots} bits in beats of {self.tdata_bits}",
            ),
            (self.tdata_bits % 8 == 0, f"has beats of {self.tdata_bits} bits"),
            (0 <= self.axis < max(1, len(self.shape)), f"has no axis {self.axis}"),
            (self._entries_fit(self.scale) and self._entries_fit(self.offset), "has scales that do not fit its shape"),
            (not self.parts or self._parts_fit(), "has parts that do not make it up"),
        )
        for holds, found in rules:
            if not holds:
                raise BadInput(f"stream port '{self.name}'", found, "Derive ports with interface_for")

    def _entries_fit(self, entries: tuple[Fraction, ...]) -> bool:
        return len(entries) == 1 or (bool(self.shape) and len(entries) == self.shape[self.axis])

    def _parts_fit(self) -> bool:
        if len({part.name for part in self.parts}) < len(self.parts) or any(part.parts for part in self.parts):
            return False
        layouts = {(part.elements_per_beat, part.element_bits, part.tdata_bits) for part in self.parts}
        return len(layouts) == 1 and replace(self, parts=()) == whole_stream(self.parts)

    @property
    def elements(self) -> int:
        """Elements of one sample."""
        return prod(self.shape)

    @property
    def beats(self) -> int:
        """Beats of one sample; the last one is padded with zero slots."""
        return -(-self.elements // self.elements_per_beat)

    @property
    def tensors(self) -> tuple[StreamPort, ...]:
        """The parts, or the port itself where it carries one tensor."""
        return self.parts or (self,)

    @property
    def first_beats(self) -> tuple[int, ...]:
        """The beat of a sample with which each of `tensors` begins."""
        return tuple(accumulate((part.beats for part in self.tensors[:-1]), initial=0))

    @property
    def sample_bytes(self) -> int:
        """What one sample takes in memory, as a DMA moves it."""
        return self.beats * self.tdata_bits // 8

    @property
    def low(self) -> int:
        """Smallest integer of an element."""
        return FixedType(self.signed, self.width, 0).low

    @property
    def high(self) -> int:
        """Largest integer of an element."""
        return FixedType(self.signed, self.width, 0).high


@dataclass(frozen=True)
class Quantiser:
    """How real inputs become integers: overflow(round(x × gain + offset)), within [low, high]."""

    gain: Fraction
    offset: Fraction
    rounding: Rounding
    overflow: Overflow
    low: int
    high: int


@dataclass(frozen=True)
class Interface:
    """The two streams; `quantisers` of each input."""

    input: StreamPort
    quantisers: tuple[Quantiser, ...]
    output: StreamPort

    def __post_init__(self) -> None:
        if len(self.quantisers) != len(self.input.tensors):
            found = f"has {len(self.quantisers)} quantisers for {len(self.input.tensors)} inputs"
            raise BadInput(f"stream port '{self.input.name}'", found, "Derive ports with interface_for")

    @property
    def quantiser(self) -> Quantiser:
        """That of the only input."""
        (only,) = self.quantisers
        return only


def whole_stream(parts: tuple[StreamPort, ...]) -> StreamPort:
    """The stream of several tensors as slots of one."""
    return replace(
        parts[0],
        name=", ".join(part.name for part in parts),
        shape=(sum(part.beats * part.elements_per_beat for part in parts),),
        width=max(part.width for part in parts),
        signed=any(part.signed for part in parts),
        scale=(Fraction(1),),
        offset=(Fraction(0),),
        axis=0,
    )
