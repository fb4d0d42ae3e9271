"""`interface.json`: how a sample travels over the accelerator's two AXI4-Streams, and how its integers read as values.

Elements go in C order of the tensor's shape, the first in the least significant slot of a beat; an element is
sign-extended (zero-extended where unsigned) into its slot. Bits of a beat that hold no element are zero. TLAST stands
on the last beat of a sample. docs/design.md, "Contract: the RTL top".

A stream of several inputs or outputs carries one after the other, in the model's order, each from a beat of its own on.
They share the number of elements in a beat and the slot of an element, that of the widest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph, Input
from fpgaflow.ir.types import FixedType, Overflow
from fpgaflow.samples import joined
from fpgaflow.targets.interface_json import from_json as from_json
from fpgaflow.targets.interface_json import to_json as to_json
from fpgaflow.targets.stream_port import MAX_WIDTH as MAX_WIDTH
from fpgaflow.targets.stream_port import Interface as Interface
from fpgaflow.targets.stream_port import Quantiser as Quantiser
from fpgaflow.targets.stream_port import StreamPort as StreamPort
from fpgaflow.targets.stream_port import whole_stream

TDATA_BITS = (32, 64, 128, 256, 512, 1024)  # what an AXI DMA moves per beat (AMD PG021); on Zynq-7000 up to 64

_Carried = tuple[str, str, tuple[Fraction, ...], tuple[Fraction, ...], int]  # port, tensor, scale, offset, axis


def interface_for(graph: Graph, tdata_bits: int | None = None, *, several: bool = False) -> Interface:
    """The streams of a graph, each beat filled with as many whole elements as fit.

    Args:
        tdata_bits: one of `TDATA_BITS`, or None: then a stream has 32 bits, and 64 where one element needs more.
        several: whether a stream may carry several inputs or outputs.

    Raises:
        BadInput: several inputs or outputs where one is carried, an element that does not fit, a quantiser that does
            not increase.
    """
    if not several and (len(graph.inputs) != 1 or len(graph.outputs) != 1):
        found = f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        raise BadInput(
            f"model '{graph.name}'", found, "The stream interface carries one of each: join or split the model"
        )
    if tdata_bits not in (None, *TDATA_BITS):
        raise BadInput("tdata_bits", f"is {tdata_bits}", f"Use one of {', '.join(map(str, TDATA_BITS))}")
    sources = [(port.name, port.tensor, (1 / port.gain,), (-port.offset / port.gain,), 0) for port in _rising(graph)]
    results = [(port.name, port.tensor, port.scale, port.offset, port.axis) for port in graph.outputs]
    quantisers = tuple(_quantiser(port, graph.type_of(port.tensor)) for port in graph.inputs)
    return Interface(_port(sources, graph, tdata_bits), quantisers, _port(results, graph, tdata_bits))


def _rising(graph: Graph) -> tuple[Input, ...]:
    for port in graph.inputs:
        if port.gain <= 0:
            raise BadInput(f"input '{port.name}'", f"has the quantiser gain {port.gain}", "Use a positive scale")
    return graph.inputs


def _quantiser(port: Input, type_: FixedType) -> Quantiser:
    symmetric = port.overflow is Overflow.SAT_SYM and type_.signed
    low = max(port.low, -type_.high) if symmetric else port.low
    return Quantiser(port.gain, port.offset, port.rounding, port.overflow, low, port.high)


def _port(tensors: Sequence[_Carried], graph: Graph, tdata_bits: int | None) -> StreamPort:
    widest, name = max((graph.type_of(tensor).width, name) for name, tensor, *_ in tensors)
    slot = -(-widest // 8) * 8
    beat = tdata_bits or next((bits for bits in TDATA_BITS if slot <= bits), slot)
    if slot > beat:
        raise BadInput(f"port '{name}'", f"has elements of {widest} bits for beats of {beat}", "Use tdata_bits=64")
    parts = []
    for own, tensor, scale, offset, axis in tensors:
        type_, shape = graph.type_of(tensor), graph.tensors[tensor].shape
        layout = shape, beat // slot, slot, beat, type_.width, type_.signed
        parts.append(StreamPort(own, *layout, scale, offset, axis))
    return parts[0] if len(parts) == 1 else replace(whole_stream(tuple(parts)), parts=tuple(parts))


def pack(codes: np.ndarray, port: StreamPort) -> np.ndarray:
    """Integers (N, *shape) as the bytes of their beats: uint8 (N, beats, tdata_bits / 8), least significant first.

    `.view("<u4")` of the result gives words of 32 bits. A port with parts takes what `joined` makes of their integers.

    Raises:
        BadInput: another shape, no integers, or an integer outside of the port's type.
    """
    codes = np.asarray(codes)
    if port.parts:
        if (names := [part.name for part in port.parts]) != list(codes.dtype.names or ()):
            found = f"are of {', '.join(codes.dtype.names or ['no name'])}"
            raise BadInput(f"samples for stream '{port.name}'", found, f"Give {', '.join(names)}")
        return np.concatenate([pack(codes[part.name], part) for part in port.parts], axis=1)
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

    Of a port with parts, as `joined` gives them.

    Raises:
        BadInput: another shape or dtype.
    """
    expected = (port.beats, port.tdata_bits // 8)
    if beats.dtype != np.uint8 or beats.ndim != 3 or beats.shape[1:] != expected:
        found = f"are {beats.dtype} of shape {beats.shape}"
        raise BadInput(
            f"beats of stream '{port.name}'", found, f"Give uint8 of shape (N, {expected[0]}, {expected[1]})"
        )
    if port.parts:
        cut = np.split(beats, port.first_beats[1:], axis=1)
        return joined({part.name: unpack(own, part) for part, own in zip(port.parts, cut, strict=True)})
    count, slot = len(beats), port.element_bits // 8
    slots = beats[:, :, : port.elements_per_beat * slot].reshape(count, port.beats * port.elements_per_beat, slot)
    # The slot goes into the top bytes of a word, so that the shift down extends its sign.
    wide = np.zeros((count, port.elements, 8), dtype=np.uint8)
    wide[:, :, 8 - slot :] = slots[:, : port.elements]
    words = wide.view("<i8" if port.signed else "<u8") >> (64 - port.element_bits)
    return words.astype(np.int64).reshape(count, *port.shape)
