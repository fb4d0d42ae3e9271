"""A netlist as a list of gates, which one small program works through, whatever the netlist (`gates.cpp`).

As C++ of its own, which is what becomes of Verilog, a netlist of 5,000 LUTs takes g++ minutes. Yosys makes tables,
registers, products and memories of the cells' models, module by module; here the modules are joined, and the gates put
in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from fpgaflow.errors import ToolFailed

# Yosys commands from cells whose models are there to what `flatten` takes.
TO_GATES = (
    "proc",
    "opt_expr",
    "opt_clean",
    "memory_collect",
    "opt_clean",
    "dfflegalize -cell $_DFF_P_ 01",
    "chtype -set fpgaflow_product t:$mul",
    "techmap -D NOLUT",
    "chtype -set $mul t:fpgaflow_product",
    "opt_expr",
    "opt_clean",
)
PROGRAM = "gates.bin"  # what `program_of` gives, where the design of `design_of` looks for it
_ZERO, _ONE = 0, 1  # nets

# Of Yosys' gates: inputs, the least significant first, and the table.
_TABLES = {
    "$_BUF_": ("A", 0b10),
    "$_NOT_": ("A", 0b01),
    "$_AND_": ("AB", 0b1000),
    "$_NAND_": ("AB", 0b0111),
    "$_OR_": ("AB", 0b1110),
    "$_NOR_": ("AB", 0b0001),
    "$_XOR_": ("AB", 0b0110),
    "$_XNOR_": ("AB", 0b1001),
    "$_ANDNOT_": ("AB", 0b0010),
    "$_ORNOT_": ("AB", 0b1011),
    "$_MUX_": ("ABS", 0b11001010),
}
_IGNORED = {"$scopeinfo", "$specify2", "$specify3", "$specrule"}
_Module = Mapping[str, Any]  # as Yosys' write_json gives it
_Nets = list[int]


class Kind(IntEnum):
    """Of an entry of the program; below MUL, a table of as many inputs."""

    END = 0
    MUL = 7
    READ = 8
    FLOP = 9
    WRITE = 10


@dataclass(frozen=True)
class Gate:
    """What follows from `reads`, in `drives`; `words` is its entry."""

    kind: int
    reads: Sequence[int]
    drives: Sequence[int]
    words: Sequence[int]


@dataclass(frozen=True)
class Port:
    name: str
    is_input: bool
    nets: Sequence[int]


@dataclass
class Netlist:
    """Nets are numbers from 2 on; 0 and 1 are the constants. `start` has the nets that begin with 1."""

    clock: int
    ports: list[Port]
    nets: int = 2
    gates: list[Gate] = field(default_factory=list)
    edge: list[Gate] = field(default_factory=list)
    memories: list[tuple[int, int, int, Sequence[int]]] = field(default_factory=list)  # words, first, bits, content
    start: set[int] = field(default_factory=set)

    def new(self, count: int) -> _Nets:
        self.nets += count
        return list(range(self.nets - count, self.nets))


def flatten(modules: Mapping[str, _Module], top: str, clock: str) -> Netlist:
    """The gates of `top` and of all that it holds, from what Yosys' write_json gives after TO_GATES.

    Raises:
        ToolFailed: a cell without a model, or a second clock.
    """
    netlist = Netlist(-1, [])
    known: dict[int, int] = {}
    for name, port in modules[top]["ports"].items():
        nets = netlist.new(len(port["bits"]))
        is_input = port["direction"] == "input"
        if is_input:
            known.update(zip(port["bits"], nets, strict=True))
        if name == clock:
            netlist.clock = nets[0]
        else:
            netlist.ports.append(Port(name, is_input, nets))
    _place(netlist, modules, top, known)
    for port in netlist.ports:
        if not port.is_input:
            for bit, net in zip(modules[top]["ports"][port.name]["bits"], port.nets, strict=True):
                _copy(netlist, _net(netlist, known, bit), net)
    return netlist


def _copy(netlist: Netlist, source: int, target: int) -> None:
    netlist.gates.append(Gate(1, (source,), (target,), (source, target, 0b10)))


def _net(netlist: Netlist, known: dict[int, int], bit: int | str) -> int:
    if isinstance(bit, str):
        return _ONE if bit == "1" else _ZERO  # undefined bits are 0
    if bit not in known:
        known[bit] = netlist.new(1)[0]
    return known[bit]


def _place(netlist: Netlist, modules: Mapping[str, _Module], name: str, known: dict[int, int]) -> None:
    """A module's cells, whose bits are the nets `known`; others get new ones there."""
    module = modules[name]
    for cell_name, cell in module["cells"].items():
        kind = cell["type"]
        wires = {port: [_net(netlist, known, bit) for bit in bits] for port, bits in cell["connections"].items()}
        if kind in _TABLES:
            inputs, table = _TABLES[kind]
            _table(netlist, [wires[port][0] for port in inputs], table, wires["Y"][0])
        elif kind == "$lut":
            _table(netlist, wires["A"], int(cell["parameters"]["LUT"], 2), wires["Y"][0])
        elif kind == "$_DFF_P_":
            (q,) = wires["Q"]
            source = wires["D"][0] if _is_clocked(netlist, wires["C"][0], cell_name) else q
            netlist.edge.append(Gate(Kind.FLOP, (), (), (source, q)))
        elif kind == "$mul":
            _product(netlist, wires, cell["parameters"])
        elif kind == "$mem_v2":
            _memory(netlist, wires, cell["parameters"], cell_name)
        elif kind in modules and not int(modules[kind]["attributes"].get("blackbox", "0"), 2):
            _place(netlist, modules, kind, _joined(netlist, modules[kind], wires))
        elif kind not in _IGNORED:
            raise ToolFailed("netlist", f"cell '{cell_name}' is a {kind}, of which there is no model", "Report it")
    for wire in module["netnames"].values():
        start = wire.get("attributes", {}).get("init")
        if start is not None:
            pairs = zip(wire["bits"], reversed(start), strict=False)
            netlist.start |= {_net(netlist, known, bit) for bit, value in pairs if value == "1" and bit in known}


def _joined(netlist: Netlist, module: _Module, wires: Mapping[str, _Nets]) -> dict[int, int]:
    """The nets of a module's own bits where it is a cell with such wires."""
    known: dict[int, int] = {}
    for wanted in ("input", "output"):
        for name, port in module["ports"].items():
            if port["direction"] != wanted:
                continue
            for bit, net in zip(port["bits"], wires.get(name, ()), strict=False):
                if isinstance(bit, int) and bit not in known:
                    known[bit] = net
                elif wanted == "output":
                    _copy(netlist, _net(netlist, known, bit), net)
    return known


def _table(netlist: Netlist, inputs: _Nets, table: int, output: int) -> None:
    """As few inputs as matter: constants, inputs that come twice and those that change nothing go."""
    place = 0
    inputs = list(inputs)
    while place < len(inputs):
        low, high = _cofactors(table, len(inputs), place)
        if inputs[place] == _ZERO or low == high:
            table = low
        elif inputs[place] == _ONE:
            table = high
        else:
            place += 1
            continue
        del inputs[place]
    words = [*(inputs or [_ZERO]), output, (table if inputs else table * 0b11) & 0xFFFFFFFF]
    if len(inputs) == 6:
        words.append(table >> 32)
    netlist.gates.append(Gate(max(1, len(inputs)), inputs, (output,), words))


def _cofactors(table: int, inputs: int, place: int) -> tuple[int, int]:
    """The tables without input `place`, where it is 0 and where it is 1."""
    found = [0, 0]
    for index in range(1 << inputs):
        less = (index >> (place + 1) << place) | (index & ((1 << place) - 1))
        found[index >> place & 1] |= (table >> index & 1) << less
    return found[0], found[1]


def _is_clocked(netlist: Netlist, clock: int, where: str) -> bool:
    """Whether a register follows the clock; else its own never rises."""
    if clock not in (netlist.clock, _ZERO, _ONE):
        raise ToolFailed("netlist", f"cell '{where}' does not follow the rising edge of the one clock", "Report it")
    return clock == netlist.clock


def _product(netlist: Netlist, wires: Mapping[str, _Nets], parameters: Mapping[str, str]) -> None:
    a, b, y = wires["A"], wires["B"], wires["Y"]
    is_signed = int(parameters["A_SIGNED"], 2)
    if max(len(a), len(b), len(y)) > 64 or is_signed != int(parameters["B_SIGNED"], 2):
        raise ToolFailed("netlist", "has a product of mixed signs or of more than 64 bits", "Report it")
    netlist.gates.append(Gate(Kind.MUL, (*a, *b), y, (is_signed, len(a), len(b), len(y), *a, *b, *y)))


def _memory(netlist: Netlist, wires: Mapping[str, _Nets], parameters: Mapping[str, str], where: str) -> None:
    names = ("SIZE", "OFFSET", "ABITS", "WIDTH", "RD_PORTS", "WR_PORTS")
    words, first, abits, width, reads, writes = (int(parameters[name], 2) for name in names)
    if int(parameters["RD_CLK_ENABLE"], 2) or int(parameters["RD_WIDE_CONTINUATION"], 2):
        raise ToolFailed("netlist", f"memory '{where}' reads at a clock or at several widths", "Report it")
    number, content = len(netlist.memories), parameters["INIT"][::-1].ljust(words * width, "0")
    netlist.memories.append((words, first, width, [int(bit == "1") for bit in content[: words * width]]))

    def port(name: str, index: int, bits: int) -> _Nets:
        return wires[name][index * bits : (index + 1) * bits]

    for index in range(reads):
        at, data = port("RD_ADDR", index, abits), port("RD_DATA", index, width)
        netlist.gates.append(Gate(Kind.READ, at, data, (number, abits, *at, *data)))
    for index in range(writes):
        enables = port("WR_EN", index, width)
        rises = parameters["WR_CLK_ENABLE"][-1 - index] == parameters["WR_CLK_POLARITY"][-1 - index] == "1"
        if not _is_clocked(netlist, wires["WR_CLK"][index] if rises else -1, where):
            continue
        at, data = port("WR_ADDR", index, abits), port("WR_DATA", index, width)
        netlist.edge.append(Gate(Kind.WRITE, (), (), (number, abits, *at, *enables, *data)))


def ordered(netlist: Netlist) -> list[list[Gate]]:
    """Gates by level: each reads what earlier levels drive, registers and inputs.

    Raises:
        ToolFailed: a loop, a net that nothing drives, or one that several do.
    """
    drivers: dict[int, int] = {}
    for index, gate in enumerate(netlist.gates):
        for net in gate.drives:
            if net in drivers:
                raise ToolFailed("netlist", f"net {net} has several drivers", "Report it")
            drivers[net] = index
    given = {_ZERO, _ONE, *(net for port in netlist.ports if port.is_input for net in port.nets)}
    given |= {gate.words[1] for gate in netlist.edge if gate.kind == Kind.FLOP}
    waits = [0] * len(netlist.gates)
    readers: dict[int, list[int]] = defaultdict(list)
    for index, gate in enumerate(netlist.gates):
        for net in set(gate.reads):
            if net in drivers:
                readers[drivers[net]].append(index)
                waits[index] += 1
            elif net not in given:
                raise ToolFailed("netlist", f"net {net} is read and nothing drives it", "Report it")
    level, levels, done = [index for index, left in enumerate(waits) if not left], [], 0
    while level:
        levels.append([netlist.gates[index] for index in level])
        done += len(level)
        following = []
        for index in level:
            for reader in readers[index]:
                waits[reader] -= 1
                if not waits[reader]:
                    following.append(reader)
        level = following
    if done < len(netlist.gates):
        raise ToolFailed("netlist", f"{len(netlist.gates) - done} gates are in a loop", "Report it")
    return levels


def program_of(netlist: Netlist) -> bytes:
    """The file that `gates.cpp` reads; it says what stands there."""
    start = np.zeros(netlist.nets, dtype="<u4")
    start[[_ONE, *netlist.start]] = 1
    parts: list[Sequence[int] | np.ndarray] = [[netlist.nets], start, [len(netlist.ports)]]
    parts += [[len(port.nets), *port.nets] for port in netlist.ports]
    parts.append([len(netlist.memories)])
    for words, first, width, content in netlist.memories:
        parts += [[words, first, width], content]
    gates = [word for level in ordered(netlist) for word in _runs(level)] + [Kind.END]
    # Memories take what registers give before these change.
    edge = _runs([gate for gate in netlist.edge if gate.kind == Kind.WRITE])
    edge += _runs([gate for gate in netlist.edge if gate.kind == Kind.FLOP])
    parts += [[len(gates)], gates, [*edge, Kind.END]]
    return np.concatenate([np.asarray(part, dtype="<u4") for part in parts]).tobytes()


def _runs(gates: Sequence[Gate]) -> list[int]:
    kinds: dict[int, list[Gate]] = defaultdict(list)
    for gate in gates:
        kinds[gate.kind].append(gate)
    return [
        word for kind in sorted(kinds) for word in (kind, len(kinds[kind]), *(w for g in kinds[kind] for w in g.words))
    ]


def design_of(netlist: Netlist, clock: str, top: str, runtime: str) -> str:
    """The C++ of bench.cpp's design: the ports under CXXRTL's names; `runtime` is `gates.cpp`."""
    clean = {port.name: "p_" + port.name.replace("_", "__") for port in netlist.ports}
    members = "".join(f"    cxxrtl::value<{len(port.nets)}> {clean[port.name]};\n" for port in netlist.ports)
    given = "".join(f" give({n}, {clean[p.name]});" for n, p in enumerate(netlist.ports) if p.is_input)
    taken = "".join(f" take({n}, {clean[p.name]});" for n, p in enumerate(netlist.ports) if not p.is_input)
    clock = "p_" + clock.replace("_", "__")
    return f"""#define PROGRAM "{PROGRAM}"
#include "{runtime}"

namespace cxxrtl_design {{
struct p_{top.replace("_", "__")} : Gates {{
    cxxrtl::value<1> {clock};
{members}
    void step() {{
        if (tick({clock}.get<bool>())) return;
       {given}
        settle();
       {taken}
    }}
}};
}}
"""
