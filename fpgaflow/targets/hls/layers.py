"""A graph as hls4ml's layer dictionaries, with every type spelled out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.index_map import IndexMap, places
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Op, Pool, Relu
from fpgaflow.ir.ops_merge import Elementwise, Embed, MatMul
from fpgaflow.ir.ops_table import Lookup, Piecewise
from fpgaflow.targets.hls.extension_rows import Layer, index_map, spell
from fpgaflow.targets.hls.layer_rows import MAX_CLONES, ROWS, padding_apart, reader_count
from fpgaflow.targets.hls.normal import normal_form


class IOType(Enum):
    """How hls4ml's layers pass tensors on."""

    PARALLEL = "io_parallel"  # as arrays of registers
    STREAM = "io_stream"  # as FIFOs, one pixel a beat


class Strategy(Enum):
    """How hls4ml builds multiplications."""

    LATENCY = "latency"  # unrolled
    RESOURCE = "resource"  # folded over weights in memory; depthwise convolutions, which it lacks folded, unrolled


@dataclass(frozen=True)
class HlsOptions:
    """What the user chooses of an hls4ml project.

    Attributes:
        reuse_factor: how many multiplications share a multiplier, in ops without an entry in `reuse_factors`.
        reuse_factors: the same for single dense and conv ops, by op name.
        strategies: instead of `strategy`, for single dense and conv ops, by op name.
        clock_period_ns: the clock period that Vitis HLS schedules for.

    Raises:
        BadInput: a value that hls4ml's scripts or C++ cannot hold.
    """

    part: str
    io_type: IOType = IOType.PARALLEL
    strategy: Strategy = Strategy.LATENCY
    reuse_factor: int = 1
    reuse_factors: Mapping[str, int] = field(default_factory=dict)
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    clock_period_ns: float = 5.0
    project_name: str = "fpgaflow"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z]\w*", self.project_name, re.ASCII):
            raise BadInput("project name", f"'{self.project_name}' is no C identifier", "Use letters, digits and _")
        if not re.fullmatch(r"[\w.-]+", self.part, re.ASCII):
            raise BadInput("part", f"'{self.part}' is no name of a part", "Give one like xc7z020clg400-1")
        if not self.clock_period_ns > 0:
            raise BadInput("clock period", f"{self.clock_period_ns} ns", "Give a positive period")
        for factor in (self.reuse_factor, *self.reuse_factors.values()):
            if factor < 1:
                raise BadInput("reuse factor", f"{factor} is less than 1", "Give 1 for no sharing of multipliers")

    def reuse(self, op: Op) -> int:
        return self.reuse_factors.get(op.name, self.reuse_factor)

    def strategy_of(self, op: Op) -> Strategy:
        return self.strategies.get(op.name, self.strategy)


@dataclass(frozen=True)
class LayerList:
    """What `ModelGraph.from_layer_list` takes; `graph` is the normal form that the layers stand for."""

    graph: Graph
    stream: bool
    layers: list[Layer]
    config: dict[str, Any]  # the value of HLSConfig
    inputs: list[str]
    outputs: list[str]


def layer_list(graph: Graph, options: HlsOptions) -> LayerList:
    """The layers of a graph that `check` found no problem in: a Cast becomes the result type of the layer before it,
    where nothing else reads that layer."""
    normal = normal_form(graph, stream=options.io_type is IOType.STREAM)
    made = _Layers(normal, options)
    inputs = []
    for number, port in enumerate(normal.inputs, start=1):
        tensor = normal.tensors[port.tensor]
        layer = {"class_name": "InputLayer", "input_shape": list(tensor.shape)}
        inputs.append(made.add(f"input_{number}", layer, {"result": spell(tensor.type)}))
        made.serve(port.tensor, inputs[-1])

    fused = _fused_casts(normal)
    absorbed = {cast.output for cast in fused.values()}
    for op in normal.ops:
        if op.output not in absorbed:
            made.add_op(op, op if isinstance(op, Cast) else fused.get(op.output))

    model = {
        "Precision": "ap_fixed<16,6>",  # hls4ml asks for one; every type that counts is spelled by layer
        "ReuseFactor": options.reuse_factor,
        "Strategy": options.strategy.value,
    }
    outputs: list[str] = []
    for result in normal.outputs:
        name = next(made.at[result.tensor])
        # hls4ml's top function takes each of its arguments for one thing.
        outputs.append(made.copy(result.tensor, name) if name in (*inputs, *outputs) else name)
    return LayerList(normal, made.stream, made.layers, {"Model": model, "LayerName": made.config}, inputs, outputs)


class _Layers:
    """The layers so far; `at` gives each tensor's readers, one after the other, the layer that they take it from."""

    def __init__(self, graph: Graph, options: HlsOptions) -> None:
        self.graph, self.options = graph, options
        self.stream = options.io_type is IOType.STREAM
        self.names = _Names()
        self.layers: list[Layer] = []
        self.config: dict[str, Any] = {}
        self.at: dict[str, Iterator[str]] = {}

    def add(self, wanted: str, layer: Layer, precision: dict[str, str], **config: Any) -> str:
        name = self.names.take(wanted)
        self.layers.append({"name": name, **layer})
        self.config[name] = {"Precision": precision, **config}
        return name

    def add_op(self, op: Op, cast: Cast | None) -> None:
        """The layer of `op`, with the type and modes of `cast`."""
        output = cast.output if cast else op.output
        sources = [next(self.at[tensor]) for tensor in op.inputs]
        layer, precision = ROWS[type(op)](op, self.graph, self.stream)
        if isinstance(op, Conv) and self.stream and any(map(any, op.padding)):
            # hls4ml would insert this layer itself, but before the wrong reader where a 1-D input has several.
            padding, layer = padding_apart(layer)
            source_type = {"result": spell(self.graph.type_of(op.inputs[0]))}
            sources = [self.add(f"{op.name}_padding", {"inputs": sources, **padding}, source_type)]
        modes = (cast.rounding, cast.overflow) if cast else ()
        precision = {"result": spell(self.graph.type_of(output), *modes), **precision}
        unrolled = isinstance(op, Conv) and op.groups > 1  # vivado nnet_sepconv2d.h: "Resource ... not supported"
        strategy = Strategy.LATENCY if unrolled else self.options.strategy_of(op)
        config = {"ReuseFactor": self.options.reuse(op), "Strategy": strategy.value}
        self.serve(output, self.add(op.name, {"inputs": sources, **layer}, precision, **config))

    def serve(self, tensor: str, name: str) -> None:
        """Layer `name` makes `tensor`. A stream for more readers than hls4ml copies it for goes on through copies."""
        readers = reader_count(self.graph, tensor)
        served: list[str] = []
        while self.stream and readers > len(served) + MAX_CLONES:
            served += [name] * (MAX_CLONES - 1)
            name = self.copy(tensor, name)
        self.at[tensor] = iter([*served, *[name] * (readers - len(served))])

    def copy(self, tensor: str, name: str) -> str:
        """Another layer that makes `tensor`, from the layer `name`."""
        shape = self.graph.tensors[tensor].shape
        layer, precision = index_map(shape, places(shape), 0, self.stream)
        precision["result"] = spell(self.graph.type_of(tensor))
        return self.add(f"{name}_copy", {"inputs": [name], **layer}, precision)


# Their layers round and saturate into any result type.
_TYPED = (Dense, Conv, Pool, Add, Relu, Elementwise, IndexMap, Lookup, Embed, Piecewise, MatMul)


def _fused_casts(graph: Graph) -> dict[str, Cast]:
    """For each tensor whose producer takes over its only reader's cast: that Cast."""
    outputs = {port.tensor for port in graph.outputs}
    fused: dict[str, Cast] = {}
    for tensor, op in graph.producers.items():
        match graph.consumers[tensor]:
            case (Cast() as cast,) if isinstance(op, _TYPED) and tensor not in outputs:
                fused[tensor] = cast
    return fused


class _Names:
    """Layer names that are C identifiers, distinct in any case, and none that hls4ml makes or reserves itself."""

    _RESERVED = re.compile(r"$|\d|input$|(repack|clone|broadcast|zp1d|zp2d)_")

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def take(self, wanted: str) -> str:
        clean = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        clean = re.sub(r"_cpy(\d+)$", r"_cpy_\1", clean)
        if self._RESERVED.match(clean.lower()):
            clean = f"op_{clean}"
        name, number = clean, 1
        while name.lower() in self.taken:
            number += 1
            name = f"{clean}_{number}"
        self.taken.add(name.lower())
        return name
