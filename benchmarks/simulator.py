"""Samples per second of every way to run one network, on the same cores, in one run: ratios against the anchors.

Anchors: ONNX Runtime on the float network of the same topology (random weights: only speed counts), hls4ml's compiled
C simulation, QONNX's executor. Each figure is the median of several runs; ready is the time from a loaded graph to the
first prediction. Run with `--models lenet kws ...`, `--runs N`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from fpgaflow import Graph, Simulator, load
from fpgaflow.boards import load_board
from fpgaflow.data import data_dir
from fpgaflow.frontend.executor import run_qonnx
from fpgaflow.ir.ops import Add, Conv, Dense, Pool, PoolKind, Reshape, Transpose
from fpgaflow.sim.float_graph import from_held, held_shape, to_held
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.layers import HlsOptions
from fpgaflow.targets.hls.project import make_project

Array = np.ndarray
CSIM_SAMPLES, QONNX_SAMPLES, REFERENCE_SAMPLES = 100, 64, 256
TARGET_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    name: str
    samples_per_second: float
    spread: float  # (max - min) / median of the runs
    ready_s: float


def rate(run: Callable[[Array], object], x: Array, runs: int) -> tuple[float, float]:
    """Median samples per second over `runs`, and their spread, after one warm-up."""
    run(x)
    rates = []
    for _ in range(runs):
        started = time.perf_counter()
        run(x)
        rates.append(len(x) / (time.perf_counter() - started))
    middle = statistics.median(rates)
    return middle, (max(rates) - min(rates)) / middle


def sized(run: Callable[[Array], object], x: Array) -> Array:
    """`x` repeated so that one run takes about a second."""
    run(x[:64])
    started = time.perf_counter()
    run(x)
    wanted = max(1, int(TARGET_SECONDS / (time.perf_counter() - started)))
    return np.tile(x, (min(wanted, 200), *[1] * (x.ndim - 1)))


def float_network(graph: Graph) -> tuple[bytes, str]:
    """The float network of a graph's topology as ONNX, channels-first, ReLU where the graph quantises."""
    random = np.random.default_rng(0)
    nodes, constants = [], []

    def constant(array: Array) -> str:
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    for op in graph.ops:
        rank = len(graph.tensors[op.inputs[0]].shape)
        match op:
            case Dense() | Conv():
                weights = random.normal(0, 0.1, graph.constants[op.weights].shape)
                bias = constant(random.normal(0, 0.1, weights.shape[-1]))
                if isinstance(op, Dense):
                    node("Gemm", [op.inputs[0], constant(weights), bias], op.output)
                else:
                    kernel = constant(weights.transpose(weights.ndim - 1, weights.ndim - 2, *range(weights.ndim - 2)))
                    pads = [b for b, _ in op.padding] + [a for _, a in op.padding]
                    places = {"strides": op.strides, "dilations": op.dilations, "pads": pads, "group": op.groups}
                    node("Conv", [op.inputs[0], kernel, bias], op.output, **places)
            case Pool():
                kind = "MaxPool" if op.kind is PoolKind.MAX else "AveragePool"
                node(kind, [op.inputs[0]], op.output, kernel_shape=op.size, strides=op.strides)
            case Add():
                node("Add", list(op.inputs), op.output)
            case Reshape():
                shape = held_shape(graph.tensors[op.output].shape)
                node("Reshape", [op.inputs[0], constant_int(constants, [-1, *shape])], op.output)
            case Transpose():
                ours = (0, *(axis + 1 for axis in op.perm))
                perm = [from_held(rank)[ours[axis]] for axis in to_held(rank)]
                node("Transpose", [op.inputs[0]], op.output, perm=perm)
            case _:  # Cast, Threshold, Relu
                node("Relu", [op.inputs[0]], op.output)
    source, result = graph.inputs[0].tensor, graph.outputs[0].tensor

    def info(name: str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *held_shape(graph.tensors[name].shape)])

    model = helper.make_model(
        helper.make_graph(nodes, "float", [info(source)], [info(result)], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    return model.SerializeToString(), source


def constant_int(constants: list[object], values: list[int]) -> str:
    name = f"c{len(constants)}"
    constants.append(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
    return name


def onnxruntime_float(graph: Graph) -> tuple[Callable[[Array], object], str]:
    """ONNX Runtime on the float network: the best of its batch sizes and thread counts is what counts as its speed."""
    model, name = float_network(graph)
    shape = held_shape(graph.tensors[name].shape)
    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])

    def run_with(batch: int) -> Callable[[Array], object]:
        def run(x: Array) -> object:
            held = x.reshape(len(x), *shape)
            return [session.run(None, {name: held[i : i + batch]}) for i in range(0, len(x), batch)]

        return run

    x = np.random.default_rng(0).random((2048, *shape), dtype=np.float32)
    best = max((1, 16, 64, 256, 1024), key=lambda batch: rate(run_with(batch), x, 3)[0])
    return run_with(best), f"ONNX Runtime, float, batch {best}"


def measure(title: str, path: Path, x: Array, runs: int) -> None:
    graph = load(path)
    rows: list[Row] = []

    def add(name: str, run: Callable[[Array], object], data: Array, ready: float) -> None:
        rows.append(Row(name, *rate(run, data, runs), ready))

    anchor, name = onnxruntime_float(graph)
    add(name, anchor, sized(anchor, x), float("nan"))
    started = time.perf_counter()
    fast = Simulator(graph)
    fast.predict(x[:1])
    ready = time.perf_counter() - started
    add("fpgaflow fast", fast.predict, sized(fast.predict, x), ready)
    started = time.perf_counter()
    reference = Simulator(graph, "reference")
    reference.predict(x[:1])
    add("fpgaflow reference", reference.predict, x[:REFERENCE_SAMPLES], time.perf_counter() - started)
    add("QONNX executor", lambda d: run_qonnx(path, {graph.inputs[0].name: d}), x[:QONNX_SAMPLES], float("nan"))
    with tempfile.TemporaryDirectory(prefix="fpgaflow-bench-") as folder:
        started = time.perf_counter()
        options = HlsOptions(part=load_board("pynq-z2").part)
        compiled = CSim(make_project(graph, options), Path(folder))
        codes = fast.input_integers(x[:CSIM_SAMPLES])[graph.inputs[0].name]
        compiled.predict_integers([codes[:1]])
        ready = time.perf_counter() - started
        add("hls4ml csim", lambda d: compiled.predict_integers([d]), codes, ready)
    _print(title, rows, runs)


def _print(title: str, rows: list[Row], runs: int) -> None:
    anchors = {row.name.split(",")[0]: row.samples_per_second for row in rows}
    against = ("ONNX Runtime", "hls4ml csim")
    print(f"\n{title}: median of {runs}, {len(os.sched_getaffinity(0))} cores (measured)")
    print(f"{'':34}{'samples/s':>12}{'spread':>9}{'ready s':>9}" + "".join(f"{'x ' + name:>17}" for name in against))
    for row in rows:
        ratios = "".join(f"{row.samples_per_second / anchors[name]:>17.2f}" for name in against)
        ready = "" if np.isnan(row.ready_s) else f"{row.ready_s:.2f}"
        print(f"{row.name:34}{row.samples_per_second:>12,.0f}{row.spread:>9.0%}{ready:>9}{ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", type=Path, help="a QONNX file of your own instead of the bundled LeNet")
    options = parser.parse_args()
    if options.model is not None:
        graph = load(options.model)
        shape = graph.tensors[graph.inputs[0].tensor].shape
        x = np.random.default_rng(0).random((512, *shape), dtype=np.float32)
        measure(options.model.name, options.model, x, options.runs)
        return
    folder = data_dir("examples/lenet_digits")
    measure("LeNet-5, 4 bits", folder / "model.onnx", np.load(folder / "test.npz")["x"], options.runs)


if __name__ == "__main__":
    main()
