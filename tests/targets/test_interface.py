"""interface.json: what it says of a graph, that it survives a round trip, and that packing follows the contract."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from math import prod
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph, Input, Output, Tensor
from fpgaflow.ir.ops import Reshape
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.samples import joined
from fpgaflow.targets.interface import (
    MAX_WIDTH,
    Interface,
    Quantiser,
    StreamPort,
    from_json,
    interface_for,
    pack,
    to_json,
    unpack,
)

ONE, ZERO = (Fraction(1),), (Fraction(0),)


def graph_of(type_: FixedType, shape: tuple[int, ...], output: Output | None = None, **quantiser: Any) -> Graph:
    """A graph that reshapes its input."""
    flat = (prod(shape),)
    port = Input("x", "image", Fraction(2) ** type_.fraction, Fraction(0), Rounding.RND_CONV, Overflow.SAT, 0, 0)
    port = replace(port, **{"low": type_.low, "high": type_.high} | quantiser)
    output = output or Output("y", "scores", (Fraction(1, 3),), ZERO, 0)
    tensors = {"x": Tensor("x", shape, type_), "y": Tensor("y", flat, type_)}
    return Graph("net", (port,), (output,), (Reshape("flat", ("x",), "y", "Reshape_0"),), tensors, {})


def test_a_graph_gives_the_fields_that_the_contract_names() -> None:
    graph = graph_of(FixedType(False, 4, 4), (2, 3, 3), gain=Fraction(15), offset=Fraction(1, 2))
    fields = json.loads(to_json(interface_for(graph)))
    assert fields["input"] == {
        "name": "image",
        "shape": [2, 3, 3],
        "elements_per_beat": 4,
        "element_bits": 8,
        "tdata_bits": 32,
        "width": 4,
        "signed": False,
        "scale": 1 / 15,
        "scale_exact": "1/15",
        "offset": -1 / 30,
        "offset_exact": "-1/30",
        "quantiser": {
            "gain": 15.0,
            "gain_exact": "15/1",
            "offset": 0.5,
            "offset_exact": "1/2",
            "rounding": "RND_CONV",
            "overflow": "SAT",
            "low": 0,
            "high": 15,
        },
    }
    assert fields["output"]["scale"] == 1 / 3
    assert "offset" not in fields["output"]


def test_scales_per_channel_are_lists() -> None:
    output = Output("y", "scores", (Fraction(1, 2), Fraction(1, 3)), (Fraction(0), Fraction(5)), 0)
    fields = json.loads(to_json(interface_for(graph_of(FixedType(True, 9, 0), (1, 2), output))))["output"]
    assert (fields["scale"], fields["scale_exact"]) == ([0.5, 1 / 3], ["1/2", "1/3"])
    assert (fields["offset"], fields["axis"]) == ([0.0, 5.0], 0)


@pytest.mark.parametrize(
    ("width", "asked", "slot", "beat", "per_beat"),
    [
        (1, None, 8, 32, 4),
        (8, 64, 8, 64, 8),
        (9, None, 16, 32, 2),
        (17, None, 24, 32, 1),
        (17, 64, 24, 64, 2),
        (32, None, 32, 32, 1),
        (33, None, 40, 64, 1),
        (63, 64, 64, 64, 1),
    ],
)
def test_beats_hold_as_many_whole_elements_as_fit(
    width: int, asked: int | None, slot: int, beat: int, per_beat: int
) -> None:
    port = interface_for(graph_of(FixedType(True, width, 0), (7,)), asked).input
    assert (port.element_bits, port.tdata_bits, port.elements_per_beat) == (slot, beat, per_beat)
    assert port.beats == -(-7 // per_beat)
    assert port.sample_bytes == port.beats * beat // 8


def test_what_the_streams_cannot_carry_is_refused() -> None:
    graph = graph_of(FixedType(True, 40, 0), (4,))
    with pytest.raises(BadInput, match="elements of 40 bits for beats of 32"):
        interface_for(graph, 32)
    with pytest.raises(BadInput, match="tdata_bits: is 48"):
        interface_for(graph, 48)
    with pytest.raises(BadInput, match="2 inputs"):
        interface_for(replace(graph, inputs=graph.inputs * 2))
    with pytest.raises(BadInput, match="gain -1"):
        interface_for(graph_of(FixedType(True, 4, 0), (4,), gain=Fraction(-1)))
    with pytest.raises(BadInput, match="elements of 64 bits"):
        interface_for(graph_of(FixedType(True, 64, 0), (4,)), 64)


def test_symmetric_saturation_shows_in_the_bounds() -> None:
    graph = graph_of(FixedType(True, 4, 0), (4,), overflow=Overflow.SAT_SYM)
    assert interface_for(graph).quantiser.low == -7


def test_pack_by_hand() -> None:
    port = StreamPort("x", (5,), 2, 16, 32, 12, True, ONE, ZERO)
    beats = pack(np.array([[1, -1, -2048, 2047, 0x123]]), port)
    assert beats.view("<u4")[0, :, 0].tolist() == [0xFFFF0001, 0x07FFF800, 0x00000123]
    narrow = StreamPort("x", (2,), 1, 24, 32, 20, True, ONE, ZERO)
    assert pack(np.array([[-1, 2]]), narrow).view("<u4")[0, :, 0].tolist() == [0x00FFFFFF, 2]


@st.composite
def ports(draw: st.DrawFn) -> StreamPort:
    width = draw(st.integers(1, MAX_WIDTH))
    slot = draw(st.sampled_from([bits for bits in range(8, 65, 8) if bits >= width]))
    per_beat = draw(st.integers(1, 5))
    spare = draw(st.integers(0, 3)) * 8
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=3)))
    return StreamPort("p", shape, per_beat, slot, per_beat * slot + spare, width, draw(st.booleans()), ONE, ZERO)


@given(ports(), st.integers(0, 4), st.randoms(use_true_random=False))
def test_packing_is_what_the_contract_says_and_reverses(port: StreamPort, count: int, random: Random) -> None:
    numbers = [random.randint(port.low, port.high) for _ in range(count * port.elements)]
    codes = np.array(numbers, dtype=np.int64).reshape(count, *port.shape)
    beats = pack(codes, port)
    assert beats.shape == (count, port.beats, port.tdata_bits // 8)
    for sample, flat in zip(beats, codes.reshape(count, port.elements), strict=True):
        for index, beat in enumerate(sample):
            expected = 0
            for slot, value in enumerate(flat[index * port.elements_per_beat : (index + 1) * port.elements_per_beat]):
                expected |= (int(value) % (1 << port.element_bits)) << (slot * port.element_bits)
            assert int.from_bytes(beat.tobytes(), "little") == expected
    assert np.array_equal(unpack(beats, port), codes)


def test_unpack_reads_whole_slots() -> None:
    """An element that hardware extended wrongly must not look right."""
    port = StreamPort("y", (1,), 4, 8, 32, 4, True, ONE, ZERO)
    assert unpack(np.array([[[0x0F, 0, 0, 0]]], dtype=np.uint8), port).tolist() == [[15]]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((2, 4), int), "have shape"),
        (np.zeros(3, int), "have shape"),
        (np.zeros((2, 3)), "are float64"),
        (np.full((1, 3), 8), "reach from 8 to 8"),
        (np.full((1, 3), -9), "Stay in -8 to 7"),
    ],
)
def test_pack_refuses(codes: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pack(codes, StreamPort("x", (3,), 4, 8, 32, 4, True, ONE, ZERO))


def test_unpack_refuses_another_layout() -> None:
    port = StreamPort("x", (3,), 4, 8, 32, 4, True, ONE, ZERO)
    for beats in (np.zeros((1, 2, 4), np.uint8), np.zeros((1, 1, 4), np.int8), np.zeros((1, 4), np.uint8)):
        with pytest.raises(BadInput, match="of shape"):
            unpack(beats, port)


fractions = st.fractions(-1000, 1000, max_denominator=10**9)


@given(ports(), ports(), fractions, st.sampled_from(Rounding), st.sampled_from(Overflow), st.data())
def test_json_round_trip(
    source: StreamPort,
    result: StreamPort,
    offset: Fraction,
    rounding: Rounding,
    overflow: Overflow,
    data: st.DataObject,
) -> None:
    if result.shape:
        axis = data.draw(st.integers(0, len(result.shape) - 1))
        scale = tuple(data.draw(fractions) for _ in range(result.shape[axis]))
        result = replace(result, axis=axis if len(scale) > 1 else 0, scale=scale)
    interface = Interface(source, (Quantiser(Fraction(3, 7), offset, rounding, overflow, -1, 5),), result)
    assert from_json(to_json(interface)) == interface


def _mutations() -> list[tuple[str, object]]:
    return [
        ("input.width", 9),
        ("input.width", "8"),
        ("input.signed", 1),
        ("input.element_bits", 12),
        ("input.shape", [2, 0]),
        ("input.shape", "23"),
        ("input.scale", 0.5),
        ("input.scale_exact", "1/0"),
        ("input.quantiser", None),
        ("input.quantiser.low", "0"),
        ("input.quantiser.rounding", "ROUND"),
        ("input.quantiser.surprise", 1),
        ("output.axis", 0),
        ("output.elements_per_beat", 0),
        ("output.elements_per_beat", 5),
        ("format", 2),
        ("extra", 1),
    ]


@pytest.mark.parametrize(("path", "value"), _mutations())
def test_the_loader_is_strict(path: str, value: object) -> None:
    fields = json.loads(to_json(interface_for(graph_of(FixedType(False, 8, 8), (2, 3)))))
    *parents, last = path.split(".")
    inner = fields
    for key in parents:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(BadInput):
        from_json(json.dumps(fields), "build/interface.json")


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"input": {}}', "[" * 100_000, b"\xff"])
def test_what_is_no_interface_is_refused_by_name(text: str | bytes) -> None:
    with pytest.raises(BadInput, match=r"build/interface\.json: is no interface description"):
        from_json(text, "build/interface.json")


def test_a_missing_field_is_refused() -> None:
    fields = json.loads(to_json(interface_for(graph_of(FixedType(False, 8, 8), (2, 3)))))
    for port in ("input", "output"):
        for key in fields[port]:
            cut = {**fields, port: {k: v for k, v in fields[port].items() if k != key}}
            with pytest.raises(BadInput):
                from_json(json.dumps(cut))


def several() -> Graph:
    """Two inputs of different types, 5 elements of 12 bits and 2 of 1 bit, and both as outputs."""
    tensors = {"a": Tensor("a", (5,), FixedType(True, 12, 4)), "b": Tensor("b", (1, 2), FixedType(False, 1, 0))}
    inputs = tuple(
        Input(n, f"in_{n}", Fraction(2) ** t.type.fraction, Fraction(0), Rounding.RND, Overflow.SAT, t.type.low, 1)
        for n, t in tensors.items()
    )
    outputs = (Output("b", "second", (Fraction(1),), ZERO, 0), Output("a", "first", (Fraction(1, 16),), ZERO, 0))
    return Graph("net", inputs, outputs, (), tensors, {})


def test_several_tensors_share_a_stream_each_from_a_beat_of_its_own() -> None:
    interface = interface_for(several(), several=True)
    fields = json.loads(to_json(interface))
    whole, (a, b) = fields["input"], fields["input"]["parts"]
    assert (whole["name"], whole["shape"], whole["width"], whole["signed"]) == ("in_a, in_b", [8], 12, True)
    assert "quantiser" not in whole and (a["quantiser"]["gain"], b["quantiser"]["gain"]) == (16.0, 1.0)
    for part in (whole, a, b):  # of two elements of 12 bits
        assert (part["elements_per_beat"], part["element_bits"], part["tdata_bits"]) == (2, 16, 32)
    assert [(p["name"], p["shape"], p["width"], p["signed"], p["first_beat"]) for p in (a, b)] == [
        ("in_a", [5], 12, True, 0),
        ("in_b", [1, 2], 1, False, 3),
    ]
    assert [(p["name"], p["first_beat"], p["scale"]) for p in fields["output"]["parts"]] == [
        ("second", 0, 1.0),
        ("first", 1, 1 / 16),
    ]
    assert interface.input.beats == 4 and interface.input.first_beats == (0, 3)
    assert from_json(to_json(interface)) == interface
    with pytest.raises(ValueError, match="too many values"):
        _ = interface.quantiser
    with pytest.raises(BadInput, match="2 inputs and 2 outputs"):
        interface_for(several())


def test_several_tensors_are_packed_one_after_the_other() -> None:
    port = interface_for(several(), several=True).input
    given = {"in_a": np.array([[1, -1, 2, -2, -2048]]), "in_b": np.array([[[1, 1]]])}
    beats = pack(joined(given), port)
    assert beats.view("<u4")[0, :, 0].tolist() == [0xFFFF0001, 0xFFFE0002, 0x0000F800, 0x00010001]
    back = unpack(beats, port)
    assert all(np.array_equal(back[name], array) for name, array in given.items())
    for wrong, found in (
        ({"in_b": given["in_b"], "in_a": given["in_a"]}, "are of in_b, in_a"),
        ({"in_a": given["in_a"], "in_b": given["in_b"] + 1}, "reach from 2 to 2"),
    ):
        with pytest.raises(BadInput, match=found):
            pack(joined(wrong), port)
    with pytest.raises(BadInput, match="are of no name"):
        pack(np.zeros((1, 8), int), port)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("input.parts", []),
        ("input.parts.1.first_beat", 2),
        ("input.parts.1.name", "in_a"),
        ("input.parts.0.shape", [7]),
        ("input.parts.0.quantiser", None),
        ("input.parts.0.parts", []),
        ("input.parts.0.element_bits", 24),
        ("input.shape", [9]),
        ("input.signed", False),
        ("input.quantiser", {}),
        ("output.parts.0.quantiser", {}),
    ],
)
def test_the_loader_is_strict_with_parts(path: str, value: object) -> None:
    fields = json.loads(to_json(interface_for(several(), several=True)))
    *parents, last = path.split(".")
    inner = fields
    for key in parents:
        inner = inner[int(key) if key.isdigit() else key]
    inner[last] = value
    with pytest.raises(BadInput):
        from_json(json.dumps(fields))
