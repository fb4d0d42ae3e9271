"""Running generated hardware in tests: components in Amaranth's simulator, whole designs as compiled Verilog."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from fpgaflow.ir.graph import Graph
from fpgaflow.sim.reference import ReferenceRunner
from fpgaflow.targets.rtl.folding import Folding, fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.rom import packed
from fpgaflow.targets.rtl.simulate import RtlSimulation, Run, Traffic
from fpgaflow.targets.rtl.stream import Beat, Stage
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
                await ctx.tick().until(stream.ready)
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
        simulator.add_testbench(source(stream, payloads), background=True)
    for number, (stream, count) in enumerate(outputs):
        simulator.add_testbench(sink(stream, number, count))
    simulator.run()
    return got, when


def run_stage(stage: Stage, payloads: Sequence[int], count: int, seed: int = 0, stall: float = 0.3) -> list[int]:
    return run_streams(stage, [(stage.i, payloads)], [(stage.o, count)], seed, stall)[0][0]


def inputs_of(graph: Graph, samples: int, seed: int = 0) -> np.ndarray:
    port = graph.inputs[0]
    shape = (samples, *graph.tensors[port.tensor].shape)
    return integers(np.random.default_rng(seed), shape, graph.type_of(port.tensor))


def expected(graph: Graph, codes: np.ndarray) -> np.ndarray:
    result = graph.outputs[0].tensor
    return ReferenceRunner(graph)({graph.inputs[0].tensor: codes}, [result])[result]


@lru_cache(maxsize=1)
def _compiled_in() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fpgaflow-rtl-tests-")


def compiled(graph: Graph, folding: Folding, name: str) -> RtlSimulation:
    design = generate(graph, folding)
    return RtlSimulation(design.verilog(), design.interface, Path(_compiled_in().name) / name)


def assert_exact(graph: Graph, interval: int, name: str, samples: int = 12) -> Run:
    """The design gives the simulator's bits, however its streams stall and across a reset; the run without stalls."""
    codes, folding = inputs_of(graph, samples), fold_for(graph, interval)
    simulation, want = compiled(graph, folding, name), expected(graph, inputs_of(graph, samples))
    most = 50 * (samples + 5) * folding.interval + 20_000
    for traffic in (*STALLED, Traffic()):
        run = simulation.run(codes, traffic, most)
        assert (run.codes == want).all(), traffic
    return run
