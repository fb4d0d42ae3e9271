"""A graph as hardware: one Verilog module for each op, joined by streams in the top `fpgaflow_top`.

`check_rtl` says what cannot be carried, before any work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fpgaflow.boards import Board
from fpgaflow.boards import Interface as BoardInterface
from fpgaflow.errors import BadInput, Problem, UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Conv, Dense
from fpgaflow.passes.rewrite import without_dead
from fpgaflow.targets.interface import Interface, interface_for, to_json
from fpgaflow.targets.rtl.depths import branch_depths
from fpgaflow.targets.rtl.folding import Folding
from fpgaflow.targets.rtl.layers import CARRIED, Layer, is_free, layer_of, widest_beat
from fpgaflow.targets.rtl.limits import beat_problems, beyond
from fpgaflow.targets.rtl.stream import Beat
from fpgaflow.targets.rtl.top import TOP, Top
from fpgaflow.targets.rtl.unrolled.choice import unrolled_groups
from fpgaflow.targets.rtl.unrolled.layers import unrolled_layer
from fpgaflow.targets.rtl.verilog import rtlil_of, to_verilog


@dataclass(frozen=True)
class Design:
    """`layers` by op name in topological order; `modules` are their Verilog module names.

    `depths` are those, in beats, of the FIFOs of the branches of each tensor that has several readers.
    """

    graph: Graph
    interface: Interface
    folding: Folding
    layers: Mapping[str, Layer]
    modules: Mapping[str, str]
    depths: Mapping[str, tuple[int, ...]]

    def verilog(self) -> dict[str, str]:
        """File name to content: one file for each layer, and the top."""
        parts = {self.modules[name]: layer for name, layer in self.layers.items()}
        texts = {name: rtlil_of(layer, name) for name, layer in parts.items()}
        top = Top(self.graph, self.interface, self.layers, self.modules, self.depths)
        texts[TOP] = rtlil_of(top, TOP)
        return {f"{name}.v": text for name, text in to_verilog(texts).items()}

    def files(self) -> dict[str, str]:
        """The Verilog and `interface.json`."""
        return {**self.verilog(), "interface.json": to_json(self.interface)}


def check_rtl(graph: Graph, board: Board) -> list[Problem]:
    """Every op and port that the generator cannot carry, and a board without AXI4-Stream; empty where all is well."""
    problems = _problems(graph)
    if board.interface is not BoardInterface.AXI_STREAM_DMA and not board.toolchain.is_open:
        found = f"samples reach it by {board.interface}, and the RTL top has AXI4-Stream alone"
        problems.append(Problem(f"board '{board.name}'", found, "Choose one with axi-stream-dma"))
    return problems


def _problems(graph: Graph) -> list[Problem]:
    fix = "Build it with --flow hls, or leave it out of the hardware"
    problems = [
        Problem(f"{type(op).__name__} '{op.name}' (node '{op.node}')", "no RTL component computes this op", fix)
        for op in graph.ops
        if type(op) not in CARRIED
    ]
    problems += [problem for op in graph.ops for problem in beyond(op, graph)]
    try:
        interface_for(graph, several=True)
    except BadInput as error:
        problems.append(error.problem)
    if [port.tensor for port in graph.outputs] == [port.tensor for port in graph.inputs]:
        problems.append(
            Problem(f"model '{graph.name}'", "gives its input back unchanged", "Leave it out of the hardware")
        )
    empty = [tensor for tensor in graph.tensors.values() if not tensor.shape]
    problems += [Problem(f"tensor '{t.name}'", "has no axes", "Give it one of size 1") for t in empty]
    return problems


def generate(graph: Graph, folding: Folding, tdata_bits: int | None = None) -> Design:
    """The hardware of a graph; `tdata_bits` is the width of its two streams, as `interface_for` takes it.

    Raises:
        UnsupportedModel: an op has no component, or is too large, or a port does not fit a stream.
    """
    if problems := _problems(graph):
        raise UnsupportedModel(problems)
    graph = without_dead(graph)
    interface = interface_for(graph, tdata_bits, several=True)
    sources = zip(graph.inputs, interface.input.tensors, strict=True)
    given = {port.tensor: Beat(stream.elements_per_beat, stream.width) for port, stream in sources}
    beats = dict(given)
    layers: dict[str, Layer] = {}
    groups = unrolled_groups(graph, folding.folds)
    absorbed = {op.name for group in groups.values() for op in group}
    for op in graph.ops:
        arriving = [beats[name] for name in op.inputs]
        if is_free(op, graph) or op.name in absorbed:
            beats[op.output] = arriving[0]
        else:
            fold = folding.folds[op.name]
            if isinstance(op, Dense | Conv) and op.name in groups:
                layer: Layer = unrolled_layer(op, groups[op.name], graph, fold, arriving[0])
            else:
                layer = layer_of(op, graph, fold, arriving, folding.interval)
            layers[op.name], beats[op.output] = layer, layer.result
    if problems := [problem for name, layer in layers.items() for problem in beat_problems(name, widest_beat(layer))]:
        raise UnsupportedModel(problems)
    depths = branch_depths(graph, layers, given)
    return Design(graph, interface, folding, layers, _module_names(list(layers)), depths)


def _module_names(names: list[str]) -> dict[str, str]:
    """A Verilog identifier for each op, its own name where that is possible."""
    found: dict[str, str] = {}
    for name in names:
        plain = "layer_" + re.sub(r"\W", "_", name, flags=re.ASCII).lower()
        taken = set(found.values())
        found[name] = next(c for c in (plain, *(f"{plain}_{n}" for n in range(2, len(names) + 2))) if c not in taken)
    return found
