"""The simulator's speed, side by side with its anchors in one run: ONNX Runtime on the float network of the same
topology, and hls4ml's compiled C simulation. Raw figures go to `benchmarks/results/`.

The contenders take turns, so that what else runs on the machine meets all of them; a ratio is that of two neighbours
in one round, and the median of the rounds is reported with its extremes. CPU time is that of all threads. Ready is
the time of a new process from a loaded graph, or from an hls4ml model, to the first prediction.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from float_net import best_run
from nets import NETS, Net
from results import cores, machine, write

from fpgaflow import Simulator
from fpgaflow.boards import load_board
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.layers import HlsOptions
from fpgaflow.targets.hls.project import make_project

Array = np.ndarray
Run = Callable[[Array], object]
CSIM_SAMPLES, REFERENCE_SAMPLES = 300, 64
TURN_SECONDS = 0.5
FAST, FLOAT, CSIM, REFERENCE = "fpgaflow fast", "ONNX Runtime, float", "hls4ml csim", "fpgaflow reference"


@dataclass(frozen=True)
class Turn:
    """One turn of one contender."""

    samples: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.samples / self.wall_s


@dataclass(frozen=True)
class Ratio:
    """Of samples per second, and of CPU time per sample (above 1 where the simulator takes less)."""

    median: float
    low: float
    high: float
    cpu: float


def cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def turn(run: Run, x: Array) -> Turn:
    wall, cpu = time.perf_counter(), cpu_seconds()
    run(x)
    return Turn(len(x), time.perf_counter() - wall, cpu_seconds() - cpu)


def sized(run: Run, x: Array) -> Array:
    """`x` repeated so that one turn takes long enough."""
    run(x)
    times = max(1, round(TURN_SECONDS / turn(run, x).wall_s))
    return np.tile(x, (min(times, 400), *[1] * (x.ndim - 1)))


def contest(contenders: dict[str, tuple[Run, Array]], rounds: int) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (run, x) in contenders.items():
            turns[name].append(turn(run, x))
    return turns


def ratio(ours: list[Turn], theirs: list[Turn]) -> Ratio:
    rates = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
    cpu = [(b.cpu_s / b.samples) / (a.cpu_s / a.samples) for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(rates), min(rates), max(rates), statistics.median(cpu))


def ready_seconds(net: Net) -> dict[str, float]:
    """From a graph, then from an hls4ml model, to the first prediction; the first includes imports."""
    times = {}
    for source, model in (("graph", net.graph), ("hls4ml", net.model)):
        started = time.perf_counter()
        simulator = Simulator(model)
        port = simulator.graph.inputs[0]
        simulator.predict(net.x[:1].reshape(1, *simulator.graph.tensors[port.tensor].shape))
        times[source] = time.perf_counter() - started
    return times


def ready(name: str, runs: int) -> dict[str, float]:
    """Medians over new processes."""
    command = [sys.executable, __file__, "--ready", name]
    found = [
        json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL).splitlines()[-1]) for _ in range(runs)
    ]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def measure(name: str, rounds: int, *, csim: bool) -> dict[str, object]:
    """Prints the table of one network, and gives its raw figures."""
    net = NETS[name]()
    fast, reference = Simulator(net.graph), Simulator(net.graph, "reference")
    if not np.array_equal(fast.predict(net.x[:REFERENCE_SAMPLES]), reference.predict(net.x[:REFERENCE_SAMPLES])):
        raise SystemExit(f"{name}: the engines differ")
    anchor, way = best_run(net.graph, cores())
    contenders = {FAST: (fast.predict, sized(fast.predict, net.x)), FLOAT: (anchor, sized(anchor, net.x))}
    contenders[REFERENCE] = (reference.predict, net.x[:REFERENCE_SAMPLES])
    with tempfile.TemporaryDirectory(prefix="fpgaflow-bench-") as folder:
        compile_s = None
        if csim:
            started = time.perf_counter()
            compiled = CSim(make_project(net.graph, HlsOptions(part=load_board("pynq-z2").part)), Path(folder))
            port = net.graph.inputs[0]
            codes = fast.input_integers(np.resize(net.x, (CSIM_SAMPLES, *net.x.shape[1:])))[port.name]
            contenders[CSIM] = (lambda x: compiled.predict_integers([x]), codes)
            compile_s = time.perf_counter() - started
        turns = contest(contenders, rounds)
    seconds = ready(name, 3)
    ratios = {other: ratio(turns[FAST], turns[other]) for other in turns if other != FAST}
    print(f"\n{net.title}; {FLOAT}: {way}")
    print(f"{'':22}{'samples/s':>12}{'x, median':>12}{'least':>9}{'most':>9}{'x, CPU':>9}")
    for other, played in turns.items():
        figures = ratios.get(other)
        line = f"{other:22}{statistics.median(t.rate for t in played):>12,.0f}"
        if figures is not None:
            line += f"{figures.median:>12,.2f}{figures.low:>9,.2f}{figures.high:>9,.2f}{figures.cpu:>9,.2f}"
        print(line)
    print(f"ready in {seconds['graph']:.2f} s from a graph, {seconds['hls4ml']:.2f} s from an hls4ml model", flush=True)
    return {
        "title": net.title,
        "float_way": way,
        "ratios": {other: asdict(figures) for other, figures in ratios.items()},
        "ready_s": seconds,
        "csim_compile_s": compile_s,
        "turns": {other: [asdict(each) for each in played] for other, played in turns.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--csim", nargs="*", choices=list(NETS), default=["lenet"], help="nets to compile with g++")
    parser.add_argument("--name", default="simulator", help="of the file with the raw figures")
    parser.add_argument("--ready", choices=list(NETS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ready is not None:
        print(json.dumps(ready_seconds(NETS[options.ready]())))
        return
    before = machine()
    print(f"{before['cpu']}, {cores()} cores, load {before['load'][0]:.1f}; {options.rounds} rounds (measured)")
    nets = {name: measure(name, options.rounds, csim=name in options.csim) for name in options.nets}
    print(f"\nraw figures: {write(options.name, {'load_before': before['load'], 'nets': nets})}")


if __name__ == "__main__":
    main()
