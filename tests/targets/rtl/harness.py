"""Running generated hardware in tests: components in Amaranth's simulator, whole designs as compiled Verilog."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from fpgaflow.ir.graph import Graph, Input, Output, constant_names
from fpgaflow.ir.types import Overflow, Rounding
from fpgaflow.samples import by_input, joined
from fpgaflow.sim.reference import ReferenceRunner
from fpgaflow.targets.rtl.folding import Fold, Folding, fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.layers import Layer, layer_of, ports_of
from fpgaflow.targets.rtl.rom import packed
from fpgaflow.targets.rtl.simulate import RtlSimulation, Run, Traffic
from fpgaflow.targets.rtl.stream import Beat, Stage
from tests.graphs import random_inputs
from tests.targets.hls.hls_graphs import integers

STALLED = (Traffic(2, 30, 40), Traffic(3, 0, 80), Traffic(4, 80, 0), Traffic(5, 20, 20, reset_sample=1))


def as_beats(elements: Sequence[int], beat: Beat) -> list[int]:
    """Elements in order as payloads; the last one is filled up with zeros."""
    lanes = beat.lanes
    return [packed(elements[at : at + lanes], beat.bits) for at in range(0, len(elements), lanes)]


def elements_of(payloads: Sequence[int], beat: Beat) -> list[int]:
    """Payloads as the bit patterns of their elements."""
    mask = (1 << beat.bits) - 1
    return [payload >> (lane * beat.bits) & mask for payload in payloads for lane in range(beat.lanes)]


def run_streams(
    component: Elaboratable,
    inputs: Sequence[tuple[object, Sequence[int]]],
    outputs: Sequence[tuple[object, int]],
    seed: int,
    stall: float,
) -> tuple[list[list[int]], list[list[int]]]:
    """Feeds payloads to input streams and takes as many from output streams as asked for, each side idling at random.

    Returns:
        For each output its payloads, and the cycles in which they came.
    """
    random = np.random.default_rng(seed)
    got: list[list[int]] = [[] for _ in outputs]
    when: list[list[int]] = [[] for _ in outputs]
    cycle, most = 0, 1000 + 200 * (sum(len(p) for _, p in inputs) + sum(c for _, c in outputs))

    def source(stream, payloads):
        async def bench(ctx):
            for payload in payloads:
                while random.random() < stall:
                    await ctx.tick()
                ctx.set(stream.payload, payload)
                ctx.set(stream.valid, 1)
                taken = False
                while not taken:
                    assert cycle < most, "no more input is taken"
                    _, _, taken = await ctx.tick().sample(stream.ready)
                ctx.set(stream.valid, 0)

        return bench

    def sink(stream, number, count):
        async def bench(ctx):
            held = None
            while len(got[number]) < count:
                assert cycle < most, "no more output"
                ready = random.random() >= stall
                ctx.set(stream.ready, int(ready))
                _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
                assert held is None or (valid and payload == held), "a waiting beat changed"
                held = payload if valid and not ready else None
                if valid and ready:
                    got[number].append(int(payload))
                    when[number].append(cycle)
            ctx.set(stream.ready, 0)

        return bench

    async def clock(ctx):
        nonlocal cycle
        async for _ in ctx.tick():
            cycle += 1

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_process(clock)
    for stream, payloads in inputs:
        simulator.add_testbench(source(stream, payloads))
    for number, (stream, count) in enumerate(outputs):
        simulator.add_testbench(sink(stream, number, count))
    simulator.run()
    return got, when


def run_stage(stage: Stage, payloads: Sequence[int], count: int, seed: int = 0, stall: float = 0.3) -> list[int]:
    return run_streams(stage, [(stage.i, payloads)], [(stage.o, count)], seed, stall)[0][0]


def assert_layer(
    graph: Graph, fold: Fold, lanes: Sequence[int] = (1,), interval: int = 1, samples: int = 3, seed: int = 0
) -> Layer:
    """The layer of a graph's only op gives its kernel's integers; its inputs come in beats of so many lanes."""
    (op,) = graph.ops
    given = random_inputs(graph, seed, samples)
    beats = [Beat(count, graph.type_of(name).width) for name, count in zip(op.inputs, lanes, strict=False)]
    beats += [Beat(1, graph.type_of(name).width) for name in op.inputs[len(beats) :]]
    layer = layer_of(op, graph, fold, beats, interval)
    inputs = [
        (getattr(layer, port), [p for sample in given[name] for p in as_beats(sample.ravel().tolist(), beat)])
        for port, name, beat in zip(ports_of(layer), op.inputs, beats, strict=True)
    ]
    total, result = prod(graph.tensors[op.output].shape), graph.type_of(op.output)
    assert total % layer.result.lanes == 0
    ((found,), _) = run_streams(layer, inputs, [(layer.o, samples * total // layer.result.lanes)], seed, 0.3)
    want = [int(value) & ((1 << result.width) - 1) for value in _wanted(graph, given).ravel()]
    assert elements_of(found, layer.result) == want
    return layer


def assert_op(graph: Graph, interval: int, samples: int = 3, seed: int = 0) -> Fold:
    """As `assert_layer`, folded for an interval."""
    fold = fold_for(graph, interval).folds[graph.ops[0].name]
    assert_layer(graph, fold, interval=interval, samples=samples, seed=seed)
    return fold


def single_ops(graph: Graph) -> Iterator[Graph]:
    """A graph of each op alone, its inputs of the same types as in the whole."""
    for op in graph.ops:
        names = tuple(dict.fromkeys(op.inputs))
        types = [(name, graph.type_of(name)) for name in names]
        one = Fraction(1)
        inputs = [Input(n, n, one, Fraction(0), Rounding.TRN, Overflow.WRAP, t.low, t.high) for n, t in types]
        tensors = {name: graph.tensors[name] for name in (*names, op.output)}
        constants = {name: graph.constants[name] for name in constant_names(op)}
        output = Output(op.output, "y", (one,), (Fraction(0),), 0)
        yield Graph(op.name, tuple(inputs), (output,), (op,), tensors, constants)


def _wanted(graph: Graph, given: Mapping[str, np.ndarray]) -> np.ndarray:
    result = graph.outputs[0].tensor
    return ReferenceRunner(graph)(given, [result])[result]


def inputs_of(graph: Graph, samples: int, seed: int = 0) -> np.ndarray:
    """Random integers of the input, or of several ones, joined."""
    random = np.random.default_rng(seed)
    tensors = {port.name: graph.tensors[port.tensor] for port in graph.inputs}
    return joined({name: integers(random, (samples, *t.shape), t.type) for name, t in tensors.items()})


def expected(graph: Graph, codes: np.ndarray) -> np.ndarray:
    """The output's integers, or of several ones, joined."""
    given = {port.tensor: by_input(graph, codes)[port.name] for port in graph.inputs}
    made = ReferenceRunner(graph)(given, [port.tensor for port in graph.outputs])
    return joined({port.name: made[port.tensor].astype(np.int64) for port in graph.outputs})


@lru_cache(maxsize=1)
def _compiled_in() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fpgaflow-rtl-tests-")


def compiled(graph: Graph, folding: Folding, name: str, samples: int = 200) -> RtlSimulation:
    design, cycles = generate(graph, folding), 5 * samples * folding.interval
    return RtlSimulation(design.verilog(), design.interface, Path(_compiled_in().name) / name, cycles)


def assert_exact(graph: Graph, interval: int, name: str, samples: int = 12) -> Run:
    """The design gives the simulator's bits, however its streams stall and across a reset; the run without stalls."""
    codes, folding = inputs_of(graph, samples), fold_for(graph, interval)
    simulation, want = compiled(graph, folding, name, samples), expected(graph, inputs_of(graph, samples))
    most = 50 * (samples + 5) * folding.interval + 20_000
    for traffic in (*STALLED, Traffic()):
        run = simulation.run(codes, traffic, most)
        assert (run.codes == want).all(), traffic
    return run
