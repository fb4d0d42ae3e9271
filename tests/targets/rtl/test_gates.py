"""A netlist as gates: what each entry means, the order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import ToolFailed
from fpgaflow.targets.rtl.gates import Gate, Kind, Netlist, flatten, ordered, program_of

CLOCK = 2  # the first net of a module below


def module(cells: dict[str, dict[str, Any]], outputs: list[Any], nets: dict[str, Any] | None = None) -> dict[str, Any]:
    """A module of the inputs clk (bit 2) and x (bits 3 to 8), and of the output y."""
    ports = {
        "clk": {"direction": "input", "bits": [CLOCK]},
        "x": {"direction": "input", "bits": list(range(3, 9))},
        "y": {"direction": "output", "bits": outputs},
    }
    full = {name: {"parameters": {}, **cell} for name, cell in cells.items()}
    return {"attributes": {}, "ports": ports, "cells": full, "netnames": nets or {}}


def cell(kind: str, /, parameters: dict[str, str] | None = None, **wires: list[Any]) -> dict[str, Any]:
    return {"type": kind, "parameters": parameters or {}, "connections": wires}


def worked_out(netlist: Netlist, values: dict[int, int]) -> dict[int, int]:
    """The values of all nets where the gates are tables."""
    values = {0: 0, 1: 1, **values}
    for level in ordered(netlist):
        for gate in level:
            assert gate.kind < Kind.MUL and len(gate.words) == (9 if gate.kind == 6 else gate.kind + 2)
            *inputs, output = gate.words[: gate.kind + 1]
            table = gate.words[gate.kind + 1] | (gate.words[-1] << 32 if gate.kind == 6 else 0)
            values[output] = table >> sum(values[net] << place for place, net in enumerate(inputs)) & 1
    return values


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_table_keeps_its_function_whatever_its_inputs_are(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 6))
    inputs = data.draw(st.lists(st.sampled_from(["0", "1", *range(3, 9)]), min_size=size, max_size=size))
    table = data.draw(st.integers(0, 2 ** (1 << size) - 1))
    lut = cell("$lut", {"LUT": f"{table:0{1 << size}b}"}, A=inputs, Y=[20])
    netlist = flatten({"top": module({"lut": lut}, [20])}, "top", "clk")
    x, y = netlist.ports
    bits = data.draw(st.lists(st.integers(0, 1), min_size=6, max_size=6))
    values = worked_out(netlist, dict(zip(x.nets, bits, strict=True)))
    index = sum((int(bit) if isinstance(bit, str) else bits[bit - 3]) << place for place, bit in enumerate(inputs))
    assert values[y.nets[0]] == table >> index & 1


def test_modules_are_joined_with_outputs_that_are_inputs_or_constants() -> None:
    inner = {
        "attributes": {},
        "ports": {
            "a": {"direction": "input", "bits": [2]},
            "same": {"direction": "output", "bits": [2]},
            "one": {"direction": "output", "bits": ["1"]},
            "not": {"direction": "output", "bits": [3]},
        },
        "cells": {"n": cell("$_NOT_", A=[2], Y=[3])},
        "netnames": {},
    }
    wires = {"a": [3], "same": [20], "one": [21], "not": [22]}
    outer = module({"u": {"type": "inner", "connections": wires}}, [20, 21, 22])
    netlist = flatten({"inner": inner, "top": outer}, "top", "clk")
    x, y = netlist.ports
    for bit in (0, 1):
        values = worked_out(netlist, dict.fromkeys(x.nets, bit))
        assert [values[net] for net in y.nets] == [bit, 1, 1 - bit]


def test_registers_begin_as_they_are_told() -> None:
    flop = cell("$_DFF_P_", C=[CLOCK], D=[3], Q=[20])
    still = cell("$_DFF_P_", C=["0"], D=[3], Q=[21])
    nets = {"q": {"bits": [20, 21], "attributes": {"init": "10"}}}
    netlist = flatten({"top": module({"f": flop, "s": still}, [20, 21], nets)}, "top", "clk")
    first, second = (gate.words for gate in netlist.edge)
    assert netlist.start == {second[1]} and first[0] == netlist.ports[0].nets[0] and second[0] == second[1]
    assert len(program_of(netlist)) % 4 == 0


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ({"u": cell("MYSTERY", A=[3], Y=[20])}, "cell 'u' is a MYSTERY, of which there is no model"),
        ({"u": cell("$_DFF_P_", C=[4], D=[3], Q=[20])}, "cell 'u' does not follow the rising edge of the one clock"),
        ({"u": cell("$_AND_", A=[3], B=[19], Y=[20])}, "is read and nothing drives it"),
        ({"u": cell("$_NOT_", A=[3], Y=[20]), "v": cell("$_NOT_", A=[4], Y=[20])}, "has several drivers"),
        ({"u": cell("$_AND_", A=[3], B=[20], Y=[20])}, "2 gates are in a loop"),
    ],
    ids=["unknown", "clock", "undriven", "driven-twice", "loop"],
)
def test_what_cannot_be_worked_through_is_refused(cells: dict[str, Any], found: str) -> None:
    with pytest.raises(ToolFailed, match=found):
        ordered(flatten({"top": module(cells, [20])}, "top", "clk"))


def test_gates_of_a_level_read_what_earlier_ones_drive() -> None:
    chain = {f"n{k}": cell("$_NOT_", A=[3 if k == 0 else 20 + k - 1], Y=[20 + k]) for k in reversed(range(5))}
    levels = ordered(flatten({"top": module(chain, [24])}, "top", "clk"))
    assert [len(level) for level in levels] == [1] * 6 and all(isinstance(gate, Gate) for gate in levels[0])
