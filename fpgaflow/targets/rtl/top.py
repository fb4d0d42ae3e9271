"""`fpgaflow_top`, the contract of docs/design.md: layers between two AXI4-Streams, `aresetn` low and synchronous.

A tensor with several readers is forked, and each branch begins with a FIFO; `depths.py` says how deep it has to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Op
from fpgaflow.targets.interface import Interface
from fpgaflow.targets.rtl.layers import Layer, ports_of
from fpgaflow.targets.rtl.rom import count_up
from fpgaflow.targets.rtl.stream import Beat, Fifo, Fork, Slots, Stage, repack

TOP = "fpgaflow_top"
_Stream = Any  # an interface with payload, valid and ready


class Top(wiring.Component):
    """The layers by op name, instances of `modules`; ops without a layer pass their input on.

    `depths` are those of the branches of each tensor that has several readers.
    """

    def __init__(
        self,
        graph: Graph,
        interface: Interface,
        layers: Mapping[str, Layer],
        modules: Mapping[str, str],
        depths: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.graph, self.interface, self.layers, self.modules = graph, interface, layers, modules
        self.depths = depths
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axis_tdata": In(interface.input.tdata_bits),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(interface.output.tdata_bits),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain("sync")
        domain.clk = self.aclk
        m.d.comb += ResetSignal().eq(~self.aresetn)
        source, result = self.graph.inputs[0].tensor, self.graph.outputs[0].tensor
        entry = self._entry(m)
        waiting = {source: self._branches(m, source, entry, self._beat(entry, source))}
        for op in self.graph.ops:
            if op.name not in self.layers:
                waiting[op.output] = waiting[op.inputs[0]]
                continue
            given = self._instance(m, op, [waiting[name].pop(0) for name in op.inputs])
            beat = self.layers[op.name].result
            waiting[op.output] = self._branches(m, op.output, given, beat)
        self._exit(m, waiting[result].pop(0))
        return m

    def _branches(self, m: Module, tensor: str, stream: _Stream, beat: Beat) -> list[_Stream]:
        """One stream for each reader of a tensor, in the order in which they read."""
        if tensor not in self.depths:
            return [stream]
        count = len(self.depths[tensor])
        name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in tensor)
        m.submodules[f"fork_{name}"] = fork = Fork(beat, count)
        link(m, stream, fork.i)
        branches = []
        for number, depth in enumerate(self.depths[tensor]):
            fifo = Fifo(beat, depth)
            m.submodules[f"branch_{name}_{number}"] = fifo
            link(m, getattr(fork, f"o_{number}"), fifo.i)
            branches.append(fifo.o)
        return branches

    def _beat(self, stream: _Stream, tensor: str) -> Beat:
        bits = self.graph.type_of(tensor).width
        return Beat(len(stream.payload) // bits, bits)

    def _instance(self, m: Module, op: Op, inputs: list[_Stream]) -> _Stream:
        """The layer of an op with its inputs; gives its output."""
        layer = self.layers[op.name]
        out = layer.result.signature.create(path=(self.modules[op.name],))
        ports: dict[str, Any] = {
            "i_clk": ClockSignal(),
            "i_rst": ResetSignal(),
            "o_o__payload": out.payload,
            "o_o__valid": out.valid,
            "i_o__ready": out.ready,
        }
        for name, stream in zip(ports_of(layer), inputs, strict=True):
            ports |= {
                f"i_{name}__payload": stream.payload,
                f"i_{name}__valid": stream.valid,
                f"o_{name}__ready": stream.ready,
            }
        m.submodules[f"u_{self.modules[op.name]}"] = Instance(self.modules[op.name], **ports)
        return out

    def _entry(self, m: Module) -> _Stream:
        """From AXI4-Stream beats to those of the input tensor. TLAST tells nothing new: samples have a fixed size."""
        port = self.interface.input
        slots = Beat(port.elements_per_beat, port.element_bits)
        m.submodules.entry = cut = Slots(slots, port.width, signed=port.signed)
        m.submodules.entry_fifo = fifo = Fifo(cut.result)
        m.d.comb += [
            cut.i.payload.eq(self.s_axis_tdata[: slots.width]),
            cut.i.valid.eq(self.s_axis_tvalid & self.aresetn),
            self.s_axis_tready.eq(cut.i.ready & self.aresetn),
        ]
        link(m, cut.o, fifo.i)
        return fifo.o

    def _exit(self, m: Module, stream: _Stream) -> None:
        """To AXI4-Stream beats, TLAST on the last one of a sample."""
        port = self.interface.output
        beat = self._beat(stream, self.graph.outputs[0].tensor)
        stages: list[Stage] = repack(beat, port.elements_per_beat, port.elements)
        stages.append(Slots(Beat(port.elements_per_beat, port.width), port.element_bits, signed=port.signed))
        for number, stage in enumerate(stages):
            m.submodules[f"exit_{number}"] = stage
            link(m, stream, stage.i)
            stream = stage.o
        _, last = count_up(m, "exit_beat", port.beats, self.m_axis_tvalid & self.m_axis_tready)
        m.d.comb += [
            self.m_axis_tdata.eq(stream.payload),
            self.m_axis_tvalid.eq(stream.valid & self.aresetn),
            self.m_axis_tlast.eq(last),
            stream.ready.eq(self.m_axis_tready),
        ]


def link(m: Module, source: _Stream, target: _Stream) -> None:
    """Joins two streams inside a module."""
    m.d.comb += [
        target.payload.eq(source.payload),
        target.valid.eq(source.valid),
        source.ready.eq(target.ready),
    ]
