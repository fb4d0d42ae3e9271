"""Generated hardware, measured: unrolled perceptrons beside da4ml's through the same Yosys, and folded networks.

`unrolled` trains 16-64-32-32-5 perceptrons (the shape of hls4ml's jet tagging) on a generated task, unrolls them, and
has Yosys count what they take, with the whole top; `--da4ml PYTHON` names a Python that has da4ml (LGPL-3.0, no
dependency), which makes the same network its own way. `folded` takes networks through Verilog, simulation and
synthesis. Of both, the netlist is simulated too. Raw figures go to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from nets import NETS
from results import cores, machine, write
from sklearn.datasets import make_classification

from fpgaflow import Graph, Simulator, load
from fpgaflow.boards import Board, load_board
from fpgaflow.ir.ops import Cast, Dense, Linear
from fpgaflow.ir.types import Rounding
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import Design, generate
from fpgaflow.targets.rtl.netlist import NetlistSimulation
from fpgaflow.targets.rtl.netlist_work import NETLIST_SAMPLES
from fpgaflow.targets.rtl.simulate import RtlSimulation, Run, Traffic
from fpgaflow.targets.rtl.synth import Netlist, synthesise
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.targets.rtl.yosys import run_yosys
from fpgaflow.training.data import DataSpec
from fpgaflow.training.prune import Prune
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.trainer import train

Array = np.ndarray
DA4ML_SCRIPT = Path(__file__).with_name("da4ml_net.py")
BUS_BITS = 128  # a sample of 16 inputs of 8 bits in one beat
SYNTH = "synth_xilinx -family xc7 -flatten -nodsp -noiopad -noclkbuf"
FFS = ("FDRE", "FDSE", "FDCE", "FDPE")
SAMPLES = 200
WHOLE = "whole.il"  # the netlist of a flattened design


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What `work` gives, and the seconds it took: on the clock, and of all processors."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    made = work()
    return made, {"wall_s": time.perf_counter() - wall, "cpu_s": cpu_seconds() - cpu}


def cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def jets(bits: int, folder: Path, prune: Prune | None = None) -> tuple[Graph, Array]:
    """A trained perceptron 16-64-32-32-5 of so many bits, inputs of 8, and its test samples.

    Rounding is half up: da4ml knows no half to even.
    """
    x, y = make_classification(
        12_000, 16, n_informative=12, n_redundant=4, n_classes=5, n_clusters_per_class=3, class_sep=1.6, random_state=0
    )
    low, high = x.min(axis=0), x.max(axis=0)
    x = np.clip(np.rint((x - low) / (high - low) * 255), 0, 255).astype(np.float32) / 256
    np.savez(folder / "task.npz", x=x, y=y.astype(np.int64))
    data = DataSpec(kind="npz", path=str(folder / "task.npz"), test_samples=2000)
    recipe = Recipe(
        "mlp",
        dataset=data,
        weight_bits=bits,
        activation_bits=bits,
        prune=prune,
        float_learning_rate=0.01,
        batch_size=128,
    )
    result = train(recipe, folder / f"jets{bits}")
    print(f"trained, {bits} bits: accuracy {result.quantised_score:.2%} of {result.samples} samples", flush=True)
    graph = load(folder / f"jets{bits}" / "model.onnx")
    ops = tuple(replace(op, rounding=Rounding.RND) if isinstance(op, Cast) else op for op in graph.ops)
    return replace(graph, ops=ops), np.load(folder / f"jets{bits}" / "test.npz")["x"][:SAMPLES]


def counted(verilog: dict[str, str], top: str, folder: Path) -> dict[str, float]:
    """LUTs, shift registers (LUTs too) and flip-flops of the flattened design by Yosys."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in verilog.items():
        (folder / name).write_text(text)
    commands = [*(f"read_verilog {name}" for name in verilog), f"{SYNTH} -top {top}", "tee -q -o c.json stat -json"]
    commands += [f"select {top}", f"write_rtlil -selected {WHOLE}"]
    _, seconds = timed(lambda: run_yosys(commands, folder, "log"))
    cells = json.loads((folder / "c.json").read_text())["modules"][f"\\{top}"]["num_cells_by_type"]
    luts = sum(count for name, count in cells.items() if name.startswith("LUT") or name == "INV")
    shifts = sum(count for name, count in cells.items() if name.startswith("SRL"))
    return {"lut": luts + shifts, "srl": shifts, "ff": sum(cells.get(name, 0) for name in FFS), **seconds}


def simulated(graph: Graph, design: Design, verilog: dict[str, str], x: Array, folder: Path) -> dict[str, Any]:
    """Bits against the simulator's with stalls on both sides; cycles without."""
    simulator = Simulator(graph)
    (codes,), (wanted,) = simulator.input_integers(x).values(), simulator.predict_integers(x).values()
    cycles = 2 * design.folding.interval * len(x)
    compiled, seconds = timed(lambda: RtlSimulation(verilog, design.interface, folder, cycles))
    stalled, ran = timed(lambda: compiled.run(codes, Traffic(1, 20, 30)))
    steady = compiled.run(codes[:8])
    return {
        "different": int(np.count_nonzero(stalled.codes != wanted)),
        "values": int(wanted.size),
        "latency": steady.latency,
        "interval": steady.interval,
        "compile": seconds,
        "cycles_per_second": stalled.cycles / ran["wall_s"],
    }


def cells(
    graph: Graph, design: Design, netlists: Mapping[str, Netlist], board: Board, x: Array, folder: Path
) -> dict[str, Any]:
    """The netlist against the simulator on a few samples, its streams stalling; seconds of all of it, but synthesis."""
    simulator, few = Simulator(graph), x[:NETLIST_SAMPLES]
    (codes,), (wanted,) = simulator.input_integers(few).values(), simulator.predict_integers(few).values()

    def work() -> Run:
        return NetlistSimulation(netlists, board, design.interface, folder).run(codes, Traffic(1, 20, 30))

    run, seconds = timed(work)
    found = {"different": int(np.count_nonzero(run.codes != wanted)), "values": int(wanted.size), **seconds}
    print("netlist: {different} of {values} values differ; {wall_s:.1f} s, {cpu_s:.1f} s of processors".format(**found))
    return found | {"cycles": run.cycles}


def unrolled(bits: int, python: str | None, folder: Path) -> dict[str, Any]:
    graph, x = jets(bits, folder)
    (design, verilog), made = timed(lambda: as_verilog(graph, 1, BUS_BITS))
    ours = counted(verilog, TOP, folder / f"ours{bits}") | {"make": made}
    ours |= simulated(graph, design, verilog, x, folder / f"run{bits}")
    board = load_board("pynq-z2")
    netlists = {TOP: Netlist({}, folder / f"ours{bits}" / WHOLE)}
    ours["netlist"] = cells(graph, design, netlists, board, x, folder / f"cells{bits}")
    found = {"fpgaflow": ours}
    if python is not None:
        found["da4ml"] = da4ml(graph, x, python, folder / f"da4ml{bits}")
    print(f"\n16-64-32-32-5, {bits} bits, inputs of 8; `{SYNTH}`")
    titles = f"{'':12}{'LUT':>8}{'of them SRL':>13}{'FF':>8}{'latency':>9}{'interval':>10}{'different':>14}"
    print(f"{titles}{'Yosys, CPU s':>14}")
    for name, each in found.items():
        line = f"{name:12}{each['lut']:>8,}{each['srl']:>13,}{each['ff']:>8,}{each['latency']:>9}{each['interval']:>10}"
        print(f"{line}{each['different']:>5} of {each['values']:>5,}{each['cpu_s']:>14.0f}")
    return found


def da4ml(graph: Graph, x: Array, python: str, folder: Path) -> dict[str, Any]:
    """The same network as da4ml makes it, its model's outputs compared with the simulator's."""
    folder.mkdir(parents=True)
    dense = [op for op in graph.ops if isinstance(op, Dense)]
    arrays: dict[str, Array] = {"x": x, "layers": np.array(len(dense))}
    for number, op in enumerate(dense):
        bias = graph.constants[op.bias] * 2.0**-op.bias_type.fraction if op.bias and op.bias_type else 0.0
        arrays[f"w{number}"] = graph.constants[op.weights] * 2.0**-op.weight_type.fraction
        arrays[f"b{number}"] = np.broadcast_to(bias, arrays[f"w{number}"].shape[1:])
        after = [each for each in graph.ops if isinstance(each, Cast) and op.output in each.inputs]
        types = [graph.type_of(each.output) for each in after]
        arrays[f"t{number}"] = np.array([(type_.width, type_.fraction) for type_ in types])
    np.savez(folder / "net.npz", **arrays)
    _, made = timed(lambda: subprocess.run([python, str(DA4ML_SCRIPT), str(folder)], check=True, capture_output=True))
    told = np.load(folder / "told.npz")
    files = [*(folder / "rtl" / "src").glob("net*.v"), *(folder / "rtl" / "src" / "static").glob("*.v")]
    # Its wrapper and its tables are not used here, and Yosys cannot read the latter without a memory file.
    texts = {path.name: path.read_text() for path in files if path.stem not in ("lookup_table", "net_wrapper")}
    wanted = Simulator(graph).predict(x)
    facts = {"different": int(np.count_nonzero(told["y"] != wanted)), "values": int(wanted.size), "make": made}
    return counted(texts, "net", folder / "yosys") | facts | {"latency": int(told["latency"]), "interval": 1}


def as_verilog(graph: Graph, interval: int, bus_bits: int | None = None) -> tuple[Design, dict[str, str]]:
    design = generate(graph, fold_for(graph, interval), bus_bits)
    return design, design.verilog()


def folded(name: str, fps: float, folder: Path) -> dict[str, Any]:
    """A network at a rate on the PYNQ-Z2."""
    net, board = NETS[name](), load_board("pynq-z2")
    interval = int(board.clock.design_mhz * 1e6 / fps)
    (design, verilog), made = timed(lambda: as_verilog(net.graph, interval))
    found = simulated(net.graph, design, verilog, net.x[:SAMPLES], folder / name) | {"make": made}
    netlists, seconds = timed(lambda: synthesise(verilog, board, folder / f"{name}.synthesis", None))
    total = {key: sum(each.counts[key] for each in netlists.values()) for key in ("lut", "ff", "dsp", "bram36")}
    found["netlist"] = cells(net.graph, design, netlists, board, net.x, folder / f"{name}.cells")
    macs = sum(products(op, net.graph) for op in net.graph.ops if isinstance(op, Linear))
    rate = macs / found["interval"]
    found |= {
        **total,
        "synthesis": seconds,
        "ideal": design.folding.interval,
        "lut_per_mac_per_cycle": total["lut"] / rate,
    }
    print(f"\n{net.title}, {fps:,.0f} samples/s at {board.clock.design_mhz:g} MHz on the {board.part}")
    print(f"interval {found['interval']:,} (ideal {found['ideal']:,}), latency {found['latency']:,} (simulated)")
    print(", ".join(f"{count:,g} {key}" for key, count in total.items()), "(synthesised)")
    print(f"{found['lut_per_mac_per_cycle']:.1f} LUT for each product a cycle, {rate:.1f} of them")
    print(
        f"{found['different']} of {found['values']} values differ; {found['cycles_per_second']:,.0f} cycles/s simulated"
    )
    for what in ("make", "compile", "synthesis"):
        print(f"{what}: {found[what]['wall_s']:.0f} s, {found[what]['cpu_s']:.0f} s of processors", flush=True)
    return found


def products(op: Linear, graph: Graph) -> int:
    """Of one sample."""
    return prod(graph.tensors[op.output].shape[:-1]) * graph.constants[op.weights].size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, nargs="*", default=[4, 6], help="of the unrolled perceptrons")
    parser.add_argument("--da4ml", metavar="PYTHON", help="a Python with da4ml; without it, ours alone")
    parser.add_argument("--nets", nargs="*", choices=list(NETS), default=["lenet", "kws", "residual"], help="to fold")
    parser.add_argument("--fps", type=float, nargs="*", default=[10_000, 57_268, 10_000], help="of each of them")
    parser.add_argument("--name", default="rtl", help="of the file with the raw figures")
    options = parser.parse_args()
    before = machine()
    print(f"{before['cpu']}, {cores()} cores, load {before['load'][0]:.1f}", flush=True)
    found: dict[str, Any] = {"load_before": before["load"]}
    with tempfile.TemporaryDirectory(prefix="fpgaflow-bench-") as scratch:
        for bits in options.bits:
            found[f"jets {bits} bits"] = unrolled(bits, options.da4ml, Path(scratch))
        for name, fps in zip(options.nets, options.fps, strict=True):
            found[name] = folded(name, fps, Path(scratch))
    print(f"\nraw figures: {write(options.name, found)}")


if __name__ == "__main__":
    main()
