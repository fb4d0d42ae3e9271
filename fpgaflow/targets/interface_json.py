"""The text of `interface.json`, written and read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

from fpgaflow.errors import BadInput
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.targets.stream_port import Interface, Quantiser, StreamPort

_Json = dict[str, Any]
_Plain = TypeVar("_Plain", int, bool, str)
_FORMAT = 1


def to_json(interface: Interface) -> str:
    """The text of `interface.json`. Fractions stand twice: as the nearest float, and exactly ("num/den").

    A stream of several tensors has besides the fields of one, of which `shape` are all of its slots, their `parts`.
    """
    quantisers = [{"quantiser": _quantiser_to_json(quantiser)} for quantiser in interface.quantisers]
    source = _stream_to_json(interface.input, quantisers)
    result = _stream_to_json(interface.output, [{}] * len(interface.output.tensors))
    return json.dumps({"format": _FORMAT, "input": source, "output": result}, indent=2) + "\n"


def from_json(text: str | bytes, where: str = "interface.json") -> Interface:
    """Reads what `to_json` wrote, and nothing else: every field must be there, and no other.

    Raises:
        BadInput: not such a text.
    """
    fix = "Write it with fpgaflow.targets.interface.to_json"
    try:
        given = json.loads(text)
        sources = given["input"].get("parts", [given["input"]])
        quantisers = tuple(_quantiser_from_json(fields["quantiser"]) for fields in sources)
        interface = Interface(_stream_from_json(given["input"]), quantisers, _stream_from_json(given["output"]))
        same = _canonical(json.loads(to_json(interface))) == _canonical(given)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise BadInput(where, f"is no interface description ({type(error).__name__}: {error})", fix) from None
    if not same:
        raise BadInput(where, "has fields that are unknown, missing or contradict each other", fix)
    return interface


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _quantiser_to_json(quantiser: Quantiser) -> _Json:
    return {
        **_number("gain", (quantiser.gain,)),
        **_number("offset", (quantiser.offset,)),
        "rounding": quantiser.rounding.value,
        "overflow": quantiser.overflow.value,
        "low": quantiser.low,
        "high": quantiser.high,
    }


def _quantiser_from_json(fields: _Json) -> Quantiser:
    return Quantiser(
        _exact(fields, "gain")[0],
        _exact(fields, "offset")[0],
        Rounding(fields["rounding"]),
        Overflow(fields["overflow"]),
        _typed(fields, "low", int),
        _typed(fields, "high", int),
    )


def _stream_to_json(port: StreamPort, more: Sequence[_Json]) -> _Json:
    """`more` of each of its tensors."""
    if not port.parts:
        return _port_to_json(port) | more[0]
    own = zip(port.parts, port.first_beats, more, strict=True)
    parts = [_port_to_json(part) | {"first_beat": first} | fields for part, first, fields in own]
    return _port_to_json(port) | {"parts": parts}


def _stream_from_json(fields: _Json) -> StreamPort:
    parts = tuple(map(_port_from_json, fields["parts"])) if "parts" in fields else ()
    return replace(_port_from_json(fields), parts=parts)


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
