"""The sliding window: what each position of a kernel sees of an image that streams by, without storing the image.

Pixels come in C order, zeros are put in where the padding lies. Delay lines of whole rows bring the rows of the kernel
together, shift registers its columns; a window leaves as one beat when its last pixel has come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from fpgaflow.targets.rtl.rom import count_up
from fpgaflow.targets.rtl.stream import Beat, Stage


@dataclass(frozen=True)
class Geometry:
    """A window over an image; all pairs are (rows, columns), a 1-D window has one row."""

    image: tuple[int, int]
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]

    @property
    def padded(self) -> tuple[int, int]:
        rows, columns = (size + sum(pads) for size, pads in zip(self.image, self.padding, strict=True))
        return rows, columns

    @property
    def span(self) -> tuple[int, int]:
        """Rows and columns that a window reaches over."""
        rows, columns = ((taps - 1) * d + 1 for taps, d in zip(self.kernel, self.dilations, strict=True))
        return rows, columns

    @property
    def windows(self) -> int:
        sizes = zip(self.padded, self.span, self.strides, strict=True)
        return prod((size - span) // stride + 1 for size, span, stride in sizes)

    @property
    def trivial(self) -> bool:
        """Each window is one pixel, and every pixel a window."""
        return self.kernel == self.strides == (1, 1) and not any(map(any, self.padding))

    def idle(self, slices: int, ahead: float) -> int:
        """Cycles of a sample in which no window comes, and what reads them has run out of work.

        A pixel comes in `slices` cycles; the reader has windows for `ahead` cycles in front of it. The longest gap is
        before the first window, others before each further row of windows.
        """
        rows = (self.padded[0] - self.span[0]) // self.strides[0] + 1
        gap = (self.strides[0] - 1) * self.padded[1] + self.span[1] - 1
        first = (self.span[0] - 1) * self.padded[1] + self.span[1] - 1
        return math.ceil(max(0, first * slices - ahead) + (rows - 1) * max(0, gap * slices - ahead))

    def last_pixels(self, slices: int) -> np.ndarray:
        """For each window and slice of its channels: how many slices of pixels have come with its last one.

        Those of the image alone: the padding costs none.
        """
        steps = [
            np.arange(span - 1, padded, stride)  # the last row or column of each window, padding included
            for span, padded, stride in zip(self.span, self.padded, self.strides, strict=True)
        ]
        before = [place - pads[0] for place, pads in zip(steps, self.padding, strict=True)]
        rows, columns = (np.clip(place, 0, size) for place, size in zip(before, self.image, strict=True))
        inside = [(place >= 0) & (place < size) for place, size in zip(before, self.image, strict=True)]
        pixels = rows[:, None] * self.image[1] + np.where(inside[0][:, None], columns, 0)
        own = inside[0][:, None] & inside[1]
        return (pixels[..., None] * slices + own[..., None] * np.arange(1, slices + 1)).ravel()

    @property
    def overlaps(self) -> bool:
        """Whether windows share pixels."""
        return any(span > stride for span, stride in zip(self.span, self.strides, strict=True))


def geometry(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> Geometry:
    """The window of a conv or pool over (*spatial, channels), of one or two spatial axes."""
    if len(kernel) == 1:
        shape, padding = (1, *shape), ((0, 0), *padding)
        kernel, strides, dilations = (1, *kernel), (1, *strides), (1, *dilations)
    rows, columns = padding
    return Geometry(_pair(shape[:-1]), shape[-1], _pair(kernel), _pair(strides), _pair(dilations), (rows, columns))


def _pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = sizes
    return rows, columns


class Window(Stage):
    """Latency 1 after a window's last pixel, interval 1: one cycle for each beat of the padded image.

    A beat carries `lanes` of the channels, which divide them; each window leaves in as many beats as a pixel comes in.
    The elements of a beat lie in the order (group, row, column, channel of the group), with lanes / `groups` channels
    in a group.
    """

    def __init__(self, geometry: Geometry, lanes: int, bits: int, groups: int = 1) -> None:
        if geometry.channels % lanes or lanes % groups:
            raise ValueError(f"{lanes} lanes in {groups} groups do not fold {geometry.channels} channels")
        super().__init__(Beat(lanes, bits), Beat(lanes * prod(geometry.kernel), bits))
        self.geometry, self.groups, self.slices = geometry, groups, geometry.channels // lanes

    def needed(self, beats: int) -> np.ndarray:
        return self.geometry.last_pixels(self.slices)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = self.geometry
        step = Signal()
        outside = Signal()
        _, pixel_ends = count_up(m, "slice", self.slices, step)
        column, row_ends = count_up(m, "column", shape.padded[1], step & pixel_ends)
        row, image_ends = count_up(m, "row", shape.padded[0], step & pixel_ends & row_ends)
        inner = [
            (place >= before) & (place < before + size)
            for place, size, (before, _) in zip((row, column), shape.image, shape.padding, strict=True)
        ]
        free = Signal()
        m.d.comb += [
            outside.eq(~(inner[0] & inner[1])),
            free.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(free & ~outside),
            step.eq(free & (outside | self.i.valid)),
        ]
        column_moves, row_moves = step & pixel_ends, step & pixel_ends & row_ends
        window_row = self._ends_window(m, "row", row, shape.span[0], shape.strides[0], row_moves, image_ends)
        window_column = self._ends_window(m, "column", column, shape.span[1], shape.strides[1], column_moves, row_ends)
        with m.If(free):
            m.d.sync += self.o.valid.eq(step & window_row & window_column)
        newest = Mux(outside, 0, self.i.payload)
        rows = self._rows(m, newest, step)
        taps = [self._columns(m, n, rows[n], step) for n in range(shape.kernel[0])]
        m.d.comb += self.o.payload.eq(self._ordered([tap for own in taps for tap in own]))
        return m

    def _ends_window(
        self, m: Module, name: str, place: Value, span: int, stride: int, moves: Value, last: Value
    ) -> Value:
        """Whether a window ends at this place of a counter that `moves` and stands on its `last` value."""
        ends, phase = Signal(name=f"window_{name}"), Signal(range(stride), name=f"phase_{name}")
        inside = place >= span - 1
        m.d.comb += ends.eq(inside & (phase == 0))
        with m.If(moves):
            m.d.sync += phase.eq(Mux(inside & ~last & (phase != stride - 1), phase + 1, 0))
        return ends

    def _rows(self, m: Module, newest: Value, step: Value) -> list[Value]:
        """The pixel of each kernel row, the oldest row first and `newest` last, all of one column."""
        count = self.geometry.kernel[0] - 1
        if not count:
            return [newest]
        depth = self.geometry.dilations[0] * self.geometry.padded[1] * self.slices
        word = Beat(count, self.source.width)
        delayed = Signal(word.width)
        arriving = Cat(*word.split(delayed)[1:], newest)
        if depth == 1:
            with m.If(step):
                m.d.sync += delayed.eq(arriving)
            return [*word.split(delayed), newest]
        place, last = count_up(m, "line_place", depth, step)
        lines = Memory(shape=unsigned(word.width), depth=depth, init=[])
        m.submodules.lines = lines
        write, read = lines.write_port(), lines.read_port()
        # The word for the next step is read one step ahead: it was written depth - 1 steps ago.
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(arriving),
            write.en.eq(step),
            read.addr.eq(Mux(last, 0, place + 1)),
            read.en.eq(step),
            delayed.eq(read.data),
        ]
        return [*word.split(delayed), newest]

    def _columns(self, m: Module, row: int, newest: Value, step: Value) -> list[Value]:
        """The kernel's columns of one row, the oldest first, registered."""
        apart = self.geometry.dilations[1] * self.slices
        chain = [
            Signal(self.source.width, name=f"row_{row}_delay_{n}")
            for n in range((self.geometry.kernel[1] - 1) * apart + 1)
        ]
        with m.If(step):
            m.d.sync += [new.eq(old) for new, old in zip(chain, [newest, *chain], strict=False)]
        return list(reversed(chain[::apart]))

    def _ordered(self, taps: list[Value]) -> Value:
        """The elements of all taps, each of `lanes`, group by group."""
        own = self.source.lanes // self.groups
        elements = [self.source.split(tap) for tap in taps]
        return Cat(*(tap[g * own + c] for g in range(self.groups) for tap in elements for c in range(own)))
