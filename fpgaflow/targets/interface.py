"""`interface.json`: how a sample travels over the accelerator's two AXI4-Streams, and how its integers read as values.

Elements go in C order of the tensor's shape, the first in the least significant slot of a beat; an element is
sign-extended (zero-extended where unsigned) into its slot. Bits of a beat that hold no element are zero. TLAST stands
on the last beat of a sample. docs/design.md, "Contract: the RTL top".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeVar

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.types import FixedType, Overflow, Rounding

TDATA_BITS = (32, 64, 128, 256, 512, 1024)  # what an AXI DMA moves per beat (AMD PG021); on Zynq-7000 up to 64
MAX_WIDTH = 63  # elements are handled as int64

_Json = dict[str, Any]
_Plain = TypeVar("_Plain", int, bool, str)
_Value = tuple[tuple[Fraction, ...], tuple[Fraction, ...], int]  # scale, offset, axis
_FORMAT = 1


@dataclass(frozen=True)
class StreamPort:
    """One stream. `element_bits` is the slot of one element, a multiple of 8; `width` its significant bits.

    value = integer × scale + offset, exact; one entry for all elements, or one per index of `axis` of `shape`.
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
        )
        for holds, found in rules:
            if not holds:
                raise BadInput(f"stream port '{self.name}'", found, "Derive ports with interface_for")

    def _entries_fit(self, entries: tuple[Fraction, ...]) -> bool:
        return len(entries) == 1 or (bool(self.shape) and len(entries) == self.shape[self.axis])

    @property
    def elements(self) -> int:
        """Elements of one sample."""
        return prod(self.shape)

    @property
    def beats(self) -> int:
        """Beats of one sample; the last one is padded with zero slots."""
        return -(-self.elements // self.elements_per_beat)

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
    input: StreamPort
    quantiser: Quantiser
    output: StreamPort


def interface_for(graph: Graph, tdata_bits: int | None = None) -> Interface:
    """The streams of a graph of one input and one output, each beat filled with as many whole elements as fit.

    `tdata_bits` is one of `TDATA_BITS`, or None: then a stream has 32 bits, and 64 where one element needs more.

    Raises:
        BadInput: several inputs or outputs, an element that does not fit, a quantiser that does not increase.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        found = f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        raise BadInput(
            f"model '{graph.name}'", found, "The stream interface carries one of each: join or split the model"
        )
    if tdata_bits not in (None, *TDATA_BITS):
        raise BadInput("tdata_bits", f"is {tdata_bits}", f"Use one of {', '.join(map(str, TDATA_BITS))}")
    source, result = graph.inputs[0], graph.outputs[0]
    if source.gain <= 0:
        raise BadInput(f"input '{source.name}'", f"has the quantiser gain {source.gain}", "Use a positive scale")
    type_ = graph.type_of(source.tensor)
    symmetric = source.overflow is Overflow.SAT_SYM and type_.signed
    low = max(source.low, -type_.high) if symmetric else source.low
    quantiser = Quantiser(source.gain, source.offset, source.rounding, source.overflow, low, source.high)
    value = (1 / source.gain,), (-source.offset / source.gain,), 0
    return Interface(
        _port(source.name, graph, source.tensor, tdata_bits, value),
        quantiser,
        _port(result.name, graph, result.tensor, tdata_bits, (result.scale, result.offset, result.axis)),
    )


def _port(name: str, graph: Graph, tensor: str, tdata_bits: int | None, value: _Value) -> StreamPort:
    type_ = graph.type_of(tensor)
    slot = -(-type_.width // 8) * 8
    beat = tdata_bits or next((bits for bits in TDATA_BITS if slot <= bits), slot)
    if slot > beat:
        raise BadInput(f"port '{name}'", f"has elements of {type_.width} bits for beats of {beat}", "Use tdata_bits=64")
    shape = graph.tensors[tensor].shape
    return StreamPort(name, shape, beat // slot, slot, beat, type_.width, type_.signed, *value)


def pack(codes: np.ndarray, port: StreamPort) -> np.ndarray:
    """Integers (N, *shape) as the bytes of their beats: uint8 (N, beats, tdata_bits / 8), least significant first.

    `.view("<u4")` of the result gives words of 32 bits.

    Raises:
        BadInput: another shape, no integers, or an integer outside of the port's type.
    """
    codes = np.asarray(codes)
    where = f"samples for stream '{port.name}'"
    if codes.shape[1:] != port.shape or codes.ndim != len(port.shape) + 1:
        raise BadInput(where, f"have shape {codes.shape}", f"Give (N, {', '.join(map(str, port.shape))})")
    if codes.dtype.kind not in "iub":
        raise BadInput(where, f"are {codes.dtype}", "Give integers")
    if codes.size and not (port.low <= int(codes.min()) and int(codes.max()) <= port.high):
        raise BadInput(where, f"reach from {codes.min()} to {codes.max()}", f"Stay in {port.low} to {port.high}")
    count, slot = len(codes), port.element_bits // 8
    wide = np.ascontiguousarray(codes.reshape(count, port.elements), dtype="<i8")
    slots = np.zeros((count, port.beats * port.elements_per_beat, slot), dtype=np.uint8)
    slots[:, : port.elements] = wide.view(np.uint8).reshape(count, port.elements, 8)[:, :, :slot]
    beats = np.zeros((count, port.beats, port.tdata_bits // 8), dtype=np.uint8)
    beats[:, :, : port.elements_per_beat * slot] = slots.reshape(count, port.beats, port.elements_per_beat * slot)
    return beats


def unpack(beats: np.ndarray, port: StreamPort) -> np.ndarray:
    """The reverse of `pack`: uint8 (N, beats, tdata_bits / 8) as int64 (N, *shape), whole slots read as integers.

    Raises:
        BadInput: another shape or dtype.
    """
    expected = (port.beats, port.tdata_bits // 8)
    if beats.dtype != np.uint8 or beats.ndim != 3 or beats.shape[1:] != expected:
        found = f"are {beats.dtype} of shape {beats.shape}"
        raise BadInput(
            f"beats of stream '{port.name}'", found, f"Give uint8 of shape (N, {expected[0]}, {expected[1]})"
        )
    count, slot = len(beats), port.element_bits // 8
    slots = beats[:, :, : port.elements_per_beat * slot].reshape(count, port.beats * port.elements_per_beat, slot)
    # The slot goes into the top bytes of a word, so that the shift down extends its sign.
    wide = np.zeros((count, port.elements, 8), dtype=np.uint8)
    wide[:, :, 8 - slot :] = slots[:, : port.elements]
    words = wide.view("<i8" if port.signed else "<u8") >> (64 - port.element_bits)
    return words.astype(np.int64).reshape(count, *port.shape)


def to_json(interface: Interface) -> str:
    """The text of `interface.json`. Fractions stand twice: as the nearest float, and exactly ("num/den")."""
    quantiser = interface.quantiser
    fields = {
        **_number("gain", (quantiser.gain,)),
        **_number("offset", (quantiser.offset,)),
        "rounding": quantiser.rounding.value,
        "overflow": quantiser.overflow.value,
        "low": quantiser.low,
        "high": quantiser.high,
    }
    source = _port_to_json(interface.input) | {"quantiser": fields}
    return json.dumps({"format": _FORMAT, "input": source, "output": _port_to_json(interface.output)}, indent=2) + "\n"


def from_json(text: str | bytes, where: str = "interface.json") -> Interface:
    """Reads what `to_json` wrote, and nothing else: every field must be there, and no other.

    Raises:
        BadInput: not such a text.
    """
    fix = "Write it with fpgaflow.targets.interface.to_json"
    try:
        given = json.loads(text)
        quantiser = given["input"]["quantiser"]
        interface = Interface(
            _port_from_json(given["input"]),
            Quantiser(
                _exact(quantiser, "gain")[0],
                _exact(quantiser, "offset")[0],
                Rounding(quantiser["rounding"]),
                Overflow(quantiser["overflow"]),
                _typed(quantiser, "low", int),
                _typed(quantiser, "high", int),
            ),
            _port_from_json(given["output"]),
        )
        same = _canonical(json.loads(to_json(interface))) == _canonical(given)
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise BadInput(where, f"is no interface description ({type(error).__name__}: {error})", fix) from None
    if not same:
        raise BadInput(where, "has fields that are unknown, missing or contradict each other", fix)
    return interface


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _port_to_json(port: StreamPort) -> _Json:
    offset = _number("offset", port.offset) if any(port.offset) else {}
    axis = {"axis": port.axis} if len(port.scale) > 1 or len(port.offset) > 1 else {}
    return {
        "name": port.name,
        "shape": list(port.shape),
        "elements_per_beat": port.elements_per_beat,
        "element_bits": port.element_bits,
        "tdata_bits": port.tdata_bits,
        "width": port.width,
        "signed": port.signed,
        **_number("scale", port.scale),
        **offset,
        **axis,
    }


def _port_from_json(fields: _Json) -> StreamPort:
    return StreamPort(
        _typed(fields, "name", str),
        tuple(_typed(fields["shape"], axis, int) for axis in range(len(fields["shape"]))),
        _typed(fields, "elements_per_beat", int),
        _typed(fields, "element_bits", int),
        _typed(fields, "tdata_bits", int),
        _typed(fields, "width", int),
        _typed(fields, "signed", bool),
        _exact(fields, "scale"),
        _exact(fields, "offset") if "offset" in fields else (Fraction(0),),
        _typed(fields, "axis", int) if "axis" in fields else 0,
    )


def _typed(fields: Any, key: str | int, kind: type[_Plain]) -> _Plain:
    if type(value := fields[key]) is not kind:
        raise TypeError(f"{key} is {value!r}")
    return value


def _number(key: str, entries: tuple[Fraction, ...]) -> _Json:
    """A list where there are several entries, else the number alone."""
    floats, exact = [float(entry) for entry in entries], [f"{e.numerator}/{e.denominator}" for e in entries]
    return {key: floats, f"{key}_exact": exact} if len(entries) > 1 else {key: floats[0], f"{key}_exact": exact[0]}


def _exact(fields: _Json, key: str) -> tuple[Fraction, ...]:
    entries = fields[f"{key}_exact"]
    return tuple(map(Fraction, entries if isinstance(entries, list) else [entries]))
