"""`fpgaflow_top`, the contract of docs/design.md: layers between two AXI4-Streams, `aresetn` low and synchronous.

A tensor with several readers is forked, and each branch begins with a FIFO, as do several inputs; `depths.py` says how
deep they have to be.
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
from fpgaflow.targets.rtl.ports import Collect, Deal
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
        waiting = {
            tensor: self._branches(m, tensor, stream, self._beat(stream, tensor))
            for tensor, stream in zip(self._inputs, self._entry(m), strict=True)
        }
        for op in self.graph.ops:
            if op.name not in self.layers:
                waiting[op.output] = waiting[op.inputs[0]]
                continue
            given = self._instance(m, op, [waiting[name].pop(0) for name in op.inputs])
            beat = self.layers[op.name].result
            waiting[op.output] = self._branches(m, op.output, given, beat)
        self._exit(m, [waiting[port.tensor].pop(0) for port in self.graph.outputs])
        return m

    @property
    def _inputs(self) -> list[str]:
        return [port.tensor for port in self.graph.inputs]

    def _branches(self, m: Module, tensor: str, stream: _Stream, beat: Beat) -> list[_Stream]:
        """One stream for each reader of a tensor, in the order in which they read."""
        if tensor not in self.depths:
            return [stream]
        name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in tensor)
        parts = [stream]
        if (count := len(self.depths[tensor])) > 1:
            m.submodules[f"fork_{name}"] = fork = Fork(beat, count)
            link(m, stream, fork.i)
            parts = [getattr(fork, f"o_{number}") for number in range(count)]
        branches = []
        for number, (part, depth) in enumerate(zip(parts, self.depths[tensor], strict=True)):
            fifo = Fifo(beat, depth)
            m.submodules[f"branch_{name}_{number}"] = fifo
            link(m, part, fifo.i)
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

    def _entry(self, m: Module) -> list[_Stream]:
        """From AXI4-Stream beats to those of each input. TLAST tells nothing new: samples have a fixed size."""
        port = self.interface.input
        slots = Beat(port.elements_per_beat, port.element_bits)
        entry = slots.signature.create(path=("entry",))
        m.d.comb += [
            entry.payload.eq(self.s_axis_tdata[: slots.width]),
            entry.valid.eq(self.s_axis_tvalid & self.aresetn),
            self.s_axis_tready.eq(entry.ready & self.aresetn),
        ]
        dealt = [entry]
        if port.parts:
            m.submodules.deal = deal = Deal(slots, port.first_beats, port.beats)
            link(m, entry, deal.i)
            dealt = [getattr(deal, f"o_{number}") for number in range(len(port.parts))]
        read = {name for op in self.graph.ops for name in op.inputs} | {out.tensor for out in self.graph.outputs}
        given = []
        for number, (stream, part, tensor) in enumerate(zip(dealt, port.tensors, self._inputs, strict=True)):
            m.submodules[f"entry_{number}"] = cut = Slots(slots, part.width, signed=part.signed)
            m.submodules[f"entry_{number}_fifo"] = fifo = Fifo(cut.result)
            link(m, stream, cut.i)
            link(m, cut.o, fifo.i)
            if port.parts and tensor not in read:
                m.d.comb += fifo.o.ready.eq(1)
            given.append(fifo.o)
        return given

    def _exit(self, m: Module, streams: list[_Stream]) -> None:
        """To AXI4-Stream beats, TLAST on the last one of a sample."""
        port = self.interface.output
        collect = Collect(Beat(port.elements_per_beat, port.element_bits), port.first_beats, port.beats)
        m.submodules.collect = collect
        for number, (stream, part) in enumerate(zip(streams, port.tensors, strict=True)):
            lanes, left = part.elements_per_beat, stream
            beat = Beat(len(stream.payload) // part.width, part.width)
            stages: list[Stage] = repack(beat, lanes, part.elements)
            stages.append(Slots(Beat(lanes, part.width), part.element_bits, signed=part.signed))
            for place, stage in enumerate(stages):
                m.submodules[f"exit_{number}_{place}"] = stage
                link(m, left, stage.i)
                left = stage.o
            link(m, left, getattr(collect, f"i_{number}"))
        m.d.comb += [
            self.m_axis_tdata.eq(collect.o.payload),
            self.m_axis_tvalid.eq(collect.o.valid & self.aresetn),
            self.m_axis_tlast.eq(collect.place == port.beats - 1),
            collect.o.ready.eq(self.m_axis_tready),
        ]


def link(m: Module, source: _Stream, target: _Stream) -> None:
    """Joins two streams inside a module."""
    m.d.comb += [
        target.payload.eq(source.payload),
        target.valid.eq(source.valid),
        source.ready.eq(target.ready),
    ]
